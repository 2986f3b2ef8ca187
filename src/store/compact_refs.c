/* Who refers to a body, written down beside it (effect body_moved), so that mail can be brought
 * back from the log alone. The record that the body lies in says where to look. */
#include "store/compact_private.h"
#include "store/pack.h"

#include <stdlib.h>

#define ID(x) DB_I((int64_t)(x))

enum {
	ROWS_MAX = 64 << 20,
	ENTRIES_MAX = 4 << 20,
	FACTS_MAX = 1 << 20,
	/* Where an email was moved to is found by looking through its account, for a whole step at
	 * once, but not through very many for one body, nor for one that is in very many places. Of
	 * what came to more, the log alone says whose it is, and not in which mailbox. */
	LOOK_EMAILS = 100,
	LOOK_ENTRIES = 2000,
	LOOK_AT_ONCE = 32 /* as many as a step has bodies, nearly always of one email each */
};

void moved_refs_init(struct moved_refs *m)
{
	*m = (struct moved_refs){ .emails = BUF(ROWS_MAX),
		.entries = BUF(ENTRIES_MAX),
		.queued = BUF(ROWS_MAX),
		.facts = BUF(FACTS_MAX) };
}

void moved_refs_free(struct moved_refs *m)
{
	buf_free(&m->emails);
	buf_free(&m->entries);
	buf_free(&m->queued);
	buf_free(&m->facts);
}

static int add_email(struct view *v, uint64_t body, uint64_t account, uint64_t email,
	struct moved_refs *m, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT a.login, e.thread, e.received, e.prefix, e.links"
		    " FROM email e JOIN account a ON a.id = e.account"
		    " WHERE e.account = $1 AND e.id = $2 AND e.body = $3",
		    DB_ARGS(ID(account), ID(email), ID(body)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		effect_moved_email_put(&m->emails,
			&(struct effect_moved_email){ .account = account,
				.login = rows_str(r, 0),
				.id = email,
				.thread = (uint64_t)rows_int(r, 1),
				.received = rows_int(r, 2),
				.prefix = rows_str(r, 3) });
		m->links += (uint64_t)rows_int(r, 4);
		m->email_count++;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

#define COLUMNS(expunged)                                                                          \
	"SELECT e.mailbox, m.name, e.uid, e.email, e.received, e.saved, e.flags, "                 \
	"e.keywords, " expunged
#define FROM(table)                                                                                \
	" FROM " table " e LEFT JOIN mailbox m ON m.account = e.account AND m.id = e.mailbox "     \
	"WHERE e.account = $1"

static void put_entry(uint64_t account, const struct rows *r, struct moved_refs *m)
{
	effect_moved_entry_put(&m->entries,
		&(struct effect_moved_entry){ .account = account,
			.mailbox = (uint64_t)rows_int(r, 0),
			.name = rows_str(r, 1),
			.uid = (uint32_t)rows_int(r, 2),
			.email = (uint64_t)rows_int(r, 3),
			.received = rows_int(r, 4),
			.saved = rows_int(r, 5),
			.flags = (uint32_t)rows_int(r, 6),
			.keywords = rows_str(r, 7),
			.expunged = rows_int(r, 8) });
	m->found++;
}

static int add_entry(struct view *v, uint64_t account, uint64_t mailbox, uint32_t uid,
	uint64_t email, struct moved_refs *m, struct err *err)
{
	static const char sql[] = COLUMNS("0") FROM(
		"entry") " AND e.mailbox = $2 AND e.uid = $3 AND e.email = $4"
			 " UNION ALL " COLUMNS("e.expunged") FROM(
				 "ghost") " AND e.mailbox = $2 AND e.uid = $3 AND e.email = $4";
	struct rows *r;
	int got;

	if (db_query(v->db, &r, sql, DB_ARGS(ID(account), ID(mailbox), DB_I(uid), ID(email)), err) <
		0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		put_entry(account, r, m);
	rows_free(&r);
	return got;
}

/* Whose it is must be known, in which mailboxes need not be. */
static void drop_too_many(struct moved_refs *m)
{
	if (!buf_ok(&m->entries))
		buf_clear(&m->entries);
}

/* ---- what has been moved or copied since ---- */

struct wanted {
	uint64_t account, email;
	struct moved_refs *refs;
};
struct search {
	struct wanted *v;
	size_t n, cap;
};

static int want(struct search *l, struct moved_refs *m, struct err *err)
{
	struct str rows = buf_str(&m->emails);
	struct effect_moved_email e;
	struct wanted *v;

	buf_clear(&m->entries);
	m->found = 0;
	while (effect_moved_email_next(&rows, &e)) {
		if (l->n == l->cap) {
			l->cap = l->cap ? 2 * l->cap : 64;
			v = reallocarray(l->v, l->cap, sizeof *v);
			if (!v)
				return err_set(err, ERR_TEMP, "out of memory to copy a message");
			l->v = v;
		}
		l->v[l->n++] = (struct wanted){ e.account, e.id, m };
	}
	return 0;
}

static int by_account(const void *a, const void *b)
{
	const struct wanted *x = a, *y = b;

	return (x->account > y->account) - (x->account < y->account);
}

/* In all mailboxes of their account. */
static int look_for(struct view *v, const struct wanted *w, size_t n, struct err *err)
{
#define ANY                                                                                        \
	" AND e.email IN ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, "     \
	"$17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)"
	static const char sql[] = COLUMNS("0") FROM("entry") ANY " UNION ALL " COLUMNS("e.expunged")
		FROM("ghost") ANY;
	struct db_val args[1 + LOOK_AT_ONCE] = { ID(w->account) };
	struct rows *r;
	int got;

	for (size_t i = 0; i < LOOK_AT_ONCE; i++)
		args[1 + i] = ID(w[i < n ? i : 0].email);
	if (db_query(v->db, &r, sql, args, 1 + LOOK_AT_ONCE, err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		for (size_t i = 0; i < n; i++)
			if (w[i].email == (uint64_t)rows_int(r, 3))
				put_entry(w->account, r, w[i].refs);
	rows_free(&r);
	return got;
}

static int look_for_all(struct view *v, const struct search *l, struct err *err)
{
	size_t n;

	for (size_t i = 0; i < l->n; i += n) {
		for (n = 1; n < LOOK_AT_ONCE && i + n < l->n; n++)
			if (l->v[i + n].account != l->v[i].account)
				break;
		if (look_for(v, &l->v[i], n, err) < 0)
			return -1;
	}
	return 0;
}

int moved_refs_look(struct view *v, struct moved_refs *const *refs, size_t n, struct err *err)
{
	struct search l = { .v = NULL };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (refs[i]->found < refs[i]->links && refs[i]->links <= LOOK_ENTRIES &&
			refs[i]->email_count <= LOOK_EMAILS)
			r = want(&l, refs[i], err);
	if (r == 0 && l.n) {
		qsort(l.v, l.n, sizeof *l.v, by_account);
		r = look_for_all(v, &l, err);
	}
	free(l.v);
	for (size_t i = 0; r == 0 && i < n; i++)
		drop_too_many(refs[i]);
	return r;
}

static int add_queued(
	struct view *v, uint64_t body, uint64_t message, struct moved_refs *m, struct err *err)
{
	struct buf rcpts = BUF(ROWS_MAX);
	struct effect_moved_queued q = { .id = message };
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT address FROM queue_rcpt WHERE message = $1",
		    DB_ARGS(ID(message)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		buf_add(&rcpts, rcpts.n ? STR(" ") : STR(""));
		buf_add(&rcpts, rows_str(r, 0));
	}
	rows_free(&r);
	q.rcpts = buf_str(&rcpts);
	if (got == 0 &&
		db_query(v->db, &r,
			"SELECT account, sender, arrived, flags, prefix FROM queue_message"
			" WHERE id = $1 AND body = $2",
			DB_ARGS(ID(message), ID(body)), err) < 0)
		got = -1;
	else if (got == 0 && (got = rows_next(r, err)) == 1) {
		q.account = (uint64_t)rows_int(r, 0);
		q.sender = rows_str(r, 1);
		q.arrived = rows_int(r, 2);
		q.flags = (uint32_t)rows_int(r, 3);
		q.prefix = rows_str(r, 4);
		effect_moved_queued_put(&m->queued, &q);
	}
	rows_free(&r);
	buf_free(&rcpts);
	return got < 0 ? -1 : 0;
}

/* ---- what the record says ---- */

static int of_entries(struct view *v, uint64_t body, const struct effect_entries *e,
	struct moved_refs *m, struct err *err)
{
	struct str rows = e->rows;
	struct effect_entry_row row;

	while (effect_entry_row_next(&rows, &row))
		if (row.body == body &&
			add_entry(v, e->account, e->mailbox, row.uid, row.email, m, err) < 0)
			return -1;
	return 0;
}

/* It has moved before. */
static int of_moved(
	struct view *v, const struct effect_body_moved *e, struct moved_refs *m, struct err *err)
{
	struct str emails = e->emails, entries = e->entries, queued = e->queued;
	struct effect_moved_email email;
	struct effect_moved_entry entry;
	struct effect_moved_queued q;

	while (effect_moved_email_next(&emails, &email))
		if (add_email(v, e->id, email.account, email.id, m, err) < 0)
			return -1;
	while (effect_moved_entry_next(&entries, &entry))
		if (add_entry(v, entry.account, entry.mailbox, entry.uid, entry.email, m, err) < 0)
			return -1;
	while (effect_moved_queued_next(&queued, &q))
		if (add_queued(v, e->id, q.id, m, err) < 0)
			return -1;
	return 0;
}

static int of_effect(struct view *v, uint64_t body, uint16_t number, struct str fields,
	struct moved_refs *m, struct err *err)
{
	struct effect_body_moved moved;
	struct effect_entries entries;
	struct effect_queue_put put;
	struct effect_email email;

	if (number == EFFECT_email && effect_email_get(fields, &email) && email.body == body)
		return add_email(v, body, email.account, email.id, m, err);
	if (number == EFFECT_entries && effect_entries_get(fields, &entries))
		return of_entries(v, body, &entries, m, err);
	if (number == EFFECT_queue_put && effect_queue_put_get(fields, &put) && put.body == body)
		return add_queued(v, body, put.id, m, err);
	if (number == EFFECT_body_moved && effect_body_moved_get(fields, &moved) &&
		moved.id == body)
		return of_moved(v, &moved, m, err);
	return 0;
}

static int add_facts(struct view *v, uint64_t body, struct moved_refs *m, struct err *err)
{
	struct buf facts = BUF(PACK_MAX);
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT facts FROM body WHERE id = $1", DB_ARGS(ID(body)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		buf_add(&m->facts, unpack(rows_str(r, 0), &facts));
	rows_free(&r);
	buf_free(&facts);
	return got < 0 ? -1 : 0;
}

int moved_refs_gather(
	struct view *v, uint64_t body, struct str effects, struct moved_refs *m, struct err *err)
{
	struct str fields;
	uint16_t number;

	while (effect_next(&effects, &number, &fields))
		if (of_effect(v, body, number, fields, m, err) < 0)
			return -1;
	if (add_facts(v, body, m, err) < 0)
		return -1;
	drop_too_many(m);
	if (buf_ok(&m->emails) && buf_ok(&m->queued) && buf_ok(&m->facts))
		return 0;
	return err_set(err, ERR_LIMIT, "body %llu: too many refer to it", (unsigned long long)body);
}
