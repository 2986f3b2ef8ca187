/* db_test.h - what the tests of this folder share: short forms that fail the test on an error. */
#ifndef DB_DB_TEST_H
#define DB_DB_TEST_H

#include "db/db.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_str(a, b) assert_true(str_eq((a), (b)))
#define must(r, err) must_((r), (err), __FILE__, __LINE__)
#define run(db, sql) runv(db, sql, DB_NOARGS)

static inline void must_(int r, const struct err *err, const char *file, int line)
{
	if (r < 0)
		print_error("%s:%d: %s\n", file, line, err->msg);
	_assert_true(r >= 0, "no error", file, line);
}

static inline void runv(struct db *db, const char *sql, const struct db_val *v, size_t n)
{
	struct err err = ERR_INIT;

	must(db_exec(db, sql, v, n, &err), &err);
}

static inline int64_t number(struct db *db, const char *sql, const struct db_val *v, size_t n)
{
	struct err err = ERR_INIT;
	int64_t out = -1;

	must(db_int(db, &out, sql, v, n, &err), &err);
	return out;
}

#endif
