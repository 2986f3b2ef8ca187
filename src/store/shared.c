/* The shared engine: batches as transactions of PostgreSQL. */
#include "store/shared.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/queue.h"
#include "store/trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum {
	BATCH_JOBS = 128,
	TIDY_SECONDS = 10,
	TIDY_ROWS = 1000,
	AGREE = 2, /* seconds by which clocks may differ */
	/* Seconds that one statement may take. */
	WRITE_SECONDS = 30,
	READ_SECONDS = 300
};

#define ID(x) DB_I((int64_t)(x))

static void lost(void *arg, const struct err *why)
{
	store_fatal(arg, why);
}

/* What only reads may be a question about everything there is. */
int shared_connect(struct store *s, struct db **db, enum db_mode mode, struct err *err)
{
	if (db_open(db, s->options.url, mode, err) < 0)
		return -1;
	db_on_lost(*db, lost, s);
	if (mode == DB_READ)
		db_limit(*db, READ_SECONDS * CLOCK_SEC);
	return 0;
}

/* Names are compared and sorted byte for byte, as on SQLite. */
static int check_database(struct db *db, struct err *err)
{
	int64_t right = 0;

	if (db_int(db, &right,
		    "SELECT count(*) FROM pg_database WHERE datname = current_database()"
		    " AND pg_encoding_to_char(encoding) = 'UTF8'"
		    " AND (datcollate IN ('C', 'POSIX') OR datcollate LIKE 'C.%')",
		    DB_NOARGS, err) < 0)
		return -1;
	return right ? 0
		     : err_set(err, ERR_PERM,
			       "the database must be made with ENCODING 'UTF8' LC_COLLATE 'C'"
			       " (TEMPLATE template0)");
}

/* No standby is waited for, so that a node which starts without one can be read: if it is
 * forgotten, the node finds itself buried. */
static int put_node(struct store *s, struct err *err)
{
	if (db_begin(s->index, err) < 0 ||
		db_exec(s->index, "SET LOCAL synchronous_commit = off", DB_NOARGS, err) < 0 ||
		db_exec(s->index,
			"INSERT INTO node (id, until) VALUES ($1, " SHARED_NOW " + $2)"
			" ON CONFLICT (id) DO UPDATE SET until = " SHARED_NOW " + $2",
			DB_ARGS(ID(s->shared->node), DB_I(NODE_SECONDS)), err) < 0)
		return -1;
	return db_commit(s->index, err);
}

static int shared_open(struct store *s, struct err *err)
{
	struct shared *h = calloc(1, sizeof *h);

	if (!h)
		return err_set(err, ERR_TEMP, "out of memory for the store");
	*h = (struct shared){ .stop = { -1, -1 } };
	pthread_mutex_init(&h->side_lock, NULL);
	s->shared = h;
	if (getrandom(&h->node, sizeof h->node, 0) != sizeof h->node)
		return err_sys(err, "draw random bytes for", "this node");
	h->node >>= 1;
	if (shared_connect(s, &s->index, DB_WRITE, err) < 0 || check_database(s->index, err) < 0 ||
		index_tables(s->index, err) < 0 || shared_connect(s, &h->side, DB_WRITE, err) < 0)
		return -1;
	/* Durable with the commit of their message, which comes later in the same log. */
	if (db_exec(h->side, "SET synchronous_commit = off", DB_NOARGS, err) < 0)
		return -1;
	h->leases_next = clock_after((NODE_SECONDS - NODE_MARGIN) * CLOCK_SEC);
	atomic_store(&h->leases_end, h->leases_next);
	db_defer(s->index, true);
	db_limit(s->index, WRITE_SECONDS * CLOCK_SEC); /* to make the tables may take longer */
	db_limit(h->side, WRITE_SECONDS * CLOCK_SEC);
	return shared_connect(s, &h->listen, DB_WRITE, err) < 0 || notes_open(s, err) < 0 ||
			put_node(s, err) < 0
		? -1
		: 0;
}

static int shared_start(struct store *s, struct err *err)
{
	leases_share(s->txn.leases, s->shared->node);
	return follower_start(s, err) < 0 || notes_start(s, err) < 0 ? -1 : 0;
}

/* Who ends in peace needs no burial. What its couriers may still be at stays theirs until then. No
 * standby is waited for: if it is forgotten, the node is buried after all. */
static void take_leave(struct store *s)
{
	struct err ignored = ERR_INIT;

	if (s->writer_runs && !atomic_load(&s->failed) &&
		db_exec(s->index, "SET synchronous_commit = off", DB_NOARGS, &ignored) == 0)
		(void)db_exec(s->index,
			"DELETE FROM node WHERE id = $1"
			" AND NOT EXISTS (SELECT 1 FROM lease WHERE node = $1)",
			DB_ARGS(ID(s->shared->node)), &ignored);
}

static void shared_stop(struct store *s)
{
	if (!s->shared)
		return;
	take_leave(s);
	notes_stop(s);
	follower_stop(s);
}

static void shared_close(struct store *s)
{
	struct shared *h = s->shared;

	db_close(&s->index);
	if (!h)
		return;
	db_close(&h->side);
	db_close(&h->listen);
	pthread_mutex_destroy(&h->side_lock);
	free(h);
	s->shared = NULL;
}

/* ---- a batch ---- */

static int shared_may_begin(struct store *s, size_t expected, struct err *err)
{
	(void)s, (void)expected, (void)err;
	return 0;
}

/* The lock of all nodes, and what the last of them has left. Tables that a later version has
 * brought up to date meanwhile are not touched. */
static int lock_counters(struct store *s, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(s->index, &r,
		    "SELECT " INDEX_COUNTERS ", " SHARED_NOW ", (SELECT version FROM index_version)"
		    " FROM log_position FOR UPDATE",
		    DB_NOARGS, err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1 && rows_int(r, 8) != INDEX_VERSION) {
		got = err_set(err, ERR_CLOSED,
			"another machine has brought the tables to format %d, and this one knows "
			"%d",
			(int)rows_int(r, 8), INDEX_VERSION);
	} else if (got == 1) {
		index_counters(r, 0, &s->next);
		s->shared->now = rows_int(r, 7);
	} else if (got == 0) {
		err_set(err, ERR_PERM, "the database holds no counters");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* T174: who was asleep for so long that others have buried it has no leases any more, and its
 * courier must not go on as if it had: the next process is another node. */
static int renew(struct store *s, struct err *err)
{
	struct shared *h = s->shared;

	if (h->now < h->renewed + NODE_RENEW && h->now >= h->renewed)
		return 0;
	h->renewed = h->now;
	h->leases_next = clock_after((NODE_SECONDS - NODE_MARGIN) * CLOCK_SEC);
	if (db_exec(s->index, "UPDATE node SET until = " SHARED_NOW " + $2 WHERE id = $1",
		    DB_ARGS(ID(h->node), DB_I(NODE_SECONDS)), err) < 0)
		return -1;
	return db_changes(s->index)
		? 0
		: err_set(err, ERR_CLOSED, "other machines have taken this one for dead");
}

static int shared_begin(struct store *s, struct err *err)
{
	struct shared *h = s->shared;

	h->jobs = 0;
	h->changed = false;
	if (db_begin(s->index, err) < 0 || lock_counters(s, err) < 0)
		return -1;
	return renew(s, err);
}

static bool shared_fits(const struct store *s, size_t expected)
{
	(void)expected;
	return s->shared->jobs < BATCH_JOBS;
}

static int shared_job_begin(struct store *s, struct err *err)
{
	s->shared->jobs++;
	s->saved_next = s->next;
	s->txn.now = s->shared->now;
	s->txn.ahead = clock_wall() - s->shared->now;
	if (s->txn.ahead >= -AGREE && s->txn.ahead <= AGREE)
		s->txn.ahead = 0;
	return db_save(s->index, err);
}

static int shared_record(struct store *s, struct err *err)
{
	s->shared->changed = true;
	return s->txn.body_used ? piece_put_inline(s, err) : 0;
}

/* A job that has made light of a failed statement fails here, as nothing more can follow. */
static int shared_job_end(struct store *s, struct store_job *job, struct err *err)
{
	if (job->result == 0 && db_keep(s->index, &job->err) == 0) {
		s->shared->changed |= job->repeated;
		return 0;
	}
	job->result = -1;
	s->next = s->saved_next;
	if (db_conflict(s->index)) {
		*err = job->err;
		return -1;
	}
	return db_undo(s->index, err);
}

static int save_counters(struct store *s, struct err *err)
{
	const struct counters *n = &s->next;

	return db_exec(s->index,
		"UPDATE log_position SET sequence = sequence + 1, next_domain = $1,"
		" next_account = $2, next_address = $3, next_body = $4, next_rcpt = $5, calls = $6,"
		" calls_turned = $7",
		DB_ARGS(ID(n->domain), ID(n->account), ID(n->address), ID(n->body), ID(n->rcpt),
			DB_I(n->calls), DB_I(n->calls_turned)),
		err);
}

/* It waits for a standby as long as that takes; whether the server is there at all, the listening
 * thread sees meanwhile. */
static int commit(struct store *s, struct err *err)
{
	int r;

	if (atomic_load(&s->shared->standby) != STORE_STANDBY_NONE)
		db_limit(s->index, 0);
	r = db_commit(s->index, err);
	db_limit(s->index, WRITE_SECONDS * CLOCK_SEC);
	return r;
}

/* T172: who gets an answer again that was given before has found a commit that may not be on the
 * standby. This one writes, so it waits for the standby, and so for all that was before it. */
static int shared_commit(struct store *s, const struct batch *b, struct err *err)
{
	if ((s->shared->changed && save_counters(s, err) < 0) || notes_send(s, b, err) < 0 ||
		commit(s, err) < 0)
		return err_wrap(err, "commit");
	atomic_store(&s->shared->leases_end, s->shared->leases_next);
	return 0;
}

static int shared_settle(struct store *s, struct err *err)
{
	(void)s, (void)err;
	return 0;
}

/* What it has said of this node is undone, too. */
static void shared_undo(struct store *s)
{
	s->shared->renewed = s->shared->tidied = 0;
	db_rollback(s->index);
}

/* T170: on one machine only, if that is not enough. */
static bool shared_has_room(const struct store *s, uint64_t bytes)
{
	(void)bytes;
	return !s->options.standby || atomic_load(&s->shared->standby) == STORE_STANDBY_THERE;
}

static void shared_figures(struct store *s, struct store_figures *f)
{
	f->standby = (enum store_standby)atomic_load(&s->shared->standby);
	if (f->standby == STORE_STANDBY_MISSING)
		snprintf(f->alarm, sizeof f->alarm,
			"the database's synchronous standby is not there: commits wait for it");
	else if (!store_has_room(s))
		snprintf(f->alarm, sizeof f->alarm,
			"the database has no synchronous standby: no new mail is taken");
}

/* ---- once a second ---- */

/* Who has died: what it had is due again. */
static int bury_nodes(struct txn *t, struct err *err)
{
	struct shared *h = t->view.store->shared;
	int64_t id;
	int got;

	while ((got = db_int(t->view.db, &id,
			"DELETE FROM node WHERE id = (SELECT id FROM node WHERE until < $1 LIMIT 1)"
			" RETURNING id",
			DB_ARGS(DB_I(h->now)), err)) == 1) {
		log_event(LOG_WARN, "store.node_dead", L_U64("node", (uint64_t)id));
		if (leases_of_node_end(t, (uint64_t)id, err) < 0)
			return -1;
	}
	return got;
}

static int shared_tend(struct txn *t, struct err *err)
{
	struct store *s = t->view.store;
	struct shared *h = s->shared;

	if (bury_nodes(t, err) < 0)
		return -1;
	if (h->now < h->tidied + TIDY_SECONDS && h->now >= h->tidied)
		return 0;
	h->tidied = h->now;
	return trace_tidy(t->view.db, h->now - s->options.retention, TIDY_ROWS, err) < 0 ||
			staged_sweep(t, err) < 0
		? -1
		: 0;
}

/* ---- reading ---- */

static int shared_view_open(struct store *s, struct view *v, struct err *err)
{
	return shared_connect(s, &v->db, DB_READ, err);
}

int store_database_bytes(struct view *v, uint64_t *bytes, struct err *err)
{
	int64_t n = 0;

	*bytes = 0;
	if (v->store->shared &&
		db_int(v->db, &n, "SELECT pg_database_size(current_database())", DB_NOARGS, err) <
			0)
		return -1;
	*bytes = (uint64_t)n;
	return 0;
}

const struct engine engine_shared = {
	.open = shared_open,
	.start = shared_start,
	.stop = shared_stop,
	.close = shared_close,
	.may_begin = shared_may_begin,
	.begin = shared_begin,
	.fits = shared_fits,
	.job_begin = shared_job_begin,
	.record = shared_record,
	.job_end = shared_job_end,
	.commit = shared_commit,
	.settle = shared_settle,
	.undo = shared_undo,
	.tend = shared_tend,
	.figures = shared_figures,
	.has_room = shared_has_room,
	.view_open = shared_view_open,
	.body_read = piece_read,
	.body_sums = piece_sums,
};
