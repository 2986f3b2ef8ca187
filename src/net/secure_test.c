#include "base/clock.h"
#include "crypto/tls.h"
#include "crypto/tls_test.h"
#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static struct test_authority authority;
static struct test_identity id;
static struct tls_server *server;
static struct tls_client *client;
static char trace[512];
static struct err err;

static void note(const char *what)
{
	size_t n = strlen(trace);

	snprintf(trace + n, sizeof trace - n, "%s ", what);
}

static void note_line(struct conn *c, struct err *e)
{
	struct str line;
	char text[64];

	if (conn_read_line(c, 60, LINE_CRLF, &line, e) < 0)
		note(err_kind_name(e->kind));
	else if (str_z(line, text, sizeof text))
		note(text);
}

static int make_identities(void **state)
{
	(void)state;
	test_authority_make(&authority);
	test_identity_make(&id, KEY_P256, &authority, "mx.test");
	return tls_client_new(&client, "", true, &err) < 0 ||
		tls_client_trust(client, buf_str(&authority.pem), &err) < 0;
}

static int free_identities(void **state)
{
	(void)state;
	tls_client_free(&client);
	test_identity_free(&id);
	test_authority_free(&authority);
	return 0;
}

static int fresh(void **state)
{
	(void)state;
	trace[0] = '\0';
	err = ERR_INIT;
	return tls_server_new(&server, STR("smtp"), STR("smtp"), &err) < 0 ||
		tls_server_add(server, buf_str(&id.chain), id.key, &err) < 0;
}

static int done(void **state)
{
	(void)state;
	tls_server_free(&server);
	return 0;
}

/* ---- two ends ---- */

struct end {
	struct conn *c;
	void (*run)(struct conn *);
};

static void run_end(void *arg)
{
	struct end *e = arg;

	e->run(e->c);
	conn_free(&e->c);
}

static void with_pair(void (*serve)(struct conn *), void (*ask)(struct conn *))
{
	struct task_group *g = task_group_new("ends");
	struct end ends[2] = { { .run = serve }, { .run = ask } };
	int fds[2];

	if (!g || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
		abort();
	for (int i = 0; i < 2; i++) {
		ends[i].c = conn_socket(fds[i]);
		conn_deadline(ends[i].c, clock_after(20 * CLOCK_SEC));
		if (task_spawn(g, "end", run_end, &ends[i], &err) < 0)
			note(err.msg);
	}
	task_group_join(g);
	task_group_end(&g);
}

static void answers(struct conn *c)
{
	struct err e = ERR_INIT;
	struct str line;

	if (conn_start_tls_server(c, server, &e) < 0) {
		note(err_kind_name(e.kind));
		return;
	}
	while (conn_read_line(c, 60, LINE_CRLF, &line, &e) == 0)
		conn_writef(c, "<" STR_F ">\r\n", STR_A(line));
	note(err_kind_name(e.kind));
	note(conn_tls_truncated(c) ? "cut" : "whole");
	conn_shutdown(c);
}

static void asks(struct conn *c)
{
	struct err e = ERR_INIT;

	if (conn_start_tls_client(c, client, STR("mx.test"), &e) < 0) {
		note(e.msg);
		return;
	}
	note(conn_is_tls(c) ? conn_tls_version(c).p : "clear");
	note(conn_tls_verify_error(c).n ? "unverified" : "verified");
	conn_write(c, STR("one\r\ntwo\r\n"));
	note_line(c, &e);
	note_line(c, &e);
	conn_write(c, STR("three\r\n"));
	note_line(c, &e);
}

static void asks_and_leaves(struct conn *c)
{
	struct err e = ERR_INIT;

	asks(c);
	conn_shutdown(c);
	note_line(c, &e);
	note(conn_tls_truncated(c) ? "cut" : "whole");
}

static void says_goodbye(void *arg)
{
	(void)arg;
	with_pair(answers, asks_and_leaves);
}

static void lines_travel_encrypted_and_both_say_goodbye(void **state)
{
	(void)state;
	LOOP(says_goodbye);
	assert_string_equal(
		trace, "TLSv1.3 verified <one> <two> <three> closed whole closed whole ");
}

static void vanishes(void *arg)
{
	(void)arg;
	with_pair(answers, asks);
}

static void an_end_without_goodbye_can_be_told_apart(void **state)
{
	(void)state;
	LOOP(vanishes);
	assert_string_equal(trace, "TLSv1.3 verified <one> <two> <three> closed cut ");
}

/* ---- a key that answers later, as the vault does ---- */

static struct signal wanted, answered;
static unsigned pending;

static int signs_later(void *arg, struct str key_id, struct str algorithm, struct str data,
	struct buf *signature, struct err *e)
{
	(void)arg;
	(void)key_id;
	pending++;
	if (task_sleep(clock_after(5 * CLOCK_MSEC), e) < 0)
		return -1;
	return key_sign(id.key, algorithm, data, signature, e);
}

static void many_at_once(void *arg)
{
	struct task_group *g = task_group_new("pairs");

	(void)arg;
	for (int i = 0; i < 3; i++)
		if (task_spawn(g, "pair", says_goodbye, NULL, &err) < 0)
			note(err.msg);
	while (pending < 3) /* all three handshakes are in the middle of OpenSSL */
		task_sleep(clock_after(CLOCK_MSEC), &err);
	note("pending");
	task_group_join(g);
	task_group_end(&g);
}

static void use_remote_key(void)
{
	tls_server_free(&server);
	assert_int_equal(tls_server_new(&server, STR("smtp"), STR(""), &err), 0);
	assert_int_equal(tls_server_add_remote(
				 server, buf_str(&id.chain), STR("1"), signs_later, NULL, &err),
		0);
	pending = 0;
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	while ((text = strstr(text, word)) != NULL) {
		n++;
		text++;
	}
	return n;
}

static void handshakes_wait_for_a_remote_key_side_by_side(void **state)
{
	(void)state;
	use_remote_key();
	LOOP(many_at_once);
	assert_memory_equal(trace, "pending ", 8);
	assert_int_equal(count(trace, "TLSv1.3 verified"), 3);
	assert_int_equal(count(trace, "<three>"), 3);
	assert_int_equal(count(trace, "closed whole"), 6);
}

static int never_signs(void *arg, struct str key_id, struct str algorithm, struct str data,
	struct buf *signature, struct err *e)
{
	(void)arg;
	(void)key_id;
	(void)algorithm;
	(void)data;
	(void)signature;
	signal_raise(&wanted);
	return task_wait(-1, 0, &answered, NEVER, e) < 0 ? -1 : 0;
}

static void cancels_a_handshake(void *arg)
{
	struct task_group *g = task_group_new("pair");

	(void)arg;
	if (task_spawn(g, "pair", says_goodbye, NULL, &err) < 0)
		note(err.msg);
	task_wait(-1, 0, &wanted, NEVER, &err);
	task_group_end(&g);
}

static void a_handshake_that_waits_for_its_key_can_be_cancelled(void **state)
{
	(void)state;
	tls_server_free(&server);
	assert_int_equal(tls_server_new(&server, STR("smtp"), STR(""), &err), 0);
	assert_int_equal(tls_server_add_remote(
				 server, buf_str(&id.chain), STR("1"), never_signs, NULL, &err),
		0);
	LOOP(cancels_a_handshake);
	assert_non_null(strstr(trace, "canceled"));
}

/* ---- STARTTLS ---- */

static void offers_starttls(struct conn *c)
{
	struct err e = ERR_INIT;

	note_line(c, &e);
	conn_write(c, STR("220 go ahead\r\n"));
	if (conn_start_tls_server(c, server, &e) < 0)
		note(e.kind == ERR_PROTO ? "refused" : e.msg);
	else
		note_line(c, &e);
}

static void smuggles_a_command(struct conn *c)
{
	struct err e = ERR_INIT;

	conn_write(c, STR("STARTTLS\r\nNOOP\r\n"));
	note_line(c, &e);
	note_line(c, &e);
}

static void starttls_with_more(void *arg)
{
	(void)arg;
	with_pair(offers_starttls, smuggles_a_command);
}

static void nothing_typed_before_tls_survives_it(void **state)
{
	(void)state;
	LOOP(starttls_with_more);
	assert_string_equal(trace, "STARTTLS refused closed closed ");
}

static void starts_tls(struct conn *c)
{
	struct err e = ERR_INIT;

	conn_write(c, STR("STARTTLS\r\n"));
	note_line(c, &e);
	if (conn_start_tls_client(c, client, STR("mx.test"), &e) < 0)
		note(e.msg);
	conn_write(c, STR("EHLO x\r\n"));
	conn_shutdown(c);
}

static void starttls_properly(void *arg)
{
	(void)arg;
	with_pair(offers_starttls, starts_tls);
}

static void a_connection_changes_to_tls_in_the_middle(void **state)
{
	(void)state;
	LOOP(starttls_properly);
	assert_string_equal(trace, "STARTTLS 220 go ahead EHLO x ");
}

static void injects_a_reply(struct conn *c)
{
	struct err e = ERR_INIT;

	note_line(c, &e);
	conn_write(c, STR("220 go ahead\r\n250 forged\r\n"));
	if (conn_start_tls_server(c, server, &e) < 0)
		note(e.msg);
	conn_write(c, STR("250 true\r\n"));
	conn_shutdown(c);
}

static void believes_only_what_is_encrypted(struct conn *c)
{
	struct err e = ERR_INIT;

	conn_write(c, STR("STARTTLS\r\n"));
	note_line(c, &e);
	if (conn_start_tls_client(c, client, STR("mx.test"), &e) < 0)
		note(e.msg);
	note_line(c, &e);
}

static void starttls_with_injection(void *arg)
{
	(void)arg;
	with_pair(injects_a_reply, believes_only_what_is_encrypted);
}

static void a_reply_injected_before_tls_is_not_believed(void **state)
{
	(void)state;
	LOOP(starttls_with_injection);
	assert_string_equal(trace, "STARTTLS 220 go ahead 250 true ");
}

/* ---- trouble ---- */

static void speaks_cleartext(struct conn *c)
{
	struct err e = ERR_INIT;

	conn_write(c, STR("EHLO there, no TLS here\r\n"));
	conn_flush(c, &e);
	note_line(c, &e);
}

static void talks_past(void *arg)
{
	(void)arg;
	with_pair(answers, speaks_cleartext);
}

static void cleartext_to_a_tls_port_ends_the_connection(void **state)
{
	(void)state;
	LOOP(talks_past);
	/* What the client gets is an alert, which is no line. */
	assert_string_equal(trace, "protocol closed ");
}

static void expects_another(struct conn *c)
{
	struct err e = ERR_INIT;

	if (conn_start_tls_client(c, client, STR("other.test"), &e) < 0)
		note(err_kind_name(e.kind));
	note_line(c, &e);
}

static void asks_the_wrong_server(void *arg)
{
	(void)arg;
	with_pair(answers, expects_another);
}

static void a_wrong_certificate_ends_the_connection(void **state)
{
	(void)state;
	LOOP(asks_the_wrong_server);
	assert_true(strcmp(trace, "denied denied protocol ") == 0);
}

static void says_nothing(struct conn *c)
{
	struct str some;
	struct err e = ERR_INIT;

	conn_read_some(c, 100, &some, &e);
}

static void is_patient_for_a_moment(struct conn *c)
{
	conn_deadline(c, clock_after(5 * CLOCK_MSEC));
	answers(c);
}

static void handshakes_with_nobody(void *arg)
{
	(void)arg;
	with_pair(is_patient_for_a_moment, says_nothing);
}

static void a_handshake_ends_at_the_deadline(void **state)
{
	(void)state;
	LOOP(handshakes_with_nobody);
	assert_string_equal(trace, "timeout ");
}

/* ---- volume ---- */

enum { BULK = 2000000 };

static void sends_bulk(struct conn *c)
{
	struct err e = ERR_INIT;
	char block[1000];
	size_t n = 0;

	if (conn_start_tls_server(c, server, &e) < 0)
		note(e.msg);
	while (n < BULK) {
		for (size_t i = 0; i < sizeof block; i++, n++)
			block[i] = (char)(n % 251);
		conn_write(c, str_make(block, sizeof block));
	}
	conn_shutdown(c);
}

static void receives_bulk(struct conn *c)
{
	struct err e = ERR_INIT;
	struct str some;
	size_t total = 0;
	bool right = true;

	if (conn_start_tls_client(c, client, STR("mx.test"), &e) < 0)
		note(e.msg);
	while (conn_read_some(c, 7777, &some, &e) == 0)
		for (size_t i = 0; i < some.n; i++, total++)
			right = right && some.p[i] == (char)(total % 251);
	note(right && total == BULK ? "all" : "not all");
	note(conn_tls_truncated(c) ? "cut" : "whole");
}

static void moves_bulk(void *arg)
{
	(void)arg;
	with_pair(sends_bulk, receives_bulk);
}

static void much_data_arrives_whole(void **state)
{
	(void)state;
	LOOP(moves_bulk);
	assert_string_equal(trace, "all whole ");
}

static struct signal idle;

static void idles(struct conn *c)
{
	struct err e = ERR_INIT;
	struct buf binding = BUF(100);

	if (conn_start_tls_server(c, server, &e) < 0)
		note(e.msg);
	note(conn_wait(c, &idle, NEVER, &e) == WAIT_SIGNAL ? "signal" : e.msg);
	note(conn_wait(c, &idle, NEVER, &e) == WAIT_READ ? "input" : e.msg);
	note_line(c, &e);
	note(conn_wait(c, &idle, clock_after(CLOCK_MSEC), &e) < 0 ? err_kind_name(e.kind) : "woke");
	note(conn_tls_binding(c, STR("tls-exporter"), &binding, &e) == 0 ? "bound" : e.msg);
	buf_free(&binding);
}

static void wakes(struct conn *c)
{
	struct err e = ERR_INIT;

	if (conn_start_tls_client(c, client, STR("mx.test"), &e) < 0)
		note(e.msg);
	signal_raise(&idle);
	task_sleep(clock_after(2 * CLOCK_MSEC), &e);
	conn_write(c, STR("DONE\r\n"));
	conn_flush(c, &e);
	note_line(c, &e);
}

static void idles_and_wakes(void *arg)
{
	(void)arg;
	with_pair(idles, wakes);
}

static void input_and_signals_end_an_idle_wait(void **state)
{
	(void)state;
	LOOP(idles_and_wakes);
	assert_string_equal(trace, "signal input DONE timeout bound closed ");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fresh, done)
	const struct CMUnitTest tests[] = {
		T(lines_travel_encrypted_and_both_say_goodbye),
		T(an_end_without_goodbye_can_be_told_apart),
		T(handshakes_wait_for_a_remote_key_side_by_side),
		T(a_handshake_that_waits_for_its_key_can_be_cancelled),
		T(nothing_typed_before_tls_survives_it),
		T(a_connection_changes_to_tls_in_the_middle),
		T(a_reply_injected_before_tls_is_not_believed),
		T(cleartext_to_a_tls_port_ends_the_connection),
		T(a_wrong_certificate_ends_the_connection),
		T(a_handshake_ends_at_the_deadline),
		T(much_data_arrives_whole),
		T(input_and_signals_end_an_idle_wait),
	};

	return cmocka_run_group_tests(tests, make_identities, free_identities);
}
