/* DATA: RFC 5321 4.1.1.4. And what DATA and BDAT have in common: the message goes to the policy as
 * it comes, in pieces of what is buffered; nothing here grows with its size. */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>

#define DATA_GRACE (600 * CLOCK_SEC) /* RFC 5321 4.5.3.2.6, twice over: before the rate counts */
enum { DATA_RATE = 1024 };           /* bytes a second, on average, that a client must reach */

uint64_t smtp_reception_most(const struct smtp_session *s)
{
	return 2 * s->server->limits.message + 65536;
}

void smtp_reception_refuse(
	struct smtp_reception *r, unsigned code, const char *status, const char *text)
{
	smtp_reply_set(&r->no, code, status, "%s", text);
	r->refused = true;
}

unsigned smtp_body_too_soon(const struct smtp_session *s, const char **text)
{
	if (s->helo.n == 0)
		*text = smtp_hello_first(s);
	else if (!s->txn)
		*text = "MAIL first";
	else if (s->txn->rcpts == 0 && !s->txn->tried)
		*text = "RCPT first";
	else if (s->txn->rcpts == 0)
		*text = "no valid recipients";
	else
		return 0;
	/* RFC 5321 3.3, RFC 2033 4.2 */
	return s->txn && s->txn->tried && !s->server->lmtp ? 554 : 503;
}

int smtp_reception_begin(struct smtp_session *s)
{
	struct smtp_reception *r = &s->txn->in;

	r->begun = true;
	r->text.binary = s->txn->binary;
	r->refused = s->policy->data(s->policy->arg, &r->no) < 0;
	return r->refused ? -1 : 0;
}

void smtp_reception_take(struct smtp_session *s, struct str piece)
{
	struct smtp_reception *r = &s->txn->in;
	const struct smtp_limits *limits = &s->server->limits;

	r->size += piece.n;
	r->came += piece.n;
	if (r->refused)
		return;
	if (r->size > limits->message) /* RFC 1870 6.3 */
		smtp_reception_refuse(r, 552, "5.3.4", "the message is too large");
	else if (r->dot.longest > limits->text_line || r->text.longest > limits->text_line)
		/* RFC 5321 4.5.3.1.6 */
		smtp_reception_refuse(r, 554, "5.6.0", "a line of the message is too long");
	else
		r->refused = s->policy->body(s->policy->arg, piece, &r->no) < 0;
}

/* A client may be silent for a while, or slow for a while, but not slow for ever. */
int smtp_reception_more(struct smtp_session *s, struct err *err)
{
	const struct smtp_reception *r = &s->txn->in;
	int64_t silent = clock_after(s->server->limits.idle);
	int64_t slow = r->began + DATA_GRACE + (int64_t)(r->came / DATA_RATE) * CLOCK_SEC;

	if (smtp_budget_over(s))
		return err_set(err, ERR_LIMIT, "the session's budget is used up");
	conn_deadline(s->c, silent < slow ? silent : slow);
	return conn_fill(s->c, err);
}

static int receive(struct smtp_session *s, struct err *err)
{
	struct smtp_reception *r = &s->txn->in;
	struct conn *c = s->c;
	struct str piece;
	size_t used;

	while (r->size < smtp_reception_most(s)) {
		switch (dot_scan(&r->dot, conn_peek(c), &used, &piece)) {
		case DOT_PIECE:
			smtp_reception_take(s, piece);
			conn_take(c, used);
			break;
		case DOT_MORE:
			conn_take(c, used);
			if (smtp_reception_more(s, err) < 0)
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
	smtp_goodbye(s, 552, "5.3.4", "the message is far too large");
	return 0;
}

static void log_accept(const struct smtp_session *s, struct str id)
{
	struct buf from = BUF(ADDRESS_PATH_MAX + 64);

	address_print_path(&from, &s->txn->from);
	log_event(LOG_INFO, "smtp.accept", L_STR("sid", s->policy->session), L_STR("id", id),
		L_Z("proto", s->server->proto), L_STR("rip", conn_peer(s->c)),
		L_STR("helo", buf_str(&s->helo)), L_STR("from", buf_str(&from)),
		L_U64("rcpts", s->txn->rcpts), L_U64("size", s->txn->in.size),
		L_STR("tls", conn_tls_version(s->c)), L_STR("cipher", conn_tls_cipher(s->c)));
	buf_free(&from);
}

/* RFC 2033 4.2: a reply for each recipient; otherwise one for all. */
static unsigned replies(const struct smtp_session *s)
{
	return s->server->lmtp ? s->txn->rcpts : 1;
}

static void refuse_all(struct smtp_session *s)
{
	const struct smtp_reply *no = &s->txn->in.no;

	smtp_refuse(s, "data", STR(""), no);
	for (unsigned i = 1; i < replies(s); i++)
		smtp_say(s, no->code, no->status, str_c(no->text));
}

static void say_outcomes(struct smtp_session *s, struct str id)
{
	const struct smtp_policy *p = s->policy;
	struct smtp_reply no;
	char text[64];

	snprintf(text, sizeof text, "queued as " STR_F, STR_A(id));
	for (unsigned i = 0; i < replies(s); i++)
		if (s->server->lmtp && p->outcome && p->outcome(p->arg, i, &no) < 0)
			smtp_refuse(s, "outcome", STR(""), &no);
		else
			smtp_say(s, 250, "2.0.0", str_c(text));
}

/* RFC 5321 4.2.5 and 6.1: this 250 makes the message ours. commit() has made it durable; nothing
 * below may lose it. */
static void commit(struct smtp_session *s)
{
	struct str id;

	if (s->policy->commit(s->policy->arg, &id, &s->txn->in.no) < 0) {
		refuse_all(s);
		return;
	}
	log_accept(s, id);
	smtp_progress(s);
	say_outcomes(s, id);
}

void smtp_reception_end(struct smtp_session *s)
{
	if (s->txn->in.refused)
		refuse_all(s);
	else
		commit(s);
	smtp_txn_end(s); /* T004: whatever came of it, the next message starts with MAIL */
}

int smtp_do_data(struct smtp_session *s, struct str arg, struct err *err)
{
	const char *text;
	unsigned code = smtp_body_too_soon(s, &text);
	int got;

	if (code)
		return smtp_say(s, code, "5.5.1", str_c(text));
	if (s->txn->binary) /* RFC 3030 3 */
		return smtp_say(s, 503, "5.5.1", STR("BINARYMIME needs BDAT"));
	if (s->txn->in.begun) { /* RFC 3030 2: what was begun with BDAT is lost, only RSET helps */
		smtp_reception_refuse(&s->txn->in, 503, "5.5.1", "DATA and BDAT in one message");
		return smtp_say(s, 503, "5.5.1", STR("BDAT was begun: RSET first"));
	}
	s->txn->in.began = clock_mono();
	if (smtp_reception_begin(s) < 0) {
		smtp_refuse(s, "data", STR(""), &s->txn->in.no);
		smtp_txn_end(s);
		return 0;
	}
	smtp_say(s, 354, "", STR("end with a line holding only a dot"));
	got = receive(s, err);
	if (got == 0 && !s->done)
		smtp_reception_end(s);
	return got;
}
