#include "mail/facts.h"
#include "base/hash.h"
#include "mail/mime_private.h"
#include "mail/preview.h"

#include <stdlib.h>

enum {
	FLAG_ENVELOPE_CUT = 1,
	FLAG_STRUCTURE_CUT = 2,
	FLAG_AMBIGUOUS = 4,
	KIND_MASK = 3,
	KIND_ENVELOPE = 4, /* an envelope follows the info */
	PART_SIZE_MIN = 7, /* bytes of the shortest coded part */
};

#define SIZE_LIMIT (UINT64_C(1) << 40) /* no message is longer */

struct facts_builder {
	struct mime_parser *parser;
	struct preview preview;
};

struct facts_builder *facts_builder_new(void)
{
	static const struct mime_limits limits = { 1500, FACTS_MAX, 16384 };
	struct facts_builder *b = malloc(sizeof *b);

	if (!b)
		return NULL;
	preview_init(&b->preview);
	b->parser = mime_parser_new(
		&limits, &(struct mime_hooks){ &b->preview, preview_leaf, preview_data });
	if (!b->parser)
		facts_builder_free(&b);
	return b;
}

void facts_builder_free(struct facts_builder **bp)
{
	struct facts_builder *b = *bp;

	if (!b)
		return;
	mime_parser_free(&b->parser);
	preview_free(&b->preview);
	free(b);
	*bp = NULL;
}

void facts_feed(struct facts_builder *b, struct str piece)
{
	mime_parser_feed(b->parser, piece);
}

/* ---- references ------------------------------------------------------------------------------ */

uint64_t facts_ref(struct str id)
{
	uint64_t h;

	if (id.n > 1 && id.p[0] == '<' && id.p[id.n - 1] == '>')
		id = str_make(id.p + 1, id.n - 2);
	h = hash_fixed(id);
	return h ? h : 1;
}

/* The next <id> of a field; RFC 5322 3.6.4, without looking at comments. */
static bool take_id(struct str *s, struct str *id)
{
	size_t end;

	*s = str_from(*s, str_find(*s, '<'));
	if (s->n == 0)
		return false;
	end = str_find(*s, '>');
	if (end == s->n)
		return false;
	*id = str_head(*s, end + 1);
	*s = str_from(*s, end + 1);
	return true;
}

struct refs {
	uint64_t key[FACTS_REFS_MAX];
	size_t n;
};

/* Add an ancestor. When there are too many the first stays (it names the thread) and the oldest
 * of the others goes. */
static void add_ref(struct refs *r, uint64_t key)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->key[i] == key)
			return;
	if (r->n == FACTS_REFS_MAX) {
		for (size_t i = 2; i + 1 < FACTS_REFS_MAX; i++)
			r->key[i] = r->key[i + 1];
		r->n--;
	}
	r->key[r->n++] = key;
}

static void collect_refs(struct refs *r, struct str references, const struct mime_envelope *e)
{
	struct str rest = e->message_id, id;

	r->n = 1;
	r->key[0] = 0;
	if (take_id(&rest, &id))
		r->key[0] = facts_ref(id);
	else if (e->message_id.n)
		r->key[0] = facts_ref(e->message_id);
	while (take_id(&references, &id))
		add_ref(r, facts_ref(id));
	rest = e->in_reply_to;
	while (take_id(&rest, &id))
		add_ref(r, facts_ref(id));
}

static void print_refs(struct buf *out, const struct refs *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (unsigned shift = 0; shift < 64; shift += 8)
			buf_addc(out, (char)(r->key[i] >> shift));
}

/* ---- coding ------------------------------------------------------------------------------------
 */

static void code_part(struct buf *b, const struct mime_part *p, uint64_t before)
{
	bool envelope = p->parent != MIME_NONE && p->envelope.n;

	buf_addc(b, (char)((unsigned)p->kind | (envelope ? KIND_ENVELOPE : 0u)));
	code_u64(b, p->depth);
	code_u64(b, p->head - before);
	code_u64(b, p->head_size);
	code_u64(b, p->body_size);
	code_u64(b, p->lines);
	code_str(b, p->info);
	if (envelope)
		code_str(b, p->envelope);
}

static void code_facts(struct buf *b, const struct mime_tree *t, struct str preview, unsigned flags)
{
	struct str none = STR("");

	buf_addc(b, FACTS_VERSION);
	buf_addc(b, (char)flags);
	code_u64(b, t->size);
	code_u64(b, t->part[0].head_size);
	code_str(b, flags & FLAG_ENVELOPE_CUT ? none : t->part[0].envelope);
	code_str(b, preview);
	if (flags & FLAG_STRUCTURE_CUT)
		return;
	code_u64(b, t->n);
	for (uint32_t i = 0; i < t->n; i++)
		code_part(b, &t->part[i], i ? t->part[i - 1].head : 0);
}

int facts_finish(struct facts_builder *b, struct buf *facts, struct buf *refs, struct err *err)
{
	struct buf coded = BUF(FACTS_MAX);
	struct mime_tree t;
	struct mime_envelope e;
	struct refs r;
	unsigned flags;
	int result = -1;

	if (mime_parser_finish(b->parser, &t, err) < 0)
		return -1;
	mime_envelope_read(t.part[0].envelope, &e);
	collect_refs(&r, mime_parser_references(b->parser), &e);
	flags = (t.lossy ? FLAG_ENVELOPE_CUT | FLAG_STRUCTURE_CUT : 0u) |
		(t.cut ? FLAG_STRUCTURE_CUT : 0u) | (t.ambiguous ? FLAG_AMBIGUOUS : 0u);
	code_facts(&coded, &t, preview_text(&b->preview), flags);
	if (!buf_ok(&coded)) { /* too much for us: without the structure, then without both */
		buf_clear(&coded);
		flags |= FLAG_STRUCTURE_CUT;
		code_facts(&coded, &t, preview_text(&b->preview), flags);
	}
	if (!buf_ok(&coded)) {
		buf_clear(&coded);
		flags |= FLAG_ENVELOPE_CUT;
		code_facts(&coded, &t, preview_text(&b->preview), flags);
	}
	buf_add(facts, buf_str(&coded));
	if (refs)
		print_refs(refs, &r);
	if (!buf_ok(&coded) || !buf_ok(facts) || (refs && !buf_ok(refs)))
		err_set(err, ERR_TEMP, "out of memory for the facts of a message");
	else
		result = 0;
	buf_free(&coded);
	return result;
}

int facts_of(struct str message, struct buf *facts, struct buf *refs, struct err *err)
{
	struct facts_builder *b = facts_builder_new();
	int r;

	if (!b)
		return err_set(err, ERR_TEMP, "out of memory for the facts of a message");
	facts_feed(b, message);
	r = facts_finish(b, facts, refs, err);
	facts_builder_free(&b);
	return r;
}

/* ---- decoding
 * ------------------------------------------------------------------------------------- */

bool facts_decode(struct str coded, struct facts *f)
{
	unsigned flags;

	if (coded.n < 2 || coded.p[0] != FACTS_VERSION)
		return false;
	flags = (unsigned char)coded.p[1];
	coded = str_from(coded, 2);
	if (!code_take_u64(&coded, SIZE_LIMIT, &f->size) ||
		!code_take_u64(&coded, f->size, &f->head_size) ||
		!code_take_str(&coded, &f->envelope_coded) || !code_take_str(&coded, &f->preview))
		return false;
	f->envelope_cut = flags & FLAG_ENVELOPE_CUT;
	f->structure_cut = flags & FLAG_STRUCTURE_CUT;
	f->ambiguous = flags & FLAG_AMBIGUOUS;
	f->parts = coded;
	mime_envelope_read(f->envelope_coded, &f->envelope);
	return true;
}

static bool take_part(struct str *s, uint64_t before, struct mime_part *p)
{
	uint64_t depth;
	unsigned kind;

	if (s->n == 0)
		return false;
	kind = (unsigned char)s->p[0];
	*s = str_from(*s, 1);
	if ((kind & KIND_MASK) > MIME_MESSAGE || kind > (KIND_MASK | KIND_ENVELOPE))
		return false;
	p->kind = (enum mime_kind)(kind & KIND_MASK);
	p->envelope = STR("");
	if (!code_take_u64(s, MIME_DEPTH_MAX, &depth) || !code_take_u64(s, SIZE_LIMIT, &p->head) ||
		!code_take_u64(s, SIZE_LIMIT, &p->head_size) ||
		!code_take_u64(s, SIZE_LIMIT, &p->body_size) ||
		!code_take_u64(s, p->body_size, &p->lines) || !code_take_str(s, &p->info))
		return false;
	if ((kind & KIND_ENVELOPE) && !code_take_str(s, &p->envelope))
		return false;
	p->head += before;
	p->depth = (uint32_t)depth;
	return true;
}

/* Put part i in its place among those before it. False when it cannot be there. */
static bool place_part(struct mime_part *part, uint32_t i, const uint32_t *open, unsigned open_n)
{
	struct mime_part *p = &part[i];
	const struct mime_part *parent;

	if (i == 0) {
		p->parent = MIME_NONE;
		p->number = 1;
		return p->depth == 0 && p->head == 0;
	}
	if (p->depth == 0 || p->depth > open_n)
		return false;
	p->parent = open[p->depth - 1];
	parent = &part[p->parent];
	/* The elder sibling is the part that is open at this depth. */
	p->number = p->depth < open_n ? part[open[p->depth]].number + 1 : 1;
	return parent->kind == MIME_MULTIPART || (parent->kind == MIME_MESSAGE && p->number == 1);
}

static bool take_parts(struct str s, struct mime_part *part, uint32_t n, uint64_t size)
{
	uint32_t open[MIME_DEPTH_MAX + 1];
	unsigned open_n = 0;

	for (uint32_t i = 0; i < n; i++) {
		if (!take_part(&s, i ? part[i - 1].head : 0, &part[i]) ||
			!place_part(part, i, open, open_n))
			return false;
		if (mime_body(&part[i]) + part[i].body_size > size)
			return false;
		while (open_n > part[i].depth)
			part[open[--open_n]].next = i;
		open[open_n++] = i;
		if (i && part[i - 1].kind == MIME_MESSAGE && part[i].parent != i - 1)
			return false; /* a message without the message in it */
	}
	while (open_n)
		part[open[--open_n]].next = n;
	return s.n == 0 && part[n - 1].kind != MIME_MESSAGE;
}

bool facts_tree(const struct facts *f, struct arena *a, struct mime_tree *tree)
{
	struct str rest = f->parts;
	struct mime_part *part;
	uint64_t n;

	if (f->structure_cut || !code_take_u64(&rest, rest.n / PART_SIZE_MIN, &n) || n == 0)
		return false;
	part = arena_array(a, (size_t)n, sizeof *part);
	if (!part || !take_parts(rest, part, (uint32_t)n, f->size))
		return false;
	part[0].envelope = f->envelope_coded;
	*tree = (struct mime_tree){ part, (uint32_t)n, f->size, false, false, f->ambiguous };
	return true;
}
