/* ctx_private.h - two stacks and a way to change between them.
 *
 * Everything that depends on the CPU or that a checker (address sanitizer, valgrind) must be told
 * about stacks is behind this header and stack_private.h; no other file knows. Tasks change
 * only with the loop, never with each other directly.
 */
#ifndef RT_CTX_PRIVATE_H
#define RT_CTX_PRIVATE_H

#include "config.h"

#include <stddef.h>

#if defined(TASKS_UCONTEXT) || !(defined(__x86_64__) || defined(__aarch64__))
#define CTX_UCONTEXT 1
#include <ucontext.h>
#else
#define CTX_UCONTEXT 0
#endif

struct ctx {
	void *sp;        /* nothing below it is in use while this context does not run */
	const void *low; /* its stack; for the loop, learned when the first task starts */
	size_t len;
	void *fake; /* the address sanitizer's own stack */
#if CTX_UCONTEXT
	ucontext_t regs;
#endif
};

/* A context that calls entry() on its stack when first switched to. entry begins with
 * ctx_arrived() and ends with ctx_leave(); it never returns. */
void ctx_make(struct ctx *c, void *low, size_t len, void (*entry)(void));
void ctx_switch(struct ctx *from, struct ctx *to);
void ctx_arrived(struct ctx *from);
void ctx_leave(struct ctx *from, struct ctx *to) __attribute__((noreturn));

#endif
