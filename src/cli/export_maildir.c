/* A Maildir++ with Dovecot's files of uids and keywords, so that order, marks and dates are kept. A
 * message is TIME.VUIDVALIDITYUUID.eilpost: what an earlier run has written is known by that. */
#include "cli/export_private.h"

#include "port/maildir.h"
#include "port/newline.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
	int dir, cur, tmp;
	struct seen have;
	struct export_file list; /* dovecot-uidlist */
	struct err failed;       /* writing it, while nobody could be told */
	char keywords[MAILDIR_KEYWORDS][MARKS_KEYWORD + 1];
	struct newline newline;
} box = { .dir = -1, .cur = -1, .tmp = -1, .list = { .fd = -1 } };

enum { UNIQUE = 80 };

static void unique_of(const struct export *x, const struct export_message *m, char unique[UNIQUE])
{
	snprintf(unique, UNIQUE, "%lld.V%uU%u.eilpost", (long long)m->received, x->uidvalidity,
		m->uid);
}

static uint64_t key_of(uint32_t uidvalidity, uint32_t uid)
{
	return (uint64_t)uidvalidity << 32 | uid;
}

/* What is there already, by the names that we give. */
static int look_around(struct err *err)
{
	struct files_list l;
	int r = files_list(box.cur, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++) {
		unsigned uidvalidity, uid;
		int end = 0;

		if (sscanf(files_name(&l, i), "%*[0-9].V%uU%u.eilpost%n", &uidvalidity, &uid,
			    &end) == 2 &&
			end && !seen_add(&box.have, key_of(uidvalidity, uid)))
			r = err_set(err, ERR_TEMP, "out of memory");
	}
	files_list_free(&l);
	return r;
}

/* ---- keywords ---- */

static bool take_keyword(void *arg, struct str line)
{
	struct str word;
	unsigned n;

	(void)arg;
	if (maildir_keyword_line(line, &n, &word))
		str_z(word, box.keywords[n], sizeof box.keywords[n]);
	return true;
}

/* Letters that were given stay; others get the first that are free. */
static uint32_t letter(struct str word, bool give)
{
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if (str_eqi(str_c(box.keywords[i]), word))
			return 1u << i;
	for (unsigned i = 0; give && keyword_valid(word) && i < MAILDIR_KEYWORDS; i++)
		if (!box.keywords[i][0]) {
			str_z(word, box.keywords[i], sizeof box.keywords[i]);
			return 1u << i;
		}
	return 0;
}

static uint32_t letters(struct str words, bool give)
{
	uint32_t found = 0;

	while (words.n)
		found |= letter(str_word(&words, ' '), give);
	return found;
}

static int write_keywords(struct export *x, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct export_file f;
	struct stat st;
	int fd = files_open(box.dir, "dovecot-keywords", &st, &ignored), r = -1;

	memset(box.keywords, 0, sizeof box.keywords);
	if (fd >= 0)
		(void)files_lines(fd, take_keyword, NULL, &ignored);
	if (!letters(buf_str(&x->keywords), true))
		return 0;
	if (export_file_begin(&f, box.dir, ".keywords.part", err) == 0) {
		for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
			if (box.keywords[i][0])
				buf_addf(&f.out, "%u %s\n", i, box.keywords[i]);
		r = export_file_end(&f, box.dir, "dovecot-keywords", 0, err);
	}
	export_file_drop(&f);
	return r;
}

/* ---- the folder ---- */

static int part(const char *name, struct err *err)
{
	return export_dir(box.dir, str_c(name), "", err);
}

static int open_folder(struct export *x, struct err *err)
{
	struct buf dir = BUF(4 * EXPORT_NAME);
	int fd;

	if (!x->only.n && strcmp(x->name, "INBOX") != 0)
		maildir_folder_encode(str_c(x->name), &dir);
	else
		buf_addc(&dir, '.');
	buf_addc(&dir, '\0');
	if (!buf_ok(&dir) || dir.n > 256) {
		buf_free(&dir);
		return err_set(err, ERR_LIMIT, "its name is too long for a file");
	}
	mkdirat(x->root, dir.p, 0700);
	fd = files_open_dir(x->root, dir.p, err);
	buf_free(&dir);
	return fd;
}

static int begin(struct export *x, struct err *err)
{
	int fresh;

	box.dir = open_folder(x, err);
	if (box.dir < 0 || (box.cur = part("cur", err)) < 0 || (fresh = part("new", err)) < 0)
		return -1;
	close(fresh);
	box.tmp = part("tmp", err);
	if (box.tmp < 0 || look_around(err) < 0 || write_keywords(x, err) < 0 ||
		export_file_begin(&box.list, box.dir, ".uidlist.part", err) < 0)
		return -1;
	box.failed = (struct err)ERR_INIT;
	buf_addf(&box.list.out, "3 V%u N%u\n", x->uidvalidity, x->uidnext);
	return 0;
}

static bool has(struct export *x, const struct export_message *m)
{
	char unique[UNIQUE];

	unique_of(x, m, unique);
	buf_addf(&box.list.out, "%u :%s\n", m->uid, unique);
	if (box.failed.kind == ERR_NONE)
		(void)export_file_flush(&box.list, false, &box.failed);
	return seen_take(&box.have, key_of(x->uidvalidity, m->uid));
}

static int add(void *arg, struct str piece, struct err *err)
{
	struct export_file *f = arg;

	newline_to_lf(&box.newline, piece, &f->out);
	return export_file_flush(f, false, err);
}

static int put(struct export *x, const struct export_message *m, struct err *err)
{
	struct buf name = BUF(200);
	struct export_file f;
	char unique[UNIQUE];
	int r = -1;

	unique_of(x, m, unique);
	buf_addz(&name, unique);
	maildir_info_print(&name, m->flags, letters(m->keywords, false));
	buf_addc(&name, '\0');
	box.newline = (struct newline){ 0 };
	if (export_file_begin(&f, box.tmp, unique, err) == 0 &&
		export_read(x, m, add, &f, err) == 0) {
		newline_end(&box.newline, &f.out);
		r = export_file_end(&f, box.cur, name.p, m->received, err);
	}
	export_file_drop(&f);
	buf_free(&name);
	return r < 0 ? -1 : export_file_flush(&box.list, false, err);
}

static int end(struct export *x, struct err *err)
{
	(void)x;
	if (box.failed.kind != ERR_NONE) {
		*err = box.failed;
		return -1;
	}
	return export_file_end(&box.list, box.dir, "dovecot-uidlist", 0, err);
}

static void close_folder(struct export *x)
{
	int *const fds[] = { &box.dir, &box.cur, &box.tmp };

	(void)x;
	export_file_drop(&box.list);
	seen_clear(&box.have);
	for (size_t i = 0; i < 3; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
}

/* Levels parted by tabs, so that a dot in a name parts nothing. */
static int finish(struct export *x, struct str subscribed, struct err *err)
{
	struct export_file f;
	int r = -1;

	if (export_file_begin(&f, x->root, ".subscriptions.part", err) == 0) {
		buf_addz(&f.out, "V\t2\n\n");
		for (size_t i = 0; i < subscribed.n; i++)
			buf_addc(&f.out,
				subscribed.p[i] == '/'            ? '\t'
					: subscribed.p[i] == '\0' ? '\n'
								  : subscribed.p[i]);
		r = export_file_end(&f, x->root, "subscriptions", 0, err);
	}
	export_file_drop(&f);
	return r;
}

const struct export_format export_maildir = { "maildir", false, begin, has, put, end, close_folder,
	finish };
