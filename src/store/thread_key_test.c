/* A key leads to its thread wherever it is: in memory, on its way to its table, and there. */
#include "store/store_help_test.h"
#include "store/thread_key.h"

#include <endian.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 1000, ROUNDS = 20 };

static struct store *open_with(void **state)
{
	const struct store_options o = {
		.segment_bytes = 1 << 20, .thread_keys = KEYS, .retention = -1
	};

	return open_store_with(test_dir(state), &o);
}

static int64_t waiting(struct store *s)
{
	return count_sql(s, "SELECT count(*) FROM thread_new");
}

static int64_t arrived(struct store *s)
{
	return count_sql(s, "SELECT count(*) FROM thread_key");
}

struct keys {
	uint64_t account, first, n, thread;
	bool fail;
};

/* Scattered, and half of them negative for SQLite. */
static uint64_t key_of(uint64_t i)
{
	return i * 0x9e3779b97f4a7c15u;
}

static int put(struct txn *t, void *arg, struct err *err)
{
	const struct keys *k = arg;
	static uint64_t coded[KEYS];

	for (uint64_t i = 0; i < k->n; i++)
		coded[i] = htole64(key_of(k->first + i));
	if (emit_thread_keys(t,
		    &(struct effect_thread_keys){
			    k->account, k->thread, str_make(coded, k->n * sizeof *coded) },
		    err) < 0)
		return -1;
	return k->fail ? err_set(err, ERR_PERM, "changed its mind") : 0;
}

/* `n` keys from `first` on. */
static void put_keys(struct store *s, uint64_t account, uint64_t first, uint64_t n, uint64_t thread)
{
	struct keys k = { account, first, n, thread, false };
	struct err err;

	if (change(s, put, &k, &err) < 0)
		fail_msg("%s", err.msg);
}

struct asked {
	uint64_t account, key, thread;
};

static int ask(struct txn *t, void *arg, struct err *err)
{
	struct asked *a = arg;
	const uint64_t coded[] = { 0, htole64(key_of(a->key)) };

	return thread_find(t, a->account, str_make(coded, sizeof coded), 99, &a->thread, err);
}

/* 99: nobody knew. Asking makes it known. */
static uint64_t thread_of(struct store *s, uint64_t account, uint64_t key)
{
	struct asked a = { account, key, 0 };
	struct err err;

	if (change(s, ask, &a, &err) < 0)
		fail_msg("%s", err.msg);
	return a.thread;
}

/* As many commits of the index. */
static void commit(struct store *s, unsigned times, uint64_t *unused)
{
	for (; times; times--)
		put_keys(s, 1, ++*unused, 1, 7);
}

static void a_key_is_found_wherever_it_is(void **state)
{
	struct store *s = open_with(state);
	uint64_t unused = 1000000;
	unsigned seen = 0;

	add_account(s, "ann@example.org");
	put_keys(s, 1, 1, KEYS - 1, 5);
	assert_int_equal(waiting(s), KEYS - 1);
	assert_int_equal(arrived(s), 0);
	assert_int_equal(thread_of(s, 1, 500), 5);
	assert_int_equal(thread_of(s, 2, 500), 99); /* of somebody else, which makes a thousand */
	for (uint64_t i = 1; i <= ROUNDS && waiting(s) >= KEYS; i++) {
		commit(s, 1, &unused);
		seen += arrived(s) > 0 && arrived(s) < KEYS; /* half of the way */
		assert_int_equal(thread_of(s, 1, i * 47), 5);
	}
	assert_true(seen > 1);
	commit(s, 2, &unused);
	assert_int_equal(arrived(s), KEYS);
	assert_int_equal(waiting(s), unused - 1000000); /* only those that came later */
	assert_int_equal(thread_of(s, 1, 500), 5);
	assert_int_equal(thread_of(s, 2, 500), 99);
	assert_int_equal(thread_of(s, 1, 1000001), 7);
	store_close(&s);
}

static void what_was_said_first_stays(void **state)
{
	struct store *s = open_with(state);
	uint64_t unused = 1000000;

	add_account(s, "ann@example.org");
	put_keys(s, 1, 1, 10, 5);
	put_keys(s, 1, 1, 20, 6); /* ten of them again */
	assert_int_equal(waiting(s), 20);
	assert_int_equal(thread_of(s, 1, 10), 5);
	assert_int_equal(thread_of(s, 1, 11), 6);
	put_keys(s, 1, 2000, KEYS, 8);
	commit(s, ROUNDS, &unused);
	assert_int_equal(thread_of(s, 1, 10), 5);
	assert_int_equal(thread_of(s, 1, 11), 6);
	store_close(&s);
}

static void they_are_found_after_a_new_start(void **state)
{
	struct store *s = open_with(state);
	uint64_t unused = 1000000;

	add_account(s, "ann@example.org");
	put_keys(s, 1, 1, KEYS, 5);
	commit(s, 2, &unused);
	assert_in_range(arrived(s), 1, KEYS - 1);
	store_close(&s);
	s = open_with(state);
	assert_int_equal(thread_of(s, 1, 1), 5);
	assert_int_equal(thread_of(s, 1, KEYS), 5);
	assert_int_equal(thread_of(s, 1, unused), 7);
	assert_int_equal(count_sql(s,
				 "SELECT count(*) FROM (SELECT account, key FROM thread_key UNION"
				 " SELECT account, key FROM thread_new) k"),
		KEYS + 2);
	store_close(&s);
}

static void a_request_that_fails_takes_its_keys_along(void **state)
{
	struct store *s = open_with(state);
	struct keys k = { 1, 5000, 10, 6, true };
	uint64_t unused = 1000000;
	struct err err;

	add_account(s, "ann@example.org");
	put_keys(s, 1, 1, KEYS, 5);
	for (int i = 0; i < ROUNDS; i++) { /* while they wait, move, and go */
		assert_int_equal(change(s, put, &k, &err), -1);
		assert_int_equal(thread_of(s, 1, 1), 5);
		assert_int_equal(thread_of(s, 1, KEYS), 5);
		commit(s, 1, &unused);
	}
	assert_int_equal(thread_of(s, 1, 5000), 99);
	assert_int_equal(thread_of(s, 1, KEYS / 2), 5);
	store_close(&s);
}

static int remove_ann(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_remove(t, STR("ann@example.org"), &account, err);
}

static void those_of_a_purged_account_do_not_come_back(void **state)
{
	static const char hers[] = "SELECT (SELECT count(*) FROM thread_key WHERE account = 1)"
				   " + (SELECT count(*) FROM thread_new WHERE account = 1)";
	struct store *s = open_with(state);
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	put_keys(s, 2, 1, KEYS / 2, 5);
	put_keys(s, 1, 1, KEYS, 5);
	put_keys(s, 2, 3000, 1, 5); /* the first commit that moves any */
	put_keys(s, 1, 3000, 10, 5);
	assert_int_equal(change(s, remove_ann, NULL, &err), 0);
	for (int i = 0; i < ROUNDS && count_sql(s, hers); i++)
		tidy_store(s);
	assert_int_equal(count_sql(s, hers), 0);
	for (uint64_t i = 0; i < ROUNDS; i++)
		put_keys(s, 2, 4000 + i * KEYS, KEYS, 6);
	assert_int_equal(count_sql(s, hers), 0);
	assert_true(arrived(s) > 5 * KEYS);
	assert_int_equal(thread_of(s, 2, 1), 5);
	store_close(&s);
}

static int purge_ann(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return emit_account_purged(t, &(struct effect_account_purged){ 1 }, err);
}

/* A row that comes when the last ones are gone does not go with them. */
static void a_key_stays_that_comes_after_a_purge(void **state)
{
	struct store *s = open_with(state);
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	put_keys(s, 1, 1, KEYS, 5);
	assert_int_equal(change(s, purge_ann, NULL, &err), 0);
	assert_int_equal(waiting(s), 0);
	put_keys(s, 2, 9000, 1, 6);
	for (int i = 0; i < ROUNDS; i++)
		assert_int_equal(thread_of(s, 2, 9000), 6);
	assert_int_equal(waiting(s), 1);
	store_close(&s);
}

enum { DIED = 42 };

static void died(void *arg, const struct err *why)
{
	(void)arg, (void)why;
	_exit(DIED);
}

static int break_table(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return db_exec(t->view.db, "DROP TABLE thread_key", DB_NOARGS, err);
}

/* The index is not committed then; the next start makes it from what was. */
static void a_key_that_cannot_move_is_not_lost(void **state)
{
	const struct store_options o = {
		.segment_bytes = 1 << 20, .thread_keys = 1, .fatal = died
	};
	struct store *s;
	struct err err;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		s = open_store_with(test_dir(state), &o);
		add_account(s, "ann@example.org");
		put_keys(s, 1, 1, 1, 5);
		(void)change(s, break_table, NULL, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), DIED);
	s = open_store_with(test_dir(state), &o);
	assert_int_equal(thread_of(s, 1, 1), 5);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { TEST(a_key_is_found_wherever_it_is),
		TEST(what_was_said_first_stays), TEST(they_are_found_after_a_new_start),
		TEST(a_request_that_fails_takes_its_keys_along),
		TEST(those_of_a_purged_account_do_not_come_back),
		TEST(a_key_stays_that_comes_after_a_purge),
		TEST(a_key_that_cannot_move_is_not_lost) };

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
