/* What takes long is done a little at a time: nobody waits for the writer while much goes. */
#include "store/store_help_test.h"

enum { KEYS = 5000, CALLS = 4500, DOUBLINGS = 12, STEP = 2000 };

static int put_keys(struct txn *t, void *arg, struct err *err)
{
	static uint64_t keys[KEYS];

	(void)arg;
	for (size_t i = 0; i < KEYS; i++)
		keys[i] = i + 1;
	return emit_thread_keys(
		t, &(struct effect_thread_keys){ 1, 1, str_make(keys, sizeof keys) }, err);
}

static int remove_ann(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_remove(t, STR("ann@example.org"), &account, err);
}

static void a_large_account_goes_step_by_step(void **state)
{
	static const char keys[] = "SELECT count(*) FROM thread_key";
	static const char accounts[] = "SELECT count(*) FROM account";
	const struct store_options o = {
		.segment_bytes = 1 << 20, .thread_keys = 1, .retention = -1
	};
	struct store *s = open_store_with(test_dir(state), &o);
	int64_t before, now = KEYS;
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(change(s, put_keys, NULL, &err), 0);
	add_account(s, "bob@example.org");
	for (int i = 0; i < 40 && count_sql(s, keys) < KEYS; i++)
		tidy_store(s); /* a commit, and some keys move */
	assert_int_equal(count_sql(s, keys), KEYS);
	assert_int_equal(change(s, remove_ann, NULL, &err), 0);
	store_close(&s);
	s = open_store_with(test_dir(state), &o);
	for (int i = 0; i < 40 && count_sql(s, accounts) > 1; i++) {
		before = count_sql(s, keys);
		tidy_store(s);
		now = count_sql(s, keys);
		/* The store's own round may have come in between. */
		assert_true(before - now <= 2 * STEP);
	}
	assert_int_equal(now, 0);
	assert_int_equal(count_sql(s, accounts), 1);
	store_close(&s);
}

static int do_nothing(struct txn *t, struct store_job *job, struct err *err)
{
	(void)t, (void)err;
	buf_addz(&job->answer, "yes");
	return 0;
}

static bool ask(struct store *s, uint64_t call)
{
	struct store_job job = { .write = do_nothing, .call = call, .answer = BUF(8) };
	struct err err = ERR_INIT;

	if (store_run(s, &job, &err) < 0)
		fail_msg("%s", err.msg);
	store_job_free(&job);
	return job.repeated;
}

static int pass_time(struct txn *t, void *arg, struct err *err)
{
	(void)arg, (void)err;
	t->apply.next->calls_turned = 0;
	return 0;
}

static void old_answers_go_step_by_step(void **state)
{
	static const char even[] = "SELECT count(*) FROM call_even";
	static const char odd[] = "SELECT count(*) FROM call_odd";
	struct store *s = open_store(state);
	int64_t before, now;
	bool first;
	struct err err;

	tidy_store(s);
	for (uint64_t i = 1; i <= CALLS; i++)
		assert_false(ask(s, i));
	first = count_sql(s, even) == CALLS;
	assert_int_equal(count_sql(s, first ? even : odd), CALLS);
	assert_int_equal(change(s, pass_time, NULL, &err), 0);
	tidy_store(s);
	assert_true(ask(s, CALLS)); /* ten minutes at least */
	assert_int_equal(change(s, pass_time, NULL, &err), 0);
	do {
		before = count_sql(s, first ? even : odd);
		tidy_store(s);
		now = count_sql(s, first ? even : odd);
		assert_true(now < before && before - now <= 2 * STEP);
	} while (now);
	assert_false(ask(s, CALLS));
	store_close(&s);
}

static int copy_all(struct txn *t, void *arg, struct err *err)
{
	struct range_list from = RANGE_LIST, to = RANGE_LIST;
	const struct entry_copy q = {
		.account = 1, .mailbox = *(uint64_t *)arg, .target = *(uint64_t *)arg
	};
	uint64_t modseq;
	int r = entry_copy(t, &q, &from, &to, &modseq, err);

	range_list_free(&from);
	range_list_free(&to);
	return r;
}

static int expunge_all(struct txn *t, void *arg, struct err *err)
{
	struct range_list out = RANGE_LIST;
	uint64_t modseq;
	int r = entry_expunge(t, 1, *(uint64_t *)arg, STR(""), true, &out, &modseq, err);

	range_list_free(&out);
	return r;
}

static void much_mail_is_expunged_in_several_calls(void **state)
{
	struct store *s = open_store(state);
	unsigned left = 1 << DOUBLINGS;
	struct box_test b;
	struct err err;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "hello");
	box(s, "ann@example.org", "INBOX", &b);
	for (int i = 0; i < DOUBLINGS; i++)
		assert_int_equal(change(s, copy_all, &b.m.id, &err), 0);
	while (left) {
		assert_int_equal(change(s, expunge_all, &b.m.id, &err), 0);
		left -= left < ENTRY_EXPUNGED_PER_CALL ? left : ENTRY_EXPUNGED_PER_CALL;
		assert_int_equal(count_sql(s, "SELECT messages FROM account"), left);
	}
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_large_account_goes_step_by_step),
		TEST(old_answers_go_step_by_step),
		TEST(much_mail_is_expunged_in_several_calls),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
