/* rt_private.h - what tasks, loop and workers know of each other. One loop, one thread; only
 * worker.c talks to other threads.
 */
#ifndef RT_RT_PRIVATE_H
#define RT_RT_PRIVATE_H

#include "base/heap.h"
#include "rt/ctx_private.h"
#include "rt/stack_private.h"
#include "rt/task.h"

#define TASKS_MAX 30000 /* with mprotect guards a stack takes two of 65,530 maps */

/* A member of a ring; a zeroed link is in none. */
struct link {
	struct link *prev, *next;
};
void link_init(struct link *ring);
void link_add(struct link *ring, struct link *l); /* at the end */
void link_remove(struct link *l);                 /* in none: does nothing */

enum task_state { TASK_READY, TASK_RUNNING, TASK_WAITING, TASK_DONE };

struct task {
	struct ctx ctx;
	struct stack stack;
	void (*run)(void *);
	void *arg;
	struct task_group *group;
	struct link in_group, in_all;
	struct link in_warm; /* has waited since the last sweep, with pages below its frame */
	struct task *next_ready;
	struct heap_item timer; /* never later than the deadline, may be earlier: see timer_set */
	int64_t deadline;
	int64_t since; /* when it last began to wait, by the loop's clock */
	struct signal *sig;
	const char *doing; /* what it waits for, when neither fd nor signal */
	int fd;
	unsigned shielded;
	unsigned breaths; /* since it last let others run */
	enum task_state state;
	unsigned char events;
	bool cancelled, timed_out;
	const char *name;
	char what[48];
};

struct task_group {
	const char *name;
	struct link tasks;
	size_t count;
	bool cancelled; /* until it is empty */
	struct task *joiner;
};

/* The loop: there is one, and it exists while rt_main runs. */
struct rt {
	bool running;
	struct ctx ctx;
	struct task *current; /* NULL in the loop itself */
	struct task *ready_head, *ready_tail;
	struct link all, warm;
	size_t count;
	int64_t now; /* as of the last look at the events */
	int64_t sweep_at;
	struct heap timers;
	int epoll, sigfd, wakefd;
};
extern struct rt rt;

/* task.c */
void task_run_ready(void);                 /* every task that is ready now, once */
void task_wake(struct task *t);            /* ready, if it waits */
void task_park(const char *doing);         /* until woken, for whatever reason */
bool task_must_stop(const struct task *t); /* cancelled and not shielded */
void task_trim(void);                      /* give back pages of those that wait long */
void task_bug(const char *what) __attribute__((noreturn));

/* timer.c */
void timer_set(struct task *t, int64_t deadline);
void timer_fire(void);

/* fd.c */
uint32_t fd_generation(int fd);  /* changes when the descriptor is watched or forgotten */
int fd_take(int fd, int events); /* which of them are true; they are then taken */
int fd_wait_begin(struct task *t, int fd, int events, struct err *err);
void fd_wait_end(struct task *t);
void fd_ready(uint64_t tag, uint32_t events); /* epoll's report */
void fd_table_free(void);

/* worker.c */
int worker_start(struct err *err); /* the descriptor that tells of finished work: rt.wakefd */
void worker_finished(void);        /* it is readable */
void worker_stop(void);

#endif
