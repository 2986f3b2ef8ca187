/* One message: MAIL, RCPT, DATA, in one go where the server allows it (RFC 2920). */
#include "smtp/client_private.h"

#include "base/clock.h"
#include "smtp/dot.h"

#include <stdio.h>
#include <string.h>

enum { BATCH = 100 }; /* recipients that are sent before replies are read */

/* A sending under way. */
struct delivery {
	struct smtp_client *s;
	struct smtp_client_mail *m;
	struct smtp_answer mail; /* the reply to MAIL */
	size_t accepted;
};

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

/* What this server cannot take is not sent to it. True when the message is refused so. */
static bool refused_beforehand(const struct smtp_offer *o, struct smtp_client_mail *m)
{
	if (!all_safe(m)) /* T002 */
		refuse_all(m, 501, "5.1.3", "an address holds control characters");
	else if (m->utf8 && !o->utf8) /* RFC 6531 3.5 */
		refuse_all(m, 550, "5.6.7", "the server does not take addresses beyond ASCII");
	else if (m->eight_bit && !o->eight_bit) /* RFC 6152 3 */
		refuse_all(m, 554, "5.6.3", "the server does not take eight-bit text");
	else if (o->size && m->size > o->size) /* RFC 1870 6 */
		refuse_all(m, 552, "5.3.4", "the message is larger than the server takes");
	else
		return false;
	return true;
}

/* ---- commands ---- */

static void write_mail(struct smtp_client *s, const struct smtp_client_mail *m)
{
	conn_writef(s->c, "MAIL FROM:<" STR_F ">", STR_A(m->from));
	if (s->offer.has_size)
		conn_writef(s->c, " SIZE=%llu", (unsigned long long)m->size);
	if (m->eight_bit)
		conn_write(s->c, STR(" BODY=8BITMIME"));
	if (m->utf8)
		conn_write(s->c, STR(" SMTPUTF8"));
	if (s->offer.dsn && m->ret)
		conn_writef(s->c, " RET=%s", m->ret == 1 ? "FULL" : "HDRS");
	if (s->offer.dsn && m->envid.n)
		conn_writef(s->c, " ENVID=" STR_F, STR_A(m->envid));
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

static void write_rcpt(struct smtp_client *s, const struct smtp_client_rcpt *rcpt)
{
	conn_writef(s->c, "RCPT TO:<" STR_F ">", STR_A(rcpt->address));
	if (s->offer.dsn) {
		write_notify(s, rcpt->notify);
		if (rcpt->orcpt.n)
			conn_writef(s->c, " ORCPT=" STR_F, STR_A(rcpt->orcpt));
	}
	conn_write(s->c, STR("\r\n"));
}

static bool positive(const struct smtp_answer *a)
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

static int read_rcpts(struct delivery *d, size_t from, size_t to, struct err *err)
{
	for (size_t i = from; i < to; i++) {
		struct smtp_answer *a = &d->m->rcpts[i].answer;

		if (smtp_client_reply(d->s, SMTP_RCPT, d->s->times.command, NULL, a, err) < 0)
			return -1;
		if (d->s->dead)
			return gave_up(a, err);
		d->accepted += positive(a);
	}
	return 0;
}

static int read_mail(struct delivery *d, struct err *err)
{
	struct smtp_answer *a = &d->mail;

	if (smtp_client_reply(d->s, SMTP_MAIL, d->s->times.command, NULL, a, err) < 0)
		return -1;
	if (!positive(a))
		settle(d->m, a);
	return d->s->dead ? gave_up(a, err) : 0;
}

/* Up to the reply to DATA, one command at a time. */
static int envelope_by_steps(struct delivery *d, struct smtp_answer *data, struct err *err)
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
	if (!positive(&d->mail))
		return 0;
	for (size_t i = 0; i < d->m->rcpt_count; i++) {
		write_rcpt(s, &d->m->rcpts[i]);
		if (read_rcpts(d, i, i + 1, err) < 0)
			return -1;
	}
	if (d->accepted == 0)
		return 0;
	conn_write(s->c, STR("DATA\r\n"));
	return smtp_client_reply(s, SMTP_DATA, s->times.data, NULL, data, err);
}

/* The same in one write; RFC 2920 3.1: DATA is the last of a group. */
static int envelope_at_once(struct delivery *d, struct smtp_answer *data, struct err *err)
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
		if (to == count)
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
	return smtp_client_reply(s, SMTP_DATA, s->times.data, NULL, data, err);
}

/* ---- the text ---- */

static int write_body(struct delivery *d, struct smtp_answer *a, struct err *err)
{
	struct smtp_client *s = d->s;
	struct dot_writer dot = { 0 };
	struct buf wire = BUF((size_t)1 << 20);
	struct str piece;
	int r = -1;

	for (;;) {
		if (d->m->read(d->m->arg, &piece, err) < 0)
			goto out;
		if (piece.n == 0)
			break;
		buf_clear(&wire);
		dot_write(&dot, piece, &wire);
		if (!buf_ok(&wire)) {
			err_set(err, ERR_TEMP, "out of memory for a piece of the message");
			goto out;
		}
		conn_deadline(s->c, clock_after(s->times.block));
		conn_write(s->c, buf_str(&wire));
	}
	a->phase = SMTP_BODY; /* from here on the server may have it */
	buf_clear(&wire);
	dot_finish(&dot, &wire);
	conn_write(s->c, buf_str(&wire));
	r = conn_flush(s->c, err);
out:
	/* A message without its end is no message: breaking off here takes nothing back. */
	s->dead |= r < 0;
	buf_free(&wire);
	return r;
}

/* All recipients that are still good get the answer to the message. */
static void settle_accepted(struct delivery *d, const struct smtp_answer *a)
{
	for (size_t i = 0; i < d->m->rcpt_count; i++)
		if (positive(&d->m->rcpts[i].answer))
			d->m->rcpts[i].answer = *a;
}

static int send_text(struct delivery *d, struct err *err)
{
	struct smtp_answer a = { .phase = SMTP_DATA };
	int r = write_body(d, &a, err);

	if (r == 0)
		r = smtp_client_reply(d->s, SMTP_BODY, d->s->times.end, NULL, &a, err);
	if (r == 0 && positive(&a))
		d->s->dirty = false;
	settle_accepted(d, &a);
	return r;
}

/* RFC 2920 3.1: a 354 although nobody wants the message is answered with an empty one. */
static int send_nothing(struct delivery *d, struct err *err)
{
	struct smtp_answer a;

	conn_write(d->s->c, STR(".\r\n"));
	return smtp_client_reply(d->s, SMTP_BODY, d->s->times.end, NULL, &a, err);
}

/* The envelope has been answered: the text, or why not. */
static int send_rest(struct delivery *d, const struct smtp_answer *data, struct err *err)
{
	bool go = data->code == 354;

	if (!positive(&d->mail)) /* whatever was said of the recipients then */
		settle(d->m, &d->mail);
	if (!positive(&d->mail) || d->accepted == 0)
		return go ? send_nothing(d, err) : 0;
	if (go)
		return send_text(d, err);
	settle_accepted(d, data);
	return 0;
}

/* RFC 9422: recipients beyond the server's own limit are for another time. */
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
	struct delivery d = { .s = s, .m = m };
	struct smtp_answer data = { .phase = SMTP_DATA };
	size_t all;
	int r;

	settle(m, &(struct smtp_answer){ .phase = SMTP_MAIL });
	if (!smtp_client_usable(s))
		return err_set(err, ERR_CLOSED, "the session is over");
	if (refused_beforehand(&s->offer, m))
		return 0;
	all = cut_rcpts(&s->offer, m);
	s->messages++;
	r = s->offer.pipelining ? envelope_at_once(&d, &data, err)
				: envelope_by_steps(&d, &data, err);
	if (r == 0)
		r = send_rest(&d, &data, err);
	else
		settle_accepted(&d, &data);
	m->rcpt_count = all;
	return r;
}
