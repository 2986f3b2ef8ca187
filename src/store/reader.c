/* The threads for reading jobs, each with a connection of its own. */
#include "store/store_private.h"

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
		if (!job) {
			pthread_cond_wait(&q->cond, &q->lock);
			continue;
		}
		q->jobs.first = job->next;
		if (!job->next)
			q->jobs.end = &q->jobs.first;
		pthread_mutex_unlock(&q->lock);
		run_read(v, job);
		job_list_init(&done);
		job_list_add(&done, job);
		store_finish(v->store, &done);
		pthread_mutex_lock(&q->lock);
	}
	pthread_mutex_unlock(&q->lock);
	return NULL;
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
