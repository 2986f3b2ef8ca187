/* message.c - one message as FETCH and SEARCH look at it: facts first, its bytes where they do not
 * suffice. */
#include "imap/fetch_private.h"

enum { TREE_MEMORY = 4 << 20 };

void imap_message_init(struct imap_message *m, struct imap_session *s, const struct imap_entry *e)
{
	*m = (struct imap_message){ .s = s, .e = e, .mem = ARENA(TREE_MEMORY) };
	m->has_facts = facts_decode(e->facts, &m->facts);
}

void imap_message_free(struct imap_message *m)
{
	mime_parser_free(&m->parser);
	arena_free(&m->mem);
}

static int next_piece(struct imap_message *m, uint64_t offset, uint64_t length, struct str *piece,
	struct err *err)
{
	const struct imap_policy *policy = m->s->policy;

	if (policy->body(policy->arg, m->e->uid, offset, length, piece, err) < 0)
		return -1;
	if (piece->n == 0 || piece->n > length)
		return err_set(err, ERR_TEMP, "a message is shorter than its size");
	return 0;
}

int imap_message_read(
	struct imap_message *m, uint64_t offset, uint64_t size, struct buf *b, struct err *err)
{
	struct str piece;

	while (size > 0) {
		if (next_piece(m, offset, size, &piece, err) < 0)
			return -1;
		buf_add(b, piece);
		if (!buf_ok(b))
			return err_set(err, ERR_LIMIT, "too large to be read at once");
		offset += piece.n;
		size -= piece.n;
	}
	return 0;
}

/* No facts, or facts that are cut: take the message itself apart. */
static int parse(struct imap_message *m, struct err *err)
{
	struct mime_limits limits = MIME_LIMITS;
	uint64_t offset = m->e->prefix_size;
	struct str piece;

	if (m->parser)
		return 0;
	m->parser = mime_parser_new(&limits, NULL);
	if (!m->parser)
		return err_set(err, ERR_TEMP, "out of memory");
	while (offset < m->e->size) {
		if (next_piece(m, offset, m->e->size - offset, &piece, err) < 0)
			return -1;
		mime_parser_feed(m->parser, piece);
		offset += piece.n;
	}
	if (mime_parser_finish(m->parser, &m->tree, err) < 0)
		return -1;
	m->has_tree = true;
	m->facts.head_size = m->tree.part[0].head_size;
	m->has_facts = true;
	return 0;
}

int imap_message_tree(struct imap_message *m, struct err *err)
{
	if (m->has_tree)
		return 0;
	m->has_tree = m->has_facts && facts_tree(&m->facts, &m->mem, &m->tree);
	return m->has_tree ? 0 : parse(m, err);
}

int imap_message_envelope(struct imap_message *m, struct err *err)
{
	if (m->has_envelope)
		return 0;
	if (m->has_facts && !m->facts.envelope_cut && !m->parser) {
		m->envelope = m->facts.envelope;
	} else {
		if (parse(m, err) < 0)
			return -1;
		mime_envelope_read(m->tree.part[0].envelope, &m->envelope);
	}
	m->has_envelope = true;
	return 0;
}

/* The header or text of a message: of the whole one, which begins with the prefix, or of one in a
 * part. */
static void split(const struct imap_message *m, const struct mime_part *of, bool text,
	uint64_t *offset, uint64_t *size)
{
	uint64_t prefix = m->e->prefix_size;
	uint64_t head = of ? of->head : 0, head_size = of ? of->head_size : m->facts.head_size;
	uint64_t begin = of ? prefix + head : 0;
	uint64_t body = prefix + head + head_size;
	uint64_t end = of ? body + of->body_size : m->e->size;

	*offset = text ? body : begin;
	*size = text ? end - body : body - begin;
}

static bool find_part(
	struct imap_message *m, const struct imap_section *x, uint64_t *offset, uint64_t *size)
{
	const struct mime_part *p = mime_section(&m->tree, x->part, x->depth);

	if (!p)
		return false;
	if (x->kind == IMAP_SECTION_ALL) {
		*offset = m->e->prefix_size + mime_body(p);
		*size = p->body_size;
		return true;
	}
	if (x->kind == IMAP_SECTION_MIME) {
		*offset = m->e->prefix_size + p->head;
		*size = p->head_size;
		return true;
	}
	/* RFC 3501 6.4.5: HEADER and TEXT of a part are those of the message in it. */
	if (p->kind != MIME_MESSAGE || p + 1 >= m->tree.part + m->tree.n)
		return false;
	split(m, p + 1, x->kind == IMAP_SECTION_TEXT, offset, size);
	return true;
}

int imap_message_find(struct imap_message *m, const struct imap_section *x, bool *found,
	uint64_t *offset, uint64_t *size, struct err *err)
{
	*found = true;
	if (x->depth > 0) {
		if (imap_message_tree(m, err) < 0)
			return -1;
		*found = find_part(m, x, offset, size);
	} else if (x->kind == IMAP_SECTION_ALL) {
		*offset = 0;
		*size = m->e->size;
	} else {
		if (!m->has_facts && parse(m, err) < 0)
			return -1;
		split(m, NULL, x->kind == IMAP_SECTION_TEXT, offset, size);
	}
	if (*found && (*offset > m->e->size || *size > m->e->size - *offset))
		return err_set(err, ERR_TEMP, "the facts of a message do not fit it");
	return 0;
}
