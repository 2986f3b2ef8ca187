/* ask_mailbox.c - attempts at another account's mailbox, with a login of one's own. */
#include "evil.h"
#include "evil_private.h"

#include <stdlib.h>

static void must(struct evil *e, const char *what, int r, const struct err *err)
{
	if (r == 0)
		return;
	evil_tell(e, what, BROKE, err->msg);
	abort();
}

/* A mailbox of Bob's with a message in it. Mailboxes are numbered per account, and Ann has fewer.
 */
static uint64_t bobs_mailbox(struct evil *e, uint32_t bob)
{
	struct store_select_req inbox = { .handle = bob, .name = STR("INBOX") };
	struct store_select_req private = { .handle = bob, .name = STR("Private") };
	struct store_mailbox_create_req create = {
		.call = evil_call_id(), .handle = bob, .name = STR("Private")
	};
	struct store_copy_req copy = { .call = evil_call_id(),
		.handle = bob,
		.ranges = { "\1\0\0\0\1\0\0\0", 8 },
		.target = STR("Private") };
	struct store_select_rep a;
	struct store_mailbox_create_rep created;
	struct store_copy_rep copied;
	struct reply hold = { 0 };
	struct err err = ERR_INIT;
	bool there = store_select(evil_store(e), &private, evil_soon(), &a, &hold, &err) == 0;

	reply_free(&hold);
	if (there)
		return a.mailbox;
	must(e, "select", store_select(evil_store(e), &inbox, evil_soon(), &a, &hold, &err), &err);
	reply_free(&hold);
	copy.mailbox = a.mailbox;
	must(e, "create",
		store_mailbox_create(evil_store(e), &create, evil_soon(), &created, NULL, &err),
		&err);
	must(e, "copy", store_copy(evil_store(e), &copy, evil_soon(), &copied, &hold, &err), &err);
	reply_free(&hold);
	return created.mailbox;
}

static const char all_uids[8] = "\1\0\0\0\xff\xff\xff\xff";

static int read_uids(struct evil *e, uint32_t handle, uint64_t mailbox, struct err *err)
{
	struct store_uids_req q = { .handle = handle, .mailbox = mailbox };
	struct store_uids_rep a;
	struct reply hold = { 0 };
	int r = store_uids(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.ranges.n == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing was shown");
	reply_free(&hold);
	return r;
}

int ask_own_mailbox(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");

	return read_uids(e, bob, bobs_mailbox(e, bob), err);
}

/* Bob's mailbox by its number, with Ann's handle. */
int ask_other_uids(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");

	return read_uids(e, evil_handle(e, "ANN"), bobs_mailbox(e, bob), err);
}

int ask_other_entries(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");
	struct store_entries_req q = { .handle = evil_handle(e, "ANN"),
		.mailbox = bobs_mailbox(e, bob),
		.want_facts = 1,
		.ghosts = 1 };
	struct store_entries_rep a;
	struct reply hold = { 0 };
	int r = store_entries(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.entries.n == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing was shown");
	reply_free(&hold);
	return r;
}

static int body(struct evil *e, const char *reader, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");
	struct store_body_req q = { .handle = evil_handle(e, reader),
		.mailbox = bobs_mailbox(e, bob),
		.uid = 1,
		.length = 1000 };
	struct store_body_rep a;
	struct reply hold = { 0 };
	int r = store_body(evil_store(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

int ask_own_body(struct evil *e, struct err *err)
{
	return body(e, "BOB", err);
}

int ask_other_body(struct evil *e, struct err *err)
{
	return body(e, "ANN", err);
}

int ask_other_flags(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");
	struct store_flags_req q = { .call = evil_call_id(),
		.handle = evil_handle(e, "ANN"),
		.mailbox = bobs_mailbox(e, bob),
		.ranges = { all_uids, sizeof all_uids },
		.op = FLAGS_ADD,
		.flags = FLAG_SEEN };
	struct store_flags_rep a;
	struct reply hold = { 0 };
	int r = store_flags(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.changes.n == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing was changed");
	reply_free(&hold);
	return r;
}

int ask_other_expunge(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");
	struct store_expunge_req q = { .call = evil_call_id(),
		.handle = evil_handle(e, "ANN"),
		.mailbox = bobs_mailbox(e, bob),
		.ranges = { all_uids, sizeof all_uids },
		.any = 1 };
	struct store_expunge_rep a;
	struct reply hold = { 0 };
	int r = store_expunge(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.expunged.n == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing was expunged");
	reply_free(&hold);
	return r;
}

int ask_other_copy(struct evil *e, struct err *err)
{
	uint32_t bob = evil_handle(e, "BOB");
	struct store_copy_req q = { .call = evil_call_id(),
		.handle = evil_handle(e, "ANN"),
		.mailbox = bobs_mailbox(e, bob),
		.ranges = { all_uids, sizeof all_uids },
		.target = STR("INBOX") };
	struct store_copy_rep a;
	struct reply hold = { 0 };
	int r = store_copy(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.to.n == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing was copied");
	reply_free(&hold);
	return r;
}

int ask_open_account(struct evil *e, struct err *err)
{
	struct store_account_open_req q = { .login = STR("ann@example.test") };
	struct store_account_open_rep a;
	struct reply hold = { 0 };
	int r = store_account_open(evil_store(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}
