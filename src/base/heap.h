/* heap.h - things ordered by time: the earliest is at hand, the rest is nearly sorted.
 *
 * The items live inside the caller's own structs and stay owned by the caller; the heap holds
 * pointers. A zeroed item is in no heap. Among equal times the order is not defined. Only
 * reserving and adding can fail, and only for want of memory; after heap_reserve(n) the first
 * n adds cannot.
 */
#ifndef BASE_HEAP_H
#define BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_item {
	int64_t at;
	size_t pos; /* 1 is the top; 0: in no heap */
};

struct heap {
	struct heap_item **v;
	size_t n, cap;
};

int heap_reserve(struct heap *h, size_t n); /* room for n items in all; -1 out of memory */
int heap_add(struct heap *h, struct heap_item *item, int64_t at); /* -1 out of memory */
void heap_move(struct heap *h, struct heap_item *item, int64_t at);
void heap_remove(struct heap *h, struct heap_item *item); /* not in the heap: does nothing */
struct heap_item *heap_min(const struct heap *h);         /* NULL when empty */
void heap_free(struct heap *h);                           /* the items stay as they are */

/* The struct that holds an item: heap_owner(item, struct job, timer). */
#define heap_owner(item, type, member) ((type *)((char *)(item)-offsetof(type, member)))

#endif
