/* map.h - a hash map from slices or numbers to pointers.
 *
 * Keys are hashed with a random key per process (base/hash.h), so foreign keys cannot be chosen to
 * collide. The map owns neither keys nor values: a slice key must stay where it is as long as
 * its entry is in the map, so it usually lies inside the value. Values are never NULL. A map has a
 * limit from birth; putting fails past it and when memory runs out. The order of map_next() is
 * random. Number keys and slice keys may live in one map without meeting.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot;

struct map {
	struct map_slot *slots;
	size_t cap;   /* a power of two, or 0 */
	size_t n;     /* entries */
	size_t dirty; /* slots that are not fresh: entries and what deleted ones left */
	size_t max;
};

#define MAP(limit) ((struct map){ .max = (limit) })

void *map_get(const struct map *m, struct str key);     /* NULL when absent */
bool map_put(struct map *m, struct str key, void *val); /* replaces; false when full */
void *map_del(struct map *m, struct str key);           /* what was there, or NULL */

void *map_get_u64(const struct map *m, uint64_t key);
bool map_put_u64(struct map *m, uint64_t key, void *val);
void *map_del_u64(struct map *m, uint64_t key);

/* Walk: start with *pos = 0; NULL at the end. Deleting while walking is allowed, putting is not. */
void *map_next(const struct map *m, size_t *pos);

void map_free(struct map *m); /* keeps the limit; safe to call twice */

#endif
