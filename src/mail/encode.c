#include "mail/encode.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "mail/body.h"
#include "mail/charset.h"

#include <string.h>

enum {
	WORD_MAX = 75, /* RFC 2047 2 */
	LINE_MAX = 76,
	WORD_FRAME = sizeof "=?utf-8?q?" - 1 + 2,
};

/* ---- encoding ------------------------------------------------------------------------------ */

/* RFC 2047 5 (3): the characters that are safe in Q words everywhere, phrases included. */
static bool is_q_plain(char c)
{
	return is_alnum(c) || (c && strchr("!*+-/", c));
}

static bool is_printable(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (is_ctl(s.p[i]) || (unsigned char)s.p[i] >= 0x80)
			return false;
	return true;
}

/* The next character as bytes; control characters are spaces, bad bytes U+FFFD. */
static struct str next_char(struct str *s, struct buf *scratch)
{
	uint32_t cp;

	buf_clear(scratch);
	utf8_next(s, &cp, NULL);
	utf8_put(scratch, cp < 32 || cp == 127 ? ' ' : cp);
	return buf_str(scratch);
}

static void q_encode(struct buf *b, struct str c)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < c.n; i++) {
		if (c.p[i] == ' ')
			buf_addc(b, '_');
		else if (is_q_plain(c.p[i]))
			buf_addc(b, c.p[i]);
		else
			buf_addf(b, "=%c%c", hex[(unsigned char)c.p[i] >> 4],
				hex[(unsigned char)c.p[i] & 15]);
	}
}

static size_t q_size(struct str c)
{
	size_t n = 0;

	for (size_t i = 0; i < c.n; i++)
		n += c.p[i] == ' ' || is_q_plain(c.p[i]) ? 1 : 3;
	return n;
}

static size_t b_size(size_t bytes)
{
	return (bytes + 2) / 3 * 4;
}

/* One encoded word of at most `room` characters; takes what fits from the text, at least one
 * character, and never splits one (RFC 2047 5). */
static void encode_word(struct buf *b, struct str *text, size_t room, bool base64)
{
	struct buf scratch = BUF(4), word = BUF(WORD_MAX);
	size_t used = WORD_FRAME;
	bool any = false;

	while (text->n) {
		struct str ahead = *text, c = next_char(&ahead, &scratch);

		used = base64 ? WORD_FRAME + b_size(word.n + c.n) : used + q_size(c);
		if (any && used > room)
			break;
		if (base64)
			buf_add(&word, c);
		else
			q_encode(&word, c);
		*text = ahead;
		any = true;
	}
	buf_addf(b, "=?utf-8?%c?", base64 ? 'b' : 'q');
	if (base64)
		base64_encode(b, buf_str(&word));
	else
		buf_add(b, buf_str(&word));
	buf_addz(b, "?=");
	buf_free(&scratch);
	buf_free(&word);
}

static void encode_words(struct buf *b, struct str text, size_t column)
{
	size_t high = 0;
	bool base64;

	for (size_t i = 0; i < text.n; i++)
		high += (unsigned char)text.p[i] >= 0x80;
	base64 = high >
		text.n / 3; /* mostly foreign letters: shorter, and Q would be as unreadable */
	if (column + WORD_FRAME + 12 > LINE_MAX) {
		buf_addz(b, "\r\n ");
		column = 1;
	}
	while (text.n) {
		size_t room = LINE_MAX - column;

		encode_word(b, &text, room < WORD_MAX ? room : WORD_MAX, base64);
		if (text.n)
			buf_addz(b, "\r\n ");
		column = 1;
	}
}

/* Plain text, folded at spaces where the line grows long. */
static void fold_plain(struct buf *b, struct str text, size_t column)
{
	bool first = true;

	while (text.n) {
		/* A word with the spaces before it, so that folding adds and removes nothing. */
		size_t n = 0;

		while (n < text.n && text.p[n] == ' ')
			n++;
		while (n < text.n && text.p[n] != ' ')
			n++;
		if (!first && column + n > LINE_MAX && text.p[n - 1] != ' ') {
			buf_addz(b, "\r\n");
			column = 0;
		}
		buf_add(b, str_head(text, n));
		column += n;
		text = str_from(text, n);
		first = false;
	}
}

/* Could a reader take this for an encoded word, or is a word too long to fold? */
static bool needs_words(struct str text)
{
	if (!is_printable(text) || str_search(text, STR("=?")) < text.n)
		return true;
	if (text.n && (text.p[0] == ' ' || text.p[text.n - 1] == ' '))
		return true; /* would be lost */
	while (text.n)
		if (str_word(&text, ' ').n > 400)
			return true;
	return false;
}

void words_encode(struct buf *b, struct str text, size_t column)
{
	if (needs_words(text))
		encode_words(b, text, column);
	else
		fold_plain(b, text, column);
}

static bool is_atom_phrase(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && !strchr(" !#$%&'*+-/=?^_`{|}~", s.p[i]))
			return false;
	return s.n > 0;
}

void phrase_encode(struct buf *b, struct str text, size_t column)
{
	if (needs_words(text) || text.n > 60) {
		encode_words(b, text, column);
	} else if (is_atom_phrase(text)) {
		buf_add(b, text);
	} else {
		buf_addc(b, '"');
		for (size_t i = 0; i < text.n; i++) {
			if (text.p[i] == '"' || text.p[i] == '\\')
				buf_addc(b, '\\');
			buf_addc(b, text.p[i]);
		}
		buf_addc(b, '"');
	}
}

/* ---- decoding -------------------------------------------------------------------------------- */

/* =?charset*language?encoding?text?= at the front of s. */
struct word {
	struct str charset, text;
	bool base64;
	size_t size;
};

static bool read_word(struct str s, struct word *w)
{
	struct str rest = s, encoding, language;

	if (!str_take(&rest, STR("=?")))
		return false;
	/* The parts hold no spaces and no reader's words are longer: that keeps a line of "=?=?=?"
	 * linear. */
	rest = str_head(rest, 2000);
	rest = str_head(rest, str_find(rest, ' '));
	if (!str_cut(rest, '?', &w->charset, &rest) || !str_cut(rest, '?', &encoding, &rest))
		return false;
	if (!str_cut(rest, '?', &w->text, &rest) || !str_take(&rest, STR("=")))
		return false;
	str_cut(w->charset, '*', &w->charset, &language);
	w->base64 = str_eqi(encoding, STR("b"));
	w->size = (size_t)(rest.p - s.p);
	return w->charset.n && (w->base64 || str_eqi(encoding, STR("q")));
}

static void word_bytes(const struct word *w, struct buf *bytes)
{
	if (w->base64) {
		struct body_decoder d = BODY_DECODER(BODY_BASE64);

		body_feed(&d, w->text, bytes);
		body_end(&d, bytes);
		return;
	}
	for (size_t i = 0; i < w->text.n; i++) {
		int hi = i + 2 < w->text.n ? hex_digit(w->text.p[i + 1]) : -1;
		int lo = i + 2 < w->text.n ? hex_digit(w->text.p[i + 2]) : -1;

		if (w->text.p[i] == '=' && hi >= 0 && lo >= 0) {
			buf_addc(bytes, (char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_addc(bytes, w->text.p[i] == '_' ? ' ' : w->text.p[i]);
		}
	}
}

static size_t blank_length(struct str s)
{
	size_t n = 0;

	while (n < s.n && (is_wsp(s.p[n]) || s.p[n] == '\r' || s.p[n] == '\n'))
		n++;
	return n;
}

/* Encoded words in a row: the space between them does not count (RFC 2047 6.2), and those of one
 * charset are joined first, because some programs split characters. Returns what was taken. */
static size_t decode_run(struct str s, struct word w, struct buf *text)
{
	struct buf bytes = BUF(s.n);
	struct str charset = w.charset;
	size_t taken = 0;

	for (;;) {
		size_t blank;

		if (!str_eqi(charset, w.charset)) {
			charset_to_utf8(charset, buf_str(&bytes), text);
			buf_clear(&bytes);
			charset = w.charset;
		}
		word_bytes(&w, &bytes);
		taken += w.size;
		blank = blank_length(str_from(s, taken));
		if (!read_word(str_from(s, taken + blank), &w))
			break;
		taken += blank;
	}
	charset_to_utf8(charset, buf_str(&bytes), text);
	buf_free(&bytes);
	return taken;
}

/* Plain text of a field: one line, and 8-bit bytes that are no UTF-8 are taken for windows-1252. */
static void add_plain(struct buf *text, struct str s)
{
	charset_to_utf8(utf8_valid(s) ? STR("utf-8") : STR("windows-1252"), s, text);
}

void words_decode(struct str value, struct buf *text)
{
	struct buf line = BUF(value.n * 3);
	size_t plain = 0, i = 0;

	value = str_trim(value);
	while (i < value.n) {
		struct word w;

		if (value.p[i] != '=' || !read_word(str_from(value, i), &w)) {
			i++;
			continue;
		}
		add_plain(&line, str_from(str_head(value, i), plain));
		i += decode_run(str_from(value, i), w, &line);
		plain = i;
	}
	add_plain(&line, str_from(value, plain));
	for (size_t at = 0; at < line.n; at++)
		if (line.p[at] != '\r' && line.p[at] != '\n')
			buf_addc(text, is_ctl(line.p[at]) ? ' ' : line.p[at]);
	buf_free(&line);
}
