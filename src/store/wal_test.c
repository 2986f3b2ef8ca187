/* The write-ahead log of the index has a limit, whoever reads. */
#include "base/clock.h"
#include "db/sqlite.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#include <stdatomic.h>
#include <sys/stat.h>

enum { LIMIT = 1 << 20, MAILS = 1500 };

static struct store *open_small(void **state, int64_t patience)
{
	const struct store_options o = {
		.segment_bytes = 1 << 20, .wal_bytes = LIMIT, .wal_patience = patience
	};
	struct store *s = open_store_with(test_dir(state), &o);

	add_account(s, "ann@example.org");
	return s;
}

static void assert_within_limit(void **state)
{
	struct stat st = { 0 };

	assert_int_equal(fstatat(test_dir(state), "index.db-wal", &st, 0), 0);
	assert_true(st.st_size <= LIMIT);
}

/* Deliver until one fails, or `n`. How many did not fail. */
static unsigned deliver(struct store *s, unsigned n, enum err_kind *kind)
{
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < n; i++) {
		struct mail_test m = { .id = i + 1,
			.sender = "them@example.net",
			.to = "ann@example.org",
			.body = "hello" };

		if (mail(s, &m, &err) < 0) {
			*kind = err.kind;
			return i;
		}
	}
	return n;
}

/* Somebody else has the file open and reads on and on: mail is put off, reading goes on. */
static void a_reader_that_does_not_end_stops_intake_at_the_limit(void **state)
{
	struct store *s = open_small(state, CLOCK_MSEC);
	enum err_kind kind = ERR_NONE;
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t n = 0;
	struct box_test b;
	char url[100];
	unsigned done;

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", test_dir(state));
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	assert_int_equal(db_begin(db, &err), 0);
	assert_int_equal(db_int(db, &n, "SELECT count(*) FROM entry", DB_NOARGS, &err), 1);
	done = deliver(s, MAILS, &kind);
	assert_true(done > 10 && done < MAILS);
	assert_int_equal(kind, ERR_TEMP);
	assert_within_limit(state);
	box(s, "ann@example.org", "Sent", &b);
	assert_int_equal(b.m.messages, 0);
	db_rollback(db);
	assert_int_equal(deliver(s, 100, &kind), 100);
	assert_within_limit(state);
	db_close(&db);
	store_close(&s);
}

struct endless {
	struct store_job job; /* first */
	atomic_int began;
};

static int read_for_ever(struct view *v, struct store_job *job, struct err *err)
{
	int64_t n = 0;

	if (db_int(v->db, &n, "SELECT count(*) FROM entry", DB_NOARGS, err) < 0)
		return -1;
	atomic_store(&((struct endless *)job)->began, 1);
	return db_int(v->db, &n,
		"WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x > 0)"
		" SELECT count(*) FROM c",
		DB_NOARGS, err);
}

/* A job of our own that reads too long is interrupted, and no mail is put off for it. */
static void a_job_that_reads_too_long_is_interrupted(void **state)
{
	struct store *s = open_small(state, 60 * CLOCK_SEC);
	struct endless e = { .job = { .read = read_for_ever } };
	enum err_kind kind = ERR_NONE;
	struct box_test b;

	store_submit(s, &e.job);
	while (!atomic_load(&e.began))
		;
	assert_int_equal(deliver(s, MAILS, &kind), MAILS);
	assert_within_limit(state);
	assert_ptr_equal(store_finished(s), &e.job);
	assert_int_equal(e.job.result, -1);
	assert_int_equal(e.job.err.kind, ERR_TEMP);
	box(s, "ann@example.org", "INBOX", &b);
	assert_int_equal(b.m.messages, MAILS);
	store_close(&s);
}

/* When it is somebody else who reads on and on, our own jobs are not kept from reading for each
 * message that comes. */
static void reading_goes_on_while_mail_is_put_off(void **state)
{
	struct store *s = open_small(state, 3 * CLOCK_SEC);
	struct endless e = { .job = { .read = read_for_ever } };
	enum err_kind kind = ERR_NONE;
	struct err err = ERR_INIT;
	struct db *db = NULL;
	char url[100];
	int64_t n = 0;

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", test_dir(state));
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	assert_int_equal(db_begin(db, &err), 0);
	assert_int_equal(db_int(db, &n, "SELECT count(*) FROM entry", DB_NOARGS, &err), 1);
	assert_true(deliver(s, MAILS, &kind) < MAILS);
	store_submit(s, &e.job);
	while (!atomic_load(&e.began))
		;
	assert_int_equal(deliver(s, 1, &kind), 0);
	assert_int_equal(kind, ERR_TEMP);
	assert_null(store_finished(s));
	db_rollback(db);
	while (deliver(s, MAILS, &kind) < MAILS) /* waits again, and ends it */
		assert_int_equal(kind, ERR_TEMP);
	assert_ptr_equal(store_finished(s), &e.job);
	db_close(&db);
	store_close(&s);
}

/* Copying a large index takes longer than the write-ahead log takes to fill. */
static void no_mail_is_put_off_while_a_snapshot_is_copied(void **state)
{
	struct store *s = open_small(state, CLOCK_SEC);
	enum err_kind kind = ERR_NONE;
	struct stat st = { 0 };

	while (!snapshot_main_file_try(s))
		;
	atomic_store(&s->snapshots.copying, true);
	assert_int_equal(deliver(s, 100, &kind), 100);
	assert_int_equal(fstatat(test_dir(state), "index.db-wal", &st, 0), 0);
	assert_true(st.st_size > LIMIT);
	assert_true(deliver(s, MAILS, &kind) < MAILS); /* but there is an end of it */
	assert_int_equal(kind, ERR_TEMP);
	assert_int_equal(fstatat(test_dir(state), "index.db-wal", &st, 0), 0);
	assert_true(st.st_size <= 8 * LIMIT);
	atomic_store(&s->snapshots.copying, false);
	snapshot_main_file_end(s);
	s->options.wal_patience = 60 * CLOCK_SEC;
	assert_int_equal(deliver(s, MAILS, &kind), MAILS);
	assert_true(db_sqlite_wal_bytes(s->index) <= LIMIT);
	store_close(&s);
}

/* Nor does a replay of all there is make it grow. */
static void a_replay_keeps_to_the_limit(void **state)
{
	struct store *s = open_small(state, CLOCK_SEC);
	enum err_kind kind = ERR_NONE;

	assert_int_equal(deliver(s, 4 * MAILS, &kind), 4 * MAILS);
	store_close(&s);
	assert_int_equal(unlinkat(test_dir(state), "index.db", 0), 0);
	unlinkat(test_dir(state), "index.db-wal", 0);
	unlinkat(test_dir(state), "index.db-shm", 0);
	s = open_store_with(test_dir(state),
		&(struct store_options){ .segment_bytes = 1 << 20, .wal_bytes = LIMIT });
	assert_within_limit(state);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_reader_that_does_not_end_stops_intake_at_the_limit),
		TEST(a_job_that_reads_too_long_is_interrupted),
		TEST(reading_goes_on_while_mail_is_put_off),
		TEST(no_mail_is_put_off_while_a_snapshot_is_copied),
		TEST(a_replay_keeps_to_the_limit),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
