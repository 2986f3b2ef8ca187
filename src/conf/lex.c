/* Words, braces, semicolons. A quoted word stays on its line, so that a missing quote is found
 * where it is missing. */
#include "conf/conf_private.h"

static char peek(const struct lexer *l)
{
	return l->at < l->text.n ? l->text.p[l->at] : '\0';
}

static void advance(struct lexer *l)
{
	unsigned char c = (unsigned char)l->text.p[l->at++];

	if (c == '\n') {
		l->place.line++;
		l->place.column = 1;
	} else if ((c & 0xc0) != 0x80) { /* the later bytes of a UTF-8 character take no column */
		l->place.column++;
	}
}

static bool at_end(const struct lexer *l)
{
	return l->at >= l->text.n;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct lexer *l)
{
	while (!at_end(l)) {
		if (peek(l) == '#')
			while (!at_end(l) && peek(l) != '\n')
				advance(l);
		else if (is_space(peek(l)))
			advance(l);
		else
			return;
	}
}

static enum token bad(struct lexer *l, const struct place *at, const char *what)
{
	conf_mistake(l->r, at, "%s", what);
	return T_BAD;
}

static enum token quoted(struct lexer *l, struct word *w)
{
	struct buf text = BUF(CONF_TEXT);
	enum token t = T_WORD;

	advance(l);
	while (t == T_WORD && peek(l) != '"') {
		if (peek(l) == '\\')
			advance(l);
		if (at_end(l) || is_ctl(peek(l))) {
			t = bad(l, &w->place, "this quote does not end on its line");
		} else {
			buf_addc(&text, peek(l));
			advance(l);
		}
	}
	if (t == T_WORD) {
		advance(l);
		if (!buf_ok(&text) || !arena_str(&l->r->c->arena, buf_str(&text), &w->text))
			t = bad(l, &w->place, "out of memory");
	}
	buf_free(&text);
	return t;
}

static bool ends_word(char c)
{
	return is_space(c) || c == ';' || c == '{' || c == '}';
}

static enum token bare(struct lexer *l, struct word *w)
{
	size_t start = l->at;

	while (!at_end(l) && !ends_word(peek(l))) {
		if (is_ctl(peek(l)) || peek(l) == '"')
			return bad(l, &l->place,
				peek(l) == '"' ? "a quote inside a word: quote all of it"
					       : "a control character");
		advance(l);
	}
	w->text = str_head(str_from(l->text, start), l->at - start);
	return T_WORD;
}

enum token conf_lex(struct lexer *l, struct word *w)
{
	skip_space(l);
	*w = (struct word){ STR(""), l->place };
	if (at_end(l))
		return T_EOF;
	switch (peek(l)) {
	case '{':
		advance(l);
		return T_OPEN;
	case '}':
		advance(l);
		return T_CLOSE;
	case ';':
		advance(l);
		return T_END;
	case '"':
		return quoted(l, w);
	}
	return bare(l, w);
}
