#include "base/utf8.h"

#include <string.h>

/* Length of the sequence a first byte opens, 0 when it opens none. */
static size_t width(unsigned char c)
{
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf)
		return 2;
	if (c >= 0xe0 && c <= 0xef)
		return 3;
	return c >= 0xf0 && c <= 0xf4 ? 4 : 0;
}

/* The character at the front of s and its length, or 0. */
static size_t decode(struct str s, uint32_t *cp)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	static const unsigned char mask[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	const unsigned char *p = (const unsigned char *)s.p;
	size_t n = s.n ? width(p[0]) : 0;
	uint32_t c;

	if (n == 0 || n > s.n)
		return 0;
	c = p[0] & mask[n];
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	/* RFC 3629 3: overlong forms and surrogates are not UTF-8. */
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*cp = c;
	return n;
}

/* How many bytes at the front are ASCII. */
static size_t ascii_run(struct str s)
{
	size_t n = 0;
	uint64_t v;

	for (; n + 8 <= s.n; n += 8) {
		memcpy(&v, s.p + n, 8);
		if (v & 0x8080808080808080)
			break;
	}
	while (n < s.n && (unsigned char)s.p[n] < 0x80)
		n++;
	return n;
}

/* How many bytes at the front are whole characters. */
static size_t good_run(struct str s)
{
	size_t n = 0, step = 1;
	uint32_t cp;

	while (step) {
		step = ascii_run(str_from(s, n));
		n += step;
		if (n < s.n) {
			step = decode(str_from(s, n), &cp);
			n += step;
		}
	}
	return n;
}

bool utf8_valid(struct str s)
{
	return good_run(s) == s.n;
}

bool utf8_is_ascii(struct str s)
{
	return ascii_run(s) == s.n;
}

bool utf8_next(struct str *s, uint32_t *cp, bool *ok)
{
	size_t n;

	if (s->n == 0)
		return false;
	if ((unsigned char)s->p[0] < 0x80) {
		*cp = (unsigned char)s->p[0];
		if (ok)
			*ok = true;
		s->p++;
		s->n--;
		return true;
	}
	n = decode(*s, cp);
	if (n == 0)
		*cp = UTF8_BAD;
	if (ok)
		*ok = n != 0;
	*s = str_from(*s, n ? n : 1);
	return true;
}

size_t utf8_encode(uint32_t cp, char out[4])
{
	size_t n = 0;

	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = UTF8_BAD;
	if (cp < 0x80) {
		out[n++] = (char)cp;
		return n;
	}
	if (cp < 0x800) {
		out[n++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		out[n++] = (char)(0xe0 | cp >> 12);
		out[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	} else {
		out[n++] = (char)(0xf0 | cp >> 18);
		out[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
		out[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	out[n++] = (char)(0x80 | (cp & 0x3f));
	return n;
}

void utf8_put(struct buf *b, uint32_t cp)
{
	char c[4];

	buf_add(b, str_make(c, utf8_encode(cp, c)));
}

void utf8_clean(struct buf *b, struct str s)
{
	for (;;) {
		size_t good = good_run(s);

		buf_add(b, str_head(s, good));
		if (good == s.n)
			return;
		utf8_put(b, UTF8_BAD);
		s = str_from(s, good + 1);
	}
}

struct str utf8_head(struct str s, size_t max)
{
	size_t n = max;

	if (s.n <= max)
		return s;
	/* A character is at most four bytes: look back no further than three. */
	while (n > 0 && max - n < 3 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	if (((unsigned char)s.p[n] & 0xc0) == 0x80)
		n = max; /* no UTF-8 at all: cut anywhere */
	return str_head(s, n);
}
