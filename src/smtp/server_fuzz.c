/* A whole session on any bytes, in chunks of any size. The first octet says what the server offers,
 * the second the chunk. Checked: it ends; what it says is lines of three digits and printable text;
 * a message is committed only after a sender and a recipient, and every transaction is given back.
 */
#include "smtp/server.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

struct watch {
	bool logged_in, in_mail, in_data, binary;
	unsigned rcpts;
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	check(conn_buffered(c) == 0);
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct watch *w = arg;

	w->logged_in = password->n > 1;
	return w->logged_in ? 0 : err_set(err, ERR_DENIED, "wrong");
}

static int mail(
	void *arg, const struct smtp_peer *peer, const struct smtp_mail *m, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(!w->in_mail && peer->helo.n > 0);
	check(peer->authenticated == w->logged_in);
	check(m->priority >= -9 && m->priority <= 9 && m->hold_until >= 0);
	w->in_mail = true;
	w->binary = m->body == SMTP_BINARYMIME;
	return 0;
}

static int rcpt(void *arg, const struct smtp_rcpt *r, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_mail && r->to.local.n > 0);
	w->rcpts++;
	return 0;
}

static int data(void *arg, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_mail && w->rcpts > 0);
	w->in_data = true;
	return 0;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	const struct watch *w = arg;

	check(w->in_data && piece.n > 0);
	check(w->binary || memchr(piece.p, '\0', piece.n) == NULL);
	return 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	const struct watch *w = arg;

	check(w->in_data);
	*id = STR("1");
	return 0;
}

static void reset(void *arg)
{
	struct watch *w = arg;

	w->in_mail = w->in_data = false;
	w->rcpts = 0;
}

static void check_output(struct str out)
{
	while (out.n) {
		size_t end = str_search(out, STR("\r\n"));
		struct str line = str_head(out, end);

		check(end < out.n && line.n >= 4);
		check(is_digit(line.p[0]) && is_digit(line.p[1]) && is_digit(line.p[2]));
		check(line.p[3] == ' ' || line.p[3] == '-');
		for (size_t i = 0; i < line.n; i++)
			check(!is_ctl(line.p[i]) && (unsigned char)line.p[i] < 127);
		out = str_from(out, end + 2);
	}
}

static void ignore(void *arg, enum log_level level, struct str line)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	struct watch w = { 0 };
	const struct smtp_policy policy = { &w, STR("f"), start_tls, login, mail, rcpt, data, body,
		commit, reset };
	struct smtp_server server = {
		.name = STR("mx.test"), .proto = "smtp", .limits = SMTP_LIMITS
	};
	struct err err = ERR_INIT;
	struct conn *c;

	if (n < 2)
		return 0;
	server.starttls = input[0] & 1;
	server.secure = input[0] & 2;
	server.auth = input[0] & 4;
	server.auth_required = input[0] & 8;
	server.dsn = input[0] & 16;
	server.limits.message = input[0] & 32 ? 100 : 1 << 20;
	server.chunking = server.priority = server.require_tls = server.rrvs = input[0] & 64;
	server.by_min = server.hold_max = input[0] & 64 ? 60 : 0;
	server.tells_limits = input[0] & 128;
	c = conn_mem(str_make(input + 2, n - 2), input[1]);
	if (!c)
		return 0;
	log_capture(ignore, NULL);
	smtp_serve(c, &server, &policy, &err);
	log_capture(NULL, NULL);
	check(!w.in_mail);
	check_output(conn_mem_output(c));
	conn_free(&c);
	return 0;
}
