#include "store/trace.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite.h"
#include "store/log_private.h"
#include "store/schema.h"
#include "store/shared.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { STEP = 1000, LAZY_MS = 200, WAL_MAX = 4 << 20 };

/* Those of an older form are made anew: the log has what they had. */
static int make_tables(struct db *db, struct err *err)
{
	int64_t right = 0;

	if (db_int(db, &right,
		    "SELECT count(*) FROM pragma_table_info('trace') WHERE name = 'ring'",
		    DB_NOARGS, err) < 0)
		return -1;
	if (right)
		return 0;
	if (db_begin(db, err) < 0)
		return -1;
	if (db_exec(db, "DROP TABLE IF EXISTS trace", DB_NOARGS, err) == 0 &&
		db_exec(db, "DROP TABLE IF EXISTS trace_position", DB_NOARGS, err) == 0 &&
		db_script(db, str_c(schema_0001_trace), err) == 0 && db_commit(db, err) == 0)
		return 0;
	db_rollback(db);
	return -1;
}

static int read_position(struct follower *f, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(f->db, &r,
		    "SELECT segment, next_offset, last_offset, sequence, batch, checksum"
		    " FROM trace_position",
		    DB_NOARGS, err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		f->at = (struct slog_position){ (uint64_t)rows_int(r, 0), (uint64_t)rows_int(r, 1),
			(uint64_t)rows_int(r, 2), (uint64_t)rows_int(r, 3),
			(uint64_t)rows_int(r, 4), (uint32_t)rows_int(r, 5) };
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int save_position(struct follower *f, const struct slog_position *at, struct err *err)
{
	return db_exec(f->db,
		"UPDATE trace_position SET segment = $1, next_offset = $2, last_offset = $3,"
		" sequence = $4, batch = $5, checksum = $6",
		DB_ARGS(DB_I((int64_t)at->segment), DB_I((int64_t)at->offset),
			DB_I((int64_t)at->last), DB_I((int64_t)at->sequence),
			DB_I((int64_t)at->batch), DB_I(at->checksum)),
		err);
}

int trace_put(struct db *db, const struct effect_trace *e, bool ring, struct err *err)
{
	return db_exec(db,
		"INSERT INTO trace (message, time, event, address, text, ring)"
		" VALUES ($1, $2, $3, $4, $5, $6)",
		DB_ARGS(DB_I((int64_t)e->message), DB_I(e->time), DB_T(e->event), DB_T(e->address),
			DB_T(e->text), DB_I(ring)),
		err);
}

static int follow_record(void *arg, const struct slog_record *r, struct err *err)
{
	struct str effects = r->effects, fields;
	struct follower *f = arg;
	struct effect_trace e;
	uint16_t number;

	while (effect_next(&effects, &number, &fields))
		if (number == EFFECT_trace && effect_trace_get(fields, &e) &&
			trace_put(f->db, &e, false, err) < 0)
			return -1;
	return 0;
}

/* ---- what is not in the log ---- */

bool trace_note(
	struct store *s, uint64_t message, struct str event, struct str address, struct str text)
{
	struct follower *f = &s->follower;
	size_t before;
	bool ok;

	pthread_mutex_lock(&f->lock);
	before = f->notes.n;
	effect_trace_put(
		&f->notes, &(struct effect_trace){ message, clock_wall(), event, address, text });
	ok = f->running && !f->failed && buf_ok(&f->notes);
	if (!ok) {
		f->notes.over = false;
		buf_cut(&f->notes, before);
	} else if (before == 0) {
		pthread_cond_broadcast(&f->cond);
	}
	pthread_mutex_unlock(&f->lock);
	return ok;
}

/* The oldest of the ring give way. */
static int cut_ring(struct follower *f, struct err *err)
{
	return db_exec(f->db,
		"DELETE FROM trace WHERE ring = 1 AND id <= (SELECT id FROM trace WHERE ring = 1"
		" ORDER BY id DESC LIMIT 1 OFFSET $1)",
		DB_ARGS(DB_I(TRACE_RING)), err);
}

static int write_notes(struct follower *f, struct str notes, struct err *err)
{
	struct effect_trace e;
	struct str fields;
	uint16_t number;

	if (db_begin(f->db, err) < 0)
		return -1;
	while (effect_next(&notes, &number, &fields)) {
		if (!effect_trace_get(fields, &e) || trace_put(f->db, &e, true, err) < 0)
			goto failed;
		f->notes_written++;
	}
	if (f->notes_written >= STEP) {
		f->notes_written = 0;
		if (cut_ring(f, err) < 0)
			goto failed;
	}
	if (db_commit(f->db, err) == 0)
		return 0;
failed:
	db_rollback(f->db);
	return -1;
}

int trace_tidy(struct db *db, int64_t before, int64_t most, struct err *err)
{
	return db_exec(db,
		"DELETE FROM trace WHERE id IN (SELECT id FROM trace ORDER BY id LIMIT $1)"
		" AND time < $2",
		DB_ARGS(DB_I(most), DB_I(before)), err);
}

/* Rows older than the retention time go, a few at a time; and what has been written goes into the
 * main file, so that the write-ahead log starts anew. */
static void tidy(struct store *s)
{
	struct follower *f = &s->follower;
	struct err err = ERR_INIT;
	uint32_t left;

	if (trace_tidy(f->db, clock_wall() - s->options.retention, STEP, &err) < 0 ||
		db_sqlite_checkpoint(f->db, DB_RESTART, &left, &err) < 0)
		log_event(LOG_WARN, "store.trace", L_ERR(&err));
}

/* It cannot read on. Where segments have been removed meanwhile, as trace.db may be older than the
 * log after a power cut, the trace has a gap; all else is damage. */
static int pass_gap(struct store *s, struct slog_position *at, struct err *err)
{
	char name[SLOG_NAME];
	uint64_t next;
	int got = slog_next_segment(s->dir, at->segment, &next, err);
	bool here;

	slog_segment_name(name, at->segment, ".seg");
	here = at->offset == 0 || faccessat(s->dir, name, F_OK, 0) == 0;
	if (got == 0 || (got == 1 && here && next == at->segment + 1))
		return err_set(err, ERR_NOTFOUND, "the log cannot be read after record %llu",
			(unsigned long long)at->sequence);
	if (got < 0)
		return -1;
	log_event(LOG_WARN, "store.trace", L_U64("skipped_to", next));
	*at = (struct slog_position){ .segment = next - 1 };
	return 0;
}

/* Read along for a step. 1: there is more. */
static int follow(struct store *s, uint64_t until, struct err *err)
{
	struct follower *f = &s->follower;
	struct slog_position at = f->at;
	bool stop;
	int n;

	if (db_begin(f->db, err) < 0)
		return -1;
	n = slog_follow(s->dir, &at, until, STEP, follow_record, f, err);
	if (n == 0 && at.sequence < until)
		n = pass_gap(s, &at, err) < 0 ? -1 : STEP;
	if (n < 0 || save_position(f, &at, err) < 0 || db_commit(f->db, err) < 0) {
		db_rollback(f->db);
		return -1;
	}
	pthread_mutex_lock(&f->lock);
	f->at = at;
	stop = f->stop;
	pthread_mutex_unlock(&f->lock);
	if (db_sqlite_wal_bytes(f->db) > WAL_MAX)
		tidy(s);
	return n == STEP && !stop;
}

/* It may be a moment behind: many records at once cost less. */
static void sleep_a_little(struct follower *f)
{
	int64_t at = clock_after(LAZY_MS * CLOCK_MSEC);
	struct timespec until = { .tv_sec = (time_t)(at / CLOCK_SEC),
		.tv_nsec = (long)(at % CLOCK_SEC) };

	while (!f->stop && !f->hurry && pthread_cond_timedwait(&f->cond, &f->lock, &until) == 0)
		;
}

/* It failed: the disk may be full, and will not stay so. */
static void pause_a_second(struct follower *f)
{
	int64_t at = clock_after(CLOCK_SEC);
	struct timespec until = { .tv_sec = (time_t)(at / CLOCK_SEC),
		.tv_nsec = (long)(at % CLOCK_SEC) };

	while (!f->stop && pthread_cond_timedwait(&f->cond, &f->lock, &until) == 0)
		;
}

/* One round, with the lock given up meanwhile. */
static int catch_on(struct store *s, struct err *err)
{
	struct follower *f = &s->follower;
	uint64_t until = f->until;
	struct buf notes = f->notes;
	int got = f->at.sequence < until;

	f->notes = BUF(TRACE_WAITING);
	f->writing_notes = true;
	f->hurry = false;
	pthread_mutex_unlock(&f->lock);
	while (got == 1)
		got = follow(s, until, err);
	if (got == 0 && notes.n)
		got = write_notes(f, buf_str(&notes), err);
	buf_free(&notes);
	if (got < 0 && !f->failed)
		log_event(LOG_ERROR, "store.trace", L_ERR(err));
	pthread_mutex_lock(&f->lock);
	f->writing_notes = false;
	return got;
}

static void *follow_log(void *arg)
{
	struct store *s = arg;
	struct follower *f = &s->follower;
	struct err err = ERR_INIT;

	pthread_mutex_lock(&f->lock);
	while (!f->stop) {
		if (f->at.sequence >= f->until && f->notes.n == 0) {
			f->failed = false;
			pthread_cond_wait(&f->cond, &f->lock);
			sleep_a_little(f);
			continue;
		}
		f->failed = catch_on(s, &err) < 0;
		pthread_cond_broadcast(&f->cond);
		if (f->failed)
			pause_a_second(f);
	}
	pthread_mutex_unlock(&f->lock);
	return NULL;
}

int trace_skip(struct store *s, const struct slog_position *to, struct err *err)
{
	struct follower f = { 0 };
	char url[STORE_URL];
	int r = -1;

	index_url(s, url, "trace.db");
	if (db_open(&f.db, url, DB_WRITE, err) == 0 && make_tables(f.db, err) == 0)
		r = save_position(&f, to, err);
	db_close(&f.db);
	return r;
}

static int open_trace(struct store *s, struct err *err)
{
	struct follower *f = &s->follower;
	char url[STORE_URL];

	if (s->shared)
		return shared_connect(s, &f->db, DB_WRITE, err);
	index_url(s, url, "trace.db");
	if (db_open(&f->db, url, DB_WRITE, err) < 0 || make_tables(f->db, err) < 0)
		return -1;
	return read_position(f, err);
}

/* trace.db that cannot be used is no reason to refuse mail. */
int follower_start(struct store *s, struct err *err)
{
	struct follower *f = &s->follower;
	struct err why = ERR_INIT;
	pthread_condattr_t a;

	(void)err;
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->cond, &a);
	pthread_condattr_destroy(&a);
	f->until = s->at.sequence;
	f->notes = BUF(TRACE_WAITING);
	f->failed = open_trace(s, &why) < 0;
	if (f->failed)
		log_event(LOG_ERROR, "store.trace", L_ERR(&why));
	else
		f->running = pthread_create(&f->thread, NULL, follow_log, s) == 0;
	f->started = true;
	return 0;
}

void follower_stop(struct store *s)
{
	struct follower *f = &s->follower;

	if (!f->started)
		return;
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_broadcast(&f->cond);
	pthread_mutex_unlock(&f->lock);
	if (f->running)
		pthread_join(f->thread, NULL);
	db_close(&f->db);
	buf_free(&f->notes);
	pthread_cond_destroy(&f->cond);
	pthread_mutex_destroy(&f->lock);
}

uint64_t follower_needs(struct store *s)
{
	struct follower *f = &s->follower;
	uint64_t segment;

	pthread_mutex_lock(&f->lock);
	segment = f->running && !f->failed ? f->at.segment : UINT64_MAX;
	pthread_mutex_unlock(&f->lock);
	return segment;
}

void follower_tell(struct store *s, uint64_t sequence)
{
	struct follower *f = &s->follower;

	pthread_mutex_lock(&f->lock);
	if (f->at.sequence >= f->until)
		pthread_cond_broadcast(&f->cond);
	f->until = sequence;
	pthread_mutex_unlock(&f->lock);
}

/* Until everything committed so far is in trace.db. */
void follower_catch_up(struct store *s)
{
	struct follower *f = &s->follower;
	int64_t at = clock_after(5 * CLOCK_SEC);
	struct timespec until = { .tv_sec = (time_t)(at / CLOCK_SEC),
		.tv_nsec = (long)(at % CLOCK_SEC) };
	uint64_t want;

	pthread_mutex_lock(&f->lock);
	want = f->until;
	f->hurry = true;
	pthread_cond_broadcast(&f->cond);
	while (f->running && !f->failed && !f->stop &&
		(f->at.sequence < want || f->notes.n || f->writing_notes) &&
		pthread_cond_timedwait(&f->cond, &f->lock, &until) == 0)
		;
	pthread_mutex_unlock(&f->lock);
}

static int open_to_read(struct store *s, struct db **db, struct err *err)
{
	char url[STORE_URL];

	index_url(s, url, "trace.db");
	return db_open(db, url, DB_READ, err);
}

int trace_list(struct view *v, uint64_t message, struct str address, uint64_t after, trace_fn *fn,
	void *arg, struct err *err)
{
	const bool shared = v->store->shared != NULL;
	struct db *db = shared ? v->db : NULL;
	struct rows *r = NULL;
	int got = -1;

	follower_catch_up(v->store);
	if (!shared && open_to_read(v->store, &db, err) < 0)
		return -1;
	if (db_query(db, &r,
		    message ? "SELECT id, message, time, event, address, text FROM trace"
			      " WHERE message = $1 AND $2 = $2 AND id > $3 ORDER BY id"
			    : "SELECT id, message, time, event, address, text FROM trace"
			      " WHERE message IN (SELECT message FROM trace WHERE address = $2)"
			      " AND $1 = 0 AND id > $3 ORDER BY id",
		    DB_ARGS(DB_I((int64_t)message), DB_T(address), DB_I((int64_t)after)), err) == 0)
		while ((got = rows_next(r, err)) == 1) {
			const struct trace_row row = { (uint64_t)rows_int(r, 0),
				(uint64_t)rows_int(r, 1), rows_int(r, 2), rows_str(r, 3),
				rows_str(r, 4), rows_str(r, 5) };

			if (!fn(arg, &row))
				break;
		}
	rows_free(&r);
	if (!shared)
		db_close(&db);
	return got < 0 ? -1 : 0;
}
