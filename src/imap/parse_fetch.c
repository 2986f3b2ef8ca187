/* parse_fetch.c - what FETCH asks for (RFC 3501 6.4.5 and 9). */
#include "imap/fetch_private.h"

#include <inttypes.h>

enum { FIELDS_MAX = 200, SECTIONS_MAX = 100, LABEL_MAX = 8192 };

static bool fail(struct imap_in *in, const char *why)
{
	in->why = in->mem->over ? "the command is too large" : why;
	return false;
}

/* "1.2." before a keyword, "1.2" alone. */
static bool in_part(struct imap_in *in, struct imap_section *x)
{
	while (in->s.n > 0 && is_digit(in->s.p[0])) {
		if (x->depth == IMAP_PART_DEPTH_MAX)
			return fail(in, "a part that deep does not exist");
		if (!imap_in_nonzero(in, &x->part[x->depth++]))
			return false;
		if (!imap_in_peek(in, '.'))
			return true;
		in->s = str_from(in->s, 1);
		if (in->s.n == 0 || in->s.p[0] == ']')
			return fail(in, "expected a part number or a section name");
	}
	return true;
}

static bool in_fields(struct imap_in *in, struct imap_section *x)
{
	if (!imap_in_space(in) || !imap_in_char(in, '('))
		return false;
	x->fields = arena_array(in->mem, FIELDS_MAX, sizeof *x->fields);
	if (!x->fields)
		return fail(in, "");
	do {
		if (x->field_count == FIELDS_MAX)
			return fail(in, "too many header fields");
		if (!imap_in_astring(in, &x->fields[x->field_count++]))
			return false;
	} while (!imap_in_peek(in, ')') && imap_in_space(in));
	return imap_in_char(in, ')');
}

static bool in_section_text(struct imap_in *in, struct imap_section *x)
{
	if (imap_in_peek(in, ']'))
		return true;
	if (str_take(&in->s, STR("HEADER.FIELDS.NOT")))
		x->kind = IMAP_SECTION_FIELDS_NOT;
	else if (str_take(&in->s, STR("HEADER.FIELDS")))
		x->kind = IMAP_SECTION_FIELDS;
	else if (str_take(&in->s, STR("HEADER")))
		x->kind = IMAP_SECTION_HEADER;
	else if (str_take(&in->s, STR("TEXT")))
		x->kind = IMAP_SECTION_TEXT;
	else if (x->depth > 0 && str_take(&in->s, STR("MIME")))
		x->kind = IMAP_SECTION_MIME;
	else
		return fail(in, "unknown section");
	if (x->kind == IMAP_SECTION_FIELDS || x->kind == IMAP_SECTION_FIELDS_NOT)
		return in_fields(in, x);
	return true;
}

/* "<0.100>" */
static bool in_partial(struct imap_in *in, struct imap_section *x)
{
	uint32_t n;

	if (!imap_in_peek(in, '<'))
		return true;
	in->s = str_from(in->s, 1);
	x->partial = true;
	if (!imap_in_number64(in, &x->offset) || !imap_in_char(in, '.') || !imap_in_nonzero(in, &n))
		return false;
	x->length = n;
	return imap_in_char(in, '>');
}

static void add_field_name(struct buf *b, struct str name)
{
	bool plain = name.n > 0;

	for (size_t i = 0; i < name.n; i++)
		plain = plain && (is_alnum(name.p[i]) || name.p[i] == '-');
	if (plain) {
		buf_add(b, name);
		return;
	}
	buf_addc(b, '"');
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == '"' || name.p[i] == '\\')
			buf_addc(b, '\\');
		buf_addc(b, is_ctl(name.p[i]) || (unsigned char)name.p[i] > 126 ? '?' : name.p[i]);
	}
	buf_addc(b, '"');
}

static void add_section_name(struct buf *b, const struct imap_section *x)
{
	static const char *const names[] = { [IMAP_SECTION_ALL] = "",
		[IMAP_SECTION_HEADER] = "HEADER",
		[IMAP_SECTION_FIELDS] = "HEADER.FIELDS (",
		[IMAP_SECTION_FIELDS_NOT] = "HEADER.FIELDS.NOT (",
		[IMAP_SECTION_TEXT] = "TEXT",
		[IMAP_SECTION_MIME] = "MIME" };

	for (size_t i = 0; i < x->depth; i++)
		buf_addf(b, "%s%" PRIu32, i ? "." : "", x->part[i]);
	if (x->depth > 0 && x->kind != IMAP_SECTION_ALL)
		buf_addc(b, '.');
	buf_addz(b, names[x->kind]);
	for (size_t i = 0; i < x->field_count; i++) {
		if (i > 0)
			buf_addc(b, ' ');
		add_field_name(b, x->fields[i]);
	}
	if (x->field_count > 0)
		buf_addc(b, ')');
}

/* RFC 3501 7.4.2: the answer names the section as it was asked for, without PEEK. */
static bool make_label(struct imap_in *in, struct imap_section *x)
{
	struct buf b = BUF(LABEL_MAX);
	bool ok;

	buf_addz(&b, "BODY[");
	add_section_name(&b, x);
	buf_addc(&b, ']');
	ok = buf_ok(&b) && arena_str(in->mem, buf_str(&b), &x->label);
	buf_free(&b);
	return ok || fail(in, "that section is too long");
}

static struct imap_section *add_section(struct imap_in *in, struct imap_fetch *f)
{
	struct imap_section **end = &f->sections;
	struct imap_section *x;
	size_t n = 0;

	for (; *end; end = &(*end)->next)
		n++;
	x = n < SECTIONS_MAX ? arena_alloc(in->mem, sizeof *x) : NULL;
	if (!x) {
		fail(in, "too many sections");
		return NULL;
	}
	return *end = x;
}

/* Behind "BODY" or "BODY.PEEK", at the bracket. */
static bool in_section(struct imap_in *in, struct imap_fetch *f, bool peek)
{
	struct imap_section *x = add_section(in, f);

	if (!x)
		return false;
	x->peek = peek;
	return imap_in_char(in, '[') && in_part(in, x) && in_section_text(in, x) &&
		imap_in_char(in, ']') && in_partial(in, x) && make_label(in, x);
}

/* The items of RFC 822 times: names for sections. */
static const struct {
	struct str name;
	enum imap_section_kind kind;
	bool peek;
} old_names[] = {
	{ STR_INIT("RFC822.HEADER"), IMAP_SECTION_HEADER, true },
	{ STR_INIT("RFC822.TEXT"), IMAP_SECTION_TEXT, false },
	{ STR_INIT("RFC822"), IMAP_SECTION_ALL, false },
};

static bool in_old_section(struct imap_in *in, struct imap_fetch *f, struct str name)
{
	for (size_t i = 0; i < sizeof old_names / sizeof *old_names; i++) {
		struct imap_section *x;

		if (!str_eqi(name, old_names[i].name))
			continue;
		x = add_section(in, f);
		if (!x)
			return false;
		x->kind = old_names[i].kind;
		x->peek = old_names[i].peek;
		x->label = old_names[i].name;
		return true;
	}
	return fail(in, "unknown item");
}

static const struct {
	struct str name;
	unsigned items;
} plain_items[] = {
	{ STR_INIT("UID"), IMAP_ITEM_UID },
	{ STR_INIT("FLAGS"), IMAP_ITEM_FLAGS },
	{ STR_INIT("INTERNALDATE"), IMAP_ITEM_INTERNALDATE },
	{ STR_INIT("RFC822.SIZE"), IMAP_ITEM_SIZE },
	{ STR_INIT("ENVELOPE"), IMAP_ITEM_ENVELOPE },
	{ STR_INIT("BODY"), IMAP_ITEM_BODY },
	{ STR_INIT("BODYSTRUCTURE"), IMAP_ITEM_BODYSTRUCTURE },
};

static const struct {
	struct str name;
	unsigned items;
} macros[] = {
	{ STR_INIT("FAST"), IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE },
	{ STR_INIT("ALL"),
		IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE | IMAP_ITEM_ENVELOPE },
	{ STR_INIT("FULL"),
		IMAP_ITEM_FLAGS | IMAP_ITEM_INTERNALDATE | IMAP_ITEM_SIZE | IMAP_ITEM_ENVELOPE |
			IMAP_ITEM_BODY },
};

/* An item's name: letters, digits and dots. */
static struct str take_name(struct imap_in *in)
{
	struct str name = { in->s.p, 0 };

	while (name.n < in->s.n && (is_alnum(in->s.p[name.n]) || in->s.p[name.n] == '.'))
		name.n++;
	in->s = str_from(in->s, name.n);
	return name;
}

static bool in_item(struct imap_in *in, struct imap_fetch *f)
{
	struct str name = take_name(in);

	if (imap_in_peek(in, '[')) {
		bool peek = str_eqi(name, STR("BODY.PEEK"));

		if (!peek && !str_eqi(name, STR("BODY")))
			return fail(in, "unknown item");
		return in_section(in, f, peek);
	}
	for (size_t i = 0; i < sizeof plain_items / sizeof *plain_items; i++) {
		if (!str_eqi(name, plain_items[i].name))
			continue;
		f->items |= plain_items[i].items;
		return true;
	}
	return in_old_section(in, f, name);
}

static bool in_macro(struct imap_in *in, struct imap_fetch *f)
{
	for (size_t i = 0; i < sizeof macros / sizeof *macros; i++) {
		if (!str_eqi(in->s, macros[i].name))
			continue;
		in->s = str_from(in->s, in->s.n);
		f->items = macros[i].items;
		return true;
	}
	return false;
}

static bool in_items(struct imap_in *in, struct imap_fetch *f)
{
	if (in_macro(in, f))
		return true;
	if (!imap_in_peek(in, '('))
		return in_item(in, f);
	in->s = str_from(in->s, 1);
	do {
		if (!in_item(in, f))
			return false;
	} while (!imap_in_peek(in, ')') && imap_in_space(in));
	return imap_in_char(in, ')');
}

bool imap_in_fetch(struct imap_in *in, struct imap_fetch *f)
{
	*f = (struct imap_fetch){ .items = 0 };
	if (!imap_in_space(in) || !in_items(in, f))
		return false;
	for (const struct imap_section *x = f->sections; x; x = x->next)
		f->marks_seen = f->marks_seen || !x->peek;
	return true;
}
