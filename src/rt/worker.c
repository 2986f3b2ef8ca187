/* worker.c - the only place where other threads meet the loop: a queue of work, a list of
 * what has happened, one mutex for both, one descriptor that wakes the loop. */
#include "rt/rt_private.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define WORKERS_MAX 64

struct job {
	int (*run)(void *, struct err *);
	void *arg;
	struct err *err;
	int result;
	bool done; /* seen by the loop */
	struct task *task;
	struct job *next;
};

struct remote {
	struct signal *sig;
	bool pending;
	struct remote *next;
};

/* Everything but `want` is guarded by the lock. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct job *head, *tail; /* to do */
	struct job *finished;
	struct remote *raised;
	int wakefd;
	bool notified, stop;
	unsigned idle, started, want;
	pthread_t threads[WORKERS_MAX];
} w = {
	.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .wakefd = -1, .want = 2
};

/* With the lock held. */
static void notify(void)
{
	const uint64_t one = 1;

	if (w.notified || w.wakefd < 0)
		return;
	w.notified = write(w.wakefd, &one, sizeof one) == (ssize_t)sizeof one;
}

int rt_workers(unsigned count)
{
	int r = -1;

	pthread_mutex_lock(&w.lock);
	if (!w.started && count <= WORKERS_MAX) {
		w.want = count;
		r = 0;
	}
	pthread_mutex_unlock(&w.lock);
	return r;
}

int worker_start(struct err *err)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

	if (fd < 0)
		return err_sys(err, "set up", "the event loop");
	pthread_mutex_lock(&w.lock);
	rt.wakefd = w.wakefd = fd;
	w.stop = w.notified = false;
	pthread_mutex_unlock(&w.lock);
	return 0;
}

/* All tasks have ended, so no work is left. */
void worker_stop(void)
{
	unsigned n;

	pthread_mutex_lock(&w.lock);
	w.stop = true;
	n = w.started;
	pthread_cond_broadcast(&w.work);
	pthread_mutex_unlock(&w.lock);
	for (unsigned i = 0; i < n; i++)
		pthread_join(w.threads[i], NULL);
	pthread_mutex_lock(&w.lock);
	w.started = w.idle = 0;
	while (w.raised) {
		w.raised->pending = false;
		w.raised = w.raised->next;
	}
	if (w.wakefd >= 0)
		close(w.wakefd);
	rt.wakefd = w.wakefd = -1;
	pthread_mutex_unlock(&w.lock);
}

void worker_finished(void)
{
	struct job *done;
	uint64_t count;

	pthread_mutex_lock(&w.lock);
	if (read(w.wakefd, &count, sizeof count) < 0)
		count = 0; /* nothing to read: nothing lost, the lists say what happened */
	w.notified = false;
	done = w.finished;
	w.finished = NULL;
	while (w.raised) {
		struct remote *r = w.raised;

		w.raised = r->next;
		r->pending = false;
		signal_raise(r->sig);
	}
	pthread_mutex_unlock(&w.lock);
	for (; done; done = done->next) {
		done->done = true;
		task_wake(done->task);
	}
}

/* ---- offloaded work ---- */

static struct job *next_job(void)
{
	struct job *j;

	w.idle++;
	while (!w.head && !w.stop)
		pthread_cond_wait(&w.work, &w.lock);
	w.idle--;
	j = w.head;
	if (j)
		w.head = j->next;
	if (!w.head)
		w.tail = NULL;
	return j;
}

static void *worker(void *unused)
{
	struct job *j;

	(void)unused;
	pthread_mutex_lock(&w.lock);
	while ((j = next_job()) != NULL) {
		pthread_mutex_unlock(&w.lock);
		j->result = j->run(j->arg, j->err);
		pthread_mutex_lock(&w.lock);
		j->next = w.finished;
		w.finished = j;
		notify();
	}
	pthread_mutex_unlock(&w.lock);
	return NULL;
}

/* With the lock held: signals belong to the loop's thread. */
static void start_thread(void)
{
	sigset_t all, before;

	sigfillset(&all);
	sigdelset(&all, SIGSYS); /* a call that the sandbox refuses must return, not kill */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&w.threads[w.started], NULL, worker, NULL) == 0)
		w.started++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* False when there is no thread to do it and none can be made. */
static bool enqueue(struct job *j)
{
	unsigned waiting = 1;
	bool ok;

	pthread_mutex_lock(&w.lock);
	for (const struct job *q = w.head; q && waiting <= w.idle; q = q->next)
		waiting++;
	if (waiting > w.idle && w.started < w.want)
		start_thread();
	ok = w.started > 0;
	if (ok) {
		if (w.tail)
			w.tail->next = j;
		else
			w.head = j;
		w.tail = j;
		pthread_cond_signal(&w.work);
	}
	pthread_mutex_unlock(&w.lock);
	return ok;
}

static bool withdraw(struct job *j)
{
	struct job **at, *before = NULL;
	bool found;

	pthread_mutex_lock(&w.lock);
	for (at = &w.head; *at && *at != j; at = &(*at)->next)
		before = *at;
	found = *at == j;
	if (found) {
		*at = j->next;
		if (w.tail == j)
			w.tail = before;
	}
	pthread_mutex_unlock(&w.lock);
	return found;
}

int task_offload(int (*run)(void *arg, struct err *err), void *arg, struct err *err)
{
	struct job j = { .run = run, .arg = arg, .err = err, .task = rt.current };
	bool tried = false;

	if (task_cancelled())
		return err_set(err, ERR_CANCELED, "cancelled");
	if (!j.task || w.want == 0 || !enqueue(&j))
		return run(arg, err);
	while (!j.done) {
		task_park("offloaded work");
		if (j.done || tried || !task_must_stop(j.task))
			continue;
		if (withdraw(&j))
			return err_set(err, ERR_CANCELED, "cancelled");
		tried = true; /* it runs already */
	}
	return j.result;
}

/* ---- waking the loop from other threads ---- */

struct remote *remote_new(struct signal *sig, struct err *err)
{
	struct remote *r = calloc(1, sizeof *r);

	if (r)
		r->sig = sig;
	else
		err_set(err, ERR_TEMP, "out of memory");
	return r;
}

void remote_raise(struct remote *r)
{
	pthread_mutex_lock(&w.lock);
	if (!r->pending && w.wakefd >= 0) {
		r->pending = true;
		r->next = w.raised;
		w.raised = r;
		notify();
	}
	pthread_mutex_unlock(&w.lock);
}

void remote_free(struct remote **r)
{
	struct remote **at;

	if (!*r)
		return;
	pthread_mutex_lock(&w.lock);
	for (at = &w.raised; *at && *at != *r; at = &(*at)->next)
		continue;
	if (*at)
		*at = (*r)->next;
	pthread_mutex_unlock(&w.lock);
	free(*r);
	*r = NULL;
}
