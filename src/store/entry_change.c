/* Changing entries: flags, expunge, copy, move. */
#include "base/map.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"

#include <inttypes.h>
#include <stdlib.h>

#define ID(x) DB_I((int64_t)(x))

enum { ROWS_MAX = 64 << 20 };

static const struct effect_uid_range everything = { 1, UINT32_MAX };

/* The next range of a set; an empty set is one range of all. */
static bool next_range(struct str *ranges, bool *all, struct effect_uid_range *r)
{
	if (*all) {
		*all = false;
		*r = everything;
		return true;
	}
	return effect_uid_range_next(ranges, r);
}

int entry_add(struct txn *t, uint64_t account, uint64_t mailbox, struct str name,
	struct effect_entry_row *row, uint64_t modseq, struct err *err)
{
	struct buf rows = BUF(MAILBOX_KEYWORDS + 256);
	int r = -1;

	effect_entry_row_put(&rows, row);
	if (!buf_ok(&rows))
		err_set(err, ERR_TEMP, "out of memory for an entry");
	else
		r = emit_entries(t,
			&(struct effect_entries){
				account, mailbox, name, modseq, true, buf_str(&rows) },
			err);
	buf_free(&rows);
	return r;
}

/* --- flags ---------------------------------------------------------------------------------- */

static bool has_word(struct str list, struct str word)
{
	while (list.n)
		if (str_eqi(str_word(&list, ' '), word))
			return true;
	return false;
}

bool keywords_add(struct buf *list, struct str words)
{
	while (words.n) {
		struct str word = str_word(&words, ' ');

		if (word.n == 0 || has_word(buf_str(list), word))
			continue;
		if (list->n)
			buf_addc(list, ' ');
		buf_add(list, word);
	}
	return buf_ok(list);
}

static void keywords_remove(struct buf *out, struct str list, struct str words)
{
	while (list.n) {
		struct str word = str_word(&list, ' ');

		if (word.n && !has_word(words, word))
			keywords_add(out, word);
	}
}

struct flagging {
	struct txn *t;
	const struct entry_flags *q;
	uint64_t modseq;
	struct buf rows;     /* effect_flags_row */
	struct buf keywords; /* of one entry */
	struct range_list *failed;
	entry_flag_fn *fn;
	void *arg;
	uint32_t next;
	size_t seen;
};

static uint32_t new_flags(const struct entry_flags *q, uint32_t old)
{
	switch (q->op) {
	case ENTRY_SET:
		return q->flags & STORE_FLAGS;
	case ENTRY_ADD:
		return old | (q->flags & STORE_FLAGS);
	case ENTRY_REMOVE:
		break;
	}
	return old & ~q->flags;
}

static void new_keywords(struct buf *out, const struct entry_flags *q, struct str old)
{
	buf_clear(out);
	if (q->op == ENTRY_REMOVE) {
		keywords_remove(out, old, q->keywords);
		return;
	}
	if (q->op == ENTRY_ADD)
		keywords_add(out, old);
	keywords_add(out, q->keywords);
}

/* One entry as it is. False: enough, go on from here the next time. */
static bool flag_one(
	struct flagging *f, uint32_t uid, uint32_t old, struct str old_words, uint64_t modseq)
{
	struct effect_flags_row row = { .uid = uid, .flags = new_flags(f->q, old) };

	if (f->seen == ENTRY_FLAGS_PER_CALL)
		return false;
	if (f->q->unchanged_since && modseq > f->q->unchanged_since) {
		range_list_add(f->failed, uid);
		f->seen++;
		return true;
	}
	new_keywords(&f->keywords, f->q, old_words);
	row.keywords = buf_str(&f->keywords);
	if (row.flags != old || !str_eq(row.keywords, old_words))
		modseq = f->modseq;
	if (!f->fn(f->arg, uid, row.flags, row.keywords, modseq))
		return false;
	if (modseq == f->modseq)
		effect_flags_row_put(&f->rows, &row);
	f->seen++;
	return true;
}

static int flag_range(struct flagging *f, const struct effect_uid_range *range, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(f->t->view.db, &r,
		    "SELECT uid, flags, keywords, modseq FROM entry WHERE account = $1"
		    " AND mailbox = $2 AND uid BETWEEN $3 AND $4 ORDER BY uid",
		    DB_ARGS(ID(f->q->account), ID(f->q->mailbox), DB_I(range->first),
			    DB_I(range->last)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (!flag_one(f, (uint32_t)rows_int(r, 0), (uint32_t)rows_int(r, 1), rows_str(r, 2),
			    (uint64_t)rows_int(r, 3))) {
			f->next = (uint32_t)rows_int(r, 0);
			break;
		}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int note_keywords(struct flagging *f, struct err *err)
{
	if (f->q->op == ENTRY_REMOVE)
		return 0;
	return mailbox_note_keywords(f->t, f->q->account, f->q->mailbox, f->q->keywords, err);
}

int entry_set_flags(struct txn *t, const struct entry_flags *q, entry_flag_fn *fn, void *arg,
	struct range_list *failed, uint32_t *next, uint64_t *modseq, struct err *err)
{
	struct flagging f = { .t = t,
		.q = q,
		.rows = BUF(ROWS_MAX),
		.keywords = BUF(MAILBOX_KEYWORDS),
		.failed = failed,
		.fn = fn,
		.arg = arg };
	struct str ranges = q->ranges;
	struct effect_uid_range range;
	bool all = ranges.n == 0;
	struct account_state s;
	struct mailbox m;
	int r = -1;

	if (account_state(&t->view, q->account, &s, err) < 0 ||
		mailbox_get(&t->view, q->account, q->mailbox, &m, NULL, err) < 0)
		goto out;
	f.modseq = s.modseq + 1;
	while (!f.next && next_range(&ranges, &all, &range))
		if (flag_range(&f, &range, err) < 0)
			goto out;
	*next = f.next;
	*modseq = f.rows.n ? f.modseq : m.modseq;
	if (!buf_ok(&f.rows) || !buf_ok(&f.keywords)) {
		err_set(err, ERR_LIMIT, "too many keywords");
		goto out;
	}
	if (f.rows.n &&
		(note_keywords(&f, err) < 0 ||
			emit_flags(t,
				&(struct effect_flags){
					q->account, q->mailbox, f.modseq, buf_str(&f.rows) },
				err) < 0))
		goto out;
	r = 0;
out:
	buf_free(&f.rows);
	buf_free(&f.keywords);
	return r;
}

/* --- expunge -------------------------------------------------------------------------------- */

static int collect_doomed(struct txn *t, uint64_t account, uint64_t mailbox,
	const struct effect_uid_range *range, bool any, struct range_list *out, int64_t *room,
	struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT uid FROM entry WHERE account = $1 AND mailbox = $2"
		    " AND uid BETWEEN $3 AND $4 AND ($5 = 1 OR (flags & 8) <> 0) ORDER BY uid"
		    " LIMIT $6",
		    DB_ARGS(ID(account), ID(mailbox), DB_I(range->first), DB_I(range->last),
			    DB_I(any), DB_I(*room)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		range_list_add(out, (uint32_t)rows_int(r, 0));
		(*room)--;
	}
	rows_free(&r);
	return got;
}

/* What has gone by this request is its domain's no more. */
static int charge_less(
	struct txn *t, uint64_t account, const struct account_state *before, struct err *err)
{
	struct account_state now;

	if (account_state(&t->view, account, &now, err) < 0)
		return -1;
	return directory_use(t, before->charged, (int64_t)(now.messages - before->messages),
		(int64_t)(now.bytes - before->bytes), err);
}

int entry_expunge(struct txn *t, uint64_t account, uint64_t mailbox, struct str ranges, bool any,
	struct range_list *out, uint64_t *modseq, struct err *err)
{
	int64_t room = ENTRY_EXPUNGED_PER_CALL;
	bool all = ranges.n == 0;
	struct effect_uid_range range;
	struct account_state s;
	struct mailbox m;
	struct str doomed;

	if (account_state(&t->view, account, &s, err) < 0 ||
		mailbox_get(&t->view, account, mailbox, &m, NULL, err) < 0)
		return -1;
	*modseq = m.modseq;
	/* Mostly nothing is marked: closing a mailbox must not read all of it. */
	if (!any && m.deleted == 0)
		return 0;
	while (room > 0 && next_range(&ranges, &all, &range))
		if (collect_doomed(t, account, mailbox, &range, any, out, &room, err) < 0)
			return -1;
	doomed = range_list_end(out);
	if (!buf_ok(&out->bytes))
		return err_set(err, ERR_TEMP, "out of memory to expunge messages");
	if (doomed.n == 0)
		return 0;
	*modseq = s.modseq + 1;
	if (emit_expunged(t,
		    &(struct effect_expunged){
			    account, mailbox, *modseq, txn_deleted_at(t), false, doomed },
		    err) < 0)
		return -1;
	return s.charged ? charge_less(t, account, &s, err) : 0;
}

/* --- copy and move -------------------------------------------------------------------------- */

struct copying {
	struct txn *t;
	const struct entry_copy *q;
	struct buf rows; /* effect_entry_row */
	struct buf keywords;
	uint32_t next;
	uint64_t messages, bytes; /* so far */
	struct range_list *from, *to;
};

static int copy_range(struct copying *c, const struct effect_uid_range *range, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(c->t->view.db, &r,
		    "SELECT uid, email, thread, body, size, prefix_size, received, flags, keywords"
		    " FROM entry WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4"
		    " ORDER BY uid",
		    DB_ARGS(ID(c->q->account), ID(c->q->mailbox), DB_I(range->first),
			    DB_I(range->last)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct effect_entry_row row = { .uid = c->next,
			.email = (uint64_t)rows_int(r, 1),
			.thread = (uint64_t)rows_int(r, 2),
			.body = (uint64_t)rows_int(r, 3),
			.size = (uint64_t)rows_int(r, 4),
			.prefix_size = (uint32_t)rows_int(r, 5),
			.received = rows_int(r, 6),
			.saved = c->t->now,
			.flags = (uint32_t)rows_int(r, 7),
			.keywords = rows_str(r, 8) };

		effect_entry_row_put(&c->rows, &row);
		c->messages++;
		c->bytes += row.size;
		range_list_add(c->from, (uint32_t)rows_int(r, 0));
		range_list_add(c->to, c->next);
		keywords_add(&c->keywords, row.keywords);
		c->next++;
	}
	rows_free(&r);
	return got;
}

static int emit_copy(struct copying *c, struct str name, uint64_t modseq, struct err *err)
{
	const struct entry_copy *q = c->q;
	struct effect_entries e = { q->account, q->target, name, modseq, false, buf_str(&c->rows) };

	if (c->keywords.n &&
		emit_mailbox_keywords(c->t,
			&(struct effect_mailbox_keywords){
				q->account, q->target, buf_str(&c->keywords) },
			err) < 0)
		return -1;
	if (emit_entries(c->t, &e, err) < 0)
		return -1;
	if (!q->move)
		return 0;
	(void)range_list_end(c->from);
	if (!buf_ok(&c->from->bytes))
		return err_set(err, ERR_TEMP, "out of memory to move messages");
	return emit_expunged(c->t,
		&(struct effect_expunged){ q->account, q->mailbox, modseq, txn_deleted_at(c->t),
			true, range_list_end(c->from) },
		err);
}

static int copy(struct copying *c, uint64_t *modseq, struct err *err)
{
	const struct entry_copy *q = c->q;
	struct str ranges = q->ranges;
	bool all = ranges.n == 0;
	struct effect_uid_range range;
	struct buf name = BUF(MAILBOX_NAME);
	struct account_state s;
	struct mailbox m, target;
	int r = -1;

	if (account_state(&c->t->view, q->account, &s, err) < 0 ||
		mailbox_get(&c->t->view, q->account, q->mailbox, &m, NULL, err) < 0 ||
		mailbox_get(&c->t->view, q->account, q->target, &target, &name, err) < 0 ||
		mailbox_keywords(&c->t->view, q->account, q->target, &c->keywords, err) < 0)
		goto out;
	c->next = target.uidnext;
	*modseq = target.modseq;
	while (next_range(&ranges, &all, &range))
		if (copy_range(c, &range, err) < 0)
			goto out;
	if (!buf_ok(&c->rows) || !buf_ok(&c->keywords)) {
		err_set(err, ERR_LIMIT, "too much to copy at once");
		goto out;
	}
	r = 0;
	/* A move needs no room. */
	if (c->rows.n && !q->move && s.limited)
		r = directory_has_room(&c->t->view, q->account, c->messages, c->bytes, NULL, err);
	if (r == 0 && c->rows.n && !q->move)
		r = directory_use(c->t, s.charged, (int64_t)c->messages, (int64_t)c->bytes, err);
	if (r == 0 && c->rows.n) {
		*modseq = s.modseq + 1;
		r = emit_copy(c, buf_str(&name), *modseq, err);
	}
out:
	buf_free(&name);
	return r;
}

int entry_copy(struct txn *t, const struct entry_copy *q, struct range_list *from,
	struct range_list *to, uint64_t *modseq, struct err *err)
{
	struct copying c = { .t = t,
		.q = q,
		.rows = BUF(ROWS_MAX),
		.keywords = BUF(MAILBOX_KEYWORDS),
		.from = from,
		.to = to };
	int r = copy(&c, modseq, err);

	buf_free(&c.rows);
	buf_free(&c.keywords);
	return r;
}

int entry_move_all(struct txn *t, uint64_t account, uint64_t from, uint64_t to, struct err *err)
{
	const struct entry_copy q = { account, from, STR(""), to, true };
	struct range_list a = RANGE_LIST, b = RANGE_LIST;
	uint64_t modseq;
	int r = entry_copy(t, &q, &a, &b, &modseq, err);

	range_list_free(&a);
	range_list_free(&b);
	return r;
}
