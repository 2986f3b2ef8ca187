#include "net/proxy.h"

#include "base/clock.h"
#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define TCP4 "\x21\x11\0\x0c"
#define V4 "\xc0\0\2\1\xc6\x33\x64\2\x30\x39\0\x19" /* 192.0.2.1:12345 to 198.51.100.2:25 */
#define assert_str(s, z) assert_true(str_eq((s), str_c(z)))

static struct proxy_header h;
static struct err err;

static enum proxy_outcome parse(struct str in)
{
	err = ERR_INIT;
	return proxy_parse(in, &h, &err);
}

/* Every beginning of it is not enough, and what follows it does not matter. */
static void assert_header(struct str in)
{
	char more[600];

	for (size_t i = 0; i < in.n; i++)
		assert_int_equal(parse(str_head(in, i)), PROXY_MORE);
	assert_true(in.n + 5 <= sizeof more);
	memcpy(more, in.p, in.n);
	memcpy(more + in.n, "EHLO\n", 5);
	assert_int_equal(parse(str_make(more, in.n + 5)), PROXY_HEADER);
	assert_int_equal(h.size, in.n);
}

static void assert_bad(struct str in, const char *why)
{
	assert_int_equal(parse(in), PROXY_BAD);
	assert_int_equal(err.kind, ERR_PROTO);
	if (!strstr(err.msg, why))
		fail_msg("expected '%s', got '%s'", why, err.msg);
}

static void a_line_names_the_client(void **state)
{
	(void)state;
	assert_header(STR("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\n"));
	assert_string_equal(h.client, "192.0.2.1");
	assert_string_equal(h.server, "198.51.100.2");
	assert_int_equal(h.client_port, 12345);
	assert_int_equal(h.server_port, 25);
	assert_header(STR("PROXY TCP6 2001:DB8::0001 2001:db8::2 0 65535\r\n"));
	assert_string_equal(h.client, "2001:db8::1");
	assert_false(h.local);
	assert_header(STR("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2\r\n"));
	assert_string_equal(h.client, "192.0.2.1");
}

static void a_line_may_say_that_it_does_not_know(void **state)
{
	(void)state;
	assert_header(STR("PROXY UNKNOWN\r\n"));
	assert_true(h.local);
	assert_header(STR("PROXY UNKNOWN ffff::1 what ever 1 2\r\n"));
	assert_true(h.local);
	assert_string_equal(h.client, "");
}

static void a_line_out_of_form_is_refused(void **state)
{
	static const char *const bad[] = { "EHLO x\r\n", "proxy TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY\r\n", "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
		"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "PROXY TCP4 ::1 ::1 1 2\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
		"PROXY TCP4 localhost 192.0.2.2 1 2\r\n", "PROXY UNKNOWN\n\r\n", "PROXY TCP4\r\n",
		"\x16\x03\x01" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_bad(str_c(bad[i]), "");
}

static void a_line_has_an_end(void **state)
{
	char long_line[200];

	(void)state;
	memset(long_line, 'x', sizeof long_line);
	memcpy(long_line, "PROXY UNKNOWN ", 14);
	assert_int_equal(parse(str_make(long_line, 106)), PROXY_MORE);
	assert_bad(str_make(long_line, 107), "too long");
	assert_bad(str_make(long_line, sizeof long_line), "too long");
}

static void a_binary_header_names_the_client(void **state)
{
	(void)state;
	assert_header(STR(SIGNATURE TCP4 V4));
	assert_string_equal(h.client, "192.0.2.1");
	assert_string_equal(h.server, "198.51.100.2");
	assert_int_equal(h.client_port, 12345);
	assert_int_equal(h.server_port, 25);
	assert_header(STR(SIGNATURE "\x21\x21\0\x24"
				    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
				    "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2\x30\x39\0\x19"));
	assert_string_equal(h.client, "2001:db8::1");
	assert_int_equal(h.client_port, 12345);
}

static void a_binary_header_may_speak_for_nobody(void **state)
{
	static char unix_stream[16 + 216] = SIGNATURE "\x21\x31\0\xd8/run/x";

	(void)state;
	assert_header(STR(SIGNATURE "\x20\0\0\0"));
	assert_true(h.local);
	assert_header(STR(SIGNATURE "\x20\x77\0\3abc")); /* what LOCAL carries means nothing */
	assert_true(h.local);
	assert_header(STR(SIGNATURE "\x21\0\0\3abc"));
	assert_true(h.local);
	assert_header(str_make(unix_stream, sizeof unix_stream));
	assert_true(h.local);
}

static void a_binary_header_out_of_form_is_refused(void **state)
{
	(void)state;
	assert_bad(STR(SIGNATURE "\x11"), "version");
	assert_bad(STR(SIGNATURE "\x31"), "version");
	assert_bad(STR(SIGNATURE "\x22"), "command");
	assert_bad(STR(SIGNATURE "\x21\x12\0\x0c" V4), "family"); /* datagrams */
	assert_bad(STR(SIGNATURE "\x21\x41\0\x0c" V4), "family");
	assert_bad(STR(SIGNATURE "\x21\x11\0\x0b" V4), "too short");
	assert_bad(STR(SIGNATURE "\x21\x11\xff\xff"), "too long");
	assert_bad(STR("\r\n\r\n\0\r\nQUIX"), "no PROXY");
}

static void tlvs_are_skipped_within_the_header(void **state)
{
	(void)state;
	assert_header(STR(SIGNATURE "\x21\x11\0\x16" V4 "\1\0\2h2\4\0\2\0\0"));
	assert_string_equal(h.client, "192.0.2.1");
	assert_bad(STR(SIGNATURE "\x21\x11\0\x0e" V4 "\1\0"), "cut");
	assert_bad(STR(SIGNATURE "\x21\x11\0\x10" V4 "\1\0\2h"), "cut");
}

static void a_checksum_is_verified_when_there_is_one(void **state)
{
	char header[] = SIGNATURE "\x21\x11\0\x17" V4 "\3\0\4\0\0\0\0\1\0\1x";
	const size_t n = sizeof header - 1, at = 16 + 12 + 3;
	uint32_t crc;

	(void)state;
	crc = crc32c(0, header, n);
	for (size_t i = 0; i < 4; i++)
		header[at + i] = (char)(crc >> (24 - 8 * i));
	assert_header(str_make(header, n));
	header[16]++; /* another client */
	assert_bad(str_make(header, n), "checksum");
	assert_bad(STR(SIGNATURE "\x21\x11\0\x12" V4 "\3\0\3\0\0\0"), "checksum");
}

/* ---- on connections ---- */

static void the_client_becomes_the_peer_and_the_rest_is_untouched(void **state)
{
	struct conn *c =
		conn_mem(STR("PROXY TCP4 192.0.2.1 198.51.100.2 12345 25\r\nEHLO x\r\n"), 3);
	struct str line;

	(void)state;
	assert_int_equal(conn_read_proxy(c, &err), 0);
	assert_int_equal(conn_buffered(c), 0);
	assert_str(conn_peer(c), "192.0.2.1");
	assert_int_equal(conn_peer_port(c), 12345);
	assert_str(conn_local(c), "198.51.100.2");
	assert_str(conn_proxy(c), "memory");
	assert_int_equal(conn_read_line(c, 100, LINE_CRLF, &line, &err), 0);
	assert_str(line, "EHLO x");
	conn_free(&c);
}

static void a_health_check_is_from_the_balancer_itself(void **state)
{
	struct conn *c = conn_mem(STR(SIGNATURE "\x20\0\0\0QUIT\r\n"), 0);

	(void)state;
	assert_int_equal(conn_read_proxy(c, &err), 0);
	assert_str(conn_peer(c), "memory");
	assert_str(conn_proxy(c), "memory");
	conn_free(&c);
}

static void without_a_header_nothing_is_said_of_the_peer(void **state)
{
	struct conn *c = conn_mem(STR("EHLO x\r\n"), 0);

	(void)state;
	err = ERR_INIT;
	assert_int_equal(conn_read_proxy(c, &err), -1);
	assert_int_equal(err.kind, ERR_PROTO);
	assert_str(conn_peer(c), "memory");
	conn_free(&c);
	c = conn_mem(STR("PROXY TCP4 192."), 0);
	assert_int_equal(conn_read_proxy(c, &err), -1);
	assert_int_equal(err.kind, ERR_CLOSED);
	conn_free(&c);
}

static char seen[200];

/* A sends in three goes, B reads: what follows the header stays in the socket. */
static int balancer[2];

static void send_slowly(void *arg)
{
	static const char *const parts[] = { "PROXY TCP4 192.0.2.1 ", "198.51.100.2 12345 25\r",
		"\nhello\r\n" };
	struct err ignored = ERR_INIT;

	(void)arg;
	for (size_t i = 0; i < 3; i++) {
		(void)!write(balancer[0], parts[i], strlen(parts[i]));
		task_sleep(clock_after(5 * CLOCK_MSEC), &ignored);
	}
}

static void read_slowly(void *arg)
{
	struct task_group *g = task_group_new("t");
	struct conn *c = conn_socket(balancer[1]);
	struct str line = STR("");

	(void)arg;
	err = ERR_INIT;
	conn_deadline(c, clock_after(20 * CLOCK_SEC));
	task_spawn(g, "send", send_slowly, NULL, &err);
	if (conn_read_proxy(c, &err) == 0)
		conn_read_line(c, 100, LINE_CRLF, &line, &err);
	snprintf(seen, sizeof seen, STR_F " " STR_F, STR_A(conn_peer(c)), STR_A(line));
	conn_free(&c);
	task_group_end(&g);
}

static void a_header_may_come_in_pieces(void **state)
{
	(void)state;
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, balancer), 0);
	assert_int_equal(rt_main(read_slowly, NULL, &err), 0);
	assert_string_equal(seen, "192.0.2.1 hello");
	close(balancer[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_names_the_client),
		cmocka_unit_test(a_line_may_say_that_it_does_not_know),
		cmocka_unit_test(a_line_out_of_form_is_refused),
		cmocka_unit_test(a_line_has_an_end),
		cmocka_unit_test(a_binary_header_names_the_client),
		cmocka_unit_test(a_binary_header_may_speak_for_nobody),
		cmocka_unit_test(a_binary_header_out_of_form_is_refused),
		cmocka_unit_test(tlvs_are_skipped_within_the_header),
		cmocka_unit_test(a_checksum_is_verified_when_there_is_one),
		cmocka_unit_test(the_client_becomes_the_peer_and_the_rest_is_untouched),
		cmocka_unit_test(a_health_check_is_from_the_balancer_itself),
		cmocka_unit_test(without_a_header_nothing_is_said_of_the_peer),
		cmocka_unit_test(a_header_may_come_in_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
