#include "mail/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void the_head_ends_with_the_first_empty_line_only(void **state)
{
	static const struct {
		struct str message;
		bool ends;
		size_t len;
	} rows[] = {
		{ STR_INIT("A: b\r\n\r\nbody"), true, 8 },
		{ STR_INIT("A: b\n\nbody"), true, 6 },
		{ STR_INIT("A: b\r\n\nbody"), true, 7 },
		{ STR_INIT("\r\nA: b\r\n\r\n"), true, 2 },
		{ STR_INIT("A: b\r\n \r\nno body\r\n\r\n"), true, 20 }, /* blank is not empty */
		{ STR_INIT("A: b\r\n\r\r\nx"), false, 10 },
		{ STR_INIT("A: b\r\njunk\r\n\r\n"), true, 14 },
		{ STR_INIT("A: b\r\n"), false, 6 },
		{ STR_INIT("\r"), false, 1 },
		{ STR_INIT(""), false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		size_t len = 99;

		assert_true(head_find_end(rows[i].message, &len) == rows[i].ends);
		assert_int_equal(len, rows[i].len);
	}
}

static void fields_come_with_folds_and_offsets(void **state)
{
	struct str head =
		STR("From x\r\nSubject: a\r\n  b\r\nTo :c\nBad name: d\r\nX:\r\n\r\nbody");
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;
	struct buf b = BUF(100);

	(void)state;
	assert_true(header_next(&it, &f)); /* junk is shown, without a name */
	assert_int_equal(f.name.n, 0);
	assert_true(str_eq(f.raw, STR("From x\r\n")));
	assert_true(header_next(&it, &f));
	assert_true(header_is(&f, STR("subject")));
	assert_true(str_eq(f.value, STR(" a\r\n  b")));
	assert_int_equal(f.offset, 8);
	header_unfold(&b, f.value);
	assert_true(str_eq(buf_str(&b), STR("a  b")));
	assert_true(header_next(&it, &f));
	assert_true(str_eq(f.name, STR("To")));
	assert_true(str_eq(f.value, STR("c")));
	assert_true(header_next(&it, &f));
	assert_int_equal(f.name.n, 0);
	assert_true(header_next(&it, &f));
	assert_true(str_eq(f.name, STR("X")));
	assert_int_equal(f.value.n, 0);
	assert_false(header_next(&it, &f));
	assert_false(it.over);
	buf_free(&b);
}

static void a_head_that_begins_with_a_continuation_is_junk_there(void **state)
{
	struct header_field f;

	(void)state;
	assert_true(header_find(STR(" lost: x\r\n more\r\nA: 1\r\na: 2"), STR("a"), &f));
	assert_true(str_eq(f.value, STR(" 1")));
	assert_int_equal(header_count(STR(" lost: x\r\nA: 1\r\na: 2"), STR("A")), 2);
	assert_false(header_find(STR(" lost: x\r\n"), STR(""), &f));
}

static void floods_stop_at_the_limit(void **state)
{
	struct buf b = BUF(1 << 20);
	struct header_field f;

	(void)state;
	for (int i = 0; i < 3000; i++)
		buf_add(&b, STR("a:\n"));
	struct header_iter it = HEADER_ITER(buf_str(&b));
	while (header_next(&it, &f))
		;
	assert_true(it.over);
	assert_int_equal(it.fields, HEAD_FIELDS_MAX);
	buf_free(&b);
}

static void unfolding_leaves_one_clean_line(void **state)
{
	struct buf b = BUF(100);

	(void)state;
	header_unfold(&b, STR(" \r\n\ta\r\n b\rc\0d \r\n "));
	assert_true(str_eq(buf_str(&b), STR("a bcd")));
	buf_clear(&b);
	header_unfold(&b, STR("\r\n "));
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_ends_with_the_first_empty_line_only),
		cmocka_unit_test(fields_come_with_folds_and_offsets),
		cmocka_unit_test(a_head_that_begins_with_a_continuation_is_junk_there),
		cmocka_unit_test(floods_stop_at_the_limit),
		cmocka_unit_test(unfolding_leaves_one_clean_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
