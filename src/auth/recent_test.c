#include "auth/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct recent *make(void)
{
	struct err err = ERR_INIT;
	struct recent *r = recent_new(&err);

	assert_non_null(r);
	return r;
}

static void a_right_password_is_known_for_ten_minutes(void **state)
{
	struct recent *r = make();

	(void)state;
	assert_false(recent_has(r, 5, 1, 10, STR("pw")));
	recent_add(r, 5, 1, 10, STR("pw"));
	assert_true(recent_has(r, 5, 1, 10, STR("pw")));
	assert_true(recent_has(r, 4 + RECENT_FOR, 1, 10, STR("pw")));
	assert_false(recent_has(r, 5 + RECENT_FOR, 1, 10, STR("pw")));
	recent_free(&r);
	recent_free(&r);
}

/* T035: one user's password never opens another's account, nor the account after a change. */
static void it_is_known_for_that_account_and_that_password_only(void **state)
{
	struct recent *r = make();

	(void)state;
	recent_add(r, 0, 1, 10, STR("pw"));
	assert_false(recent_has(r, 1, 2, 10, STR("pw")));
	assert_false(recent_has(r, 1, 513, 10, STR("pw"))); /* shares the set of account 1 */
	assert_false(recent_has(r, 1, 1, 11, STR("pw")));
	assert_false(recent_has(r, 1, 1, 10, STR("pW")));
	assert_false(recent_has(r, 1, 1, 10, STR("")));
	recent_free(&r);
}

static void a_changed_password_is_forgotten_at_once(void **state)
{
	struct recent *r = make();

	(void)state;
	recent_add(r, 0, 1, 10, STR("pw"));
	recent_add(r, 0, 2, 20, STR("pw"));
	recent_forget(r, 1);
	assert_false(recent_has(r, 1, 1, 10, STR("pw")));
	assert_true(recent_has(r, 1, 2, 20, STR("pw")));
	recent_free(&r);
}

static void many_accounts_push_out_the_oldest_only(void **state)
{
	struct recent *r = make();

	(void)state;
	for (uint64_t a = 1; a <= 9; a++) /* nine in a set of eight */
		recent_add(r, (int64_t)a, a * 512, a, STR("pw"));
	assert_false(recent_has(r, 10, 512, 1, STR("pw")));
	for (uint64_t a = 2; a <= 9; a++)
		assert_true(recent_has(r, 10, a * 512, a, STR("pw")));
	recent_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_right_password_is_known_for_ten_minutes),
		cmocka_unit_test(it_is_known_for_that_account_and_that_password_only),
		cmocka_unit_test(a_changed_password_is_forgotten_at_once),
		cmocka_unit_test(many_accounts_push_out_the_oldest_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
