#include "db/db_test.h"
#include "db/sqlite.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[96], url[128];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/eilpost-sqlite-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof path, "%s/t.db", folder);
	snprintf(url, sizeof url, "sqlite:%s", path);
	return 0;
}

static int remove_folder(void **state)
{
	char name[128];

	(void)state;
	snprintf(name, sizeof name, "%s-wal", path);
	unlink(name);
	snprintf(name, sizeof name, "%s-shm", path);
	unlink(name);
	unlink(path);
	return rmdir(folder);
}

static struct db *opened(enum db_mode mode)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;

	must(db_open(&db, url, mode, &err), &err);
	return db;
}

static void files_are_private(void **state)
{
	struct db *db;
	struct stat st;
	mode_t old = umask(0);

	(void)state;
	db = opened(DB_WRITE);
	umask(old);
	run(db, "CREATE TABLE t (a BIGINT)");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_close(&db);
}

static void settings_that_keep_it_safe_are_on(void **state)
{
	struct db *db = opened(DB_WRITE);

	(void)state;
	assert_int_equal(number(db, "PRAGMA trusted_schema", DB_NOARGS), 0);
	assert_int_equal(number(db, "PRAGMA temp_store", DB_NOARGS), 2);
	assert_int_equal(number(db, "PRAGMA wal_autocheckpoint", DB_NOARGS), 0);
	assert_int_equal(number(db, "PRAGMA synchronous", DB_NOARGS), 1);
	assert_int_equal(number(db, "PRAGMA foreign_keys", DB_NOARGS), 0);
	assert_int_equal(number(db, "PRAGMA page_size", DB_NOARGS), 4096);
	db_close(&db);
}

static void a_checkpoint_says_what_readers_keep_it_from(void **state)
{
	struct db *db = opened(DB_WRITE), *reader;
	struct err err = ERR_INIT;
	uint32_t left = 9;

	(void)state;
	run(db, "CREATE TABLE t (a BIGINT)");
	assert_true(db_sqlite_wal_bytes(db) > 4096);
	must(db_sqlite_checkpoint(db, DB_TRUNCATE, &left, &err), &err);
	assert_int_equal(left, 0);
	reader = opened(DB_READ);
	must(db_begin(reader, &err), &err);
	assert_int_equal(number(reader, "SELECT count(*) FROM t", DB_NOARGS), 0);
	run(db, "INSERT INTO t VALUES (1)");
	must(db_sqlite_checkpoint(db, DB_PASSIVE, &left, &err), &err);
	assert_int_not_equal(left, 0);
	db_rollback(reader);
	must(db_sqlite_checkpoint(db, DB_PASSIVE, &left, &err), &err);
	assert_int_equal(left, 0);
	must(db_sqlite_checkpoint(db, DB_RESTART, &left, &err), &err);
	assert_int_equal(left, 0);
	db_close(&reader);
	db_close(&db);
}

static void a_checkpoint_has_its_own_connection(void **state)
{
	struct db *db = opened(DB_WRITE), *other = opened(DB_WRITE);
	struct err err = ERR_INIT;
	uint32_t left = 9;

	(void)state;
	run(db, "CREATE TABLE t (a BIGINT)");
	must(db_begin(db, &err), &err);
	run(db, "INSERT INTO t VALUES (1)");
	must(db_sqlite_checkpoint(other, DB_PASSIVE, &left, &err),
		&err); /* beside an open transaction */
	assert_int_equal(left, 0);
	must(db_commit(db, &err), &err);
	must(db_sqlite_checkpoint(other, DB_PASSIVE, &left, &err), &err);
	assert_int_equal(left, 0);
	db_close(&other);
	db_close(&db);
}

static void a_second_writer_is_told_to_repeat(void **state)
{
	struct db *db = opened(DB_WRITE), *other = opened(DB_WRITE);
	struct err err = ERR_INIT;

	(void)state;
	run(db, "CREATE TABLE t (a BIGINT)");
	run(other, "PRAGMA busy_timeout=0");
	must(db_begin(db, &err), &err);
	assert_int_equal(db_begin(other, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	assert_true(db_conflict(other));
	db_rollback(other);
	assert_true(db_conflict(other));
	db_rollback(db);
	must(db_begin(other, &err), &err);
	assert_false(db_conflict(other));
	db_rollback(other);
	db_close(&other);
	db_close(&db);
}

static void a_full_disk_is_told_apart(void **state)
{
	struct db *db = opened(DB_WRITE);
	struct err err = ERR_INIT;
	static const char big[20000] = { 0 };

	(void)state;
	run(db, "CREATE TABLE t (b BLOB)");
	run(db, "PRAGMA max_page_count=4");
	must(db_begin(db, &err), &err);
	assert_int_equal(db_exec(db, "INSERT INTO t VALUES ($1)",
				 DB_ARGS(DB_B(str_make(big, sizeof big))), &err),
		-1);
	assert_int_equal(err.kind, ERR_FULL);
	db_rollback(db);
	assert_false(db_in_transaction(db));
	db_close(&db);
}

static void a_missing_or_damaged_file_is_named(void **state)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;
	int fd;

	(void)state;
	assert_int_equal(db_open(&db, url, DB_READ, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	assert_non_null(strstr(err.msg, path));
	assert_int_equal(db_open(&db, "sqlite:/nonexistent/folder/t.db", DB_WRITE, &err), -1);
	assert_non_null(strstr(err.msg, "/nonexistent/folder/t.db"));
	fd = open(path, O_WRONLY | O_CREAT, 0600);
	assert_true(fd >= 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(write(fd, "this is not a database. ", 24), 24);
	close(fd);
	assert_int_equal(db_open(&db, url, DB_WRITE, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_non_null(strstr(err.msg, path));
}

/* What cannot be read is not what is not there: mail would be refused, and reports dropped. */
static void a_damaged_page_is_no_answer(void **state)
{
	static char page[4096], text[3000];
	struct err err = ERR_INIT;
	struct db *db = opened(DB_WRITE);
	int64_t n;
	int fd;

	(void)state;
	memset(text, 'x', sizeof text);
	memset(page, 0xff, sizeof page);
	run(db, "CREATE TABLE t (x TEXT)");
	for (int i = 0; i < 20; i++)
		must(db_exec(db, "INSERT INTO t VALUES ($1)",
			     DB_ARGS(DB_T(str_make(text, sizeof text))), &err),
			&err);
	db_close(&db);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, page, sizeof page, 5 * sizeof page), sizeof page);
	close(fd);
	db = opened(DB_READ);
	assert_int_equal(db_int(db, &n, "SELECT sum(length(x)) FROM t", DB_NOARGS, &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	db_close(&db);
}

#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_FOLDER(files_are_private),
		IN_FOLDER(settings_that_keep_it_safe_are_on),
		IN_FOLDER(a_checkpoint_says_what_readers_keep_it_from),
		IN_FOLDER(a_checkpoint_has_its_own_connection),
		IN_FOLDER(a_second_writer_is_told_to_repeat),
		IN_FOLDER(a_full_disk_is_told_apart),
		IN_FOLDER(a_missing_or_damaged_file_is_named),
		IN_FOLDER(a_damaged_page_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
