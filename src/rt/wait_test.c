#include "base/clock.h"
#include "rt/task.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Tasks only note what they saw, the test asserts after the loop: see task_test.c. */
#define LOOP(fn)                                                                                   \
	do {                                                                                       \
		struct err loop_err = ERR_INIT;                                                    \
                                                                                                   \
		assert_int_equal(rt_main((fn), NULL, &loop_err), 0);                               \
	} while (0)

#define SOON clock_after(10 * CLOCK_SEC) /* far enough not to matter */

static char trace[256];
static struct err err;
static struct signal sig;
static int fds[2];

static void note(const char *what)
{
	size_t n = strlen(trace);

	snprintf(trace + n, sizeof trace - n, "%s ", what);
}

static void note_wait(int got)
{
	char text[32];

	snprintf(text, sizeof text, "%s%s%s%s", got < 0 ? err_kind_name(err.kind) : "",
		got > 0 && got & WAIT_READ ? "r" : "", got > 0 && got & WAIT_WRITE ? "w" : "",
		got > 0 && got & WAIT_SIGNAL ? "s" : "");
	note(text);
}

static int fresh(void **state)
{
	(void)state;
	trace[0] = '\0';
	err = ERR_INIT;
	sig = (struct signal){ 0 };
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds);
}

static int close_fds(void **state)
{
	(void)state;
	close(fds[0]);
	close(fds[1]);
	return 0;
}

static struct task_group *start(void (*run)(void *))
{
	struct task_group *g = task_group_new("test");

	if (!g || task_spawn(g, "helper", run, NULL, &err) < 0)
		abort();
	return g;
}

static void put(char c)
{
	if (write(fds[1], &c, 1) != 1)
		note("write failed");
}

static void take(void)
{
	char c[16];

	note(read(fds[0], c, sizeof c) > 0 ? "read" : "empty");
}

static void watch(void)
{
	if (fd_watch(fds[0], &err) < 0)
		note(err.msg);
}

/* ---- descriptors ---- */

static void writes_later(void *arg)
{
	(void)arg;
	put('x');
}

static void waits_for_input(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	note_wait(task_wait(fds[0], WAIT_WRITE, NULL, SOON, &err));
	g = start(writes_later);
	note_wait(task_wait(fds[0], WAIT_READ, NULL, SOON, &err));
	take();
	take();
	note_wait(task_wait(fds[0], WAIT_READ, NULL, clock_after(CLOCK_MSEC), &err));
	task_group_end(&g);
	fd_forget(fds[0]);
}

static void a_task_waits_for_input_and_for_its_deadline(void **state)
{
	(void)state;
	LOOP(waits_for_input);
	assert_string_equal(trace, "w r read empty timeout ");
}

static void polls(void *arg)
{
	(void)arg;
	watch();
	put('x');
	note_wait(task_wait(fds[0], WAIT_READ, NULL, 0, &err));
	take();
	note_wait(task_wait(fds[0], WAIT_READ, NULL, 0, &err));
	fd_forget(fds[0]);
}

static void a_deadline_in_the_past_still_looks_once(void **state)
{
	(void)state;
	LOOP(polls);
	assert_string_equal(trace, "r read timeout ");
}

static void sees_the_end(void *arg)
{
	(void)arg;
	watch();
	shutdown(fds[1], SHUT_WR);
	note_wait(task_wait(fds[0], WAIT_READ, NULL, SOON, &err));
	take();
	fd_forget(fds[0]);
}

static void the_end_of_the_stream_counts_as_input(void **state)
{
	(void)state;
	LOOP(sees_the_end);
	assert_string_equal(trace, "r empty ");
}

static void waits_to_write(void *arg)
{
	note_wait(task_wait(fds[0], WAIT_WRITE, NULL, SOON, arg));
}

static void one_reads_one_writes(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(waits_to_write);
	note_wait(task_wait(fds[0], WAIT_READ, NULL, clock_after(2 * CLOCK_MSEC), &err));
	put('x');
	note_wait(task_wait(fds[0], WAIT_READ, NULL, SOON, &err));
	task_group_end(&g);
	fd_forget(fds[0]);
}

static void two_tasks_may_wait_for_the_two_directions(void **state)
{
	(void)state;
	LOOP(one_reads_one_writes);
	assert_string_equal(trace, "w timeout r ");
}

static void waits_forgotten(void *arg)
{
	(void)arg;
	note_wait(task_wait(fds[0], WAIT_READ, NULL, NEVER, &err));
}

static void forgets(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(waits_forgotten);
	task_yield();
	fd_forget(fds[0]);
	task_group_join(g);
	task_group_end(&g);
	note_wait(task_wait(fds[0], WAIT_READ, NULL, NEVER, &err));
}

static void nobody_waits_for_a_forgotten_descriptor(void **state)
{
	(void)state;
	LOOP(forgets);
	assert_string_equal(trace, "closed closed ");
}

/* Between the forgetting and the running of who waited, the number belongs to something new. */
static void forgets_and_watches_anew(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(waits_forgotten);
	task_yield();
	fd_forget(fds[0]);
	if (fd_watch(fds[0], &err) < 0)
		note("watch");
	note_wait(task_wait(fds[0], WAIT_READ, NULL, clock_after(CLOCK_MSEC), &err));
	task_group_join(g);
	task_group_end(&g);
	fd_forget(fds[0]);
}

static void who_waited_for_a_closed_descriptor_does_not_wait_for_its_successor(void **state)
{
	(void)state;
	LOOP(forgets_and_watches_anew);
	assert_string_equal(trace, "closed timeout ");
}

static void closes_and_reopens(void *arg)
{
	int again;

	(void)arg;
	watch();
	put('x');
	task_wait(fds[0], WAIT_WRITE, NULL, SOON, &err); /* the loop has seen the x */
	fd_forget(fds[0]);
	again = dup(fds[1]);
	if (again < 0 || dup2(again, fds[0]) < 0)
		note("dup");
	close(again);
	watch();
	note_wait(task_wait(fds[0], WAIT_READ, NULL, clock_after(CLOCK_MSEC), &err));
	fd_forget(fds[0]);
}

static void a_reused_number_does_not_inherit_old_events(void **state)
{
	(void)state;
	LOOP(closes_and_reopens);
	/* What is left is the other end, whose peer has been closed by dup2. */
	assert_string_equal(trace, "r ");
}

/* ---- signals within the loop ---- */

static void raises(void *arg)
{
	(void)arg;
	signal_raise(&sig);
}

static void waits_for_both(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(raises);
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	task_group_end(&g);
	put('x');
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	take();
	signal_raise(&sig);
	put('x');
	task_sleep(clock_after(CLOCK_MSEC), &err);
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	fd_forget(fds[0]);
}

static void a_task_waits_for_input_and_signal_together(void **state)
{
	(void)state;
	LOOP(waits_for_both);
	assert_string_equal(trace, "s r read rs ");
}

static void raises_first(void *arg)
{
	(void)arg;
	signal_raise(&sig);
	signal_raise(&sig);
	note_wait(task_wait(-1, 0, &sig, NEVER, &err));
	note_wait(task_wait(-1, 0, &sig, 0, &err));
}

static void a_signal_raised_before_the_wait_is_not_lost_and_taken_once(void **state)
{
	(void)state;
	LOOP(raises_first);
	assert_string_equal(trace, "s timeout ");
}

static void sleeper(void *arg)
{
	(void)arg;
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	note_wait(task_wait(fds[0], WAIT_READ, &sig, 0, &err));
}

static void wakes_twice(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(sleeper);
	task_yield();
	put('x');
	signal_raise(&sig); /* the sleeper is ready now, but has not run when ... */
	task_yield();
	signal_raise(&sig); /* ... it is raised once more */
	task_group_join(g);
	task_group_end(&g);
	fd_forget(fds[0]);
}

static void a_signal_between_waking_and_running_is_not_lost(void **state)
{
	(void)state;
	LOOP(wakes_twice);
	/* Input is reported by the second wait, or by the first if the loop looked in between. */
	assert_true(strcmp(trace, "s rs ") == 0 || strcmp(trace, "s s ") == 0 ||
		strcmp(trace, "rs s ") == 0);
}

static void times_out_beside_a_signal(void *arg)
{
	(void)arg;
	/* The deadline wakes the task; before it runs, the signal is raised. */
	note_wait(task_wait(-1, 0, &sig, clock_after(CLOCK_MSEC), &err));
}

static void raises_at_the_deadline(void *arg)
{
	struct task_group *g;

	(void)arg;
	g = start(times_out_beside_a_signal);
	task_yield();
	task_sleep(clock_mono(), &err);
	task_sleep(clock_after(2 * CLOCK_MSEC), &err);
	task_group_end(&g);
	note(sig.raised ? "raised" : "down");
	note(sig.waiter ? "waiter" : "free");
}

static void a_wait_that_timed_out_leaves_nothing_behind(void **state)
{
	(void)state;
	LOOP(raises_at_the_deadline);
	assert_string_equal(trace, "timeout down free ");
}

static void keeps_its_event(void *arg)
{
	(void)arg;
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	task_shield(true);
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
	task_shield(false);
}

static void cancels_a_reader(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(keeps_its_event);
	task_yield();
	put('x');
	signal_raise(&sig);
	task_sleep(clock_mono(), &err); /* let the loop look, then cancel before it runs again */
	task_group_end(&g);
	fd_forget(fds[0]);
}

static void being_cancelled_takes_no_event_and_no_signal(void **state)
{
	(void)state;
	LOOP(cancels_a_reader);
	assert_true(strcmp(trace, "canceled rs ") == 0 || strcmp(trace, "s r ") == 0);
}

static void waits_on_everything(void *arg)
{
	(void)arg;
	note_wait(task_wait(fds[0], WAIT_READ, NULL, NEVER, &err));
	note_wait(task_wait(-1, 0, &sig, NEVER, &err));
	note_wait(task_wait(fds[0], WAIT_READ, &sig, SOON, &err));
}

static void cancels_each_wait(void *arg)
{
	struct task_group *g;

	(void)arg;
	watch();
	g = start(waits_on_everything);
	task_yield();
	task_group_end(&g);
	note(sig.waiter ? "waiter" : "free");
	fd_forget(fds[0]);
}

static void every_kind_of_wait_can_be_cancelled(void **state)
{
	(void)state;
	LOOP(cancels_each_wait);
	assert_string_equal(trace, "canceled canceled canceled free ");
}

/* ---- signals of the process ---- */

static void catches(void *arg)
{
	struct signal usr2 = { 0 };

	(void)arg;
	if (rt_signal(SIGUSR2, &usr2, &err) < 0)
		note(err.msg);
	kill(getpid(), SIGUSR2);
	note_wait(task_wait(-1, 0, &usr2, SOON, &err));
	rt_signal(SIGUSR2, NULL, &err);
	kill(getpid(), SIGUSR2);
	note_wait(task_wait(-1, 0, &usr2, clock_after(CLOCK_MSEC), &err));
}

static void signals_of_the_process_wake_a_task(void **state)
{
	(void)state;
	LOOP(catches);
	assert_string_equal(trace, "s timeout ");
}

static void asks_for_a_dump(void *arg)
{
	int before = dup(STDERR_FILENO), p[2];
	char text[512];
	ssize_t n;

	(void)arg;
	if (before < 0 || pipe(p) < 0 || dup2(p[1], STDERR_FILENO) < 0)
		return;
	kill(getpid(), SIGUSR1);
	task_sleep(clock_after(CLOCK_MSEC), &err);
	dup2(before, STDERR_FILENO);
	n = read(p[0], text, sizeof text - 1);
	text[n > 0 ? n : 0] = '\0';
	note(strstr(text, "main/main") ? "dumped" : "silent");
	close(before);
	close(p[0]);
	close(p[1]);
}

static void sigusr1_prints_the_tasks(void **state)
{
	(void)state;
	LOOP(asks_for_a_dump);
	assert_string_equal(trace, "dumped ");
}

/* ---- other threads ---- */

static int adds_one(void *arg, struct err *e)
{
	int *n = arg;

	if (*n < 0)
		return err_set(e, ERR_PERM, "negative");
	return *n + 1;
}

static void offloads(void *arg)
{
	int n = 41, bad = -1;

	(void)arg;
	if (task_offload(adds_one, &n, &err) == 42)
		note("42");
	if (task_offload(adds_one, &bad, &err) < 0)
		note(err.msg);
}

static void offloaded_work_gives_its_result_and_its_error(void **state)
{
	(void)state;
	LOOP(offloads);
	assert_string_equal(trace, "42 negative ");
	assert_int_equal(rt_workers(0), 0);
	LOOP(offloads);
	assert_string_equal(trace, "42 negative 42 negative ");
	assert_int_equal(rt_workers(2), 0);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int entered, passed;

static int waits_at_the_gate(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	entered++;
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return ++passed;
}

static void offloads_to_the_gate(void *arg)
{
	struct err e = ERR_INIT;

	(void)arg;
	note(task_offload(waits_at_the_gate, NULL, &e) < 0 ? err_kind_name(e.kind) : "done");
}

static void opens_the_gate(void *arg)
{
	(void)arg;
	note("open");
	pthread_mutex_unlock(&gate);
}

static void cancels_offloaded_work(void *arg)
{
	struct task_group *g = task_group_new("work"), *opener;

	(void)arg;
	pthread_mutex_lock(&gate);
	for (int i = 0; g && i < 3; i++) /* two run, the third has to wait for a thread */
		if (task_spawn(g, "work", offloads_to_the_gate, NULL, &err) < 0)
			note(err.msg);
	while (entered < 2)
		task_sleep(clock_after(CLOCK_MSEC), &err);
	task_group_cancel(g);
	task_yield();
	opener = start(opens_the_gate);
	task_group_end(&g);
	task_group_end(&opener);
}

static void cancelling_waits_for_running_work_and_withdraws_the_rest(void **state)
{
	(void)state;
	entered = passed = 0;
	LOOP(cancels_offloaded_work);
	assert_string_equal(trace, "canceled open done done ");
	assert_int_equal(passed, 2);
}

static void *raises_from_afar(void *r)
{
	for (int i = 0; i < 1000; i++)
		remote_raise(r);
	return NULL;
}

static void hears_from_afar(void *arg)
{
	struct remote *r = remote_new(&sig, &err);
	pthread_t thread;

	(void)arg;
	if (!r || pthread_create(&thread, NULL, raises_from_afar, r) != 0)
		return;
	note_wait(task_wait(-1, 0, &sig, SOON, &err));
	pthread_join(thread, NULL);
	task_sleep(clock_after(CLOCK_MSEC), &err);
	sig.raised = false;
	remote_raise(r);
	note_wait(task_wait(-1, 0, &sig, SOON, &err));
	remote_raise(r); /* freed while it waits to be delivered */
	remote_free(&r);
	note_wait(task_wait(-1, 0, &sig, clock_after(CLOCK_MSEC), &err));
}

static void another_thread_wakes_a_task(void **state)
{
	(void)state;
	LOOP(hears_from_afar);
	assert_string_equal(trace, "s s timeout ");
}

/* ---- outside of a loop ---- */

static void without_a_loop_nothing_waits(void **state)
{
	struct task_group *g = task_group_new("none");

	(void)state;
	assert_int_equal(task_wait(-1, 0, &sig, NEVER, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_int_equal(fd_watch(fds[0], &err), -1);
	fd_forget(fds[0]);
	assert_int_equal(task_spawn(g, "none", raises, NULL, &err), -1);
	task_group_end(&g);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fresh, close_fds)
	const struct CMUnitTest tests[] = {
		T(a_task_waits_for_input_and_for_its_deadline),
		T(a_deadline_in_the_past_still_looks_once),
		T(the_end_of_the_stream_counts_as_input),
		T(two_tasks_may_wait_for_the_two_directions),
		T(nobody_waits_for_a_forgotten_descriptor),
		T(who_waited_for_a_closed_descriptor_does_not_wait_for_its_successor),
		T(a_reused_number_does_not_inherit_old_events),
		T(a_task_waits_for_input_and_signal_together),
		T(a_signal_raised_before_the_wait_is_not_lost_and_taken_once),
		T(a_signal_between_waking_and_running_is_not_lost),
		T(a_wait_that_timed_out_leaves_nothing_behind),
		T(being_cancelled_takes_no_event_and_no_signal),
		T(every_kind_of_wait_can_be_cancelled),
		T(signals_of_the_process_wake_a_task),
		T(sigusr1_prints_the_tasks),
		T(offloaded_work_gives_its_result_and_its_error),
		T(cancelling_waits_for_running_work_and_withdraws_the_rest),
		T(another_thread_wakes_a_task),
		T(without_a_loop_nothing_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
