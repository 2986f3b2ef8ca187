#include "smtp/dot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Feed `in` in chunks, as a connection would: what a call leaves is given again with more. */
static enum dot_result read_all(struct str in, size_t chunk, struct buf *out, struct str *rest)
{
	struct dot_reader d = { 0 };
	enum dot_result r;
	size_t from = 0, to = 0, used;

	for (;;) {
		struct str piece;

		r = dot_scan(&d, str_head(str_from(in, from), to - from), &used, &piece);
		from += used;
		if (r == DOT_PIECE) {
			buf_add(out, piece);
			continue;
		}
		if (r != DOT_MORE || to == in.n)
			break;
		assert_true(to - from < 3);
		to = to + chunk < in.n ? to + chunk : in.n;
	}
	*rest = str_from(in, from);
	return r;
}

static void reads_as(struct str in, enum dot_result want, struct str message, struct str left)
{
	static const size_t chunks[] = { 1, 2, 3, 5, 7, 100000 };

	for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
		struct buf out = BUF(100000);
		struct str rest;

		assert_int_equal(read_all(in, chunks[i], &out, &rest), want);
		/* After an error the message is thrown away, whatever came of it before. */
		if (want == DOT_END || want == DOT_MORE) {
			assert_true(str_eq(buf_str(&out), message));
			assert_true(str_eq(rest, left));
		}
		buf_free(&out);
	}
}

static void a_line_with_only_a_dot_ends_the_message(void **state)
{
	(void)state;
	reads_as(STR("a\r\n.\r\nNOOP\r\n"), DOT_END, STR("a\r\n"), STR("NOOP\r\n"));
	reads_as(STR(".\r\n"), DOT_END, STR(""), STR(""));
	reads_as(STR("\r\n.\r\n.\r\n"), DOT_END, STR("\r\n"), STR(".\r\n"));
	reads_as(STR("a.\r\n.\r\n"), DOT_END, STR("a.\r\n"), STR(""));
}

static void a_leading_dot_is_removed_once(void **state)
{
	(void)state;
	reads_as(STR("..\r\n...\r\n.a\r\nb..\r\n.\r\n"), DOT_END, STR(".\r\n..\r\na\r\nb..\r\n"),
		STR(""));
	reads_as(STR(".. \r\n.\r\n"), DOT_END, STR(". \r\n"), STR(""));
	reads_as(STR(". \r\n.\r\n"), DOT_END, STR(" \r\n"), STR(""));
}

static void without_the_end_more_is_wanted(void **state)
{
	(void)state;
	reads_as(STR(""), DOT_MORE, STR(""), STR(""));
	reads_as(STR("a"), DOT_MORE, STR("a"), STR(""));
	reads_as(STR("a\r"), DOT_MORE, STR("a"), STR("\r"));
	reads_as(STR("a\r\n"), DOT_MORE, STR("a\r\n"), STR(""));
	reads_as(STR("a\r\n."), DOT_MORE, STR("a\r\n"), STR("."));
	reads_as(STR("a\r\n.\r"), DOT_MORE, STR("a\r\n"), STR(".\r"));
	reads_as(STR("..\r"), DOT_MORE, STR("."), STR("\r"));
}

/* T001, T004: every ending that some server somewhere takes for the end of a message. */
static void no_other_ending_is_taken_for_one(void **state)
{
	(void)state;
	reads_as(STR("a\n.\nMAIL"), DOT_BARE_LF, STR(""), STR(""));
	reads_as(STR("a\n.\r\nMAIL"), DOT_BARE_LF, STR(""), STR(""));
	reads_as(STR("a\r\n.\nMAIL"), DOT_BARE_LF, STR(""), STR(""));
	reads_as(STR("a\r.\rMAIL"), DOT_BARE_CR, STR(""), STR(""));
	reads_as(STR("a\r.\r\nMAIL"), DOT_BARE_CR, STR(""), STR(""));
	reads_as(STR("a\r\n.\rMAIL"), DOT_BARE_CR, STR(""), STR(""));
	reads_as(STR("a\r\r\n.\r\n"), DOT_BARE_CR, STR(""), STR(""));
	reads_as(STR("a\r\n.\r\r\n"), DOT_BARE_CR, STR(""), STR(""));
	reads_as(STR("a\r\n\n.\r\n"), DOT_BARE_LF, STR(""), STR(""));
	reads_as(STR("a\0\r\n.\r\n"), DOT_NUL, STR(""), STR(""));
	reads_as(STR("a\r\0\n.\r\n"), DOT_NUL, STR(""), STR(""));
	reads_as(STR("\n"), DOT_BARE_LF, STR(""), STR(""));
	reads_as(STR("\rx"), DOT_BARE_CR, STR(""), STR(""));
}

static void the_longest_line_is_known(void **state)
{
	struct dot_reader d = { 0 };
	struct str piece;
	size_t used;

	(void)state;
	assert_int_equal(dot_scan(&d, STR("abc\r\nabcde\r\nabc"), &used, &piece), DOT_PIECE);
	assert_int_equal(d.longest, 5);
	assert_int_equal(dot_scan(&d, STR("defghij"), &used, &piece), DOT_PIECE);
	assert_int_equal(d.longest, 10);
}

static void writes_as(struct str in, struct str want)
{
	for (size_t chunk = 1; chunk < 9; chunk++) {
		struct dot_writer d = { 0 };
		struct buf out = BUF(1000);

		for (size_t at = 0; at < in.n; at += chunk)
			dot_write(&d, str_head(str_from(in, at), chunk), &out);
		dot_finish(&d, &out);
		assert_true(str_eq(buf_str(&out), want));
		buf_free(&out);
	}
}

/* T002: whatever we were given, what goes out has one meaning. */
static void what_is_written_has_one_end(void **state)
{
	(void)state;
	writes_as(STR(""), STR(".\r\n"));
	writes_as(STR("a\r\n"), STR("a\r\n.\r\n"));
	writes_as(STR("a"), STR("a\r\n.\r\n"));
	writes_as(STR(".\r\n..\r\n.a\r\n"), STR("..\r\n...\r\n..a\r\n.\r\n"));
	writes_as(STR("a\n.\nb"), STR("a\r\n..\r\nb\r\n.\r\n"));
	writes_as(STR("a\r.\rb\r"), STR("a\r\n..\r\nb\r\n.\r\n"));
	writes_as(STR("a\r\r\n.\r\n"), STR("a\r\n\r\n..\r\n.\r\n"));
	writes_as(STR("\n\r"), STR("\r\n\r\n.\r\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_with_only_a_dot_ends_the_message),
		cmocka_unit_test(a_leading_dot_is_removed_once),
		cmocka_unit_test(without_the_end_more_is_wanted),
		cmocka_unit_test(no_other_ending_is_taken_for_one),
		cmocka_unit_test(the_longest_line_is_known),
		cmocka_unit_test(what_is_written_has_one_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
