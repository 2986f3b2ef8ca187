#include "cli/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void each_is_taken_as_often_as_it_is_there(void **state)
{
	struct seen s = { 0 };

	(void)state;
	assert_false(seen_take(&s, 1));
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(seen_add(&s, i * 7919 % 1000));
	assert_true(seen_add(&s, 500));
	assert_true(seen_add(&s, 500));
	for (int i = 0; i < 3; i++)
		assert_true(seen_take(&s, 500));
	assert_false(seen_take(&s, 500));
	for (uint64_t i = 0; i < 1000; i++)
		assert_true(seen_take(&s, i) == (i != 500));
	assert_false(seen_take(&s, 1000));
	seen_clear(&s);
	assert_false(seen_take(&s, 1));
}

static void keys_tell_messages_apart(void **state)
{
	(void)state;
	assert_true(seen_key(1, 2, 3) == seen_key(1, 2, 3));
	assert_true(seen_key(1, 2, 3) != seen_key(2, 1, 3));
	assert_true(seen_key(1, 2, 3) != seen_key(1, 2, 4));
	assert_true(seen_key(1, 3, 3) != seen_key(1, 2, 3));
	assert_true(seen_key(2, 2, 3) != seen_key(1, 2, 3));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_taken_as_often_as_it_is_there),
		cmocka_unit_test(keys_tell_messages_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
