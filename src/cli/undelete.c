/* What has been deleted is looked through here, page by page, and asked back in steps. So the store
 * need not read mail, a step is short however much comes back, and a command that was broken off
 * can be given again: what is back already is not deleted any more. */
#include "cli/undelete.h"

#include "base/clock.h"
#include "cli/table.h"
#include "cli/when.h"
#include "mail/encode.h"
#include "mail/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { STEP = 500, TEXT = 4096 };

struct undelete {
	struct cli *c;
	struct str login;
	int64_t since, until; /* when it was deleted */
	struct str folder, subject, from;
	bool dry_run;

	struct channel *store;
	uint32_t handle;
	struct table table;
	uint64_t messages, bytes;
	/* the mailbox in hand */
	uint64_t mailbox;
	struct str name;
	struct buf ranges; /* encoded store_range, not yet asked for */
	struct store_range last;
	size_t waiting;
	uint64_t box_messages, box_bytes;
};

static int read_args(struct undelete *u, struct err *err)
{
	const int64_t now = clock_wall();
	const char *arg, *value;

	while ((arg = cli_arg(u->c))) {
		struct str name = str_c(arg);

		if (str_eq(name, STR("--dry-run"))) {
			u->dry_run = true;
			continue;
		}
		value = cli_arg(u->c);
		if (!value)
			return err_set(err, ERR_PERM, "%s needs a value, or is not known", arg);
		if (str_eq(name, STR("--since")) || str_eq(name, STR("--until"))) {
			if (when_parse(str_c(value), now, arg[2] == 's' ? &u->since : &u->until,
				    err) < 0)
				return -1;
		} else if (str_eq(name, STR("--folder"))) {
			u->folder = str_c(value);
		} else if (str_eq(name, STR("--subject"))) {
			u->subject = str_c(value);
		} else if (str_eq(name, STR("--from"))) {
			u->from = str_c(value);
		} else {
			return err_set(err, ERR_PERM, "\"%s\" is not known", arg);
		}
	}
	return 0;
}

/* ---- choosing ---- */

static bool holds(struct str value, struct str wanted)
{
	struct buf text = BUF(TEXT);
	bool found;

	if (!wanted.n)
		return true;
	words_decode(value, &text);
	found = str_searchi(buf_str(&text), wanted) < text.n;
	buf_free(&text);
	return found;
}

static bool is_wanted(const struct undelete *u, const struct facts *f)
{
	return holds(f->envelope.subject, u->subject) && holds(f->envelope.from, u->from);
}

static bool is_folder(const struct undelete *u, struct str name)
{
	if (!u->folder.n)
		return true;
	return str_eq(name, u->folder) ||
		(str_eqi(u->folder, STR("INBOX")) && str_eqi(name, u->folder));
}

/* ---- one mailbox ---- */

static int bring_back(struct undelete *u, struct err *err)
{
	struct store_undelete_req q = {
		.call = cli_call_id(), .handle = u->handle, .mailbox = u->mailbox
	};
	struct store_undelete_rep a;
	struct reply hold = { 0 };
	int r;

	if (u->waiting == 0)
		return 0;
	store_range_put(&u->ranges, &u->last);
	q.ranges = buf_str(&u->ranges);
	r = store_undelete(u->store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	buf_clear(&u->ranges);
	u->waiting = 0;
	if (r == 0) {
		u->box_messages += a.messages;
		u->box_bytes += a.bytes;
	}
	return r;
}

static int ask_for(struct undelete *u, uint32_t uid, struct err *err)
{
	if (u->waiting == STEP && bring_back(u, err) < 0)
		return -1;
	if (u->waiting && u->last.last + 1 == uid) {
		u->last.last = uid;
	} else {
		if (u->waiting)
			store_range_put(&u->ranges, &u->last);
		u->last = (struct store_range){ uid, uid };
	}
	u->waiting++;
	return 0;
}

static void cell_words(struct table *t, struct str value)
{
	struct buf text = BUF(TEXT);

	words_decode(value, &text);
	table_str(t, buf_str(&text));
	buf_free(&text);
}

static int take(struct undelete *u, const struct store_deleted_item *item, struct err *err)
{
	struct facts f = { 0 };

	facts_decode(item->facts, &f);
	if (!is_wanted(u, &f))
		return 0;
	if (!u->dry_run)
		return ask_for(u, item->uid, err);
	table_str(&u->table, u->name);
	table_time(&u->table, item->deleted);
	table_time(&u->table, item->received);
	cell_words(&u->table, f.envelope.from);
	cell_words(&u->table, f.envelope.subject);
	table_bytes(&u->table, item->size);
	return 0;
}

static int through_mailbox(struct undelete *u, struct err *err)
{
	struct store_deleted_req q = {
		.handle = u->handle, .mailbox = u->mailbox, .since = u->since, .until = u->until
	};
	struct store_deleted_rep a = { .more = 1 };
	struct store_deleted_item item;
	int r = 0;

	u->box_messages = u->box_bytes = 0;
	while (r == 0 && a.more) {
		struct reply hold = { 0 };

		r = store_deleted(u->store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_deleted_item_next(&a.items, &item)) {
			r = take(u, &item, err);
			q.from = item.uid + 1;
		}
		reply_free(&hold);
	}
	if (r == 0)
		r = bring_back(u, err);
	if (u->box_messages) {
		table_str(&u->table, u->name);
		table_num(&u->table, u->box_messages);
		table_bytes(&u->table, u->box_bytes);
	}
	return r;
}

static int through_mailboxes(struct undelete *u, struct err *err)
{
	struct store_former_mailboxes_req q = { .handle = u->handle };
	struct store_former_mailboxes_rep a = { .more = 1 };
	struct store_former_item item;
	int r = 0;

	while (r == 0 && a.more) {
		struct reply hold = { 0 };

		r = store_former_mailboxes(u->store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_former_item_next(&a.items, &item)) {
			q.after = u->mailbox = item.mailbox;
			u->name = item.name;
			if (is_folder(u, item.name))
				r = through_mailbox(u, err);
		}
		reply_free(&hold);
	}
	return r;
}

/* ---- all ---- */

/* 1: the whole account was gone and has come back. */
static int find_account(struct undelete *u, struct err *err)
{
	struct store_account_open_req open = { .login = u->login };
	struct store_account_restore_req back = { .call = cli_call_id(), .login = u->login };
	struct store_account_open_rep opened;
	struct store_account_restore_rep restored;
	struct reply hold = { 0 };
	int r = store_account_open(u->store, &open, cli_deadline(), &opened, &hold, err);

	reply_free(&hold);
	u->handle = opened.handle;
	if (r == 0 || err->kind != ERR_NOTFOUND || u->dry_run)
		return r;
	*err = ERR_INIT;
	r = store_account_restore(u->store, &back, cli_deadline(), &restored, &hold, err);
	reply_free(&hold);
	u->messages = restored.messages;
	u->bytes = restored.bytes;
	return r < 0 ? -1 : 1;
}

static int run(struct undelete *u, struct err *err)
{
	int r = find_account(u, err);

	if (r < 0)
		return -1;
	if (u->dry_run)
		u->table = (struct table)TABLE(
			u->c->json, "folder", "deleted", "received", "from", "subject", "size");
	else
		u->table = (struct table)TABLE(u->c->json, "folder", "messages", "size");
	if (r == 0) {
		r = through_mailboxes(u, err);
		table_end(&u->table); /* also of what came back before something failed */
		return r;
	}
	table_str(&u->table, STR("*"));
	table_num(&u->table, u->messages);
	table_bytes(&u->table, u->bytes);
	table_end(&u->table);
	if (!u->c->json)
		printf("The account is back. Give it a password: eilpost account password " STR_F
		       "\n",
			STR_A(u->login));
	return 0;
}

int cli_account_restore(struct cli *c, struct str login)
{
	struct undelete u = { .c = c, .login = login, .until = INT64_MAX, .ranges = BUF(1 << 16) };
	struct err err = ERR_INIT;
	int code = EX_OK;

	if (read_args(&u, &err) < 0)
		return cli_usage(c, "%s", err.msg);
	u.store = cli_store(c, &err);
	if (!u.store || run(&u, &err) < 0)
		code = cli_fail(c, &err);
	buf_free(&u.ranges);
	buf_free(&u.table.cells);
	return code;
}
