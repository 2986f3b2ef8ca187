/* The threads for reading jobs, each with a connection of its own. */
#include "base/clock.h"
#include "db/sqlite.h"
#include "store/store_private.h"

#define AGAIN (5 * CLOCK_MSEC)

void readers_add(struct store *s, struct store_job *job)
{
	pthread_mutex_lock(&s->reading.lock);
	job_list_add(&s->reading.jobs, job);
	pthread_cond_signal(&s->reading.cond);
	pthread_mutex_unlock(&s->reading.lock);
}

static void run_read(struct view *v, struct store_job *job)
{
	job->err = ERR_INIT;
	if (db_begin(v->db, &job->err) < 0)
		return;
	job->result = job->read(v, job, &job->err);
	db_rollback(v->db); /* nothing was written: this only ends the moment */
}

static void *read_jobs(void *arg)
{
	struct view *v = arg;
	struct job_queue *q = &v->store->reading;
	struct job_list done;

	pthread_mutex_lock(&q->lock);
	for (;;) {
		struct store_job *job = q->jobs.first;

		if (!job && q->stop)
			break;
		if (!job || q->paused) {
			pthread_cond_wait(&q->cond, &q->lock);
			continue;
		}
		q->jobs.first = job->next;
		if (!job->next)
			q->jobs.end = &q->jobs.first;
		q->running++;
		pthread_mutex_unlock(&q->lock);
		run_read(v, job);
		job_list_init(&done);
		job_list_add(&done, job);
		store_finish(v->store, &done);
		pthread_mutex_lock(&q->lock);
		q->running--;
		pthread_cond_signal(&q->idle);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
}

/* The lock is held. */
static void wait_idle(struct job_queue *q, int64_t until)
{
	const struct timespec at = { .tv_sec = (time_t)(until / CLOCK_SEC),
		.tv_nsec = (long)(until % CLOCK_SEC) };

	while (q->running && pthread_cond_timedwait(&q->idle, &q->lock, &at) == 0)
		;
}

bool readers_pause(struct store *s, int64_t grace, int64_t until)
{
	struct job_queue *q = &s->reading;
	bool idle;

	pthread_mutex_lock(&q->lock);
	q->paused = true;
	wait_idle(q, grace);
	/* Again and again: between two statements of a job it would not be noticed. */
	while (q->running && clock_mono() < until) {
		for (unsigned i = 0; i < s->reader_count; i++)
			db_sqlite_interrupt(s->reader_views[i].db);
		wait_idle(q, clock_after(AGAIN));
	}
	idle = q->running == 0;
	pthread_mutex_unlock(&q->lock);
	return idle;
}

void readers_resume(struct store *s)
{
	pthread_mutex_lock(&s->reading.lock);
	s->reading.paused = false;
	pthread_cond_broadcast(&s->reading.cond);
	pthread_mutex_unlock(&s->reading.lock);
}

int readers_start(struct store *s, struct err *err)
{
	for (unsigned i = 0; i < s->options.readers; i++) {
		struct view *v = &s->reader_views[i];

		if (view_open(s, v, err) < 0)
			return -1;
		if (pthread_create(&s->readers[i], NULL, read_jobs, v) != 0) {
			view_close(v);
			return err_set(err, ERR_TEMP, "cannot start a thread for reading");
		}
		s->reader_count++;
	}
	return 0;
}

void readers_stop(struct store *s)
{
	pthread_mutex_lock(&s->reading.lock);
	s->reading.stop = true;
	pthread_cond_broadcast(&s->reading.cond);
	pthread_mutex_unlock(&s->reading.lock);
	for (unsigned i = 0; i < s->reader_count; i++) {
		pthread_join(s->readers[i], NULL);
		view_close(&s->reader_views[i]);
	}
}
