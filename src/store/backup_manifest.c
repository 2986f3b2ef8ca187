/* What belongs to a backup, as text: a line for each file, and a sum over all lines at the end. */
#include "base/crc32c.h"
#include "store/backup_private.h"
#include "store/io.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANIFEST_MAX ((size_t)1 << 30)
#define FIRST_LINE "eilpost backup 1"

int manifest_add(struct manifest *m, const struct backup_item *item, struct err *err)
{
	if (m->n == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 64;
		struct backup_item *v = reallocarray(m->v, cap, sizeof *v);

		if (!v)
			return err_set(err, ERR_TEMP, "out of memory to list a backup");
		m->v = v;
		m->cap = cap;
	}
	m->v[m->n++] = *item;
	return 0;
}

void manifest_free(struct manifest *m)
{
	free(m->v);
	*m = (struct manifest){ 0 };
}

static int by_name(const void *a, const void *b)
{
	const struct backup_item *x = a, *y = b;

	return strcmp(x->name, y->name);
}

void manifest_sort(struct manifest *m)
{
	if (m->n)
		qsort(m->v, m->n, sizeof *m->v, by_name);
}

const struct backup_item *manifest_find(const struct manifest *m, const char *name)
{
	struct backup_item key = { 0 };

	snprintf(key.name, sizeof key.name, "%s", name);
	return m->n ? bsearch(&key, m->v, m->n, sizeof *m->v, by_name) : NULL;
}

int manifest_write(int dir, const char *path, const struct manifest *m, struct err *err)
{
	struct buf text = BUF(MANIFEST_MAX);
	int fd = -1, r = -1;

	buf_addf(&text, FIRST_LINE "\nsequence %" PRIu64 "\n", m->sequence);
	for (size_t i = 0; i < m->n; i++)
		buf_addf(&text, "%c %" PRIu64 " %" PRIu64 " %" PRIu32 " %s\n", m->v[i].kind,
			m->v[i].number, m->v[i].size, m->v[i].sum, m->v[i].name);
	buf_addf(&text, "end %" PRIu32 "\n", crc32c(0, text.p, text.n));
	if (!buf_ok(&text))
		err_set(err, ERR_TEMP, "out of memory for the list of a backup");
	else
		fd = io_open(dir, path, O_WRONLY | O_CREAT | O_TRUNC, err);
	if (fd >= 0 && io_write(fd, path, 0, buf_str(&text), err) == 0)
		r = io_flush(fd, path, err);
	if (fd >= 0)
		close(fd);
	buf_free(&text);
	return r;
}

static bool take_number(struct str *line, uint64_t *out)
{
	return str_u64(str_word(line, ' '), UINT64_MAX >> 1, out);
}

/* Names are ours: nothing that leads out of the folder. */
static bool take_item(struct str line, struct backup_item *item)
{
	struct str kind = str_word(&line, ' ');
	uint64_t sum;

	if (kind.n != 1 || !take_number(&line, &item->number) || !take_number(&line, &item->size) ||
		!take_number(&line, &sum) || sum > UINT32_MAX ||
		!str_z(line, item->name, sizeof item->name) || line.n == 0 || line.p[0] == '/' ||
		str_search(line, STR("..")) < line.n)
		return false;
	item->kind = kind.p[0];
	item->sum = (uint32_t)sum;
	return strchr("itsb", item->kind) != NULL;
}

static bool take_head(struct str *text, struct manifest *m)
{
	struct str sequence;

	if (!str_eq(str_word(text, '\n'), STR(FIRST_LINE)))
		return false;
	sequence = str_word(text, '\n');
	return str_take(&sequence, STR("sequence ")) && str_u64(sequence, INT64_MAX, &m->sequence);
}

static int parse(struct str text, const char *path, struct manifest *m, struct err *err)
{
	struct str rest = text, line;
	struct backup_item item;
	uint64_t sum;

	if (!take_head(&rest, m))
		return err_set(err, ERR_PROTO, "%s is no list of a backup that we know", path);
	while (rest.n) {
		size_t at = (size_t)(rest.p - text.p);

		line = str_word(&rest, '\n');
		if (str_take(&line, STR("end "))) {
			if (rest.n == 0 && str_u64(line, UINT32_MAX, &sum) &&
				sum == crc32c(0, text.p, at))
				return 0;
			break;
		}
		if (!take_item(line, &item))
			break;
		if (manifest_add(m, &item, err) < 0)
			return -1;
	}
	return err_set(err, ERR_PROTO, "%s is damaged", path);
}

int manifest_read(int dir, const char *path, struct manifest *m, struct err *err)
{
	struct buf text = BUF(MANIFEST_MAX);
	int fd = io_open(dir, path, O_RDONLY, err), r = -1;
	uint64_t size;
	char *room;

	*m = (struct manifest){ 0 };
	if (fd < 0)
		return -1;
	if (io_size(fd, path, &size, err) == 0) {
		room = size < MANIFEST_MAX ? buf_room(&text, (size_t)size + 1) : NULL;
		if (!room)
			err_set(err, ERR_TEMP, "out of memory to read %s", path);
		else
			r = io_read(fd, path, 0, room, (size_t)size, err);
	}
	if (r == 0) {
		buf_grew(&text, (size_t)size);
		r = parse(buf_str(&text), path, m, err);
	}
	close(fd);
	buf_free(&text);
	if (r < 0)
		manifest_free(m);
	return r;
}
