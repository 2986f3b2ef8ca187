/* Bodies: they come, move when their segment is compacted, and go with the last that shares them.
 * Each keeps the books of its segment (space.h) exact. */
#include "store/apply_private.h"
#include "store/body.h"
#include "store/pack.h"
#include "store/space.h"

#include <inttypes.h>
#include <stdio.h>

/* What an email and its entry take in a record, about. */
enum { REFERENCE = 400 };

/* It is a message's now, so it is not swept away; that has not happened already? */
static int name_staged(struct apply *a, struct str blob, struct err *err)
{
	if (db_exec(a->db, "DELETE FROM body_staged WHERE name = $1", DB_ARGS(DB_T(blob)), err) < 0)
		return -1;
	return db_changes(a->db) ? 0 : err_set(err, ERR_TEMP, "the body has been swept away");
}

int apply_body(struct apply *a, const struct effect_body *e, struct err *err)
{
	const bool in_log = e->blob.n == 0;
	const int64_t carried = (int64_t)e->facts.n + REFERENCE;
	struct buf packed = BUF(2 * PACK_MAX);
	int r;

	apply_at_least(&a->next->body, e->id);
	if (in_log)
		a->body = e->id;
	else if (a->shared && name_staged(a, e->blob, err) < 0)
		return -1;
	if (space_add(a->space, a->segment, carried + (in_log ? (int64_t)e->size : 0), 1, err) < 0)
		return -1;
	r = db_exec(a->db,
		"INSERT INTO body (id, segment, place, blob, size, checksum, links, facts, carried)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		DB_ARGS(ID(e->id), ID(a->segment), ID(a->place), in_log ? DB_NIL : DB_T(e->blob),
			ID(e->size), DB_I(e->checksum), DB_I(e->links),
			DB_B(pack(e->facts, &packed)), DB_I(carried)),
		err);
	buf_free(&packed);
	return r;
}

int apply_body_shared(struct apply *a, const struct effect_body_shared *e, struct err *err)
{
	return db_exec(
		a->db, "UPDATE body SET links = links + 1 WHERE id = $1", DB_ARGS(ID(e->id)), err);
}

int apply_body_moved(struct apply *a, const struct effect_body_moved *e, struct err *err)
{
	const int64_t bytes = e->blob.n ? 0 : (int64_t)e->size;
	const int64_t carried =
		(int64_t)(e->facts.n + e->emails.n + e->entries.n + e->queued.n) + REFERENCE;
	int64_t before;
	int got = db_int(a->db, &before,
		"SELECT carried + " BODY_IN_LOG " FROM body WHERE id = $1 AND segment = $2",
		DB_ARGS(ID(e->id), ID(e->from)), err);

	if (got != 1)
		return got < 0 ? -1 : err_set(err, ERR_PROTO, "a body moved that was not there");
	if (space_add(a->space, e->from, -before, -1, err) < 0 ||
		space_add(a->space, a->segment, bytes + carried, 1, err) < 0)
		return -1;
	return db_exec(a->db,
		"UPDATE body SET segment = $2, place = $3, carried = $4, stored = 0 WHERE id = $1",
		DB_ARGS(ID(e->id), ID(a->segment), ID(a->place), DB_I(carried)), err);
}

/* The one that it had is nobody's any more. */
static int change_blob(struct apply *a, const struct effect_body_stored *e, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(a->db, &r,
		    "SELECT blob FROM body WHERE id = $1 AND blob IS NOT NULL AND blob <> $2",
		    DB_ARGS(ID(e->id), DB_T(e->blob)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		space_blob_dropped(a->space, rows_str(r, 0));
	rows_free(&r);
	if (got != 1)
		return got;
	return db_exec(a->db, "UPDATE body SET blob = $2 WHERE id = $1",
		DB_ARGS(ID(e->id), DB_T(e->blob)), err);
}

/* What came before has counted it as it was. */
int apply_body_stored(struct apply *a, const struct effect_body_stored *e, struct err *err)
{
	uint64_t segment = 0;
	int64_t less = 0;
	struct rows *r;
	int got;

	if (e->blob.n && change_blob(a, e, err) < 0)
		return -1;
	if (db_query(a->db, &r,
		    "UPDATE body SET stored = $2 WHERE id = $1"
		    " RETURNING segment, CASE WHEN blob IS NULL AND stored <> 0"
		    " THEN size - stored ELSE 0 END",
		    DB_ARGS(ID(e->id), ID(e->bytes)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		segment = (uint64_t)rows_int(r, 0);
		less = rows_int(r, 1);
		got = rows_next(r, err);
	}
	rows_free(&r);
	return got < 0 ? -1 : space_add(a->space, segment, -less, 0, err);
}

int apply_body_damaged(struct apply *a, const struct effect_body_damaged *e, struct err *err)
{
	return db_exec(a->db, "UPDATE body SET damaged = $2 WHERE id = $1",
		DB_ARGS(ID(e->id), DB_I(e->since)), err);
}

static int drop_pieces(struct apply *a, uint64_t body, struct str blob, struct err *err)
{
	char name[24];

	snprintf(name, sizeof name, "%" PRIu64, body);
	return db_exec(a->db, "DELETE FROM body_piece WHERE name = $1",
		DB_ARGS(DB_T(blob.n ? blob : str_c(name))), err);
}

static int drop(struct apply *a, uint64_t body, struct err *err)
{
	uint64_t segment = 0;
	int64_t bytes = 0;
	struct rows *r;
	int got;

	if (db_query(a->db, &r,
		    "DELETE FROM body WHERE id = $1 RETURNING segment, carried + " BODY_IN_LOG
		    ", blob",
		    DB_ARGS(ID(body)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		segment = (uint64_t)rows_int(r, 0);
		bytes = rows_int(r, 1);
		if (a->shared)
			got = drop_pieces(a, body, rows_str(r, 2), err);
		else if (rows_str(r, 2).n)
			space_blob_dropped(a->space, rows_str(r, 2));
		if (got >= 0)
			got = rows_next(r, err);
	}
	rows_free(&r);
	return got < 0 ? -1 : space_add(a->space, segment, -bytes, -1, err);
}

int apply_body_unlink(struct apply *a, uint64_t body, struct err *err)
{
	int64_t links = 1;

	if (db_int(a->db, &links, "UPDATE body SET links = links - 1 WHERE id = $1 RETURNING links",
		    DB_ARGS(ID(body)), err) < 0)
		return -1;
	return links > 0 ? 0 : drop(a, body, err);
}
