#include "port/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names_come_back_and_harm_no_file_system(void **state)
{
	static const char *const pairs[][2] = { { "Work", "Work" }, { "v1.0", "v1.0" },
		{ "..", "%2E%2E" }, { ".x.", "%2Ex%2E" }, { "a:b\\c", "a%3Ab%5Cc" },
		{ "x.SBD", "x%2ESBD" }, { "x.sbd.y", "x.sbd.y" },
		{ "Gel\xc3\xb6scht", "Gel\xc3\xb6scht" } };
	struct buf b = BUF(1000), out = BUF(1000);

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		buf_clear(&b);
		assert_true(level_to_file(str_c(pairs[i][0]), &b));
		if (!str_eq(buf_str(&b), str_c(pairs[i][1])))
			fail_msg("%s", pairs[i][0]);
		buf_clear(&b);
		level_from_file(str_c(pairs[i][1]), &b);
		if (!str_eq(buf_str(&b), str_c(pairs[i][0])))
			fail_msg("%s", pairs[i][1]);
	}
	buf_clear(&b);
	assert_false(level_to_file(STR(""), &b));
	for (int i = 0; i < LEVEL_FILE; i++)
		buf_addc(&b, 'x');
	assert_true(level_to_file(buf_str(&b), &out));
	buf_clear(&out);
	buf_addc(&b, 'x');
	assert_false(level_to_file(buf_str(&b), &out));
	buf_free(&b);
	buf_free(&out);
}

static void hostile_names_become_plain_ones(void **state)
{
	static const char *const pairs[][2] = { { "a\x1b[31m", "a_[31m" }, { "\xff\xfe", "__" },
		{ "%2F%2e", "__2e" }, { "a%2", "a_2" }, { "50%20off*", "50_20off_" },
		{ "%0A", "_" }, { "a%2Eb", "a.b" },
		{ "\xc2\x9b"
		  "1m",
			"_1m" } };
	struct buf b = BUF(1000);

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		buf_clear(&b);
		level_from_file(str_c(pairs[i][0]), &b);
		if (!str_eq(buf_str(&b), str_c(pairs[i][1])))
			fail_msg("%s: %.*s", pairs[i][0], (int)b.n, b.p);
	}
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_come_back_and_harm_no_file_system),
		cmocka_unit_test(hostile_names_become_plain_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
