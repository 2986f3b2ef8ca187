#include "mail/body.h"

#include "base/codec.h"

enum { LINE = 76, GROUP = 4 };

/* ---- base64 ---- */

static void put_group(struct body_encoder *e, struct buf *out)
{
	if (e->column + GROUP > LINE) {
		buf_add(out, STR("\r\n"));
		e->column = 0;
	}
	base64_encode(out, str_make(e->held, e->n));
	e->column += GROUP;
	e->n = 0;
}

static void encode_base64(struct body_encoder *e, struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		e->held[e->n++] = (unsigned char)in.p[i];
		if (e->n == sizeof e->held)
			put_group(e, out);
	}
}

/* ---- quoted-printable ---- */

static void make_room(struct body_encoder *e, size_t n, struct buf *out)
{
	if (e->column + n < LINE) /* one is kept for the "=" of a soft break */
		return;
	buf_add(out, STR("=\r\n"));
	e->column = 0;
}

static void put_plain(struct body_encoder *e, char c, struct buf *out)
{
	make_room(e, 1, out);
	buf_addc(out, c);
	e->column++;
}

static void put_code(struct body_encoder *e, char c, struct buf *out)
{
	static const char digits[] = "0123456789ABCDEF";

	make_room(e, 3, out);
	buf_addc(out, '=');
	buf_addc(out, digits[(unsigned char)c >> 4]);
	buf_addc(out, digits[(unsigned char)c & 15]);
	e->column += 3;
}

/* RFC 2045 6.7 (3): white space at the end of a line is written as a code. */
static void end_line(struct body_encoder *e, struct buf *out)
{
	if (e->space)
		put_code(e, e->space, out);
	e->space = 0;
	e->cr = false;
	e->column = 0;
	buf_add(out, STR("\r\n"));
}

/* What was held back did not end the line. */
static void put_held(struct body_encoder *e, struct buf *out)
{
	if (e->space)
		put_plain(e, e->space, out);
	if (e->cr)
		put_code(e, '\r', out);
	e->space = 0;
	e->cr = false;
}

static void put_qp(struct body_encoder *e, char c, struct buf *out)
{
	if (e->cr && c == '\n') {
		end_line(e, out);
		return;
	}
	if (c == '\r' && !e->cr) {
		e->cr = true;
		return;
	}
	put_held(e, out);
	if (c == '\r')
		e->cr = true;
	else if (is_wsp(c))
		e->space = c;
	else if (c > ' ' && c <= '~' && c != '=')
		put_plain(e, c, out);
	else
		put_code(e, c, out);
}

void body_encode(struct body_encoder *e, struct str in, struct buf *out)
{
	if (e->encoding == BODY_BASE64)
		encode_base64(e, in, out);
	else
		for (size_t i = 0; i < in.n; i++)
			put_qp(e, in.p[i], out);
}

void body_encode_end(struct body_encoder *e, struct buf *out)
{
	if (e->n)
		put_group(e, out);
	if (e->space && !e->cr) {
		put_code(e, e->space, out);
		e->space = 0;
	}
	put_held(e, out);
	*e = BODY_ENCODER(e->encoding);
}
