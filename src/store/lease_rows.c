/* Leases that all nodes see: a row for each recipient that somebody works on. Its key keeps two
 * nodes from having the same one; the number of the lease is its fence: drawn anew for each, and a
 * result counts only as long as its rows are there. They go with the result, with the holder, or
 * when their node has not been heard of for too long (shared.c). */
#include "store/queue_private.h"

#include <stdlib.h>

#define ID(x) DB_I((int64_t)(x))

enum { AGAIN = 60 };

int lease_rows_of_domain(struct txn *t, struct str domain, struct err *err)
{
	static char somebody;
	struct map *leased = &t->leases->rcpts;
	struct rows *r;
	int got;

	map_free(leased);
	if (db_query(t->view.db, &r, "SELECT rcpt FROM lease WHERE domain = $1",
		    DB_ARGS(DB_T(domain)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (!map_put_u64(leased, (uint64_t)rows_int(r, 0), &somebody))
			got = err_set(err, ERR_TEMP, "too many leases");
	rows_free(&r);
	return got;
}

int lease_rows_put(struct txn *t, const struct queue_lease *l, uint64_t holder, struct err *err)
{
	static char somebody;

	for (size_t i = 0; i < l->rcpt_count; i++) {
		if (db_exec(t->view.db,
			    "INSERT INTO lease (rcpt, id, node, holder, message, domain)"
			    " VALUES ($1, $2, $3, $4, $5, $6)",
			    DB_ARGS(ID(l->rcpts[i].id), ID(l->id), ID(t->leases->node), ID(holder),
				    ID(l->message), DB_T(l->domain)),
			    err) < 0)
			return -1;
		if (!map_put_u64(&t->leases->rcpts, l->rcpts[i].id, &somebody))
			return err_set(err, ERR_TEMP, "too many leases");
	}
	return 0;
}

/* Out of its rows; NULL when there are none. */
static struct lease *read_lease(struct rows *r, uint64_t id, struct err *err)
{
	struct lease *lease = calloc(1, sizeof *lease + QUEUE_LEASE_RCPTS * sizeof lease->rcpts[0]);
	int got = 0;

	if (!lease) {
		err_set(err, ERR_TEMP, "out of memory for a lease");
		return NULL;
	}
	lease->id = id;
	while (lease->rcpt_count < QUEUE_LEASE_RCPTS && (got = rows_next(r, err)) == 1) {
		lease->rcpts[lease->rcpt_count++] = (uint64_t)rows_int(r, 0);
		lease->holder = (uint64_t)rows_int(r, 1);
		lease->message = (uint64_t)rows_int(r, 2);
	}
	if (got >= 0 && lease->rcpt_count)
		return lease;
	if (got >= 0)
		err_set(err, ERR_NOTFOUND, "this lease has ended");
	free(lease);
	return NULL;
}

struct lease *lease_rows_find(struct txn *t, uint64_t id, uint64_t holder, struct err *err)
{
	struct leases *l = t->leases;
	struct rows *r;

	free(l->found);
	l->found = NULL;
	if (db_query(t->view.db, &r,
		    "SELECT rcpt, holder, message FROM lease WHERE id = $1 AND node = $2",
		    DB_ARGS(ID(id), ID(l->node)), err) < 0)
		return NULL;
	l->found = read_lease(r, id, err);
	rows_free(&r);
	if (l->found && l->found->holder != holder) {
		err_set(err, ERR_DENIED, "not your lease");
		return NULL;
	}
	return l->found;
}

/* What they leave undone is due again, for everybody. */
static int end_all(
	struct txn *t, const char *sql, const struct db_val *v, size_t n, struct err *err)
{
	t->apply.changes->queue = true;
	return db_exec(t->view.db, sql, v, n, err);
}

int lease_rows_end(struct txn *t, struct lease *lease, struct err *err)
{
	return end_all(t, "DELETE FROM lease WHERE id = $1", DB_ARGS(ID(lease->id)), err);
}

int lease_rows_holder_gone(struct txn *t, uint64_t holder, struct err *err)
{
	return end_all(t, "DELETE FROM lease WHERE node = $1 AND holder = $2",
		DB_ARGS(ID(t->leases->node), ID(holder)), err);
}

int leases_of_node_end(struct txn *t, uint64_t node, struct err *err)
{
	return end_all(t, "DELETE FROM lease WHERE node = $1", DB_ARGS(ID(node)), err);
}

/* The table of domains tells of what is worked on as if it were due, and not of what comes after it
 * in the same domain: that is looked for again after a while. */
int lease_rows_when_next(struct txn *t, int64_t *when, struct err *err)
{
	int64_t some;
	int got;

	*when = QUEUE_NEVER;
	if (db_int(t->view.db, when,
		    "SELECT next FROM queue_domain WHERE next > $1 ORDER BY next LIMIT 1",
		    DB_ARGS(DB_I(t->now)), err) < 0)
		return -1;
	got = db_int(t->view.db, &some, "SELECT 1 FROM lease LIMIT 1", DB_NOARGS, err);
	if (got == 1 && *when > t->now + AGAIN)
		*when = t->now + AGAIN;
	return got < 0 ? -1 : 0;
}
