#include "rt/stack_private.h"

#include "config.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

#if defined(HAVE_VALGRIND)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, high) 0
#define VALGRIND_STACK_DEREGISTER(number) ((void)(number))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 /* Linux 6.13: a guard that costs no map of its own */
#endif

#define WARM 32 /* free stacks that keep their pages */

/* Last in, first out: free[cold..n) have pages, free[0..cold) have none. */
static struct pool {
	struct stack *free;
	size_t n, cold, cap;
	size_t made;
} pool;

static int make_room(void)
{
	size_t cap = pool.cap ? pool.cap * 2 : 64;
	struct stack *p;

	if (pool.made < pool.cap)
		return 0;
	p = reallocarray(pool.free, cap, sizeof *p);
	if (!p)
		return -1;
	pool.free = p;
	pool.cap = cap;
	return 0;
}

static int stack_make(struct stack *s)
{
	const size_t size = STACK_GUARD + STACK_SIZE;
	char *map;

	if (make_room() < 0)
		return -1;
	map = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED)
		return -1;
	if (madvise(map, STACK_GUARD, MADV_GUARD_INSTALL) < 0 &&
		mprotect(map, STACK_GUARD, PROT_NONE) < 0) {
		munmap(map, size);
		return -1;
	}
	/* Neighbouring stacks are one map to the kernel, which would otherwise back them with
	 * huge pages. */
	madvise(map, size, MADV_NOHUGEPAGE);
	s->low = map + STACK_GUARD;
	s->number = (unsigned)VALGRIND_STACK_REGISTER(s->low, s->low + STACK_SIZE);
	pool.made++;
	return 0;
}

int stack_get(struct stack *s)
{
	if (pool.n == 0)
		return stack_make(s);
	*s = pool.free[--pool.n];
	if (pool.cold > pool.n)
		pool.cold = pool.n;
	return 0;
}

void stack_put(struct stack *s)
{
	/* The frames of a finished task never returned, so nobody has cleaned up their marks. */
	ASAN_UNPOISON_MEMORY_REGION(s->low, STACK_SIZE);
	pool.free[pool.n++] = *s;
	s->low = NULL;
	while (pool.n - pool.cold > WARM) {
		const struct stack *old = &pool.free[pool.cold++];

		stack_trim(old, old->low + STACK_SIZE);
	}
}

void stack_trim(const struct stack *s, const void *sp)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t low = (uintptr_t)s->low, end = (uintptr_t)sp & ~(page - 1);

	if (end > low && end <= low + STACK_SIZE)
		madvise(s->low, end - low, MADV_DONTNEED);
}

void stack_pool_free(void)
{
	while (pool.n) {
		const struct stack *s = &pool.free[--pool.n];

		VALGRIND_STACK_DEREGISTER(s->number);
		munmap(s->low - STACK_GUARD, STACK_GUARD + STACK_SIZE);
	}
	free(pool.free);
	pool = (struct pool){ 0 };
}
