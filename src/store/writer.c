/* The writer's thread: batches of whatever is waiting (doc/store.md, "A batch"). */
#include "base/clock.h"
#include "store/io.h"
#include "store/queue.h"
#include "store/store_private.h"

#include <stdlib.h>
#include <time.h>

enum { EFFECTS_MAX = 128 << 20, EXPECTED_EFFECTS = 4096, LAG_MS = 20 };

/* The answer that this call got before. 1 found, 0 not, -1 (also when it was another call). */
static int answered_before(struct txn *t, struct store_job *job, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT kind, owner, answer FROM call_even WHERE id = $1"
		    " UNION ALL SELECT kind, owner, answer FROM call_odd WHERE id = $1",
		    DB_ARGS(DB_I((int64_t)job->call)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1 && (rows_int(r, 0) != job->kind || (uint64_t)rows_int(r, 1) != job->owner))
		got = err_set(err, ERR_PROTO, "call id was used for something else");
	if (got == 1) {
		buf_clear(&job->answer);
		buf_add(&job->answer, rows_str(r, 2));
		job->repeated = true;
		if (!buf_ok(&job->answer))
			got = err_set(err, ERR_TEMP, "out of memory for an answer");
	}
	rows_free(&r);
	return got;
}

static int run_job(struct store *s, struct store_job *job, struct err *err)
{
	struct txn *t = &s->txn;
	int got;

	if (job->call) {
		got = answered_before(t, job, err);
		if (got)
			return got < 0 ? -1 : 0;
	}
	if (job->intake && !store_has_room(s))
		return err_set(err, ERR_FULL, "disk nearly full: no new mail is taken");
	if (job->write(t, job, err) < 0)
		return -1;
	if (job->call &&
		emit_call(t,
			&(struct effect_call){
				job->call, job->kind, job->owner, buf_str(&job->answer) },
			err) < 0)
		return -1;
	if (t->effects.n == 0)
		return 0;
	return slog_batch_add(s->log, clock_wall_us(), t->body_used ? t->body : STR(""),
		buf_str(&t->effects), err);
}

static int begin_index(struct store *s, struct err *err)
{
	if (db_in_transaction(s->index))
		return 0;
	s->saved = s->at;
	s->saved_next = s->next;
	return db_begin(s->index, err);
}

static int redo(void *arg, const struct slog_record *r, struct err *err)
{
	struct store *s = arg;
	struct apply a = { .db = s->index,
		.next = &s->next,
		.space = &s->space,
		.segment = r->segment,
		.place = r->offset + SLOG_RECORD_HEAD };

	return apply_record(&a, r->effects, err);
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
	if (db_begin(s->index, err) < 0 ||
		slog_follow(s->dir, &at, s->at.sequence, SIZE_MAX, redo, s, err) < 0 ||
		slog_batch_each(s->log, redo, s, err) < 0)
		return err_wrap(err, "redo a batch");
	if (at.sequence != s->at.sequence)
		return err_set(err, ERR_TEMP, "redo a batch: the log cannot be read");
	return 0;
}

/* -1: the transaction cannot go on. A failed job is only a job that failed. */
static int run_saved(struct store *s, struct store_job *job, struct err *err)
{
	struct txn *t = &s->txn;

	buf_clear(&t->effects);
	buf_clear(&job->answer);
	t->body = job->body;
	t->body_used = false;
	t->ended_lease = 0;
	t->frozen = 0;
	t->now = clock_wall();
	t->apply.changes = &job->changes;
	job->changes.n = 0;
	job->changes.queue = false;
	slog_body_place(s->log, &t->apply.segment, &t->apply.place);
	job->err = ERR_INIT;
	job->result = run_job(s, job, &job->err);
	if (!db_in_transaction(s->index)) /* even if the job made light of it */
		return err_set(err, ERR_TEMP, "index rolled back: %.180s", job->err.msg);
	if (job->result == 0)
		queue_lease_ended(t->leases, t->ended_lease);
	else if (t->effects.n)
		return undo(s, err);
	return 0;
}

static int commit_index(struct store *s, struct err *err)
{
	if (!db_in_transaction(s->index))
		return atomic_load(&s->behind)
			? err_set(err, ERR_TEMP, "the index has lost what it was behind with")
			: 0;
	if ((s->at.sequence != s->saved.sequence && index_save(s, &s->at, err) < 0) ||
		db_commit(s->index, err) < 0)
		return err_wrap(err, "commit the index");
	atomic_store(&s->behind, false);
	checkpoint_consider(s);
	return 0;
}

static void must_commit_index(struct store *s)
{
	struct err err = ERR_INIT;

	if (commit_index(s, &err) < 0) {
		s->failed = true;
		store_fatal(s, &err);
	}
}

/* The log first: from its flush on the batch is safe, whenever the index follows. */
static int commit_batch(struct store *s, bool lazy, struct err *err)
{
	struct slog_position after;
	bool behind = atomic_load(&s->behind);

	if (slog_batch_commit(s->log, &after, err) < 0)
		return -1;
	s->records_since_checkpoint += after.sequence - s->at.sequence;
	/* The position names a record; an empty batch may have begun a segment that has none. */
	if (after.sequence != s->at.sequence)
		s->at = after;
	if (!lazy || (behind && clock_mono() >= s->commit_by))
		return commit_index(s, err);
	if (!behind)
		s->commit_by = clock_after(LAG_MS * CLOCK_MSEC);
	atomic_store(&s->behind, true);
	return 0;
}

static size_t expected(const struct store_job *job)
{
	return job->body.n + EXPECTED_EFFECTS;
}

/* Run jobs from the front of the list as one batch. The finished ones come out in `done`. -1:
 * fatal. */
static int run_batch(
	struct store *s, struct store_job **jobs, struct job_list *done, struct err *err)
{
	unsigned n = 0;
	bool lazy = true;

	if (begin_index(s, err) < 0)
		return err_wrap(err, "begin a batch");
	while (*jobs && n < STORE_BATCH_JOBS && slog_batch_fits(s->log, expected(*jobs))) {
		struct store_job *job = *jobs;

		*jobs = job->next;
		if (run_saved(s, job, err) < 0)
			return -1;
		job_list_add(done, job);
		lazy &= job->lazy;
		n++;
	}
	if (commit_batch(s, lazy, err) < 0)
		return -1;
	atomic_fetch_add(&s->commits, n);
	atomic_fetch_add(&s->batches, 1);
	return 0;
}

/* No batch can begin: the log is read-only, or no segment could be made. */
static void refuse_all(struct store *s, struct store_job *jobs, const struct err *why)
{
	struct job_list refused;

	job_list_init(&refused);
	while (jobs) {
		struct store_job *job = jobs;

		jobs = job->next;
		job->result = -1;
		job->err = *why;
		job_list_add(&refused, job);
	}
	store_finish(s, &refused);
}

static void run_jobs(struct store *s, struct store_job *jobs)
{
	while (jobs) {
		struct err err = ERR_INIT;
		struct job_list done;

		job_list_init(&done);
		if (slog_batch_begin(s->log, expected(jobs), &err) < 0) {
			refuse_all(s, jobs, &err);
			return;
		}
		if (run_batch(s, &jobs, &done, &err) < 0) {
			s->failed = true;
			store_fatal(s, &err);
			return;
		}
		follower_tell(s, s->at.sequence);
		store_finish(s, &done);
	}
}

/* Reading jobs come here when the index is behind. Gives the writing ones. */
static struct store_job *pass_readers_on(struct store *s, struct store_job *jobs)
{
	struct job_list writing;

	job_list_init(&writing);
	while (jobs && !s->failed) {
		struct store_job *job = jobs;

		jobs = job->next;
		if (job->write) {
			job_list_add(&writing, job);
			continue;
		}
		must_commit_index(s);
		if (!s->failed)
			readers_add(s, job);
	}
	return s->failed ? NULL : writing.first;
}

static void run_housekeeping(struct store *s)
{
	struct store_job job = { .write = housekeeping_run };
	struct err err = ERR_INIT;
	struct job_list done;
	struct store_job *jobs = &job;

	atomic_store(&s->has_room,
		s->options.reserve_bytes == 0 || io_free_bytes(s->dir) >= s->options.reserve_bytes);
	job_list_init(&done);
	if (slog_damage(s->log) || slog_batch_begin(s->log, EXPECTED_EFFECTS, &err) < 0)
		return;
	if (run_batch(s, &jobs, &done, &err) < 0) {
		s->failed = true;
		store_fatal(s, &err);
	}
	store_job_free(&job);
}

static struct timespec wake_up_at(struct store *s)
{
	int64_t at = s->housekeeping;

	if (atomic_load(&s->behind) && s->commit_by < at)
		at = s->commit_by;
	return (struct timespec){ .tv_sec = (time_t)(at / CLOCK_SEC),
		.tv_nsec = (long)(at % CLOCK_SEC) };
}

static void *write_jobs(void *arg)
{
	struct store *s = arg;
	struct job_queue *q = &s->writing;
	struct store_job *jobs = NULL;
	bool stop = false;

	while (!s->failed && (!stop || jobs)) {
		struct timespec until;
		int64_t now = clock_mono();

		if (now >= s->housekeeping) {
			run_housekeeping(s);
			s->housekeeping = clock_after(CLOCK_SEC);
		}
		if (atomic_load(&s->behind) && now >= s->commit_by)
			must_commit_index(s);
		until = wake_up_at(s);
		pthread_mutex_lock(&q->lock);
		if (!q->jobs.first && !q->stop)
			pthread_cond_timedwait(&q->cond, &q->lock, &until);
		jobs = q->jobs.first;
		job_list_init(&q->jobs);
		stop = q->stop;
		pthread_mutex_unlock(&q->lock);
		run_jobs(s, pass_readers_on(s, jobs));
	}
	if (!s->failed)
		must_commit_index(s);
	return NULL;
}

int writer_start(struct store *s, struct err *err)
{
	struct txn *t = &s->txn;

	t->view = (struct view){ s, s->index };
	t->apply = (struct apply){ .db = s->index, .next = &s->next, .space = &s->space };
	t->effects = BUF(EFFECTS_MAX);
	if (pthread_create(&s->writer, NULL, write_jobs, s) != 0)
		return err_set(err, ERR_TEMP, "cannot start the writer's thread");
	s->writer_runs = true;
	return 0;
}

void writer_stop(struct store *s)
{
	if (!s->writer_runs)
		return;
	pthread_mutex_lock(&s->writing.lock);
	s->writing.stop = true;
	pthread_cond_signal(&s->writing.cond);
	pthread_mutex_unlock(&s->writing.lock);
	pthread_join(s->writer, NULL);
	buf_free(&s->txn.effects);
}
