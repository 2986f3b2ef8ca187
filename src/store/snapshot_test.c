/* Snapshots of the index: each is one moment of it, two are kept, and they hold the log. */
#include "base/clock.h"
#include "store/io.h"
#include "store/snapshot.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>

static struct snapshot must_snapshot(struct store *s)
{
	struct snapshot made;
	struct err err = ERR_INIT;

	if (store_snapshot(s, &made, &err) < 0)
		fail_msg("%s", err.msg);
	return made;
}

/* The snapshot alone shows what the index showed. */
static void a_snapshot_is_the_index(void **state)
{
	struct buf index = BUF(1 << 22), copy = BUF(1 << 22);
	struct store *s = open_store(state);
	struct snapshot made;

	add_account(s, "ann@example.org");
	must_mail(s, 7, "ann@example.org", "hello");
	add_account(s, "bob@example.org"); /* not lazy: everything is committed */
	made = must_snapshot(s);
	dump_index(test_dir(state), "index.db", &index);
	must_mail(s, 8, "ann@example.org", "later");
	dump_index(test_dir(state), made.name, &copy);
	assert_true(buf_ok(&index) && buf_ok(&copy));
	assert_true(str_eq(buf_str(&index), buf_str(&copy)));
	store_close(&s);
	buf_free(&index);
	buf_free(&copy);
}

static void fill(struct store *s, unsigned messages)
{
	static char body[200 << 10];
	static uint64_t id = 100;

	memset(body, 'x', sizeof body - 1);
	for (unsigned i = 0; i < messages; i++)
		must_mail(s, id++, "ann@example.org", body);
}

static void two_are_kept_and_hold_the_log(void **state)
{
	struct store *s = open_store(state);
	struct snapshot made[3], kept[8];
	struct err err = ERR_INIT;

	assert_true(store_held_from(s) == UINT64_MAX);
	add_account(s, "ann@example.org");
	for (int i = 0; i < 3; i++) {
		made[i] = must_snapshot(s);
		fill(s, 10);
		add_account(s,
			i == 0           ? "b@example.org"
				: i == 1 ? "c@example.org"
					 : "d@example.org");
	}
	assert_int_equal(snapshot_list(test_dir(state), kept, 8, &err), 2);
	assert_string_equal(kept[0].name, made[2].name);
	assert_string_equal(kept[1].name, made[1].name);
	assert_true(made[1].segment > made[0].segment);
	assert_int_equal(store_held_from(s), made[1].segment);
	store_hold(s);
	assert_int_equal(store_held_from(s), 0);
	store_unhold(s);
	store_close(&s);
	s = open_store(state); /* known again */
	assert_int_equal(store_held_from(s), made[1].segment);
	store_close(&s);
}

/* The clock was wrong for a while: what was made then is older than what is made now. */
static void one_from_the_future_is_not_the_newest(void **state)
{
	const struct timespec future[2] = { { .tv_sec = INT32_MAX }, { .tv_sec = INT32_MAX } };
	struct store *s = open_store(state);
	struct snapshot made[3], kept[8];
	struct err err = ERR_INIT;

	for (int i = 0; i < 3; i++) {
		add_account(s,
			i == 0           ? "b@example.org"
				: i == 1 ? "c@example.org"
					 : "d@example.org");
		made[i] = must_snapshot(s);
		if (i < 2)
			utimensat(test_dir(state), made[i].name, future, 0);
	}
	assert_int_equal(snapshot_list(test_dir(state), kept, 8, &err), 2);
	assert_string_equal(kept[0].name, made[2].name);
	assert_string_equal(kept[1].name, made[1].name);
	store_close(&s);
}

static void one_comes_by_itself_when_the_log_has_grown(void **state)
{
	struct store *s = open_store(state);
	struct snapshot kept[2];
	struct err err = ERR_INIT;
	int n;

	add_account(s, "ann@example.org");
	fill(s, 60);
	/* The thread works when it comes to that; more mail makes it. */
	for (n = 0; n == 0;) {
		fill(s, 20);
		n = snapshot_list(test_dir(state), kept, 2, &err);
	}
	assert_true(n > 0);
	store_close(&s);
}

static void *snapshots_all_the_time(void *arg)
{
	struct store *s = arg;
	struct snapshot made;
	struct err err = ERR_INIT;

	for (int i = 0; i < 20; i++)
		if (store_snapshot(s, &made, &err) < 0)
			return arg;
	return NULL;
}

/* Copied while the writer goes on and asks for checkpoints, each snapshot is still one moment. */
static void the_writer_goes_on_meanwhile(void **state)
{
	struct store *s = open_store(state);
	struct snapshot kept[2];
	struct err err = ERR_INIT;
	pthread_t thread;
	void *failed;
	int n;

	add_account(s, "ann@example.org");
	assert_int_equal(pthread_create(&thread, NULL, snapshots_all_the_time, s), 0);
	fill(s, 100);
	pthread_join(thread, &failed);
	assert_null(failed);
	store_close(&s);
	n = snapshot_list(test_dir(state), kept, 2, &err);
	for (int i = 0; i < n; i++) {
		char url[200];
		struct db *db = NULL;
		int64_t wrong = -1;

		snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/%s", test_dir(state),
			kept[i].name);
		assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
		assert_int_equal(
			db_int(db, &wrong,
				"SELECT count(*) FROM mailbox m WHERE messages <>"
				" (SELECT count(*) FROM entry e WHERE e.account = m.account"
				" AND e.mailbox = m.id)",
				DB_NOARGS, &err),
			1);
		assert_int_equal(wrong, 0);
		db_close(&db);
	}
}

static enum io_op failing;
static int fail_op(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)to, (void)offset, (void)data;
	return op == failing && strncmp(name, "snapshot", 8) == 0 ? EIO : 0;
}

/* Whatever step fails, the older ones stay and no half one has a name. */
static void a_failed_step_leaves_what_was_there(void **state)
{
	static const enum io_op ops[] = { IO_CREATE, IO_WRITE, IO_FLUSH, IO_RENAME };
	struct store *s = open_store(state);
	struct snapshot first, made, kept[8];
	struct err err = ERR_INIT;

	add_account(s, "ann@example.org");
	first = must_snapshot(s);
	add_account(s, "bob@example.org");
	for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++) {
		failing = ops[i];
		io_watch(fail_op, NULL);
		assert_int_equal(store_snapshot(s, &made, &err), -1);
		io_watch(NULL, NULL);
		assert_int_equal(snapshot_list(test_dir(state), kept, 8, &err), 1);
		assert_string_equal(kept[0].name, first.name);
	}
	must_snapshot(s);
	assert_int_equal(snapshot_list(test_dir(state), kept, 8, &err), 2);
	store_close(&s);
}

static int no_space(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)name, (void)to, (void)offset, (void)data;
	return op == IO_SPACE ? ENOSPC : 0;
}

/* The writer would end for lack of space, start, and meet the next one. */
static void none_is_made_that_would_fill_the_disk(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .reserve_bytes = 1 };
	struct store *s = open_store_with(test_dir(state), &o);
	struct snapshot made;
	struct err err = ERR_INIT;

	add_account(s, "ann@example.org");
	io_watch(no_space, NULL);
	assert_int_equal(store_snapshot(s, &made, &err), -1);
	io_watch(NULL, NULL);
	assert_int_equal(err.kind, ERR_FULL);
	assert_int_equal(snapshot_list(test_dir(state), &made, 1, &err), 0);
	must_snapshot(s);
	store_close(&s);
}

/* Or the thread would look again and again, without a pause. */
static void an_index_that_cannot_be_read_puts_it_off(void **state)
{
	struct store *s = open_store(state);
	struct err err = ERR_INIT;
	struct db *nothing = NULL;

	assert_int_equal(db_open(&nothing, "sqlite::memory:", DB_WRITE, &err), 0);
	s->snapshots.due = 0;
	snapshot_consider(s, nothing);
	assert_true(s->snapshots.due > clock_mono());
	db_close(&nothing);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_snapshot_is_the_index),
		TEST(two_are_kept_and_hold_the_log),
		TEST(one_from_the_future_is_not_the_newest),
		TEST(one_comes_by_itself_when_the_log_has_grown),
		TEST(the_writer_goes_on_meanwhile),
		TEST(a_failed_step_leaves_what_was_there),
		TEST(an_index_that_cannot_be_read_puts_it_off),
		TEST(none_is_made_that_would_fill_the_disk),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
