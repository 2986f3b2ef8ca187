/* What only the operator may do with an account, as jobs: bring back what was deleted, and know
 * messages again that are imported twice. */
#include "store/undelete.h"

#include "role/store_private.h"
#include "store/directory.h"
#include "store/entry.h"

#include <stdlib.h>

static bool add_former(void *arg, const struct undelete_mailbox *m)
{
	struct listing *l = arg;
	const size_t before = l->items.n;

	store_former_item_put(&l->items, &(struct store_former_item){ m->id, m->name, m->removed });
	return listing_fits(l, before);
}

int store_do_former_mailboxes(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_former_mailboxes, q);

	if (undelete_mailboxes(v, work_of(job)->account, q.after, add_former, &l, err) == 0)
		r = ANSWER(store_former_mailboxes, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

static bool add_deleted(void *arg, const struct undelete_row *row)
{
	struct listing *l = arg;
	const size_t before = l->items.n;

	store_deleted_item_put(&l->items,
		&(struct store_deleted_item){
			row->uid, row->flags, row->deleted, row->received, row->size, row->facts });
	return listing_fits(l, before);
}

int store_do_deleted(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	struct undelete_query dq;
	int r = -1;
	ASKED(store_deleted, q);

	dq = (struct undelete_query){ work_of(job)->account, q.mailbox, q.from, q.since, q.until };
	if (undelete_list(v, &dq, add_deleted, &l, err) == 0)
		r = ANSWER(store_deleted, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

int store_do_undelete(struct txn *t, struct store_job *job, struct err *err)
{
	struct buf ranges = BUF(MSG_MAX);
	struct undeleted done;
	int r = -1;
	ASKED(store_undelete, q);

	if (store_get_ranges(q.ranges, &ranges, err) == 0 &&
		undelete(t, work_of(job)->account, q.mailbox, buf_str(&ranges), &done, err) == 0)
		r = ANSWER(store_undelete, .messages = done.messages, .bytes = done.bytes,
			.next = done.next);
	buf_free(&ranges);
	return r;
}

int store_do_account_restore(struct txn *t, struct store_job *job, struct err *err)
{
	struct account_state s;
	uint64_t account;
	ASKED(store_account_restore, q);

	if (directory_account_restore(t, q.login, &account, err) < 0 ||
		account_state(&t->view, account, &s, err) < 0)
		return -1;
	return ANSWER(store_account_restore, .account = account, .messages = s.messages,
		.bytes = s.bytes);
}

/* ---- knowing messages again ---- */

struct digests {
	struct buf items;
	uint32_t next;
};

static bool add_digest(void *arg, const struct entry_digest *e)
{
	struct digests *d = arg;

	if (d->items.n > STORE_ITEMS - 100) {
		d->next = e->uid;
		return false;
	}
	store_digest_item_put(
		&d->items, &(struct store_digest_item){ e->size, e->received, e->checksum });
	return true;
}

int store_do_digests(struct view *v, struct store_job *job, struct err *err)
{
	struct digests d = { BUF(MSG_MAX), 0 };
	int r = -1;
	ASKED(store_digests, q);

	if (entry_digests(v, work_of(job)->account, q.mailbox, q.from, add_digest, &d, err) == 0)
		r = ANSWER(store_digests, .items = buf_str(&d.items), .next = d.next);
	buf_free(&d.items);
	return r;
}
