#include "smtp/dot.h"

#include <string.h>

/* What the line that begins `rest` is. Sets *len to the bytes that can be taken: the whole line
 * with its ending, or what is there of it without a CR at the end, which may be half of an ending.
 */
static enum dot_result take_line(struct dot_reader *d, struct str rest, size_t *len)
{
	const char *lf = memchr(rest.p, '\n', rest.n);
	size_t n = lf ? (size_t)(lf - rest.p) + 1 : rest.n;
	const char *cr = memchr(rest.p, '\r', n);
	size_t text = cr ? (size_t)(cr - rest.p) : n;

	if (memchr(rest.p, '\0', n))
		return DOT_NUL;
	if (cr && text + (lf ? 2 : 1) != n)
		return DOT_BARE_CR;
	if (lf && !cr)
		return DOT_BARE_LF;
	*len = lf ? n : text;
	d->line += text;
	if (d->line > d->longest)
		d->longest = d->line;
	if (lf)
		d->line = 0;
	return *len ? DOT_PIECE : DOT_MORE;
}

/* At the start of a line that begins with a dot. */
static enum dot_result take_dot(struct dot_reader *d, struct str rest)
{
	static const char end[] = ".\r\n";

	if (memcmp(rest.p, end, rest.n < 3 ? rest.n : 3) == 0)
		return rest.n < 3 ? DOT_MORE : DOT_END;
	d->line = 1;
	return DOT_PIECE;
}

enum dot_result dot_scan(struct dot_reader *d, struct str in, size_t *used, struct str *piece)
{
	enum dot_result r = DOT_PIECE;
	size_t start = 0, at = 0, len;

	while (at < in.n) {
		struct str rest = str_from(in, at);

		if (d->line == 0 && rest.p[0] == '.') {
			if (at > start)
				break; /* the piece ends before the dot */
			r = take_dot(d, rest);
			if (r != DOT_PIECE) {
				*used = at + (r == DOT_END ? 3 : 0);
				return r;
			}
			start = ++at; /* RFC 5321 4.5.2: the dot is not part of the message */
			continue;
		}
		r = take_line(d, rest, &len);
		if (r != DOT_PIECE)
			break;
		at += len;
	}
	*used = at;
	*piece = str_head(str_from(in, start), at - start);
	/* What was good before an error is handed out first; the error comes with the next call. */
	if (at > start)
		return DOT_PIECE;
	return r == DOT_PIECE ? DOT_MORE : r;
}

static void end_line(struct dot_writer *d, struct buf *out)
{
	buf_add(out, STR("\r\n"));
	d->in_line = d->cr = false;
}

void dot_write(struct dot_writer *d, struct str in, struct buf *out)
{
	while (in.n) {
		const char *stop;
		size_t n;

		if (d->cr) {
			if (in.p[0] == '\n')
				in = str_from(in, 1);
			end_line(d, out);
			continue;
		}
		if (!d->in_line && in.p[0] == '.')
			buf_addc(out, '.');
		stop = memchr(in.p, '\n', in.n);
		n = stop ? (size_t)(stop - in.p) : in.n;
		stop = memchr(in.p, '\r', n);
		n = stop ? (size_t)(stop - in.p) : n;
		buf_add(out, str_head(in, n));
		d->in_line |= n > 0;
		if (stop)
			d->cr = true;
		else if (n < in.n)
			end_line(d, out);
		in = str_from(in, n + 1);
	}
}

void dot_finish(struct dot_writer *d, struct buf *out)
{
	if (d->cr || d->in_line)
		end_line(d, out);
	buf_add(out, STR(".\r\n"));
}
