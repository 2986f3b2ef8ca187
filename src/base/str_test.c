#include "base/err.h"
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define assert_str(s, z) assert_true(str_eq((s), str_c(z)))

static void buffer_remembers_that_it_overflowed(void **state)
{
	struct buf b = BUF(5);

	(void)state;
	buf_add(&b, STR("abc"));
	buf_add(&b, STR("def")); /* does not fit: nothing of it is kept */
	buf_add(&b, STR("g"));   /* would fit, but the answer is already no */
	assert_false(buf_ok(&b));
	assert_str(buf_str(&b), "abc");
	buf_free(&b);
	buf_free(&b);
}

static void buffer_fills_to_its_limit_exactly(void **state)
{
	struct buf b = BUF(300);

	(void)state;
	buf_addf(&b, "%0300d", 7);
	assert_true(buf_ok(&b));
	assert_int_equal(b.n, 300);
	buf_addc(&b, 'x');
	assert_false(buf_ok(&b));
	buf_clear(&b);
	buf_addf(&b, "%d", 42);
	assert_str(buf_str(&b), "42");
	buf_free(&b);
}

static void slices_are_cut_without_going_past_the_end(void **state)
{
	struct str head, tail, s = STR("a,b");

	(void)state;
	assert_true(str_cut(s, ',', &head, &tail));
	assert_str(head, "a");
	assert_str(tail, "b");
	assert_false(str_cut(s, ';', &head, &tail));
	assert_str(str_from(s, 99), "");
	assert_str(str_head(s, 99), "a,b");
	assert_true(str_rcut(STR("a@b@c"), '@', &head, &tail));
	assert_str(head, "a@b");
	assert_str(str_word(&s, ','), "a");
	assert_str(str_word(&s, ','), "b");
	assert_int_equal(s.n, 0);
}

static void an_all_zero_slice_is_the_empty_slice(void **state)
{
	struct str zero = { 0 };

	(void)state;
	assert_true(str_eq(zero, STR("")) && str_eq(STR(""), zero) && str_eqi(zero, zero));
	assert_int_equal(str_cmp(zero, STR("a")), -1);
	assert_int_equal(str_cmp(zero, zero), 0);
	assert_true(str_starts(STR("a"), zero) && str_starts(zero, zero));
	assert_int_equal(str_find(zero, 'a'), 0);
	assert_int_equal(str_trim(zero).n, 0);
}

static void a_zeroed_slice_is_the_empty_slice(void **state)
{
	struct str none = { NULL, 0 };
	char z[2] = "x";

	(void)state;
	assert_true(str_eq(none, STR("")));
	assert_int_equal(str_cmp(none, STR("a")), -1);
	assert_true(str_starts(STR("a"), none));
	assert_int_equal(str_search(none, STR("a")), 0);
	assert_int_equal(str_search(STR("a"), none), 0);
	assert_int_equal(str_find(none, 'a'), 0);
	assert_true(str_z(none, z, sizeof z));
	assert_string_equal(z, "");
}

static void numbers_stop_at_the_limit(void **state)
{
	uint64_t v = 1;

	(void)state;
	assert_true(str_u64(STR("18446744073709551615"), UINT64_MAX, &v));
	assert_true(v == UINT64_MAX);
	assert_false(str_u64(STR("18446744073709551616"), UINT64_MAX, &v));
	assert_true(str_u64(STR("10"), 10, &v));
	assert_false(str_u64(STR("11"), 10, &v));
	assert_false(str_u64(STR("5"), 3, &v));
	assert_false(str_u64(STR(""), 10, &v));
	assert_false(str_u64(STR("-1"), 10, &v));
}

static void c_strings_refuse_nul_and_overlength(void **state)
{
	char z[4];

	(void)state;
	assert_true(str_z(STR("abc"), z, sizeof z));
	assert_string_equal(z, "abc");
	assert_false(str_z(STR("abcd"), z, sizeof z));
	assert_false(str_z(STR("a\0b"), z, sizeof z));
	assert_string_equal(z, "");
}

static void errors_carry_no_control_characters(void **state)
{
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(err_set(&e, ERR_PERM, "said \"%s\"", "a\r\nb"), -1);
	assert_string_equal(e.msg, "said \"a??b\"");
	err_wrap(&e, "host %s", "x");
	assert_string_equal(e.msg, "host x: said \"a??b\"");
	assert_int_equal(e.kind, ERR_PERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(buffer_remembers_that_it_overflowed),
		cmocka_unit_test(buffer_fills_to_its_limit_exactly),
		cmocka_unit_test(slices_are_cut_without_going_past_the_end),
		cmocka_unit_test(an_all_zero_slice_is_the_empty_slice),
		cmocka_unit_test(a_zeroed_slice_is_the_empty_slice),
		cmocka_unit_test(numbers_stop_at_the_limit),
		cmocka_unit_test(c_strings_refuse_nul_and_overlength),
		cmocka_unit_test(errors_carry_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
