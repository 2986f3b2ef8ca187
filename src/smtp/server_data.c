/* DATA: RFC 5321 4.1.1.4. The message goes to the policy as it comes, in pieces of what is
 * buffered; nothing here grows with its size. */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "smtp/dot.h"

#include <stdio.h>

#define DATA_GRACE (600 * CLOCK_SEC) /* RFC 5321 4.5.3.2.6, twice over: before the rate counts */
enum { DATA_RATE = 1024 };           /* bytes a second, on average, that a client must reach */

struct reception {
	struct smtp_session *s;
	struct dot_reader dot;
	uint64_t size;
	bool refused; /* the client will hear it at the end; until then the rest is dropped */
	struct smtp_reply no;
	int64_t began;
};

static void refuse(struct reception *r, unsigned code, const char *status, const char *text)
{
	smtp_reply_set(&r->no, code, status, "%s", text);
	r->refused = true;
}

static void take_piece(struct reception *r, struct str piece)
{
	const struct smtp_limits *limits = &r->s->server->limits;

	r->size += piece.n;
	if (r->refused)
		return;
	if (r->size > limits->message) /* RFC 1870 6.3 */
		refuse(r, 552, "5.3.4", "the message is too large");
	else if (r->dot.longest > limits->text_line) /* RFC 5321 4.5.3.1.6 */
		refuse(r, 554, "5.6.0", "a line of the message is too long");
	else
		r->refused = r->s->policy->body(r->s->policy->arg, piece, &r->no) < 0;
}

/* A client may be silent for a while, or slow for a while, but not slow for ever. */
static int more(struct reception *r, struct err *err)
{
	int64_t silent = clock_after(r->s->server->limits.idle);
	int64_t slow = r->began + DATA_GRACE + (int64_t)(r->size / DATA_RATE) * CLOCK_SEC;

	if (smtp_budget_over(r->s))
		return err_set(err, ERR_LIMIT, "the session's budget is used up");
	conn_deadline(r->s->c, silent < slow ? silent : slow);
	return conn_fill(r->s->c, err);
}

static int receive(struct reception *r, struct err *err)
{
	uint64_t most = 2 * r->s->server->limits.message + 65536;
	struct conn *c = r->s->c;
	struct str piece;
	size_t used;

	while (r->size < most) {
		switch (dot_scan(&r->dot, conn_peek(c), &used, &piece)) {
		case DOT_PIECE:
			take_piece(r, piece);
			conn_take(c, used);
			break;
		case DOT_MORE:
			conn_take(c, used);
			if (more(r, err) < 0)
				return -1;
			break;
		case DOT_END:
			conn_take(c, used);
			return 0;
		/* T001: not repaired, and nothing that follows is read as a command. */
		case DOT_BARE_CR:
			return err_set(err, ERR_PROTO, "a bare CR in the message");
		case DOT_BARE_LF:
			return err_set(err, ERR_PROTO, "a bare LF in the message");
		case DOT_NUL:
			return err_set(err, ERR_PROTO, "a NUL in the message");
		}
	}
	smtp_goodbye(r->s, 552, "5.3.4", "the message is far too large");
	return 0;
}

static void log_accept(const struct reception *r, struct str id)
{
	const struct smtp_session *s = r->s;
	struct buf from = BUF(ADDRESS_PATH_MAX + 64);

	address_print_path(&from, &s->txn->from);
	log_event(LOG_INFO, "smtp.accept", L_STR("sid", s->policy->session), L_STR("id", id),
		L_Z("proto", s->server->proto), L_STR("rip", conn_peer(s->c)),
		L_STR("helo", buf_str(&s->helo)), L_STR("from", buf_str(&from)),
		L_U64("rcpts", s->txn->rcpts), L_U64("size", r->size),
		L_STR("tls", conn_tls_version(s->c)));
	buf_free(&from);
}

/* RFC 5321 4.2.5 and 6.1: this 250 makes the message ours. commit() has made it durable; nothing
 * below may lose it. */
static void commit(struct reception *r)
{
	struct smtp_session *s = r->s;
	char text[64];
	struct str id;

	if (s->policy->commit(s->policy->arg, &id, &r->no) < 0) {
		smtp_refuse(s, "data", STR(""), &r->no);
		return;
	}
	log_accept(r, id);
	smtp_progress(s);
	snprintf(text, sizeof text, "queued as " STR_F, STR_A(id));
	smtp_say(s, 250, "2.0.0", str_c(text));
}

int smtp_do_data(struct smtp_session *s, struct str arg, struct err *err)
{
	struct reception r = { .s = s, .began = clock_mono() };
	int got;

	if (!s->txn)
		return smtp_say(s, 503, "5.5.1", STR("MAIL first"));
	if (s->txn->rcpts == 0 && s->txn->tried) /* RFC 5321 3.3 */
		return smtp_say(s, 554, "5.5.1", STR("no valid recipients"));
	if (s->txn->rcpts == 0)
		return smtp_say(s, 503, "5.5.1", STR("RCPT first"));
	if (s->policy->data(s->policy->arg, &r.no) < 0) {
		smtp_refuse(s, "data", STR(""), &r.no);
		smtp_txn_end(s);
		return 0;
	}
	smtp_say(s, 354, "", STR("end with a line holding only a dot"));
	got = receive(&r, err);
	if (got == 0 && !s->done && r.refused)
		smtp_refuse(s, "data", STR(""), &r.no);
	else if (got == 0 && !s->done)
		commit(&r);
	smtp_txn_end(s); /* T004: whatever came of it, the next message starts with MAIL */
	return got;
}
