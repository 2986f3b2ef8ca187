/* A whole session on any bytes, in chunks of any size, with a policy that answers as the input
 * says.
 *
 * Octet 0 and 1 say what the server offers, octet 2 the chunk (its highest bits: LMTP, XCLIENT),
 * octets 3 to 10 are the answers of the policy, three bits each, taken round and round. The rest is
 * what the client sends, in parts: each part after the first is what comes after one more handshake
 * of TLS; without a part it fails.
 *
 * Checked: the session ends; what it says is lines of three digits and printable text, with an
 * enhanced status of the same class; nothing is heard in the clear after STARTTLS; a message is
 * committed once, after a sender and an accepted recipient and not after a refusal; every
 * transaction is given back.
 */
#include "smtp/server.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { FRONT = 11 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

struct watch {
	struct str parts; /* still to come */
	const uint8_t *answers;
	unsigned answered;
	bool lmtp, secure, logged_in, in_mail, in_data, binary, refused, last_was_cr;
	unsigned rcpts;
};

static struct str take_part(struct str *parts)
{
	size_t end = str_search(*parts, STR("\xff\0\xff"));
	struct str part = str_head(*parts, end);

	*parts = str_from(*parts, end < parts->n ? end + 3 : parts->n);
	return part;
}

/* The next answer: 0 to 4 is yes. */
static unsigned answer(struct watch *w)
{
	unsigned bit = w->answered++ % 19 * 3;

	return ((unsigned)w->answers[bit / 8] >> bit % 8 |
		       (unsigned)w->answers[bit / 8 + 1] << (8 - bit % 8)) &
		7;
}

static int no_or_yes(struct watch *w, enum smtp_stage stage, struct smtp_reply *no)
{
	static const enum err_kind kinds[] = { ERR_TEMP, ERR_DENIED, ERR_CANCELED };
	struct err err = ERR_INIT;
	unsigned a = answer(w);

	if (a < 5)
		return 0;
	err_set(&err, kinds[a - 5], "no\r\n250 yes");
	smtp_reply_err(no, stage, &err);
	return -1;
}

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct watch *w = arg;

	check(conn_buffered(c) == 0 && !w->in_mail && !w->secure);
	if (w->parts.n == 0)
		return err_set(err, ERR_PROTO, "the handshake failed");
	conn_mem_feed(c, take_part(&w->parts));
	w->secure = true;
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	static const enum err_kind kinds[] = { ERR_DENIED, ERR_LIMIT, ERR_TEMP };
	struct watch *w = arg;
	unsigned a = answer(w);

	check(w->secure && !w->logged_in && !w->in_mail);
	check(name.n > 0 && password->n > 0);
	w->logged_in = a < 5;
	return w->logged_in ? 0 : err_set(err, kinds[a - 5], "no");
}

static int mail(
	void *arg, const struct smtp_peer *peer, const struct smtp_mail *m, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(!w->in_mail && peer->helo.n > 0);
	check(peer->authenticated == w->logged_in && peer->secure == w->secure);
	check(m->priority >= -9 && m->priority <= 9 && m->hold_until >= 0);
	check(!m->require_tls || w->secure);
	w->in_mail = true;
	w->binary = m->body == SMTP_BINARYMIME;
	return no_or_yes(w, SMTP_AT_MAIL, no);
}

static int rcpt(void *arg, const struct smtp_rcpt *r, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_mail && !w->in_data && r->to.local.n > 0);
	if (no_or_yes(w, SMTP_AT_RCPT, no) < 0)
		return -1;
	w->rcpts++;
	return 0;
}

static int data(void *arg, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_mail && w->rcpts > 0 && !w->in_data);
	w->in_data = true;
	w->refused = no_or_yes(w, SMTP_AT_DATA, no) < 0;
	return w->refused ? -1 : 0;
}

/* T001: without BINARYMIME every piece is of lines that end in CR LF, wherever it was cut. */
static void check_lines(struct watch *w, struct str piece)
{
	for (size_t i = 0; i < piece.n; i++) {
		check(piece.p[i] != '\0');
		check((piece.p[i] == '\n') == w->last_was_cr);
		w->last_was_cr = piece.p[i] == '\r';
	}
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_data && piece.n > 0 && !w->refused);
	if (!w->binary)
		check_lines(w, piece);
	w->refused = no_or_yes(w, SMTP_AT_DATA, no) < 0;
	return w->refused ? -1 : 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->in_data && w->rcpts > 0 && !w->refused && !w->last_was_cr);
	w->refused = true; /* once only */
	*id = STR("1");
	return no_or_yes(w, SMTP_AT_DATA, no);
}

static int outcome(void *arg, unsigned n, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(w->lmtp && w->in_data && n < w->rcpts);
	return no_or_yes(w, SMTP_AT_RCPT, no);
}

static struct str refused(
	void *arg, const char *stage, struct str what, const struct smtp_reply *no)
{
	check(no->code >= 400 && no->code < 600 && *stage);
	return STR("");
}

static int xclient(void *arg, const struct smtp_xclient *x, struct smtp_reply *no)
{
	struct watch *w = arg;

	check(!w->in_mail && !w->logged_in);
	for (size_t i = 0; i < x->name.n; i++) /* it goes into Received */
		check(is_alnum(x->name.p[i]) || strchr("-._:[]+/=#*~", x->name.p[i]));
	return no_or_yes(w, SMTP_AT_MAIL, no);
}

static void reset(void *arg)
{
	struct watch *w = arg;

	w->in_mail = w->in_data = w->binary = w->refused = w->last_was_cr = false;
	w->rcpts = 0;
}

static void check_output(struct str out)
{
	while (out.n) {
		size_t end = str_search(out, STR("\r\n"));
		struct str line = str_head(out, end);

		check(end < out.n && line.n >= 4 && line.n <= 510);
		check(is_digit(line.p[0]) && is_digit(line.p[1]) && is_digit(line.p[2]));
		check(line.p[3] == ' ' || line.p[3] == '-');
		check(line.p[0] < '4' ||
			(line.n > 6 && line.p[4] == line.p[0] && line.p[5] == '.'));
		for (size_t i = 0; i < line.n; i++)
			check(!is_ctl(line.p[i]) && (unsigned char)line.p[i] < 127);
		out = str_from(out, end + 2);
	}
}

static void ignore(void *arg, enum log_level level, struct str line)
{
	for (size_t i = 0; i < line.n; i++) /* T011 */
		check(!is_ctl(line.p[i]) || (line.p[i] == '\n' && i + 1 == line.n));
}

static struct smtp_server offer(const uint8_t *in)
{
	struct smtp_server server = {
		.name = STR("mx.test"), .proto = "smtp", .limits = SMTP_LIMITS
	};

	server.lmtp = in[2] & 128;
	server.starttls = in[0] & 1;
	server.secure = in[0] & 2;
	server.auth = in[0] & 4;
	server.auth_required = in[0] & 8;
	server.dsn = in[0] & 16;
	server.limits.message = in[0] & 32 ? 100 : 1 << 20;
	server.chunking = in[0] & 64;
	server.tells_limits = in[0] & 128;
	server.priority = in[1] & 1;
	server.require_tls = in[1] & 2;
	server.rrvs = in[1] & 4;
	server.by_min = in[1] & 8 ? 60 : 0;
	server.hold_max = in[1] & 16 ? 60 : 0;
	if (in[1] & 32)
		server.limits.rcpts = 2;
	if (in[1] & 64)
		server.limits.text_line = 50;
	if (in[1] & 128)
		server.limits.errors = 2;
	return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
	struct watch w = { .answers = input + 3 };
	struct smtp_policy policy = { .arg = &w,
		.session = STR("f"),
		.start_tls = start_tls,
		.login = login,
		.mail = mail,
		.rcpt = rcpt,
		.data = data,
		.body = body,
		.commit = commit,
		.outcome = outcome,
		.refused = refused,
		.reset = reset };
	struct err err = ERR_INIT;
	struct smtp_server server;
	struct conn *c;

	if (n < FRONT)
		return 0;
	server = offer(input);
	w.secure = server.secure;
	w.lmtp = server.lmtp;
	if (input[2] & 64)
		policy.xclient = xclient;
	w.parts = str_make(input + FRONT, n - FRONT);
	c = conn_mem(take_part(&w.parts), input[2]);
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
