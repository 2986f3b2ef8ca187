#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_freed_secret_leaves_nothing_behind(void **state)
{
	struct err err = ERR_INIT;
	struct secret s = SECRET_NONE, t = SECRET_NONE;
	const char *at;

	(void)state;
	assert_int_equal(secret_copy(&s, STR("hunter2"), &err), 0);
	assert_true(str_eq(secret_reveal(&s), STR("hunter2")));
	at = s.p;
	secret_free(&s);
	secret_free(&s);
	assert_int_equal(secret_alloc(&t, 7, &err), 0);
	assert_ptr_equal(t.p, at); /* the pool hands out the same place, and it is clean */
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.p[i], 0);
	secret_free(&t);
}

static void many_and_large_secrets_fit(void **state)
{
	struct err err = ERR_INIT;
	struct secret s[100], big;

	(void)state;
	for (size_t i = 0; i < 100; i++) {
		assert_int_equal(secret_alloc(&s[i], 256, &err), 0);
		s[i].p[255] = (char)i;
	}
	for (size_t i = 0; i < 100; i++)
		assert_int_equal(s[i].p[255], (char)i);
	for (size_t i = 0; i < 100; i++)
		secret_free(&s[i]);
	assert_int_equal(secret_alloc(&big, 100000, &err), 0);
	big.p[99999] = 1;
	secret_free(&big);
	assert_int_equal(secret_alloc(&big, SECRET_MAX + 1, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_null(big.p);
}

static void comparing_sees_every_byte_and_the_length(void **state)
{
	struct err err = ERR_INIT;
	struct secret s;

	(void)state;
	assert_int_equal(secret_copy(&s, STR("abc"), &err), 0);
	assert_true(secret_eq(&s, STR("abc")));
	assert_false(secret_eq(&s, STR("abd")));
	assert_false(secret_eq(&s, STR("xbc")));
	assert_false(secret_eq(&s, STR("ab")));
	assert_false(secret_eq(&s, STR("abcd")));
	secret_free(&s);
	assert_int_equal(secret_copy(&s, STR(""), &err), 0);
	assert_true(secret_eq(&s, STR("")));
	secret_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_freed_secret_leaves_nothing_behind),
		cmocka_unit_test(many_and_large_secrets_fit),
		cmocka_unit_test(comparing_sees_every_byte_and_the_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
