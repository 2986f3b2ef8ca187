#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_aligned_zeroed_and_apart(void **state)
{
	struct arena a = ARENA(1 << 20);
	unsigned char *seen[300];

	(void)state;
	for (size_t i = 0; i < 300; i++) {
		assert_non_null(arena_bytes(&a, 1));
		seen[i] = arena_alloc(&a, i + 1);
		assert_non_null(seen[i]);
		assert_int_equal((uintptr_t)seen[i] % _Alignof(max_align_t), 0);
		for (size_t j = 0; j <= i; j++)
			assert_int_equal(seen[i][j], 0);
		memset(seen[i], (int)(i & 0xff), i + 1);
	}
	for (size_t i = 0; i < 300; i++)
		for (size_t j = 0; j <= i; j++)
			assert_int_equal(seen[i][j], i & 0xff);
	arena_free(&a);
	arena_free(&a);
}

static void the_limit_holds_and_is_remembered(void **state)
{
	struct arena a = ARENA(100);

	(void)state;
	assert_non_null(arena_bytes(&a, 60));
	assert_null(arena_bytes(&a, 41));
	assert_null(arena_bytes(&a, 1)); /* would fit, but the answer is already no */
	assert_true(a.over);
	arena_free(&a);
	assert_false(a.over);
	assert_non_null(arena_bytes(&a, 100));
	assert_null(arena_array(&a, SIZE_MAX / 2, 3));
	arena_free(&a);
}

static void strings_are_copied(void **state)
{
	struct arena a = ARENA(200000);
	struct str s;

	(void)state;
	assert_true(arena_str(&a, STR("hello"), &s));
	assert_true(str_eq(s, STR("hello")));
	assert_string_equal(arena_z(&a, STR("abc")), "abc");
	assert_null(arena_z(&a, STR("a\0c")));
	assert_false(a.over);
	assert_non_null(arena_bytes(&a, 150000)); /* a block of its own */
	assert_true(arena_str(&a, STR(""), &s));
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_aligned_zeroed_and_apart),
		cmocka_unit_test(the_limit_holds_and_is_remembered),
		cmocka_unit_test(strings_are_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
