/* Every call fails in turn that opening a store makes, and every one with which a batch ends.
 * Either it is open or an error says why, and the next start finds all that was answered. */
#include "store/fail_test.h"
#include "store/store_help_test.h"

#include <string.h>
#include <sys/wait.h>

enum { DIED = 42 };

static void died(void *arg, const struct err *why)
{
	(void)arg, (void)why;
	_exit(DIED);
}

static const struct store_options options = { .segment_bytes = 1 << 20, .fatal = died };

static void must_have_mail(int dir, const char *want)
{
	struct store *s = open_store_with(dir, &options);
	struct store_figures f;
	struct box_test b;

	store_figures(s, &f);
	assert_false(f.read_only);
	box(s, "ann@example.org", "INBOX", &b);
	if (strcmp(b.text, want) != 0)
		fail_msg("'%s'", b.text);
	store_close(&s);
}

static void with_mail(int dir)
{
	struct store *s = open_store_with(dir, &options);

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "one");
	must_mail(s, 2, "x@far.example", "two");
	store_close(&s);
}

static void opening_fails_at_every_call(int dir, bool replay)
{
	struct err err = ERR_INIT;
	bool hit = true;

	with_mail(dir);
	for (long n = 1; hit && FAIL_POSSIBLE; n++) {
		struct store *s = NULL;

		if (replay)
			drop_index(dir);
		fail_nth(n);
		if (store_open(dir, &options, &s, &err) < 0)
			assert_null(s);
		hit = fail_hit();
		store_close(&s);
		/* All of it is asked for now and then, and in the end. */
		if (n % 16 == 0 || !hit)
			must_have_mail(dir, "1:0::one ");
	}
}

static void a_store_opens_or_says_why_not(void **state)
{
	opening_fails_at_every_call(test_dir(state), false);
}

static void a_replay_is_done_or_done_again(void **state)
{
	opening_fails_at_every_call(test_dir(state), true);
}

/* --- the end of a batch, which is fatal when it fails --- */

struct ending {
	long n;
	bool fails;
};

static int run_and_arm(struct txn *t, void *arg, struct err *err)
{
	const struct ending *e = arg;
	struct mail_test m = { .id = 5, .sender = "", .to = "ann@example.org", .body = "three" };

	if (run_mail(t, &m, err) < 0)
		return -1;
	fail_nth(e->n); /* from here on: what the writer does with it */
	return e->fails ? err_set(err, ERR_PERM, "changed its mind") : 0;
}

/* In a process of its own. The writer's thread stays armed until it ends. */
_Noreturn static void end_a_batch(int dir, struct ending e)
{
	struct store *s = open_store_with(dir, &options);
	struct err err;
	int r;

	r = change_with_body(s, run_and_arm, &e, STR("three"), &err);
	if (r == 0)
		_exit(1);
	_exit(0);
}

/* 0, 1 or DIED. */
static int try_ending(int dir, struct ending e)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		end_a_batch(dir, e);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int threes(int dir)
{
	struct store *s = open_store_with(dir, &options);
	struct box_test b;
	int n = 0;

	box(s, "ann@example.org", "INBOX", &b);
	assert_true(strncmp(b.text, "1:0::one ", 9) == 0);
	for (const char *p = b.text; (p = strstr(p, ":three ")); p++)
		n++;
	store_close(&s);
	return n;
}

/* T119. When nobody was told, it may be there or not; told, it must be; refused, it must not. */
static void a_batch_that_cannot_end_ends_the_process(void **state)
{
	const int dir = test_dir(state);
	int before = 0, ended = 0, got = DIED;

	with_mail(dir);
	for (long n = 1; got != 1 && FAIL_POSSIBLE; n++) {
		int now;

		got = try_ending(dir, (struct ending){ n, false });
		now = threes(dir);
		assert_in_range(now, before + (got == 1), before + (got != 0));
		before = now;
		ended += got == DIED;
	}
	assert_true(!FAIL_POSSIBLE || ended > 3);
}

static void a_request_that_cannot_be_undone_ends_the_process(void **state)
{
	const int dir = test_dir(state);
	int ended = 0, got = DIED;

	with_mail(dir);
	for (long n = 1; got == DIED && FAIL_POSSIBLE; n++) {
		got = try_ending(dir, (struct ending){ n, true });
		ended += got == DIED;
		must_have_mail(dir, "1:0::one "); /* nothing of it */
	}
	assert_true(!FAIL_POSSIBLE || ended > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_store_opens_or_says_why_not),
		TEST(a_replay_is_done_or_done_again),
		TEST(a_batch_that_cannot_end_ends_the_process),
		TEST(a_request_that_cannot_be_undone_ends_the_process),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
