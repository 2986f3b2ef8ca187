/* apply_private.h - what the apply files share. */
#ifndef STORE_APPLY_PRIVATE_H
#define STORE_APPLY_PRIVATE_H

#include "store/apply.h"

#define ID(x) DB_I((int64_t)(x))

static inline void apply_at_least(uint64_t *counter, uint64_t used)
{
	if (*counter <= used)
		*counter = used + 1;
}

/* Who watches this mailbox is told. Mailbox 0: whoever is logged in to the account on another node
 * has to log in again. */
void apply_touch(struct apply *a, uint64_t account, uint64_t mailbox, uint64_t modseq);

/* One that shared the body is gone; the last one takes it along. */
int apply_body_unlink(struct apply *a, uint64_t body, struct err *err);

#endif
