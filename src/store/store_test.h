/* store_test.h - a directory for every test, gone afterwards. */
#ifndef STORE_STORE_TEST_H
#define STORE_STORE_TEST_H

#include "base/log.h"
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "db/postgres_test.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_place {
	char path[64];
	int fd;
};

static int test_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

/* Where the stores of these tests are: NULL in their directories. */
static const char *test_url;

/* Nothing is left in the database of the test before. */
static inline int test_empty(void)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int r = db_open(&db, test_url, DB_WRITE, &err);

	if (r == 0)
		r = db_exec(db, "DROP SCHEMA public CASCADE", DB_NOARGS, &err);
	if (r == 0)
		r = db_exec(db, "CREATE SCHEMA public", DB_NOARGS, &err);
	if (r < 0)
		print_error("%s\n", err.msg);
	db_close(&db);
	return r;
}

static int test_setup(void **state)
{
	struct test_place *p = calloc(1, sizeof *p);

	if (!p || (test_url && test_empty() < 0))
		return -1;
	/* In memory where that is possible: flushing is not what these tests are about. */
	snprintf(p->path, sizeof p->path, "%s/eilpost-store-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd < 0 ? -1 : 0;
}

static int test_teardown(void **state)
{
	struct test_place *p = *state;

	close(p->fd);
	nftw(p->path, test_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static inline int test_dir(void **state)
{
	return ((struct test_place *)*state)->fd;
}

static inline void test_quiet(void *arg, enum log_level level, struct str line)
{
	(void)arg, (void)level, (void)line;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)
/* One that is about files of the embedded engine, or takes too long on the other. */
#define TEST_EMBEDDED(f)                                                                           \
	{                                                                                          \
		"" #f, f, test_setup, test_teardown, &test_url                                     \
	}

/* All tests in a directory, then those that are not about files on PostgreSQL, if it is here. */
static inline int test_on_both(const char *name, const struct CMUnitTest *tests, size_t n)
{
	static struct CMUnitTest again[100];
	struct postgres postgres = { 0 };
	size_t count = 0;
	int failed = _cmocka_run_group_tests(name, tests, n, NULL, NULL);

	for (size_t i = 0; i < n && count < 100; i++)
		if (!tests[i].initial_state)
			again[count++] = tests[i];
	if (getenv("STORE_TEST_EMBEDDED")) /* tools/branches: its counters bear one program only */
		return failed;
	if (!postgres_find(&postgres)) {
		print_message("PostgreSQL is not installed: these tests ran on SQLite only\n");
		return failed;
	}
	if (postgres_start(&postgres) < 0) {
		print_error("PostgreSQL does not start\n");
		failed++;
	} else {
		test_url = postgres.url;
		failed += _cmocka_run_group_tests("postgres", again, count, NULL, NULL);
	}
	postgres_stop(&postgres);
	return failed;
}
#define TEST_ON_BOTH(tests) test_on_both("embedded", (tests), sizeof(tests) / sizeof *(tests))

#endif
