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

/* One that shared the body is gone; the last one takes it along. */
int apply_body_unlink(struct apply *a, uint64_t body, struct err *err);

#endif
