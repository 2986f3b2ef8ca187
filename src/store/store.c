/* Opening and closing a store, and the list of finished jobs. */
#include "store/store.h"
#include "base/clock.h"
#include "base/log.h"
#include "store/body.h"
#include "store/engine.h"
#include "store/io.h"
#include "store/queue.h"
#include "store/shared.h"
#include "store/store_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { LARGE = 1 << 20 };

void job_list_init(struct job_list *l)
{
	l->first = NULL;
	l->end = &l->first;
}

void job_list_add(struct job_list *l, struct store_job *job)
{
	job->next = NULL;
	*l->end = job;
	l->end = &job->next;
}

static int check_restored(const struct store *s, struct err *err)
{
	if (s->options.restoring || faccessat(s->dir, STORE_RESTORING, F_OK, 0) < 0)
		return 0;
	return err_set(err, ERR_PERM,
		"a backup was not brought back to its end: run `eilpost restore` again");
}

static int take_lock(struct store *s, struct err *err)
{
	s->lock_fd = io_open(s->dir, "lock", O_RDWR | O_CREAT, err);
	if (s->lock_fd < 0)
		return -1;
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return check_restored(s, err);
	if (errno == EWOULDBLOCK)
		return err_set(err, ERR_EXISTS, "the data directory is in use by another process");
	return err_sys(err, "lock", "lock");
}

static void init_queue(struct job_queue *q)
{
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->cond, &a);
	pthread_cond_init(&q->idle, &a);
	pthread_condattr_destroy(&a);
	job_list_init(&q->jobs);
}

static void set_defaults(struct store_options *o)
{
	if (o->retention == 0)
		o->retention = STORE_RETENTION;
	if (o->quota_grace == 0)
		o->quota_grace = STORE_QUOTA_GRACE;
	if (o->subaddress == 0)
		o->subaddress = '+';
	if (o->wal_bytes == 0)
		o->wal_bytes = 64 << 20;
	if (o->wal_patience == 0)
		o->wal_patience = 5 * CLOCK_SEC;
	if (o->readers == 0)
		o->readers = 2;
	if (o->readers > STORE_READERS_MAX)
		o->readers = STORE_READERS_MAX;
}

/* Writing: the writer, the trace, what listens to other nodes, and bodies that come ahead. Reading:
 * each reader, and one view for the caller. */
int store_connect(const struct store_options *o, struct err *err)
{
	struct store_options all = *o;

	if (!o->url)
		return 0;
	set_defaults(&all);
	if (db_ahead(o->url, DB_WRITE, STORE_WRITING, err) < 0)
		return -1;
	return db_ahead(o->url, DB_READ, all.readers + 1, err);
}

static int make_store(int dir, const struct store_options *o, struct store **out, struct err *err)
{
	struct store *s = calloc(1, sizeof *s);

	*out = NULL;
	if (!s)
		return err_set(err, ERR_TEMP, "out of memory for the store");
	*out = s;
	s->dir = dir;
	s->lock_fd = -1;
	s->options = *o;
	s->engine = o->url ? &engine_shared : &engine_embedded;
	set_defaults(&s->options);
	space_init(&s->space);
	init_queue(&s->writing);
	init_queue(&s->reading);
	pthread_mutex_init(&s->finished_lock, NULL);
	pthread_cond_init(&s->finished_cond, NULL);
	job_list_init(&s->finished);
	snapshot_init(s);
	compact_init(s);
	atomic_store(&s->has_room, true);
	return 0;
}

int store_open_alone(int dir, const char *path, struct store **out, struct err *err)
{
	const struct store_options o = { .path = path };

	if (make_store(dir, &o, out, err) < 0)
		return -1;
	if (take_lock(*out, err) == 0)
		return 0;
	store_close(out);
	return -1;
}

int store_open(int dir, const struct store_options *o, struct store **out, struct err *err)
{
	struct store *s;

	if (make_store(dir, o, &s, err) < 0)
		return -1;
	*out = NULL;
	if (take_lock(s, err) < 0 || s->engine->open(s, err) < 0 ||
		leases_new(&s->txn.leases, err) < 0 || s->engine->start(s, err) < 0 ||
		readers_start(s, err) < 0 || writer_start(s, err) < 0) {
		store_close(&s);
		return -1;
	}
	*out = s;
	return 0;
}

static void free_queue(struct job_queue *q)
{
	pthread_cond_destroy(&q->cond);
	pthread_cond_destroy(&q->idle);
	pthread_mutex_destroy(&q->lock);
}

void store_close(struct store **out)
{
	struct store *s = *out;

	*out = NULL;
	if (!s)
		return;
	writer_stop(s);
	readers_stop(s);
	s->engine->stop(s);
	leases_free(&s->txn.leases);
	s->engine->close(s);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	space_end(&s->space);
	compact_end(s);
	free_queue(&s->writing);
	free_queue(&s->reading);
	pthread_cond_destroy(&s->finished_cond);
	pthread_mutex_destroy(&s->finished_lock);
	free(s);
}

void store_fatal(struct store *s, const struct err *why)
{
	if (atomic_exchange(&s->failed, true))
		return;
	log_event(LOG_ERROR, "store.fatal", L_ERR(why));
	if (!s->options.fatal)
		abort();
	s->options.fatal(s->options.arg, why);
}

int view_open(struct store *s, struct view *v, struct err *err)
{
	*v = (struct view){ .store = s };
	return s->engine->view_open(s, v, err);
}

void view_close(struct view *v)
{
	db_close(&v->db);
	body_cache_free(&v->cache);
}

int64_t store_leases_end(struct store *s)
{
	return s->shared ? atomic_load(&s->shared->leases_end) : INT64_MAX;
}

bool store_is_behind(struct store *s)
{
	return atomic_load(&s->behind);
}

void store_submit(struct store *s, struct store_job *job)
{
	struct job_queue *q = &s->writing;
	bool first;

	job->result = -1;
	job->repeated = false;
	/* A reader must see what was answered before it asked: the writer commits, and passes it
	 * on.
	 */
	if (!job->write && !store_is_behind(s)) {
		readers_add(s, job);
		return;
	}
	pthread_mutex_lock(&q->lock);
	first = !q->jobs.first;
	job_list_add(&q->jobs, job);
	if (first)
		pthread_cond_signal(&q->cond);
	pthread_mutex_unlock(&q->lock);
}

bool store_submit_own(struct store *s, struct store_job *job)
{
	struct job_queue *q = &s->writing;
	bool stop;

	pthread_mutex_lock(&q->lock);
	stop = q->stop || !s->writer_runs;
	if (!stop) {
		job_list_add(&q->jobs, job);
		pthread_cond_signal(&q->cond);
	}
	pthread_mutex_unlock(&q->lock);
	return !stop;
}

static void take_own(struct job_list *jobs)
{
	struct store_job **at = &jobs->first;

	while (*at) {
		struct store_job *job = *at;

		if (job->done) {
			*at = job->next;
			job->done(job);
		} else {
			at = &job->next;
		}
	}
	jobs->end = at;
}

void store_finish(struct store *s, struct job_list *jobs)
{
	bool first;

	take_own(jobs);
	if (!jobs->first)
		return;
	pthread_mutex_lock(&s->finished_lock);
	first = !s->finished.first;
	*s->finished.end = jobs->first;
	s->finished.end = jobs->end;
	if (!s->options.woken)
		pthread_cond_broadcast(&s->finished_cond);
	pthread_mutex_unlock(&s->finished_lock);
	if (first && s->options.woken)
		s->options.woken(s->options.arg);
}

struct store_job *store_finished(struct store *s)
{
	struct store_job *jobs;

	pthread_mutex_lock(&s->finished_lock);
	jobs = s->finished.first;
	job_list_init(&s->finished);
	pthread_mutex_unlock(&s->finished_lock);
	return jobs;
}

/* Take one job out of the finished ones; others may be waiting for theirs. */
static bool take_finished(struct store *s, struct store_job *job)
{
	for (struct store_job **p = &s->finished.first; *p; p = &(*p)->next) {
		if (*p != job)
			continue;
		*p = job->next;
		if (!*p)
			s->finished.end = p;
		return true;
	}
	return false;
}

int store_run(struct store *s, struct store_job *job, struct err *err)
{
	store_submit(s, job);
	pthread_mutex_lock(&s->finished_lock);
	while (!take_finished(s, job))
		pthread_cond_wait(&s->finished_cond, &s->finished_lock);
	pthread_mutex_unlock(&s->finished_lock);
	if (job->result < 0)
		*err = job->err;
	return job->result;
}

void store_job_free(struct store_job *job)
{
	buf_free(&job->answer);
	free(job->changes.v);
	job->changes.v = NULL;
}

void store_figures(struct store *s, struct store_figures *f)
{
	*f = (struct store_figures){ .commits = atomic_load(&s->commits),
		.batches = atomic_load(&s->batches),
		.stuck_segments = atomic_load(&s->compactor.stuck_count),
		.unread = atomic_load(&s->compactor.unread_count) };
	s->engine->figures(s, f);
}

bool store_has_room(struct store *s)
{
	return atomic_load(&s->has_room);
}

bool store_has_room_for(struct store *s, uint64_t bytes)
{
	return store_has_room(s) && (bytes < LARGE || s->engine->has_room(s, bytes));
}
