#include "rt/ctx_private.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
static void departing(struct ctx *from, const struct ctx *to, bool for_good)
{
	__sanitizer_start_switch_fiber(for_good ? NULL : &from->fake, to->low, to->len);
}
static void arriving(struct ctx *self, struct ctx *from)
{
	__sanitizer_finish_switch_fiber(self ? self->fake : NULL, &from->low, &from->len);
}
#else
#define departing(from, to, for_good) ((void)(from), (void)(to))
#define arriving(self, from) ((void)(self), (void)(from))
#endif

#if CTX_UCONTEXT

static void jump(struct ctx *from, struct ctx *to)
{
	/* swapcontext works below our frame, with some hundred bytes at most. */
	from->sp = (char *)__builtin_frame_address(0) - 4096;
	/* It also changes the signal mask, which belongs to the thread, not to a task. */
	pthread_sigmask(SIG_BLOCK, NULL, &to->regs.uc_sigmask);
	swapcontext(&from->regs, &to->regs);
}

void ctx_make(struct ctx *c, void *low, size_t len, void (*entry)(void))
{
	memset(c, 0, sizeof *c);
	c->low = low;
	c->len = len;
	getcontext(&c->regs);
	c->regs.uc_stack.ss_sp = low;
	c->regs.uc_stack.ss_size = len;
	c->regs.uc_link = NULL;
	makecontext(&c->regs, entry, 0);
}

#else

void ctx_jump(void **save_sp, void *load_sp);

static void jump(struct ctx *from, struct ctx *to)
{
	ctx_jump(&from->sp, to->sp);
}

/* Lay out the stack as if entry's caller had just called ctx_jump. */
void ctx_make(struct ctx *c, void *low, size_t len, void (*entry)(void))
{
	uintptr_t *top = (uintptr_t *)((char *)low + len);
#if defined(__x86_64__)
	uintptr_t *sp = top - 8;

	memset(sp, 0, 8 * sizeof *sp);
	sp[6] = (uintptr_t)entry; /* above six registers; sp[7] is entry's return address: none */
#else
	uintptr_t *sp = top - 20;

	memset(sp, 0, 20 * sizeof *sp);
	sp[1] = (uintptr_t)entry; /* x30 */
#endif
	*c = (struct ctx){ .sp = sp, .low = low, .len = len };
}

#endif

void ctx_switch(struct ctx *from, struct ctx *to)
{
	departing(from, to, false);
	jump(from, to);
	arriving(from, to); /* whoever woke us is `to`: tasks change only with the loop */
}

void ctx_arrived(struct ctx *from)
{
	/* A misaligned stack works until something stores with alignment. */
	if ((uintptr_t)__builtin_frame_address(0) % 16)
		abort();
	arriving(NULL, from);
}

void ctx_leave(struct ctx *from, struct ctx *to)
{
	departing(from, to, true);
	jump(from, to);
	abort(); /* a finished context was switched to */
}
