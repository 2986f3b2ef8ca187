#include "mail/utf7.h"

#include "base/codec.h"
#include "base/utf8.h"

/* RFC 3501 5.1.3: base64 with "," in place of "/". */
static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static int digit_value(char c)
{
	return c == ',' ? 63 : c == '/' ? -1 : base64_digit(c);
}

static bool is_plain(uint32_t c)
{
	return c >= 0x20 && c <= 0x7e;
}

/* One UTF-16 unit; *high is the first half of a pair that waits for its second. */
static bool put_unit(struct buf *out, uint32_t unit, uint32_t *high, bool strict)
{
	bool low = unit >= 0xdc00 && unit <= 0xdfff;

	if (*high != 0) {
		if (!low)
			return false;
		utf8_put(out, 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00));
		*high = 0;
		return true;
	}
	if (low ||
		(strict && is_plain(unit))) /* printable ASCII stands for itself, never in base64 */
		return false;
	if (unit < 0x20 || unit == 0x7f)
		return false; /* no control characters in names */
	if (unit >= 0xd800 && unit <= 0xdbff)
		*high = unit;
	else
		utf8_put(out, unit);
	return true;
}

/* What stands between "&" and "-". */
static bool decode_shifted(struct str in, struct buf *out, bool strict)
{
	uint32_t bits = 0, high = 0;
	int have = 0;

	for (size_t i = 0; i < in.n; i++) {
		int v = digit_value(in.p[i]);

		if (v < 0)
			return false;
		bits = bits << 6 | (uint32_t)v;
		have += 6;
		if (have < 16)
			continue;
		have -= 16;
		if (!put_unit(out, bits >> have & 0xffff, &high, strict))
			return false;
		bits &= (1u << have) - 1;
	}
	return high == 0 && have < 6 && bits == 0;
}

static bool decode(struct str in, struct buf *out, bool strict)
{
	bool after_shift = false;

	while (in.n > 0) {
		struct str run, rest;

		if (!is_plain((unsigned char)in.p[0]))
			return false;
		if (in.p[0] != '&') {
			buf_addc(out, in.p[0]);
			in = str_from(in, 1);
			after_shift = false;
			continue;
		}
		if (!str_cut(str_from(in, 1), '-', &run, &rest))
			return false;
		if (run.n == 0)
			buf_addc(out, '&');
		else if ((strict && after_shift) || /* "&..-&..-" is one shift cut in two */
			!decode_shifted(run, out, strict))
			return false;
		after_shift = run.n > 0;
		in = rest;
	}
	return buf_ok(out);
}

static bool decode_whole(struct str in, struct buf *utf8, bool strict)
{
	size_t before = utf8->n;
	bool ok;

	if (!buf_ok(utf8))
		return false;
	ok = decode(in, utf8, strict);
	if (!ok) {
		buf_cut(utf8, before);
		utf8->over = false;
	}
	return ok;
}

bool utf7_decode(struct str in, struct buf *utf8)
{
	return decode_whole(in, utf8, true);
}

bool utf7_decode_any(struct str in, struct buf *utf8)
{
	return decode_whole(in, utf8, false);
}

struct shift {
	struct buf *out;
	uint32_t bits;
	int have;
	bool on;
};

static void shift_unit(struct shift *s, uint32_t unit)
{
	if (!s->on)
		buf_addc(s->out, '&');
	s->on = true;
	s->bits = s->bits << 16 | unit;
	s->have += 16;
	while (s->have >= 6) {
		s->have -= 6;
		buf_addc(s->out, digits[s->bits >> s->have & 63]);
	}
	s->bits &= (1u << s->have) - 1;
}

static void shift_end(struct shift *s)
{
	if (!s->on)
		return;
	if (s->have > 0)
		buf_addc(s->out, digits[s->bits << (6 - s->have) & 63]);
	buf_addc(s->out, '-');
	s->on = false;
	s->bits = 0;
	s->have = 0;
}

void utf7_encode(struct str utf8, struct buf *out)
{
	struct shift s = { .out = out };
	uint32_t c;

	while (utf8_next(&utf8, &c, NULL)) {
		if (is_plain(c)) {
			shift_end(&s);
			buf_addc(out, (char)c);
			if (c == '&')
				buf_addc(out, '-');
		} else if (c >= 0x10000) {
			shift_unit(&s, 0xd800 + ((c - 0x10000) >> 10));
			shift_unit(&s, 0xdc00 + ((c - 0x10000) & 0x3ff));
		} else {
			shift_unit(&s, c);
		}
	}
	shift_end(&s);
}
