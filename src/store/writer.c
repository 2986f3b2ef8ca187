/* The writer's thread: batches of whatever is waiting (doc/store.md, "A batch"). */
#include "base/clock.h"
#include "store/body.h"
#include "store/engine.h"
#include "store/queue.h"
#include "store/store_private.h"

#include <stdlib.h>
#include <time.h>

enum { EFFECTS_MAX = 128 << 20, EXPECTED_EFFECTS = 4096, TRIES = 5, SOONER_MS = 50 };

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
	if (t->effects.n == 0 && t->refused.kind != ERR_NONE)
		return 0; /* it has done nothing, and may do so again */
	if (job->call &&
		emit_call(t,
			&(struct effect_call){
				job->call, job->kind, job->owner, buf_str(&job->answer) },
			err) < 0)
		return -1;
	if (t->effects.n == 0)
		return 0;
	return s->engine->record(s, err);
}

static void prepare_job(struct store *s, struct store_job *job)
{
	struct txn *t = &s->txn;

	buf_clear(&t->effects);
	buf_clear(&job->answer);
	t->body = job->body;
	t->body_used = false;
	t->ended_lease = 0;
	t->frozen = 0;
	t->apply.changes = &job->changes;
	job->changes.n = 0;
	job->changes.queue = false;
	job->err = ERR_INIT;
}

/* -1: the transaction cannot go on. A failed job is only a job that failed. */
static int run_saved(struct store *s, struct store_job *job, struct err *err)
{
	prepare_job(s, job);
	if (s->engine->job_begin(s, err) < 0)
		return -1;
	job->result = run_job(s, job, &job->err);
	if (s->engine->job_end(s, job, err) < 0)
		return -1;
	if (job->result == 0)
		queue_lease_ended(s->txn.leases, s->txn.ended_lease);
	return 0;
}

static void must_settle(struct store *s)
{
	struct err err = ERR_INIT;

	if (s->engine->settle(s, &err) < 0)
		store_fatal(s, &err);
}

static size_t expected(const struct store_job *job)
{
	return job->body.n + EXPECTED_EFFECTS;
}

/* Run jobs from the front of the list as one batch. They come out in `done`. */
static int run_once(
	struct store *s, struct store_job **jobs, struct job_list *done, struct err *err)
{
	const struct engine *e = s->engine;
	struct batch b = { .lazy = true };

	if (e->begin(s, err) < 0)
		return err_wrap(err, "begin a batch");
	while (*jobs && b.jobs < STORE_BATCH_JOBS && e->fits(s, expected(*jobs))) {
		struct store_job *job = *jobs;

		*jobs = job->next;
		job_list_add(done, job);
		b.lazy &= job->lazy;
		b.jobs++;
		if (run_saved(s, job, err) < 0)
			return -1;
	}
	b.first = done->first;
	if (e->commit(s, &b, err) < 0)
		return -1;
	atomic_fetch_add(&s->commits, b.jobs);
	atomic_fetch_add(&s->batches, 1);
	return 0;
}

/* The same, again after a conflict with another node. 1: again and again, or the database has no
 * room; nothing has happened, and the jobs are back in the list. -1: fatal. */
static int run_batch(
	struct store *s, struct store_job **jobs, struct job_list *done, struct err *err)
{
	int r;

	for (unsigned tries = 0; tries < TRIES; tries++) {
		job_list_init(done);
		r = run_once(s, jobs, done, err);
		if (r == 0 || !s->engine->undo || (err->kind != ERR_FULL && !db_conflict(s->index)))
			return r;
		s->engine->undo(s);
		*done->end = *jobs;
		*jobs = done->first;
		if (err->kind == ERR_FULL)
			break;
	}
	return 1;
}

/* No batch can begin. */
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

static void look_at_space(struct store *s)
{
	atomic_store(&s->has_room, s->engine->has_room(s, 0));
}

static void run_jobs(struct store *s, struct store_job *jobs)
{
	while (jobs) {
		struct err err = ERR_INIT;
		struct job_list done;
		int r = 1;

		look_at_space(s);
		if (s->engine->may_begin(s, expected(jobs), &err) == 0)
			r = run_batch(s, &jobs, &done, &err);
		if (r < 0) {
			store_fatal(s, &err);
			return;
		}
		if (r > 0) {
			refuse_all(s, jobs, &err);
			return;
		}
		store_finish(s, &done);
	}
}

/* Reading jobs come here when the index is behind. Gives the writing ones. */
static struct store_job *pass_readers_on(struct store *s, struct store_job *jobs)
{
	struct job_list writing;

	job_list_init(&writing);
	while (jobs && !atomic_load(&s->failed)) {
		struct store_job *job = jobs;

		jobs = job->next;
		if (job->write) {
			job_list_add(&writing, job);
			continue;
		}
		must_settle(s);
		if (!atomic_load(&s->failed))
			readers_add(s, job);
	}
	return atomic_load(&s->failed) ? NULL : writing.first;
}

static void run_housekeeping(struct store *s)
{
	struct store_job job = { .write = housekeeping_run };
	struct err err = ERR_INIT;
	struct job_list done;
	struct store_job *jobs = &job;

	look_at_space(s);
	if (s->engine->may_begin(s, EXPECTED_EFFECTS, &err) < 0)
		return;
	if (run_batch(s, &jobs, &done, &err) < 0)
		store_fatal(s, &err);
	else if (job.changes.queue && s->options.changed)
		s->options.changed(s->options.arg, &job.changes);
	s->much_to_do &= job.result == 0;
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

	while (!atomic_load(&s->failed) && (!stop || jobs)) {
		struct timespec until;
		int64_t now = clock_mono();

		if (now >= s->housekeeping) {
			run_housekeeping(s);
			s->housekeeping =
				clock_after(s->much_to_do ? SOONER_MS * CLOCK_MSEC : CLOCK_SEC);
		}
		if (atomic_load(&s->behind) && now >= s->commit_by)
			must_settle(s);
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
	if (!atomic_load(&s->failed))
		must_settle(s);
	return NULL;
}

int writer_start(struct store *s, struct err *err)
{
	struct txn *t = &s->txn;

	t->view = (struct view){ .store = s, .db = s->index };
	t->apply = (struct apply){ .db = s->index,
		.next = &s->next,
		.keys = s->thread_keys,
		.space = &s->space,
		.shared = s->shared != NULL };
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
	body_cache_free(&s->txn.view.cache);
}
