#include "mail/preview.h"
#include "base/utf8.h"

#include <string.h>

enum { STEP = 512 }; /* small: most previews are full after one */

void preview_init(struct preview *p)
{
	*p = (struct preview){ .bytes = BUF(STEP + 8), .chars = BUF((STEP + 8) * 3 + 16) };
}

void preview_free(struct preview *p)
{
	buf_free(&p->bytes);
	buf_free(&p->chars);
}

/* ---- text ---------------------------------------------------------------------------------- */

/* Characters that show nothing; marketing mail fills its first lines with them. */
static bool is_filler(uint32_t c)
{
	return c < 32 || c == 127 || (c >= 0x80 && c < 0xa0) || c == 0xad || c == 0x34f ||
		c == 0x61c || c == 0x180e || (c >= 0x200b && c <= 0x200f) ||
		(c >= 0x202a && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

static bool is_blank(uint32_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0xa0 || c == 0x2007 ||
		c == 0x202f || c == 0x2028 || c == 0x2029 || c == 0x3000;
}

static void add_char(struct preview *p, uint32_t c)
{
	char bytes[4];
	size_t n, space = p->space && p->n;

	if (is_blank(c)) {
		p->space = true;
		return;
	}
	if (is_filler(c))
		return;
	n = utf8_encode(c, bytes);
	if (p->n + space + n > sizeof p->text) {
		p->full = true;
	} else {
		if (space)
			p->text[p->n++] = ' ';
		memcpy(p->text + p->n, bytes, n);
		p->n += n;
	}
	p->space = false;
}

/* ---- HTML ---------------------------------------------------------------------------------- */

static struct str word(const struct preview *p)
{
	return str_make(p->word, p->word_n);
}

static void add_to_word(struct preview *p, char c)
{
	if (p->word_n < sizeof p->word)
		p->word[p->word_n++] = to_lower(c);
	else
		p->word_done = true; /* too long to be one that we know */
}

static bool is_one_of(struct str s, const struct str *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(s, list[i]))
			return true;
	return false;
}

static void end_tag(struct preview *p)
{
	static const struct str skipped[] = { STR_INIT("style"), STR_INIT("script"),
		STR_INIT("title"), STR_INIT("head"), STR_INIT("textarea"), STR_INIT("template") };
	static const struct str inlines[] = { STR_INIT("b"), STR_INIT("i"), STR_INIT("u"),
		STR_INIT("em"), STR_INIT("strong"), STR_INIT("span"), STR_INIT("a"),
		STR_INIT("font") };
	struct str name = p->word_done && p->word_n == sizeof p->word ? STR("") : word(p);
	bool closing = str_take(&name, STR("/"));

	p->state = HTML_TEXT;
	if (p->hidden[0]) {
		bool head = str_eq(str_c(p->hidden), STR("head"));

		if ((closing && str_eq(name, str_c(p->hidden))) ||
			(head && str_eq(name, STR("body"))))
			p->hidden[0] = '\0';
		return;
	}
	if (!closing && is_one_of(name, skipped, sizeof skipped / sizeof skipped[0]))
		str_z(name, p->hidden, sizeof p->hidden);
	else if (!is_one_of(name, inlines, sizeof inlines / sizeof inlines[0]))
		p->space = true;
}

/* In a script or style only its own end tag is one. */
static bool is_no_tag(const struct preview *p)
{
	struct str w = word(p), name = str_c(p->hidden);

	if (!name.n || str_eq(name, STR("head")))
		return false;
	return !str_take(&w, STR("/")) || !str_starts(name, w);
}

static void in_tag(struct preview *p, uint32_t c)
{
	if (p->quote) {
		if (c == (unsigned char)p->quote)
			p->quote = '\0';
	} else if (c == '>') {
		end_tag(p);
	} else if ((c == '"' || c == '\'') && p->word_done) {
		p->quote = (char)c;
	} else if (c >= 0x80 || is_blank(c) || (c == '/' && p->word_n)) {
		p->word_done = true;
	} else if (!p->word_done) {
		add_to_word(p, (char)c);
		if (is_no_tag(p)) {
			p->state = c == '<' ? HTML_OPEN : HTML_TEXT;
		} else if (str_eq(word(p), STR("!--"))) {
			p->state = HTML_COMMENT;
			p->dashes = 0;
		}
	}
}

static uint32_t named_entity(struct str name)
{
	static const struct {
		struct str name;
		uint32_t cp;
	} names[] = { { STR_INIT("amp"), '&' }, { STR_INIT("lt"), '<' }, { STR_INIT("gt"), '>' },
		{ STR_INIT("quot"), '"' }, { STR_INIT("apos"), '\'' }, { STR_INIT("nbsp"), 0xa0 },
		{ STR_INIT("zwnj"), 0x200c }, { STR_INIT("shy"), 0xad }, { STR_INIT("auml"), 0xe4 },
		{ STR_INIT("ouml"), 0xf6 }, { STR_INIT("uuml"), 0xfc }, { STR_INIT("szlig"), 0xdf },
		{ STR_INIT("eacute"), 0xe9 }, { STR_INIT("egrave"), 0xe8 },
		{ STR_INIT("euro"), 0x20ac }, { STR_INIT("ndash"), 0x2013 },
		{ STR_INIT("mdash"), 0x2014 }, { STR_INIT("hellip"), 0x2026 },
		{ STR_INIT("copy"), 0xa9 }, { STR_INIT("rsquo"), 0x2019 } };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (str_eq(name, names[i].name))
			return names[i].cp;
	return 0;
}

/* The character of "#8364" or "#x20ac" or "euro", or 0. */
static uint32_t entity(struct str name)
{
	uint32_t v = 0;
	bool hex;

	if (!str_take(&name, STR("#")))
		return named_entity(name);
	hex = str_take(&name, STR("x"));
	for (size_t i = 0; i < name.n && v < 0x110000; i++) {
		char c = name.p[i];

		if (is_digit(c))
			v = v * (hex ? 16 : 10) + (uint32_t)(c - '0');
		else if (hex && c >= 'a' && c <= 'f')
			v = v * 16 + (uint32_t)(c - 'a' + 10);
		else
			return 0;
	}
	return v;
}

static void text_char(struct preview *p, uint32_t c)
{
	if (!p->hidden[0])
		add_char(p, c);
}

static void in_entity(struct preview *p, uint32_t c)
{
	uint32_t known;

	if (c < 0x80 && (is_alnum((char)c) || c == '#') && p->word_n < sizeof p->word) {
		add_to_word(p, (char)c);
		return;
	}
	p->state = HTML_TEXT;
	known = entity(word(p));
	if (known) {
		text_char(p, known);
	} else {
		text_char(p, '&');
		for (size_t i = 0; i < p->word_n; i++)
			text_char(p, (unsigned char)p->word[i]);
	}
	if (c == '<')
		p->state = HTML_OPEN;
	else if (c != ';')
		text_char(p, c);
}

static void html_char(struct preview *p, uint32_t c)
{
	switch (p->state) {
	case HTML_TEXT:
		p->word_n = 0;
		p->word_done = false;
		p->quote = '\0';
		if (c == '<')
			p->state = HTML_OPEN;
		else if (c == '&')
			p->state = HTML_ENTITY;
		else
			text_char(p, c);
		break;
	case HTML_OPEN: /* a tag only if a name follows */
		p->word_n = 0;
		p->word_done = false;
		p->state = HTML_TAG;
		if (c < 0x80 && (is_alpha((char)c) || c == '/' || c == '!' || c == '?')) {
			add_to_word(p, (char)c);
			if (is_no_tag(p))
				p->state = HTML_TEXT;
		} else {
			p->state = c == '<' ? HTML_OPEN : HTML_TEXT;
			text_char(p, '<');
			if (c != '<')
				text_char(p, c);
		}
		break;
	case HTML_TAG:
		in_tag(p, c);
		break;
	case HTML_COMMENT:
		if (c == '>' && p->dashes >= 2)
			p->state = HTML_TEXT;
		p->dashes = c == '-' ? p->dashes + 1 : 0;
		break;
	case HTML_ENTITY:
		in_entity(p, c);
		break;
	}
}

/* ---- from the parser ------------------------------------------------------------------------- */

void preview_leaf(void *arg, const struct mime_part *part, const struct mime_info *info)
{
	struct preview *p = arg;
	struct str charset;

	(void)part;
	p->reading = p->n == 0 && mime_is_type(info, STR("text"), STR("")) &&
		!str_eqi(info->disposition, STR("attachment")) &&
		(str_eqi(info->subtype, STR("plain")) || str_eqi(info->subtype, STR("html")));
	if (!p->reading)
		return;
	if (!mime_param_find(info->params, STR("charset"), &charset))
		charset = STR("utf-8");
	p->html = str_eqi(info->subtype, STR("html"));
	p->state = HTML_TEXT;
	p->hidden[0] = '\0';
	p->looked = 0;
	p->space = false;
	p->body = BODY_DECODER(body_encoding_find(info->encoding));
	p->charset = CHARSET_DECODER(charset_find(charset));
}

static void read_chars(struct preview *p)
{
	struct str s = buf_str(&p->chars);
	uint32_t c;

	while (!p->full && utf8_next(&s, &c, NULL)) {
		if (p->html)
			html_char(p, c);
		else
			add_char(p, c);
	}
	buf_clear(&p->chars);
}

void preview_data(void *arg, struct str bytes)
{
	struct preview *p = arg;

	while (p->reading && !p->full && bytes.n) {
		struct str step = str_head(str_head(bytes, STEP), PREVIEW_LOOK_MAX - p->looked);

		p->looked += step.n;
		bytes = str_from(bytes, step.n);
		buf_clear(&p->bytes);
		body_feed(&p->body, step, &p->bytes);
		charset_feed(&p->charset, buf_str(&p->bytes), &p->chars);
		read_chars(p);
		p->reading = p->looked < PREVIEW_LOOK_MAX;
	}
}

struct str preview_text(struct preview *p)
{
	return str_make(p->text, p->n);
}
