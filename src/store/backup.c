/* Making a backup: what is new is copied, what no kept backup needs is removed. */
#include "store/backup.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "store/backup_private.h"
#include "store/io.h"
#include "store/log_private.h"
#include "store/snapshot.h"
#include "store/txn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };
#define MARKER "eilpost-backup"

void backup_manifest_name(char name[BACKUP_NAME], uint64_t id)
{
	snprintf(name, BACKUP_NAME, "%020" PRIu64 "/manifest", id);
}

int backup_load(int from, uint64_t id, struct manifest *m, struct err *err)
{
	char name[BACKUP_NAME];

	backup_manifest_name(name, id);
	return manifest_read(from, name, m, err);
}

/* ---- the mark ---- */

struct marking {
	struct store_job job; /* first */
	struct backup_mark *mark;
};

static int take_mark(struct txn *t, struct store_job *job, struct err *err)
{
	struct backup_mark *m = ((struct marking *)job)->mark;

	(void)err;
	store_mark(t, &m->segment, &m->offset, &m->sequence);
	return 0;
}

int backup_prepare(struct store *s, struct backup_mark *out, struct err *err)
{
	struct marking m = { .job.write = take_mark, .mark = out };
	struct snapshot made;
	int r;

	if (store_snapshot(s, &made, err) < 0)
		return -1;
	memcpy(out->snapshot, made.name, sizeof made.name);
	r = store_run(s, &m.job, err);
	store_job_free(&m.job);
	return r;
}

/* ---- copies ---- */

static int sum_file(int fd, const char *name, uint64_t size, uint32_t *sum, struct err *err)
{
	char *piece = malloc(PIECE);
	int r = piece ? 0 : err_set(err, ERR_TEMP, "out of memory to read %s", name);

	*sum = 0;
	for (uint64_t at = 0; r == 0 && at < size; at += PIECE) {
		size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;

		r = io_read(fd, name, at, piece, n, err);
		if (r == 0)
			*sum = crc32c(*sum, piece, n);
	}
	free(piece);
	return r;
}

int backup_sum(int dir, const char *name, uint64_t *size, uint32_t *sum, struct err *err)
{
	int fd = io_open(dir, name, O_RDONLY, err), r = -1;

	if (fd < 0)
		return -1;
	if (io_size(fd, name, size, err) == 0)
		r = sum_file(fd, name, *size, sum, err);
	close(fd);
	return r;
}

static int write_copy(int from, const char *from_name, int to, const char *name, uint64_t size,
	uint32_t *sum, struct err *err)
{
	char *piece = malloc(PIECE);
	int r = piece ? 0 : err_set(err, ERR_TEMP, "out of memory to copy %s", name);

	*sum = 0;
	for (uint64_t at = 0; r == 0 && at < size; at += PIECE) {
		size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;

		r = io_read(from, from_name, at, piece, n, err);
		if (r == 0) {
			*sum = crc32c(*sum, piece, n);
			r = io_write(to, name, at, str_make(piece, n), err);
		}
	}
	free(piece);
	return r;
}

/* From the disk, not from memory, as far as the kernel lets go of it. */
static int read_again(int fd, const char *name, uint64_t size, uint32_t sum, struct err *err)
{
	uint32_t now;

	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	if (sum_file(fd, name, size, &now, err) < 0)
		return -1;
	return now == sum ? 0
			  : err_set(err, ERR_TEMP, "%s is not what was written: a bad disk?", name);
}

int backup_copy(int from, const char *from_name, int to, const char *name, uint64_t size,
	const uint32_t *must, uint32_t *sum, struct err *err)
{
	char tmp[BACKUP_NAME + 4];
	struct err ignored = ERR_INIT;
	int fd, r = -1;

	snprintf(tmp, sizeof tmp, "%s.new", name);
	fd = io_open(to, tmp, O_RDWR | O_CREAT | O_TRUNC, err);
	if (fd < 0)
		return -1;
	if (write_copy(from, from_name, fd, tmp, size, sum, err) == 0) {
		if (must && *sum != *must)
			err_set(err, ERR_DAMAGED, "%s is not what was saved", name);
		else if (io_flush(fd, tmp, err) == 0 && read_again(fd, tmp, size, *sum, err) == 0)
			r = io_rename(to, tmp, name, err);
	}
	close(fd);
	if (r < 0)
		(void)io_remove(to, tmp, &ignored);
	return r;
}

/* ---- one backup ---- */

struct making {
	int data, to;
	const struct backup_mark *mark;
	struct manifest now, kept; /* kept: all files of the backups that are there, sorted */
	struct backup_result *out;
};

void backup_mark_name(char mark[BACKUP_MARK], const char *name)
{
	snprintf(mark, BACKUP_MARK, "%s.rotten", name);
}

/* As far as can be seen without reading all of it. */
static bool is_there(const struct making *m, const struct backup_item *item)
{
	char mark[BACKUP_MARK];
	struct stat st;

	backup_mark_name(mark, item->name);
	return fstatat(m->to, item->name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
		(uint64_t)st.st_size == item->size && faccessat(m->to, mark, F_OK, 0) < 0;
}

static int drop_mark(struct making *m, const char *name, struct err *err)
{
	char mark[BACKUP_MARK];

	backup_mark_name(mark, name);
	return io_remove(m->to, mark, err);
}

/* What an earlier backup has saved never changes: what differs now is damaged in the store, and
 * must not take the place of a copy that may be the last good one. Its mark stays for a better
 * time. */
static int copy_again(struct making *m, int fd, const char *from_name,
	const struct backup_item *item, const struct backup_item *old, struct err *err)
{
	struct err why = ERR_INIT;
	uint32_t sum;

	if (item->size != old->size)
		err_set(&why, ERR_DAMAGED, "%s has another size", from_name);
	else if (backup_copy(fd, from_name, m->to, old->name, old->size, &old->sum, &sum, &why) ==
		0) {
		m->out->copied++;
		m->out->bytes += old->size;
		return drop_mark(m, old->name, err);
	}
	if (why.kind != ERR_DAMAGED) {
		*err = why;
		return -1;
	}
	if (m->out->differ++ == 0)
		snprintf(m->out->first, sizeof m->out->first, "%s", from_name);
	return 0;
}

static int add_file(
	struct making *m, const char *from_name, struct backup_item *item, struct err *err)
{
	const struct backup_item *old = manifest_find(&m->kept, item->name);
	int fd, r = 0;

	m->out->files++;
	if (old && old->size == item->size && is_there(m, item))
		return manifest_add(&m->now, old, err);
	fd = io_open(m->data, from_name, O_RDONLY, err);
	if (fd < 0)
		return -1;
	if (old) {
		r = copy_again(m, fd, from_name, item, old, err);
		close(fd);
		return r < 0 ? -1 : manifest_add(&m->now, old, err);
	}
	r = backup_copy(fd, from_name, m->to, item->name, item->size, NULL, &item->sum, err);
	close(fd);
	m->out->copied++;
	m->out->bytes += item->size;
	return r < 0 ? -1 : manifest_add(&m->now, item, err);
}

/* Bodies in one whose head is damaged can be read all the same: its salt counts as 0. */
static int read_head(int fd, uint64_t number, struct slog_segment *head, struct err *err)
{
	struct err why = ERR_INIT;

	*head = (struct slog_segment){ 0 };
	if (slog_segment_read(fd, number, head, &why) == 0)
		return 0;
	*head = (struct slog_segment){ 0 };
	if (why.kind == ERR_PROTO)
		return 0;
	*err = why;
	return -1;
}

/* Two files of the same number may differ: a backup was brought back, and the log went on in
 * another way. Then salt or size differ. */
static int add_segment(struct making *m, uint64_t number, struct err *err)
{
	struct backup_item item = { .kind = BACKUP_SEGMENT, .number = number };
	struct slog_segment head;
	char name[SLOG_NAME];
	int fd, r = -1;

	slog_segment_name(name, number, ".seg");
	fd = io_open(m->data, name, O_RDONLY, err);
	if (fd < 0)
		return -1;
	if (io_size(fd, name, &item.size, err) == 0)
		r = read_head(fd, number, &head, err);
	close(fd);
	if (r < 0)
		return -1;
	if (number == m->mark->segment) {
		item.kind = BACKUP_TAIL;
		item.size = m->mark->offset;
		snprintf(item.name, sizeof item.name, "new/tail.seg");
	} else {
		snprintf(item.name, sizeof item.name,
			"log/%010" PRIu64 "-%08" PRIx32 "-%" PRIu64 ".seg", number, head.salt,
			item.size);
	}
	return add_file(m, name, &item, err);
}

typedef int each_fn(struct making *m, const char *folder, const char *file, struct err *err);

static int each_file(struct making *m, int dir, const char *folder, each_fn *fn, struct err *err)
{
	struct err why = ERR_INIT;
	DIR *d = io_list(dir, folder, &why);
	struct dirent *e;
	int got = 0, r = 0;

	if (!d && why.kind == ERR_NOTFOUND)
		return 0;
	while (d && r == 0 && (got = io_next(d, folder, &e, &why)) == 1)
		if (e->d_name[0] != '.')
			r = fn(m, folder, e->d_name, err);
	if (d)
		closedir(d);
	if (d && got >= 0)
		return r;
	*err = why;
	return -1;
}

static int see_segment(struct making *m, const char *folder, const char *file, struct err *err)
{
	struct str digits, suffix;
	uint64_t n;

	(void)folder;
	if (!str_cut(str_c(file), '.', &digits, &suffix) || !str_eq(suffix, STR("seg")) ||
		!str_u64(digits, INT64_MAX, &n) || n == 0 || n > m->mark->segment)
		return 0;
	return add_segment(m, n, err);
}

static int see_blob(struct making *m, const char *folder, const char *file, struct err *err)
{
	struct backup_item item = { .kind = BACKUP_BLOB };
	int fd, r;

	snprintf(item.name, sizeof item.name, "%s/%.40s", folder, file);
	fd = io_open(m->data, item.name, O_RDONLY, err);
	if (fd < 0)
		return -1;
	r = io_size(fd, item.name, &item.size, err);
	close(fd);
	if (r < 0 || io_mkdir(m->to, folder, err) < 0)
		return -1;
	return add_file(m, item.name, &item, err);
}

static int add_blobs(struct making *m, struct err *err)
{
	char folder[16];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(folder, sizeof folder, "blob/%02x", i);
		if (each_file(m, m->data, folder, see_blob, err) < 0)
			return -1;
		if (faccessat(m->to, folder, F_OK, 0) == 0 && io_flush_dir(m->to, folder, err) < 0)
			return -1;
	}
	return 0;
}

static int add_index(struct making *m, struct err *err)
{
	struct backup_item item = { .kind = BACKUP_INDEX, .name = "new/index.db" };
	int fd = io_open(m->data, m->mark->snapshot, O_RDONLY, err), r;

	if (fd < 0)
		return -1;
	r = io_size(fd, m->mark->snapshot, &item.size, err);
	close(fd);
	return r < 0 ? -1 : add_file(m, m->mark->snapshot, &item, err);
}

/* What it has of its own gets its last name. */
static int name_it(struct making *m, struct err *err)
{
	char folder[BACKUP_NAME], name[BACKUP_NAME];

	snprintf(folder, sizeof folder, "%020" PRIu64, m->out->id);
	for (size_t i = 0; i < m->now.n; i++) {
		struct backup_item *item = &m->now.v[i];

		if (strncmp(item->name, "new/", 4) != 0)
			continue;
		snprintf(name, sizeof name, "%.20s/%.40s", folder, item->name + 4);
		memcpy(item->name, name, sizeof name);
	}
	m->now.sequence = m->mark->sequence;
	if (manifest_write(m->to, "new/manifest", &m->now, err) < 0 ||
		io_flush_dir(m->to, "new", err) < 0 || io_flush_dir(m->to, "log", err) < 0 ||
		io_flush_dir(m->to, "blob", err) < 0 || io_flush_dir(m->to, ".", err) < 0 ||
		io_rename(m->to, "new", folder, err) < 0)
		return -1;
	return io_flush_dir(m->to, ".", err);
}

/* ---- the folder ---- */

static int newer_first(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? 1 : *x > *y ? -1 : 0;
}

int backup_ids(int from, uint64_t *v, size_t max, struct err *err)
{
	DIR *d = io_list(from, ".", err);
	struct dirent *e;
	int got = -1;
	size_t n = 0;

	while (d && n < max && (got = io_next(d, "the backup folder", &e, err)) == 1)
		if (strlen(e->d_name) == 20 && str_u64(str_c(e->d_name), INT64_MAX, &v[n]))
			n++;
	if (d)
		closedir(d);
	if (got < 0)
		return -1;
	qsort(v, n, sizeof *v, newer_first);
	return (int)n;
}

static bool is_empty(int dir)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool empty = d != NULL;

	while (d && (errno = 0, e = readdir(d)))
		empty &= e->d_name[0] == '.' || strcmp(e->d_name, "lost+found") == 0;
	empty &= !d || errno == 0;
	if (d)
		closedir(d);
	return empty;
}

/* The lock of the folder, or -1. */
static int take_folder(int to, struct err *err)
{
	bool known = faccessat(to, MARKER, F_OK, 0) == 0;
	int fd;

	if (!known && !is_empty(to))
		return err_set(err, ERR_EXISTS,
			"the folder holds other things: a backup needs one of its own");
	fd = io_open(to, MARKER, O_RDWR | O_CREAT, err);
	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		close(fd);
		return err_set(err, ERR_TEMP, "another backup into this folder is under way");
	}
	if (fd >= 0 && (io_mkdir(to, "log", err) < 0 || io_mkdir(to, "blob", err) < 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* All files of the backups that are there. *all: of none of them the list could not be read. */
static int load_kept(struct making *m, const uint64_t *v, int n, bool *all, struct err *err)
{
	int r = 0;

	*all = true;
	for (int i = 0; r == 0 && i < n; i++) {
		struct err why = ERR_INIT;
		struct manifest one;

		if (backup_load(m->to, v[i], &one, &why) < 0) {
			*all = false;
			continue;
		}
		for (size_t k = 0; r == 0 && k < one.n; k++)
			r = manifest_add(&m->kept, &one.v[k], err);
		manifest_free(&one);
	}
	manifest_sort(&m->kept);
	return r;
}

static int drop_file(struct making *m, const char *folder, const char *file, struct err *err)
{
	char name[BACKUP_NAME + 300];
	struct str plain = str_c(file);

	if (plain.n > 7 && str_eq(str_from(plain, plain.n - 7), STR(".rotten")))
		plain.n -= 7; /* the mark stays as long as its file */
	snprintf(name, sizeof name, "%s/" STR_F, folder, STR_A(plain));
	if (strlen(name) < BACKUP_NAME && manifest_find(&m->kept, name))
		return 0;
	snprintf(name, sizeof name, "%s/%s", folder, file);
	m->out->removed++;
	return io_remove(m->to, name, err);
}

static int drop_folder(struct making *m, const char *folder, struct err *err)
{
	struct manifest none = { 0 }, kept = m->kept;
	int r;

	m->kept = none;
	r = each_file(m, m->to, folder, drop_file, err);
	m->kept = kept;
	if (r == 0 && unlinkat(m->to, folder, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = err_sys(err, "remove", folder);
	return r;
}

/* Whole backups first, then the files that nobody names any more. As long as there is one of which
 * nobody knows what it names, these stay. */
static int prune(struct making *m, unsigned keep, struct err *err)
{
	uint64_t v[200];
	char folder[24];
	bool all = true;
	int n = backup_ids(m->to, v, 200, err), r = n < 0 ? -1 : 0;

	for (int i = (int)keep; r == 0 && i < n; i++) {
		snprintf(folder, sizeof folder, "%020" PRIu64, v[i]);
		r = drop_folder(m, folder, err);
	}
	if (n > (int)keep)
		n = (int)keep;
	manifest_free(&m->kept);
	if (r == 0)
		r = load_kept(m, v, n, &all, err);
	if (!all)
		return r;
	if (r == 0)
		r = each_file(m, m->to, "log", drop_file, err);
	for (unsigned i = 0; r == 0 && i < 256; i++) {
		snprintf(folder, sizeof folder, "blob/%02x", i);
		r = each_file(m, m->to, folder, drop_file, err);
	}
	return r;
}

static int make(struct making *m, unsigned keep, struct err *err)
{
	uint64_t v[200];
	int n = backup_ids(m->to, v, 200, err);
	bool all;

	if (n < 0 || load_kept(m, v, n, &all, err) < 0 || drop_folder(m, "new", err) < 0)
		return -1;
	m->out->removed = 0;
	m->out->id = (uint64_t)clock_wall();
	if (n > 0 && v[0] >= m->out->id)
		m->out->id = v[0] + 1;
	if (io_mkdir(m->to, "new", err) < 0 || add_index(m, err) < 0 ||
		each_file(m, m->data, "log", see_segment, err) < 0 || add_blobs(m, err) < 0 ||
		(m->mark->held && m->mark->held(m->mark->arg, err) < 0) || name_it(m, err) < 0)
		return -1;
	return prune(m, keep ? keep : BACKUP_KEEP, err);
}

int backup_make(int data, int to, const struct backup_mark *mark, unsigned keep,
	struct backup_result *out, struct err *err)
{
	struct making m = { .data = data, .to = to, .mark = mark, .out = out };
	int lock = take_folder(to, err), r;

	*out = (struct backup_result){ .id = 0 };
	if (lock < 0)
		return -1;
	r = make(&m, keep, err);
	manifest_free(&m.now);
	manifest_free(&m.kept);
	close(lock);
	return r;
}

int backup_list(int from, struct backup_row *out, size_t max, struct err *err)
{
	uint64_t v[200];
	int n = backup_ids(from, v, 200, err), found = 0;

	for (int i = 0; i < n && (size_t)found < max; i++) {
		struct err why = ERR_INIT;
		struct manifest m;

		if (backup_load(from, v[i], &m, &why) < 0)
			continue;
		out[found] =
			(struct backup_row){ .id = v[i], .sequence = m.sequence, .files = m.n };
		for (size_t k = 0; k < m.n; k++)
			out[found].bytes += m.v[k].size;
		found++;
		manifest_free(&m);
	}
	return n < 0 ? -1 : found;
}
