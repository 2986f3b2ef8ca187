/* fsck that is killed, or whose disk fails: begun again it ends well, and meanwhile nothing is
 * worse than before. */
#include "store/fsck_test.h"
#include "store/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JUNK = 64 };

static void put_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static bool holds(int dir, const char *name, const char *text)
{
	char all[JUNK] = "";
	int fd = openat(dir, name, O_RDONLY);
	ssize_t n = fd >= 0 ? read(fd, all, sizeof all - 1) : -1;

	if (fd >= 0)
		close(fd);
	return n >= 0 && strcmp(all, text) == 0;
}

static int calls, failing;
static int fail_nth(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)op, (void)name, (void)to, (void)offset, (void)data;
	return ++calls >= failing ? EIO : 0; /* from there on, as if it was killed */
}

static void drop_aside(int dir)
{
	static const char *const names[] = { "index.db.broken", "index.db.broken-wal",
		"index.db.broken.2", "index.db.broken.2-wal" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		unlinkat(dir, names[i], 0);
}

/* Wherever it ends, the index that could not be used is what it was, here or there, and never
 * without its write-ahead log. */
static void what_was_there_outlives_a_rebuild_that_breaks_off(void **state)
{
	const struct fsck_options o = { .rebuild = true };
	int dir = test_dir(state);
	struct fsck_result r;
	struct snapshot made;
	struct buf before;
	struct err err;

	fill_and_close(state);
	snapshot_and_more(state, &made, "a later");
	show_index(dir, "index.db", &before);
	calls = 0;
	for (failing = 1; calls >= failing - 1; failing++) {
		drop_aside(dir);
		drop_index(dir);
		put_file(dir, "index.db", "the only copy");
		put_file(dir, "index.db-wal", "and its log");
		calls = 0;
		io_watch(fail_nth, NULL);
		err = ERR_INIT;
		(void)fsck_run(dir, &o, &r, &err);
		io_watch(NULL, NULL);
		err = ERR_INIT;
		assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
		assert_true(holds(dir, "index.db.broken", "the only copy"));
		assert_true(holds(dir, "index.db.broken-wal", "and its log"));
		must_show(dir, &before);
	}
	assert_true(failing > 10);
	run_fsck(dir, false, true);
	run_fsck(dir, false, true);
	assert_true(holds(dir, "index.db.broken", "the only copy"));
	assert_int_equal(faccessat(dir, "index.db.broken.2", F_OK, 0), 0);
	buf_free(&before);
}

/* ---- over a loss ---- */

/* A mail that is lost, and others that a folder has; the index is from before. */
static void lose_a_record(void **state)
{
	int dir = test_dir(state);
	int64_t segment = 0, place = 0;
	struct err err = ERR_INIT;
	struct db *db = NULL;
	char url[100], name[40], c;
	struct store *s;
	int fd;

	fill_and_close(state);
	copy_file(dir, "index.db", "older");
	s = open_store(state);
	must_mail(s, 201, "ann@example.org", "before");
	must_mail(s, 202, "ann@example.org", "lost!");
	must_mail(s, 203, "bob@example.org", "after");
	store_close(&s);
	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	db_int(db, &segment, "SELECT max(segment) FROM body", DB_NOARGS, &err);
	db_int(db, &place, "SELECT place - 40 FROM body WHERE id > 8 AND size = 5", DB_NOARGS,
		&err);
	db_close(&db);
	snprintf(name, sizeof name, "log/%010lld.seg", (long long)segment);
	fd = openat(dir, name, O_RDWR);
	assert_int_equal(pread(fd, &c, 1, place), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, place), 1);
	close(fd);
	drop_index(dir);
	copy_file(dir, "older", "index.db");
	sql(dir, "UPDATE body SET links = links + 1 WHERE id = 1;\n");
}

static void die(void *arg, const struct fsck_finding *f)
{
	(void)arg;
	if (strcmp(f->check, "body.links") == 0)
		_exit(9);
}

/* Counters that are wrong until the check has been through would have mail removed. */
static void killed_before_counters_are_right_nothing_has_changed(void **state)
{
	const struct fsck_options o = { .repair = true, .found = die };
	int dir = test_dir(state), status = 0;
	struct fsck_result r;
	struct findings all;
	struct buf before;
	struct err err;
	pid_t pid;

	lose_a_record(state);
	show_index(dir, "index.db", &before);
	pid = fork();
	if (pid == 0) {
		(void)fsck_run(dir, &o, &r, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 9);
	must_show(dir, &before);
	all = run_fsck(dir, true, false);
	assert_non_null(strstr(all.checks, "log.damage")); /* told again, too */
	is_clean(dir);
	buf_free(&before);
}

struct rows_of {
	unsigned n;
};

static bool count_row(void *arg, const struct trace_row *row)
{
	(void)row;
	((struct rows_of *)arg)->n++;
	return true;
}

/* What happened to mail is written down again after a loss, also when a first try could not. */
static void the_trace_goes_on_after_a_second_try(void **state)
{
	const struct fsck_options o = { .repair = true };
	int dir = test_dir(state);
	struct rows_of rows = { 0 };
	struct fsck_result r;
	struct err err = ERR_INIT;
	struct store *s;

	lose_a_record(state);
	unlinkat(dir, "trace.db", 0); /* it would follow from the beginning */
	assert_int_equal(mkdirat(dir, "trace.db", 0700), 0);
	assert_int_equal(fsck_run(dir, &o, &r, &err), -1);
	assert_int_equal(unlinkat(dir, "trace.db", AT_REMOVEDIR), 0);
	err = ERR_INIT;
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	s = open_store(state);
	add_account(s, "eve@example.org");
	must_mail(s, 400, "eve@example.org", "anew");
	assert_int_equal(trace_list(&s->reader_views[0], 0, STR("eve@example.org"), 0, count_row,
				 &rows, &err),
		0);
	store_close(&s);
	assert_true(rows.n > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_there_outlives_a_rebuild_that_breaks_off),
		TEST(killed_before_counters_are_right_nothing_has_changed),
		TEST(the_trace_goes_on_after_a_second_try),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
