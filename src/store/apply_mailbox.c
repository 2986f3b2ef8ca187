#include "store/apply_private.h"
#include "store/names.h"
#include "store/thread_key.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

void apply_touch(struct apply *a, uint64_t account, uint64_t mailbox, uint64_t modseq)
{
	struct changes *c = a->changes;

	if (!c)
		return;
	if (c->n && c->v[c->n - 1].mailbox == mailbox && c->v[c->n - 1].account == account) {
		c->v[c->n - 1].modseq = modseq;
		return;
	}
	if (c->n == c->cap) {
		size_t cap = c->cap ? 2 * c->cap : 4;
		struct change *v = reallocarray(c->v, cap, sizeof *v);

		if (!v) {
			c->lost = true;
			return;
		}
		c->v = v;
		c->cap = cap;
	}
	c->v[c->n++] = (struct change){ account, mailbox, modseq };
}

static int set_modseq(struct apply *a, uint64_t account, uint64_t modseq, struct err *err)
{
	return db_exec(a->db, "UPDATE account SET modseq = $2 WHERE id = $1",
		DB_ARGS(ID(account), ID(modseq)), err);
}

/* The same, when mail has come or gone. */
static int count_account(struct apply *a, uint64_t account, uint64_t modseq, int64_t messages,
	int64_t bytes, struct err *err)
{
	return db_exec(a->db,
		"UPDATE account SET modseq = $2, messages = messages + $3, bytes = bytes + $4,"
		" full_since = CASE WHEN $3 < 0 THEN 0 ELSE full_since END WHERE id = $1",
		DB_ARGS(ID(account), ID(modseq), DB_I(messages), DB_I(bytes)), err);
}

int apply_mailbox_put(struct apply *a, const struct effect_mailbox_put *e, struct err *err)
{
	if (db_exec(a->db,
		    "INSERT INTO mailbox (account, id, name, uses, uidvalidity, uidnext, modseq,"
		    " messages, unseen, deleted, bytes, recent_from, keywords, created, changed,"
		    " removed)"
		    " VALUES ($1, $2, $3, $4, $5, 1, $6, 0, 0, 0, 0, 1, '', $6, $6, 0)",
		    DB_ARGS(ID(e->account), ID(e->id), DB_T(e->name), DB_I(e->uses),
			    ID(e->uidvalidity), ID(e->modseq)),
		    err) < 0)
		return -1;
	apply_touch(a, e->account, e->id, e->modseq);
	return db_exec(a->db,
		"UPDATE account SET next_mailbox = $2, next_uidvalidity = $3, modseq = $4"
		" WHERE id = $1",
		DB_ARGS(ID(e->account), ID(e->id + 1), ID((uint64_t)e->uidvalidity + 1),
			ID(e->modseq)),
		err);
}

int apply_mailbox_renamed(struct apply *a, const struct effect_mailbox_renamed *e, struct err *err)
{
	if (db_exec(a->db,
		    "UPDATE mailbox SET name = $3, changed = $4 WHERE account = $1 AND id = $2",
		    DB_ARGS(ID(e->account), ID(e->id), DB_T(e->name), ID(e->modseq)), err) < 0)
		return -1;
	return set_modseq(a, e->account, e->modseq, err);
}

int apply_mailbox_removed(struct apply *a, const struct effect_mailbox_removed *e, struct err *err)
{
	if (db_exec(a->db,
		    "UPDATE mailbox SET name = NULL, former = name, removed = $3, changed = $4, "
		    "uses = 0"
		    " WHERE account = $1 AND id = $2",
		    DB_ARGS(ID(e->account), ID(e->id), DB_I(e->time), ID(e->modseq)), err) < 0)
		return -1;
	apply_touch(a, e->account, e->id, e->modseq);
	return db_exec(a->db,
		"UPDATE account SET modseq = $2, full_since = 0,"
		" messages = messages - (SELECT m.messages FROM mailbox m"
		"  WHERE m.account = $1 AND m.id = $3),"
		" bytes = bytes - (SELECT m.bytes FROM mailbox m"
		"  WHERE m.account = $1 AND m.id = $3) WHERE id = $1",
		DB_ARGS(ID(e->account), ID(e->modseq), ID(e->id)), err);
}

int apply_uidvalidity_given(
	struct apply *a, const struct effect_uidvalidity_given *e, struct err *err)
{
	if (db_exec(a->db, "UPDATE mailbox SET uidvalidity = $1", DB_ARGS(ID(e->uidvalidity)),
		    err) < 0)
		return -1;
	return db_exec(a->db, "UPDATE account SET next_uidvalidity = $1",
		DB_ARGS(ID((uint64_t)e->uidvalidity + 1)), err);
}

int apply_mailbox_keywords(
	struct apply *a, const struct effect_mailbox_keywords *e, struct err *err)
{
	return db_exec(a->db, "UPDATE mailbox SET keywords = $3 WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->id), DB_T(e->keywords)), err);
}

int apply_mailbox_recent(struct apply *a, const struct effect_mailbox_recent *e, struct err *err)
{
	return db_exec(a->db, "UPDATE mailbox SET recent_from = $3 WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->id), DB_I(e->from)), err);
}

int apply_subscription(struct apply *a, const struct effect_subscription *e, struct err *err)
{
	if (!e->on)
		return db_exec(a->db, "DELETE FROM subscription WHERE account = $1 AND name = $2",
			DB_ARGS(ID(e->account), DB_T(e->name)), err);
	return db_exec(a->db,
		"INSERT INTO subscription (account, name) VALUES ($1, $2) ON CONFLICT DO NOTHING",
		DB_ARGS(ID(e->account), DB_T(e->name)), err);
}

int apply_email(struct apply *a, const struct effect_email *e, struct err *err)
{
	if (db_exec(a->db,
		    "INSERT INTO email (account, id, thread, body, size, received, links, created,"
		    " prefix) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		    DB_ARGS(ID(e->account), ID(e->id), ID(e->thread), ID(e->body), ID(e->size),
			    DB_I(e->received), DB_I(e->links), ID(e->modseq), DB_B(e->prefix)),
		    err) < 0)
		return -1;
	return db_exec(a->db,
		"UPDATE account SET next_email = $2, modseq = $3, messages = messages + $4,"
		" bytes = bytes + $5, full_since = 0 WHERE id = $1",
		DB_ARGS(ID(e->account), ID(e->id + 1), ID(e->modseq), DB_I(e->links),
			ID(e->links * e->size)),
		err);
}

int apply_thread_keys(struct apply *a, const struct effect_thread_keys *e, struct err *err)
{
	struct str keys = e->keys;
	uint64_t key;

	for (; keys.n >= sizeof key; keys = str_from(keys, sizeof key)) {
		memcpy(&key, keys.p, sizeof key);
		if (key == 0)
			continue;
		if (thread_keys_add(a->keys, a->db, e->account, le64toh(key), e->thread, err) < 0)
			return -1;
	}
	return 0;
}

static int insert_entry(struct apply *a, const struct effect_entries *e,
	const struct effect_entry_row *r, struct err *err)
{
	if (!e->counted &&
		db_exec(a->db, "UPDATE email SET links = links + 1 WHERE account = $1 AND id = $2",
			DB_ARGS(ID(e->account), ID(r->email)), err) < 0)
		return -1;
	return db_exec(a->db,
		"INSERT INTO entry (account, mailbox, uid, email, thread, body, size, prefix_size,"
		" received, saved, created, modseq, flags, keywords)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $12, $13)",
		DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(r->uid), ID(r->email), ID(r->thread),
			ID(r->body), ID(r->size), DB_I(r->prefix_size), DB_I(r->received),
			DB_I(r->saved), ID(e->modseq), DB_I(r->flags), DB_T(r->keywords)),
		err);
}

int apply_entries(struct apply *a, const struct effect_entries *e, struct err *err)
{
	int64_t messages = 0, unseen = 0, deleted = 0, bytes = 0, uidnext = 0;
	struct effect_entry_row r;
	struct str rows = e->rows;

	while (effect_entry_row_next(&rows, &r)) {
		if (insert_entry(a, e, &r, err) < 0)
			return -1;
		messages++;
		unseen += !(r.flags & STORE_SEEN);
		deleted += !!(r.flags & STORE_DELETED);
		bytes += (int64_t)r.size;
		uidnext = (int64_t)r.uid + 1;
	}
	if (rows.n || messages == 0)
		return err_set(err, ERR_PROTO, "malformed rows of entries");
	apply_touch(a, e->account, e->mailbox, e->modseq);
	if (!e->counted && count_account(a, e->account, e->modseq, messages, bytes, err) < 0)
		return -1;
	return db_exec(a->db,
		"UPDATE mailbox SET uidnext = $3, modseq = $4, messages = messages + $5,"
		" unseen = unseen + $6, deleted = deleted + $7, bytes = bytes + $8"
		" WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(uidnext), ID(e->modseq),
			DB_I(messages), DB_I(unseen), DB_I(deleted), DB_I(bytes)),
		err);
}

/* What a change means for the counters of its mailbox. */
static int count_mailbox(struct apply *a, uint64_t account, uint64_t mailbox, uint64_t modseq,
	const int64_t delta[4], struct err *err)
{
	apply_touch(a, account, mailbox, modseq);
	if (count_account(a, account, modseq, delta[0], delta[3], err) < 0)
		return -1;
	return db_exec(a->db,
		"UPDATE mailbox SET modseq = $3, messages = messages + $4, unseen = unseen + $5,"
		" deleted = deleted + $6, bytes = bytes + $7 WHERE account = $1 AND id = $2",
		DB_ARGS(ID(account), ID(mailbox), ID(modseq), DB_I(delta[0]), DB_I(delta[1]),
			DB_I(delta[2]), DB_I(delta[3])),
		err);
}

int apply_flags(struct apply *a, const struct effect_flags *e, struct err *err)
{
	int64_t delta[4] = { 0 }, old;
	struct effect_flags_row r;
	struct str rows = e->rows;

	while (effect_flags_row_next(&rows, &r)) {
		if (db_int(a->db, &old,
			    "SELECT flags FROM entry WHERE account = $1 AND mailbox = $2 AND uid = "
			    "$3",
			    DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(r.uid)), err) != 1)
			return err_set(err, ERR_PROTO, "flags of a missing entry");
		if (db_exec(a->db,
			    "UPDATE entry SET flags = $4, keywords = $5, modseq = $6"
			    " WHERE account = $1 AND mailbox = $2 AND uid = $3",
			    DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(r.uid), DB_I(r.flags),
				    DB_T(r.keywords), ID(e->modseq)),
			    err) < 0)
			return -1;
		delta[1] += !(r.flags & STORE_SEEN) - !(old & STORE_SEEN);
		delta[2] += !!(r.flags & STORE_DELETED) - !!(old & STORE_DELETED);
	}
	if (rows.n)
		return err_set(err, ERR_PROTO, "malformed rows of flags");
	return count_mailbox(a, e->account, e->mailbox, e->modseq, delta, err);
}

/* Entries on their way to the ghosts. */
struct burial {
	uint64_t account, mailbox, modseq;
	int64_t time;
	bool moved;
	int64_t delta[4]; /* of the mailbox's counters */
};

/* Subtract what the range holds. */
static int count_range(
	struct apply *a, struct burial *b, const struct effect_uid_range *r, struct err *err)
{
	struct rows *rows;
	int got;

	if (db_query(a->db, &rows,
		    "SELECT count(*), sum(CASE WHEN (flags & 1) = 0 THEN 1 ELSE 0 END),"
		    " sum(CASE WHEN (flags & 8) <> 0 THEN 1 ELSE 0 END), sum(size)"
		    " FROM entry WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4",
		    DB_ARGS(ID(b->account), ID(b->mailbox), DB_I(r->first), DB_I(r->last)),
		    err) < 0)
		return -1;
	got = rows_next(rows, err);
	for (int i = 0; i < 4 && got == 1; i++)
		b->delta[i] -= rows_int(rows, i);
	rows_free(&rows);
	return got < 0 ? -1 : 0;
}

static int bury_range(
	struct apply *a, const struct burial *b, const struct effect_uid_range *r, struct err *err)
{
	if (db_exec(a->db,
		    "INSERT INTO ghost (account, mailbox, uid, email, thread, body, size, "
		    "prefix_size,"
		    " received, saved, created, modseq, flags, keywords, expunged, moved)"
		    " SELECT account, mailbox, uid, email, thread, body, size, prefix_size, "
		    "received,"
		    " saved, created, $5, flags, keywords, $6, $7 FROM entry"
		    " WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4",
		    DB_ARGS(ID(b->account), ID(b->mailbox), DB_I(r->first), DB_I(r->last),
			    ID(b->modseq), DB_I(b->time), DB_I(b->moved)),
		    err) < 0)
		return -1;
	return db_exec(a->db,
		"DELETE FROM entry WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4",
		DB_ARGS(ID(b->account), ID(b->mailbox), DB_I(r->first), DB_I(r->last)), err);
}

static int bury(struct apply *a, struct burial *b, struct str ranges, struct err *err)
{
	struct effect_uid_range r;

	while (effect_uid_range_next(&ranges, &r))
		if (count_range(a, b, &r, err) < 0 || bury_range(a, b, &r, err) < 0)
			return -1;
	return ranges.n ? err_set(err, ERR_PROTO, "malformed ranges") : 0;
}

int apply_expunged(struct apply *a, const struct effect_expunged *e, struct err *err)
{
	struct burial b = { e->account, e->mailbox, e->modseq, e->time, e->moved != 0, { 0 } };

	if (bury(a, &b, e->ranges, err) < 0)
		return -1;
	return count_mailbox(a, e->account, e->mailbox, e->modseq, b.delta, err);
}

static int ghosts_undeleted(struct apply *a, const struct effect_undeleted *e, struct err *err)
{
	struct effect_uid_range r;
	struct str ranges = e->ranges;

	while (effect_uid_range_next(&ranges, &r))
		if (db_exec(a->db,
			    "UPDATE ghost SET moved = 1"
			    " WHERE account = $1 AND mailbox = $2 AND uid BETWEEN $3 AND $4",
			    DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(r.first), DB_I(r.last)),
			    err) < 0)
			return -1;
	return ranges.n ? err_set(err, ERR_PROTO, "malformed ranges") : 0;
}

/* A removed mailbox counts for its account no more. */
int apply_undeleted(struct apply *a, const struct effect_undeleted *e, struct err *err)
{
	struct burial b = { e->account, e->mailbox, e->modseq, e->time, true, { 0 } };

	if (e->from_ghosts)
		return ghosts_undeleted(a, e, err);
	if (bury(a, &b, e->ranges, err) < 0)
		return -1;
	return db_exec(a->db,
		"UPDATE mailbox SET messages = messages + $3, unseen = unseen + $4,"
		" deleted = deleted + $5, bytes = bytes + $6 WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(b.delta[0]), DB_I(b.delta[1]),
			DB_I(b.delta[2]), DB_I(b.delta[3])),
		err);
}
