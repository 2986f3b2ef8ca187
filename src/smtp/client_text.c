/* The text of a message: after DATA with dots (RFC 5321 4.5.2), or in chunks (RFC 3030 2). */
#include "smtp/client_private.h"

#include "base/clock.h"
#include "smtp/dot.h"

/* Chunks whose replies have not been read: so few that neither side waits for the other to read. */
enum { CHUNKS_AHEAD = 16 };

static int write_body(struct smtp_delivery *d, struct smtp_answer *a, struct err *err)
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

/* ---- chunks ---- */

/* Replies to chunks until `left` are outstanding. The first refusal stays in *a. */
static int read_chunks(struct smtp_delivery *d, unsigned *outstanding, unsigned left,
	struct smtp_answer *a, struct err *err)
{
	while (*outstanding > left) {
		struct smtp_answer one;

		if (smtp_client_reply(d->s, a->phase, d->s->times.block, NULL, &one, err) < 0)
			return -1;
		(*outstanding)--;
		if (!smtp_answer_positive(&one) && !a->code)
			*a = one;
		if (d->s->dead) /* 421 */
			return err_set(
				err, ERR_CLOSED, "the server gave up: %u %s", one.code, one.text);
	}
	return 0;
}

/* RFC 3030 2: a refused chunk ends it, and the rest is not sent. *a has a code then. */
static int write_chunks(struct smtp_delivery *d, struct smtp_answer *a, struct err *err)
{
	struct smtp_client *s = d->s;
	unsigned outstanding = 0;
	struct str piece;

	while (!a->code) {
		if (d->m->read(d->m->arg, &piece, err) < 0) {
			s->dead = true;
			return -1;
		}
		if (piece.n == 0)
			break;
		conn_deadline(s->c, clock_after(s->times.block));
		conn_writef(s->c, "BDAT %zu\r\n", piece.n);
		conn_write(s->c, piece);
		outstanding++;
		if (read_chunks(d, &outstanding, CHUNKS_AHEAD, a, err) < 0)
			return -1;
	}
	if (!a->code) {
		a->phase = SMTP_BODY; /* from here on the server may have it */
		conn_write(s->c, STR("BDAT 0 LAST\r\n"));
	}
	if (read_chunks(d, &outstanding, 0, a, err) < 0)
		return -1;
	/* The reply to the last chunk follows when it was sent, and says the same. */
	if (a->code && a->phase == SMTP_BODY && s->lmtp)
		s->dead = true; /* as many as it likes */
	else if (a->code && a->phase == SMTP_BODY)
		return smtp_client_reply(
			s, SMTP_BODY, s->times.end, NULL, &(struct smtp_answer){ 0 }, err);
	return 0;
}

/* ---- the end ---- */

/* RFC 2033 4.2: after the text, LMTP answers for each recipient that was accepted. */
static int read_ends(struct smtp_delivery *d, struct smtp_answer *a, struct err *err)
{
	bool any = false;

	for (size_t i = 0; i < d->m->rcpt_count; i++) {
		struct smtp_answer *to = &d->m->rcpts[i].answer;

		if (!smtp_answer_positive(to) || to->phase != SMTP_RCPT)
			continue;
		if ((d->s->lmtp || !any) &&
			smtp_client_reply(d->s, SMTP_BODY, d->s->times.end, NULL, a, err) < 0)
			return -1;
		any = true;
		*to = *a;
	}
	return 0;
}

/* Those whose answer has not come get the reason why. */
static void settle_rest(struct smtp_delivery *d, const struct smtp_answer *a)
{
	for (size_t i = 0; i < d->m->rcpt_count; i++) {
		struct smtp_answer *to = &d->m->rcpts[i].answer;

		if (smtp_answer_positive(to) && to->phase == SMTP_RCPT)
			*to = *a;
	}
}

int smtp_client_send_text(struct smtp_delivery *d, struct err *err)
{
	struct smtp_answer a = { .phase = SMTP_DATA };
	int r = d->chunks ? write_chunks(d, &a, err) : write_body(d, &a, err);

	if (r == 0 && !a.code)
		r = read_ends(d, &a, err);
	if (r == 0 && smtp_answer_positive(&a))
		d->s->dirty = false;
	settle_rest(d, &a);
	return r;
}
