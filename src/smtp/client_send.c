/* One message: MAIL, RCPT, DATA or BDAT, in one go where the server allows it (RFC 2920). */
#include "smtp/client_private.h"

#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BATCH = 100 }; /* recipients that are sent before replies are read */

/* ---- refusals of our own ---- */

static void settle(struct smtp_client_mail *m, const struct smtp_answer *a)
{
	for (size_t i = 0; i < m->rcpt_count; i++)
		m->rcpts[i].answer = *a;
}

static void refuse_all(
	struct smtp_client_mail *m, unsigned code, const char *status, const char *text)
{
	struct smtp_answer a = { .phase = SMTP_MAIL, .code = code, .ours = true };

	snprintf(a.status, sizeof a.status, "%s", status);
	snprintf(a.text, sizeof a.text, "%s", text);
	settle(m, &a);
}

/* No line break, no control character: nothing that would end a command. */
static bool safe(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_ctl(s.p[i]))
			return false;
	return true;
}

static bool all_safe(const struct smtp_client_mail *m)
{
	bool ok = safe(m->from) && safe(m->envid);

	for (size_t i = 0; ok && i < m->rcpt_count; i++)
		ok = safe(m->rcpts[i].address) && safe(m->rcpts[i].orcpt);
	return ok;
}

/* RFC 2852 4: a message that is to be returned at a time goes only to servers that will. */
static bool too_late(const struct smtp_offer *o, const struct smtp_client_mail *m)
{
	return (m->by_mode & 1) &&
		(!(o->has & SMTP_DELIVERBY) || m->by_seconds < 1 ||
			(uint64_t)m->by_seconds < o->by_min);
}

/* What this server cannot take is not sent to it. True when the message is refused so. */
static bool refused_beforehand(const struct smtp_client *s, struct smtp_client_mail *m)
{
	const struct smtp_offer *o = &s->offer;

	if (!all_safe(m)) /* T002 */
		refuse_all(m, 501, "5.1.3", "an address holds control characters");
	else if (m->require_tls && !s->encrypted) /* RFC 8689 4.2.1 */
		refuse_all(m, 550, "5.7.10", "there is no TLS with the server");
	else if (m->require_tls && !(o->has & SMTP_REQUIRETLS)) /* RFC 8689 4.2.1 */
		refuse_all(m, 550, "5.7.30", "the server does not support REQUIRETLS");
	else if (m->utf8 && !(o->has & SMTP_SMTPUTF8)) /* RFC 6531 3.5 */
		refuse_all(m, 550, "5.6.7", "the server does not take addresses beyond ASCII");
	else if (m->body == SMTP_BODY_8BIT && !(o->has & SMTP_8BITMIME)) /* RFC 6152 3 */
		refuse_all(m, 554, "5.6.3", "the server does not take eight-bit text");
	else if (m->body == SMTP_BODY_BINARY && !(o->has & SMTP_BINARYMIME)) /* RFC 3030 3 */
		refuse_all(m, 554, "5.6.3", "the server does not take binary content");
	else if (o->size && m->size > o->size) /* RFC 1870 6 */
		refuse_all(m, 552, "5.3.4", "the message is larger than the server takes");
	else if (too_late(o, m))
		refuse_all(m, 554, "5.4.7", "the server cannot deliver within the time asked for");
	else
		return false;
	return true;
}

/* ---- commands ---- */

/* RFC 2852 4: what is left of the time. */
static void write_by(struct smtp_client *s, const struct smtp_client_mail *m)
{
	if (m->by_mode && (s->offer.has & SMTP_DELIVERBY))
		conn_writef(s->c, " BY=%lld;%s%s", (long long)m->by_seconds,
			m->by_mode & 1 ? "R" : "N", m->by_mode & 4 ? "T" : "");
}

static void write_mail(struct smtp_client *s, const struct smtp_client_mail *m)
{
	static const char *const bodies[] = { "", " BODY=8BITMIME", " BODY=BINARYMIME" };

	conn_writef(s->c, "MAIL FROM:<" STR_F ">", STR_A(m->from));
	if (s->offer.has_size)
		conn_writef(s->c, " SIZE=%llu", (unsigned long long)m->size);
	conn_write(s->c, str_c(bodies[m->body]));
	if (m->utf8)
		conn_write(s->c, STR(" SMTPUTF8"));
	if ((s->offer.has & SMTP_DSN) && m->ret)
		conn_writef(s->c, " RET=%s", m->ret == 1 ? "FULL" : "HDRS");
	if ((s->offer.has & SMTP_DSN) && m->envid.n)
		conn_writef(s->c, " ENVID=" STR_F, STR_A(m->envid));
	if (m->require_tls)
		conn_write(s->c, STR(" REQUIRETLS"));
	if ((s->offer.has & SMTP_PRIORITY) && m->priority) /* RFC 6710 4.2 */
		conn_writef(s->c, " MT-PRIORITY=%d", m->priority);
	write_by(s, m);
	conn_write(s->c, STR("\r\n"));
}

static void write_notify(struct smtp_client *s, uint8_t notify)
{
	static const char *const words[] = { "NEVER", "SUCCESS", "FAILURE", "DELAY" };
	const char *separator = " NOTIFY=";

	for (unsigned i = 0; i < 4; i++) {
		if (!(notify & 1u << i))
			continue;
		conn_writef(s->c, "%s%s", separator, words[i]);
		separator = ",";
	}
}

/* RFC 7293 3.1 */
static void write_rrvs(struct smtp_client *s, const struct smtp_client_rcpt *rcpt)
{
	time_t t = (time_t)rcpt->rrvs;
	struct tm tm;

	if (gmtime_r(&t, &tm))
		conn_writef(s->c, " RRVS=%04d-%02d-%02dT%02d:%02d:%02dZ;%c", tm.tm_year + 1900,
			tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
			rcpt->rrvs_reject ? 'R' : 'C');
}

static void write_rcpt(struct smtp_client *s, const struct smtp_client_rcpt *rcpt)
{
	conn_writef(s->c, "RCPT TO:<" STR_F ">", STR_A(rcpt->address));
	if (s->offer.has & SMTP_DSN) {
		write_notify(s, rcpt->notify);
		if (rcpt->orcpt.n)
			conn_writef(s->c, " ORCPT=" STR_F, STR_A(rcpt->orcpt));
	}
	if (rcpt->rrvs && (s->offer.has & SMTP_RRVS))
		write_rrvs(s, rcpt);
	conn_write(s->c, STR("\r\n"));
}

bool smtp_answer_positive(const struct smtp_answer *a)
{
	return a->code >= 200 && a->code < 300;
}

/* RFC 5321 3.8: after 421 no other reply comes. */
static int gave_up(const struct smtp_answer *a, struct err *err)
{
	return err_set(err, ERR_CLOSED, "the server gave up: %u %s", a->code, a->text);
}

static int read_rset(struct smtp_client *s, struct err *err)
{
	struct smtp_answer a;

	s->dirty = false;
	return smtp_client_reply(s, SMTP_MAIL, s->times.command, NULL, &a, err);
}

static int read_rcpts(struct smtp_delivery *d, size_t from, size_t to, struct err *err)
{
	for (size_t i = from; i < to; i++) {
		struct smtp_answer *a = &d->m->rcpts[i].answer;

		if (smtp_client_reply(d->s, SMTP_RCPT, d->s->times.command, NULL, a, err) < 0)
			return -1;
		if (d->s->dead)
			return gave_up(a, err);
		d->accepted += smtp_answer_positive(a);
	}
	return 0;
}

static int read_mail(struct smtp_delivery *d, struct err *err)
{
	struct smtp_answer *a = &d->mail;

	if (smtp_client_reply(d->s, SMTP_MAIL, d->s->times.command, NULL, a, err) < 0)
		return -1;
	if (!smtp_answer_positive(a))
		settle(d->m, a);
	return d->s->dead ? gave_up(a, err) : 0;
}

/* Up to the reply to DATA, one command at a time. */
static int envelope_by_steps(struct smtp_delivery *d, struct smtp_answer *data, struct err *err)
{
	struct smtp_client *s = d->s;

	if (s->dirty) {
		conn_write(s->c, STR("RSET\r\n"));
		if (read_rset(s, err) < 0)
			return -1;
	}
	write_mail(s, d->m);
	s->dirty = true;
	if (read_mail(d, err) < 0)
		return -1;
	if (!smtp_answer_positive(&d->mail))
		return 0;
	for (size_t i = 0; i < d->m->rcpt_count; i++) {
		write_rcpt(s, &d->m->rcpts[i]);
		if (read_rcpts(d, i, i + 1, err) < 0)
			return -1;
	}
	if (d->accepted == 0 || d->chunks)
		return 0;
	conn_write(s->c, STR("DATA\r\n"));
	return smtp_client_reply(s, SMTP_DATA, s->times.data, NULL, data, err);
}

/* The same in one write; RFC 2920 3.1: DATA is the last of a group. */
static int envelope_at_once(struct smtp_delivery *d, struct smtp_answer *data, struct err *err)
{
	struct smtp_client *s = d->s;
	size_t count = d->m->rcpt_count;
	bool reset = s->dirty, first = true;

	if (reset)
		conn_write(s->c, STR("RSET\r\n"));
	write_mail(s, d->m);
	s->dirty = true;
	for (size_t from = 0; from < count; from += BATCH) {
		size_t to = from + BATCH < count ? from + BATCH : count;

		for (size_t i = from; i < to; i++)
			write_rcpt(s, &d->m->rcpts[i]);
		if (to == count && !d->chunks)
			conn_write(s->c, STR("DATA\r\n"));
		if (first && reset && read_rset(s, err) < 0)
			return -1;
		s->dirty = true;
		if (first && read_mail(d, err) < 0)
			return -1;
		if (read_rcpts(d, from, to, err) < 0)
			return -1;
		first = false;
	}
	return d->chunks ? 0 : smtp_client_reply(s, SMTP_DATA, s->times.data, NULL, data, err);
}

/* RFC 2920 3.1: a 354 although nobody wants the message is answered with an empty one. */
static int send_nothing(struct smtp_delivery *d, struct err *err)
{
	struct smtp_answer a;

	conn_write(d->s->c, STR(".\r\n"));
	if (d->s->lmtp) { /* which has no reply to that */
		d->s->dead = true;
		return 0;
	}
	return smtp_client_reply(d->s, SMTP_BODY, d->s->times.end, NULL, &a, err);
}

/* All recipients that are still good get the answer to DATA. */
static void settle_accepted(struct smtp_delivery *d, const struct smtp_answer *a)
{
	for (size_t i = 0; i < d->m->rcpt_count; i++)
		if (smtp_answer_positive(&d->m->rcpts[i].answer))
			d->m->rcpts[i].answer = *a;
}

/* The envelope has been answered: the text, or why not. */
static int send_rest(struct smtp_delivery *d, const struct smtp_answer *data, struct err *err)
{
	bool go = data->code == 354;

	if (!smtp_answer_positive(&d->mail)) /* whatever was said of the recipients then */
		settle(d->m, &d->mail);
	if (!smtp_answer_positive(&d->mail) || d->accepted == 0)
		return go ? send_nothing(d, err) : 0;
	if (go || d->chunks)
		return smtp_client_send_text(d, err);
	settle_accepted(d, data);
	return 0;
}

/* RFC 9422 4.2: recipients beyond the server's own limit are for another time. */
static size_t cut_rcpts(const struct smtp_offer *o, struct smtp_client_mail *m)
{
	size_t all = m->rcpt_count;

	if (!o->rcpt_max || all <= o->rcpt_max)
		return all;
	refuse_all(m, 452, "4.5.3", "the server takes fewer recipients at once");
	m->rcpt_count = (size_t)o->rcpt_max;
	return all;
}

int smtp_client_send(struct smtp_client *s, struct smtp_client_mail *m, struct err *err)
{
	struct smtp_delivery d = { .s = s, .m = m, .chunks = m->body == SMTP_BODY_BINARY };
	struct smtp_answer data = { .phase = SMTP_DATA };
	size_t all;
	int r;

	settle(m, &(struct smtp_answer){ .phase = SMTP_MAIL });
	if (!smtp_client_usable(s))
		return err_set(err, ERR_CLOSED, "the session is over");
	if (refused_beforehand(s, m))
		return 0;
	all = cut_rcpts(&s->offer, m);
	s->messages++;
	r = s->offer.has & SMTP_PIPELINING ? envelope_at_once(&d, &data, err)
					   : envelope_by_steps(&d, &data, err);
	if (r == 0)
		r = send_rest(&d, &data, err);
	else
		settle_accepted(&d, &data);
	m->rcpt_count = all;
	return r;
}
