#include "base/heap.h"

#include <stdlib.h>

/* Positions count from 1, so that the parent of i is i / 2. */
static void put(struct heap *h, size_t pos, struct heap_item *item)
{
	h->v[pos - 1] = item;
	item->pos = pos;
}

static struct heap_item *at(const struct heap *h, size_t pos)
{
	return h->v[pos - 1];
}

static void rise(struct heap *h, struct heap_item *item)
{
	size_t pos = item->pos;

	while (pos > 1 && item->at < at(h, pos / 2)->at) {
		put(h, pos, at(h, pos / 2));
		pos /= 2;
	}
	put(h, pos, item);
}

static void sink(struct heap *h, struct heap_item *item)
{
	size_t pos = item->pos;

	while (pos <= h->n / 2) {
		size_t child = pos * 2;

		if (child < h->n && at(h, child + 1)->at < at(h, child)->at)
			child++;
		if (item->at <= at(h, child)->at)
			break;
		put(h, pos, at(h, child));
		pos = child;
	}
	put(h, pos, item);
}

int heap_reserve(struct heap *h, size_t n)
{
	size_t cap = h->cap ? h->cap : 16;
	struct heap_item **v;

	if (n <= h->cap)
		return 0;
	while (cap < n)
		cap *= 2;
	v = reallocarray(h->v, cap, sizeof(*v));
	if (!v)
		return -1;
	h->v = v;
	h->cap = cap;
	return 0;
}

int heap_add(struct heap *h, struct heap_item *item, int64_t when)
{
	if (heap_reserve(h, h->n + 1) < 0)
		return -1;
	item->at = when;
	item->pos = ++h->n;
	rise(h, item);
	return 0;
}

void heap_move(struct heap *h, struct heap_item *item, int64_t when)
{
	item->at = when;
	rise(h, item);
	sink(h, item);
}

void heap_remove(struct heap *h, struct heap_item *item)
{
	struct heap_item *last;

	if (!item->pos)
		return;
	last = at(h, h->n--);
	if (last != item) {
		put(h, item->pos, last);
		heap_move(h, last, last->at);
	}
	item->pos = 0;
}

struct heap_item *heap_min(const struct heap *h)
{
	return h->n ? h->v[0] : NULL;
}

void heap_free(struct heap *h)
{
	free(h->v);
	*h = (struct heap){ NULL, 0, 0 };
}
