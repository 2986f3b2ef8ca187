#include "store/undelete.h"

#include "store/directory.h"
#include "store/entry.h"
#include "store/names.h"
#include "store/pack.h"

#define ID(x) DB_I((int64_t)(x))

enum { ROWS_MAX = 16 << 20 };

int undelete_mailboxes(struct view *v, uint64_t account, uint64_t after, undelete_mailbox_fn *fn,
	void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT id, coalesce(name, former), removed FROM mailbox"
		    " WHERE account = $1 AND id > $2 ORDER BY id",
		    DB_ARGS(ID(account), ID(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct undelete_mailbox m = { (uint64_t)rows_int(r, 0), rows_str(r, 1),
			rows_int(r, 2) };

		if (!fn(arg, &m))
			break;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int undelete_list(
	struct view *v, const struct undelete_query *q, undelete_fn *fn, void *arg, struct err *err)
{
	struct buf facts = BUF(PACK_MAX);
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT g.uid, g.flags, g.expunged, g.received, g.size, b.facts FROM ghost g"
		    " JOIN body b ON b.id = g.body WHERE g.account = $1 AND g.mailbox = $2"
		    " AND g.uid >= $3 AND g.moved = 0 AND g.expunged BETWEEN $4 AND $5"
		    " UNION ALL SELECT e.uid, e.flags, m.removed, e.received, e.size, b.facts"
		    " FROM mailbox m JOIN entry e ON e.account = m.account AND e.mailbox = m.id"
		    " JOIN body b ON b.id = e.body WHERE m.account = $1 AND m.id = $2"
		    " AND e.uid >= $3 AND m.removed <> 0 AND m.removed BETWEEN $4 AND $5"
		    " ORDER BY 1",
		    DB_ARGS(ID(q->account), ID(q->mailbox), DB_I(q->from), DB_I(q->since),
			    DB_I(q->until)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct undelete_row row = { .uid = (uint32_t)rows_int(r, 0),
			.flags = (uint32_t)rows_int(r, 1),
			.deleted = rows_int(r, 2),
			.received = rows_int(r, 3),
			.size = (uint64_t)rows_int(r, 4),
			.facts = unpack(rows_str(r, 5), &facts) };

		if (!fn(arg, &row))
			break;
	}
	rows_free(&r);
	buf_free(&facts);
	return got < 0 ? -1 : 0;
}

/* --- messages --------------------------------------------------------------------------------- */

struct undeleting {
	struct txn *t;
	uint64_t account, from;
	struct buf name; /* of both mailboxes */
	struct mailbox to;
	struct buf rows; /* effect_entry_row */
	struct buf keywords;
	struct range_list ghosts, entries; /* what they were */
	struct undeleted *out;
};

static int former_name(struct undeleting *u, bool *removed, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(u->t->view.db, &r,
		    "SELECT coalesce(name, former), removed FROM mailbox"
		    " WHERE account = $1 AND id = $2",
		    DB_ARGS(ID(u->account), ID(u->from)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		buf_add(&u->name, rows_str(r, 0));
		*removed = rows_int(r, 1) != 0;
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND, "no such mailbox");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* Where it goes. A mailbox that is not there yet is made with the first message (id 0 until then).
 */
static int find_target(struct undeleting *u, struct err *err)
{
	struct err why = ERR_INIT;
	bool removed;

	if (former_name(u, &removed, err) < 0)
		return -1;
	if (!removed)
		return mailbox_get(&u->t->view, u->account, u->from, &u->to, NULL, err);
	if (mailbox_find(&u->t->view, u->account, buf_str(&u->name), &u->to, &why) == 0)
		return 0;
	u->to = (struct mailbox){ .uidnext = 1 };
	if (why.kind == ERR_NOTFOUND)
		return 0;
	*err = why;
	return -1;
}

static void take(struct undeleting *u, struct rows *r)
{
	const uint32_t uid = (uint32_t)rows_int(r, 0);
	const struct effect_entry_row row = { .uid = u->to.uidnext++,
		.email = (uint64_t)rows_int(r, 1),
		.thread = (uint64_t)rows_int(r, 2),
		.body = (uint64_t)rows_int(r, 3),
		.size = (uint64_t)rows_int(r, 4),
		.prefix_size = (uint32_t)rows_int(r, 5),
		.received = rows_int(r, 6),
		.saved = u->t->now,
		.flags = (uint32_t)rows_int(r, 7) & ~(uint32_t)STORE_DELETED,
		.keywords = rows_str(r, 8) };

	effect_entry_row_put(&u->rows, &row);
	keywords_add(&u->keywords, row.keywords);
	range_list_add(rows_int(r, 9) ? &u->ghosts : &u->entries, uid);
	u->out->messages++;
	u->out->bytes += row.size;
}

static int take_range(struct undeleting *u, const struct effect_uid_range *range, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(u->t->view.db, &r,
		    "SELECT uid, email, thread, body, size, prefix_size, received, flags, keywords,"
		    " 1 FROM ghost WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4"
		    " AND moved = 0 UNION ALL SELECT e.uid, e.email, e.thread, e.body, e.size,"
		    " e.prefix_size, e.received, e.flags, e.keywords, 0 FROM mailbox m JOIN entry e"
		    " ON e.account = m.account AND e.mailbox = m.id WHERE m.account = $1"
		    " AND m.id = $2 AND m.removed <> 0 AND e.uid BETWEEN $3 AND $4 ORDER BY 1",
		    DB_ARGS(ID(u->account), ID(u->from), DB_I(range->first), DB_I(range->last)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		if (u->out->messages == UNDELETE_STEP) {
			u->out->next = (uint32_t)rows_int(r, 0);
			break;
		}
		take(u, r);
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int make_target(struct undeleting *u, struct err *err)
{
	if (!u->to.id && mailbox_create(u->t, u->account, buf_str(&u->name), 0, &u->to.id, err) < 0)
		return -1;
	if (!u->keywords.n)
		return 0;
	if (mailbox_keywords(&u->t->view, u->account, u->to.id, &u->keywords, err) < 0)
		return -1;
	return emit_mailbox_keywords(u->t,
		&(struct effect_mailbox_keywords){ u->account, u->to.id, buf_str(&u->keywords) },
		err);
}

static int mark(struct undeleting *u, bool ghosts, uint64_t modseq, struct err *err)
{
	struct range_list *l = ghosts ? &u->ghosts : &u->entries;
	struct str uids = range_list_end(l);

	if (!buf_ok(&l->bytes))
		return err_set(err, ERR_TEMP, "out of memory to bring messages back");
	return uids.n ? emit_undeleted(u->t,
				&(struct effect_undeleted){
					u->account, u->from, ghosts, modseq, u->t->now, uids },
				err)
		      : 0;
}

static int put_back(struct undeleting *u, struct err *err)
{
	struct effect_entries e = { .account = u->account, .name = buf_str(&u->name) };
	struct account_state s;

	if (make_target(u, err) < 0 || account_state(&u->t->view, u->account, &s, err) < 0)
		return -1;
	e.mailbox = u->to.id;
	e.modseq = s.modseq + 1;
	e.rows = buf_str(&u->rows);
	if (s.limited &&
		directory_has_room(
			&u->t->view, u->account, u->out->messages, u->out->bytes, NULL, err) < 0)
		return -1;
	if (emit_entries(u->t, &e, err) < 0 || mark(u, true, e.modseq, err) < 0 ||
		mark(u, false, e.modseq, err) < 0)
		return -1;
	return directory_use(
		u->t, s.charged, (int64_t)u->out->messages, (int64_t)u->out->bytes, err);
}

static int undelete_ranges(struct undeleting *u, struct str ranges, struct err *err)
{
	struct effect_uid_range range;

	if (find_target(u, err) < 0)
		return -1;
	while (!u->out->next && effect_uid_range_next(&ranges, &range))
		if (take_range(u, &range, err) < 0)
			return -1;
	if (u->out->messages == 0)
		return 0;
	if (!buf_ok(&u->rows) || !buf_ok(&u->keywords))
		return err_set(err, ERR_LIMIT, "too many keywords in this mailbox");
	return put_back(u, err);
}

int undelete(struct txn *t, uint64_t account, uint64_t mailbox, struct str ranges,
	struct undeleted *out, struct err *err)
{
	struct undeleting u = { .t = t,
		.account = account,
		.from = mailbox,
		.name = BUF(MAILBOX_NAME),
		.rows = BUF(ROWS_MAX),
		.keywords = BUF(MAILBOX_KEYWORDS),
		.ghosts = RANGE_LIST,
		.entries = RANGE_LIST,
		.out = out };
	int r;

	*out = (struct undeleted){ 0 };
	r = undelete_ranges(&u, ranges, err);
	range_list_free(&u.ghosts);
	range_list_free(&u.entries);
	buf_free(&u.name);
	buf_free(&u.rows);
	buf_free(&u.keywords);
	return r;
}
