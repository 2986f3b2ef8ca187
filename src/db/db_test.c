/* Every test here runs on each engine: the same statements must mean the same. */
#include "db/db_test.h"
#include "base/clock.h"
#include "db/db.h"
#include "db/postgres_test.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64], url[128];
static struct postgres postgres;

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/eilpost-db-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(url, sizeof url, "sqlite:%s/t.db", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	return rmdir(folder);
}

static int start_server(void **state)
{
	(void)state;
	if (postgres_start(&postgres) < 0)
		return -1;
	snprintf(url, sizeof url, "%s", postgres.url);
	return 0;
}

static int stop_server(void **state)
{
	(void)state;
	postgres_stop(&postgres);
	return 0;
}

static int fresh(void **state)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;

	must(db_open(&db, url, DB_WRITE, &err), &err);
	if (str_eq(str_c(db_engine_name(db)), STR("postgres"))) {
		run(db, "DROP SCHEMA public CASCADE");
		run(db, "CREATE SCHEMA public");
	}
	*state = db;
	return 0;
}

static int done(void **state)
{
	struct db *db = *state;

	db_close(&db);
	return str_starts(str_c(url), STR("sqlite:")) ? unlink(url + strlen("sqlite:")) : 0;
}

static void values_come_back_as_they_were(void **state)
{
	struct db *db = *state;
	struct rows *rows = NULL;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (i BIGINT, s TEXT, b BYTEA)");
	must(db_exec(db, "INSERT INTO t VALUES ($1, $2, $3)",
		     DB_ARGS(DB_I(INT64_MIN), DB_T(STR("h\xc3\xa4, 'x' \\ \" $1")),
			     DB_B(STR("\0\xff\\\n"))),
		     &err),
		&err);
	assert_int_equal(db_changes(db), 1);
	must(db_exec(db, "INSERT INTO t VALUES ($1, $2, $3)",
		     DB_ARGS(DB_NIL, DB_T(STR("")), DB_B(STR(""))), &err),
		&err);
	must(db_query(db, &rows, "SELECT i, s, b FROM t ORDER BY s DESC", DB_NOARGS, &err), &err);
	assert_int_equal(rows_next(rows, &err), 1);
	assert_true(rows_int(rows, 0) == INT64_MIN);
	assert_str(rows_str(rows, 1), STR("h\xc3\xa4, 'x' \\ \" $1"));
	assert_int_equal(rows_get(rows, 2).type, DB_BYTES);
	assert_str(rows_str(rows, 2), STR("\0\xff\\\n"));
	assert_int_equal(rows_get(rows, 3).type, DB_NULL);
	assert_int_equal(rows_next(rows, &err), 1);
	assert_int_equal(rows_get(rows, 0).type, DB_NULL);
	assert_int_equal(rows_get(rows, 1).type, DB_TEXT);
	assert_str(rows_str(rows, 1), STR(""));
	assert_int_equal(rows_get(rows, 2).type, DB_BYTES);
	assert_int_equal(rows_next(rows, &err), 0);
	assert_int_equal(rows_next(rows, &err), 0); /* the end stays the end */
	rows_free(&rows);
	rows_free(&rows);
}

static void parameters_go_by_number_not_by_place(void **state)
{
	struct db *db = *state;
	int64_t v = 0;

	run(db, "CREATE TABLE t (a BIGINT, b BIGINT)");
	runv(db, "INSERT INTO t (b, a) VALUES ($2, $1)", DB_ARGS(DB_I(1), DB_I(2)));
	assert_int_equal(number(db, "SELECT a FROM t", DB_NOARGS), 1);
	assert_int_equal(number(db, "SELECT b FROM t", DB_NOARGS), 2);
	assert_int_equal(number(db, "SELECT b FROM t WHERE b > $2 AND a = $1 AND a < $2 + $1",
				 DB_ARGS(DB_I(1), DB_I(1))),
		2);
	v = number(db, "SELECT a + $2 * $1 FROM t", DB_ARGS(DB_I(10), DB_I(INT64_C(1) << 40)));
	assert_true(v == (INT64_C(10) << 40) + 1);
}

static void wrong_statements_are_refused_and_do_no_harm(void **state)
{
	struct db *db = *state;
	struct rows *rows = NULL;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT)");
	assert_int_equal(db_exec(db, "INSERT INTO nowhere VALUES (1)", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_non_null(strstr(err.msg, "nowhere"));
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES ($1)", DB_NOARGS, &err), -1);
	assert_non_null(strstr(err.msg, "takes 1 values, got 0"));
	assert_int_equal(db_query(db, &rows, "SELECT 1", DB_ARGS(DB_I(1)), &err), -1);
	assert_null(rows);
	assert_int_equal(db_exec(db, "SELECT 1; SELECT 2", DB_NOARGS, &err), -1);
	assert_int_equal(db_exec(db, "SELECT \"text\"", DB_NOARGS, &err), -1);
	assert_int_equal(db_exec(db, "SELECT a FROM t WHERE a = ?", DB_ARGS(DB_I(1)), &err), -1);
	assert_int_equal(db_exec(db, "SELECT $1", DB_ARGS(DB_T(STR("a\0b"))), &err), -1);
	assert_non_null(strstr(err.msg, "NUL"));
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 0);
}

static void a_taken_key_is_told_apart(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	run(db,
		"CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT UNIQUE, n BIGINT NOT NULL CHECK "
		"(n > 0))");
	run(db, "INSERT INTO t VALUES (1, 'a', 1)");
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES (1, 'b', 1)", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES (2, 'a', 1)", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES (2, 'c', 0)", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_int_equal(
		db_exec(db, "INSERT INTO t VALUES (2, 'c', $1)", DB_ARGS(DB_NIL), &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_false(db_conflict(db));
	run(db, "INSERT INTO t VALUES (1, 'z', 1) ON CONFLICT DO NOTHING");
	assert_int_equal(db_changes(db), 0);
}

static void counters_return_their_new_value(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;
	int64_t v = 77;

	run(db, "CREATE TABLE t (id BIGINT PRIMARY KEY, next BIGINT NOT NULL)");
	runv(db, "INSERT INTO t VALUES ($1, $2)", DB_ARGS(DB_I(1), DB_I(5)));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			db_int(db, &v, "UPDATE t SET next = next + $2 WHERE id = $1 RETURNING next",
				DB_ARGS(DB_I(1), DB_I(10)), &err),
			1);
		assert_int_equal(v, 15 + 10 * i);
		assert_int_equal(db_changes(db), 1);
	}
	assert_int_equal(
		db_int(db, &v, "UPDATE t SET next = next + $2 WHERE id = $1 RETURNING next",
			DB_ARGS(DB_I(2), DB_I(10)), &err),
		0);
	assert_int_equal(v, 35); /* untouched */
	assert_int_equal(
		db_int(db, &v, "SELECT max(next) FROM t WHERE id = 9", DB_NOARGS, &err), 0);
	assert_int_equal(number(db, "SELECT sum(next) FROM t", DB_NOARGS), 35);
	assert_int_equal(db_int(db, &v, "SELECT 'five'", DB_NOARGS, &err), -1);
	run(db, "INSERT INTO t VALUES (1, 0) ON CONFLICT (id) DO UPDATE SET next = t.next + 1");
	assert_int_equal(number(db, "SELECT next FROM t", DB_NOARGS), 36);
}

static void what_is_rolled_back_has_not_happened(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT PRIMARY KEY)");
	assert_false(db_in_transaction(db));
	must(db_begin(db, &err), &err);
	assert_true(db_in_transaction(db));
	run(db, "INSERT INTO t VALUES (1)");
	db_rollback(db);
	db_rollback(db); /* no transaction: nothing to do */
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 0);
	must(db_begin(db, &err), &err);
	run(db, "INSERT INTO t VALUES (2)");
	must(db_commit(db, &err), &err);
	assert_false(db_in_transaction(db));
	assert_int_equal(number(db, "SELECT a FROM t", DB_NOARGS), 2);
}

static void a_failed_request_of_a_batch_leaves_nothing_behind(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT PRIMARY KEY)");
	must(db_begin(db, &err), &err);
	for (int64_t i = 0; i < 10; i++) {
		must(db_save(db, &err), &err);
		runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(i)));
		if (i % 2) { /* the same key again: the request fails half-way */
			assert_int_equal(
				db_exec(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(i)), &err),
				-1);
			must(db_undo(db, &err), &err);
		} else {
			must(db_keep(db, &err), &err);
		}
	}
	must(db_save(db, &err), &err); /* savepoints nest */
	run(db, "INSERT INTO t VALUES (100)");
	must(db_save(db, &err), &err);
	run(db, "INSERT INTO t VALUES (101)");
	must(db_undo(db, &err), &err);
	must(db_keep(db, &err), &err);
	must(db_commit(db, &err), &err);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 6);
	assert_int_equal(number(db, "SELECT sum(a) FROM t", DB_NOARGS), 0 + 2 + 4 + 6 + 8 + 100);
}

static void the_same_statement_may_run_within_itself(void **state)
{
	static const char sql[] = "SELECT a FROM t WHERE a >= $1 ORDER BY a";
	struct db *db = *state;
	struct rows *rows[6] = { NULL };
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT)");
	run(db, "INSERT INTO t VALUES (0), (1), (2), (3), (4), (5), (6), (7)");
	for (int64_t i = 0; i < 6; i++) { /* more at once than are kept */
		must(db_query(db, &rows[i], sql, DB_ARGS(DB_I(i)), &err), &err);
		assert_int_equal(rows_next(rows[i], &err), 1);
	}
	for (int64_t i = 0; i < 6; i++) {
		assert_int_equal(rows_int(rows[i], 0), i);
		assert_int_equal(rows_next(rows[i], &err), 1);
		assert_int_equal(rows_int(rows[i], 0), i + 1);
		rows_free(&rows[i]);
	}
}

static void a_buffer_used_again_is_another_statement(void **state)
{
	struct db *db = *state;
	char sql[64];

	for (int i = 0; i < 600; i++) {
		snprintf(sql, sizeof sql, "SELECT %d", i);
		assert_int_equal(number(db, sql, DB_NOARGS), i);
	}
}

static void many_statements_push_out_old_ones(void **state)
{
	struct db *db = *state;
	char(*sql)[32] = calloc(700, sizeof *sql);

	assert_non_null(sql);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 700; i++) {
			snprintf(sql[i], sizeof sql[i], "SELECT %d + 0", i);
			assert_int_equal(number(db, sql[i], DB_NOARGS), i);
		}
	free(sql);
}

static void a_script_runs_the_lines_of_its_engine(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	must(db_script(db,
		     STR("-- a comment; with a semicolon;\n"
			 "CREATE TABLE t (\n"
			 "  id BIGINT PRIMARY KEY, -- the key\n"
			 "  s TEXT\n"
			 ")\n"
			 "--sqlite WITHOUT ROWID\n"
			 ";\n\n"
			 "--sqlite INSERT INTO t VALUES (1, 'sqlite');\n"
			 "--postgres INSERT INTO t VALUES (1, 'postgres');\n"
			 "INSERT INTO t VALUES (2,\n"
			 "'a;b');"),
		     &err),
		&err);
	assert_int_equal(number(db, "SELECT count(*) FROM t WHERE s = $1",
				 DB_ARGS(DB_T(str_c(db_engine_name(db))))),
		1);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 2);
	assert_int_equal(db_script(db, STR("SELECT 1;\nSELECT 2"), &err), -1);
	assert_non_null(strstr(err.msg, "';'"));
	assert_int_equal(db_script(db, STR("SELECT $1;"), &err), -1);
	must(db_script(db, STR(""), &err), &err);
}

static void large_values_pass(void **state)
{
	struct db *db = *state;
	struct rows *rows = NULL;
	struct err err = ERR_INIT;
	size_t n = 3 << 20;
	char *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 7 >> 3);
	run(db, "CREATE TABLE t (b BYTEA)");
	runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_B(str_make(p, n))));
	must(db_query(db, &rows, "SELECT b FROM t", DB_NOARGS, &err), &err);
	assert_int_equal(rows_next(rows, &err), 1);
	assert_str(rows_str(rows, 0), str_make(p, n));
	rows_free(&rows);
	free(p);
}

static void a_reader_sees_one_moment(void **state)
{
	struct db *db = *state, *reader = NULL;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT)");
	must(db_open(&reader, url, DB_READ, &err), &err);
	must(db_begin(reader, &err), &err);
	assert_int_equal(number(reader, "SELECT count(*) FROM t", DB_NOARGS), 0);
	must(db_begin(db, &err), &err);
	run(db, "INSERT INTO t VALUES (1)");
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 1);
	must(db_commit(db, &err), &err);
	assert_int_equal(number(reader, "SELECT count(*) FROM t", DB_NOARGS), 0);
	must(db_commit(reader, &err), &err);
	assert_int_equal(number(reader, "SELECT count(*) FROM t", DB_NOARGS), 1);
	assert_int_equal(db_exec(reader, "INSERT INTO t VALUES (2)", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	db_close(&reader);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 1);
}

static void urls_are_checked(void **state)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(db_open(&db, "mysql://x", DB_WRITE, &err), -1);
	assert_non_null(strstr(err.msg, "mysql"));
	assert_int_equal(db_open(&db, "nothing", DB_WRITE, &err), -1);
	assert_int_equal(db_open(&db, "sqlite:", DB_WRITE, &err), -1);
	assert_null(db);
	db_close(&db);
}

/* From here on PostgreSQL only: what can go wrong with a server. */

static void a_serialization_failure_asks_to_repeat(void **state)
{
	struct db *db = *state, *other = NULL;
	struct err err = ERR_INIT;

	must(db_open(&other, url, DB_WRITE, &err), &err);
	run(db, "CREATE TABLE t (a BIGINT)");
	run(db, "INSERT INTO t VALUES (1)");
	must(db_begin(db, &err), &err);
	run(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	assert_int_equal(number(db, "SELECT a FROM t", DB_NOARGS), 1);
	run(other, "UPDATE t SET a = 2");
	assert_int_equal(db_exec(db, "UPDATE t SET a = a + 1", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_true(db_conflict(db));
	db_rollback(db);
	assert_true(db_conflict(db));
	must(db_begin(db, &err), &err);
	run(db, "UPDATE t SET a = a + 1");
	must(db_commit(db, &err), &err);
	assert_int_equal(number(other, "SELECT a FROM t", DB_NOARGS), 3);
	db_close(&other);
}

static void a_commit_after_a_failure_is_no_commit(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT)");
	must(db_begin(db, &err), &err);
	run(db, "INSERT INTO t VALUES (1)");
	assert_int_equal(db_exec(db, "SELECT 1/0", DB_NOARGS, &err), -1);
	assert_int_equal(db_commit(db, &err), -1);
	assert_false(db_in_transaction(db));
	db_rollback(db);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 0);
}

static void a_lost_server_is_told_apart(void **state)
{
	struct db *db = *state, *other = NULL;
	struct err err = ERR_INIT;
	int64_t pid = number(db, "SELECT pg_backend_pid()", DB_NOARGS);

	must(db_open(&other, url, DB_WRITE, &err), &err);
	must(db_begin(db, &err), &err);
	/* Waits for up to five seconds until the other backend is gone. */
	runv(other, "SELECT pg_terminate_backend($1::int, 5000)", DB_ARGS(DB_I(pid)));
	assert_int_equal(db_exec(db, "SELECT 1", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
	assert_false(db_in_transaction(db));
	db_rollback(db);
	assert_int_equal(db_begin(db, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
	db_close(&other);
}

static void numbers_of_any_width_are_integers(void **state)
{
	struct db *db = *state;

	run(db, "CREATE TABLE t (s SMALLINT, i INTEGER, b BIGINT, o BOOLEAN, n NUMERIC, f FLOAT8)");
	run(db, "INSERT INTO t VALUES (-2, -3, -4, true, -123456789012345.6, 9e99)");
	assert_int_equal(number(db, "SELECT s FROM t", DB_NOARGS), -2);
	assert_int_equal(number(db, "SELECT i FROM t", DB_NOARGS), -3);
	assert_int_equal(number(db, "SELECT b FROM t", DB_NOARGS), -4);
	assert_int_equal(number(db, "SELECT o FROM t", DB_NOARGS), 1);
	assert_true(number(db, "SELECT n FROM t", DB_NOARGS) == INT64_C(-123456789012345));
	assert_true(number(db, "SELECT f FROM t", DB_NOARGS) == INT64_MAX);
	assert_int_equal(number(db, "SELECT 10000::numeric * 10000", DB_NOARGS), 100000000);
	assert_true(number(db, "SELECT 9223372036854775807::numeric", DB_NOARGS) == INT64_MAX);
	assert_true(number(db, "SELECT 1e30::numeric", DB_NOARGS) == INT64_MAX);
	/* A width that was guessed from a NULL takes a number later. */
	run(db, "DELETE FROM t");
	for (int i = 0; i < 2; i++)
		runv(db, "INSERT INTO t (i) VALUES ($1)", DB_ARGS(i ? DB_I(7) : DB_NIL));
	assert_int_equal(number(db, "SELECT sum(i) FROM t", DB_NOARGS), 7);
}

static void count_note(void *arg, struct str text)
{
	struct buf *b = arg;

	buf_add(b, text);
	buf_addc(b, ' ');
}

static void notes_come_to_who_listens(void **state)
{
	struct db *db = *state, *other = NULL;
	struct buf heard = BUF(100);
	struct err err = ERR_INIT;
	int stop[2];

	assert_int_equal(pipe(stop), 0);
	must(db_open(&other, url, DB_WRITE, &err), &err);
	run(db, "LISTEN test");
	assert_int_equal(db_wait(db, stop[0], clock_mono(), count_note, &heard, &err), 0);
	run(other, "SELECT pg_notify('test', 'one')");
	must(db_begin(other, &err), &err);
	run(other, "SELECT pg_notify('test', 'two')");
	while (heard.n < 4)
		assert_int_equal(
			db_wait(db, stop[0], clock_after(CLOCK_SEC * 60), count_note, &heard, &err),
			1);
	assert_str(buf_str(&heard), STR("one "));
	must(db_commit(other, &err), &err);
	assert_int_equal(
		db_wait(db, stop[0], clock_after(CLOCK_SEC * 60), count_note, &heard, &err), 1);
	assert_str(buf_str(&heard), STR("one two "));
	close(stop[1]);
	assert_int_equal(db_wait(db, stop[0], INT64_MAX, count_note, &heard, &err), 0);
	close(stop[0]);
	buf_free(&heard);
	db_close(&other);
}

static void is_lost(void *arg, const struct err *why)
{
	assert_int_equal(why->kind, ERR_CLOSED);
	++*(int *)arg;
}

static void who_asked_is_told_once_that_the_server_is_gone(void **state)
{
	struct db *db = *state, *other = NULL;
	struct err err = ERR_INIT;
	int64_t pid = number(db, "SELECT pg_backend_pid()", DB_NOARGS);
	int times = 0;

	must(db_open(&other, url, DB_WRITE, &err), &err);
	db_on_lost(db, is_lost, &times);
	runv(other, "SELECT pg_terminate_backend($1::int, 5000)", DB_ARGS(DB_I(pid)));
	for (int i = 0; i < 2; i++)
		assert_int_equal(db_exec(db, "SELECT 1", DB_NOARGS, &err), -1);
	assert_int_equal(times, 1);
	db_close(&other);
}

/* A server that was stopped, or a network that drops everything, closes nothing. */
static void a_server_that_has_stopped_is_lost_when_the_time_is_up(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;
	int64_t pid = number(db, "SELECT pg_backend_pid()", DB_NOARGS);
	int times = 0;

	db_on_lost(db, is_lost, &times);
	db_limit(db, CLOCK_SEC * 20);
	assert_int_equal(number(db, "SELECT 1 FROM pg_sleep(0.05)", DB_NOARGS), 1);
	db_limit(db, CLOCK_MSEC);
	must(db_begin(db, &err), &err);
	assert_int_equal(kill((pid_t)pid, SIGSTOP), 0);
	assert_int_equal(db_exec(db, "SELECT 1", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
	assert_non_null(strstr(err.msg, "stopped answering"));
	assert_int_equal(times, 1);
	/* What comes late answers nothing. */
	assert_int_equal(kill((pid_t)pid, SIGCONT), 0);
	assert_int_equal(db_exec(db, "SELECT 2", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
}

/* What the server has to say while it commits ("NOTIFY queue is half full") is no failure. */
static void a_commit_with_a_warning_is_a_commit(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;
	int times = 0;

	db_on_lost(db, is_lost, &times);
	run(db, "CREATE TABLE t (a BIGINT)");
	run(db,
		"CREATE FUNCTION warn() RETURNS trigger LANGUAGE plpgsql AS"
		" $$ BEGIN RAISE WARNING 'half full'; RETURN NULL; END $$");
	run(db,
		"CREATE CONSTRAINT TRIGGER w AFTER INSERT ON t INITIALLY DEFERRED"
		" FOR EACH ROW EXECUTE FUNCTION warn()");
	must(db_begin(db, &err), &err);
	run(db, "INSERT INTO t VALUES (1)");
	must(db_commit(db, &err), &err);
	assert_int_equal(times, 0);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 1);
}

/* What is sent without waiting is done, in order, and what fails of it is told before anything
 * counts. */
static void what_was_deferred_fails_before_anything_counts(void **state)
{
	struct db *db = *state;
	struct err err = ERR_INIT;

	run(db, "CREATE TABLE t (a BIGINT UNIQUE)");
	db_defer(db, true);
	must(db_begin(db, &err), &err);
	for (int64_t i = 0; i < 200; i++)
		runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(i)));
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 200);
	run(db, "UPDATE t SET a = a + 1000 WHERE a < 3");
	assert_int_equal(db_changes(db), 3);
	must(db_save(db, &err), &err);
	runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(7)));
	runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(-1)));
	assert_int_equal(db_keep(db, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	must(db_undo(db, &err), &err);
	/* The same, when it is undone before anybody has asked, or somebody only wants a number. */
	for (int i = 0; i < 2; i++) {
		must(db_save(db, &err), &err);
		runv(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(7)));
		if (i)
			(void)db_changes(db);
		must(db_undo(db, &err), &err);
	}
	must(db_commit(db, &err), &err);
	assert_int_equal(number(db, "SELECT count(*) FROM t", DB_NOARGS), 200);
	must(db_begin(db, &err), &err);
	run(db, "DELETE FROM t");
	runv(db, "INSERT INTO t VALUES ($1 / 0)", DB_ARGS(DB_I(1)));
	assert_int_equal(db_commit(db, &err), -1);
	db_rollback(db);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES ($1)", DB_ARGS(DB_I(7)), &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
}

static void ask_for_a_standby(struct db *db, bool ask)
{
	run(db,
		ask ? "ALTER SYSTEM SET synchronous_standby_names = 'nobody'"
		    : "ALTER SYSTEM RESET synchronous_standby_names");
	run(db, "SELECT pg_reload_conf()");
	while (number(db,
		       "SELECT count(*) FROM pg_settings WHERE setting = 'nobody'"
		       " AND name = 'synchronous_standby_names'",
		       DB_NOARGS) != ask)
		;
}

struct committing {
	struct db *db;
	struct err err;
	int result;
};

static void *commit_one(void *arg)
{
	struct committing *c = arg;

	c->result = db_commit(c->db, &c->err);
	return NULL;
}

/* T172: nobody may be told that it is safe. */
static void a_commit_that_the_standby_has_not_confirmed_is_unknown(void **state)
{
	struct db *db = *state;
	struct committing c = { .err = ERR_INIT };
	pthread_t thread;
	int times = 0;

	run(db, "CREATE TABLE t (a BIGINT)");
	must(db_open(&c.db, url, DB_WRITE, &c.err), &c.err);
	db_on_lost(c.db, is_lost, &times);
	ask_for_a_standby(db, true);
	must(db_begin(c.db, &c.err), &c.err);
	run(c.db, "INSERT INTO t VALUES (1)");
	assert_int_equal(pthread_create(&thread, NULL, commit_one, &c), 0);
	while (number(db,
		       "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity"
		       " WHERE wait_event = 'SyncRep'",
		       DB_NOARGS) == 0)
		;
	pthread_join(thread, NULL);
	assert_int_equal(c.result, -1);
	assert_int_equal(c.err.kind, ERR_CLOSED);
	assert_int_equal(times, 1);
	ask_for_a_standby(db, false);
	db_close(&c.db);
}

static void text_that_is_no_utf8_is_cleaned(void **state)
{
	struct db *db = *state;

	run(db, "CREATE TABLE t (a TEXT, b TEXT)");
	runv(db, "INSERT INTO t VALUES ($1, $2)",
		DB_ARGS(DB_T(STR("caf\xe9 \xff")), DB_T(STR("caf\xc3\xa9"))));
	assert_int_equal(number(db,
				 "SELECT count(*) FROM t WHERE a = $1 AND b = $2"
				 " AND a = $3",
				 DB_ARGS(DB_T(STR("caf\xe9 \xff")), DB_T(STR("caf\xc3\xa9")),
					 DB_T(STR("caf\xef\xbf\xbd \xef\xbf\xbd")))),
		1);
}

static void a_missing_server_is_told(void **state)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(db_open(&db, "postgres:///x?host=/nonexistent", DB_WRITE, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_non_null(strstr(err.msg, "/nonexistent"));
}

#define ON_ENGINE(f) cmocka_unit_test_setup_teardown(f, fresh, done)

/* Who may open no socket any more still gets a connection, of the mode that was asked for. */
static void connections_are_opened_ahead(void **state)
{
	static const char count[] = "SELECT count(*) FROM pg_stat_activity WHERE application_name"
				    " = 'eilpost'";
	struct db *db = *state, *reading = NULL, *writing = NULL, *fresh_one = NULL;
	struct err err = ERR_INIT;
	int64_t before = number(db, count, DB_NOARGS);

	must(db_ahead(url, DB_READ, 1, &err), &err);
	must(db_ahead(url, DB_WRITE, 1, &err), &err);
	assert_int_equal(number(db, count, DB_NOARGS), before + 2);
	must(db_open(&reading, url, DB_READ, &err), &err);
	must(db_open(&writing, url, DB_WRITE, &err), &err);
	assert_int_equal(number(db, count, DB_NOARGS), before + 2);
	run(writing, "CREATE TABLE t (i BIGINT)");
	assert_int_equal(db_exec(reading, "INSERT INTO t VALUES (1)", DB_NOARGS, &err), -1);
	must(db_open(&fresh_one, url, DB_WRITE, &err), &err);
	assert_int_equal(number(db, count, DB_NOARGS), before + 3);
	db_close(&reading);
	db_close(&writing);
	db_close(&fresh_one);
}

/* T170: a server that is set to answer before a commit is on its disk is told otherwise. */
static void a_commit_is_durable_whatever_the_server_prefers(void **state)
{
	struct db *db = *state, *other = NULL;
	struct err err = ERR_INIT;

	run(db, "ALTER DATABASE postgres SET synchronous_commit = off");
	must(db_open(&other, url, DB_WRITE, &err), &err);
	assert_int_equal(number(other,
				 "SELECT CASE current_setting('synchronous_commit') WHEN 'on'"
				 " THEN 1 ELSE 0 END",
				 DB_NOARGS),
		1);
	db_close(&other);
	run(db, "ALTER DATABASE postgres RESET synchronous_commit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		ON_ENGINE(values_come_back_as_they_were),
		ON_ENGINE(parameters_go_by_number_not_by_place),
		ON_ENGINE(wrong_statements_are_refused_and_do_no_harm),
		ON_ENGINE(a_taken_key_is_told_apart),
		ON_ENGINE(counters_return_their_new_value),
		ON_ENGINE(what_is_rolled_back_has_not_happened),
		ON_ENGINE(a_failed_request_of_a_batch_leaves_nothing_behind),
		ON_ENGINE(the_same_statement_may_run_within_itself),
		ON_ENGINE(a_buffer_used_again_is_another_statement),
		ON_ENGINE(many_statements_push_out_old_ones),
		ON_ENGINE(a_script_runs_the_lines_of_its_engine),
		ON_ENGINE(large_values_pass),
		ON_ENGINE(a_reader_sees_one_moment),
		ON_ENGINE(urls_are_checked),
	};

	const struct CMUnitTest postgres_tests[] = {
		ON_ENGINE(a_serialization_failure_asks_to_repeat),
		ON_ENGINE(a_commit_after_a_failure_is_no_commit),
		ON_ENGINE(a_lost_server_is_told_apart),
		ON_ENGINE(numbers_of_any_width_are_integers),
		ON_ENGINE(a_missing_server_is_told),
		ON_ENGINE(notes_come_to_who_listens),
		ON_ENGINE(who_asked_is_told_once_that_the_server_is_gone),
		ON_ENGINE(a_server_that_has_stopped_is_lost_when_the_time_is_up),
		ON_ENGINE(a_commit_with_a_warning_is_a_commit),
		ON_ENGINE(what_was_deferred_fails_before_anything_counts),
		ON_ENGINE(a_commit_that_the_standby_has_not_confirmed_is_unknown),
		ON_ENGINE(text_that_is_no_utf8_is_cleaned),
		ON_ENGINE(connections_are_opened_ahead),
		ON_ENGINE(a_commit_is_durable_whatever_the_server_prefers),
	};
	int failed = cmocka_run_group_tests_name("sqlite", tests, make_folder, remove_folder);

	if (!postgres_find(&postgres)) {
		print_message("PostgreSQL is not installed: these tests ran on SQLite only\n");
		return failed;
	}
	if (start_server(NULL) < 0) {
		stop_server(NULL);
		print_error("PostgreSQL does not start\n");
		return 1;
	}
	failed += cmocka_run_group_tests_name("postgres", tests, NULL, NULL);
	failed += cmocka_run_group_tests_name("postgres only", postgres_tests, NULL, NULL);
	stop_server(NULL);
	return failed;
}
