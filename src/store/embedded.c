/* The embedded engine: the log (log.h) makes a batch safe, the index follows. */
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite.h"
#include "store/engine.h"
#include "store/io.h"
#include "store/store_private.h"
#include "store/thread_key.h"

#include <stdio.h>

enum { REPLAY_COMMIT = 1000, LAG_MS = 50, FLOOR_MAX = 32 << 20 };

/* So much of the reserve is for the index alone. Below it nothing is written at all: SQLite that
 * runs out of space in the middle of a transaction ends the process. */
static uint64_t floor_of(const struct store *s)
{
	uint64_t half = s->options.reserve_bytes / 2;

	return half < FLOOR_MAX ? half : FLOOR_MAX;
}

/* ---- opening: the index follows the log ---- */

struct replay {
	struct store *s;
	uint64_t count;
};

static int apply_one(struct store *s, const struct slog_record *r, struct err *err)
{
	struct apply a = { .db = s->index,
		.next = &s->next,
		.space = &s->space,
		.segment = r->segment,
		.place = r->offset + SLOG_RECORD_HEAD };

	return apply_record(&a, r->effects, err);
}

static int commit_replay(struct store *s, struct err *err)
{
	if (index_save(s, &s->at, err) < 0 || db_commit(s->index, err) < 0)
		return -1;
	space_committed(&s->space);
	if (db_sqlite_wal_bytes(s->index) > s->options.wal_bytes / 4)
		checkpoint_finish(s);
	return 0;
}

static int replay_one(void *arg, const struct slog_record *r, struct err *err)
{
	struct replay *p = arg;
	struct store *s = p->s;

	/* Only the record of a later batch proves that those before it are on the disk, as they
	 * seem. */
	if (p->count >= REPLAY_COMMIT && r->batch != s->at.batch) {
		if (commit_replay(s, err) < 0)
			return -1;
		p->count = 0;
	}
	if (!db_in_transaction(s->index) && db_begin(s->index, err) < 0)
		return -1;
	if (apply_one(s, r, err) < 0)
		return -1;
	s->at = r->after;
	p->count++;
	return 0;
}

/* The log could not be written: the index must not know more of it than may be on the disk. */
static int forget_replay(struct store *s, struct err *err)
{
	db_rollback(s->index);
	space_forget(&s->space);
	return index_read(s, err);
}

static int open_log(struct store *s, struct err *err)
{
	const struct slog_options o = { .segment_bytes = s->options.segment_bytes,
		.spare_bytes = floor_of(s) };
	const struct slog_position from = s->at;
	struct replay replay = { .s = s };
	const char *damage;

	if (slog_open(&s->log, s->dir, &o, &from, replay_one, &replay, err) < 0) {
		db_rollback(s->index);
		return -1;
	}
	if (db_in_transaction(s->index) &&
		(slog_is_unsure(s->log) ? forget_replay(s, err) : commit_replay(s, err)) < 0)
		return -1;
	damage = slog_damage(s->log);
	if (damage) {
		snprintf(s->alarm, sizeof s->alarm, "read-only: %.200s", damage);
		log_event(LOG_ERROR, "store.read_only", L_Z("why", damage));
	}
	return 0;
}

static int embedded_open(struct store *s, struct err *err)
{
	return index_open(s, err) < 0 || snapshot_start(s, err) < 0 || open_log(s, err) < 0 ||
			blob_prepare(s->dir, err) < 0
		? -1
		: 0;
}

static int embedded_start(struct store *s, struct err *err)
{
	if (thread_keys_open(&s->thread_keys, s->index, s->options.thread_keys, err) < 0 ||
		follower_start(s, err) < 0)
		return -1;
	checkpoint_start(s);
	compact_start(s);
	return 0;
}

static void embedded_stop(struct store *s)
{
	compact_stop(s);
	checkpoint_stop(s);
	follower_stop(s);
}

static void embedded_close(struct store *s)
{
	slog_close(&s->log);
	thread_keys_close(&s->thread_keys);
	db_close(&s->index);
	snapshot_stop(s);
}

/* ---- a batch ---- */

static int embedded_may_begin(struct store *s, size_t expected, struct err *err)
{
	struct err *why = &s->txn.refused;

	(void)err;
	*why = ERR_INIT;
	if (s->options.reserve_bytes && io_free_bytes(s->dir) < floor_of(s))
		err_set(why, ERR_FULL, "disk full: nothing can be written");
	else if (db_in_transaction(s->index) || /* a lazy batch began when there was room */
		checkpoint_make_room(s, why) == 0)
		slog_batch_begin(s->log, expected, why);
	return 0; /* what only reads is done all the same */
}

static int embedded_begin(struct store *s, struct err *err)
{
	if (db_in_transaction(s->index))
		return 0;
	s->saved = s->at;
	s->saved_next = s->next;
	return db_begin(s->index, err);
}

static bool embedded_fits(const struct store *s, size_t expected)
{
	return slog_batch_fits(s->log, expected);
}

static int embedded_job_begin(struct store *s, struct err *err)
{
	(void)err;
	s->txn.now = clock_wall();
	slog_body_place(s->log, &s->txn.apply.segment, &s->txn.apply.place);
	return 0;
}

static int embedded_record(struct store *s, struct err *err)
{
	const struct txn *t = &s->txn;

	return slog_batch_add(s->log, clock_wall_us(), t->body_used ? t->body : STR(""),
		buf_str(&t->effects), err);
}

static int redo(void *arg, const struct slog_record *r, struct err *err)
{
	return apply_one(arg, r, err);
}

/* A request failed after it had changed something, which is rare. The index goes back to its last
 * commit, and what came since is done again from the log. A savepoint for every request, which most
 * never need, costs a copy of each page that they touch. */
static int undo(struct store *s, struct err *err)
{
	struct slog_position at = s->saved;

	db_rollback(s->index);
	s->next = s->saved_next;
	space_forget(&s->space);
	if (db_begin(s->index, err) < 0 || thread_keys_reload(s->thread_keys, s->index, err) < 0 ||
		slog_follow(s->dir, &at, s->at.sequence, SIZE_MAX, redo, s, err) < 0 ||
		slog_batch_each(s->log, redo, s, err) < 0)
		return err_wrap(err, "redo a batch");
	if (at.sequence != s->at.sequence)
		return err_set(err, ERR_TEMP, "redo a batch: the log cannot be read");
	return 0;
}

static int embedded_job_end(struct store *s, struct store_job *job, struct err *err)
{
	if (!db_in_transaction(s->index)) /* even if the job made light of it */
		return err_set(err, ERR_TEMP, "index rolled back: %.180s", job->err.msg);
	return job->result < 0 && s->txn.effects.n ? undo(s, err) : 0;
}

/* Not while nothing may be written: the disk is full, or the write-ahead log. */
static int tend_keys(struct store *s, struct err *err)
{
	return s->txn.refused.kind == ERR_NONE ? thread_keys_tend(s->thread_keys, s->index, err)
					       : 0;
}

static int embedded_settle(struct store *s, struct err *err)
{
	if (!db_in_transaction(s->index))
		return atomic_load(&s->behind)
			? err_set(err, ERR_TEMP, "the index has lost what it was behind with")
			: 0;
	if ((s->at.sequence != s->saved.sequence && index_save(s, &s->at, err) < 0) ||
		tend_keys(s, err) < 0 || db_commit(s->index, err) < 0)
		return err_wrap(err, "commit the index");
	space_committed(&s->space);
	atomic_store(&s->behind, false);
	checkpoint_consider(s);
	return 0;
}

/* The log first: from its flush on the batch is safe, whenever the index follows. */
static int commit_log(struct store *s, bool lazy, struct err *err)
{
	struct slog_position after = s->at;
	bool behind = atomic_load(&s->behind);

	if (s->txn.refused.kind == ERR_NONE && slog_batch_commit(s->log, &after, err) < 0)
		return -1;
	s->records_since_checkpoint += after.sequence - s->at.sequence;
	/* The position names a record; an empty batch may have begun a segment that has none. */
	if (after.sequence != s->at.sequence)
		s->at = after;
	if (!lazy || (behind && clock_mono() >= s->commit_by))
		return embedded_settle(s, err);
	if (!behind)
		s->commit_by = clock_after(LAG_MS * CLOCK_MSEC);
	atomic_store(&s->behind, true);
	return 0;
}

static bool embedded_has_room(const struct store *s, uint64_t bytes)
{
	const uint64_t reserve = s->options.reserve_bytes;
	const uint64_t there = reserve ? io_free_bytes(s->dir) : 0;

	return reserve == 0 ||
		(there >= reserve && there - reserve >= bytes && io_may_create(s->dir));
}

static void embedded_figures(struct store *s, struct store_figures *f)
{
	f->free_bytes = io_free_bytes(s->dir);
	f->log_bytes = slog_bytes(s->log);
	f->read_only = slog_damage(s->log) != NULL;
	snprintf(f->alarm, sizeof f->alarm, "%s",
		s->alarm[0] ? s->alarm
			    : (store_has_room(s) ? "" : "disk nearly full: no new mail is taken"));
}

static int embedded_commit(struct store *s, const struct batch *b, struct err *err)
{
	if (commit_log(s, b->lazy, err) < 0)
		return -1;
	follower_tell(s, s->at.sequence);
	return 0;
}

/* ---- reading ---- */

static int embedded_view_open(struct store *s, struct view *v, struct err *err)
{
	char url[STORE_URL];

	index_url(s, url, "index.db");
	return db_open(&v->db, url, DB_READ, err);
}

const struct engine engine_embedded = {
	.open = embedded_open,
	.start = embedded_start,
	.stop = embedded_stop,
	.close = embedded_close,
	.may_begin = embedded_may_begin,
	.begin = embedded_begin,
	.fits = embedded_fits,
	.job_begin = embedded_job_begin,
	.record = embedded_record,
	.job_end = embedded_job_end,
	.commit = embedded_commit,
	.settle = embedded_settle,
	.figures = embedded_figures,
	.has_room = embedded_has_room,
	.view_open = embedded_view_open,
	.body_read = place_read,
	.body_sums = place_sums,
};
