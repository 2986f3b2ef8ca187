/* Writing mboxrd: a '>' more before every ">*From " that begins a line of the body. */
#include "port/mbox.h"

#include <string.h>
#include <time.h>

static const struct str from_space = STR_INIT("From ");

void mbox_write_begin(struct mbox_writer *w, const struct mbox_marks *marks, struct buf *out)
{
	const time_t at = (time_t)marks->date;
	char text[64] = "Thu Jan  1 00:00:00 1970";
	struct tm tm;

	*w = (struct mbox_writer){ .marks = *marks, .line_empty = true };
	if (gmtime_r(&at, &tm))
		strftime(text, sizeof text, "%a %b %e %H:%M:%S %Y", &tm);
	buf_addf(out, "From MAILER-DAEMON %s\n", text);
}

/* At the end of the head, each of them always: so a field of the same name that came with the
 * message is never taken for ours. */
static void put_fields(const struct mbox_marks *m, struct buf *out)
{
	buf_addf(out, "X-UID: %u\n", m->uid);
	if (m->uidvalidity)
		buf_addf(out, "X-IMAPbase: %u %u\n", m->uidvalidity, m->uid);
	buf_addf(out,
		"Status: %sO\nX-Status: %s%s%s%s\nX-Keywords: ", m->flags & MARK_SEEN ? "R" : "",
		m->flags & MARK_ANSWERED ? "A" : "", m->flags & MARK_FLAGGED ? "F" : "",
		m->flags & MARK_DRAFT ? "T" : "", m->flags & MARK_DELETED ? "D" : "");
	buf_add(out, m->keywords);
	buf_addc(out, '\n');
}

static void release(struct mbox_writer *w, struct buf *out)
{
	buf_add(out, str_head(from_space, w->held));
	w->held = 0;
}

static void end_line(struct mbox_writer *w, struct buf *out)
{
	release(w, out);
	if (!w->in_body && w->line_empty) {
		put_fields(&w->marks, out);
		w->in_body = true;
	}
	buf_addc(out, '\n');
	w->line_empty = true;
	w->quotable = w->in_body;
	w->quotes = 0;
}

/* A byte at the beginning of a line of the body, where it may have to be quoted. */
static void put_quotable(struct mbox_writer *w, char c, struct buf *out)
{
	if (w->held == 0 && c == '>') {
		w->quotes++;
		buf_addc(out, c);
	} else if (c == from_space.p[w->held]) {
		if (++w->held < from_space.n)
			return;
		if (w->quotes < MBOX_QUOTES)
			buf_addc(out, '>');
		release(w, out);
		w->quotable = false;
	} else {
		release(w, out);
		buf_addc(out, c);
		w->quotable = false;
	}
}

static void put(struct mbox_writer *w, char c, struct buf *out)
{
	w->line_empty = false;
	if (w->quotable)
		put_quotable(w, c, out);
	else
		buf_addc(out, c);
}

/* As many bytes as need no thought. */
static size_t put_run(struct mbox_writer *w, struct str piece, struct buf *out)
{
	size_t n = 0;

	if (w->quotable || w->cr)
		return 0;
	n = str_find(piece, '\n');
	n = str_find(str_head(piece, n), '\r');
	buf_add(out, str_head(piece, n));
	if (n)
		w->line_empty = false;
	return n;
}

void mbox_write(struct mbox_writer *w, struct str piece, struct buf *out)
{
	while (piece.n) {
		size_t n = put_run(w, piece, out);
		char c;

		piece = str_from(piece, n);
		if (piece.n == 0)
			break;
		c = piece.p[0];
		piece = str_from(piece, 1);
		if (w->cr && c != '\n')
			put(w, '\r', out);
		w->cr = c == '\r';
		if (c == '\n')
			end_line(w, out);
		else if (c != '\r')
			put(w, c, out);
	}
}

void mbox_write_end(struct mbox_writer *w, struct buf *out)
{
	if (w->cr)
		put(w, '\r', out);
	w->cr = false;
	if (!w->line_empty || w->held) {
		release(w, out);
		buf_addc(out, '\n');
	}
	if (!w->in_body)
		put_fields(&w->marks, out);
	buf_addc(out, '\n');
}
