/* Any bytes are a message. Fed in pieces of other sizes it gives the same facts; the facts give the
 * same structure as the parser; head and body are parted in one place only; decoders end. */
#include "mail/address.h"
#include "mail/encode.h"
#include "mail/facts.h"
#include "mail/header.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void facts_in_pieces(struct str m, size_t chunk, struct buf *facts, struct buf *refs)
{
	struct facts_builder *b = facts_builder_new();
	struct err err;

	check(b);
	for (; m.n; m = str_from(m, chunk))
		facts_feed(b, str_head(m, chunk));
	check(facts_finish(b, facts, refs, &err) == 0);
	facts_builder_free(&b);
}

static void check_same_tree(const struct mime_tree *a, const struct mime_tree *b)
{
	check(a->n == b->n && a->size == b->size);
	for (uint32_t i = 0; i < a->n; i++) {
		const struct mime_part *p = &a->part[i], *q = &b->part[i];

		check(p->kind == q->kind && p->parent == q->parent && p->next == q->next);
		check(p->number == q->number && p->depth == q->depth && p->lines == q->lines);
		check(p->head == q->head && p->head_size == q->head_size);
		check(p->body_size == q->body_size && mime_body(p) + p->body_size <= a->size);
		check(str_eq(p->info, q->info) && str_eq(p->envelope, q->envelope));
		check(p->next > i && p->next <= a->n);
	}
}

static void check_tree(struct str m, const struct facts *f)
{
	struct mime_parser *p = mime_parser_new(&MIME_LIMITS, NULL);
	struct arena a = ARENA(1 << 22);
	struct mime_tree whole, from_facts;
	struct err err;
	size_t head;

	check(p);
	mime_parser_feed(p, m);
	check(mime_parser_finish(p, &whole, &err) == 0);
	head_find_end(m, &head);
	check(whole.part[0].head_size == head);
	check(f->size == m.n && f->head_size == head);
	if (facts_tree(f, &a, &from_facts))
		check_same_tree(&whole, &from_facts);
	else
		check(f->structure_cut);
	arena_free(&a);
	mime_parser_free(&p);
}

static void check_head(struct str m)
{
	struct header_iter it = HEADER_ITER(m);
	struct header_field f;
	struct buf b = BUF(m.n * 4);
	size_t sum = 0;

	while (header_next(&it, &f)) {
		check(f.offset == sum);
		sum += f.raw.n;
		buf_clear(&b);
		words_decode(f.value, &b);
		check(buf_ok(&b));
	}
	check(sum <= m.n);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str m = str_make(data, n);
	size_t chunk = n ? 1 + data[0] % 97u : 1;
	struct buf one = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES);
	struct buf two = BUF(FACTS_MAX), refs2 = BUF(FACTS_REFS_BYTES);
	struct facts f;

	facts_in_pieces(m, SIZE_MAX, &one, &refs);
	facts_in_pieces(m, chunk, &two, &refs2);
	check(str_eq(buf_str(&one), buf_str(&two)) && str_eq(buf_str(&refs), buf_str(&refs2)));
	check(facts_decode(buf_str(&one), &f));
	check_tree(m, &f);
	check_head(m);
	if (facts_decode(m, &f)) { /* the input as facts */
		struct arena a = ARENA(1 << 20);
		struct mime_tree t;

		if (facts_tree(&f, &a, &t))
			for (uint32_t i = 0; i < t.n; i++)
				check(mime_body(&t.part[i]) + t.part[i].body_size <= t.size);
		arena_free(&a);
	}
	buf_free(&one);
	buf_free(&two);
	buf_free(&refs);
	buf_free(&refs2);
	return 0;
}
