/* stack_private.h - stacks for tasks: address space reserved, pages only where touched.
 *
 * Below each stack lies a guard of 64 KiB: running over the end is a fault, never silent. Stacks
 * are kept for reuse, the last few with their pages, and unmapped by stack_pool_free. One thread
 * only.
 */
#ifndef RT_STACK_PRIVATE_H
#define RT_STACK_PRIVATE_H

#include <stddef.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#define STACK_SIZE ((size_t)1 << 20) /* instrumented frames are larger, and reports need room */
#else
#define STACK_SIZE ((size_t)256 << 10)
#endif
#define STACK_GUARD ((size_t)64 << 10)

struct stack {
	char *low;       /* STACK_SIZE bytes from here; the guard lies below */
	unsigned number; /* valgrind's name for it */
};

int stack_get(struct stack *s); /* -1: no memory or no maps left */
void stack_put(struct stack *s);
void stack_trim(const struct stack *s, const void *sp); /* give back the pages below sp */
void stack_pool_free(void);

#endif
