#include "port/newline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* In pieces of every size it must come to the same. */
static void assert_both(struct str in, struct str crlf, struct str lf)
{
	for (size_t piece = 1; piece <= in.n; piece++) {
		struct newline a = { 0 }, b = { 0 };
		struct buf up = BUF(1000), down = BUF(1000);

		for (struct str rest = in; rest.n; rest = str_from(rest, piece)) {
			newline_to_crlf(&a, str_head(rest, piece), &up);
			newline_to_lf(&b, str_head(rest, piece), &down);
		}
		newline_end(&b, &down);
		assert_true(str_eq(buf_str(&up), crlf));
		assert_true(str_eq(buf_str(&down), lf));
		buf_free(&up);
		buf_free(&down);
	}
}

static void lines_end_as_they_should(void **state)
{
	(void)state;
	assert_both(STR("a\nb\n"), STR("a\r\nb\r\n"), STR("a\nb\n"));
	assert_both(STR("a\r\nb\r\n"), STR("a\r\nb\r\n"), STR("a\nb\n"));
	assert_both(STR("\n\r\n\n"), STR("\r\n\r\n\r\n"), STR("\n\n\n"));
}

static void other_bytes_stay(void **state)
{
	(void)state;
	assert_both(STR("\0\r\xff\r\r\nx\r"), STR("\0\r\xff\r\r\nx\r"), STR("\0\r\xff\r\nx\r"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_as_they_should),
		cmocka_unit_test(other_bytes_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
