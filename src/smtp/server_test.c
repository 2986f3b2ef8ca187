/* What dialogues as text files (test/transcripts/smtp) cannot show: random walks beside a model,
 * and sessions over real sockets that stall, break and are cancelled. */
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

/* ---- a policy that takes everything but what it is asked to refuse ---- */

struct taken {
	unsigned begun, rcpts, committed, resets;
	bool fail; /* this message */
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	return secret_eq(password, STR("pw")) ? 0 : err_set(err, ERR_DENIED, "wrong");
}

static int mail(
	void *arg, const struct smtp_peer *peer, const struct smtp_mail *m, struct smtp_reply *no)
{
	struct taken *t = arg;

	t->begun++;
	t->fail = false;
	if (!str_eq(m->from.local, STR("bad")))
		return 0;
	smtp_reply_set(no, 550, "5.7.1", "no");
	return -1;
}

static int rcpt(void *arg, const struct smtp_rcpt *r, struct smtp_reply *no)
{
	struct taken *t = arg;

	t->rcpts++;
	if (!str_eq(r->to.local, STR("bad")))
		return 0;
	smtp_reply_set(no, 550, "5.1.1", "no");
	return -1;
}

static int data(void *arg, struct smtp_reply *no)
{
	return 0;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	struct taken *t = arg;

	t->fail |= piece.p[0] == 'b'; /* no good text has one */
	return 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	struct taken *t = arg;

	*id = STR("1");
	if (!t->fail) {
		t->committed++;
		return 0;
	}
	smtp_reply_set(no, 451, "4.3.0", "no");
	return -1;
}

static void reset(void *arg)
{
	struct taken *t = arg;

	t->resets++;
}

static struct smtp_policy policy_of(struct taken *t)
{
	return (struct smtp_policy){ t, STR("t"), start_tls, login, mail, rcpt, data, body, commit,
		reset };
}

static void ignore(void *arg, enum log_level level, struct str line)
{
}

/* ---- T004, T028: random walks beside a model ---- */

struct model {
	bool hello, extended, authed, mail, tried;
	unsigned rcpts, committed;
	struct buf input, want; /* what the client says; codes, three digits each */
};

static void says(struct model *m, const char *line, unsigned code)
{
	buf_addz(&m->input, line);
	buf_addz(&m->input, "\r\n");
	buf_addf(&m->want, "%u", code);
}

static void model_hello(struct model *m, bool extended, bool good)
{
	says(m, extended ? (good ? "EHLO x.test" : "EHLO") : (good ? "HELO x.test" : "HELO a(b"),
		good ? 250 : 501);
	if (!good)
		return;
	m->hello = true;
	m->extended = extended;
	m->mail = false;
}

static void model_mail(struct model *m, int kind)
{
	static const char *const lines[] = { "MAIL FROM:<a@b.test>", "MAIL FROM:<bad@b.test>",
		"MAIL FROM:<a@b.test> SIZE=5", "MAIL FROM:a", "MAIL FROM:<a@b.test> FOO=1" };
	unsigned code;

	if (!m->hello || m->mail)
		code = 503;
	else if (kind == 0 || (kind == 2 && m->extended))
		code = 250;
	else
		code = kind == 1 ? 550 : kind == 3 ? 501 : 555;
	says(m, lines[kind], code);
	if (code != 250)
		return;
	m->mail = true;
	m->tried = false;
	m->rcpts = 0;
}

static void model_rcpt(struct model *m, int kind)
{
	static const char *const lines[] = { "RCPT TO:<a@b.test>", "RCPT TO:<bad@b.test>",
		"RCPT TO:<" };
	static const unsigned codes[] = { 250, 550, 501 };
	unsigned code = m->hello && m->mail ? codes[kind] : 503;

	says(m, lines[kind], code);
	if (code == 503)
		return;
	m->tried = true;
	m->rcpts += code == 250;
}

static void model_data(struct model *m, bool good)
{
	if (!m->hello || !m->mail || !m->rcpts) {
		says(m, "DATA", m->hello && m->mail && m->tried ? 554 : 503);
		return;
	}
	says(m, "DATA", 354);
	says(m, good ? "text\r\n..\r\nMAIL FROM:<x@y.test>\r\n." : "bad text\r\nDATA\r\n.",
		good ? 250 : 451);
	m->committed += good;
	m->mail = false;
}

static void model_auth(struct model *m, int kind)
{
	static const char *const lines[] = {
		"AUTH PLAIN AGEAcHc=", "AUTH PLAIN AGEAeA==", "AUTH PLAIN !", "AUTH NONE"
	};
	static const unsigned codes[] = { 235, 535, 501, 504 };

	if (!m->hello || m->authed || m->mail) {
		says(m, lines[kind], 503);
		return;
	}
	if (kind == 2) { /* cancelled half way */
		says(m, "AUTH LOGIN", 334);
		says(m, "*", 501);
		return;
	}
	says(m, lines[kind], codes[kind]);
	m->authed = kind == 0;
}

static void model_step(struct model *m, unsigned dice)
{
	unsigned kind = dice / 16;

	switch (dice % 16) {
	case 0:
		model_hello(m, kind & 1, kind & 14);
		break;
	case 1:
	case 2:
	case 3:
		model_mail(m, kind % 8 < 4 ? 0 : (int)(kind % 5));
		break;
	case 4:
	case 5:
	case 6:
	case 7:
		model_rcpt(m, (int)(kind % 3));
		break;
	case 8:
	case 9:
	case 10:
		model_data(m, kind & 1);
		break;
	case 11:
		says(m, "RSET", 250);
		m->mail = false;
		break;
	case 12:
		model_auth(m, (int)(kind % 4));
		break;
	case 13:
		says(m, "VRFY x", 252);
		break;
	case 14:
		says(m, kind & 1 ? "FOO" : "NOOP", kind & 1 ? 500 : 250);
		break;
	default:
		says(m, kind & 1 ? "RSET x" : "STARTTLS", kind & 1 ? 501 : 503);
		break;
	}
}

/* The codes of the replies, one after the other, without the greeting. */
static void codes_of(struct str out, struct buf *codes)
{
	bool greeting = true;

	while (out.n) {
		size_t end = str_search(out, STR("\r\n"));

		if (out.p[3] == ' ' && !greeting)
			buf_add(codes, str_head(out, 3));
		greeting = false;
		out = str_from(out, end + 2);
	}
}

static void walk(uint64_t seed, unsigned steps)
{
	struct model m = { .input = BUF(64 << 20), .want = BUF(8 << 20) };
	struct buf got = BUF(8 << 20);
	struct taken t = { 0 };
	struct smtp_policy policy = policy_of(&t);
	struct smtp_server server = { .name = STR("mx.test"),
		.proto = "smtp",
		.secure = true,
		.auth = true,
		.limits = SMTP_LIMITS };
	struct err err = ERR_INIT;
	struct conn *c;

	server.limits.errors = server.limits.idling = server.limits.logins = UINT32_MAX;
	server.limits.commands = UINT32_MAX;
	server.limits.work = UINT32_MAX;
	for (unsigned i = 0; i < steps; i++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		model_step(&m, (unsigned)(seed >> 40));
	}
	c = conn_mem(buf_str(&m.input), 1 + seed % 5000);
	assert_non_null(c);
	log_capture(ignore, NULL);
	assert_int_equal(smtp_serve(c, &server, &policy, &err), -1);
	log_capture(NULL, NULL);
	assert_int_equal(err.kind, ERR_CLOSED);
	codes_of(conn_mem_output(c), &got);
	assert_int_equal(got.n, m.want.n);
	for (size_t i = 0; i < got.n; i += 3)
		if (memcmp(got.p + i, m.want.p + i, 3) != 0)
			fail_msg("step %zu: %.3s instead of %.3s", i / 3, got.p + i, m.want.p + i);
	assert_int_equal(t.committed, m.committed);
	conn_free(&c);
	buf_free(&got);
	buf_free(&m.input);
	buf_free(&m.want);
}

static void T004_random_walks_agree_with_the_model(void **state)
{
	for (uint64_t seed = 1; seed <= 10; seed++)
		walk(seed * 977, 20000);
}

/* ---- over a socket: what needs time ---- */

struct visit {
	int fd; /* the client's end */
	struct smtp_server server;
	struct taken taken;
	struct err err;
	int result;
	struct task_group *group;
	bool ended;
};

static void serve(void *arg)
{
	struct visit *v = arg;
	struct smtp_policy policy = policy_of(&v->taken);
	struct err err = ERR_INIT;
	int pair[2];
	struct conn *c;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	v->fd = pair[1];
	c = conn_socket(pair[0]);
	assert_non_null(c);
	v->result = smtp_serve(c, &v->server, &policy, &err);
	v->err = err;
	conn_free(&c);
	v->ended = true;
}

static void client_says(struct visit *v, const char *text)
{
	assert_int_equal(write(v->fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Everything the server has said until it closed. */
static void client_hears(struct visit *v, struct buf *out)
{
	char some[1024];
	ssize_t n;

	while ((n = read(v->fd, some, sizeof some)) > 0)
		buf_add(out, str_make(some, (size_t)n));
}

static void visit(struct visit *v, void (*run)(void *))
{
	struct err err = ERR_INIT;

	v->fd = -1;
	v->server.name = STR("mx.test");
	v->server.proto = "smtp";
	log_capture(ignore, NULL);
	assert_int_equal(rt_main(run, v, &err), 0);
	log_capture(NULL, NULL);
}

static void start_serving(struct visit *v)
{
	struct err err = ERR_INIT;

	v->group = task_group_new("test");
	assert_non_null(v->group);
	assert_int_equal(task_spawn(v->group, "serve", serve, v, &err), 0);
	while (v->fd < 0)
		task_yield();
}

static void ends_with(struct visit *v, struct str want)
{
	struct buf out = BUF(100000);

	client_hears(v, &out);
	if (!str_endsi(buf_str(&out), want))
		print_error("got: " STR_F "\n", STR_A(buf_str(&out)));
	assert_true(str_endsi(buf_str(&out), want));
	buf_free(&out);
	close(v->fd);
}

static void run_silent(void *arg)
{
	struct visit *v = arg;

	start_serving(v);
	task_group_join(v->group);
	ends_with(v, STR("421 4.4.2 too slow\r\n"));
	task_group_end(&v->group);
}

static void the_silent_are_told_and_left(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS };

	v.server.limits.idle = 20 * CLOCK_MSEC;
	visit(&v, run_silent);
	assert_int_equal(v.result, -1);
	assert_int_equal(v.err.kind, ERR_TIMEOUT);
}

static void run_silent_in_data(void *arg)
{
	struct visit *v = arg;

	start_serving(v);
	client_says(v,
		"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<a@b.test>\r\nDATA\r\nSubject: x\r\n");
	task_group_join(v->group);
	ends_with(v, STR("421 4.4.2 too slow\r\n"));
	task_group_end(&v->group);
}

static void the_silent_within_a_message_are_left_without_it(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS };

	v.server.limits.idle = 20 * CLOCK_MSEC;
	visit(&v, run_silent_in_data);
	assert_int_equal(v.taken.begun, 1);
	assert_int_equal(v.taken.committed, 0);
	assert_int_equal(v.taken.resets, 1);
}

static void run_cancelled(void *arg)
{
	struct visit *v = arg;
	struct err err = ERR_INIT;

	start_serving(v);
	client_says(v, "EHLO x\r\nMAIL FROM:<a@b.test>\r\n");
	while (v->taken.begun == 0)
		assert_int_equal(task_sleep(clock_after(CLOCK_MSEC), &err), 0);
	task_group_end(&v->group);
	ends_with(v, STR("421 4.3.2 going down, try again\r\n"));
}

static void a_shutdown_is_said_and_forgets_what_was_begun(void **state)
{
	struct visit v = { .server.limits = SMTP_LIMITS };

	visit(&v, run_cancelled);
	assert_true(v.ended);
	assert_int_equal(v.err.kind, ERR_CANCELED);
	assert_int_equal(v.taken.resets, v.taken.begun);
	assert_int_equal(v.taken.committed, 0);
}

static void limits_are_told_in_six_digits(void **state)
{
	/* RFC 9422 4.1 and 4.2: a larger value is none for the client. */
	assert_true(SMTP_LIMITS.mails <= 999999 && SMTP_LIMITS.rcpts <= 999999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(T004_random_walks_agree_with_the_model),
		cmocka_unit_test(limits_are_told_in_six_digits),
		cmocka_unit_test(the_silent_are_told_and_left),
		cmocka_unit_test(the_silent_within_a_message_are_left_without_it),
		cmocka_unit_test(a_shutdown_is_said_and_forgets_what_was_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
