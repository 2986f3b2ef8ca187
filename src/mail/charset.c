#include "mail/charset.h"
#include "base/utf8.h"

#include <string.h>

enum charset charset_find(struct str name)
{
	static const struct {
		struct str name;
		enum charset set;
	} names[] = {
		{ STR_INIT("utf-8"), CHARSET_UTF8 },
		{ STR_INIT("utf8"), CHARSET_UTF8 },
		{ STR_INIT("us-ascii"), CHARSET_UTF8 },
		{ STR_INIT("ascii"), CHARSET_UTF8 },
		{ STR_INIT("iso-8859-1"), CHARSET_1252 },
		{ STR_INIT("iso8859-1"), CHARSET_1252 },
		{ STR_INIT("iso_8859-1"), CHARSET_1252 },
		{ STR_INIT("latin1"), CHARSET_1252 },
		{ STR_INIT("windows-1252"), CHARSET_1252 },
		{ STR_INIT("cp1252"), CHARSET_1252 },
		{ STR_INIT("iso-8859-15"), CHARSET_LATIN9 },
		{ STR_INIT("iso8859-15"), CHARSET_LATIN9 },
		{ STR_INIT("latin9"), CHARSET_LATIN9 },
	};

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_eqi(name, names[i].name))
			return names[i].set;
	return CHARSET_UNKNOWN;
}

/* The windows-1252 characters of the bytes 0x80 to 0x9f. */
static const uint16_t table_1252[32] = { 0x20ac, 0xfffd, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020,
	0x2021, 0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0xfffd, 0x017d, 0xfffd, 0xfffd, 0x2018,
	0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153,
	0xfffd, 0x017e, 0x0178 };

static uint32_t latin9(unsigned char c)
{
	static const struct {
		unsigned char byte;
		uint16_t cp;
	} differs[] = { { 0xa4, 0x20ac }, { 0xa6, 0x160 }, { 0xa8, 0x161 }, { 0xb4, 0x17d },
		{ 0xb8, 0x17e }, { 0xbc, 0x152 }, { 0xbd, 0x153 }, { 0xbe, 0x178 } };

	for (size_t i = 0; i < sizeof differs / sizeof differs[0]; i++)
		if (differs[i].byte == c)
			return differs[i].cp;
	return c;
}

static uint32_t of_byte(enum charset set, unsigned char c)
{
	if (c < 0x80)
		return c;
	if (set == CHARSET_1252)
		return c < 0xa0 ? table_1252[c - 0x80] : c;
	if (set == CHARSET_LATIN9)
		return latin9(c);
	return UTF8_BAD;
}

/* How many bytes at the end of s begin a character that the next bytes may complete. */
static size_t unfinished(struct str s)
{
	static const char fill[] = "\x80\x80\x80";
	static const char fill_low[] = "\xbf\x80\x80";

	for (size_t n = 1; n <= 3 && n <= s.n; n++) {
		unsigned char c = (unsigned char)s.p[s.n - n];
		char whole[8];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if (c < 0xc0)
			continue; /* a later byte of a character: look further back */
		if (need <= n)
			return 0;
		/* It is the start of one if some continuation makes it whole. */
		memcpy(whole, s.p + s.n - n, n);
		memcpy(whole + n, fill, need - n);
		if (utf8_valid(str_make(whole, need)))
			return n;
		memcpy(whole + n, fill_low, need - n);
		return utf8_valid(str_make(whole, need)) ? n : 0;
	}
	return 0;
}

static void feed_utf8(struct charset_decoder *d, struct str in, struct buf *out)
{
	size_t keep;

	/* Complete what is held, byte by byte: it is at most three bytes short. */
	while (d->n && in.n) {
		struct str held;

		d->held[d->n++] = in.p[0];
		in = str_from(in, 1);
		held = str_make(d->held, d->n);
		if (unfinished(held) == d->n)
			continue;
		keep = unfinished(held);
		utf8_clean(out, str_head(held, d->n - keep));
		memmove(d->held, d->held + d->n - keep, keep);
		d->n = keep;
	}
	if (in.n == 0)
		return;
	keep = unfinished(in);
	utf8_clean(out, str_head(in, in.n - keep));
	memcpy(d->held, in.p + in.n - keep, keep);
	d->n = keep;
}

void charset_feed(struct charset_decoder *d, struct str in, struct buf *out)
{
	if (d->set == CHARSET_UTF8) {
		feed_utf8(d, in, out);
		return;
	}
	for (size_t i = 0; i < in.n; i++)
		utf8_put(out, of_byte(d->set, (unsigned char)in.p[i]));
}

void charset_end(struct charset_decoder *d, struct buf *out)
{
	utf8_clean(out, str_make(d->held, d->n));
	d->n = 0;
}

void charset_to_utf8(struct str name, struct str in, struct buf *out)
{
	struct charset_decoder d = CHARSET_DECODER(charset_find(name));

	charset_feed(&d, in, out);
	charset_end(&d, out);
}
