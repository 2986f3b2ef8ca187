#include "base/arena.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BLOCK = 1024, LARGEST_BLOCK = 65536 };

struct arena_block {
	struct arena_block *older;
	size_t used, size;
	_Alignas(max_align_t) char bytes[];
};

static struct arena_block *add_block(struct arena *a, size_t need)
{
	size_t size = a->block ? a->block->size * 2 : FIRST_BLOCK;
	struct arena_block *b;

	if (size > LARGEST_BLOCK)
		size = LARGEST_BLOCK;
	if (size < need)
		size = need;
	b = calloc(1, sizeof *b + size);
	if (!b)
		return NULL;
	b->size = size;
	/* A large piece gets a block of its own and must not hide a half-empty one. */
	if (a->block && size == need && a->block->size - a->block->used > 64) {
		b->older = a->block->older;
		a->block->older = b;
	} else {
		b->older = a->block;
		a->block = b;
	}
	return b;
}

static char *take(struct arena *a, size_t n, size_t align)
{
	struct arena_block *b = a->block;
	size_t pad = b ? (align - b->used % align) % align : 0;

	if (a->over || n > a->limit - a->used || pad > a->limit - a->used - n) {
		a->over = true;
		return NULL;
	}
	if (!b || pad > b->size - b->used || n > b->size - b->used - pad) {
		b = add_block(a, n);
		pad = 0;
	}
	if (!b) {
		a->over = true;
		return NULL;
	}
	b->used += pad + n;
	a->used += pad + n;
	return b->bytes + b->used - n;
}

void *arena_alloc(struct arena *a, size_t n)
{
	return take(a, n, _Alignof(max_align_t));
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n)) {
		a->over = true;
		return NULL;
	}
	return arena_alloc(a, n);
}

char *arena_bytes(struct arena *a, size_t n)
{
	return take(a, n, 1);
}

bool arena_str(struct arena *a, struct str s, struct str *out)
{
	char *p = arena_bytes(a, s.n);

	*out = STR("");
	if (!p)
		return false;
	if (s.n)
		memcpy(p, s.p, s.n);
	*out = str_make(p, s.n);
	return true;
}

char *arena_z(struct arena *a, struct str s)
{
	char *p;

	if (str_find(s, '\0') != s.n || s.n == SIZE_MAX)
		return NULL;
	p = arena_bytes(a, s.n + 1);
	if (p && s.n)
		memcpy(p, s.p, s.n); /* blocks are zeroed, so the end is there */
	return p;
}

void arena_free(struct arena *a)
{
	struct arena_block *b = a->block;

	while (b) {
		struct arena_block *older = b->older;

		explicit_bzero(b->bytes, b->used);
		free(b);
		b = older;
	}
	*a = ARENA(a->limit);
}
