/* A Maildir++: cur and new, folders beside them (".Work.2026"), or folders in folders as mbsync
 * lays them out. Messages go in the order of dovecot-uidlist, else of the time in their names. */
#include "cli/import_private.h"
#include "port/maildir.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct message {
	uint32_t at; /* of its name */
	uint32_t uid;
	bool fresh; /* in new */
};

struct maildir {
	struct import *im;
	int dir[2]; /* cur, new */
	struct files_list lists[2];
	struct message *v;
	size_t n;
	char keywords[MAILDIR_KEYWORDS][MARKS_KEYWORD + 1];
};

static const char *name_of(const struct maildir *d, const struct message *m)
{
	return d->lists[m->fresh].names.p + m->at;
}

static struct str unique_of(const struct maildir *d, const struct message *m)
{
	struct maildir_name n;

	maildir_name_parse(str_c(name_of(d, m)), &n);
	return n.unique;
}

/* ---- its files ---- */

static bool take_keyword(void *arg, struct str line)
{
	struct maildir *d = arg;
	struct str word;
	unsigned n;

	if (maildir_keyword_line(line, &n, &word))
		str_z(word, d->keywords[n], sizeof d->keywords[n]);
	return true;
}

static int by_unique(const void *a, const void *b, void *arg)
{
	const struct maildir *d = arg;

	return str_cmp(unique_of(d, a), unique_of(d, b));
}

static int by_order(const void *a, const void *b, void *arg)
{
	const struct message *x = a, *y = b;
	const struct maildir *d = arg;
	struct maildir_name nx, ny;

	if (x->uid != y->uid) /* those without one are newer */
		return x->uid - 1 < y->uid - 1 ? -1 : 1;
	maildir_name_parse(str_c(name_of(d, x)), &nx);
	maildir_name_parse(str_c(name_of(d, y)), &ny);
	if (nx.time != ny.time)
		return nx.time < ny.time ? -1 : 1;
	return str_cmp(nx.unique, ny.unique);
}

static bool take_uid(void *arg, struct str line)
{
	struct maildir *d = arg;
	size_t low = 0, high = d->n;
	struct str unique;
	uint32_t uid;

	if (!maildir_uidlist_line(line, &uid, &unique))
		return true;
	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		if (str_cmp(unique_of(d, &d->v[mid]), unique) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < d->n && str_eq(unique_of(d, &d->v[low]), unique))
		d->v[low].uid = uid;
	return true;
}

/* There need not be such a file. One that cannot be read is another matter: without it marks would
 * be lost, and nobody would know. */
static int read_lines(int dir, const char *name, files_line_fn *fn, void *arg, struct err *err)
{
	struct err why = ERR_INIT;
	struct stat st;
	int fd = files_open(dir, name, &st, &why);

	if (fd >= 0)
		return files_lines(fd, fn, arg, err);
	if (why.kind == ERR_NOTFOUND)
		return 0;
	*err = why;
	return -1;
}

/* ---- messages ---- */

static int list(struct maildir *d, struct err *err)
{
	size_t max = 0;

	for (int i = 0; i < 2; i++) {
		if (d->dir[i] >= 0 && files_list(d->dir[i], &d->lists[i], err) < 0)
			return -1;
		max += d->lists[i].n;
	}
	d->v = calloc(max ? max : 1, sizeof *d->v);
	if (!d->v)
		return err_set(err, ERR_TEMP, "out of memory for the names in a folder");
	for (int i = 0; i < 2; i++) {
		struct maildir_name ignored;

		for (size_t k = 0; k < d->lists[i].n; k++)
			if (maildir_name_parse(str_c(files_name(&d->lists[i], k)), &ignored))
				d->v[d->n++] = (struct message){ d->lists[i].at[k], 0, i == 1 };
		free(d->lists[i].at); /* the names are found by v from here on */
		d->lists[i].at = NULL;
	}
	return 0;
}

static int put(struct maildir *d, const struct message *m, uint64_t done, struct err *err)
{
	const char *name = name_of(d, m);
	struct buf words = BUF(MARKS_KEYWORDS);
	struct maildir_name parsed;
	struct err why = ERR_INIT;
	struct stat st;
	int fd = files_open(d->dir[m->fresh], name, &st, &why), r = 0;
	struct feed_item item = { .label = str_c(name), .read = import_read_fd, .arg = &fd };

	if (fd < 0) {
		feed_name_refused(&d->im->feed, str_c(name), why.msg);
		return 0;
	}
	maildir_name_parse(str_c(name), &parsed);
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if (parsed.letters & 1u << i)
			keywords_take(&words, str_c(d->keywords[i]), ' ');
	item.received = import_date(&st);
	item.flags = parsed.flags;
	item.keywords = buf_str(&words);
	r = import_message(d->im, &item, done, err);
	buf_free(&words);
	close(fd);
	return r;
}

static int read_files(struct maildir *d, int dir, struct err *err)
{
	qsort_r(d->v, d->n, sizeof *d->v, by_unique, d);
	if (read_lines(dir, "dovecot-uidlist", take_uid, d, err) < 0)
		return -1;
	qsort_r(d->v, d->n, sizeof *d->v, by_order, d);
	return read_lines(dir, "dovecot-keywords", take_keyword, d, err);
}

static int messages(struct maildir *d, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->n; i++)
		r = put(d, &d->v[i], i + 1, err);
	return r;
}

/* ---- folders ---- */

static int open_part(struct import *im, int dir, const char *name)
{
	struct err why = ERR_INIT;
	int fd = files_open_dir(dir, name, &why);

	if (fd < 0 && why.kind != ERR_NOTFOUND)
		import_skip(im, str_c(name), why.msg);
	return fd;
}

static bool is_maildir(int dir)
{
	return files_is_dir(dir, "cur") || files_is_link_to_dir(dir, "cur");
}

static int folder(struct import *im, int dir, struct str name, struct err *err)
{
	struct maildir *d = calloc(1, sizeof *d);
	struct err why = ERR_INIT;
	int r;

	if (!d)
		return err_set(err, ERR_TEMP, "out of memory");
	d->im = im;
	d->dir[0] = open_part(im, dir, "cur");
	d->dir[1] = open_part(im, dir, "new");
	r = list(d, err);
	if (r == 0 && read_files(d, dir, &why) < 0)
		import_skip(im, name, why.msg);
	else if (r == 0)
		r = import_folder(im, name, d->n, false, err);
	if (r == 1)
		r = messages(d, err) < 0 ? -1 : import_folder_end(im, err);
	for (int i = 0; i < 2; i++) {
		files_list_free(&d->lists[i]);
		if (d->dir[i] >= 0)
			close(d->dir[i]);
	}
	free(d->v);
	free(d);
	return r;
}

static int walk(struct import *im, int dir, struct str parent, int depth, struct err *err);

/* ".Work.2026" beside cur is a folder by its name; "Work" is one level. */
static bool name_below(struct str entry, struct str parent, struct buf *name)
{
	struct buf own = BUF(4 * FEED_NAME);
	bool ok;

	if (entry.p[0] == '.' || str_find(entry, '.') == entry.n) {
		ok = maildir_folder_decode(entry, &own);
	} else { /* a dot within a level of nested folders parts nothing */
		struct buf escaped = BUF(4 * FEED_NAME);

		for (size_t i = 0; i < entry.n; i++)
			if (entry.p[i] == '.')
				buf_addz(&escaped, "&AC4-");
			else
				buf_addc(&escaped, entry.p[i]);
		ok = maildir_folder_decode(buf_str(&escaped), &own);
		buf_free(&escaped);
	}
	buf_add(name, parent);
	if (name->n)
		buf_addc(name, '/');
	buf_add(name, buf_str(&own));
	buf_free(&own);
	return ok && buf_ok(name);
}

static int below(
	struct import *im, int dir, struct str entry, struct str parent, int depth, struct err *err)
{
	struct buf name = BUF(8 * FEED_NAME);
	struct err why = ERR_INIT;
	int fd, r = 0;

	if (str_eq(entry, STR("cur")) || str_eq(entry, STR("new")) || str_eq(entry, STR("tmp")))
		return 0;
	if (files_is_link_to_dir(dir, entry.p))
		import_skip(im, entry, "a link");
	if (!files_is_dir(dir, entry.p))
		return 0;
	fd = depth < IMPORT_DEPTH ? files_open_dir(dir, entry.p, &why)
				  : err_set(&why, ERR_LIMIT, "folders are nested too deeply");
	if (fd < 0)
		import_skip(im, entry, why.msg);
	else if (entry.p[0] == '.' && !is_maildir(fd))
		; /* somebody's own */
	else if (!name_below(entry, parent, &name))
		import_skip(im, entry, "its name is none for a folder");
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
	int r = is_maildir(dir) ? folder(im, dir, parent.n ? parent : STR("INBOX"), err) : 0;

	if (r < 0 || files_list(dir, &l, err) < 0)
		return -1;
	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = below(im, dir, str_c(files_name(&l, i)), parent, depth, err);
	files_list_free(&l);
	return r;
}

/* ---- subscriptions ---- */

struct subscribing {
	struct import *im;
	bool tabs;
	int result;
	struct err *err;
};

static bool take_subscription(void *arg, struct str line)
{
	struct subscribing *s = arg;
	struct buf name = BUF(4 * FEED_NAME);

	if (str_starts(line, STR("V\t2"))) {
		s->tabs = true;
		return true;
	}
	if (maildir_subscription(line, s->tabs, &name))
		s->result = import_subscribe(s->im, buf_str(&name), s->err);
	buf_free(&name);
	return s->result == 0;
}

int import_maildir(struct import *im, int dir, struct err *err)
{
	static const char *const files[] = { "subscriptions", "courierimapsubscribed" };
	struct subscribing s = { .im = im, .err = err };
	struct stat st;

	for (size_t i = 0; i < 2; i++)
		if (fstatat(dir, files[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			im->subscribe = false;
	if (walk(im, dir, STR(""), 0, err) < 0)
		return -1;
	for (size_t i = 0; i < 2 && s.result == 0; i++) {
		struct err why = ERR_INIT;

		s.tabs = false;
		if (read_lines(dir, files[i], take_subscription, &s, &why) < 0)
			import_skip(im, str_c(files[i]), why.msg);
	}
	return s.result;
}
