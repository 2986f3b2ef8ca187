/* Any words behind a path: taken or refused, and what is taken keeps to its RFC. The first octet
 * says whether TLS is on and a login has been, the second which extensions are missing; then the
 * words of MAIL, LF, the words of RCPT.
 */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/codec.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* T011: what is meant holds nothing that could end a line. */
static void check_xtext(struct str value)
{
	struct buf text = BUF(SMTP_ORCPT_MAX);

	check(value.n <= SMTP_ORCPT_MAX && xtext_decode(value, &text));
	for (size_t i = 0; i < text.n; i++)
		check(!is_ctl(text.p[i]));
	for (size_t i = 0; i < value.n; i++)
		check(value.p[i] > ' ' && value.p[i] < 127);
	buf_free(&text);
}

static void check_refusal(const struct smtp_reply *no)
{
	check(no->code >= 500 && no->code <= 599);
	check(no->status[0] == '5' && no->text[0] != '\0');
}

static void check_mail(const struct smtp_session *s, const struct smtp_mail *m)
{
	const struct smtp_server *server = s->server;
	unsigned offers = smtp_offers(s);

	check(m->size <= server->limits.message);
	check(m->body != SMTP_BINARYMIME || offers & SMTP_HAS_CHUNKING);
	check(m->ret <= 2 && (!m->ret || offers & SMTP_HAS_DSN));
	check(m->envid.n <= SMTP_ENVID_MAX && (!m->envid.n || offers & SMTP_HAS_DSN));
	check_xtext(m->envid);
	check(m->hold_until >= 0 && (!m->hold_until || offers & SMTP_HAS_HOLD));
	check(m->hold_until <= (clock_wall() + server->hold_max + 2) * CLOCK_SEC);
	check(!m->by_mode || offers & SMTP_HAS_BY);
	check(m->priority >= -9 && m->priority <= 9);
	check((!m->priority_said && !m->priority) || offers & SMTP_HAS_PRIORITY);
	check(!m->require_tls || (offers & SMTP_HAS_REQUIRETLS && s->secure));
}

static void check_rcpt(const struct smtp_session *s, const struct smtp_rcpt *r)
{
	unsigned offers = smtp_offers(s);

	check(r->notify <= 1 || !(r->notify & 1));
	check(r->notify < 16 && (!r->notify || offers & SMTP_HAS_DSN));
	check(r->rrvs >= 0 && (!r->rrvs || offers & SMTP_HAS_RRVS));
	if (r->orcpt.n) {
		size_t semicolon = str_find(r->orcpt, ';');

		check(semicolon > 0 && semicolon < r->orcpt.n && offers & SMTP_HAS_DSN);
		check_xtext(str_from(r->orcpt, semicolon + 1));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_server server = { .name = STR("mx.test"), .limits = SMTP_LIMITS };
	struct smtp_policy policy = { 0 };
	struct smtp_session s = { .server = &server, .policy = &policy };
	struct smtp_mail mail = { 0 };
	struct smtp_rcpt rcpt = { 0 };
	struct smtp_reply no = { 0 };
	struct str mails, rcpts;

	if (n < 2)
		return 0;
	s.extended = !(data[0] & 1);
	s.secure = !(data[0] & 2);
	s.authenticated = !(data[0] & 4);
	server.auth = !(data[0] & 8);
	server.starttls = true;
	server.dsn = !(data[1] & 1);
	server.chunking = !(data[1] & 2);
	server.priority = !(data[1] & 4);
	server.require_tls = !(data[1] & 8);
	server.rrvs = !(data[1] & 16);
	server.by_min = data[1] & 32 ? 0 : 60;
	server.hold_max = data[1] & 64 ? 0 : 3600;
	rcpts = str_make(data + 2, n - 2);
	mails = str_word(&rcpts, '\n');
	if (smtp_mail_params(&s, mails, &mail, &no) == 0)
		check_mail(&s, &mail);
	else
		check_refusal(&no);
	if (smtp_rcpt_params(&s, rcpts, &rcpt, &no) == 0)
		check_rcpt(&s, &rcpt);
	else
		check_refusal(&no);
	return 0;
}
