#include "cli/seen.h"

#include <stdlib.h>
#include <string.h>

/* Mixes well enough that different messages have different keys; the checksum is among the bits. */
uint64_t seen_key(uint64_t size, int64_t received, uint32_t checksum)
{
	uint64_t k = size * 0x9e3779b97f4a7c15u ^ (uint64_t)received * 0xc2b2ae3d27d4eb4fu;

	k ^= k >> 29;
	k *= 0xbf58476d1ce4e5b9u;
	return (k ^ k >> 32) + (uint64_t)checksum * 0x100000001b3u;
}

bool seen_add(struct seen *s, uint64_t key)
{
	if (s->n == s->cap) {
		const size_t cap = s->cap ? 2 * s->cap : 256;
		uint64_t *keys = reallocarray(s->keys, cap, sizeof *keys);
		bool *taken;

		if (!keys)
			return false;
		s->keys = keys;
		taken = reallocarray(s->taken, cap, sizeof *taken);
		if (!taken)
			return false;
		s->taken = taken;
		s->cap = cap;
	}
	s->keys[s->n++] = key;
	s->sorted = false;
	return true;
}

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void sort(struct seen *s)
{
	memset(s->taken, 0, s->n * sizeof *s->taken);
	qsort(s->keys, s->n, sizeof *s->keys, compare);
	s->sorted = true;
}

bool seen_take(struct seen *s, uint64_t key)
{
	size_t low = 0, high = s->n;

	if (s->n == 0)
		return false;
	if (!s->sorted)
		sort(s);
	while (low < high) {
		const size_t mid = low + (high - low) / 2;

		/* Of equal ones the taken stand first. */
		if (s->keys[mid] < key || (s->keys[mid] == key && s->taken[mid]))
			low = mid + 1;
		else
			high = mid;
	}
	if (low == s->n || s->keys[low] != key)
		return false;
	s->taken[low] = true;
	return true;
}

void seen_clear(struct seen *s)
{
	free(s->keys);
	free(s->taken);
	*s = (struct seen){ 0 };
}
