/* Reading entries. */
#include "store/entry.h"
#include "base/crc32c.h"
#include "store/body.h"
#include "store/mailbox.h"
#include "store/pack.h"

#define ID(x) DB_I((int64_t)(x))

/* Every uid of a query, as ranges. */
static int collect(struct rows *r, struct range_list *out, bool *more, struct err *err)
{
	int got;

	*more = false;
	while ((got = rows_next(r, err)) == 1) {
		if (out->n >= ENTRY_RANGES_OUT) {
			*more = true;
			break;
		}
		range_list_add(out, (uint32_t)rows_int(r, 0));
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int entry_uids(struct view *v, uint64_t account, uint64_t mailbox, uint32_t from,
	struct range_list *out, bool *more, struct err *err)
{
	struct mailbox m;
	struct rows *r;

	if (mailbox_get(v, account, mailbox, &m, NULL, err) < 0)
		return -1;
	*more = false;
	if (m.messages == 0)
		return 0;
	if (m.messages == m.uidnext - 1) { /* no holes */
		if (from < m.uidnext)
			range_list_add_range(out, from ? from : 1, m.uidnext - 1);
		return 0;
	}
	if (db_query(v->db, &r,
		    "SELECT uid FROM entry WHERE account = $1 AND mailbox = $2 AND uid >= $3"
		    " ORDER BY uid",
		    DB_ARGS(ID(account), ID(mailbox), DB_I(from)), err) < 0)
		return -1;
	return collect(r, out, more, err);
}

int entry_vanished(struct view *v, uint64_t account, uint64_t mailbox, uint64_t since,
	uint32_t from, struct range_list *out, bool *more, struct err *err)
{
	struct rows *r;

	if (db_query(v->db, &r,
		    "SELECT uid FROM ghost WHERE account = $1 AND mailbox = $2 AND uid >= $3"
		    " AND modseq > $4 ORDER BY uid",
		    DB_ARGS(ID(account), ID(mailbox), DB_I(from), ID(since)), err) < 0)
		return -1;
	return collect(r, out, more, err);
}

int entry_count_from(
	struct view *v, uint64_t account, const struct mailbox *m, uint32_t *count, struct err *err)
{
	int64_t n = 0;

	if (m->recent_from < m->uidnext &&
		db_int(v->db, &n,
			"SELECT count(*) FROM entry WHERE account = $1 AND mailbox = $2 AND uid >= "
			"$3",
			DB_ARGS(ID(account), ID(m->id), DB_I(m->recent_from)), err) < 0)
		return -1;
	*count = (uint32_t)n;
	return 0;
}

#define ENTRY_COLUMNS                                                                              \
	"e.uid, e.flags, e.prefix_size, e.email, e.thread, e.body, e.size, e.modseq, e.received,"  \
	" e.saved, e.keywords"
#define ENTRY_WHERE                                                                                \
	" WHERE e.account = $1 AND e.mailbox = $2 AND e.uid BETWEEN $3 AND $4 AND e.modseq > $5"

/* Facts and ghosts are rare enough to have statements of their own. */
static const char *const list_sql[2][2] = {
	{ "SELECT " ENTRY_COLUMNS " FROM entry e" ENTRY_WHERE " ORDER BY e.uid LIMIT $6",
		"SELECT " ENTRY_COLUMNS
		", b.facts FROM entry e JOIN body b ON b.id = e.body" ENTRY_WHERE
		" ORDER BY e.uid LIMIT $6" },
	{ "SELECT " ENTRY_COLUMNS " FROM entry e" ENTRY_WHERE " UNION ALL SELECT " ENTRY_COLUMNS
	  " FROM ghost e" ENTRY_WHERE " ORDER BY 1 LIMIT $6",
		"SELECT " ENTRY_COLUMNS
		", b.facts FROM entry e JOIN body b ON b.id = e.body" ENTRY_WHERE
		" UNION ALL SELECT " ENTRY_COLUMNS
		", b.facts FROM ghost e JOIN body b ON b.id = e.body" ENTRY_WHERE
		" ORDER BY 1 LIMIT $6" },
};

/* PostgreSQL sends all of what it is asked for: so not more than that at a time. */
enum { AT_A_TIME = 500 };

/* 0 the end, 1 the callback has enough, 2 there may be more, from *first on. */
static int list_some(struct view *v, const struct entry_query *q, uint64_t *first, uint32_t last,
	entry_fn *fn, void *arg, struct err *err)
{
	struct buf facts = BUF(PACK_MAX);
	unsigned n = 0;
	struct rows *r;
	int got;

	if (db_query(v->db, &r, list_sql[q->ghosts][q->facts],
		    DB_ARGS(ID(q->account), ID(q->mailbox), ID(*first), DB_I(last), ID(q->since),
			    DB_I(AT_A_TIME)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct entry e = { .uid = (uint32_t)rows_int(r, 0),
			.flags = (uint32_t)rows_int(r, 1),
			.prefix_size = (uint32_t)rows_int(r, 2),
			.email = (uint64_t)rows_int(r, 3),
			.thread = (uint64_t)rows_int(r, 4),
			.body = (uint64_t)rows_int(r, 5),
			.size = (uint64_t)rows_int(r, 6),
			.modseq = (uint64_t)rows_int(r, 7),
			.received = rows_int(r, 8),
			.saved = rows_int(r, 9),
			.keywords = rows_str(r, 10),
			.facts = q->facts ? unpack(rows_str(r, 11), &facts) : STR("") };

		n++;
		*first = (uint64_t)e.uid + 1;
		if (!fn(arg, &e))
			break;
	}
	rows_free(&r);
	buf_free(&facts);
	return got == 0 && n == AT_A_TIME ? 2 : got;
}

/* 1: the callback has enough. */
static int list_range(struct view *v, const struct entry_query *q, uint64_t first, uint32_t last,
	entry_fn *fn, void *arg, struct err *err)
{
	int got;

	do
		got = list_some(v, q, &first, last, fn, arg, err);
	while (got == 2);
	return got;
}

int entry_list(
	struct view *v, const struct entry_query *q, entry_fn *fn, void *arg, struct err *err)
{
	struct str ranges = q->ranges;
	struct effect_uid_range r;
	struct mailbox m;
	int got = 0;

	if (mailbox_get(v, q->account, q->mailbox, &m, NULL, err) < 0)
		return -1;
	if (ranges.n == 0)
		return list_range(v, q, q->from, UINT32_MAX, fn, arg, err) < 0 ? -1 : 0;
	while (got == 0 && effect_uid_range_next(&ranges, &r)) {
		if (r.first < q->from)
			r.first = q->from;
		if (r.first <= r.last)
			got = list_range(v, q, r.first, r.last, fn, arg, err);
	}
	return got < 0 ? -1 : 0;
}

#define MESSAGE_SQL(from)                                                                          \
	"SELECT m.prefix, " BODY_PLACE " FROM " from " e JOIN mailbox x ON x.account = e.account"  \
	" AND x.id = e.mailbox AND x.removed = 0 JOIN email m ON m.account = e.account"            \
	" AND m.id = e.email JOIN body b ON b.id = m.body"                                         \
	" WHERE e.account = $1 AND e.mailbox = $2 AND e.uid = $3"

static int find_in(const char *sql, struct view *v, const struct db_val key[3], struct buf *prefix,
	struct body_place *p, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, sql, key, 3, err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		buf_add(prefix, rows_str(r, 0));
		*p = body_place_of(r, 1);
	}
	rows_free(&r);
	return got;
}

static int find_message(struct view *v, uint64_t account, uint64_t mailbox, uint32_t uid,
	struct buf *prefix, struct body_place *p, struct err *err)
{
	const struct db_val key[3] = { ID(account), ID(mailbox), DB_I(uid) };
	int got = find_in(MESSAGE_SQL("entry"), v, key, prefix, p, err);

	if (got == 0)
		got = find_in(MESSAGE_SQL("ghost"), v, key, prefix, p, err);
	if (got == 0)
		err_set(err, ERR_NOTFOUND, "no such message");
	else if (got == 1 && !buf_ok(prefix))
		return err_set(err, ERR_TEMP, "out of memory for a message");
	return got == 1 ? 0 : -1;
}

int entry_read(struct view *v, uint64_t account, uint64_t mailbox, uint32_t uid, uint64_t offset,
	uint32_t length, struct buf *out, uint64_t *size, struct err *err)
{
	struct buf prefix = BUF(1 << 20);
	struct body_place p;
	int r = -1;

	if (find_message(v, account, mailbox, uid, &prefix, &p, err) == 0)
		r = body_read_message(v, buf_str(&prefix), &p, offset, length, out, size, err);
	buf_free(&prefix);
	return r;
}

int entry_digests(struct view *v, uint64_t account, uint64_t mailbox, uint32_t from,
	entry_digest_fn *fn, void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT e.uid, b.checksum, e.size, e.received, b.size, m.prefix FROM entry e"
		    " JOIN body b ON b.id = e.body LEFT JOIN email m ON e.prefix_size > 0"
		    " AND m.account = e.account AND m.id = e.email"
		    " WHERE e.account = $1 AND e.mailbox = $2 AND e.uid >= $3 AND b.damaged = 0"
		    " ORDER BY e.uid",
		    DB_ARGS(ID(account), ID(mailbox), DB_I(from)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct str prefix = rows_str(r, 5);
		struct entry_digest d = { .uid = (uint32_t)rows_int(r, 0),
			.checksum = (uint32_t)rows_int(r, 1),
			.size = (uint64_t)rows_int(r, 2),
			.received = rows_int(r, 3) };

		if (prefix.n)
			d.checksum = crc32c_join(crc32c(0, prefix.p, prefix.n), d.checksum,
				(uint64_t)rows_int(r, 4));
		if (!fn(arg, &d))
			break;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}
