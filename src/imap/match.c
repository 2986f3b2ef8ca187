/* match.c - does a message answer a search? Cheap questions first: a message is opened only when
 * its entry does not decide, and its body is read only when its header does not. */
#include "imap/search_private.h"

#include "mail/body.h"
#include "mail/charset.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/header.h"

/* What is at hand so far. */
enum level { ENTRY, ENVELOPE, HEAD, BODY };
enum truth { NO, YES, UNKNOWN };

struct match {
	struct imap_session *s;
	const struct imap_entry *e;
	enum level level;
	struct imap_message m;
	struct buf head, folded;
	struct err err;
	bool failed;
};

static enum truth truth_of(bool yes)
{
	return yes ? YES : NO;
}

static bool contains(struct match *t, struct str text, struct str needle)
{
	buf_clear(&t->folded);
	imap_fold(text, &t->folded);
	return str_search(buf_str(&t->folded), needle) < t->folded.n || needle.n == 0;
}

/* A field's value, encoded words decoded. */
static bool value_contains(struct match *t, struct str value, struct str needle)
{
	struct buf text = BUF(HEAD_MAX * 2);
	bool yes;

	words_decode(value, &text);
	yes = contains(t, buf_str(&text), needle);
	buf_free(&text);
	return yes;
}

static bool fields_contain(struct match *t, const struct imap_key *key)
{
	struct header_field h;

	for (struct header_iter it = HEADER_ITER(buf_str(&t->head)); header_next(&it, &h);)
		if (header_is(&h, key->name) && value_contains(t, h.value, key->text))
			return true;
	return false;
}

/* What a reader sees of the header: names and decoded values. */
static bool head_contains(struct match *t, struct str needle)
{
	struct header_field h;

	for (struct header_iter it = HEADER_ITER(buf_str(&t->head)); header_next(&it, &h);)
		if (contains(t, h.raw, needle) || value_contains(t, h.value, needle))
			return true;
	return false;
}

/* --- bodies: decoded piece by piece, with the end of each piece kept for a word that begins there
 * --- */

struct text_search {
	struct match *t;
	struct str needle;
	struct body_decoder body;
	struct charset_decoder charset;
	struct buf bytes, text, window; /* decoded; in UTF-8; folded and not yet passed */
	bool found;
};

static void look(struct text_search *x)
{
	struct str window;

	imap_fold(buf_str(&x->text), &x->window);
	buf_clear(&x->text);
	window = buf_str(&x->window);
	x->found = x->found || str_search(window, x->needle) < window.n;
	if (window.n >= x->needle.n)
		buf_drop(&x->window, window.n - x->needle.n + 1);
}

static void feed(struct text_search *x, struct str piece)
{
	buf_clear(&x->bytes);
	body_feed(&x->body, piece, &x->bytes);
	charset_feed(&x->charset, buf_str(&x->bytes), &x->text);
	look(x);
}

static int read_part(struct text_search *x, const struct mime_part *p)
{
	const struct imap_policy *policy = x->t->s->policy;
	uint64_t offset = x->t->e->prefix_size + mime_body(p), left = p->body_size;
	struct str piece;

	while (left > 0 && !x->found) {
		if (policy->body(policy->arg, x->t->e->uid, offset, left < 32768 ? left : 32768,
			    &piece, &x->t->err) < 0)
			return -1;
		if (piece.n == 0)
			return err_set(&x->t->err, ERR_TEMP, "a message is shorter than its size");
		feed(x, piece);
		offset += piece.n;
		left -= piece.n < left ? piece.n : left;
	}
	buf_clear(&x->bytes);
	body_end(&x->body, &x->bytes);
	charset_feed(&x->charset, buf_str(&x->bytes), &x->text);
	charset_end(&x->charset, &x->text);
	look(x);
	return 0;
}

static int search_part(struct match *t, const struct mime_part *p, struct str needle, bool *found)
{
	struct text_search x = { .t = t,
		.needle = needle,
		.bytes = BUF(1 << 18),
		.text = BUF(1 << 20),
		.window = BUF(1 << 21) };
	struct mime_info info;
	struct str charset = { "", 0 };
	int r;

	mime_info_read(p, &info);
	if (p->kind != MIME_LEAF || !mime_is_type(&info, STR("text"), STR("")))
		return 0;
	mime_param_find(info.params, STR("charset"), &charset);
	x.body = BODY_DECODER(body_encoding_find(info.encoding));
	x.charset = CHARSET_DECODER(charset_find(charset));
	r = read_part(&x, p);
	*found = x.found;
	buf_free(&x.bytes);
	buf_free(&x.text);
	buf_free(&x.window);
	return r;
}

static bool body_contains(struct match *t, struct str needle)
{
	bool found = needle.n == 0;

	if (imap_message_tree(&t->m, &t->err) < 0)
		t->failed = true;
	for (uint32_t i = 0; !t->failed && !found && i < t->m.tree.n; i++)
		if (search_part(t, &t->m.tree.part[i], needle, &found) < 0)
			t->failed = true;
	return found;
}

/* --- the keys --- */

static int64_t day_of(int64_t when)
{
	return date_day((struct date){ .unix = when });
}

/* RFC 3501 6.4.4 SENT...: by the Date field; a message without a good one was sent when it came. */
static int64_t sent_day(const struct match *t)
{
	struct date d;

	if (date_parse(t->m.envelope.date, &d))
		return date_day(d);
	return day_of(t->e->received);
}

static bool in_ranges(const struct imap_key *key, uint32_t uid)
{
	const struct imap_ranges r = { .v = key->uids, .n = key->uid_count };

	return imap_ranges_have(&r, uid);
}

static enum truth test_entry(const struct match *t, const struct imap_key *key)
{
	const struct imap_entry *e = t->e;

	switch ((int)key->kind) {
	case IMAP_KEY_FLAG:
		return truth_of((e->flags & (unsigned)key->number) != 0);
	case IMAP_KEY_RECENT:
		return truth_of(e->uid >= t->s->recent_from);
	case IMAP_KEY_KEYWORD:
		return truth_of(imap_has_keyword(e->keywords, key->name));
	case IMAP_KEY_UIDS:
		return truth_of(in_ranges(key, e->uid));
	case IMAP_KEY_LARGER:
		return truth_of(e->size > (uint64_t)key->number);
	case IMAP_KEY_SMALLER:
		return truth_of(e->size < (uint64_t)key->number);
	case IMAP_KEY_BEFORE:
		return truth_of(day_of(e->received) < key->number);
	case IMAP_KEY_ON:
		return truth_of(day_of(e->received) == key->number);
	case IMAP_KEY_SINCE:
		return truth_of(day_of(e->received) >= key->number);
	default:
		return UNKNOWN;
	}
}

static enum truth test_envelope(struct match *t, const struct imap_key *key)
{
	const struct mime_envelope *v = &t->m.envelope;

	switch ((int)key->kind) {
	case IMAP_KEY_SENTBEFORE:
		return truth_of(sent_day(t) < key->number);
	case IMAP_KEY_SENTON:
		return truth_of(sent_day(t) == key->number);
	case IMAP_KEY_SENTSINCE:
		return truth_of(sent_day(t) >= key->number);
	case IMAP_KEY_FROM:
		return truth_of(value_contains(t, v->from, key->text));
	case IMAP_KEY_TO:
		return truth_of(value_contains(t, v->to, key->text));
	case IMAP_KEY_CC:
		return truth_of(value_contains(t, v->cc, key->text));
	case IMAP_KEY_BCC:
		return truth_of(value_contains(t, v->bcc, key->text));
	case IMAP_KEY_SUBJECT:
		return truth_of(value_contains(t, v->subject, key->text));
	default:
		return UNKNOWN;
	}
}

static enum truth test_content(struct match *t, const struct imap_key *key)
{
	if (t->level < HEAD)
		return UNKNOWN;
	if (key->kind == IMAP_KEY_HEADER)
		return truth_of(fields_contain(t, key));
	if (key->kind == IMAP_KEY_TEXT && head_contains(t, key->text))
		return YES;
	if (t->level < BODY)
		return UNKNOWN;
	return truth_of(body_contains(t, key->text));
}

static enum truth test(struct match *t, const struct imap_key *key)
{
	enum truth r = test_entry(t, key);

	if (r == UNKNOWN && t->level >= ENVELOPE)
		r = test_envelope(t, key);
	return r == UNKNOWN ? test_content(t, key) : r;
}

/* Depth is that of the parser: at most IMAP_SEARCH_DEPTH_MAX. */
static enum truth evaluate(struct match *t, const struct imap_key *key)
{
	/* AND is decided by a NO, OR by a YES. */
	enum truth decides = key->kind == IMAP_KEY_OR ? YES : NO;
	enum truth r;

	if (key->kind == IMAP_KEY_AND || key->kind == IMAP_KEY_OR) {
		r = decides == YES ? NO : YES;
		for (const struct imap_key *c = key->children; c && r != decides; c = c->next) {
			enum truth one = evaluate(t, c);

			if (one == decides || one == UNKNOWN)
				r = one;
		}
	} else {
		r = test(t, key);
	}
	if (r == UNKNOWN || !key->negated)
		return r;
	return r == YES ? NO : YES;
}

/* Fetch what the next level needs. */
static int rise(struct match *t)
{
	struct imap_section head = { .kind = IMAP_SECTION_HEADER };
	uint64_t offset, size;
	bool found;

	t->level++;
	if (t->level == ENVELOPE)
		return imap_message_envelope(&t->m, &t->err);
	if (t->level == BODY)
		return 0; /* read when it is searched */
	if (imap_message_find(&t->m, &head, &found, &offset, &size, &t->err) < 0)
		return -1;
	return imap_message_read(
		&t->m, offset, size < HEAD_MAX ? size : HEAD_MAX, &t->head, &t->err);
}

int imap_match(struct imap_session *s, const struct imap_search *q, const struct imap_entry *e,
	struct err *err)
{
	struct match t = {
		.s = s, .e = e, .level = ENTRY, .head = BUF(HEAD_MAX), .folded = BUF(HEAD_MAX * 4)
	};
	enum truth r = evaluate(&t, q->root);

	if (r != UNKNOWN)
		return r == YES;
	imap_message_init(&t.m, s, e);
	while (r == UNKNOWN && !t.failed) {
		t.failed = rise(&t) < 0;
		if (!t.failed)
			r = evaluate(&t, q->root);
	}
	imap_message_free(&t.m);
	buf_free(&t.head);
	buf_free(&t.folded);
	if (t.failed) {
		*err = t.err;
		return -1;
	}
	return r == YES;
}
