#include "mail/address.h"

#include <string.h>

enum { TEXT_MAX = 65536 }; /* bytes of a name, local part, domain or comment that are kept */

static char peek(const struct address_list *l)
{
	return l->rest.n ? l->rest.p[0] : '\0';
}

static void skip(struct address_list *l, size_t n)
{
	l->rest = str_from(l->rest, n);
}

static bool is_space(char c)
{
	return is_wsp(c) || c == '\r' || c == '\n' || c == '\0';
}

static bool is_special(char c)
{
	return c && strchr("()<>[]:;@,\"", c);
}

/* A character of a value that may be folded. */
static void add_clean(struct buf *b, char c)
{
	if (c != '\r' && c != '\n' && c != '\0')
		buf_addc(b, c);
}

/* RFC 5322 3.2.2: comments nest and may quote. One without an end takes the rest of the field. */
static void take_comment(struct address_list *l)
{
	size_t depth = 0, i = 0;

	buf_clear(&l->comment);
	for (; i < l->rest.n; i++) {
		char c = l->rest.p[i];

		if (c == '\\' && i + 1 < l->rest.n)
			c = l->rest.p[++i];
		else if (c == '(' && depth++ == 0)
			continue;
		else if (c == ')' && --depth == 0)
			break;
		add_clean(&l->comment, c);
	}
	skip(l, i + 1);
}

/* White space and comments; true if there was any. */
static bool skip_cfws(struct address_list *l)
{
	bool any = false;

	for (;; any = true) {
		size_t n = 0;

		while (n < l->rest.n && is_space(l->rest.p[n]))
			n++;
		skip(l, n);
		if (peek(l) == '(')
			take_comment(l);
		else if (n == 0)
			return any;
	}
}

/* RFC 5322 3.2.4, without its quotes. False when it has no end; it then takes the rest. */
static bool take_quoted(struct address_list *l, struct buf *spaced, struct buf *tight)
{
	struct str s = l->rest;
	size_t i = 1;

	for (; i < s.n && s.p[i] != '"'; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (spaced)
			add_clean(spaced, s.p[i]);
		add_clean(tight, s.p[i]);
	}
	skip(l, i + 1);
	return i < s.n;
}

static void take_atom(struct address_list *l, struct buf *spaced, struct buf *tight)
{
	size_t n = 0;

	while (n < l->rest.n && !is_space(l->rest.p[n]) && !is_special(l->rest.p[n]))
		n++;
	if (spaced)
		buf_add(spaced, str_head(l->rest, n));
	buf_add(tight, str_head(l->rest, n));
	skip(l, n);
}

/* Words up to a special character: with their spaces (a phrase) and drawn together (a local part
 * or domain; RFC 5322 4.4 allowed white space around their dots). */
static bool take_words(struct address_list *l, struct buf *spaced, struct buf *tight)
{
	bool ok = true;

	for (;;) {
		bool gap = skip_cfws(l);

		if (!l->rest.n || (is_special(peek(l)) && peek(l) != '"'))
			return ok;
		if (spaced && gap && spaced->n)
			buf_addc(spaced, ' ');
		if (peek(l) == '"')
			ok &= take_quoted(l, spaced, tight);
		else
			take_atom(l, spaced, tight);
	}
}

static bool take_domain(struct address_list *l)
{
	size_t end;

	skip(l, 1);
	skip_cfws(l);
	if (peek(l) != '[')
		return take_words(l, NULL, &l->domain) && l->domain.n;
	end = str_find(l->rest, ']');
	for (size_t i = 0; i <= end && i < l->rest.n; i++)
		if (!is_space(l->rest.p[i]))
			buf_addc(&l->domain, l->rest.p[i]);
	skip(l, end + 1);
	skip_cfws(l);
	return str_endsi(buf_str(&l->domain), STR("]"));
}

/* RFC 5322 3.4 angle-addr, with the route of 4.4, which is dropped. */
static bool take_angle(struct address_list *l)
{
	bool ok = true;

	skip(l, 1);
	buf_clear(&l->local);
	buf_clear(&l->domain);
	skip_cfws(l);
	if (peek(l) == '@') {
		skip(l, str_find(str_head(l->rest, str_find(l->rest, '>')), ':') + 1);
		buf_clear(&l->local);
	}
	ok &= take_words(l, NULL, &l->local) && l->local.n;
	if (peek(l) == '@')
		ok &= take_domain(l);
	else
		ok = false;
	if (peek(l) != '>')
		return false;
	skip(l, 1);
	return ok;
}

/* Whatever stands before the next separator does not belong there. */
static bool skip_junk(struct address_list *l)
{
	bool clean = true;

	for (;;) {
		skip_cfws(l);
		if (!l->rest.n || peek(l) == ',' || peek(l) == ';')
			return clean;
		clean = false;
		if (peek(l) == '"')
			take_quoted(l, NULL, &l->domain);
		else
			skip(l, 1);
	}
}

/* "ann@example.org <ann@example.org>": an address in the place of a name is a name. */
static void address_as_name(struct address_list *l)
{
	buf_clear(&l->name);
	buf_add(&l->name, buf_str(&l->local));
	buf_addc(&l->name, '@');
	buf_add(&l->name, buf_str(&l->domain));
}

static enum address_item_kind take_item(struct address_list *l)
{
	bool ok = take_words(l, &l->name, &l->local), named = true;

	if (peek(l) == ':' && !l->in_group && ok) {
		skip(l, 1);
		l->in_group = true;
		return ADDRESS_ITEM_GROUP;
	}
	if (peek(l) == '@') {
		ok &= l->local.n > 0;
		ok &= take_domain(l);
		named = peek(l) == '<';
		if (named)
			address_as_name(l);
	} else if (peek(l) != '<') {
		ok = false;
	}
	if (peek(l) == '<')
		ok &= take_angle(l);
	if (!named || !l->domain.n)
		buf_clear(&l->name);
	ok &= skip_junk(l);
	ok &= buf_ok(&l->name) && buf_ok(&l->local) && buf_ok(&l->domain);
	return ok ? ADDRESS_ITEM_MAILBOX : ADDRESS_ITEM_BROKEN;
}

/* To the start of the next item. False when there is none. */
static bool skip_separators(struct address_list *l)
{
	for (;;) {
		skip_cfws(l);
		if (peek(l) == ',' || (peek(l) == ';' && !l->in_group))
			skip(l, 1);
		else
			return l->rest.n > 0;
	}
}

void address_list_init(struct address_list *l, struct str value)
{
	*l = (struct address_list){ .rest = value,
		.name = BUF(TEXT_MAX),
		.local = BUF(TEXT_MAX),
		.domain = BUF(TEXT_MAX),
		.comment = BUF(TEXT_MAX) };
}

bool address_list_next(struct address_list *l, struct address_item *item)
{
	bool more = skip_separators(l);

	buf_clear(&l->name);
	buf_clear(&l->local);
	buf_clear(&l->domain);
	buf_clear(&l->comment);
	*item = (struct address_item){ ADDRESS_ITEM_GROUP_END, STR(""), STR(""), STR("") };
	if (l->in_group && (!more || peek(l) == ';')) {
		skip(l, 1);
		l->in_group = false;
		return true;
	}
	if (more && l->items >= ADDRESS_LIST_MAX) {
		l->over = true;
		more = false;
	}
	if (!more)
		return false;
	l->items++;
	item->kind = take_item(l);
	item->name = buf_str(&l->name);
	if (item->kind == ADDRESS_ITEM_GROUP)
		return true;
	if (item->name.n == 0)
		item->name = str_trim(buf_str(&l->comment));
	item->local = buf_str(&l->local);
	item->domain = buf_str(&l->domain);
	return true;
}

void address_list_free(struct address_list *l)
{
	buf_free(&l->name);
	buf_free(&l->local);
	buf_free(&l->domain);
	buf_free(&l->comment);
}
