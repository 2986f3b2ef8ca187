#include "port/mbox_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#define FROM "From joe@example.net Mon Nov 30 17:54:07 2026\n"
#define TIME 1796061247

/* "flags|keywords|text;" of every message. */
static void read_all(struct str file, enum mbox_kind kind, struct buf *out)
{
	struct mbox_memory memory = { file, 7 };
	const struct mbox_source source = { mbox_memory_read, &memory };
	struct mbox *m = malloc(sizeof *m);
	struct mbox_message msg;
	struct err err = ERR_INIT;
	int got;

	assert_non_null(m);
	mbox_init(m, &source, kind);
	while ((got = mbox_next(m, &msg, &err)) == 1) {
		buf_addf(out, "%u|%s|", msg.flags, msg.keywords);
		assert_int_equal(mbox_read(m, &msg, mbox_memory_sink, out, &err), 0);
		buf_addc(out, ';');
	}
	if (got < 0)
		buf_addf(out, "ERROR %d", err.kind);
	buf_addc(out, '\0');
	free(m);
}

static void assert_reads_as(const char *file, enum mbox_kind kind, const char *want)
{
	struct buf out = BUF(1 << 20);

	read_all(str_c(file), kind, &out);
	assert_string_equal(out.p, want);
	buf_free(&out);
}

static void messages_are_parted(void **state)
{
	(void)state;
	assert_reads_as("", MBOX_ANY, "");
	assert_reads_as("\n\n", MBOX_ANY, "");
	assert_reads_as(FROM "A: 1\n\nx\n\n" FROM "B: 2\n\ny\n\n", MBOX_ANY,
		"0||A: 1\n\nx\n;0||B: 2\n\ny\n;");
	assert_reads_as(FROM "A: 1\n\nx", MBOX_ANY, "0||A: 1\n\nx;");
	assert_reads_as(
		FROM "A: 1\n\n" FROM "B: 2\n\n\n" FROM, MBOX_ANY, "0||A: 1\n;0||B: 2\n\n;0||;");
	/* Without an empty line before it, or without a date, it is text. */
	assert_reads_as(FROM "A: 1\n\nx\n" FROM "\nFrom here on\n\n" FROM "B: 2\n\n", MBOX_ANY,
		"0||A: 1\n\nx\n" FROM "\nFrom here on\n;0||B: 2\n;");
	assert_reads_as(FROM "A: 1\r\n\r\nx\r\n\r\n" FROM "B: 2\r\n\r\ny\r\n", MBOX_ANY,
		"0||A: 1\r\n\r\nx\r\n;0||B: 2\r\n\r\ny\r\n;");
	assert_reads_as("Subject: no mbox\n\n", MBOX_ANY, "ERROR 2");
}

static void quoted_lines_come_back(void **state)
{
	static const char file[] = FROM "A: 1\n>From head\n\n>From x\n>>From y\n> From z\n";

	(void)state;
	assert_reads_as(file, MBOX_ANY, "0||A: 1\n>From head\n\nFrom x\n>From y\n> From z\n;");
	assert_reads_as(file, MBOX_RD, "0||A: 1\n>From head\n\nFrom x\n>From y\n> From z\n;");
	assert_reads_as(file, MBOX_O, "0||A: 1\n>From head\n\nFrom x\n>>From y\n> From z\n;");
	assert_reads_as(file, MBOX_CL2, "0||A: 1\n>From head\n\n>From x\n>>From y\n> From z\n;");
}

static void lengths_that_agree_are_believed(void **state)
{
	(void)state;
	assert_reads_as(FROM "Content-Length: 52\nLines: 3\n\n\n" FROM "fake\n\n" FROM "B: 2\n\n",
		MBOX_ANY, "0||\n\n" FROM "fake\n;0||B: 2\n;");
	/* A line that is not quoted says that none is. */
	assert_reads_as(FROM "Content-Length: 17\n\n>From x\nFrom you\n\n" FROM, MBOX_ANY,
		"0||\n>From x\nFrom you\n;0||;");
	assert_reads_as(
		FROM "Content-Length: 8\n\n>From x\n\n" FROM, MBOX_ANY, "0||\nFrom x\n;0||;");
	/* Lies: the empty line decides, and the field stays. */
	assert_reads_as(FROM "Content-Length: 3\n\nhello\n\n" FROM, MBOX_ANY,
		"0||Content-Length: 3\n\nhello\n;0||;");
	assert_reads_as(FROM "Content-Length: 99999999999999999999\n\nhello\n", MBOX_ANY,
		"0||Content-Length: 99999999999999999999\n\nhello\n;");
	assert_reads_as(FROM "Content-Length: 9223372036854775807\n\nhello\n", MBOX_ANY,
		"0||Content-Length: 9223372036854775807\n\nhello\n;");
	assert_reads_as(FROM "Content-Length: 6\n\nhello\n\n" FROM, MBOX_RD,
		"0||Content-Length: 6\n\nhello\n;0||;");
}

static void fields_of_the_mailbox_are_read_and_left_out(void **state)
{
	(void)state;
	assert_reads_as(FROM
		"Status: RO\nA: 1\nX-Status: AFTD\nX-Keywords: Work $Label1,\n more\n\n",
		MBOX_ANY, "31|Work $Label1|A: 1\n;");
	assert_reads_as(FROM "A: 1\nX-Mozilla-Status: 0007\nX-Mozilla-Status2: 00000000\n"
			     "X-Mozilla-Keys: work  (bad  \n\nx\n",
		MBOX_ANY, "7|work|A: 1\n\nx\n;");
	/* What came with the message stays: ours are the last. */
	assert_reads_as(FROM "Status: mine\nX-Mozilla-Status: 1\nX-UID: 7\nStatus: O\n"
			     "X-Status: F\nX-Keywords: \n\nStatus: body\n",
		MBOX_ANY, "4||Status: mine\nX-Mozilla-Status: 1\n\nStatus: body\n;");
}

static void lines_longer_than_the_window_are_one_line(void **state)
{
	struct buf file = BUF(1 << 20), out = BUF(1 << 20);

	(void)state;
	buf_addz(&file, FROM "A: ");
	for (int i = 0; i < 70000; i++)
		buf_addc(&file, 'x');
	buf_addz(&file, "Status: R\n\n>");
	for (int i = 0; i < 65535; i++)
		buf_addc(&file, '>');
	buf_addz(&file, "From x\n\n" FROM "Status: R\n\nlast\n");
	read_all(buf_str(&file), MBOX_ANY, &out);
	assert_int_equal(strncmp(out.p, "0||A: xxx", 9), 0);
	assert_non_null(strstr(out.p, "xStatus: R\n\n>>>"));
	assert_non_null(strstr(out.p, ">From x\n;1||\nlast\n;"));
	buf_free(&file);
	buf_free(&out);
}

static void dates_are_read(void **state)
{
	static const struct {
		const char *line;
		int64_t date; /* -1: not such a line */
	} lines[] = { { FROM, TIME }, { "From - Mon Nov 30 17:54:07 2026\r\n", TIME },
		{ "From joe Mon Nov 30 18:54:07 +0100 2026", TIME },
		{ "From joe Mon Nov 30 18:54:07 2026 +0100", TIME },
		{ "From \"joe x\"@y  Mon Nov 30 17:54:07 2026 remote from z", TIME },
		{ "From joe Thu Jan  1 00:00:01 1970", 1 },
		{ "From joe Mon Nov 30 17:54 2026", TIME - 7 },
		{ "From joe Mon Nov 30 17:54:07", -1 }, { "From joe Mon Nov 99 17:54:07 2026", -1 },
		{ "From ", -1 }, { "from joe Mon Nov 30 17:54:07 2026", -1 },
		{ "From: joe Mon Nov 30 17:54:07 2026", -1 },
		{ "From Monday on, in Nov 30 people", -1 } };

	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		int64_t date = -1;

		if (mbox_from_line(str_c(lines[i].line), &date) != (lines[i].date != -1) ||
			date != lines[i].date)
			fail_msg("%s: %lld", lines[i].line, (long long)date);
	}
}

static void write_one(
	struct buf *out, struct str text, size_t piece, const struct mbox_marks *marks)
{
	struct mbox_writer w;

	mbox_write_begin(&w, marks, out);
	for (; text.n; text = str_from(text, piece))
		mbox_write(&w, str_head(text, piece), out);
	mbox_write_end(&w, out);
}

/* Every byte comes back, but that lines end in LF and the last line ends. */
static void what_is_written_is_read(void **state)
{
	static const char *const texts[] = { "A: 1\r\n\r\nx\r\n", "A: 1\r\n\r\n", "A: 1\r\n",
		"\r\n", "",
		"A: 1\r\n\r\nFrom x\r\n>From y\r\n>>From z\r\nFrom\r\nFrom\r\n F\r\n>\r\n\r\n\r\n",
		"From a\r\n\r\nFro\r\nFrom b",
		"Status: RO\r\nX-Keywords: own\r\nX-UID: 1\r\n\r\n\r\n",
		"X-Mozilla-Status: 0009\r\nContent-Length: 4\r\nX-Status: D\r\n\r\nbody\r\n",
		"X-IMAPbase: 1 1\r\n\r\nx\r\n", "A: \xff\x80\r\n\r\n\rx\r\r\ny\r\n",
		("A: 1\r\n\r\n" FROM) };
	const struct mbox_marks marks = { TIME, MARK_SEEN | MARK_DRAFT, 17, 99, STR("Work") };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		for (size_t piece = 1; piece < 20; piece += 6) {
			struct buf file = BUF(10000), got = BUF(10000), want = BUF(10000);

			for (int k = 0; k < 2; k++)
				write_one(&file, str_c(texts[i]), piece, &marks);
			for (int k = 0; k < 2; k++) {
				buf_addz(&want, "17|Work|");
				for (const char *p = texts[i]; *p; p++)
					if (!(p[0] == '\r' && p[1] == '\n'))
						buf_addc(&want, *p);
				if (want.p[want.n - 1] != '\n' && *texts[i])
					buf_addc(&want, '\n');
				buf_addc(&want, ';');
			}
			buf_addc(&want, '\0');
			read_all(buf_str(&file), MBOX_ANY, &got);
			assert_string_equal(got.p, want.p);
			buf_free(&file);
			buf_free(&got);
			buf_free(&want);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_are_parted),
		cmocka_unit_test(quoted_lines_come_back),
		cmocka_unit_test(lengths_that_agree_are_believed),
		cmocka_unit_test(fields_of_the_mailbox_are_read_and_left_out),
		cmocka_unit_test(lines_longer_than_the_window_are_one_line),
		cmocka_unit_test(dates_are_read),
		cmocka_unit_test(what_is_written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
