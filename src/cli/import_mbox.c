/* mbox files: one, or a folder of them as Thunderbird (Work, Work.sbd/2026), Apple Mail
 * (Work.mbox/mbox) and mutt keep them. */
#include "cli/import_private.h"
#include "port/names.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct source {
	struct mbox *m;
	const struct mbox_message *msg;
};

static int read_message(void *arg, mbox_sink *sink, void *sink_arg, struct err *err)
{
	struct source *s = arg;

	return mbox_read(s->m, s->msg, sink, sink_arg, err);
}

static int read_at(void *arg, uint64_t at, char *p, size_t n, size_t *got, struct err *err)
{
	ssize_t r = pread(*(int *)arg, p, n, (off_t)at);

	if (r < 0)
		return err_sys(err, "read", "an mbox");
	*got = (size_t)r;
	return 0;
}

static int messages(
	struct import *im, struct mbox *m, struct str label, int64_t date, struct err *err)
{
	struct err why = ERR_INIT;
	struct mbox_message msg;
	struct source s = { m, &msg };
	struct buf text = BUF(FEED_LABEL + 40);
	int got, r = 0;

	for (unsigned n = 1; r == 0 && (got = mbox_next(m, &msg, &why)) != 0; n++) {
		struct feed_item item = { .received = msg.date > 0 ? msg.date : date,
			.flags = msg.flags,
			.keywords = str_c(msg.keywords),
			.read = read_message,
			.arg = &s };

		if (got < 0) {
			import_skip(im, label, why.msg);
			break;
		}
		if (msg.expunged)
			continue;
		buf_clear(&text);
		buf_add(&text, str_head(label, FEED_LABEL));
		buf_addf(&text, ", message %u", n);
		item.label = buf_str(&text);
		r = import_message(im, &item, msg.end, err);
	}
	buf_free(&text);
	return r;
}

static int file(struct import *im, int fd, const struct stat *st, struct str name, struct str label,
	struct err *err)
{
	const struct mbox_source source = { read_at, &fd };
	struct mbox *m = malloc(sizeof *m);
	int r;

	if (!m)
		return err_set(err, ERR_TEMP, "out of memory");
	mbox_init(m, &source, im->kind);
	r = import_folder(im, name, (uint64_t)st->st_size, true, err);
	if (r == 1)
		r = messages(im, m, label, import_date(st), err) < 0 ? -1
								     : import_folder_end(im, err);
	free(m);
	return r;
}

int import_mbox(struct import *im, int fd, const struct stat *st, struct err *err)
{
	return file(im, fd, st, STR("INBOX"), im->path, err);
}

/* ---- folders of them ---- */

static struct str without(struct str name, const char *suffix)
{
	const size_t n = strlen(suffix);

	if (name.n > n && str_eqi(str_from(name, name.n - n), str_c(suffix)))
		name.n -= n;
	return name;
}

static void add_level(struct buf *name, struct str level)
{
	struct buf clean = BUF(4 * FEED_NAME);

	level_from_file(level, &clean);
	if (name->n)
		buf_addc(name, '/');
	buf_add(name, buf_str(&clean));
	buf_free(&clean);
}

/* Only what begins as an mbox is one; beside them lie indexes and the like. */
static int one(struct import *im, int dir, const char *entry, struct str parent, struct err *err)
{
	const struct str level = without(without(str_c(entry), ".mbox"), ".mbx");
	struct buf name = BUF(8 * FEED_NAME);
	struct err why = ERR_INIT;
	struct stat st;
	char head[5];
	int fd = files_open(dir, entry, &st, &why), r = 0;

	if (fd < 0) {
		import_skip(im, str_c(entry), why.msg);
		return 0;
	}
	buf_add(&name, parent);
	if (!(parent.n && str_eq(level, STR("mbox")))) /* Apple Mail: Work.mbox/mbox */
		add_level(&name, level);
	if (st.st_size == 0 || (pread(fd, head, 5, 0) == 5 && memcmp(head, "From ", 5) == 0))
		r = file(im, fd, &st, buf_str(&name), str_c(entry), err);
	buf_free(&name);
	close(fd);
	return r;
}

static bool is_index(struct str name)
{
	return name.p[0] == '.' || !str_eq(without(name, ".msf"), name) ||
		!str_eq(without(name, ".dat"), name);
}

static int walk(struct import *im, int dir, struct str parent, int depth, struct err *err);

static int below(struct import *im, int dir, const char *entry, struct str parent, int depth,
	struct err *err)
{
	struct buf name = BUF(8 * FEED_NAME);
	struct err why = ERR_INIT;
	int fd = depth < IMPORT_DEPTH ? files_open_dir(dir, entry, &why)
				      : err_set(&why, ERR_LIMIT, "folders are nested too deeply"),
	    r = 0;

	buf_add(&name, parent);
	add_level(&name, without(without(str_c(entry), ".sbd"), ".mbox"));
	if (fd < 0 || !buf_ok(&name))
		import_skip(im, str_c(entry), fd < 0 ? why.msg : "its name is too long");
	else
		r = walk(im, fd, buf_str(&name), depth + 1, err);
	if (fd >= 0)
		close(fd);
	buf_free(&name);
	return r;
}

static int walk(struct import *im, int dir, struct str parent, int depth, struct err *err)
{
	struct files_list l;
	int r = files_list(dir, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		const char *entry = files_name(&l, i);

		if (is_index(str_c(entry)))
			continue;
		r = files_is_dir(dir, entry) ? below(im, dir, entry, parent, depth, err)
					     : one(im, dir, entry, parent, err);
	}
	files_list_free(&l);
	return r;
}

int import_mboxes(struct import *im, int dir, struct err *err)
{
	return walk(im, dir, STR(""), 0, err);
}
