/* The framing of BDAT (RFC 3030) beside a second, simpler reading of it. The input is a list of
 * chunks, each an octet that says its kind, two for its size and then its octets; from it the whole
 * conversation is written, with commands among the chunks, and played in pieces of any size. What
 * the policy is given must be what the chunks hold, message by message, and each command has its
 * reply.
 */
#include "smtp/server.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

enum { INPUT_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

struct seen {
	struct buf now, committed; /* bodies that were committed, each behind a mark */
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	return err_set(err, ERR_PROTO, "no TLS");
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	return err_set(err, ERR_DENIED, "nobody");
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

static int data_begins(void *arg, struct smtp_reply *no)
{
	return 0;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	struct seen *seen = arg;

	buf_add(&seen->now, piece);
	return 0;
}

static void keep(struct buf *committed, struct str text)
{
	buf_add(committed, STR("\1message\2"));
	buf_add(committed, text);
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	struct seen *seen = arg;

	keep(&seen->committed, buf_str(&seen->now));
	*id = STR("1");
	return 0;
}

static void reset(void *arg)
{
	struct seen *seen = arg;

	buf_clear(&seen->now);
}

/* What the client says, and what must come of it. */
struct story {
	struct buf says, text, committed;
	unsigned replies;
	bool in_mail;
};

static void begin(struct story *st)
{
	if (st->in_mail)
		return;
	/* The header has lines even in BINARYMIME: it ends here. */
	buf_add(&st->says, STR("MAIL FROM:<> BODY=BINARYMIME\r\nRCPT TO:<a@b>\r\nBDAT 2\r\n\r\n"));
	st->replies += 3;
	st->in_mail = true;
	buf_clear(&st->text);
	buf_add(&st->text, STR("\r\n"));
}

static void chunk(struct story *st, struct str octets, bool last)
{
	buf_addf(&st->says, "BDAT %zu%s\r\n", octets.n, last ? " LAST" : "");
	buf_add(&st->says, octets);
	st->replies++;
	if (!st->in_mail) /* refused, and its octets are no commands */
		return;
	buf_add(&st->text, octets);
	if (last) {
		keep(&st->committed, buf_str(&st->text));
		st->in_mail = false;
	}
}

static void command(struct story *st, struct str line)
{
	buf_add(&st->says, line);
	st->replies++;
}

/* One step of the input; gives what is left of it. */
static struct str tell(struct story *st, struct str in)
{
	unsigned kind = (uint8_t)in.p[0];
	size_t size = (size_t)(uint8_t)in.p[1] << 8 | (uint8_t)in.p[2];
	struct str octets = str_head(str_from(in, 3), size);

	if (kind & 1)
		begin(st);
	if (kind & 2)
		command(st, STR("NOOP\r\n"));
	if (kind & 4)
		command(st, STR("DATA x\r\n"));
	if (kind & 8) {
		command(st, STR("RSET\r\n"));
		st->in_mail = false;
	}
	chunk(st, octets, kind & 16);
	return str_from(in, 3 + octets.n);
}

static unsigned replies_of(struct str out)
{
	unsigned replies = 0;

	while (out.n) {
		size_t end = str_search(out, STR("\r\n"));

		check(end < out.n && end > 3);
		replies += out.p[3] == ' ';
		out = str_from(out, end + 2);
	}
	return replies;
}

static void ignore(void *arg, enum log_level level, struct str line)
{
}

static void play(struct story *st, size_t piece)
{
	struct seen seen = { BUF(4 * INPUT_MAX), BUF(4 * INPUT_MAX) };
	const struct smtp_policy policy = { .arg = &seen,
		.session = STR("f"),
		.start_tls = start_tls,
		.login = login,
		.mail = mail,
		.rcpt = rcpt,
		.data = data_begins,
		.body = body,
		.commit = commit,
		.reset = reset };
	struct smtp_server server = {
		.name = STR("mx.test"), .proto = "smtp", .chunking = true, .limits = SMTP_LIMITS
	};
	struct conn *c = conn_mem(buf_str(&st->says), piece);
	struct err err = ERR_INIT;

	server.limits.errors = server.limits.idling = server.limits.commands = INPUT_MAX;
	server.limits.work = UINT64_MAX;
	if (c && buf_ok(&st->says)) {
		check(smtp_serve(c, &server, &policy, &err) == 0);
		check(str_eq(buf_str(&seen.committed), buf_str(&st->committed)));
		check(replies_of(conn_mem_output(c)) == st->replies);
	}
	conn_free(&c);
	buf_free(&seen.now);
	buf_free(&seen.committed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct story st = { .says = BUF(64 * INPUT_MAX),
		.text = BUF(4 * INPUT_MAX),
		.committed = BUF(4 * INPUT_MAX) };
	struct str in;

	if (n < 4 || n > 4096)
		return 0;
	in = str_make(data + 1, n - 1);
	command(&st, STR("EHLO x\r\n"));
	st.replies++; /* the greeting */
	while (in.n >= 3)
		in = tell(&st, in);
	command(&st, STR("QUIT\r\n"));
	log_capture(ignore, NULL);
	play(&st, data[0]);
	log_capture(NULL, NULL);
	buf_free(&st.says);
	buf_free(&st.text);
	buf_free(&st.committed);
	return 0;
}
