/* What one hostile session may cost: sessions over real sockets whose clients take without end. */
#include "smtp/server.h"

#include "base/clock.h"
#include "base/log.h"

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

/* ---- a policy that takes everything, and a guard that watches ---- */

struct visit {
	int fd; /* the client's end */
	struct smtp_server server;
	struct smtp_guard guard;
	struct conn *c;
	struct err err;
	int result;
	bool ended;
	uint64_t most_memory; /* ever charged */
	uint64_t most_errors; /* ever told to the guard */
	unsigned paced, end_after;
	int64_t hurry, write_patience;
	struct buf said, log;
	void (*client)(struct visit *v);
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	return err_set(err, ERR_DENIED, "wrong");
}

static int mail(
	void *arg, const struct smtp_peer *peer, const struct smtp_mail *m, struct smtp_reply *no)
{
	return 0;
}

static int rcpt(void *arg, const struct smtp_rcpt *r, struct smtp_reply *no)
{
	return 0;
}

static int data(void *arg, struct smtp_reply *no)
{
	return 0;
}

static void watch_memory(struct visit *v)
{
	uint64_t now = conn_budget(v->c)->used[BUDGET_MEMORY];

	if (now > v->most_memory)
		v->most_memory = now;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	watch_memory(arg);
	return 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	*id = STR("1");
	return 0;
}

static void reset(void *arg)
{
	watch_memory(arg);
}

static int pace(void *arg, uint64_t errors, int64_t *silence, int64_t *hold, struct smtp_reply *no)
{
	struct visit *v = arg;

	watch_memory(v);
	if (errors > v->most_errors)
		v->most_errors = errors;
	if (v->hurry)
		*silence = v->hurry;
	*hold = errors > 2 ? CLOCK_MSEC : 0;
	if (++v->paced != v->end_after)
		return 0;
	smtp_reply_set(no, 421, "4.7.0", "enough for now");
	return -1;
}

/* ---- server and client ---- */

static void keep_line(void *arg, enum log_level level, struct str line)
{
	struct visit *v = arg;

	buf_add(&v->log, line);
	buf_add(&v->log, STR("\n"));
}

static void serve(void *arg)
{
	struct visit *v = arg;
	struct smtp_policy policy = { .arg = v,
		.session = STR("t"),
		.start_tls = start_tls,
		.login = login,
		.mail = mail,
		.rcpt = rcpt,
		.data = data,
		.body = body,
		.commit = commit,
		.reset = reset };
	struct err err = ERR_INIT;

	v->guard = (struct smtp_guard){ v, pace };
	v->server.guard = &v->guard;
	v->result = smtp_serve(v->c, &v->server, &policy, &err);
	v->err = err;
	watch_memory(v);
	conn_free(&v->c);
	v->ended = true;
}

/* Write all of it, unless the server has gone or does not read any more. */
static void say(struct visit *v, struct str text)
{
	while (text.n && !v->ended) {
		ssize_t n = send(v->fd, text.p, text.n, MSG_NOSIGNAL);

		if (n > 0)
			text = str_from(text, (size_t)n);
		else
			task_yield();
	}
}

static void listen_until_end(struct visit *v)
{
	char some[1024];
	ssize_t n;

	while ((n = read(v->fd, some, sizeof some)) != 0) {
		if (n > 0)
			buf_add(&v->said, str_make(some, (size_t)n));
		else if (v->ended)
			break;
		else
			task_yield();
	}
}

static void run(void *arg)
{
	struct visit *v = arg;
	struct task_group *g = task_group_new("test");
	struct err err = ERR_INIT;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	v->fd = pair[1];
	v->c = conn_socket(pair[0]);
	assert_non_null(v->c);
	if (v->write_patience)
		conn_write_patience(v->c, v->write_patience);
	assert_int_equal(task_spawn(g, "serve", serve, v, &err), 0);
	v->client(v);
	task_group_join(g);
	task_group_end(&g);
	close(v->fd);
}

static void visit(struct visit *v)
{
	struct err err = ERR_INIT;

	v->said = BUF(1 << 20);
	v->log = BUF(1 << 20);
	v->server.name = STR("mx.test");
	v->server.proto = "smtp";
	log_capture(keep_line, v);
	assert_int_equal(rt_main(run, v, &err), 0);
	log_capture(NULL, NULL);
}

static bool said(const struct visit *v, const char *text)
{
	return str_search(buf_str(&v->said), str_c(text)) < v->said.n;
}

static bool logged(const struct visit *v, const char *text)
{
	return str_search(buf_str(&v->log), str_c(text)) < v->log.n;
}

static void done(struct visit *v)
{
	buf_free(&v->said);
	buf_free(&v->log);
}

/* ---- clients ---- */

/* 4 MiB of pipelined commands, and not one reply is read. */
static void deaf(struct visit *v)
{
	for (int i = 0; i < 100000 && !v->ended; i++)
		say(v, STR("HELP with all that you know, please, I like to hear you\r\n"));
}

static void T083_a_client_that_never_reads_holds_a_few_buffers_and_not_for_long(void **state)
{
	struct visit v = {
		.server.limits = SMTP_LIMITS, .write_patience = 20 * CLOCK_MSEC, .client = deaf
	};

	v.server.limits.idling = v.server.limits.commands = UINT32_MAX;
	visit(&v);
	assert_true(v.ended);
	assert_int_equal(v.err.kind, ERR_TIMEOUT);
	assert_true(v.most_memory <= 160 << 10);
	done(&v);
}

static void send_transactions(struct visit *v)
{
	for (int i = 0; i < 10 && !v->ended; i++)
		say(v, STR("EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n"));
	listen_until_end(v);
}

static void a_session_that_holds_more_memory_than_it_may_is_ended(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS, .client = send_transactions };

	v.server.limits.memory = 10 << 10; /* less than one read takes */
	visit(&v);
	assert_true(said(&v, "421 4.7.0 this session takes too much memory\r\n"));
	assert_true(logged(&v, "guard.budget sid=t proto=smtp rip=unix what=memory used="));
	assert_true(v.most_memory < 64 << 10);
	done(&v);
}

static void ask_for_recipients(struct visit *v)
{
	say(v, STR("EHLO x\r\nMAIL FROM:<a@b.test>\r\n"));
	for (int i = 0; i < 200 && !v->ended; i++)
		say(v, STR("RCPT TO:<a@b.test>\r\n"));
	listen_until_end(v);
}

static void T091_recipients_without_a_message_come_to_an_end(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS, .client = ask_for_recipients };

	v.server.limits.work = 50;
	visit(&v);
	assert_true(said(&v, "421 4.7.0 too much work that led nowhere\r\n"));
	assert_true(logged(&v, "what=work used=51 most=50"));
	done(&v);
}

/* Messages that are refused at their end, again and again. */
static void pour(struct visit *v)
{
	char line[1002] = { 0 };
	struct str text = str_make(line, sizeof line);

	memset(line, 'x', sizeof line - 2);
	memcpy(line + sizeof line - 2, "\r\n", 2);
	say(v, STR("EHLO x\r\n"));
	for (int i = 0; i < 8 && !v->ended; i++) {
		say(v, STR("MAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\n"));
		for (int k = 0; k < 200 && !v->ended; k++)
			say(v, text);
		say(v, STR(".\r\n"));
	}
	listen_until_end(v);
}

static void input_that_leads_nowhere_comes_to_an_end(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS, .client = pour };

	v.server.limits.message = 100000; /* so 1.4 MB are too much */
	visit(&v);
	assert_true(said(&v, "552 5.3.4 the message is too large\r\n"));
	assert_true(said(&v, "421 4.7.0 too much input that led nowhere\r\n"));
	done(&v);
}

static void harvest(struct visit *v)
{
	say(v, STR("EHLO x\r\n"));
	for (int i = 0; i < 10; i++)
		say(v, STR("WHO?\r\n"));
	listen_until_end(v);
}

static void T091_errors_are_told_to_the_guard_who_may_slow_them_down(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS, .client = harvest };

	v.server.limits.errors = 5;
	visit(&v);
	assert_int_equal(v.most_errors, 5);
	assert_true(said(&v, "421 4.7.0 too many errors\r\n"));
	done(&v);
}

static void the_guard_may_end_a_session(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS, .client = harvest, .end_after = 3 };

	visit(&v);
	assert_true(said(&v, "421 4.7.0 enough for now\r\n"));
	assert_int_equal(v.most_errors, 1);
	done(&v);
}

static void trickle(struct visit *v)
{
	while (!v->ended) { /* no byte is far from the last, and no line ever ends */
		say(v, STR("x"));
		task_yield();
	}
	listen_until_end(v);
}

static void T083_a_command_that_trickles_in_has_no_more_time_than_any_other(void **state)
{
	struct visit v = {
		.server.limits = SMTP_LIMITS, .client = trickle, .hurry = 30 * CLOCK_MSEC
	};

	visit(&v);
	assert_true(said(&v, "421 4.4.2 too slow\r\n") || v.err.kind == ERR_PROTO);
	assert_true(v.most_memory <= 160 << 10);
	done(&v);
}

/* A chunk of no message that never ends. */
static void begin_chunk(struct visit *v)
{
	say(v, STR("EHLO x\r\nBDAT 50000000\r\nx"));
	listen_until_end(v);
}

static void T083_a_chunk_of_no_message_has_no_more_time_than_what_leads_nowhere(void **state)
{
	struct visit v = {
		.server.limits = SMTP_LIMITS, .server.chunking = true, .client = begin_chunk
	};

	v.server.limits.patience = 50 * CLOCK_MSEC;
	visit(&v);
	assert_true(said(&v, "421 4.4.2 too slow\r\n"));
	done(&v);
}

enum { CHUNKS = 60, CHUNK = 1024 };

static void send_chunks(struct visit *v)
{
	char chunk[CHUNK];

	memset(chunk, 'x', sizeof chunk);
	say(v, STR("EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\n"));
	for (int i = 0; i < CHUNKS && !v->ended; i++) {
		say(v, STR("BDAT 1024\r\n"));
		say(v, str_make(chunk, sizeof chunk));
	}
	say(v, STR("BDAT 2 LAST\r\n\r\nQUIT\r\n"));
	listen_until_end(v);
}

static void a_large_message_in_many_chunks_is_not_too_many_commands(void **state)
{
	struct visit v = {
		.server.limits = SMTP_LIMITS, .server.chunking = true, .client = send_chunks
	};

	v.server.limits.commands = 20;
	visit(&v);
	assert_true(said(&v, "250 2.0.0 queued as"));
	assert_false(said(&v, "421"));
	done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			T083_a_client_that_never_reads_holds_a_few_buffers_and_not_for_long),
		cmocka_unit_test(T083_a_command_that_trickles_in_has_no_more_time_than_any_other),
		cmocka_unit_test(T091_recipients_without_a_message_come_to_an_end),
		cmocka_unit_test(T091_errors_are_told_to_the_guard_who_may_slow_them_down),
		cmocka_unit_test(
			T083_a_chunk_of_no_message_has_no_more_time_than_what_leads_nowhere),
		cmocka_unit_test(a_large_message_in_many_chunks_is_not_too_many_commands),
		cmocka_unit_test(a_session_that_holds_more_memory_than_it_may_is_ended),
		cmocka_unit_test(input_that_leads_nowhere_comes_to_an_end),
		cmocka_unit_test(the_guard_may_end_a_session),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
