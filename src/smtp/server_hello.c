/* HELO and EHLO, and what is offered: RFC 5321 4.1.1.1. What is offered works, to this client, now.
 */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "mail/date.h"

#include <string.h>

unsigned smtp_offers(const struct smtp_session *s)
{
	const struct smtp_server *o = s->server;
	unsigned has = 0;

	has |= o->starttls && !s->secure ? SMTP_HAS_STARTTLS : 0;
	has |= smtp_auth_offered(s) ? SMTP_HAS_AUTH : 0;
	has |= o->dsn ? SMTP_HAS_DSN : 0;
	has |= o->chunking ? SMTP_HAS_CHUNKING : 0;
	has |= o->by_min ? SMTP_HAS_BY : 0;
	/* RFC 4865 5.2, RFC 6710 4.1: for those we know. MAIL comes after their login. */
	if (has & SMTP_HAS_AUTH || s->authenticated) {
		has |= o->hold_max ? SMTP_HAS_HOLD : 0;
		has |= o->priority ? SMTP_HAS_PRIORITY : 0;
	}
	has |= o->require_tls && s->secure ? SMTP_HAS_REQUIRETLS : 0; /* RFC 8689 2 */
	has |= o->rrvs ? SMTP_HAS_RRVS : 0;
	has |= o->tells_limits ? SMTP_HAS_LIMITS : 0;
	return has;
}

void smtp_greet(struct smtp_session *s)
{
	conn_writef(s->c, "220 " STR_F " %s\r\n", STR_A(s->server->name),
		s->server->lmtp ? "LMTP" : "ESMTP");
}

const char *smtp_hello_first(const struct smtp_session *s)
{
	return s->server->lmtp ? "LHLO first" : "EHLO first";
}

/* RFC 5321 4.1.1.1 wants a domain or an address literal. Real clients give much else, so all that
 * could not do harm in a Received field or a log line is let pass. */
bool smtp_helo_valid(struct str name)
{
	if (name.n == 0 || name.n > SMTP_HELO_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++)
		if (!is_alnum(name.p[i]) && !memchr("-._:[]+/=#*~", name.p[i], 12))
			return false;
	return true;
}

/* EHLO and HELO at any time start anew (RFC 5321 4.1.4). */
static bool hello(struct smtp_session *s, struct str name, bool extended)
{
	if (!smtp_helo_valid(name)) {
		smtp_say(
			s, 501, "5.5.4", STR("expected your name: a domain or an address literal"));
		return false;
	}
	smtp_txn_end(s);
	buf_clear(&s->helo);
	buf_add(&s->helo, name);
	s->extended = extended;
	return buf_ok(&s->helo);
}

int smtp_do_helo(struct smtp_session *s, struct str arg, struct err *err)
{
	if (hello(s, arg, false))
		smtp_say(s, 250, "", s->server->name);
	return 0;
}

/* RFC 4865 4.1: the longest hold, in seconds and as the moment that is now. */
static void say_hold(const struct smtp_session *s)
{
	struct buf until = BUF(40);

	date_iso_print(&until, clock_wall() + s->server->hold_max);
	conn_writef(s->c, "250-FUTURERELEASE %lld " STR_F "\r\n", (long long)s->server->hold_max,
		STR_A(buf_str(&until)));
	buf_free(&until);
}

static void say_offers(const struct smtp_session *s, unsigned has)
{
	static const struct {
		unsigned bit;
		struct str line;
	} plain[] = { { SMTP_HAS_DSN, STR_INIT("250-DSN\r\n") },
		{ SMTP_HAS_CHUNKING, STR_INIT("250-CHUNKING\r\n250-BINARYMIME\r\n") },
		{ SMTP_HAS_PRIORITY, STR_INIT("250-MT-PRIORITY\r\n") },
		{ SMTP_HAS_REQUIRETLS, STR_INIT("250-REQUIRETLS\r\n") },
		{ SMTP_HAS_RRVS, STR_INIT("250-RRVS\r\n") } };

	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		if (has & plain[i].bit)
			conn_write(s->c, plain[i].line);
	if (has & SMTP_HAS_BY) /* RFC 2852 3 */
		conn_writef(s->c, "250-DELIVERBY %lld\r\n", (long long)s->server->by_min);
	if (has & SMTP_HAS_HOLD)
		say_hold(s);
	if (s->policy->xclient) /* LOGIN is not among them: no account comes from a front */
		conn_write(
			s->c, STR("250-XCLIENT NAME ADDR PORT PROTO HELO DESTADDR DESTPORT\r\n"));
	if (has & SMTP_HAS_LIMITS) /* RFC 9422 4 */
		conn_writef(s->c, "250-LIMITS MAILMAX=%u RCPTMAX=%u\r\n", s->server->limits.mails,
			s->server->limits.rcpts);
}

int smtp_do_ehlo(struct smtp_session *s, struct str arg, struct err *err)
{
	unsigned has;

	if (!hello(s, arg, true))
		return 0;
	has = smtp_offers(s);
	conn_writef(s->c, "250-" STR_F "\r\n250-PIPELINING\r\n250-SIZE %llu\r\n250-8BITMIME\r\n",
		STR_A(s->server->name), (unsigned long long)s->server->limits.message);
	if (has & SMTP_HAS_STARTTLS)
		conn_write(s->c, STR("250-STARTTLS\r\n"));
	smtp_write_auth(s);
	say_offers(s, has);
	conn_write(s->c, STR("250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n"));
	return 0;
}
