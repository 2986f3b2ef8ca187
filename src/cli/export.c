/* export.c - eilpost export: an account's mail into a Maildir, mbox files or single messages.
 *
 * Broken off, the same command goes on: what an earlier run has written whole stays and is not
 * written again.
 */
#include "cli/export_private.h"

#include "base/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { PIECE = 61440, NAMES_MAX = 64 << 20, AHEAD = 32 };
enum { READ_TRIES = 3, READ_WAIT = 1 /* seconds */ };

/* ---- messages ---- */

/* A small message comes as a whole, while those before it are written. */
struct ahead {
	struct export *x;
	struct store_entry e; /* lives as long as the list that it is from */
	bool present, asked, flying;
	int result;
	struct err err;
	struct buf bytes;
};

static void fetch(void *arg)
{
	struct ahead *l = arg;
	struct export *x = l->x;
	const struct store_body_req q = {
		.handle = x->handle, .mailbox = x->mailbox, .uid = l->e.uid, .length = PIECE
	};
	struct store_body_rep a;
	struct reply hold = { 0 };

	l->result = store_body(x->c->store, &q, cli_deadline(), &a, &hold, &l->err);
	if (l->result == 0)
		buf_add(&l->bytes, a.data);
	reply_free(&hold);
	l->flying = false;
	x->flying--;
	signal_raise(&x->landed);
}

static int ask_ahead(
	struct export *x, struct ahead *l, const struct store_entry *e, struct err *err)
{
	const struct export_message m = { e->uid, e->flags, e->received, e->size, e->keywords };

	buf_free(&l->bytes);
	*l = (struct ahead){
		.x = x, .e = *e, .bytes = BUF(PIECE), .present = x->format->has(x, &m)
	};
	if (l->present || e->size > PIECE)
		return 0;
	if (task_spawn(x->c->group, "fetch", fetch, l, err) < 0)
		return -1;
	l->asked = l->flying = true;
	x->flying++;
	return 0;
}

static int wait_for(struct export *x, const struct ahead *l, struct err *err)
{
	while (l->flying)
		if (task_wait(-1, 0, &x->landed, NEVER, err) < 0)
			return -1;
	return 0;
}

static int give_ahead(const struct ahead *l, mbox_sink *sink, void *arg, struct err *err)
{
	if (l->result == 0 && l->bytes.n < l->e.size)
		return err_set(err, ERR_PERM, "it ends too early");
	if (l->result == 0)
		return sink(arg, buf_str(&l->bytes), err);
	l->x->unread = true;
	*err = l->err;
	return -1;
}

int export_read(struct export *x, const struct export_message *m, mbox_sink *sink, void *arg,
	struct err *err)
{
	struct store_body_req q = {
		.handle = x->handle, .mailbox = x->mailbox, .uid = m->uid, .length = PIECE
	};
	struct store_body_rep a;
	int r = 0;

	if (x->in_hand->asked)
		return give_ahead(x->in_hand, sink, arg, err);
	while (r == 0 && q.offset < m->size) {
		struct reply hold = { 0 };

		r = store_body(x->c->store, &q, cli_deadline(), &a, &hold, err);
		x->unread = r < 0;
		if (r == 0 && a.data.n == 0)
			r = err_set(err, ERR_PERM, "it ends too early");
		if (r == 0)
			r = sink(arg, a.data, err);
		q.offset += r == 0 ? a.data.n : 0;
		reply_free(&hold);
	}
	return r;
}

/* May the others go on without this one? */
static bool is_its_own(const struct err *err)
{
	return err->kind == ERR_PERM || err->kind == ERR_DAMAGED || err->kind == ERR_NOTFOUND ||
		err->kind == ERR_EXISTS || err->kind == ERR_LIMIT;
}

/* The store answers, but has not got it for now: maybe it has in a moment. If not, that must not
 * keep all that comes after it from coming out. */
static int put(
	struct export *x, const struct ahead *l, const struct export_message *m, struct err *err)
{
	struct ahead now = *l;
	struct err why = ERR_INIT;

	x->in_hand = l;
	for (unsigned i = 1; i <= READ_TRIES; i++) {
		x->unread = false;
		if (x->format->put(x, m, &why) == 0)
			return 0;
		if (why.kind != ERR_TEMP || !x->unread)
			break;
		if (i == READ_TRIES)
			return err_set(err, ERR_NOTFOUND, "it cannot be read: %s", why.msg);
		if (task_sleep(clock_after(READ_WAIT * CLOCK_SEC), err) < 0)
			return -1;
		now.asked = false;
		x->in_hand = &now;
		why = (struct err)ERR_INIT;
	}
	*err = why;
	return -1;
}

static int one(struct export *x, const struct ahead *l, struct err *err)
{
	const struct store_entry *e = &l->e;
	const struct export_message m = { e->uid, e->flags, e->received, e->size, e->keywords };
	struct err why = ERR_INIT;

	if (wait_for(x, l, err) < 0)
		return -1;
	if (l->present) {
		x->present++;
	} else if (put(x, l, &m, &why) == 0) {
		x->exported++;
		x->bytes += e->size;
	} else if (is_its_own(&why)) {
		x->left_out++;
		progress_say(
			&x->progress, "%s, message %u: %s; left out", x->name, e->uid, why.msg);
	} else {
		*err = why;
		return -1;
	}
	progress_to(&x->progress, x->present + x->exported + x->left_out, x->present + x->exported);
	return 0;
}

/* Those of one list. What is on its way at the end of it has landed. */
static int page(struct export *x, struct str list, uint32_t *last, struct err *err)
{
	static struct ahead ahead[AHEAD];
	struct store_entry e;
	unsigned first = 0, end = 0;
	int r = 0;

	while (r == 0) {
		while (r == 0 && end - first < AHEAD && store_entry_next(&list, &e))
			r = ask_ahead(x, &ahead[end++ % AHEAD], &e, err);
		if (r < 0 || first == end)
			break;
		*last = ahead[first % AHEAD].e.uid;
		r = one(x, &ahead[first++ % AHEAD], err);
	}
	while (x->flying) {
		struct err ignored = ERR_INIT;

		if (task_wait(-1, 0, &x->landed, NEVER, &ignored) < 0)
			break;
	}
	return r;
}

static int messages(struct export *x, struct err *err)
{
	struct store_entries_req q = { .handle = x->handle, .mailbox = x->mailbox };
	struct store_entries_rep a = { .more = 1 };
	uint32_t last = 0;
	int r = 0;

	while (r == 0 && a.more) {
		struct reply hold = { 0 };

		q.from = last + 1;
		r = store_entries(x->c->store, &q, cli_deadline(), &a, &hold, err);
		if (r == 0)
			r = page(x, a.entries, &last, err);
		reply_free(&hold);
	}
	return r;
}

/* ---- folders ---- */

static int open_folder(struct export *x, struct str name, struct err *err)
{
	struct store_select_req q = { .handle = x->handle, .name = name };
	struct store_select_rep a;
	struct reply hold = { 0 };
	int r = store_select(x->c->store, &q, cli_deadline(), &a, &hold, err);

	str_z(str_eqi(name, STR("INBOX")) ? STR("INBOX") : name, x->name, sizeof x->name);
	if (r == 0) {
		x->mailbox = a.mailbox;
		x->uidvalidity = a.uidvalidity;
		x->uidnext = a.uidnext;
		x->exists = a.exists;
		buf_clear(&x->keywords);
		buf_add(&x->keywords, a.keywords);
	}
	reply_free(&hold);
	x->exported = x->present = x->left_out = x->bytes = 0;
	return r;
}

static void add_row(struct export *x)
{
	table_str(&x->table, str_c(x->name));
	table_num(&x->table, x->exported);
	table_num(&x->table, x->present);
	table_num(&x->table, x->left_out);
	table_bytes(&x->table, x->bytes);
	x->refused += x->left_out;
}

static int folder(struct export *x, struct str name, struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (open_folder(x, name, err) < 0)
		return -1;
	progress_begin(&x->progress, str_c(x->name), x->exists, false);
	r = x->format->begin(x, &why);
	if (r == 0) {
		r = messages(x, err);
		if (r == 0)
			r = x->format->end(x, err);
	} else if (is_its_own(&why)) {
		x->left_out = x->exists ? x->exists : 1;
		progress_say(&x->progress, "%s: %s; left out", x->name, why.msg);
		r = 0;
	} else {
		*err = why;
	}
	x->format->close(x);
	progress_end(&x->progress);
	add_row(x);
	return r;
}

struct names {
	struct buf all, subscribed; /* each ends in NUL */
};

static void add_name(void *arg, const struct store_mailbox_item *item)
{
	struct names *n = arg;

	if (item->exists) {
		buf_add(&n->all, item->name);
		buf_addc(&n->all, '\0');
	}
	if (item->subscribed) {
		buf_add(&n->subscribed, item->name);
		buf_addc(&n->subscribed, '\0');
	}
}

/* All names first: an export takes long, and folders may come and go meanwhile. */
static int list(struct export *x, struct names *n, struct err *err)
{
	if (cli_each_mailbox(x->c, x->handle, add_name, n, err) < 0)
		return -1;
	return buf_ok(&n->all) && buf_ok(&n->subscribed)
		? 0
		: err_set(err, ERR_LIMIT, "too many folders");
}

static int all_folders(struct export *x, struct err *err)
{
	struct names names = { BUF(NAMES_MAX), BUF(NAMES_MAX) };
	struct err why = ERR_INIT;
	int r = list(x, &names, err);

	for (size_t at = 0; r == 0 && at < names.all.n; at += strlen(names.all.p + at) + 1) {
		r = folder(x, str_c(names.all.p + at), &why);
		if (r < 0 && why.kind == ERR_NOTFOUND) { /* deleted meanwhile */
			why = (struct err)ERR_INIT;
			r = 0;
		} else if (r < 0) {
			*err = why;
		}
	}
	if (r == 0 && x->format->finish)
		r = x->format->finish(x, buf_str(&names.subscribed), err);
	buf_free(&names.all);
	buf_free(&names.subscribed);
	return r;
}

/* ---- the command ---- */

static int open_account(struct export *x, struct err *err)
{
	struct store_account_open_req q = { .login = x->login };
	struct store_account_open_rep a;
	struct reply hold = { 0 };
	int r = cli_store(x->c, err)
		? store_account_open(x->c->store, &q, cli_deadline(), &a, &hold, err)
		: -1;

	if (r == 0)
		x->handle = a.handle;
	reply_free(&hold);
	return r;
}

/* The folder that is written to; of a single file the one it is in. */
static int open_root(struct export *x, struct err *err)
{
	struct str path = x->path, name;
	char *text;

	if (x->only.n && x->format->one_file && !str_rcut(x->path, '/', &path, &name))
		path = STR(".");
	else if (path.n == 0)
		path = STR("/");
	text = malloc(path.n + 1);
	if (!text)
		return err_set(err, ERR_TEMP, "out of memory");
	str_z(path, text, path.n + 1);
	if (!(x->only.n && x->format->one_file))
		mkdir(text, 0700);
	x->root = open(text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (x->root < 0)
		err_sys(err, "open", text);
	free(text);
	return x->root < 0 ? -1 : 0;
}

static int run(struct export *x, struct err *err)
{
	int r = open_account(x, err);

	if (r == 0)
		r = open_root(x, err);
	if (r == 0)
		r = x->only.n ? folder(x, x->only, err) : all_folders(x, err);
	if (r == 0 && syncfs(x->root) < 0)
		r = err_sys(err, "flush", "what was written");
	return r;
}

static int read_format(struct export *x, const char *name)
{
	static const struct export_format *const formats[] = { &export_maildir, &export_mbox,
		&export_eml };

	for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
		if (strcmp(name, formats[i]->name) == 0) {
			x->format = formats[i];
			return EX_OK;
		}
	return cli_usage(x->c, "the formats are maildir, mbox and eml");
}

static int read_args(struct export *x)
{
	const char *arg, *value;
	int code = EX_OK;

	while (code == EX_OK && (arg = cli_arg(x->c))) {
		if (strncmp(arg, "--", 2) != 0 && !x->path.n) {
			*(x->login.n ? &x->path : &x->login) = str_c(arg);
			continue;
		}
		value = cli_arg(x->c);
		if (!value)
			return cli_usage(x->c, "%s needs a value, or is not known", arg);
		if (strcmp(arg, "--folder") == 0)
			x->only = str_c(value);
		else if (strcmp(arg, "--format") == 0)
			code = read_format(x, value);
		else
			return cli_usage(x->c, "\"%s\" is not known", arg);
	}
	if (code == EX_OK && (!x->path.n || !x->format))
		return cli_usage(x->c, "an address, --format and a path are needed");
	return code;
}

int cli_export(struct cli *c)
{
	static struct export x; /* larger than a task's stack likes */
	struct err err = ERR_INIT;
	int code, r;

	x = (struct export){ .c = c, .root = -1, .keywords = BUF(1 << 16) };
	x.table = (struct table)TABLE(
		c->json, "folder", "exported", "already there", "left out", "size");
	code = read_args(&x);
	if (code != EX_OK)
		return code;
	r = run(&x, &err);
	table_end(&x.table);
	buf_free(&x.keywords);
	if (x.root >= 0)
		close(x.root);
	if (r < 0) {
		code = cli_fail(c, &err);
		fputs("What was done so far stays; the same command, given again, goes on from "
		      "there.\n",
			stderr);
		return code;
	}
	return x.refused ? EX_DATAERR : EX_OK;
}
