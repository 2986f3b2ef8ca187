#include "imap/parse.h"

#include "base/utf8.h"
#include "mail/date.h"
#include "mail/utf7.h"

#include <string.h>

static bool expected(struct imap_in *in, const char *what)
{
	if (in->mem->over)
		what = "the command is too large";
	in->why = what;
	return false;
}

/* RFC 3501 9: what each character may be a part of. */
enum { ATOM = 1, TAG = 2, ASTRING = 4, PATTERN = 8 };

static unsigned class_of(char c)
{
	if ((unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f)
		return 0;
	switch (c) {
	case '(':
	case ')':
	case '{':
	case '"':
	case '\\':
		return 0;
	case '%':
	case '*':
		return PATTERN;
	case ']':
		return TAG | ASTRING | PATTERN;
	case '+':
		return ATOM | ASTRING | PATTERN;
	default:
		return ATOM | TAG | ASTRING | PATTERN;
	}
}

static struct str take_class(struct imap_in *in, unsigned class)
{
	struct str word = { in->s.p, 0 };

	while (word.n < in->s.n && (class_of(in->s.p[word.n]) & class))
		word.n++;
	in->s = str_from(in->s, word.n);
	return word;
}

bool imap_in_peek(const struct imap_in *in, char c)
{
	return in->s.n > 0 && in->s.p[0] == c;
}

bool imap_in_char(struct imap_in *in, char c)
{
	if (!imap_in_peek(in, c))
		return expected(in,
			c == '('           ? "expected an opening parenthesis"
				: c == ')' ? "expected a closing parenthesis"
					   : "expected another character");
	in->s = str_from(in->s, 1);
	return true;
}

bool imap_in_word(struct imap_in *in, struct str word)
{
	return str_take(&in->s, word) || expected(in, "unknown word");
}

bool imap_in_space(struct imap_in *in)
{
	if (!imap_in_peek(in, ' '))
		return expected(in, "expected a space and an argument");
	in->s = str_from(in->s, 1);
	return true;
}

bool imap_in_end(struct imap_in *in)
{
	return in->s.n == 0 || expected(in, "expected the end of the command");
}

bool imap_in_tag(struct imap_in *in, struct str *tag)
{
	*tag = take_class(in, TAG);
	return tag->n > 0 || expected(in, "expected a tag");
}

bool imap_in_atom(struct imap_in *in, struct str *atom)
{
	*atom = take_class(in, ATOM);
	return atom->n > 0 || expected(in, "expected an atom");
}

/* `in` is behind the opening quote. Without escapes the slice is the input itself. Bytes above 127
 * are let through: RFC 3501 has none, RFC 9051 has UTF-8, and passwords are typed with them. */
static bool quoted(struct imap_in *in, struct str *s)
{
	size_t end = 0, escapes = 0, n = 0;
	char *copy;

	for (; end < in->s.n && in->s.p[end] != '"'; end++) {
		char c = in->s.p[end];

		if (c == '\r' || c == '\n' || c == '\0')
			return expected(in, "a quoted string ends within its line");
		if (c != '\\')
			continue;
		escapes++;
		end++;
		if (end == in->s.n || (in->s.p[end] != '\\' && in->s.p[end] != '"'))
			return expected(in, "only a quote or a backslash may follow a backslash");
	}
	if (end >= in->s.n)
		return expected(in, "a quoted string has no end");
	*s = str_head(in->s, end);
	in->s = str_from(in->s, end + 1);
	if (escapes == 0)
		return true;
	copy = arena_bytes(in->mem, end - escapes);
	if (!copy)
		return expected(in, "the command is too large");
	for (size_t i = 0; i < end; i++) {
		i += s->p[i] == '\\';
		copy[n++] = s->p[i];
	}
	*s = str_make(copy, n);
	return true;
}

/* `in` is behind the opening brace. The reader has checked the size, but not for us. */
static bool literal(struct imap_in *in, struct str *s)
{
	struct str digits, rest;
	uint64_t n;

	if (!str_cut(in->s, '}', &digits, &rest))
		return expected(in, "a literal has no length");
	if (digits.n > 0 && digits.p[digits.n - 1] == '+')
		digits.n--;
	if (!str_u64(digits, UINT32_MAX, &n) || !str_take(&rest, STR("\r\n")) || n > rest.n)
		return expected(in, "a literal has a wrong length");
	*s = str_head(rest, (size_t)n);
	in->s = str_from(rest, (size_t)n);
	if (n > 0 && memchr(s->p, '\0', s->n)) /* RFC 3501 9: CHAR8 is not NUL */
		return expected(in, "a literal here holds no NUL");
	return true;
}

bool imap_in_string(struct imap_in *in, struct str *s)
{
	if (imap_in_peek(in, '"')) {
		in->s = str_from(in->s, 1);
		return quoted(in, s);
	}
	if (imap_in_peek(in, '{')) {
		in->s = str_from(in->s, 1);
		return literal(in, s);
	}
	return expected(in, "expected a string");
}

bool imap_in_astring(struct imap_in *in, struct str *s)
{
	if (imap_in_peek(in, '"') || imap_in_peek(in, '{'))
		return imap_in_string(in, s);
	*s = take_class(in, ASTRING);
	return s->n > 0 || expected(in, "expected a word or a string");
}

bool imap_in_nstring(struct imap_in *in, struct str *s, bool *nil)
{
	*nil = str_take(&in->s, STR("NIL"));
	if (!*nil)
		return imap_in_string(in, s);
	*s = STR("");
	return true;
}

bool imap_in_number64(struct imap_in *in, uint64_t *n)
{
	size_t len = 0;

	while (len < in->s.n && is_digit(in->s.p[len]))
		len++;
	if (!str_u64(str_head(in->s, len), INT64_MAX, n))
		return expected(in, "expected a number");
	in->s = str_from(in->s, len);
	return true;
}

bool imap_in_number(struct imap_in *in, uint32_t *n)
{
	uint64_t v;

	if (!imap_in_number64(in, &v))
		return false;
	if (v > UINT32_MAX)
		return expected(in, "that number is too large");
	*n = (uint32_t)v;
	return true;
}

bool imap_in_nonzero(struct imap_in *in, uint32_t *n)
{
	if (!imap_in_number(in, n))
		return false;
	return *n > 0 || expected(in, "expected a number above zero");
}

/* Modified UTF-7 to UTF-8 in the arena. */
static bool decode_name(struct imap_in *in, struct str wire, struct str *name)
{
	struct buf b = BUF(IMAP_NAME_MAX);
	bool ok = utf7_decode(wire, &b) && arena_str(in->mem, buf_str(&b), name);

	buf_free(&b);
	return ok || expected(in, "that is not a mailbox name");
}

/* RFC 3501 5.1: INBOX is the same in any case; so it is as the first level of a name. */
static void fold_inbox(struct str name)
{
	struct str first = name, rest;

	str_cut(name, '/', &first, &rest);
	if (str_eqi(first, STR("INBOX")))
		memcpy((char *)(uintptr_t)name.p, "INBOX", 5); /* decode_name made this copy */
}

bool imap_in_mailbox(struct imap_in *in, struct str *name)
{
	struct str wire;

	if (!imap_in_astring(in, &wire) || !decode_name(in, wire, name))
		return false;
	fold_inbox(*name);
	return true;
}

bool imap_in_pattern(struct imap_in *in, struct str *pattern)
{
	struct str wire;

	if (imap_in_peek(in, '"') || imap_in_peek(in, '{')) {
		if (!imap_in_string(in, &wire))
			return false;
	} else {
		wire = take_class(in, PATTERN);
		if (wire.n == 0)
			return expected(in, "expected a pattern");
	}
	if (!decode_name(in, wire, pattern))
		return false;
	fold_inbox(*pattern);
	return true;
}

bool imap_in_date(struct imap_in *in, int64_t *day)
{
	struct str text;

	if (!imap_in_astring(in, &text))
		return false;
	return date_imap_day_parse(text, day) || expected(in, "expected a date like 5-Nov-2026");
}

bool imap_in_date_time(struct imap_in *in, int64_t *when)
{
	struct str text;
	struct date d;

	if (!imap_in_char(in, '"') || !quoted(in, &text))
		return expected(in, "expected a quoted date and time");
	if (!date_imap_parse(text, &d))
		return expected(in, "expected a date like \"05-Nov-2026 10:00:00 +0100\"");
	*when = d.unix;
	return true;
}

bool imap_has_keyword(struct str keywords, struct str word)
{
	while (keywords.n > 0)
		if (str_eqi(str_word(&keywords, ' '), word))
			return true;
	return false;
}

static const struct {
	struct str name;
	unsigned flag;
} system_flags[] = {
	{ STR_INIT("Answered"), IMAP_ANSWERED },
	{ STR_INIT("Flagged"), IMAP_FLAGGED },
	{ STR_INIT("Deleted"), IMAP_DELETED },
	{ STR_INIT("Seen"), IMAP_SEEN },
	{ STR_INIT("Draft"), IMAP_DRAFT },
};

static bool system_flag(struct imap_in *in, struct imap_flags *flags)
{
	struct str word;

	if (!imap_in_atom(in, &word))
		return false;
	for (size_t i = 0; i < sizeof system_flags / sizeof *system_flags; i++) {
		if (!str_eqi(word, system_flags[i].name))
			continue;
		flags->system |= system_flags[i].flag;
		return true;
	}
	/* RFC 3501 2.3.2: \Recent belongs to the server; RFC 3501 9: other backslash flags are for
	 * later. */
	return expected(in, "unknown flag");
}

static bool one_flag(struct imap_in *in, struct imap_flags *flags, struct buf *words)
{
	struct str word;

	if (imap_in_peek(in, '\\')) {
		in->s = str_from(in->s, 1);
		return system_flag(in, flags);
	}
	if (!imap_in_atom(in, &word))
		return false;
	if (word.n > IMAP_KEYWORD_MAX)
		return expected(in, "that keyword is too long");
	if (imap_has_keyword(buf_str(words), word))
		return true;
	if (words->n > 0)
		buf_addc(words, ' ');
	buf_add(words, word);
	return true;
}

/* Flags up to a closing parenthesis (`listed`) or the end of the command. */
static bool flag_words(struct imap_in *in, struct imap_flags *flags, bool listed)
{
	struct buf words = BUF(IMAP_FLAGS_MAX);
	bool ok = true;

	*flags = (struct imap_flags){ .system = 0 };
	while (ok && !(listed && imap_in_peek(in, ')'))) {
		ok = one_flag(in, flags, &words);
		if (!ok || !imap_in_peek(in, ' '))
			break;
		in->s = str_from(in->s, 1);
		ok = !(listed && imap_in_peek(in, ')')) || expected(in, "expected a flag");
	}
	if (ok && !buf_ok(&words))
		ok = expected(in, "too many keywords");
	if (ok)
		ok = arena_str(in->mem, buf_str(&words), &flags->keywords) || expected(in, "");
	buf_free(&words);
	return ok;
}

bool imap_in_flag_list(struct imap_in *in, struct imap_flags *flags)
{
	return imap_in_char(in, '(') && flag_words(in, flags, true) && imap_in_char(in, ')');
}

bool imap_in_flags(struct imap_in *in, struct imap_flags *flags)
{
	return imap_in_peek(in, '(') ? imap_in_flag_list(in, flags) : flag_words(in, flags, false);
}

static bool set_number(struct imap_in *in, uint32_t *n)
{
	if (imap_in_peek(in, '*')) {
		in->s = str_from(in->s, 1);
		*n = IMAP_STAR;
		return true;
	}
	return imap_in_nonzero(in, n);
}

static bool set_range(struct imap_in *in, struct imap_range *r)
{
	if (!set_number(in, &r->first))
		return false;
	r->last = r->first;
	if (!imap_in_peek(in, ':'))
		return true;
	in->s = str_from(in->s, 1);
	return set_number(in, &r->last);
}

/* How many ranges the set can have at most: one more than it has commas. */
static size_t count_ranges(struct str s)
{
	size_t n = 1;

	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == ',')
			n++;
		else if (!is_digit(s.p[i]) && s.p[i] != ':' && s.p[i] != '*')
			break;
	}
	return n;
}

bool imap_in_set(struct imap_in *in, struct imap_set *set)
{
	set->n = 0;
	set->v = arena_array(in->mem, count_ranges(in->s), sizeof *set->v);
	if (!set->v)
		return expected(in, "");
	for (;;) {
		if (!set_range(in, &set->v[set->n++]))
			return false;
		if (!imap_in_peek(in, ','))
			return true;
		in->s = str_from(in->s, 1);
	}
}
