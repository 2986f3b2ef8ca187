#include "base/clock.h"
#include "rt/task.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* cmocka leaves a failed test by longjmp, which must not happen on a task's stack: tasks only
 * note what they saw, the test asserts after the loop. */
#define LOOP(fn)                                                                                   \
	do {                                                                                       \
		struct err loop_err = ERR_INIT;                                                    \
                                                                                                   \
		assert_int_equal(rt_main((fn), NULL, &loop_err), 0);                               \
	} while (0)

static char trace[256];
static struct err err;

static void note(const char *what)
{
	size_t n = strlen(trace);

	snprintf(trace + n, sizeof trace - n, "%s ", what);
}

static int fresh(void **state)
{
	(void)state;
	trace[0] = '\0';
	err = ERR_INIT;
	return 0;
}

static struct task_group *group(void)
{
	struct task_group *g = task_group_new("test");

	if (!g)
		abort();
	return g;
}

static void start(struct task_group *g, void (*run)(void *), const void *arg)
{
	struct err e = ERR_INIT;

	if (task_spawn(g, "helper", run, (void *)(uintptr_t)arg, &e) < 0)
		note(e.msg);
}

/* ---- taking turns ---- */

static void says_twice(void *arg)
{
	note(arg);
	task_yield();
	note(arg);
}

static void three_take_turns(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, says_twice, "a");
	start(g, says_twice, "b");
	start(g, says_twice, "c");
	note("main");
	task_group_join(g);
	note("joined");
	task_group_end(&g);
}

static void tasks_take_turns_in_order(void **state)
{
	(void)state;
	LOOP(three_take_turns);
	assert_string_equal(trace, "main a b c a b c joined ");
}

static void leaves_one_behind(void *arg)
{
	(void)arg;
	start(arg, says_twice, "late");
	note("first");
}

static void the_loop_runs_until_the_last_task_has_returned(void **state)
{
	struct task_group *g = group();
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(rt_main(leaves_one_behind, g, &e), 0);
	assert_string_equal(trace, "first late late ");
	task_group_end(&g);
}

/* ---- registers and stacks survive ---- */

static double sums[8];

static void computes(void *arg)
{
	size_t me = (size_t)(uintptr_t)arg;
	double sum = (double)me;
	char filler[2000];

	memset(filler, (int)me, sizeof filler);
	for (int i = 0; i < 100; i++) {
		task_yield();
		sum = sum * 1.5 - (double)filler[i * 19] / 3.0;
	}
	sums[me] = sum;
}

static void eight_compute(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	for (uintptr_t i = 0; i < 8; i++)
		start(g, computes, (void *)i);
	task_group_join(g);
	task_group_end(&g);
}

static void locals_and_registers_survive_switches(void **state)
{
	(void)state;
	LOOP(eight_compute);
	for (int me = 0; me < 8; me++) {
		double sum = me;

		for (int i = 0; i < 100; i++)
			sum = sum * 1.5 - (double)me / 3.0;
		assert_true(sum == sums[me]);
	}
}

static size_t alive;

static void counts_and_waits(void *arg)
{
	struct err e = ERR_INIT;

	(void)arg;
	alive++;
	if (task_sleep(NEVER, &e) < 0 && e.kind == ERR_CANCELED)
		alive--;
}

static void thousands(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	for (int round = 0; round < 2; round++) { /* the second round reuses stacks */
		for (int i = 0; i < 3000; i++)
			start(g, counts_and_waits, NULL);
		task_yield();
		task_yield();
		if (alive != 3000 || task_group_count(g) != 3000)
			note("missing");
		task_group_cancel(g);
		task_group_join(g);
	}
	task_group_end(&g);
}

static void thousands_of_tasks_wait_and_unwind(void **state)
{
	(void)state;
	alive = 0;
	LOOP(thousands);
	assert_string_equal(trace, "");
	assert_int_equal(alive, 0);
}

static void one_too_many(void *arg)
{
	struct task_group *g = group();
	struct err e = ERR_INIT;
	int i;

	(void)arg;
	for (i = 0; i < 40000; i++)
		if (task_spawn(g, "many", counts_and_waits, NULL, &e) < 0)
			break;
	snprintf(trace, sizeof trace, "%s after %d", err_kind_name(e.kind), i);
	task_group_end(&g);
}

static void the_number_of_tasks_is_limited(void **state)
{
	(void)state;
	LOOP(one_too_many);
	assert_string_equal(trace, "limit after 29999");
}

/* ---- cancelling ---- */

static void sleeps_until_cancelled(void *arg)
{
	struct err e = ERR_INIT;

	note(task_sleep(NEVER, &e) < 0 ? err_kind_name(e.kind) : "woke");
	note(task_sleep(clock_after(0), &e) < 0 ? "still" : "slept");
	note(arg);
}

static void ends_a_group(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, sleeps_until_cancelled, "a");
	start(g, sleeps_until_cancelled, "b");
	task_yield();
	task_group_end(&g);
	note(g ? "left" : "gone");
}

static void ending_a_group_cancels_and_joins_its_tasks(void **state)
{
	(void)state;
	LOOP(ends_a_group);
	assert_string_equal(trace, "canceled still a canceled still b gone ");
}

static void cancels_before_they_start(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, sleeps_until_cancelled, "a");
	task_group_cancel(g);
	start(g, sleeps_until_cancelled, "b");
	task_group_join(g);
	start(g, says_twice, "usable");
	task_group_end(&g);
}

static void a_cancelled_group_cancels_newcomers_until_it_is_empty(void **state)
{
	(void)state;
	LOOP(cancels_before_they_start);
	assert_string_equal(trace, "canceled still a canceled still b usable usable ");
}

static void cleans_up_shielded(void *arg)
{
	struct err e = ERR_INIT;

	(void)arg;
	task_shield(true);
	task_shield(true);
	note(task_sleep(clock_after(20 * CLOCK_MSEC), &e) < 0 ? "cut short" : "finished");
	task_shield(false);
	note(task_cancelled() ? "cancelled" : "shielded");
	task_shield(false);
	note(task_cancelled() ? "cancelled" : "shielded");
}

static void ends_a_shielded_task(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, cleans_up_shielded, NULL);
	task_yield();
	task_group_end(&g);
}

static void a_shielded_task_finishes_its_wait(void **state)
{
	(void)state;
	LOOP(ends_a_shielded_task);
	assert_string_equal(trace, "finished shielded cancelled ");
}

static void joins_its_own(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, sleeps_until_cancelled, "child");
	task_group_join(g);
	note("parent");
	task_group_end(&g);
}

static void ends_a_parent(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	start(g, joins_its_own, NULL);
	task_yield();
	task_yield();
	task_group_end(&g);
	note("all");
}

static void cancelling_a_task_that_joins_cancels_what_it_joins(void **state)
{
	(void)state;
	LOOP(ends_a_parent);
	assert_string_equal(trace, "canceled still child parent all ");
}

/* ---- time ---- */

static const int64_t naps[] = { 30, 10, 20, 5, 25 };

static void naps_and_says(void *arg)
{
	const int64_t *ms = arg;
	char text[8];

	snprintf(text, sizeof text, "%d", (int)*ms);
	task_sleep(*ms * CLOCK_MSEC, &err); /* in the past: order is by deadline all the same */
	note(text);
}

static void five_nap(void *arg)
{
	struct task_group *g = group();

	(void)arg;
	for (size_t i = 0; i < 5; i++)
		start(g, naps_and_says, &naps[i]);
	task_group_join(g);
	task_group_end(&g);
}

static void deadlines_fire_in_order(void **state)
{
	(void)state;
	LOOP(five_nap);
	assert_string_equal(trace, "5 10 20 25 30 ");
}

static void moves_its_deadline(void *arg)
{
	struct signal sig = { 0 };
	int64_t t = clock_after(15 * CLOCK_MSEC);

	(void)arg;
	sig.raised = true; /* the timer of the first wait stays behind, at an earlier time */
	note(task_wait(-1, 0, &sig, clock_mono(), &err) == WAIT_SIGNAL ? "signal" : "no signal");
	note(task_wait(-1, 0, &sig, t, &err) < 0 ? err_kind_name(err.kind) : "woke");
	note(clock_mono() >= t ? "in time" : "early");
	t = clock_after(5 * CLOCK_MSEC);
	task_sleep(t, &err);
	note(clock_mono() >= t ? "in time" : "early");
}

static void a_later_deadline_replaces_an_earlier_one(void **state)
{
	(void)state;
	LOOP(moves_its_deadline);
	assert_string_equal(trace, "signal timeout in time in time ");
}

/* ---- stacks end in a guard ---- */

static volatile char sink;

/* Overflows the stack by design: recursion without end, in small frames. */
static int descend(int depth)
{
	volatile char frame[512];

	frame[depth % 512] = (char)depth;
	sink = frame[(depth + 7) % 512];
	if (depth == INT32_MAX)
		return 0;
	return descend(depth + 1) + frame[depth % 512];
}

static void overflows(void *arg)
{
	(void)arg;
	sink = (char)descend(0);
}

static void overflowing_a_stack_ends_the_process(void **state)
{
	struct rlimit none = { 0, 0 };
	int status = 0;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct err e = ERR_INIT;

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL); /* cmocka catches it, on the stack that is full */
		if (!freopen("/dev/null", "w", stderr))
			_exit(0);
		rt_main(overflows, NULL, &e);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV : WEXITSTATUS(status) != 0);
}

/* ---- looking ---- */

static void idles_described(void *arg)
{
	(void)arg;
	task_describe(STR("imap ann@example.test\nIDLE and a tail that is much too long"));
	task_sleep(clock_after(60 * CLOCK_SEC), &err);
}

static void dumps(void *arg)
{
	struct task_group *g = group();
	int fds[2];
	ssize_t n;

	(void)arg;
	start(g, idles_described, NULL);
	task_yield();
	if (pipe(fds) == 0) {
		task_dump(fds[1]);
		n = read(fds[0], trace, sizeof trace - 1);
		trace[n > 0 ? n : 0] = '\0';
		close(fds[0]);
		close(fds[1]);
	}
	task_group_end(&g);
}

static void a_dump_names_every_task_and_what_it_waits_for(void **state)
{
	(void)state;
	LOOP(dumps);
	assert_non_null(strstr(trace, "2 tasks\n"));
	assert_non_null(strstr(trace, "main/main [] running\n"));
	assert_non_null(strstr(trace,
		"test/helper [imap ann@example.test?IDLE and a tail that is m]"
		" waits since 0.0 s until in "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(tasks_take_turns_in_order, fresh),
		cmocka_unit_test_setup(the_loop_runs_until_the_last_task_has_returned, fresh),
		cmocka_unit_test_setup(locals_and_registers_survive_switches, fresh),
		cmocka_unit_test_setup(thousands_of_tasks_wait_and_unwind, fresh),
		cmocka_unit_test_setup(the_number_of_tasks_is_limited, fresh),
		cmocka_unit_test_setup(ending_a_group_cancels_and_joins_its_tasks, fresh),
		cmocka_unit_test_setup(
			a_cancelled_group_cancels_newcomers_until_it_is_empty, fresh),
		cmocka_unit_test_setup(a_shielded_task_finishes_its_wait, fresh),
		cmocka_unit_test_setup(cancelling_a_task_that_joins_cancels_what_it_joins, fresh),
		cmocka_unit_test_setup(deadlines_fire_in_order, fresh),
		cmocka_unit_test_setup(a_later_deadline_replaces_an_earlier_one, fresh),
		cmocka_unit_test_setup(overflowing_a_stack_ends_the_process, fresh),
		cmocka_unit_test_setup(a_dump_names_every_task_and_what_it_waits_for, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
