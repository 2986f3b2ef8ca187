#include "base/codec.h"

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

enum { QP_LINE = 76, BASE64_LINE_BYTES = 57 };

void base64_encode(struct buf *b, struct str s)
{
	size_t n = (s.n / 3 + (s.n % 3 != 0)) * 4;
	char *out = s.n > SIZE_MAX / 2 ? NULL : buf_room(b, n);
	const unsigned char *p = (const unsigned char *)s.p;

	if (!out) {
		b->over = true;
		return;
	}
	for (size_t i = 0; i < s.n; i += 3) {
		size_t left = s.n - i;
		uint32_t v = (uint32_t)p[i] << 16;

		if (left > 1)
			v |= (uint32_t)p[i + 1] << 8;
		if (left > 2)
			v |= p[i + 2];
		*out++ = base64_digits[v >> 18];
		*out++ = base64_digits[v >> 12 & 63];
		*out++ = left > 1 ? base64_digits[v >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_digits[v & 63] : '=';
	}
	buf_grew(b, n);
}

void base64_encode_lines(struct buf *b, struct str s)
{
	while (s.n) {
		base64_encode(b, str_head(s, BASE64_LINE_BYTES));
		buf_add(b, STR("\r\n"));
		s = str_from(s, BASE64_LINE_BYTES);
	}
}

int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (is_digit(c))
		return c - '0' + 52;
	if (c == '+')
		return 62;
	return c == '/' ? 63 : -1;
}

/* One group of four digits, of which the last `pad` are padding. */
static bool decode_group(const char *p, size_t pad, struct buf *b)
{
	uint32_t v = 0;
	char out[3];

	for (size_t i = 0; i < 4; i++) {
		int d = i < 4 - pad ? base64_digit(p[i]) : 0;

		if (d < 0)
			return false;
		v = v << 6 | (uint32_t)d;
	}
	/* RFC 4648 3.5: bits that mean nothing are zero, so that a value has one spelling. */
	if (v & (pad == 2 ? 0xffffu : pad == 1 ? 0xffu : 0))
		return false;
	out[0] = (char)(v >> 16);
	out[1] = (char)(v >> 8);
	out[2] = (char)v;
	buf_add(b, str_make(out, 3 - pad));
	return buf_ok(b);
}

/* Undo what a failed decoder appended; overflow of this call must not poison the buffer. */
static bool undo(struct buf *b, size_t start, bool over)
{
	buf_cut(b, start);
	b->over = over;
	return false;
}

bool base64_decode(struct str s, struct buf *b)
{
	size_t start = b->n, pad = 0;
	bool over = b->over;

	if (s.n % 4 || over)
		return false;
	if (s.n && s.p[s.n - 1] == '=')
		pad = s.p[s.n - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < s.n; i += 4)
		if (!decode_group(s.p + i, i + 4 == s.n ? pad : 0, b))
			return undo(b, start, over);
	return true;
}

void hex_encode(struct buf *b, struct str s)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		const char out[2] = { digits[c >> 4], digits[c & 15] };

		buf_add(b, str_make(out, 2));
	}
}

int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c = to_lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that two hex digits at the front of s spell, or -1. */
static int hex_pair(struct str s)
{
	int hi = s.n > 1 ? hex_digit(s.p[0]) : -1;
	int lo = s.n > 1 ? hex_digit(s.p[1]) : -1;

	return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

bool hex_decode(struct str s, struct buf *b)
{
	size_t start = b->n;
	bool over = b->over;

	if (s.n % 2 || over)
		return false;
	for (; s.n; s = str_from(s, 2)) {
		int v = hex_pair(s);

		if (v < 0)
			return undo(b, start, over);
		buf_addc(b, (char)v);
	}
	return buf_ok(b) || undo(b, start, over);
}

static void add_hex_upper(struct buf *b, char mark, char c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char out[3] = { mark, digits[(unsigned char)c >> 4], digits[(unsigned char)c & 15] };

	buf_add(b, str_make(out, 3));
}

/* Must the byte at the front of s be written =HH? `column` is where it will stand. */
static bool qp_needs_code(struct str s, size_t column)
{
	char c = s.p[0];

	if (is_wsp(c)) /* RFC 2045 6.7 (3): no white space at the end of a line */
		return s.n == 1 || (s.n >= 3 && s.p[1] == '\r' && s.p[2] == '\n');
	if (c == '=' || is_ctl(c) || (unsigned char)c >= 0x80)
		return true;
	/* A dot or "From " at the start of a line meets programs that change it on the way. */
	return column == 0 && (c == '.' || str_starts(s, STR("From ")));
}

void qp_encode(struct buf *b, struct str s)
{
	size_t column = 0;

	while (s.n) {
		bool code, last;

		if (str_starts(s, STR("\r\n"))) {
			buf_add(b, STR("\r\n"));
			s = str_from(s, 2);
			column = 0;
			continue;
		}
		code = qp_needs_code(s, column);
		/* The last character of a line may use the column of the soft break's "=". */
		last = s.n == 1 || str_starts(str_from(s, 1), STR("\r\n"));
		if (column + (code ? 3 : 1) > (last ? QP_LINE : QP_LINE - 1)) {
			buf_add(b, STR("=\r\n"));
			column = 0;
			code = qp_needs_code(s, 0);
		}
		if (code)
			add_hex_upper(b, '=', s.p[0]);
		else
			buf_addc(b, s.p[0]);
		column += code ? 3 : 1;
		s = str_from(s, 1);
	}
}

/* One line without its break. Sets *soft when the break does not count. */
static bool qp_decode_line(struct str line, struct buf *b, bool *soft)
{
	*soft = false;
	/* RFC 2045 6.7 (3): white space at the end was added on the way. */
	while (line.n && is_wsp(line.p[line.n - 1]))
		line.n--;
	while (line.n) {
		int v;

		if (line.p[0] != '=') {
			if (is_ctl(line.p[0]) && line.p[0] != '\t')
				return false;
			if ((unsigned char)line.p[0] >= 0x80)
				return false;
			buf_addc(b, line.p[0]);
			line = str_from(line, 1);
			continue;
		}
		if (line.n == 1) {
			*soft = true;
			return true;
		}
		v = hex_pair(str_from(line, 1));
		if (v < 0)
			return false;
		buf_addc(b, (char)v);
		line = str_from(line, 3);
	}
	return true;
}

bool qp_decode(struct str s, struct buf *b)
{
	size_t start = b->n;
	bool over = b->over, soft = false;

	if (over)
		return false;
	while (s.n) {
		size_t end = str_find(s, '\n');
		bool broken = end < s.n;

		if (broken && (end == 0 || s.p[end - 1] != '\r'))
			return undo(b, start, over);
		if (!qp_decode_line(str_head(s, broken ? end - 1 : end), b, &soft))
			return undo(b, start, over);
		if (broken && !soft)
			buf_add(b, STR("\r\n"));
		s = str_from(s, broken ? end + 1 : end);
	}
	return buf_ok(b) || undo(b, start, over);
}

static bool is_xchar(char c)
{
	return c >= '!' && c <= '~' && c != '+' && c != '=';
}

void xtext_encode(struct buf *b, struct str s)
{
	for (; s.n; s = str_from(s, 1)) {
		if (is_xchar(s.p[0]))
			buf_addc(b, s.p[0]);
		else
			add_hex_upper(b, '+', s.p[0]);
	}
}

bool xtext_decode(struct str s, struct buf *b)
{
	size_t start = b->n;
	bool over = b->over;

	if (over)
		return false;
	while (s.n) {
		int v = s.p[0] == '+' ? hex_pair(str_from(s, 1)) : is_xchar(s.p[0]) ? s.p[0] : -1;

		/* RFC 3461 4: the digits are upper case. */
		if (s.p[0] == '+' && v >= 0 &&
			((s.p[1] >= 'a' && s.p[1] <= 'f') || (s.p[2] >= 'a' && s.p[2] <= 'f')))
			v = -1;
		if (v < 0)
			return undo(b, start, over);
		buf_addc(b, (char)v);
		s = str_from(s, s.p[0] == '+' ? 3 : 1);
	}
	return buf_ok(b) || undo(b, start, over);
}
