/* parse_search.c - the keys of SEARCH (RFC 3501 6.4.4 and 9). */
#include "imap/search_private.h"

#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

struct keys_in {
	struct imap_in *in;
	const struct imap_view *view;
	struct imap_search *q;
	size_t count;
	bool ascii; /* CHARSET US-ASCII */
};

/* How a key's arguments are read. */
enum argument { NOTHING, ATOM, STRING, NUMBER, DATE, FIELD_AND_STRING };

static const struct {
	struct str name;
	enum imap_key_kind kind;
	unsigned flag;
	bool negated;
	enum argument argument;
} keys[] = {
	{ STR_INIT("ALL"), IMAP_KEY_AND, 0, false, NOTHING },
	{ STR_INIT("ANSWERED"), IMAP_KEY_FLAG, IMAP_ANSWERED, false, NOTHING },
	{ STR_INIT("BCC"), IMAP_KEY_BCC, 0, false, STRING },
	{ STR_INIT("BEFORE"), IMAP_KEY_BEFORE, 0, false, DATE },
	{ STR_INIT("BODY"), IMAP_KEY_BODY, 0, false, STRING },
	{ STR_INIT("CC"), IMAP_KEY_CC, 0, false, STRING },
	{ STR_INIT("DELETED"), IMAP_KEY_FLAG, IMAP_DELETED, false, NOTHING },
	{ STR_INIT("DRAFT"), IMAP_KEY_FLAG, IMAP_DRAFT, false, NOTHING },
	{ STR_INIT("FLAGGED"), IMAP_KEY_FLAG, IMAP_FLAGGED, false, NOTHING },
	{ STR_INIT("FROM"), IMAP_KEY_FROM, 0, false, STRING },
	{ STR_INIT("HEADER"), IMAP_KEY_HEADER, 0, false, FIELD_AND_STRING },
	{ STR_INIT("KEYWORD"), IMAP_KEY_KEYWORD, 0, false, ATOM },
	{ STR_INIT("LARGER"), IMAP_KEY_LARGER, 0, false, NUMBER },
	{ STR_INIT("OLD"), IMAP_KEY_RECENT, 0, true, NOTHING },
	{ STR_INIT("ON"), IMAP_KEY_ON, 0, false, DATE },
	{ STR_INIT("RECENT"), IMAP_KEY_RECENT, 0, false, NOTHING },
	{ STR_INIT("SEEN"), IMAP_KEY_FLAG, IMAP_SEEN, false, NOTHING },
	{ STR_INIT("SENTBEFORE"), IMAP_KEY_SENTBEFORE, 0, false, DATE },
	{ STR_INIT("SENTON"), IMAP_KEY_SENTON, 0, false, DATE },
	{ STR_INIT("SENTSINCE"), IMAP_KEY_SENTSINCE, 0, false, DATE },
	{ STR_INIT("SINCE"), IMAP_KEY_SINCE, 0, false, DATE },
	{ STR_INIT("SMALLER"), IMAP_KEY_SMALLER, 0, false, NUMBER },
	{ STR_INIT("SUBJECT"), IMAP_KEY_SUBJECT, 0, false, STRING },
	{ STR_INIT("TEXT"), IMAP_KEY_TEXT, 0, false, STRING },
	{ STR_INIT("TO"), IMAP_KEY_TO, 0, false, STRING },
	{ STR_INIT("UNANSWERED"), IMAP_KEY_FLAG, IMAP_ANSWERED, true, NOTHING },
	{ STR_INIT("UNDELETED"), IMAP_KEY_FLAG, IMAP_DELETED, true, NOTHING },
	{ STR_INIT("UNDRAFT"), IMAP_KEY_FLAG, IMAP_DRAFT, true, NOTHING },
	{ STR_INIT("UNFLAGGED"), IMAP_KEY_FLAG, IMAP_FLAGGED, true, NOTHING },
	{ STR_INIT("UNKEYWORD"), IMAP_KEY_KEYWORD, 0, true, ATOM },
	{ STR_INIT("UNSEEN"), IMAP_KEY_FLAG, IMAP_SEEN, true, NOTHING },
};

static bool fail(struct keys_in *k, const char *why)
{
	k->in->why = k->in->mem->over ? "the command is too large" : why;
	return false;
}

static struct imap_key *new_key(struct keys_in *k, enum imap_key_kind kind)
{
	struct imap_key *key =
		++k->count <= IMAP_SEARCH_KEYS_MAX ? arena_alloc(k->in->mem, sizeof *key) : NULL;

	if (key)
		key->kind = kind;
	else
		fail(k, "too many search keys");
	return key;
}

void imap_fold(struct str text, struct buf *out)
{
	while (text.n > 0) {
		uint32_t c;
		bool ok;

		if ((unsigned char)text.p[0] < 128) {
			buf_addc(out, to_lower(text.p[0]));
			text = str_from(text, 1);
			continue;
		}
		utf8_next(&text, &c, &ok);
		utf8_put(out, ok ? (uint32_t)utf8proc_tolower((utf8proc_int32_t)c) : c);
	}
}

static bool in_text(struct keys_in *k, struct str *text)
{
	struct buf b = BUF(4 * IMAP_LINE_MAX);
	struct str raw;
	bool ok;

	if (!imap_in_space(k->in) || !imap_in_astring(k->in, &raw))
		return false;
	if (k->ascii ? !utf8_is_ascii(raw) : !utf8_valid(raw))
		return fail(k, "that text is not in the charset");
	imap_fold(raw, &b);
	ok = buf_ok(&b) && arena_str(k->in->mem, buf_str(&b), text);
	buf_free(&b);
	return ok || fail(k, "that text is too long");
}

static bool in_argument(struct keys_in *k, struct imap_key *key, enum argument argument)
{
	uint32_t n;

	switch (argument) {
	case NOTHING:
		return true;
	case ATOM:
		return imap_in_space(k->in) && imap_in_atom(k->in, &key->name);
	case STRING:
		return in_text(k, &key->text);
	case NUMBER:
		if (!imap_in_space(k->in) || !imap_in_number(k->in, &n))
			return false;
		key->number = n;
		return true;
	case DATE:
		return imap_in_space(k->in) && imap_in_date(k->in, &key->number);
	case FIELD_AND_STRING:
		break;
	}
	return imap_in_space(k->in) && imap_in_astring(k->in, &key->name) && in_text(k, &key->text);
}

/* A set of numbers, or with `uids` of UIDs. */
static bool in_uids(struct keys_in *k, bool uids, struct imap_key **out)
{
	struct imap_key *key = new_key(k, IMAP_KEY_UIDS);
	struct imap_ranges ranges = { .v = NULL };
	struct imap_set set;
	bool ok = false;

	*out = key;
	if (!key || !imap_in_set(k->in, &set) ||
		!imap_view_resolve(k->view, &set, uids, &ranges, &k->in->why))
		goto out;
	key->uids = arena_array(k->in->mem, ranges.n + 1, sizeof *key->uids);
	if (!key->uids) {
		fail(k, "");
		goto out;
	}
	if (ranges.n > 0)
		memcpy(key->uids, ranges.v, ranges.n * sizeof *key->uids);
	key->uid_count = ranges.n;
	ok = true;
out:
	imap_ranges_free(&ranges);
	return ok;
}

static bool in_key(struct keys_in *k, unsigned depth, struct imap_key **out);

static bool in_or(struct keys_in *k, unsigned depth, struct imap_key **out)
{
	struct imap_key *key = new_key(k, IMAP_KEY_OR);

	*out = key;
	return key && imap_in_space(k->in) && in_key(k, depth, &key->children) &&
		imap_in_space(k->in) && in_key(k, depth, &key->children->next);
}

/* NEW is RECENT and UNSEEN. */
static bool make_new(struct keys_in *k, struct imap_key **out)
{
	struct imap_key *both = new_key(k, IMAP_KEY_AND), *recent = new_key(k, IMAP_KEY_RECENT);
	struct imap_key *unseen = new_key(k, IMAP_KEY_FLAG);

	*out = both;
	if (!both || !recent || !unseen)
		return false;
	unseen->number = IMAP_SEEN;
	unseen->negated = true;
	both->children = recent;
	recent->next = unseen;
	return true;
}

static bool in_named(struct keys_in *k, unsigned depth, struct imap_key **out)
{
	struct str name;

	if (!imap_in_atom(k->in, &name))
		return fail(k, "expected a search key");
	if (str_eqi(name, STR("OR")))
		return in_or(k, depth, out);
	if (str_eqi(name, STR("NEW")))
		return make_new(k, out);
	if (str_eqi(name, STR("UID")))
		return imap_in_space(k->in) && in_uids(k, true, out);
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct imap_key *key;

		if (!str_eqi(name, keys[i].name))
			continue;
		key = new_key(k, keys[i].kind);
		if (!key)
			return false;
		key->negated = keys[i].negated;
		key->number = keys[i].flag;
		if (key->kind >= IMAP_KEY_SENTBEFORE)
			k->q->wants_facts = true;
		*out = key;
		return in_argument(k, key, keys[i].argument);
	}
	return fail(k, "unknown search key");
}

/* Keys with spaces between, to a closing parenthesis (depth > 0) or the end. */
static bool in_list(struct keys_in *k, unsigned depth, struct imap_key *list)
{
	struct imap_key **end = &list->children;

	for (;;) {
		if (!in_key(k, depth, end))
			return false;
		end = &(*end)->next;
		if (!imap_in_peek(k->in, ' '))
			return true;
		k->in->s = str_from(k->in->s, 1);
	}
}

static bool in_group(struct keys_in *k, unsigned depth, struct imap_key **out)
{
	struct imap_key *key = new_key(k, IMAP_KEY_AND);

	*out = key;
	return key && imap_in_char(k->in, '(') && in_list(k, depth, key) &&
		imap_in_char(k->in, ')');
}

static bool in_key(struct keys_in *k, unsigned depth, struct imap_key **out)
{
	bool negated = false, ok;

	if (depth == IMAP_SEARCH_DEPTH_MAX)
		return fail(k, "the search keys are nested too deep");
	while (str_take(&k->in->s, STR("NOT ")))
		negated = !negated;
	if (imap_in_peek(k->in, '('))
		ok = in_group(k, depth + 1, out);
	else if (imap_in_peek(k->in, '*') || (k->in->s.n > 0 && is_digit(k->in->s.p[0])))
		ok = in_uids(k, false, out);
	else
		ok = in_named(k, depth + 1, out);
	if (ok && negated)
		(*out)->negated = !(*out)->negated;
	return ok;
}

/* RFC 3501 6.4.4: we know US-ASCII and UTF-8. */
static bool in_charset(struct keys_in *k)
{
	struct str name;

	if (!str_take(&k->in->s, STR("CHARSET ")))
		return true;
	if (!imap_in_astring(k->in, &name) || !imap_in_space(k->in))
		return false;
	k->ascii = str_eqi(name, STR("US-ASCII"));
	k->q->bad_charset = !k->ascii && !str_eqi(name, STR("UTF-8"));
	return true;
}

bool imap_in_search(struct imap_in *in, const struct imap_view *view, struct imap_search *q)
{
	struct keys_in k = { .in = in, .view = view, .q = q };

	*q = (struct imap_search){ .root = NULL };
	if (!imap_in_space(in) || !in_charset(&k))
		return false;
	if (q->bad_charset)
		return true;
	q->root = new_key(&k, IMAP_KEY_AND);
	return q->root && in_list(&k, 0, q->root) && imap_in_end(in);
}
