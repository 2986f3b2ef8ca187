#include "smtp/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What is found in the text, the same for pieces of every size. NULL: nothing. */
static const char *found(struct str text, bool binary, size_t *longest)
{
	const char *first = NULL;

	for (size_t chunk = text.n + 1; chunk > 0; chunk--) {
		struct text_check t = { .binary = binary };
		const char *wrong = NULL;

		for (struct str s = text; s.n && !wrong; s = str_from(s, chunk))
			wrong = text_check_feed(&t, str_head(s, chunk));
		if (!wrong)
			wrong = text_check_end(&t);
		if (chunk == text.n + 1)
			first = wrong;
		if (first ? !wrong || strcmp(first, wrong) != 0 : wrong != NULL)
			fail_msg("in pieces of %zu: %s, not %s", chunk, wrong, first);
		*longest = t.longest;
	}
	return first;
}

static void is_text(struct str text, size_t longest)
{
	size_t line;

	assert_null(found(text, false, &line));
	assert_int_equal(line, longest);
}

static void is_wrong(struct str text, bool binary, const char *why)
{
	size_t line;
	const char *got = found(text, binary, &line);

	assert_non_null(got);
	assert_non_null(strstr(got, why));
}

static void lines_end_with_cr_lf(void **state)
{
	(void)state;
	is_text(STR(""), 0);
	is_text(STR("a\r\n\r\nbcd\r\n"), 3);
	is_text(STR("\r\n\r\n\r\n"), 0);
	is_text(STR("abc\r\nno ending"), 9);
}

static void what_ends_a_line_elsewhere_is_refused(void **state)
{
	(void)state;
	is_wrong(STR("a\n"), false, "bare LF");
	is_wrong(STR("\n"), false, "bare LF");
	is_wrong(STR("a\r\n\n"), false, "bare LF");
	is_wrong(STR("a\rb\r\n"), false, "bare CR");
	is_wrong(STR("a\r\r\n"), false, "bare CR");
	is_wrong(STR("a\r"), false, "bare CR");
	is_wrong(STR("a\0b\r\n"), false, "NUL");
	is_wrong(STR("\r\n\0"), false, "NUL");
}

static void a_binary_message_has_a_head_of_lines_and_a_body_of_anything(void **state)
{
	static const struct str good[] = { STR_INIT("A: b\r\n\r\n\n\r\0\r"), STR_INIT("\r\n\n"),
		STR_INIT("A: b\r\n") };
	size_t line;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_null(found(good[i], true, &line));
	is_wrong(STR("A: b\n\r\n"), true, "bare LF");
	is_wrong(STR("A: b\r\r\n\r\n"), true, "bare CR");
	is_wrong(STR("A: \0\r\n\r\n"), true, "NUL");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_end_with_cr_lf),
		cmocka_unit_test(what_ends_a_line_elsewhere_is_refused),
		cmocka_unit_test(a_binary_message_has_a_head_of_lines_and_a_body_of_anything),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
