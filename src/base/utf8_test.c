#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void only_well_formed_text_is_valid(void **state)
{
	static const struct {
		struct str s;
		bool ok;
	} rows[] = {
		{ STR_INIT(""), true },
		{ STR_INIT("plain"), true },
		{ STR_INIT("gr\xc3\xbc\xc3\x9f"), true },
		{ STR_INIT("\xe2\x82\xac"), true },
		{ STR_INIT("\xf0\x9f\x93\xa7"), true },
		{ STR_INIT("\xf4\x8f\xbf\xbf"), true },
		{ STR_INIT("\xf4\x90\x80\x80"), false }, /* past U+10FFFF */
		{ STR_INIT("\xed\xa0\x80"), false },     /* a surrogate */
		{ STR_INIT("\xc0\xaf"), false },         /* overlong slash */
		{ STR_INIT("\xe0\x80\xaf"), false },
		{ STR_INIT("\xf0\x80\x80\xaf"), false },
		{ STR_INIT("\x80"), false },
		{ STR_INIT("a\xc3"), false },
		{ STR_INIT("\xc3("), false },
		{ STR_INIT("\xff"), false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_true(utf8_valid(rows[i].s) == rows[i].ok);
	assert_true(utf8_is_ascii(STR("ab")));
	assert_false(utf8_is_ascii(STR("\xc3\xbc")));
}

static void every_character_survives_writing_and_reading(void **state)
{
	struct buf b = BUF(8);

	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp += cp < 0x1000 ? 1 : 37) {
		struct str s;
		uint32_t back;
		bool ok;

		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		buf_clear(&b);
		utf8_put(&b, cp);
		s = buf_str(&b);
		assert_true(utf8_next(&s, &back, &ok));
		assert_true(ok);
		assert_int_equal(back, cp);
		assert_int_equal(s.n, 0);
	}
	buf_clear(&b);
	utf8_put(&b, 0xd800);
	assert_true(str_eq(buf_str(&b), STR("\xef\xbf\xbd")));
	buf_free(&b);
}

static void bad_bytes_become_the_replacement_character(void **state)
{
	struct buf b = BUF(64);

	(void)state;
	utf8_clean(&b,
		STR("a\xff"
		    "b\xc3\xbc\xc3"));
	assert_true(str_eq(buf_str(&b),
		STR("a\xef\xbf\xbd"
		    "b\xc3\xbc\xef\xbf\xbd")));
	buf_free(&b);
}

static void cutting_does_not_split_a_character(void **state)
{
	struct str s = STR("a\xe2\x82\xac"
			   "b");

	(void)state;
	assert_int_equal(utf8_head(s, 0).n, 0);
	assert_int_equal(utf8_head(s, 1).n, 1);
	assert_int_equal(utf8_head(s, 2).n, 1);
	assert_int_equal(utf8_head(s, 3).n, 1);
	assert_int_equal(utf8_head(s, 4).n, 4);
	assert_int_equal(utf8_head(s, 9).n, 5);
	assert_int_equal(utf8_head(STR("\x80\x80\x80\x80\x80\x80"), 5).n, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_well_formed_text_is_valid),
		cmocka_unit_test(every_character_survives_writing_and_reading),
		cmocka_unit_test(bad_bytes_become_the_replacement_character),
		cmocka_unit_test(cutting_does_not_split_a_character),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
