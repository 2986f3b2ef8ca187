/* Mailboxes and what is in them, as jobs. */
#include "role/store_private.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"

#include <stdlib.h>

_Static_assert((int)FLAGS_SET == (int)ENTRY_SET && (int)FLAGS_ADD == (int)ENTRY_ADD &&
		(int)FLAGS_REMOVE == (int)ENTRY_REMOVE,
	"operations on flags are passed through");
_Static_assert((int)USE_DRAFTS == (int)STORE_DRAFTS && (int)USE_SENT == (int)STORE_SENT &&
		(int)USE_JUNK == (int)STORE_JUNK && (int)USE_TRASH == (int)STORE_TRASH &&
		(int)USE_ARCHIVE == (int)STORE_ARCHIVE,
	"uses of mailboxes are passed through");

int store_get_ranges(struct str seq, struct buf *out, struct err *err)
{
	struct store_range r;

	while (store_range_next(&seq, &r))
		effect_uid_range_put(out, &(struct effect_uid_range){ r.first, r.last });
	if (!buf_ok(out) || !ranges_valid(buf_str(out)))
		return err_set(err, ERR_PERM, "the ranges of uids do not ascend");
	return 0;
}

static struct str put_ranges(struct range_list *l, struct buf *out)
{
	struct str seq = range_list_end(l);
	struct effect_uid_range r;

	while (effect_uid_range_next(&seq, &r))
		store_range_put(out, &(struct store_range){ r.first, r.last });
	return buf_str(out);
}

/* ---- mailboxes ---- */

static bool add_mailbox(void *arg, const struct mailbox_row *row)
{
	struct listing *l = arg;
	const size_t before = l->items.n;

	store_mailbox_item_put(&l->items,
		&(struct store_mailbox_item){
			row->id, row->name, row->uses, row->subscribed, row->id != 0 });
	return listing_fits(l, before);
}

int store_do_mailboxes(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_mailboxes, q);

	if (mailbox_list(v, work_of(job)->account, q.after, add_mailbox, &l, err) == 0)
		r = ANSWER(store_mailboxes, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

int store_do_mailbox_create(struct txn *t, struct store_job *job, struct err *err)
{
	struct mailbox m;
	uint64_t id;
	ASKED(store_mailbox_create, q);

	if (mailbox_create(t, work_of(job)->account, q.name, q.uses, &id, err) < 0 ||
		mailbox_get(&t->view, work_of(job)->account, id, &m, NULL, err) < 0)
		return -1;
	return ANSWER(store_mailbox_create, .mailbox = id, .uidvalidity = m.uidvalidity);
}

int store_do_mailbox_delete(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_mailbox_delete, q);

	if (mailbox_delete(t, work_of(job)->account, q.name, err) < 0)
		return -1;
	return ANSWER(store_mailbox_delete, .ok = 1);
}

int store_do_mailbox_rename(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_mailbox_rename, q);

	if (mailbox_rename(t, work_of(job)->account, q.from, q.to, err) < 0)
		return -1;
	return ANSWER(store_mailbox_rename, .ok = 1);
}

int store_do_mailbox_subscribe(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_mailbox_subscribe, q);

	if (mailbox_subscribe(t, work_of(job)->account, q.name, q.on != 0, err) < 0)
		return -1;
	return ANSWER(store_mailbox_subscribe, .ok = 1);
}

int store_do_mailbox_status(struct view *v, struct store_job *job, struct err *err)
{
	struct mailbox m;
	uint32_t recent;
	ASKED(store_mailbox_status, q);

	if (mailbox_find(v, work_of(job)->account, q.name, &m, err) < 0 ||
		entry_count_from(v, work_of(job)->account, &m, &recent, err) < 0)
		return -1;
	return ANSWER(store_mailbox_status, .mailbox = m.id, .uidvalidity = m.uidvalidity,
		.uidnext = m.uidnext, .exists = m.messages, .unseen = m.unseen, .recent = recent,
		.deleted = m.deleted, .modseq = m.modseq, .size = m.bytes);
}

/* ---- reading ---- */

int store_do_uids(struct view *v, struct store_job *job, struct err *err)
{
	struct range_list list = RANGE_LIST;
	struct buf out = BUF(MSG_MAX);
	bool more;
	int r = -1;
	ASKED(store_uids, q);

	if (entry_uids(v, work_of(job)->account, q.mailbox, q.from, &list, &more, err) == 0)
		r = ANSWER(store_uids, .ranges = put_ranges(&list, &out), .more = more);
	range_list_free(&list);
	buf_free(&out);
	return r;
}

int store_do_vanished(struct view *v, struct store_job *job, struct err *err)
{
	struct range_list list = RANGE_LIST;
	struct buf out = BUF(MSG_MAX);
	struct mailbox m;
	bool more;
	int r = -1;
	ASKED(store_vanished, q);

	if (mailbox_get(v, work_of(job)->account, q.mailbox, &m, NULL, err) == 0 &&
		entry_vanished(v, work_of(job)->account, q.mailbox, q.since, q.from, &list, &more,
			err) == 0)
		r = ANSWER(store_vanished, .ranges = put_ranges(&list, &out), .more = more,
			.modseq = m.modseq);
	range_list_free(&list);
	buf_free(&out);
	return r;
}

static bool add_entry(void *arg, const struct entry *e)
{
	struct listing *l = arg;
	size_t before = l->items.n;
	const struct store_entry row = { .uid = e->uid,
		.email = e->email,
		.thread = e->thread,
		.flags = e->flags,
		.keywords = e->keywords,
		.received = e->received,
		.saved = e->saved,
		.size = e->size,
		.prefix_size = e->prefix_size,
		.modseq = e->modseq,
		.facts = e->facts };

	store_entry_put(&l->items, &row);
	return listing_fits(l, before);
}

int store_do_entries(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	struct buf ranges = BUF(MSG_MAX);
	struct entry_query eq;
	int r = -1;
	ASKED(store_entries, q);

	if (store_get_ranges(q.ranges, &ranges, err) < 0)
		goto out;
	eq = (struct entry_query){ .account = work_of(job)->account,
		.mailbox = q.mailbox,
		.ranges = buf_str(&ranges),
		.from = q.from,
		.since = q.since,
		.facts = q.want_facts != 0,
		.ghosts = q.ghosts != 0 };
	if (entry_list(v, &eq, add_entry, &l, err) == 0)
		r = ANSWER(store_entries, .entries = buf_str(&l.items), .more = l.more);
out:
	buf_free(&ranges);
	buf_free(&l.items);
	return r;
}

int store_do_body(struct view *v, struct store_job *job, struct err *err)
{
	struct buf data = BUF(61440);
	uint64_t size;
	int r = -1;
	ASKED(store_body, q);

	if (entry_read(v, work_of(job)->account, q.mailbox, q.uid, q.offset,
		    q.length > 61440 ? 61440 : q.length, &data, &size, err) == 0)
		r = ANSWER(store_body, .data = buf_str(&data), .size = size);
	buf_free(&data);
	return r;
}

/* ---- changing ---- */

static bool add_flags(void *arg, uint32_t uid, uint32_t flags, struct str keywords, uint64_t modseq)
{
	struct listing *l = arg;
	const struct store_flag_change row = { uid, flags, keywords, modseq };

	/* Room is kept for as many uids in `failed`. */
	if (l->items.n > STORE_ITEMS - 16000)
		return false;
	store_flag_change_put(&l->items, &row);
	return true;
}

int store_do_flags(struct txn *t, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	struct range_list failed = RANGE_LIST;
	struct buf ranges = BUF(MSG_MAX), out = BUF(MSG_MAX);
	struct entry_flags eq;
	uint64_t modseq;
	uint32_t next;
	int r = -1;
	ASKED(store_flags, q);

	if (q.op > FLAGS_REMOVE)
		return err_set(err, ERR_PERM, "no such operation on flags");
	if (store_get_ranges(q.ranges, &ranges, err) < 0)
		goto out;
	eq = (struct entry_flags){ .account = work_of(job)->account,
		.mailbox = q.mailbox,
		.ranges = buf_str(&ranges),
		.op = (enum entry_op)q.op,
		.flags = q.flags,
		.keywords = q.keywords,
		.unchanged_since = q.unchanged_since };
	if (entry_set_flags(t, &eq, add_flags, &l, &failed, &next, &modseq, err) == 0)
		r = ANSWER(store_flags, .changes = buf_str(&l.items),
			.failed = put_ranges(&failed, &out), .next = next, .modseq = modseq);
out:
	range_list_free(&failed);
	buf_free(&ranges);
	buf_free(&out);
	buf_free(&l.items);
	return r;
}

int store_do_expunge(struct txn *t, struct store_job *job, struct err *err)
{
	struct range_list gone = RANGE_LIST;
	struct buf ranges = BUF(MSG_MAX), out = BUF(MSG_MAX);
	uint64_t modseq;
	int r = -1;
	ASKED(store_expunge, q);

	if (store_get_ranges(q.ranges, &ranges, err) == 0 &&
		entry_expunge(t, work_of(job)->account, q.mailbox, buf_str(&ranges), q.any != 0,
			&gone, &modseq, err) == 0)
		r = ANSWER(store_expunge, .expunged = put_ranges(&gone, &out), .modseq = modseq);
	range_list_free(&gone);
	buf_free(&ranges);
	buf_free(&out);
	return r;
}

int store_do_copy(struct txn *t, struct store_job *job, struct err *err)
{
	struct range_list from = RANGE_LIST, to = RANGE_LIST;
	struct buf ranges = BUF(MSG_MAX), out = BUF(MSG_MAX), out2 = BUF(MSG_MAX);
	struct entry_copy eq;
	struct mailbox target;
	uint64_t modseq;
	int r = -1;
	ASKED(store_copy, q);

	if (store_get_ranges(q.ranges, &ranges, err) < 0 ||
		mailbox_find(&t->view, work_of(job)->account, q.target, &target, err) < 0)
		goto out;
	eq = (struct entry_copy){ work_of(job)->account, q.mailbox, buf_str(&ranges), target.id,
		q.move != 0 };
	if (entry_copy(t, &eq, &from, &to, &modseq, err) == 0)
		r = ANSWER(store_copy, .uidvalidity = target.uidvalidity,
			.from = put_ranges(&from, &out), .to = put_ranges(&to, &out2),
			.modseq = modseq);
out:
	range_list_free(&from);
	range_list_free(&to);
	buf_free(&ranges);
	buf_free(&out);
	buf_free(&out2);
	return r;
}
