/* Bodies as rows of at most 256 KiB. One that comes with its message is named after its id and goes
 * in with the same batch. A larger one comes ahead, on a connection of its own, and is staged until
 * a message names it. */
#include "store/shared.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
	STAGED_SECONDS = 86400,
	SWEEP = 8,        /* at once: each may have thousands of pieces */
	SUMS = -(1 << 20) /* the "start" of the checksums of a staged body's pieces */
};

int piece_put(struct db *db, struct str name, uint64_t start, struct str data, struct err *err)
{
	while (data.n) {
		struct str one = str_head(data, BLOB_PIECE);

		if (db_exec(db, "INSERT INTO body_piece (name, start, data) VALUES ($1, $2, $3)",
			    DB_ARGS(DB_T(name), DB_I((int64_t)start), DB_B(one)), err) < 0)
			return -1;
		start += one.n;
		data = str_from(data, one.n);
	}
	return 0;
}

int piece_put_inline(struct store *s, struct err *err)
{
	char name[BLOB_NAME];

	snprintf(name, sizeof name, "%" PRIu64, s->txn.apply.body);
	return piece_put(s->index, str_c(name), 0, s->txn.body, err);
}

/* ---- reading ---- */

#define READ                                                                                       \
	"SELECT greatest(start, $2), substring(data FROM (greatest($2 - start, 0) + 1)::int"       \
	" FOR ($3 - greatest(start, $2))::int) FROM body_piece WHERE name = $1"                    \
	" AND start > $2 - 262144 AND start < $3 AND start + length(data) > $2 ORDER BY start"
_Static_assert(BLOB_PIECE == 262144, "as the statement says");

int piece_read(struct view *v, const struct body_place *p, uint64_t offset, char *room, size_t n,
	struct err *err)
{
	const uint64_t end = offset + n;
	char name[BLOB_NAME];
	struct rows *r;
	int got = 0;

	snprintf(name, sizeof name, "%" PRIu64, p->body);
	if (db_query(v->db, &r, READ,
		    DB_ARGS(DB_T(str_c(p->blob[0] ? p->blob : name)), DB_I((int64_t)offset),
			    DB_I((int64_t)end)),
		    err) < 0)
		return -1;
	while (offset < end && (got = rows_next(r, err)) == 1) {
		struct str data = rows_str(r, 1);

		if ((uint64_t)rows_int(r, 0) != offset || data.n == 0 || data.n > end - offset)
			break;
		memcpy(room + (n - (end - offset)), data.p, data.n);
		offset += data.n;
	}
	rows_free(&r);
	if (got < 0)
		return -1;
	return offset == end
		? 0
		: err_set(err, ERR_NOTFOUND, "a piece of body %" PRIu64 " is missing", p->body);
}

int piece_sums(struct view *v, const struct body_place *p, struct buf *sums, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT data FROM body_piece WHERE name = $1 AND start = $2",
		    DB_ARGS(DB_T(str_c(p->blob)), DB_I(SUMS)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		buf_add(sums, rows_str(r, 0));
	rows_free(&r);
	return got;
}

/* ---- ahead of the message (blob.h) ---- */

/* One statement on the connection of all writers. */
static int side_exec(
	struct shared *h, const char *sql, const struct db_val *v, size_t n, struct err *err)
{
	int r;

	pthread_mutex_lock(&h->side_lock);
	r = db_exec(h->side, sql, v, n, err);
	if (r == 0)
		r = db_changes(h->side) > 0;
	pthread_mutex_unlock(&h->side_lock);
	return r;
}

int staged_begin(struct shared *h, struct str name, struct err *err)
{
	return side_exec(h, "INSERT INTO body_staged (name, since) VALUES ($1, " SHARED_NOW ")",
		       DB_ARGS(DB_T(name)), err) < 0
		? -1
		: 0;
}

int staged_add(struct shared *h, struct str name, uint64_t start, struct str data, struct err *err)
{
	int r;

	pthread_mutex_lock(&h->side_lock);
	r = piece_put(h->side, name, start, data, err);
	pthread_mutex_unlock(&h->side_lock);
	return r;
}

/* From now on its message has a day to come. */
int staged_commit(struct shared *h, struct str name, const struct buf *sums, struct err *err)
{
	int r;

	if (!buf_ok(sums))
		return err_set(err, ERR_TEMP, "out of memory for a body");
	if (side_exec(h, "INSERT INTO body_piece (name, start, data) VALUES ($1, $2, $3)",
		    DB_ARGS(DB_T(name), DB_I(SUMS), DB_B(buf_str(sums))), err) < 0)
		return -1;
	r = side_exec(h, "UPDATE body_staged SET since = " SHARED_NOW " WHERE name = $1",
		DB_ARGS(DB_T(name)), err);

	return r == 0 ? err_set(err, ERR_TEMP, "a body took too long to come") : (r < 0 ? -1 : 0);
}

void staged_drop(struct shared *h, struct str name)
{
	struct err ignored = ERR_INIT;

	if (side_exec(h, "DELETE FROM body_piece WHERE name = $1", DB_ARGS(DB_T(name)), &ignored) >=
		0)
		(void)side_exec(h, "DELETE FROM body_staged WHERE name = $1", DB_ARGS(DB_T(name)),
			&ignored);
}

int staged_sweep(struct txn *t, struct err *err)
{
	return db_exec(t->view.db,
		"WITH gone AS (DELETE FROM body_staged WHERE name IN"
		" (SELECT name FROM body_staged WHERE since < $1 ORDER BY name LIMIT $2)"
		" AND since < $1 RETURNING name)"
		" DELETE FROM body_piece WHERE name IN (SELECT name FROM gone)",
		DB_ARGS(DB_I(t->now - STAGED_SECONDS), DB_I(SWEEP)), err);
}
