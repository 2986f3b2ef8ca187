/* facts.h - what we want to know of a message without opening it again.
 *
 * The front computes facts while a message streams in; the store keeps them beside it and never
 * reads them. They hold the envelope (for IMAP ENVELOPE and lists), the structure with offsets (for
 * BODYSTRUCTURE and for sections as byte ranges) and a preview. Offsets count from the first byte
 * fed: what the store puts before a message (its prefix) is not among them.
 *
 * The coded form is at most 32 KiB and begins with a version. Its decoder takes any bytes; facts
 * that it refuses, and facts that say `cut`, are had again by feeding the message to a MIME parser.
 */
#ifndef MAIL_FACTS_H
#define MAIL_FACTS_H

#include "base/arena.h"
#include "mail/mime.h"

enum {
	FACTS_MAX = 32768,
	FACTS_VERSION = 1,
	FACTS_REFS_MAX = 21, /* our own id and 20 others */
	FACTS_REFS_BYTES = FACTS_REFS_MAX * 8,
};

/* --- making ------------------------------------------------------------------------------- */

struct facts_builder;

struct facts_builder *facts_builder_new(void); /* NULL: out of memory */
void facts_feed(struct facts_builder *b, struct str piece);
/* No more comes. Appends the coded facts (room for FACTS_MAX), and to `refs` (room for
 * FACTS_REFS_BYTES; may be NULL) the keys by which messages are threaded: 8 bytes each, low byte
 * first. The first is that of this Message-ID, 0 when there is none; the others are those of the
 * messages that it names as its ancestors, the nearest last. ERR_TEMP: out of memory. */
int facts_finish(struct facts_builder *b, struct buf *facts, struct buf *refs, struct err *err);
void facts_builder_free(struct facts_builder **b);

/* The same for a message that is all there. */
int facts_of(struct str message, struct buf *facts, struct buf *refs, struct err *err);

/* The key of one message id, with or without its angle brackets. Never 0. */
uint64_t facts_ref(struct str id);

/* --- reading -------------------------------------------------------------------------------- */

/* Slices point into the coded facts. */
struct facts {
	uint64_t size, head_size;
	struct mime_envelope envelope;
	struct str envelope_coded;
	struct str preview; /* UTF-8, one line, maybe empty */
	bool envelope_cut;  /* the envelope is not whole: read the head */
	bool structure_cut; /* facts_tree() would give nothing: parse the message */
	bool ambiguous;     /* as mime_tree */
	struct str parts;   /* for facts_tree() */
};

/* False: not facts of a version we know. */
bool facts_decode(struct str coded, struct facts *f);

/* The structure; its parts lie in the arena (about 100 bytes each), their texts in the coded facts.
 * False: cut, damaged, or the arena is full. */
bool facts_tree(const struct facts *f, struct arena *a, struct mime_tree *tree);

#endif
