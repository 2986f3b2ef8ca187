#include "mail/body.h"
#include "base/codec.h"

enum body_encoding body_encoding_find(struct str name)
{
	if (str_eqi(name, STR("base64")))
		return BODY_BASE64;
	if (str_eqi(name, STR("quoted-printable")))
		return BODY_QP;
	if (name.n == 0 || str_eqi(name, STR("7bit")) || str_eqi(name, STR("8bit")) ||
		str_eqi(name, STR("binary")))
		return BODY_IDENTITY;
	return BODY_UNKNOWN;
}

static void flush_base64(struct body_decoder *d, struct buf *out)
{
	uint32_t bits = d->bits << 6 * (4 - d->digits);
	const char bytes[3] = { (char)(bits >> 16), (char)(bits >> 8), (char)bits };

	/* Two digits hold a byte, three hold two; one alone holds nothing. */
	if (d->digits > 1)
		buf_add(out, str_make(bytes, (size_t)d->digits - 1));
	d->bits = 0;
	d->digits = 0;
}

static void feed_base64(struct body_decoder *d, struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++) {
		int v = base64_digit(in.p[i]);

		if (v >= 0) {
			d->bits = d->bits << 6 | (uint32_t)v;
			d->digits++;
		}
		if (d->digits == 4 || in.p[i] == '=')
			flush_base64(d, out);
	}
}

/* What is held turned out to be no code. */
static void release(struct body_decoder *d, struct buf *out)
{
	buf_add(out, str_make(d->held, d->n));
	d->n = 0;
}

/* One byte after an "=". White space between it and the line's end is dropped (RFC 2045 6.7). */
static void feed_code(struct body_decoder *d, char c, struct buf *out)
{
	char last = d->held[d->n - 1];

	if (c == '\n') {
		d->n = 0; /* a soft break */
	} else if (last == ' ' && (is_wsp(c) || c == '\r')) {
		return; /* one space stands for what may turn out to be the end of the line */
	} else if (d->n == 1 && is_wsp(c)) {
		d->held[d->n++] = ' ';
	} else if (d->n == 1 && (hex_digit(c) >= 0 || c == '\r')) {
		d->held[d->n++] = c;
	} else if (d->n == 2 && hex_digit(last) >= 0 && hex_digit(c) >= 0) {
		buf_addc(out, (char)(hex_digit(last) << 4 | hex_digit(c)));
		d->n = 0;
	} else {
		release(d, out);
		if (c == '=')
			d->held[d->n++] = c;
		else
			buf_addc(out, c);
	}
}

static void feed_qp(struct body_decoder *d, struct str in, struct buf *out)
{
	while (in.n) {
		size_t plain = d->n ? 0 : str_find(in, '=');

		buf_add(out, str_head(in, plain));
		in = str_from(in, plain);
		if (in.n == 0)
			return;
		if (d->n)
			feed_code(d, in.p[0], out);
		else
			d->held[d->n++] = '=';
		in = str_from(in, 1);
	}
}

void body_feed(struct body_decoder *d, struct str in, struct buf *out)
{
	switch (d->encoding) {
	case BODY_BASE64:
		feed_base64(d, in, out);
		break;
	case BODY_QP:
		feed_qp(d, in, out);
		break;
	case BODY_IDENTITY:
	case BODY_UNKNOWN:
		buf_add(out, in);
		break;
	}
}

void body_end(struct body_decoder *d, struct buf *out)
{
	if (d->encoding == BODY_BASE64)
		flush_base64(d, out);
	else if (d->n > 1)
		release(d, out);
	d->n = 0;
}
