#include "base/clock.h"
#include "net/conn.h"
#include "net/dial.h"
#include "net/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* Tasks only note what they saw, the test asserts after the loop: see rt/task_test.c. */
#define LOOP(fn)                                                                                   \
	do {                                                                                       \
		struct err loop_err = ERR_INIT;                                                    \
                                                                                                   \
		assert_int_equal(rt_main((fn), NULL, &loop_err), 0);                               \
	} while (0)

#define SOON clock_after(20 * CLOCK_SEC)

static char trace[512];
static struct err err;

static void note(const char *what)
{
	size_t n = strlen(trace);

	snprintf(trace + n, sizeof trace - n, "%s ", what);
}

static void note_line(struct conn *c)
{
	struct str line;
	char text[64];

	if (conn_read_line(c, 60, LINE_CRLF, &line, &err) < 0)
		note(err_kind_name(err.kind));
	else if (str_z(line, text, sizeof text))
		note(text);
}

static int fresh(void **state)
{
	(void)state;
	trace[0] = '\0';
	err = ERR_INIT;
	return 0;
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in6 a = { 0 };
	socklen_t n = sizeof a;

	getsockname(fd, (struct sockaddr *)&a, &n);
	return ntohs(a.sin6_port); /* at the same place for IPv4 */
}

/* ---- two ends ---- */

static struct conn *ends[2];

static void with_pair(void (*peer)(void *), void (*self)(struct conn *))
{
	struct task_group *g = task_group_new("peer");
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	ends[0] = conn_socket(fds[0]);
	ends[1] = conn_socket(fds[1]);
	conn_deadline(ends[0], SOON);
	conn_deadline(ends[1], SOON);
	if (task_spawn(g, "peer", peer, ends[1], &err) < 0)
		note(err.msg);
	self(ends[0]);
	conn_free(&ends[0]);
	task_group_join(g);
	task_group_end(&g);
	conn_free(&ends[1]);
}

static void answers_each_line(void *arg)
{
	struct conn *c = arg;
	struct str line;
	struct err e;

	while (conn_read_line(c, 60, LINE_CRLF, &line, &e) == 0)
		conn_writef(c, "<" STR_F ">\r\n", STR_A(line));
	conn_shutdown(c);
}

static void talks(struct conn *c)
{
	conn_write(c, STR("one\r\n"));
	note_line(c); /* flushes by itself */
	conn_write(c, STR("two\r\nthree\r\nfo"));
	note_line(c);
	note_line(c);
	conn_write(c, STR("ur\r\n"));
	note_line(c);
	conn_shutdown(c);
	note_line(c);
}

static void talks_to_a_peer(void *arg)
{
	(void)arg;
	with_pair(answers_each_line, talks);
}

static void reading_flushes_what_was_written(void **state)
{
	(void)state;
	LOOP(talks_to_a_peer);
	assert_string_equal(trace, "<one> <two> <three> <four> closed ");
}

enum { BULK = 3000000 };

static void reads_slowly(void *arg)
{
	struct conn *c = arg;
	size_t total = 0;
	struct str some;
	struct err e;

	while (conn_read_some(c, 1000, &some, &e) == 0) {
		for (size_t i = 0; i < some.n; i++, total++)
			if (some.p[i] != (char)(total % 251))
				note("wrong byte");
		if (total % 9 == 0)
			task_yield();
	}
	note(total == BULK ? "all" : "some");
}

static void writes_much(struct conn *c)
{
	char block[1000];
	size_t n = 0;

	while (n < BULK) {
		for (size_t i = 0; i < sizeof block; i++, n++)
			block[i] = (char)(n % 251);
		conn_write(c, str_make(block, sizeof block));
	}
	note(conn_flush(c, &err) == 0 ? "sent" : err.msg);
	note(conn_bytes_out(c) == BULK ? "counted" : "miscounted");
}

static void moves_bulk(void *arg)
{
	(void)arg;
	with_pair(reads_slowly, writes_much);
}

static void output_waits_for_a_slow_reader(void **state)
{
	(void)state;
	LOOP(moves_bulk);
	assert_string_equal(trace, "sent counted all ");
}

static void silent(void *arg)
{
	(void)arg;
}

static void waits_in_vain(struct conn *c)
{
	char block[1000] = { 0 };

	conn_deadline(c, clock_after(CLOCK_MSEC));
	note_line(c);
	for (int i = 0; i < 3000; i++)
		conn_write(c, str_make(block, sizeof block));
	note(conn_flush(c, &err) == 0 ? "sent" : err_kind_name(err.kind));
	conn_deadline(c, SOON);
	note_line(c); /* a failed write fails the connection */
}

static void talks_to_nobody(void *arg)
{
	(void)arg;
	with_pair(silent, waits_in_vain);
}

static void every_wait_ends_at_the_deadline(void **state)
{
	(void)state;
	LOOP(talks_to_nobody);
	assert_string_equal(trace, "timeout timeout timeout ");
}

static struct signal sig;

static void raises_then_writes(void *arg)
{
	signal_raise(&sig);
	task_sleep(clock_after(CLOCK_MSEC), &err);
	conn_write(arg, STR("DONE\r\n"));
	conn_flush(arg, &err);
	task_sleep(clock_after(CLOCK_MSEC), &err);
	signal_raise(&sig);
}

static void idles(struct conn *c)
{
	int woke[4];

	for (size_t i = 0; i < 4; i++) {
		woke[i] = conn_wait(c, &sig, i == 3 ? clock_after(CLOCK_MSEC) : SOON, &err);
		note(woke[i] == WAIT_SIGNAL            ? "signal"
				: woke[i] == WAIT_READ ? "input"
						       : err_kind_name(err.kind));
		if (woke[i] == WAIT_READ)
			note_line(c);
	}
}

static void idles_with_a_peer(void *arg)
{
	(void)arg;
	sig = (struct signal){ 0 };
	with_pair(raises_then_writes, idles);
}

static void input_and_signals_end_an_idle_wait(void **state)
{
	(void)state;
	LOOP(idles_with_a_peer);
	assert_string_equal(trace, "signal input DONE signal timeout ");
}

/* The peer never pauses, so reading never has to wait. */
static void floods(void *arg)
{
	static char block[32768];

	for (int i = 0; i < 2000; i++)
		conn_write(arg, str_make(block, sizeof block));
}

static int64_t flood_end;

static void drinks(struct conn *c)
{
	struct str some;

	conn_deadline(c, flood_end);
	while (conn_read_some(c, 65536, &some, &err) == 0)
		continue;
	note(err_kind_name(err.kind));
	note(clock_mono() < flood_end + 5 * CLOCK_SEC ? "soon" : "late");
}

static void drinks_a_flood(void *arg)
{
	(void)arg;
	flood_end = clock_after(5 * CLOCK_MSEC);
	with_pair(floods, drinks);
}

static void the_deadline_holds_against_a_peer_that_never_pauses(void **state)
{
	(void)state;
	LOOP(drinks_a_flood);
	assert_string_equal(trace, "timeout soon ");
}

/* ---- listening and dialling ---- */

static int listener;

static void accepts_one(void *arg)
{
	struct err e = ERR_INIT;
	struct conn *c;
	int fd;

	(void)arg;
	if (listen_accept(listener, &fd, &e) < 0) {
		note(e.msg);
		return;
	}
	c = conn_socket(fd);
	note(conn_peer(c).p);
	conn_write(c, STR("220 hello\r\n"));
	note_line(c);
	conn_free(&c);
}

static void dials(struct str where, struct str address)
{
	struct task_group *g = task_group_new("accept");
	struct conn *c = NULL;

	if (listen_open(where, &listener, &err) < 0 || fd_watch(listener, &err) < 0 ||
		task_spawn(g, "accept", accepts_one, NULL, &err) < 0 ||
		dial(address, str_starts(where, STR("unix:")) ? 0 : port_of(listener), SOON, &c,
			&err) < 0) {
		note(err.msg);
	} else {
		note(conn_peer(c).p);
		note_line(c);
		conn_write(c, STR("QUIT\r\n"));
		note_line(c);
	}
	conn_free(&c);
	task_group_end(&g);
	fd_forget(listener);
	close(listener);
}

static void reads_to_the_end(void *arg)
{
	struct err e = ERR_INIT;
	struct conn *c;
	int fd;

	(void)arg;
	if (listen_accept(listener, &fd, &e) < 0)
		return;
	c = conn_socket(fd);
	note_line(c);
	note_line(c);
	note_line(c);
	conn_free(&c);
}

static void sends_and_leaves(void *arg)
{
	struct task_group *g = task_group_new("accept");
	struct conn *c = NULL;

	(void)arg;
	if (listen_open(STR("127.0.0.1:0"), &listener, &err) < 0 || fd_watch(listener, &err) < 0 ||
		task_spawn(g, "accept", reads_to_the_end, NULL, &err) < 0 ||
		dial(STR("127.0.0.1"), port_of(listener), SOON, &c, &err) < 0)
		note(err.msg);
	conn_write(c, STR("first\r\n"));
	conn_flush(c, &err);
	task_sleep(clock_after(2 * CLOCK_MSEC), &err);
	conn_write(c, STR("last\r\n")); /* this and the end arrive as one event */
	conn_shutdown(c);
	task_group_join(g);
	conn_free(&c);
	task_group_end(&g);
	fd_forget(listener);
	close(listener);
}

static void data_and_end_in_one_event_are_both_seen(void **state)
{
	(void)state;
	LOOP(sends_and_leaves);
	assert_string_equal(trace, "first last closed ");
}

static void dials_ipv4(void *arg)
{
	(void)arg;
	dials(STR("127.0.0.1:0"), STR("127.0.0.1"));
	dials(STR("*:0"), STR("127.0.0.1"));
}

static void connections_over_ipv4(void **state)
{
	(void)state;
	LOOP(dials_ipv4);
	assert_string_equal(trace,
		"127.0.0.1 127.0.0.1 220 hello QUIT closed "
		"127.0.0.1 127.0.0.1 220 hello QUIT closed ");
}

static void dials_ipv6(void *arg)
{
	(void)arg;
	dials(STR("[::1]:0"), STR("::1"));
}

static void connections_over_ipv6(void **state)
{
	int fd = socket(AF_INET6, SOCK_STREAM, 0);
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };

	(void)state;
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		print_message("this machine has no IPv6 loopback\n");
		close(fd);
		skip();
	}
	close(fd);
	LOOP(dials_ipv6);
	assert_string_equal(trace, "::1 ::1 220 hello QUIT closed ");
}

static char unix_path[64];

static void dials_unix(void *arg)
{
	(void)arg;
	dials(str_c(unix_path), str_c(unix_path));
	dials(str_c(unix_path), str_c(unix_path)); /* the file of the first is in the way */
}

static void connections_over_unix_sockets(void **state)
{
	char dir[] = "/tmp/socket_test.XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(unix_path, sizeof unix_path, "unix:%s/s", dir);
	LOOP(dials_unix);
	unlink(unix_path + 5);
	rmdir(dir);
	assert_string_equal(
		trace, "unix unix 220 hello QUIT closed unix unix 220 hello QUIT closed ");
}

static void dials_a_closed_port(void *arg)
{
	struct conn *c = NULL;
	uint16_t port;

	(void)arg;
	listen_open(STR("127.0.0.1:0"), &listener, &err);
	port = port_of(listener);
	close(listener);
	dial(STR("127.0.0.1"), port, SOON, &c, &err);
	note(err_kind_name(err.kind));
	note(strstr(err.msg, "Connection refused") ? "refused" : err.msg);
	dial(STR("localhost"), port, SOON, &c, &err);
	note(err_kind_name(err.kind));
}

static void a_refused_connection_says_so(void **state)
{
	(void)state;
	LOOP(dials_a_closed_port);
	assert_string_equal(trace, "temporary refused permanent ");
}

static void a_busy_port_is_named_with_advice(void **state)
{
	char where[32];
	int first, second;

	(void)state;
	assert_int_equal(listen_open(STR("127.0.0.1:0"), &first, &err), 0);
	snprintf(where, sizeof where, "127.0.0.1:%u", (unsigned)port_of(first));
	assert_int_equal(listen_open(str_c(where), &second, &err), -1);
	assert_non_null(strstr(err.msg, where));
	assert_non_null(strstr(err.msg, "another program listens there"));
	close(first);
}

static void nonsense_is_no_address(void **state)
{
	static const char *const bad[] = { "", "25", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
		"[::1:25", "name:25", "unix:", ":25" };
	int fd;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(listen_open(str_c(bad[i]), &fd, &err), -1);
		assert_int_equal(err.kind, ERR_PERM);
	}
}

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void exhausts_descriptors(void *arg)
{
	struct task_group *g = task_group_new("accept");
	struct conn *c = NULL;
	struct rlimit before, tight;

	(void)arg;
	if (listen_open(STR("127.0.0.1:0"), &listener, &err) < 0 || fd_watch(listener, &err) < 0 ||
		task_spawn(g, "accept", accepts_one, NULL, &err) < 0)
		note(err.msg);
	task_yield();
	getrlimit(RLIMIT_NOFILE, &before);
	tight = before;
	tight.rlim_cur = (rlim_t)lowest_free() + 1; /* room for one: the client's */
	setrlimit(RLIMIT_NOFILE, &tight);
	if (dial(STR("127.0.0.1"), port_of(listener), SOON, &c, &err) < 0)
		note(err.msg);
	task_sleep(clock_after(CLOCK_MSEC), &err);
	note(task_group_count(g) == 1 ? "waiting" : "gone");
	setrlimit(RLIMIT_NOFILE, &before);
	note_line(c);
	conn_write(c, STR("QUIT\r\n"));
	conn_shutdown(c);
	task_group_join(g);
	conn_free(&c);
	task_group_end(&g);
	fd_forget(listener);
	close(listener);
}

static void running_out_of_descriptors_delays_accepting(void **state)
{
	(void)state;
	LOOP(exhausts_descriptors);
	assert_string_equal(trace, "waiting 127.0.0.1 220 hello QUIT ");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup(test, fresh)
	const struct CMUnitTest tests[] = {
		T(reading_flushes_what_was_written),
		T(output_waits_for_a_slow_reader),
		T(every_wait_ends_at_the_deadline),
		T(input_and_signals_end_an_idle_wait),
		T(the_deadline_holds_against_a_peer_that_never_pauses),
		T(data_and_end_in_one_event_are_both_seen),
		T(connections_over_ipv4),
		T(connections_over_ipv6),
		T(connections_over_unix_sockets),
		T(a_refused_connection_says_so),
		T(a_busy_port_is_named_with_advice),
		T(nonsense_is_no_address),
		T(running_out_of_descriptors_delays_accepting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
