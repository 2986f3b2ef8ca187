#include "base/codec.h"
#include "mail/charset.h"
#include "mail/encode.h"
#include "mail/mime_private.h"

#include <string.h>

/* ---- coding -------------------------------------------------------------------------------- */

void code_u64(struct buf *b, uint64_t v)
{
	while (v >= 0x80) {
		buf_addc(b, (char)(0x80 | (v & 0x7f)));
		v >>= 7;
	}
	buf_addc(b, (char)v);
}

void code_str(struct buf *b, struct str s)
{
	code_u64(b, s.n);
	buf_add(b, s);
}

bool code_take_u64(struct str *s, uint64_t max, uint64_t *v)
{
	uint64_t got = 0;

	for (unsigned shift = 0; shift < 63 && s->n; shift += 7) {
		unsigned char c = (unsigned char)s->p[0];

		*s = str_from(*s, 1);
		got |= (uint64_t)(c & 0x7f) << shift;
		if (c < 0x80) {
			*v = got;
			return got <= max;
		}
	}
	return false;
}

bool code_take_str(struct str *s, struct str *v)
{
	uint64_t n;

	if (!code_take_u64(s, s->n, &n) || n > s->n)
		return false;
	*v = str_head(*s, (size_t)n);
	*s = str_from(*s, (size_t)n);
	return true;
}

void code_tagged(struct buf *b, unsigned tag, struct str s)
{
	if (s.n) {
		buf_addc(b, (char)tag);
		code_str(b, s);
	}
}

static bool take_tagged(struct str *s, unsigned *tag, struct str *v)
{
	if (s->n == 0)
		return false;
	*tag = (unsigned char)s->p[0];
	*s = str_from(*s, 1);
	return code_take_str(s, v);
}

void mime_info_read(const struct mime_part *p, struct mime_info *info)
{
	struct str none = STR(""), rest = p->info, v;
	struct str *const at[INFO_TAGS] = { NULL, &info->type, &info->subtype, &info->params,
		&info->id, &info->description, &info->encoding, &info->disposition,
		&info->disposition_params, &info->language, &info->location, &info->md5 };
	unsigned tag;

	for (unsigned i = 1; i < INFO_TAGS; i++)
		*at[i] = none;
	while (take_tagged(&rest, &tag, &v))
		if (tag && tag < INFO_TAGS)
			*at[tag] = v;
	if (!info->type.n) {
		info->type = STR("text");
		info->subtype = STR("plain");
	}
	if (!info->encoding.n)
		info->encoding = STR("7bit");
}

void mime_envelope_read(struct str coded, struct mime_envelope *e)
{
	struct str v;
	struct str *const at[ENVELOPE_TAGS] = { NULL, &e->date, &e->subject, &e->from, &e->sender,
		&e->reply_to, &e->to, &e->cc, &e->bcc, &e->in_reply_to, &e->message_id };
	unsigned tag;

	for (unsigned i = 1; i < ENVELOPE_TAGS; i++)
		*at[i] = STR("");
	while (take_tagged(&coded, &tag, &v))
		if (tag && tag < ENVELOPE_TAGS)
			*at[tag] = v;
}

bool mime_is_type(const struct mime_info *info, struct str type, struct str subtype)
{
	return str_eqi(info->type, type) && (subtype.n == 0 || str_eqi(info->subtype, subtype));
}

/* ---- tokens ------------------------------------------------------------------------------------
 */

/* RFC 2045 5.1 token; 8-bit bytes pass, because they occur. */
static bool is_token_char(char c)
{
	return c && !is_ctl(c) && c != ' ' && !strchr("()<>@,;:\\\"/[]?=", c);
}

static void skip_cfws(struct str *s)
{
	size_t i = 0, depth = 0;

	for (; i < s->n; i++) {
		char c = s->p[i];

		if (depth && c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (depth && c == ')')
			depth--;
		else if (!depth && !is_wsp(c))
			break;
	}
	*s = str_from(*s, i);
}

struct str value_take_token(struct str *value)
{
	struct str token;
	size_t n = 0;

	skip_cfws(value);
	while (n < value->n && is_token_char(value->p[n]))
		n++;
	token = str_head(*value, n);
	*value = str_from(*value, n);
	skip_cfws(value);
	return token;
}

bool value_take_type(struct str *value, struct str *type, struct str *subtype)
{
	*type = value_take_token(value);
	if (!type->n || !str_take(value, STR("/")))
		return false;
	*subtype = value_take_token(value);
	return subtype->n > 0;
}

/* ---- parameters
 * ---------------------------------------------------------------------------------- */

struct param {
	struct str name; /* without what RFC 2231 adds */
	struct str raw;  /* with the quotes, if it has them */
	unsigned section;
	bool sectioned, extended, done;
};

/* Drop the quotes (RFC 822 quoted-string). */
static void unquote(struct buf *b, struct str raw)
{
	if (raw.n == 0 || raw.p[0] != '"') {
		buf_add(b, raw);
		return;
	}
	for (size_t i = 1; i < raw.n && raw.p[i] != '"'; i++) {
		if (raw.p[i] == '\\' && i + 1 < raw.n)
			i++;
		buf_addc(b, raw.p[i]);
	}
}

/* A quoted string, or everything up to the next ";" or comment: careless programs leave out quotes.
 */
static struct str take_raw_value(struct str *s)
{
	size_t n = 0;
	struct str raw;

	skip_cfws(s);
	if (s->n && s->p[0] == '"') {
		for (n = 1; n < s->n && s->p[n] != '"'; n++)
			n += s->p[n] == '\\';
		n++;
	} else {
		while (n < s->n && s->p[n] != ';' && s->p[n] != '(')
			n++;
	}
	raw = str_head(*s, n);
	*s = str_from(*s, n);
	return str_trim(raw);
}

/* RFC 2231 3 and 4: name*2* is section 2 of name, extended. */
static void split_name(struct param *p)
{
	struct str head, number;
	uint64_t v;

	if (p->name.n && p->name.p[p->name.n - 1] == '*') {
		p->extended = true;
		p->name.n--;
	}
	if (str_rcut(p->name, '*', &head, &number) && str_u64(number, 999, &v) &&
		(number.n == 1 || number.p[0] != '0')) {
		p->name = head;
		p->section = (unsigned)v;
		p->sectioned = true;
	}
}

static bool take_param(struct str *s, struct param *p, bool *odd)
{
	for (;;) {
		skip_cfws(s);
		if (s->n == 0)
			return false;
		if (s->p[0] == ';') {
			*s = str_from(*s, 1);
			continue;
		}
		*p = (struct param){ .name = value_take_token(s) };
		if (p->name.n && str_take(s, STR("="))) {
			p->raw = take_raw_value(s);
			split_name(p);
			return p->name.n > 0;
		}
		*odd = true; /* skip what cannot be read */
		*s = str_from(*s, str_find(*s, ';'));
	}
}

static struct param *find_section(struct param *p, size_t n, struct str name, unsigned section)
{
	for (size_t i = 0; i < n; i++)
		if (!p[i].done && p[i].sectioned && p[i].section == section &&
			str_eqi(p[i].name, name))
			return &p[i];
	return NULL;
}

static void add_percent(struct buf *b, struct str s)
{
	static const char hex[] = "0123456789ABCDEF";

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_token_char(s.p[i]) && c < 0x80 && c != '%' && c != '\'' && c != '*')
			buf_addc(b, s.p[i]);
		else
			buf_addf(b, "%%%c%c", hex[c >> 4], hex[c & 15]);
	}
}

/* Join the sections of p[first]'s name. They are extended if any of them is. */
static void join_sections(
	struct param *p, size_t n, size_t first, struct buf *value, bool *extended)
{
	struct str name = p[first].name;
	struct param *s;

	*extended = false;
	for (size_t i = first; i < n; i++)
		*extended |= p[i].sectioned && p[i].extended && str_eqi(p[i].name, name);
	for (unsigned number = 0; (s = find_section(p, n, name, number)); number++) {
		s->done = true;
		if (number == 0 && *extended && !s->extended)
			buf_add(value, STR("''")); /* no charset was named */
		if (*extended && !s->extended) {
			struct buf plain = BUF(s->raw.n);

			unquote(&plain, s->raw);
			add_percent(value, buf_str(&plain));
			buf_free(&plain);
		} else {
			unquote(value, s->raw);
		}
	}
	for (size_t i = first; i < n; i++) /* sections after a gap are lost */
		if (p[i].sectioned && str_eqi(p[i].name, name))
			p[i].done = true;
}

static void code_param(struct buf *out, struct str name, bool extended, struct str value)
{
	code_u64(out, name.n + extended);
	buf_add(out, name);
	if (extended)
		buf_addc(out, '*');
	code_str(out, value);
}

void value_code_params(struct str value, struct buf *out, bool *odd)
{
	struct param p[MIME_PARAMS_MAX];
	struct buf v = BUF(value.n * 3 + 2);
	size_t n = 0;

	while (n < MIME_PARAMS_MAX && take_param(&value, &p[n], odd))
		n++;
	*odd |= value.n > 0;
	for (size_t i = 0; i < n; i++) {
		bool extended = p[i].extended;

		if (p[i].done)
			continue;
		buf_clear(&v);
		if (p[i].sectioned)
			join_sections(p, n, i, &v, &extended);
		else
			unquote(&v, p[i].raw);
		for (size_t j = 0; j < i; j++)
			*odd |= !p[i].sectioned && p[j].extended == p[i].extended &&
				str_eqi(p[j].name, p[i].name);
		if (v.n || !p[i].sectioned)
			code_param(out, p[i].name, extended, buf_str(&v));
	}
	buf_free(&v);
}

bool mime_param_next(struct str *rest, struct str *name, struct str *value)
{
	return code_take_str(rest, name) && code_take_str(rest, value);
}

bool mime_param_find(struct str params, struct str name, struct str *value)
{
	struct str n;

	while (mime_param_next(&params, &n, value))
		if (str_eqi(n, name))
			return true;
	return false;
}

/* RFC 2231 4: charset'language'text with percent codes. */
static void decode_extended(struct str value, struct buf *text)
{
	struct str charset, language, rest = value;
	struct buf bytes = BUF(value.n);

	if (str_cut(value, '\'', &charset, &rest) && str_cut(rest, '\'', &language, &rest))
		value = rest;
	else
		charset = STR("utf-8");
	for (size_t i = 0; i < value.n; i++) {
		int hi = i + 2 < value.n ? hex_digit(value.p[i + 1]) : -1;
		int lo = i + 2 < value.n ? hex_digit(value.p[i + 2]) : -1;

		if (value.p[i] == '%' && hi >= 0 && lo >= 0) {
			buf_addc(&bytes, (char)(hi << 4 | lo));
			i += 2;
		} else {
			buf_addc(&bytes, value.p[i]);
		}
	}
	charset_to_utf8(charset.n ? charset : STR("utf-8"), buf_str(&bytes), text);
	buf_free(&bytes);
}

bool mime_param_text(struct str params, struct str name, struct buf *text)
{
	struct str rest = params, n, value;

	while (mime_param_next(&rest, &n, &value))
		if (n.n == name.n + 1 && n.p[name.n] == '*' && str_eqi(str_head(n, name.n), name)) {
			decode_extended(value, text);
			return true;
		}
	if (!mime_param_find(params, name, &value))
		return false;
	words_decode(value, text);
	return true;
}
