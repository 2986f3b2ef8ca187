/* MAIL and RCPT: the envelope. RFC 5321 4.1.1.2 and 4.1.1.3. */
#include "smtp/server_private.h"

#include "base/utf8.h"
#include "mail/trace.h"

#include <stdio.h>
#include <stdlib.h>

/* What policy and log are told of an address. */
static struct str path_of(struct str arg, struct str rest)
{
	return str_head(arg, arg.n - rest.n);
}

static struct str skip_spaces(struct str s)
{
	/* RFC 5321 4.1.1.2 allows no space after the colon; so many devices send one that we do. */
	while (s.n && s.p[0] == ' ')
		s = str_from(s, 1);
	return s;
}

static const char *proto_name(const struct smtp_session *s, bool utf8)
{
	return trace_protocol(s->server->lmtp, s->extended, utf8, s->secure, s->authenticated).p;
}

static int refuse_path(struct smtp_session *s, const char *stage, struct str arg,
	const char *status, const struct err *err)
{
	struct smtp_reply no;

	smtp_reply_set(&no, 501, status, "%s", err->msg);
	return smtp_refuse(s, stage, arg, &no);
}

/* RFC 6531 3.5: addresses beyond ASCII need the parameter. */
static bool needs_utf8(struct str path, bool utf8, struct smtp_reply *no)
{
	if (utf8 || utf8_is_ascii(path))
		return false;
	smtp_reply_set(no, 553, "5.6.7", "an address beyond ASCII needs SMTPUTF8");
	return true;
}

static int accept_mail(struct smtp_session *s, const struct smtp_mail *mail)
{
	char text[32] = "ok";

	s->mails++;
	if (mail->priority_said) /* RFC 6710 4.1: the client is told which one counts */
		snprintf(text, sizeof text, "ok, priority %d", mail->priority);
	return smtp_say(s, 250, "2.1.0", str_c(text));
}

int smtp_do_mail(struct smtp_session *s, struct str arg, struct err *err)
{
	struct smtp_peer peer = { buf_str(&s->helo), NULL, s->authenticated, s->secure };
	struct smtp_mail mail = { 0 };
	struct smtp_reply no;
	struct err why = ERR_INIT;
	struct smtp_txn *txn;
	struct str rest;

	if (s->txn)
		return smtp_say(s, 503, "5.5.1", STR("one message at a time"));
	if (s->server->auth_required && !s->secure) /* RFC 3207 4 */
		return smtp_say(s, 530, "5.7.0", STR("STARTTLS first"));
	if (s->server->auth_required && !s->authenticated) /* RFC 4954 6, RFC 6409 4.3 */
		return smtp_say(s, 530, "5.7.0", STR("log in first"));
	if (!str_take(&arg, STR("FROM:")))
		return smtp_say(s, 501, "5.5.4", STR("expected MAIL FROM:<address>"));
	if (s->mails >= s->server->limits.mails) /* RFC 9422 4.1 */
		return smtp_goodbye(s, 421, "4.7.0", "enough messages for one connection");
	arg = skip_spaces(arg);
	txn = calloc(1, sizeof *txn);
	if (!txn)
		return smtp_say(s, 451, "4.3.0", STR("out of memory, try again later"));
	s->txn = txn;
	budget_charge(s->budget, BUDGET_MEMORY, sizeof *txn);
	budget_charge(s->budget, BUDGET_WORK, 1);
	if (address_path(arg, ADDRESS_UTF8 | ADDRESS_NULL, &txn->store, &txn->from, &rest, &why) <
		0) {
		refuse_path(s, "mail", arg, "5.1.7", &why);
	} else if (smtp_mail_params(s, rest, &mail, &no) < 0 ||
		needs_utf8(path_of(arg, rest), mail.utf8, &no)) {
		smtp_refuse(s, "mail", arg, &no);
	} else {
		mail.from = txn->from;
		txn->utf8 = mail.utf8;
		txn->binary = mail.body == SMTP_BINARYMIME;
		peer.proto = proto_name(s, mail.utf8);
		if (s->policy->mail(s->policy->arg, &peer, &mail, &no) == 0)
			return accept_mail(s, &mail);
		smtp_refuse(s, "mail", path_of(arg, rest), &no);
	}
	smtp_txn_end(s);
	return 0;
}

int smtp_do_rcpt(struct smtp_session *s, struct str arg, struct err *err)
{
	struct smtp_rcpt rcpt = { 0 };
	struct address_store store;
	struct smtp_reply no;
	struct err why = ERR_INIT;
	struct str rest;

	if (!s->txn)
		return smtp_say(s, 503, "5.5.1", STR("MAIL first"));
	if (s->txn->in.begun) /* by BDAT */
		return smtp_say(s, 503, "5.5.1", STR("the message has begun"));
	if (!str_take(&arg, STR("TO:")))
		return smtp_say(s, 501, "5.5.4", STR("expected RCPT TO:<address>"));
	arg = skip_spaces(arg);
	s->txn->tried = true;
	if (address_path(arg, ADDRESS_UTF8 | ADDRESS_POSTMASTER, &store, &rcpt.to, &rest, &why) < 0)
		return refuse_path(s, "rcpt", arg, "5.1.3", &why);
	if (smtp_rcpt_params(s, rest, &rcpt, &no) < 0 ||
		needs_utf8(path_of(arg, rest), s->txn->utf8, &no))
		return smtp_refuse(s, "rcpt", arg, &no);
	if (s->txn->rcpts >= s->server->limits.rcpts) { /* RFC 5321 4.5.3.1.10 */
		smtp_reply_set(&no, 452, "4.5.3", "too many recipients");
		return smtp_refuse(s, "rcpt", path_of(arg, rest), &no);
	}
	budget_charge(s->budget, BUDGET_WORK, 1);
	if (s->policy->rcpt(s->policy->arg, &rcpt, &no) < 0)
		return smtp_refuse(s, "rcpt", path_of(arg, rest), &no);
	s->txn->rcpts++;
	return smtp_say(s, 250, "2.1.5", STR("ok"));
}
