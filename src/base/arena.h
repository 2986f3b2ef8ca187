/* arena.h - memory that is given back all at once: one per transaction, command or request.
 *
 * An arena has a limit from birth. What it hands out stays in place and lives until arena_free(),
 * which wipes every byte that was used before it goes back, so nothing of one session shows up in
 * another's. Allocation fails (NULL) past the limit and when memory runs out; `over` then stays
 * set. Not thread-safe: an arena belongs to one task.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *block; /* the newest; older ones hang on it */
	size_t used, limit;        /* bytes handed out, with alignment */
	bool over;
};

#define ARENA(bytes) ((struct arena){ .limit = (bytes) })

void *arena_alloc(struct arena *a, size_t n);                  /* zeroed, aligned for any type */
void *arena_array(struct arena *a, size_t count, size_t size); /* checks the product */

/* Copy. On failure *out is the empty slice. arena_z gives a C string, NULL on failure or when s
 * holds a NUL. */
bool arena_str(struct arena *a, struct str s, struct str *out);
char *arena_z(struct arena *a, struct str s);

/* Room for n bytes without alignment. */
char *arena_bytes(struct arena *a, size_t n);

void arena_free(struct arena *a); /* keeps the limit; the arena may be used again */

#endif
