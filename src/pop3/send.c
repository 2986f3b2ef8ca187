/* send.c - one message to the client, in constant memory (RFC 1939 3, RETR and TOP). */
#include "pop3/pop3_private.h"

#include <inttypes.h>
#include <string.h>

struct sender {
	struct conn *c;
	size_t line;   /* bytes of the current line so far */
	int64_t lines; /* of the body, still wanted; negative: all */
	bool cr;       /* the last byte was a CR */
	bool in_body;
	bool full; /* what was asked for has been sent */
};

/* A line has ended. TOP counts lines after the blank one that ends the header. */
static void end_line(struct sender *o)
{
	bool blank = o->line == 0 || (o->line == 1 && o->cr);

	if (o->in_body && o->lines > 0)
		o->lines--;
	if (blank)
		o->in_body = true;
	o->full = o->in_body && o->lines == 0;
	o->line = 0;
	o->cr = false;
}

/* Bytes up to and with the next LF, or to the end of the piece. A lone LF goes out as CRLF: a
 * reader that takes LF for a line end must not see a lone dot that we did not mean. */
static struct str send_line(struct sender *o, struct str piece)
{
	const char *lf = memchr(piece.p, '\n', piece.n);
	size_t n = lf ? (size_t)(lf - piece.p) : piece.n;

	if (n > 0) {
		if (o->line == 0 && piece.p[0] == '.') /* RFC 1939 3: byte-stuffing */
			conn_write(o->c, STR("."));
		conn_write(o->c, str_head(piece, n));
		o->line += n;
		o->cr = piece.p[n - 1] == '\r';
	}
	if (!lf)
		return str_from(piece, n);
	conn_write(o->c, o->cr ? STR("\n") : STR("\r\n"));
	end_line(o);
	return str_from(piece, n + 1);
}

static void send_piece(struct sender *o, struct str piece)
{
	while (piece.n > 0 && !o->full)
		piece = send_line(o, piece);
}

int pop3_send_message(
	struct pop3_session *s, const struct pop3_message *m, int64_t lines, struct err *err)
{
	struct sender o = { .c = s->c, .lines = lines };
	struct err why = ERR_INIT;
	struct str piece;
	uint64_t at = 0;

	if (s->policy->read(s->policy->arg, m->uid, 0, &piece, &why) < 0) {
		if (why.kind == ERR_NOTFOUND)
			return pop3_err(s, "", "that message has been removed by another session");
		return pop3_fault(s, &why);
	}
	s->errors = 0;
	s->in_message = true;
	conn_writef(s->c, "+OK %" PRIu64 " octets\r\n", m->size);
	while (piece.n > 0) {
		conn_deadline(s->c, clock_after(s->config->idle));
		send_piece(&o, piece);
		if (o.full)
			break;
		at += piece.n;
		/* After +OK nothing but the end of the connection can say that the rest is missing.
		 */
		if (s->policy->read(s->policy->arg, m->uid, at, &piece, err) < 0)
			return -1;
	}
	if (o.line > 0)
		conn_write(s->c, o.cr ? STR("\n") : STR("\r\n"));
	conn_write(s->c, STR(".\r\n"));
	s->in_message = false;
	return 0;
}
