#include "base/utf8.h"

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

bool utf8_valid(struct str s)
{
	uint32_t cp;

	while (s.n) {
		size_t n = (unsigned char)s.p[0] < 0x80 ? 1 : decode(s, &cp);

		if (n == 0)
			return false;
		s = str_from(s, n);
	}
	return true;
}

bool utf8_is_ascii(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

bool utf8_next(struct str *s, uint32_t *cp, bool *ok)
{
	size_t n;

	if (s->n == 0)
		return false;
	n = decode(*s, cp);
	if (n == 0)
		*cp = UTF8_BAD;
	if (ok)
		*ok = n != 0;
	*s = str_from(*s, n ? n : 1);
	return true;
}

void utf8_put(struct buf *b, uint32_t cp)
{
	char c[4];
	size_t n = 0;

	if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
		cp = UTF8_BAD;
	if (cp < 0x80) {
		c[n++] = (char)cp;
	} else if (cp < 0x800) {
		c[n++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		c[n++] = (char)(0xe0 | cp >> 12);
		c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	} else {
		c[n++] = (char)(0xf0 | cp >> 18);
		c[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
		c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	if (cp >= 0x80)
		c[n++] = (char)(0x80 | (cp & 0x3f));
	buf_add(b, str_make(c, n));
}

void utf8_clean(struct buf *b, struct str s)
{
	struct str from = s;
	uint32_t cp;
	bool ok;

	while (utf8_next(&s, &cp, &ok)) {
		if (ok)
			continue;
		buf_add(b, str_head(from, (size_t)(s.p - from.p) - 1));
		utf8_put(b, UTF8_BAD);
		from = s;
	}
	buf_add(b, from);
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
