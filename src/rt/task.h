/* task.h - straight-line code that waits.
 *
 * A task is a function with its own stack. While it waits, others run; it
 * never moves to another thread, and nothing else runs until it waits. Every
 * wait has a deadline and can be cancelled: it then fails with ERR_CANCELED,
 * and the task unwinds through its ordinary error paths. A cancelled task may still wait
 * while it unwinds only with task_shield().
 *
 * Tasks live in a group. Leaving a group means cancelling and joining every
 * task in it, so no task outlives the data it was given.
 *
 * Rules for code in tasks: no VLAs or alloca, frames under 4 KiB, recursion only with
 * a depth limit, no errno read across a wait, no lock held across a wait.
 *
 * One loop per process; all of this is called on its thread only, except signal_raise_remote.
 * Times are monotonic nanoseconds (base/clock.h: clock_mono()); NEVER waits for ever.
 */
#ifndef RT_TASK_H
#define RT_TASK_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct task;
struct task_group;

#define NEVER INT64_MAX

/* Run `run(arg)` as the first task and drive the loop until it has returned and no task is
 * left. Returns what it could not start (-1), else 0. Unit tests call this too, as often as they
 * like, one after the other. While it runs SIGPIPE is ignored. */
int rt_main(void (*run)(void *), void *arg, struct err *err);

struct task_group *task_group_new(const char *name); /* NULL when out of memory */
void task_group_end(struct task_group **g);          /* cancel all, then join; waits */
void task_group_cancel(struct task_group *g);        /* cancel all, do not wait */
/* Wait until all have returned by themselves. If the waiting task is cancelled meanwhile, so is
 * the group, and it is still waited for. One task at a time, and none of the group's own. */
void task_group_join(struct task_group *g);
size_t task_group_count(const struct task_group *g);

/* Start a task; it runs when the caller next waits. -1 (ERR_LIMIT, ERR_TEMP) when stacks or memory
 * run out (30,000 tasks). `name` is shown in the task dump and is not copied. In a group that was
 * cancelled and is not yet empty it starts cancelled. */
int task_spawn(
	struct task_group *g, const char *name, void (*run)(void *), void *arg, struct err *err);

/* A detail for the task dump ("imap ann@example.test IDLE"); copied, cut to 47 bytes. */
void task_describe(struct str what);

/* A signal wakes a waiting task: a flag that stays raised until taken. Many may raise, one waits.
 * Zero-initialised is valid. No system calls are involved within one thread. */
struct signal {
	struct task *waiter;
	bool raised;
};
void signal_raise(struct signal *s);

enum { WAIT_READ = 1, WAIT_WRITE = 2, WAIT_SIGNAL = 4 };

/* Wait until fd is readable/writable (events), or sig is raised (taken by this), whichever
 * is first. fd -1 or sig NULL: not waited for. Returns the WAIT_ bits that came true, or -1
 * with ERR_TIMEOUT or ERR_CANCELED; ERR_CLOSED when the descriptor is not watched (any more).
 * A deadline that has passed still looks once at the events. One task at a time per
 * direction of a descriptor and per signal. A descriptor must be announced with fd_watch() once
 * before, and fd_forget() before it is closed: the loop registers it edge-triggered, so a
 * waiter must have seen EAGAIN since the last report. */
int task_wait(int fd, int events, struct signal *sig, int64_t deadline, struct err *err);
int task_sleep(int64_t deadline, struct err *err);
void task_yield(void); /* let every other ready task run once */
/* For loops that may go on and on without having to wait (a peer that always has more): now
 * and then this lets the others run, and then fails like a wait if the task is cancelled or the
 * deadline has passed. Cheap enough for every turn. */
int task_breathe(int64_t deadline, struct err *err);

int fd_watch(int fd, struct err *err);
void fd_forget(int fd);

/* Run `run(arg, err)` on a worker thread and wait for its result. Not cancelled once it
 * runs: the task waits for the end, so `arg` may live on its stack. `run` must not touch tasks. */
int task_offload(int (*run)(void *arg, struct err *err), void *arg, struct err *err);
int rt_workers(unsigned count); /* how many worker threads; before the first offload; default 2.
				 * 0: offloaded work runs in place */

/* While shielded a task cannot be cancelled (short clean-ups with their own deadlines). Shields
 * nest: as many offs as ons. */
void task_shield(bool on);
bool task_cancelled(void);

/* Wake a task of this loop from another thread: thread-safe, coalescing. No thread may raise
 * it any more when it is freed. */
struct remote;
struct remote *remote_new(struct signal *sig, struct err *err);
void remote_raise(struct remote *r); /* any thread */
void remote_free(struct remote **r);

/* Signals of the process (SIGTERM, SIGHUP, SIGCHLD, ...) arrive here through a signalfd; handlers
 * stay empty. Call it before other libraries start threads. sig NULL: from now on dropped. The
 * signal stays blocked until rt_main returns, and in programs executed meanwhile, unless they or
 * the caller unblock it. */
int rt_signal(int signo, struct signal *sig, struct err *err);
/* SIGUSR1 prints every task with its name, detail and what it waits for. */
void task_dump(int fd);

#endif
