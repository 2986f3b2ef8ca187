#include "mail/border.h"

#include <string.h>

enum {
	AT_NAME,  /* undecided, from here on */
	AT_COLON, /* the name is one of ours; nothing but spaces may come before the colon */
	AT_ID,
	KEEPING, /* decided, up to the next field */
	DROPPING,
	AT_BODY,
};
enum { V_TEXT, V_QUOTED, V_COMMENT };
enum { ESCAPED = 0x80 }; /* the next byte stands for itself */

static const struct str results = STR_INIT("authentication-results");
static const struct str return_path = STR_INIT("return-path");

static bool undecided(const struct border *b)
{
	return b->state < KEEPING;
}

static void begin_field(struct border *b)
{
	b->state = AT_NAME;
	b->value = V_TEXT;
	b->name_n = b->id_n = 0;
	b->length = b->depth = 0;
}

/* ---- the id ---- */

static bool is_word(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_';
}

/* The first word, or with `spaces` what is left of it when spaces are nothing, against our name. */
static bool names_us(const struct border *b, bool spaces)
{
	struct str host = b->host;
	size_t k = 0;

	for (size_t i = 0; i < b->id_n; i++) {
		if (spaces && b->id[i] == ' ')
			continue;
		if (!is_word(b->id[i]))
			break;
		if (k < host.n ? b->id[i] != to_lower(host.p[k]) : b->id[i] != '.')
			return false;
		k++;
	}
	return k >= host.n;
}

/* What has no id, or one whose letters could be read as ours, is nobody's loss. */
static bool is_ours(const struct border *b)
{
	struct str id = str_trim(str_make(b->id, b->id_n));

	if (id.n == 0)
		return true;
	for (size_t i = 0; i < id.n; i++)
		if ((unsigned char)id.p[i] > 126)
			return true;
	return names_us(b, false) || names_us(b, true);
}

static void add_id(struct border *b, char c)
{
	if (c == ' ' && (b->id_n == 0 || b->id[b->id_n - 1] == ' '))
		return;
	b->id[b->id_n++] = to_lower(c);
}

static void decide_id(struct border *b)
{
	b->state = is_ours(b) ? DROPPING : KEEPING;
}

static void comment_byte(struct border *b, char c)
{
	if (c == '(')
		b->depth++;
	if (c == ')' && --b->depth == 0)
		b->value = V_TEXT;
}

/* RFC 8601 2.2: [CFWS] authserv-id [CFWS version], up to the semicolon. */
static void id_byte(struct border *b, char c)
{
	if (b->value & ESCAPED) {
		b->value &= (unsigned char)~ESCAPED;
		if (b->value == V_QUOTED)
			add_id(b, c);
	} else if (c == '\\' && b->value != V_TEXT) {
		b->value |= ESCAPED;
	} else if (b->value == V_COMMENT) {
		comment_byte(b, c);
	} else if (c == '"') {
		b->value = b->value == V_QUOTED ? V_TEXT : V_QUOTED;
	} else if (c == '(' && b->value == V_TEXT) {
		b->value = V_COMMENT;
		b->depth = 1;
	} else if (c == ';') {
		decide_id(b);
	} else {
		add_id(b, is_ctl(c) ? ' ' : c);
	}
	if (undecided(b) && b->id_n == sizeof b->id)
		decide_id(b);
}

/* ---- the name ---- */

static bool name_is(const struct border *b, struct str name)
{
	return str_eq(str_make(b->name, b->name_n), name);
}

static void name_byte(struct border *b, char c)
{
	bool empty = b->name_n == 0 || b->name[0] == '\r';

	if (c == '\n' && empty && b->name_n <= 1) {
		b->state = AT_BODY; /* RFC 5322 2.1: an empty line ends the head */
	} else if (c == ':' || is_wsp(c) || c == '\n' || (c == '\r' && !empty)) {
		bool ours = name_is(b, results) || name_is(b, return_path);

		b->state = ours ? AT_COLON : KEEPING;
	} else if (b->name_n == sizeof b->name) {
		b->state = KEEPING;
	} else {
		b->name[b->name_n++] = to_lower(c);
	}
}

/* RFC 5322 4.5.8: once, there could be spaces before the colon. Somebody may take folds for some.
 */
static void colon_byte(struct border *b, char c)
{
	if (c == ':')
		b->state = name_is(b, return_path) ? DROPPING : AT_ID;
	else if (!is_wsp(c) && c != '\r' && c != '\n')
		b->state = KEEPING;
}

/* ---- streaming ---- */

static void step(struct border *b, char c)
{
	if (b->state == AT_NAME)
		name_byte(b, c);
	if (b->state == AT_COLON)
		colon_byte(b, c);
	else if (b->state == AT_ID)
		id_byte(b, c);
	if (undecided(b) && ++b->length > BORDER_HOLD)
		b->state = DROPPING;
}

/* In one piece: bytes before `from` are settled, those from `field` on are of the undecided field.
 */
struct cursor {
	struct border *b;
	struct str piece;
	size_t from, field;
	border_fn *fn;
	void *arg;
};

static int give(struct cursor *c, size_t end, struct err *err)
{
	struct str bytes = str_from(str_head(c->piece, end), c->from);

	c->from = end;
	return bytes.n ? c->fn(c->arg, bytes, err) : 0;
}

/* The field has just been decided. */
static int settle(struct cursor *c, struct err *err)
{
	struct border *b = c->b;
	int r = 0;

	if (b->state == DROPPING) {
		r = give(c, c->field, err);
		b->removed++;
	} else if (b->held.n) {
		r = c->fn(c->arg, buf_str(&b->held), err);
	}
	buf_clear(&b->held);
	return r;
}

/* A line begins that does not go on with the field before. */
static int next_field(struct cursor *c, size_t at, struct err *err)
{
	struct border *b = c->b;

	if (b->state == AT_ID || b->state == AT_COLON) {
		decide_id(b);
		if (settle(c, err) < 0)
			return -1;
	}
	if (b->state == DROPPING)
		c->from = at;
	c->field = at;
	begin_field(b);
	return 0;
}

/* Up to the end of the line nothing is decided any more. */
static size_t skip(const struct cursor *c, size_t at)
{
	if (undecided(c->b) || c->b->state == AT_BODY)
		return at;
	return at + str_find(str_from(c->piece, at), '\n');
}

static int walk(struct cursor *c, struct err *err)
{
	struct border *b = c->b;

	for (size_t i = 0; i < c->piece.n && b->state != AT_BODY; i++) {
		bool was;

		if (b->line_start && !is_wsp(c->piece.p[i]) && next_field(c, i, err) < 0)
			return -1;
		b->line_start = false;
		i = skip(c, i);
		if (i == c->piece.n)
			break;
		was = undecided(b);
		step(b, c->piece.p[i]);
		if (was && !undecided(b) && settle(c, err) < 0)
			return -1;
		b->line_start = c->piece.p[i] == '\n';
	}
	return 0;
}

int border_feed(struct border *b, struct str piece, border_fn *fn, void *arg, struct err *err)
{
	struct cursor c = { .b = b, .piece = piece, .fn = fn, .arg = arg };

	if (b->state == AT_BODY)
		return fn(arg, piece, err);
	if (walk(&c, err) < 0)
		return -1;
	if (b->state == DROPPING)
		return 0;
	if (!undecided(b))
		return give(&c, piece.n, err);
	if (give(&c, c.field, err) < 0)
		return -1;
	buf_add(&b->held, str_from(piece, c.field));
	return buf_ok(&b->held) ? 0 : err_set(err, ERR_TEMP, "out of memory for a message");
}

int border_end(struct border *b, border_fn *fn, void *arg, struct err *err)
{
	struct cursor c = { .b = b, .piece = STR(""), .fn = fn, .arg = arg };

	if (!undecided(b))
		return 0;
	if (b->state == AT_NAME)
		b->state = KEEPING;
	else
		decide_id(b);
	return settle(&c, err);
}

void border_free(struct border *b)
{
	buf_free(&b->held);
}
