#include "base/map.h"
#include "base/hash.h"

#include <stdlib.h>

enum { FIRST_CAP = 16 };

struct map_slot {
	const char *p; /* NULL: the key is the number n */
	uint64_t n;
	uint64_t hash;
	void *val; /* NULL: free; then hash is 1 when something was deleted here */
};

struct key {
	const char *p;
	uint64_t n, hash;
};

static struct key key_str(struct str s)
{
	return (struct key){ s.n ? s.p : "", s.n, hash_bytes(s) };
}

static struct key key_u64(uint64_t v)
{
	return (struct key){ NULL, v, hash_u64(v) };
}

static bool same(const struct map_slot *s, const struct key *k)
{
	if (s->hash != k->hash || s->n != k->n || !s->p != !k->p)
		return false;
	return !k->p || str_eq(str_make(s->p, (size_t)s->n), str_make(k->p, (size_t)k->n));
}

static struct map_slot *find(const struct map *m, const struct key *k)
{
	size_t mask = m->cap - 1;

	if (m->cap == 0)
		return NULL;
	for (size_t i = (size_t)k->hash & mask;; i = (i + 1) & mask) {
		struct map_slot *s = &m->slots[i];

		if (s->val && same(s, k))
			return s;
		if (!s->val && s->hash == 0)
			return NULL;
	}
}

/* The first slot where k may go; there is always one, because a table is never full. */
static struct map_slot *find_free(const struct map *m, uint64_t hash)
{
	size_t mask = m->cap - 1, i = (size_t)hash & mask;

	while (m->slots[i].val)
		i = (i + 1) & mask;
	return &m->slots[i];
}

static bool rehash(struct map *m, size_t cap)
{
	struct map next = { .cap = cap, .n = m->n, .dirty = m->n, .max = m->max };

	next.slots = calloc(cap, sizeof *next.slots);
	if (!next.slots)
		return false;
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].val)
			*find_free(&next, m->slots[i].hash) = m->slots[i];
	free(m->slots);
	*m = next;
	return true;
}

static bool put(struct map *m, const struct key *k, void *val)
{
	struct map_slot *s = find(m, k);

	if (!val || (!s && m->n >= m->max))
		return false;
	if (!s) {
		/* Three quarters full: double, or only sweep when most of it was deleted. */
		if (m->dirty + 1 > m->cap / 4 * 3 &&
			!rehash(m,
				m->cap == 0                  ? FIRST_CAP
					: m->n >= m->cap / 2 ? m->cap * 2
							     : m->cap))
			return false;
		s = find_free(m, k->hash);
		m->dirty += s->hash == 0;
		m->n++;
	}
	*s = (struct map_slot){ k->p, k->n, k->hash, val };
	return true;
}

static void *del(struct map *m, const struct key *k)
{
	struct map_slot *s = find(m, k);
	void *val = s ? s->val : NULL;

	if (s) {
		*s = (struct map_slot){ .hash = 1 };
		m->n--;
	}
	return val;
}

void *map_get(const struct map *m, struct str key)
{
	struct key k = key_str(key);
	const struct map_slot *s = find(m, &k);

	return s ? s->val : NULL;
}

bool map_put(struct map *m, struct str key, void *val)
{
	struct key k = key_str(key);

	return put(m, &k, val);
}

void *map_del(struct map *m, struct str key)
{
	struct key k = key_str(key);

	return del(m, &k);
}

void *map_get_u64(const struct map *m, uint64_t key)
{
	struct key k = key_u64(key);
	const struct map_slot *s = find(m, &k);

	return s ? s->val : NULL;
}

bool map_put_u64(struct map *m, uint64_t key, void *val)
{
	struct key k = key_u64(key);

	return put(m, &k, val);
}

void *map_del_u64(struct map *m, uint64_t key)
{
	struct key k = key_u64(key);

	return del(m, &k);
}

void *map_next(const struct map *m, size_t *pos)
{
	while (*pos < m->cap) {
		void *val = m->slots[(*pos)++].val;

		if (val)
			return val;
	}
	return NULL;
}

void map_free(struct map *m)
{
	free(m->slots);
	*m = MAP(m->max);
}
