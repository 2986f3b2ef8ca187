/* import.c - eilpost import: mail from a Maildir, mbox files or single messages into an account.
 *
 * Whatever ends it, the same command given again goes on where it was: what is in a folder already
 * is not put there twice.
 */
#include "cli/import_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum format { MAILDIR, MBOX, EML, UNKNOWN };

/* ---- folders ---- */

/* What mail apps call the folders that every account has. */
static const struct {
	const char *name;
	uint32_t use;
} known[] = { { "Drafts", USE_DRAFTS }, { "Draft", USE_DRAFTS }, { "Sent", USE_SENT },
	{ "Sent Items", USE_SENT }, { "Sent Messages", USE_SENT }, { "Sent Mail", USE_SENT },
	{ "Junk", USE_JUNK }, { "Spam", USE_JUNK }, { "Junk E-mail", USE_JUNK },
	{ "Bulk Mail", USE_JUNK }, { "Trash", USE_TRASH }, { "Deleted Items", USE_TRASH },
	{ "Deleted Messages", USE_TRASH }, { "Archive", USE_ARCHIVE },
	{ "Archives", USE_ARCHIVE } };

/* The account's own folder for that purpose, unless it has one of this very name. */
static struct str by_use(const struct import *im, struct str name)
{
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		for (unsigned u = 0; u < 5; u++)
			if (known[i].use == 1u << u && im->uses[u][0] &&
				str_eqi(name, str_c(known[i].name)))
				return str_c(im->uses[u]);
	return name;
}

static void add_target(const struct import *im, struct str name, struct buf *out)
{
	const bool inbox = str_eqi(name, STR("INBOX"));

	if (!im->folder.n) {
		buf_add(out, inbox ? STR("INBOX") : by_use(im, name));
		return;
	}
	buf_add(out, im->folder);
	if (!inbox) {
		buf_addc(out, '/');
		buf_add(out, name);
	}
}

int import_folder(struct import *im, struct str name, uint64_t total, bool bytes, struct err *err)
{
	struct buf target = BUF(4 * FEED_NAME);
	int r;

	add_target(im, name, &target);
	progress_begin(&im->feed.progress, buf_str(&target), total, bytes);
	im->done = 0;
	r = feed_folder(&im->feed, buf_str(&target), im->subscribe, err);
	im->in_folder = r == 1;
	if (r == 0)
		im->refused++;
	buf_free(&target);
	return r;
}

int import_message(struct import *im, const struct feed_item *item, uint64_t done, struct err *err)
{
	int r = feed_put(&im->feed, item, err);

	progress_to(&im->feed.progress, done, im->feed.imported + im->feed.present);
	return r;
}

int import_folder_end(struct import *im, struct err *err)
{
	struct feed *f = &im->feed;
	int r = feed_flush(f, err);

	progress_to(&f->progress, f->progress.total, f->imported + f->present);
	progress_end(&f->progress);
	table_str(&im->table, str_c(f->folder));
	table_num(&im->table, f->imported);
	table_num(&im->table, f->present);
	table_num(&im->table, f->refused);
	table_bytes(&im->table, f->bytes);
	im->refused += f->refused;
	im->in_folder = false;
	return r;
}

int import_subscribe(struct import *im, struct str name, struct err *err)
{
	struct buf target = BUF(4 * FEED_NAME);
	struct store_mailbox_subscribe_req q = {
		.call = cli_call_id(), .handle = im->feed.handle, .on = 1
	};
	struct store_mailbox_subscribe_rep a;
	struct err why = ERR_INIT;
	struct reply hold = { 0 };
	int r;

	add_target(im, name, &target);
	q.name = buf_str(&target);
	r = q.name.n > FEED_NAME
		? err_set(&why, ERR_PERM, "its name is too long")
		: store_mailbox_subscribe(im->c->store, &q, cli_deadline(), &a, &hold, &why);
	reply_free(&hold);
	buf_free(&target);
	if (r == 0)
		return 0;
	if (why.kind == ERR_PERM) {
		err_wrap(&why, "the subscription");
		import_skip(im, name, why.msg);
		return 0;
	}
	*err = why;
	return -1;
}

void import_skip(struct import *im, struct str label, const char *why)
{
	im->refused++;
	progress_say(&im->feed.progress, STR_F ": %s; left out", STR_A(str_head(label, FEED_LABEL)),
		why);
}

/* The folders that the account has for a purpose. */
static void learn_uses(void *arg, const struct store_mailbox_item *item)
{
	struct import *im = arg;

	for (unsigned u = 0; u < 5; u++)
		if (item->uses & 1u << u)
			str_z(item->name, im->uses[u], sizeof im->uses[u]);
}

/* ---- files ---- */

int import_read_fd(void *arg, mbox_sink *sink, void *sink_arg, struct err *err)
{
	static char block[MBOX_WINDOW]; /* one message at a time */
	const int fd = *(int *)arg;
	off_t at = 0;
	ssize_t got;

	while ((got = pread(fd, block, sizeof block, at)) > 0) {
		if (sink(sink_arg, str_make(block, (size_t)got), err) < 0)
			return -1;
		at += got;
	}
	return got < 0 ? err_sys(err, "read", "it") : 0;
}

int64_t import_date(const struct stat *st)
{
	return st->st_mtime > 0 ? (int64_t)st->st_mtime : 1;
}

static bool starts_an_mbox(int fd)
{
	char head[5];

	return pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
		memcmp(head, "From ", 5) == 0;
}

static bool has_suffix(struct str name, struct str suffix)
{
	return name.n > suffix.n && str_eqi(str_from(name, name.n - suffix.n), suffix);
}

static bool holds_eml(int dir, int depth)
{
	struct files_list l;
	struct err ignored = ERR_INIT;
	bool found = false;
	int below;

	if (files_list(dir, &l, &ignored) == 0)
		for (size_t i = 0; i < l.n && !found; i++) {
			if (has_suffix(str_c(files_name(&l, i)), STR(".eml"))) {
				found = true;
			} else if (depth && files_is_dir(dir, files_name(&l, i))) {
				below = files_open_dir(dir, files_name(&l, i), &ignored);
				found = below >= 0 && holds_eml(below, depth - 1);
				if (below >= 0)
					close(below);
			}
		}
	files_list_free(&l);
	return found;
}

/* What is it? */
static enum format guess(int fd, const struct stat *st, struct str path)
{
	if (!S_ISDIR(st->st_mode))
		return starts_an_mbox(fd) || !has_suffix(path, STR(".eml")) ? MBOX : EML;
	if (files_is_dir(fd, "cur") || files_is_dir(fd, "INBOX/cur") ||
		files_is_dir(fd, "Inbox/cur"))
		return MAILDIR;
	return holds_eml(fd, 3) ? EML : MBOX;
}

static int run(
	struct import *im, enum format format, int fd, const struct stat *st, struct err *err)
{
	const bool dir = S_ISDIR(st->st_mode);

	if (format == UNKNOWN)
		format = guess(fd, st, im->path);
	if (format == MAILDIR && !dir)
		return err_set(err, ERR_PERM, STR_F " is not a folder", STR_A(im->path));
	if (format == MAILDIR)
		return import_maildir(im, fd, err);
	if (format == EML)
		return dir ? import_eml(im, fd, err) : import_one_eml(im, fd, st, err);
	return dir ? import_mboxes(im, fd, err) : import_mbox(im, fd, st, err);
}

/* The operator names it, so a link is as good as what it leads to; a pipe is not. */
static int open_path(const char *path, struct stat *st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || fstat(fd, st) < 0) {
		err_sys(err, "open", path);
	} else if (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode)) {
		return fd;
	} else {
		err_set(err, ERR_PERM, "%s is neither a file nor a folder", path);
	}
	if (fd >= 0)
		close(fd);
	return -1;
}

/* ---- the command ---- */

static int read_format(struct import *im, const char *name, enum format *format)
{
	static const struct {
		const char *name;
		enum format format;
		enum mbox_kind kind;
	} formats[] = { { "maildir", MAILDIR, MBOX_ANY }, { "mbox", MBOX, MBOX_ANY },
		{ "eml", EML, MBOX_ANY }, { "mboxo", MBOX, MBOX_O }, { "mboxrd", MBOX, MBOX_RD },
		{ "mboxcl", MBOX, MBOX_CL }, { "mboxcl2", MBOX, MBOX_CL2 } };

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(name, formats[i].name) == 0) {
			*format = formats[i].format;
			im->kind = formats[i].kind;
			return EX_OK;
		}
	return cli_usage(
		im->c, "the formats are maildir, mbox (mboxo, mboxrd, mboxcl, mboxcl2) and eml");
}

static int read_args(struct import *im, enum format *format, const char **path)
{
	const char *arg, *value;
	int code = EX_OK;

	*path = NULL;
	while (code == EX_OK && (arg = cli_arg(im->c))) {
		if (strncmp(arg, "--", 2) != 0 && !*path) {
			*path = arg;
			continue;
		}
		value = cli_arg(im->c);
		if (!value)
			return cli_usage(im->c, "%s needs a value, or is not known", arg);
		if (strcmp(arg, "--to") == 0)
			im->login = str_c(value);
		else if (strcmp(arg, "--folder") == 0)
			im->folder = str_c(value);
		else if (strcmp(arg, "--format") == 0)
			code = read_format(im, value, format);
		else
			return cli_usage(im->c, "\"%s\" is not known", arg);
	}
	if (code == EX_OK && (!im->login.n || !*path))
		return cli_usage(im->c, "--to ADDRESS and a file or folder are needed");
	return code;
}

int cli_import(struct cli *c)
{
	/* Messages on their way outlive this function by a little when it fails. */
	static struct import im;
	enum format format = UNKNOWN;
	struct err err = ERR_INIT;
	const char *path;
	struct stat st;
	int fd = -1, r = -1, code;

	im = (struct import){ .c = c, .kind = MBOX_ANY, .subscribe = true };
	im.table = (struct table)TABLE(
		c->json, "folder", "imported", "already there", "left out", "size");
	code = read_args(&im, &format, &path);
	if (code != EX_OK)
		return code;
	im.path = str_c(path);
	fd = open_path(path, &st, &err);
	if (fd >= 0 && feed_open(&im.feed, c, im.login, &err) == 0 &&
		cli_each_mailbox(c, im.feed.handle, learn_uses, &im, &err) == 0)
		r = run(&im, format, fd, &st, &err);
	if (r == 0 && im.table.count == 0 && !im.refused)
		r = err_set(&err, ERR_PERM, "there is no mail of a known kind in %s", path);
	if (im.in_folder && r < 0) {
		struct err ignored = ERR_INIT;

		(void)import_folder_end(&im, &ignored); /* what came in until then */
	}
	feed_close(&im.feed);
	table_end(&im.table);
	if (fd >= 0)
		close(fd);
	if (r < 0) {
		code = cli_fail(c, &err);
		fputs("What was done so far stays; the same command, given again, goes on from "
		      "there.\n",
			stderr);
		return code;
	}
	return im.refused ? EX_DATAERR : EX_OK;
}
