#include "rt/rt_private.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIM_AFTER CLOCK_SEC /* waiting this long counts as idle */
#define BREATHE_EVERY 32

void link_init(struct link *ring)
{
	ring->prev = ring->next = ring;
}

void link_add(struct link *ring, struct link *l)
{
	l->prev = ring->prev;
	l->next = ring;
	ring->prev->next = l;
	ring->prev = l;
}

void link_remove(struct link *l)
{
	if (!l->next)
		return;
	l->prev->next = l->next;
	l->next->prev = l->prev;
	l->prev = l->next = NULL;
}

/* Misuse by our own code, after which data may be freed under a task: there is no going on. */
void task_bug(const char *what)
{
	dprintf(STDERR_FILENO, "task %s: %s\n", rt.current ? rt.current->name : "(none)", what);
	abort();
}

/* ---- running ---- */

static void make_ready(struct task *t)
{
	t->state = TASK_READY;
	t->next_ready = NULL;
	if (rt.ready_tail)
		rt.ready_tail->next_ready = t;
	else
		rt.ready_head = t;
	rt.ready_tail = t;
}

void task_wake(struct task *t)
{
	if (t->state == TASK_WAITING)
		make_ready(t);
}

static void task_entry(void)
{
	struct task *t = rt.current;

	ctx_arrived(&rt.ctx);
	t->run(t->arg);
	t->state = TASK_DONE;
	ctx_leave(&t->ctx, &rt.ctx);
}

static void task_reap(struct task *t)
{
	struct task_group *g = t->group;

	heap_remove(&rt.timers, &t->timer);
	link_remove(&t->in_group);
	link_remove(&t->in_all);
	link_remove(&t->in_warm);
	stack_put(&t->stack);
	free(t);
	rt.count--;
	if (--g->count)
		return;
	g->cancelled = false;
	if (g->joiner)
		task_wake(g->joiner);
}

void task_run_ready(void)
{
	struct task *t, *last = rt.ready_tail;
	bool more = last != NULL;

	while (more) {
		t = rt.ready_head;
		more = t != last;
		rt.ready_head = t->next_ready;
		if (!rt.ready_head)
			rt.ready_tail = NULL;
		t->state = TASK_RUNNING;
		rt.current = t;
		ctx_switch(&rt.ctx, &t->ctx);
		rt.current = NULL;
		if (t->state == TASK_DONE)
			task_reap(t);
	}
}

void task_park(const char *doing)
{
	struct task *t = rt.current;

	t->state = TASK_WAITING;
	t->since = rt.now;
	t->doing = doing;
	t->breaths = 0;
	if (!t->in_warm.next)
		link_add(&rt.warm, &t->in_warm);
	ctx_switch(&t->ctx, &rt.ctx);
	t->doing = NULL;
}

/* A task that waits for long keeps only the pages that its frames are on. */
void task_trim(void)
{
	struct link *next;

	for (struct link *l = rt.warm.next; l != &rt.warm; l = next) {
		struct task *t = heap_owner(l, struct task, in_warm);

		next = l->next;
		if (t->state != TASK_WAITING || rt.now - t->since < TRIM_AFTER)
			continue;
		stack_trim(&t->stack, t->ctx.sp);
		link_remove(l);
	}
}

void task_yield(void)
{
	struct task *t = rt.current;

	if (!t)
		return;
	t->breaths = 0;
	make_ready(t);
	ctx_switch(&t->ctx, &rt.ctx);
}

/* ---- groups ---- */

struct task_group *task_group_new(const char *name)
{
	struct task_group *g = calloc(1, sizeof *g);

	if (!g)
		return NULL;
	g->name = name;
	link_init(&g->tasks);
	return g;
}

int task_spawn(
	struct task_group *g, const char *name, void (*run)(void *), void *arg, struct err *err)
{
	struct task *t = NULL;

	if (!rt.running)
		return err_set(err, ERR_TEMP, "start task %s: no loop is running", name);
	if (rt.count >= TASKS_MAX)
		return err_set(
			err, ERR_LIMIT, "start task %s: %d tasks run already", name, TASKS_MAX);
	t = calloc(1, sizeof *t);
	if (!t || heap_reserve(&rt.timers, rt.count + 1) < 0 || stack_get(&t->stack) < 0) {
		free(t);
		return err_set(err, ERR_TEMP, "start task %s: out of memory", name);
	}
	t->name = name;
	t->run = run;
	t->arg = arg;
	t->group = g;
	t->fd = -1;
	t->deadline = NEVER;
	t->cancelled = g->cancelled;
	ctx_make(&t->ctx, t->stack.low, STACK_SIZE, task_entry);
	link_add(&g->tasks, &t->in_group);
	link_add(&rt.all, &t->in_all);
	g->count++;
	rt.count++;
	make_ready(t);
	return 0;
}

void task_group_cancel(struct task_group *g)
{
	if (g->count == 0)
		return;
	g->cancelled = true;
	for (struct link *l = g->tasks.next; l != &g->tasks; l = l->next) {
		struct task *t = heap_owner(l, struct task, in_group);

		t->cancelled = true;
		if (!t->shielded)
			task_wake(t);
	}
}

void task_group_join(struct task_group *g)
{
	struct task *t = rt.current;

	if (g->count && (!t || t->group == g || g->joiner))
		task_bug(g->joiner ? "a second task joins the same group"
				   : "only a task outside of a group can join it");
	while (g->count) {
		/* Who waits for a group is what the group works for. */
		if (task_must_stop(t) && !g->cancelled)
			task_group_cancel(g);
		g->joiner = t;
		task_park(g->name);
	}
	g->joiner = NULL;
}

void task_group_end(struct task_group **g)
{
	if (!*g)
		return;
	task_group_cancel(*g);
	task_group_join(*g);
	free(*g);
	*g = NULL;
}

size_t task_group_count(const struct task_group *g)
{
	return g->count;
}

/* ---- waiting ---- */

bool task_must_stop(const struct task *t)
{
	return t->cancelled && !t->shielded;
}

static int take_signal(struct signal *sig)
{
	if (!sig || !sig->raised)
		return 0;
	sig->raised = false;
	return WAIT_SIGNAL;
}

void signal_raise(struct signal *s)
{
	s->raised = true;
	if (s->waiter)
		task_wake(s->waiter);
}

/* Being woken says only that something may have changed; what came true is looked up here, so
 * nothing that happens between the waking and the running is lost. */
static int wait_loop(struct task *t, int fd, int events, struct signal *sig, struct err *err)
{
	uint32_t generation = fd_generation(fd);

	for (;;) {
		int got;

		if (task_must_stop(t))
			return err_set(err, ERR_CANCELED, "cancelled");
		/* Closed while we waited, and the number may be somebody else's already. */
		if (fd >= 0 && fd_generation(fd) != generation)
			return err_set(err, ERR_CLOSED, "descriptor %d was closed", fd);
		got = (fd >= 0 ? fd_take(fd, events) : 0) | take_signal(sig);
		if (got)
			return got;
		if (t->timed_out)
			return err_set(err, ERR_TIMEOUT, "timed out");
		if (fd >= 0 && fd_wait_begin(t, fd, events, err) < 0)
			return -1;
		if (sig)
			sig->waiter = t;
		t->sig = sig;
		task_park(NULL);
		t->sig = NULL;
		if (sig)
			sig->waiter = NULL;
		if (fd >= 0)
			fd_wait_end(t);
	}
}

int task_wait(int fd, int events, struct signal *sig, int64_t deadline, struct err *err)
{
	struct task *t = rt.current;
	int r;

	if (!t)
		return err_set(err, ERR_TEMP, "only a task can wait");
	if (sig && sig->waiter)
		task_bug("two tasks wait for the same signal");
	t->timed_out = false;
	timer_set(t, deadline);
	r = wait_loop(t, fd, events & (WAIT_READ | WAIT_WRITE), sig, err);
	t->deadline = NEVER;
	return r;
}

int task_sleep(int64_t deadline, struct err *err)
{
	struct err e = ERR_INIT;

	if (task_wait(-1, 0, NULL, deadline, &e) < 0 && e.kind != ERR_TIMEOUT) {
		*err = e;
		return -1;
	}
	return 0;
}

int task_breathe(int64_t deadline, struct err *err)
{
	struct task *t = rt.current;

	if (!t || ++t->breaths < BREATHE_EVERY)
		return 0;
	task_yield();
	if (task_must_stop(t))
		return err_set(err, ERR_CANCELED, "cancelled");
	if (deadline != NEVER && clock_mono() >= deadline)
		return err_set(err, ERR_TIMEOUT, "timed out");
	return 0;
}

void task_shield(bool on)
{
	struct task *t = rt.current;

	if (!t)
		return;
	if (on)
		t->shielded++;
	else if (t->shielded)
		t->shielded--;
}

bool task_cancelled(void)
{
	return rt.current && task_must_stop(rt.current);
}

/* ---- looking at it ---- */

void task_describe(struct str what)
{
	struct task *t = rt.current;
	size_t n = what.n < sizeof t->what ? what.n : sizeof t->what - 1;

	if (!t)
		return;
	for (size_t i = 0; i < n; i++)
		t->what[i] = is_ctl(what.p[i]) ? '?' : what.p[i];
	t->what[n] = '\0';
}

static void describe_wait(const struct task *t, struct buf *b)
{
	static const char *const io[] = { "", " read", " write", " read or write" };
	static const char *const states[] = { "ready", "running", "waits", "done" };

	buf_addf(b, "%s", states[t->state]);
	if (t->state != TASK_WAITING)
		return;
	if (t->doing)
		buf_addf(b, " for %s", t->doing);
	if (t->fd >= 0)
		buf_addf(b, " fd %d%s", t->fd, io[t->events]);
	if (t->sig)
		buf_addz(b, " signal");
	buf_addf(b, " since %.1f s", (double)(rt.now - t->since) / 1e9);
	if (t->deadline != NEVER)
		buf_addf(b, " until in %.1f s", (double)(t->deadline - rt.now) / 1e9);
}

void task_dump(int fd)
{
	struct buf b = BUF(512);

	if (!rt.running)
		return;
	dprintf(fd, "%zu tasks\n", rt.count);
	for (struct link *l = rt.all.next; l != &rt.all; l = l->next) {
		const struct task *t = heap_owner(l, struct task, in_all);

		buf_clear(&b);
		buf_addf(&b, "%s/%s [%s] %s", t->group->name, t->name, t->what,
			t->cancelled ? "cancelled, " : "");
		describe_wait(t, &b);
		dprintf(fd, STR_F "\n", STR_A(buf_str(&b)));
	}
	buf_free(&b);
}
