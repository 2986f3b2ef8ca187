/* Opening a session: greeting, EHLO, STARTTLS, AUTH; and its end. */
#include "smtp/client_private.h"

#include "base/clock.h"
#include "sasl/sasl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	INITIAL_MAX = 400
}; /* an initial response that keeps AUTH within a command line (RFC 4954 4) */
#define QUIT_TIME (5 * CLOCK_SEC)

/* ---- what a server offers ---- */

static void offer_limits(struct smtp_offer *o, struct str words)
{
	while (words.n) { /* RFC 9422; RCPTDOMAINMAX: a message goes to one domain at a time */
		struct str word = str_word(&words, ' ');

		if (str_take(&word, STR("MAILMAX=")))
			str_u64(word, 1000000, &o->mail_max);
		else if (str_take(&word, STR("RCPTMAX=")))
			str_u64(word, 1000000, &o->rcpt_max);
	}
}

static void offer_size(struct smtp_offer *o, struct str arg)
{
	o->has_size = true;
	str_u64(arg, UINT64_MAX, &o->size); /* RFC 1870 3: without a number no limit is told */
}

/* The extensions without arguments that matter. */
static unsigned offer_named(struct str word)
{
	static const struct {
		struct str word;
		enum smtp_offers what;
	} known[] = {
		{ STR_INIT("PIPELINING"), SMTP_PIPELINING },
		{ STR_INIT("8BITMIME"), SMTP_8BITMIME },
		{ STR_INIT("BINARYMIME"), SMTP_BINARYMIME },
		{ STR_INIT("SMTPUTF8"), SMTP_SMTPUTF8 },
		{ STR_INIT("DSN"), SMTP_DSN },
		{ STR_INIT("DELIVERBY"), SMTP_DELIVERBY },
		{ STR_INIT("MT-PRIORITY"), SMTP_PRIORITY },
		{ STR_INIT("REQUIRETLS"), SMTP_REQUIRETLS },
		{ STR_INIT("RRVS"), SMTP_RRVS },
	};

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (str_eqi(word, known[i].word))
			return known[i].what;
	return 0;
}

static void offer_line(struct smtp_client *s, size_t index, struct str text)
{
	struct smtp_offer *o = &s->offer;
	struct str arg = str_trim(text), word = str_word(&arg, ' ');

	if (index == 0) /* the server's name */
		return;
	o->has |= offer_named(word);
	if (str_eqi(word, STR("STARTTLS")))
		o->starttls = true;
	else if (str_eqi(word, STR("CHUNKING")))
		o->chunking = true;
	else if (str_eqi(word, STR("SIZE")))
		offer_size(o, arg);
	else if (str_eqi(word, STR("LIMITS")))
		offer_limits(o, arg);
	else if (str_eqi(word, STR("DELIVERBY")))
		str_u64(arg, 999999999, &o->by_min);
	else if (str_eqi(word, STR("AUTH")))
		str_z(str_head(arg, MECHS_MAX - 1), o->mechs, sizeof o->mechs);
}

/* What rests on something that is not there is not there. */
static void check_offers(struct smtp_offer *o)
{
	if (!o->chunking)
		o->has &= ~(unsigned)SMTP_BINARYMIME;
	if (!(o->has & SMTP_8BITMIME))
		o->has &= ~(unsigned)SMTP_SMTPUTF8;
}

/* ---- the steps ---- */

static int refused(const struct smtp_answer *a, const char *what, struct err *err)
{
	return err_set(
		err, a->code < 500 ? ERR_TEMP : ERR_PERM, "%s: %u %s", what, a->code, a->text);
}

static int hello(struct smtp_client *s, bool may_fall_back, struct smtp_answer *a, struct err *err)
{
	s->offer = (struct smtp_offer){ 0 };
	conn_writef(s->c, "%s " STR_F "\r\n", s->lmtp ? "LHLO" : "EHLO", STR_A(buf_str(&s->helo)));
	if (smtp_client_reply(s, SMTP_HELLO, s->times.command, offer_line, a, err) < 0)
		return -1;
	s->offer.extended = a->code == 250;
	check_offers(&s->offer);
	if (a->code >= 500 && may_fall_back && !s->lmtp && !s->dead) { /* RFC 5321 3.2 */
		s->offer = (struct smtp_offer){ 0 };
		conn_writef(s->c, "HELO " STR_F "\r\n", STR_A(buf_str(&s->helo)));
		if (smtp_client_reply(s, SMTP_HELLO, s->times.command, NULL, a, err) < 0)
			return -1;
	}
	return a->code == 250 ? 0 : refused(a, "EHLO", err);
}

static int handshake(struct smtp_client *s, const struct smtp_client_options *o,
	struct smtp_answer *a, struct err *err)
{
	/* T020, RFC 3207 4.2: what came behind the 220 in the clear was never said. */
	conn_take(s->c, conn_buffered(s->c));
	s->offer = (struct smtp_offer){ 0 };
	*a = (struct smtp_answer){ .phase = SMTP_TLS };
	conn_deadline(s->c, clock_after(s->times.command));
	if (o->start_tls(o->arg, s->c, err) < 0) {
		s->dead = true;
		return -1;
	}
	s->encrypted = true;
	return 0;
}

static int starttls(struct smtp_client *s, const struct smtp_client_options *o,
	struct smtp_answer *a, struct err *err)
{
	if (!s->offer.starttls) {
		if (o->encryption == SMTP_MAY)
			return 0;
		*a = (struct smtp_answer){ .phase = SMTP_TLS };
		return err_set(err, ERR_TEMP, "the server offers no STARTTLS");
	}
	conn_write(s->c, STR("STARTTLS\r\n"));
	if (smtp_client_reply(s, SMTP_TLS, s->times.command, NULL, a, err) < 0)
		return -1;
	if (a->code != 220)
		return o->encryption == SMTP_MAY && !s->dead ? 0 : refused(a, "STARTTLS", err);
	if (handshake(s, o, a, err) < 0)
		return -1;
	return hello(
		s, false, a, err); /* RFC 3207 4.2: what was offered before means nothing now */
}

/* One round of AUTH: write what the mechanism says, read the reply. */
static int auth_round(struct smtp_client *s, const struct sasl_mech *mech, struct sasl_client *sasl,
	struct str challenge, bool first, struct smtp_answer *a, struct err *err)
{
	struct buf line = BUF(SASL_LINE_MAX);
	int r = -1;

	if ((!first || mech->prompt.n == 0) &&
		sasl_client_step(sasl, mech, challenge, &line) == SASL_MALFORMED) {
		err_set(err, ERR_TEMP, "the server breaks the rules of " STR_F, STR_A(mech->name));
		goto out;
	}
	if (first && line.n > INITIAL_MAX) { /* then it goes after the challenge */
		buf_clear(&line);
		sasl->step = 0;
	}
	if (first)
		conn_writef(s->c, "AUTH " STR_F "%s", STR_A(mech->name), line.n ? " " : "");
	conn_write(s->c, buf_str(&line));
	conn_write(s->c, STR("\r\n"));
	r = smtp_client_reply(s, SMTP_LOGIN, s->times.command, NULL, a, err);
out:
	secret_wipe_buf(&line);
	return r;
}

static int login(struct smtp_client *s, const struct smtp_client_options *o, struct smtp_answer *a,
	struct err *err)
{
	const struct sasl_mech *mech = sasl_client_pick(str_c(s->offer.mechs));
	struct sasl_client sasl = { .name = o->user, .password = o->password };

	*a = (struct smtp_answer){ .phase = SMTP_LOGIN };
	if (!s->encrypted && !o->clear_login) /* T021 */
		return err_set(err, ERR_TEMP, "no password is sent without TLS");
	if (!mech)
		return err_set(err, ERR_TEMP, "the server offers no way to log in that we know");
	if (auth_round(s, mech, &sasl, STR(""), true, a, err) < 0)
		return -1;
	while (a->code == 334) {
		char challenge[SMTP_ANSWER_TEXT + 1];

		snprintf(challenge, sizeof challenge, "%s", a->text);
		if (auth_round(s, mech, &sasl, str_c(challenge), false, a, err) < 0)
			return -1;
	}
	if (a->code != 235)
		return refused(a, "login", err);
	/* RFC 5802 5: whoever cannot sign does not know the password, so this is not our server. */
	return sasl.satisfied ? 0
			      : err_set(err, ERR_TEMP, "the server skips its part of the login");
}

static int open_session(struct smtp_client *s, const struct smtp_client_options *o,
	struct smtp_answer *a, struct err *err)
{
	bool strict = o->password || o->encryption == SMTP_STARTTLS;

	if (o->encryption == SMTP_WRAPPED && handshake(s, o, a, err) < 0)
		return -1;
	if (smtp_client_reply(s, SMTP_GREETING, s->times.greeting, NULL, a, err) < 0)
		return -1;
	if (a->code != 220)
		return refused(a, "greeting", err);
	if (hello(s, !strict, a, err) < 0)
		return -1;
	if ((o->encryption == SMTP_MAY || o->encryption == SMTP_STARTTLS) &&
		starttls(s, o, a, err) < 0)
		return -1;
	return o->password ? login(s, o, a, err) : 0;
}

int smtp_client_open(struct smtp_client **client, struct conn *c,
	const struct smtp_client_options *o, struct smtp_answer *a, struct err *err)
{
	struct smtp_client *s = calloc(1, sizeof *s);

	*client = NULL;
	*a = (struct smtp_answer){ .phase = SMTP_CONNECT };
	if (!s) {
		conn_free(&c);
		return err_set(err, ERR_TEMP, "out of memory");
	}
	s->c = c;
	s->times = o->times;
	s->lmtp = o->lmtp;
	s->helo = BUF(255);
	buf_add(&s->helo, o->helo);
	if (open_session(s, o, a, err) < 0) {
		smtp_client_close(&s);
		return -1;
	}
	*client = s;
	return 0;
}

bool smtp_client_usable(const struct smtp_client *s)
{
	return !s->dead && (!s->offer.mail_max || s->messages < s->offer.mail_max);
}

struct conn *smtp_client_conn(struct smtp_client *s)
{
	return s->c;
}

bool smtp_client_offers(const struct smtp_client *s, enum smtp_offers what)
{
	return s->offer.has & what;
}

size_t smtp_client_rcpt_max(const struct smtp_client *s)
{
	return s->offer.rcpt_max ? (size_t)s->offer.rcpt_max : SIZE_MAX;
}

bool smtp_client_is_encrypted(const struct smtp_client *s)
{
	return s->encrypted;
}

void smtp_client_close(struct smtp_client **client)
{
	struct smtp_client *s = *client;
	struct smtp_answer a;
	struct err err;

	if (!s)
		return;
	if (!s->dead) { /* RFC 5321 4.1.1.10 */
		conn_write(s->c, STR("QUIT\r\n"));
		smtp_client_reply(s, SMTP_CONNECT, QUIT_TIME, NULL, &a, &err);
	}
	conn_free(&s->c);
	buf_free(&s->helo);
	free(s);
	*client = NULL;
}
