#include "base/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void a_budget_without_limits_is_never_over(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	for (int i = 0; i < BUDGET_KINDS; i++) {
		budget_charge(&b, (enum budget_kind)i, UINT64_MAX - 1);
		budget_charge(&b, (enum budget_kind)i, 5); /* saturates, does not begin anew */
		assert_true(b.used[i] == UINT64_MAX);
	}
	assert_false(budget_over(&b, NULL));
}

static void what_is_used_up_is_named(void **state)
{
	enum budget_kind kind = BUDGET_MEMORY;
	struct budget b;

	(void)state;
	budget_init(&b);
	b.most[BUDGET_ERRORS] = 2;
	budget_charge(&b, BUDGET_ERRORS, 2);
	assert_false(budget_over(&b, &kind));
	budget_charge(&b, BUDGET_ERRORS, 1);
	assert_true(budget_over(&b, &kind));
	assert_int_equal(kind, BUDGET_ERRORS);
	assert_string_equal(budget_words(kind), "too many errors");
	assert_string_equal(budget_name(kind), "errors");
}

static void progress_forgives_all_but_what_is_held_and_wrong_passwords(void **state)
{
	struct budget b;

	(void)state;
	budget_init(&b);
	for (int i = 0; i < BUDGET_KINDS; i++)
		budget_charge(&b, (enum budget_kind)i, 7);
	budget_renew(&b);
	for (int i = 0; i < BUDGET_KINDS; i++)
		assert_int_equal(b.used[i], i == BUDGET_MEMORY || i == BUDGET_LOGINS ? 7 : 0);
	budget_give_back(&b, BUDGET_MEMORY, 3);
	assert_int_equal(b.used[BUDGET_MEMORY], 4);
	budget_give_back(&b, BUDGET_MEMORY, 30); /* never below nothing */
	assert_int_equal(b.used[BUDGET_MEMORY], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_budget_without_limits_is_never_over),
		cmocka_unit_test(what_is_used_up_is_named),
		cmocka_unit_test(progress_forgives_all_but_what_is_held_and_wrong_passwords),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
