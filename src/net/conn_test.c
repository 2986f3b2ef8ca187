#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define assert_str(s, z) assert_true(str_eq((s), str_c(z)))

static const size_t chunks[] = { 0, 1, 2, 3, 5 };
#define EACH_CHUNK(i) for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)

static void assert_line(struct conn *c, enum line_end end, const char *text)
{
	struct err err = ERR_INIT;
	struct str line = STR("");

	assert_int_equal(conn_read_line(c, 10, end, &line, &err), 0);
	assert_str(line, text);
}

static void assert_no_line(struct conn *c, enum line_end end, enum err_kind kind)
{
	struct err err = ERR_INIT;
	struct str line;

	assert_int_equal(conn_read_line(c, 10, end, &line, &err), -1);
	assert_string_equal(err_kind_name(err.kind), err_kind_name(kind));
}

static void lines_are_read_however_the_bytes_arrive(void **state)
{
	(void)state;
	EACH_CHUNK(i)
	{
		struct conn *c = conn_mem(STR("EHLO x\r\n\r\n0123456789\r\nlast"), chunks[i]);

		assert_line(c, LINE_CRLF, "EHLO x");
		assert_line(c, LINE_CRLF, "");
		assert_line(c, LINE_CRLF, "0123456789");
		assert_no_line(c, LINE_CRLF, ERR_CLOSED);
		assert_no_line(c, LINE_CRLF, ERR_CLOSED);
		conn_free(&c);
	}
}

static void strict_lines_end_in_crlf_and_nothing_else(void **state)
{
	static const char *const bad[] = { "a\nb\r\n", "a\rb\r\n", "\n", "\rx", "a\r\r\n",
		"a\n\r\n", "more than ten bytes, then a bare\nb\r\n",
		"more than ten bytes\r \r\n" };

	(void)state;
	for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
		EACH_CHUNK(i)
		{
			struct conn *c = conn_mem(str_c(bad[k]), chunks[i]);

			assert_no_line(c, LINE_CRLF, ERR_PROTO);
			conn_free(&c);
		}
}

static void loose_lines_may_end_in_lf(void **state)
{
	(void)state;
	EACH_CHUNK(i)
	{
		struct conn *c = conn_mem(STR("a\nb\r\nc\rd\n\n\r\n"), chunks[i]);

		assert_line(c, LINE_LOOSE, "a");
		assert_line(c, LINE_LOOSE, "b");
		assert_line(c, LINE_LOOSE, "c\rd");
		assert_line(c, LINE_LOOSE, "");
		assert_line(c, LINE_LOOSE, "");
		conn_free(&c);
	}
}

static void after_an_overlong_line_the_session_goes_on(void **state)
{
	(void)state;
	EACH_CHUNK(i)
	{
		struct conn *c = conn_mem(STR("01234567890\r\nnext\r\n"), chunks[i]);

		assert_no_line(c, LINE_CRLF, ERR_LIMIT);
		assert_line(c, LINE_CRLF, "next");
		conn_free(&c);
	}
}

static void a_line_without_end_is_given_up(void **state)
{
	char *much = malloc(80000);

	(void)state;
	assert_non_null(much);
	memset(much, 'x', 80000);
	EACH_CHUNK(i)
	{
		struct conn *c = conn_mem(str_make(much, 80000), chunks[i]);

		assert_no_line(c, LINE_LOOSE, ERR_PROTO);
		conn_free(&c);
	}
	free(much);
}

static void a_line_may_be_longer_than_the_usual_buffer(void **state)
{
	struct buf b = BUF(400000);
	struct err err = ERR_INIT;
	struct conn *c;
	struct str line;

	(void)state;
	for (int i = 0; i < 300000; i++)
		buf_addc(&b, 'x');
	buf_addz(&b, "\r\n");
	c = conn_mem(buf_str(&b), 0);
	assert_int_equal(conn_read_line(c, 300000, LINE_CRLF, &line, &err), 0);
	assert_int_equal(line.n, 300000);
	conn_free(&c);
	buf_free(&b);
}

static void bytes_are_read_whole_or_as_they_come(void **state)
{
	(void)state;
	EACH_CHUNK(i)
	{
		struct conn *c = conn_mem(STR("line\r\nbody\0body, tail"), chunks[i]);
		struct err err = ERR_INIT;
		struct str some;
		char body[9];

		assert_line(c, LINE_CRLF, "line");
		assert_int_equal(conn_read_full(c, body, sizeof body, &err), 0);
		assert_memory_equal(body, "body\0body", 9);
		assert_int_equal(conn_read_some(c, 1, &some, &err), 0);
		assert_str(some, ",");
		assert_int_equal(conn_read_full(c, body, 6, &err), -1);
		assert_int_equal(err.kind, ERR_CLOSED);
		conn_free(&c);
	}
}

static void input_can_be_looked_at_before_it_is_taken(void **state)
{
	struct conn *c = conn_mem(STR("abcdef"), 4);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(conn_buffered(c), 0);
	assert_int_equal(conn_fill(c, &err), 0);
	assert_str(conn_peek(c), "abcd");
	conn_take(c, 1);
	assert_str(conn_peek(c), "bcd");
	assert_int_equal(conn_fill(c, &err), 0);
	assert_str(conn_peek(c), "bcdef");
	conn_take(c, 99);
	assert_int_equal(conn_buffered(c), 0);
	assert_int_equal(conn_fill(c, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
	conn_free(&c);
}

static void looking_ahead_has_a_limit(void **state)
{
	char *much = calloc(1, 70000);
	struct err err = ERR_INIT;
	struct conn *c;

	(void)state;
	assert_non_null(much);
	c = conn_mem(str_make(much, 70000), 0);
	while (conn_fill(c, &err) == 0)
		continue;
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(conn_buffered(c), 65536);
	conn_free(&c);
	free(much);
}

static void a_memory_connection_keeps_what_is_written(void **state)
{
	struct conn *c = conn_mem(STR("x\r\n"), 0);
	struct err err = ERR_INIT;

	(void)state;
	conn_write(c, STR("220 "));
	conn_writef(c, "%s\r\n", "hello");
	assert_int_equal(conn_flush(c, &err), 0);
	assert_line(c, LINE_CRLF, "x");
	conn_mem_feed(c, STR("y\r\n"));
	assert_line(c, LINE_CRLF, "y");
	assert_str(conn_mem_output(c), "220 hello\r\n");
	assert_str(conn_peer(c), "memory");
	assert_int_equal(conn_bytes_in(c), 6);
	assert_int_equal(conn_bytes_out(c), 11);
	assert_int_equal(conn_wait(c, NULL, NEVER, &err), WAIT_READ);
	conn_shutdown(c);
	conn_free(&c);
	conn_free(&c);
}

static void a_signal_reaches_whoever_waits_on_a_memory_connection(void **state)
{
	struct conn *c = conn_mem(STR("DONE\r\n"), 0);
	struct signal sig = { 0 };
	struct err err = ERR_INIT;

	(void)state;
	signal_raise(&sig);
	assert_int_equal(conn_wait(c, &sig, NEVER, &err), WAIT_SIGNAL);
	assert_int_equal(conn_wait(c, &sig, NEVER, &err), WAIT_READ);
	assert_line(c, LINE_CRLF, "DONE");
	conn_free(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_read_however_the_bytes_arrive),
		cmocka_unit_test(strict_lines_end_in_crlf_and_nothing_else),
		cmocka_unit_test(loose_lines_may_end_in_lf),
		cmocka_unit_test(after_an_overlong_line_the_session_goes_on),
		cmocka_unit_test(a_line_without_end_is_given_up),
		cmocka_unit_test(a_line_may_be_longer_than_the_usual_buffer),
		cmocka_unit_test(bytes_are_read_whole_or_as_they_come),
		cmocka_unit_test(input_can_be_looked_at_before_it_is_taken),
		cmocka_unit_test(looking_ahead_has_a_limit),
		cmocka_unit_test(a_memory_connection_keeps_what_is_written),
		cmocka_unit_test(a_signal_reaches_whoever_waits_on_a_memory_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
