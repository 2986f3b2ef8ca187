#include "role/store_call.h"

#include "base/clock.h"
#include "crypto/crypto.h"

static bool over(struct store_try *t, struct err *err)
{
	if (t->result == 0 && t->repeats)
		*err = ERR_INIT; /* of an attempt that was made good */
	if (t->result == 0 || err->kind != ERR_CLOSED)
		return true;
	t->repeats++;
	if (clock_mono() < t->deadline)
		return false;
	err_set(err, ERR_TEMP, "the store is away");
	return true;
}

bool store_try(struct store_try *t, struct link *link, struct err *err)
{
	if (t->began && over(t, err))
		return false;
	if (!t->began)
		t->deadline = clock_after(LINK_PATIENCE * CLOCK_SEC);
	t->began = true;
	t->result = -1;
	t->ch = link_wait(link, t->deadline, err);
	return t->ch != NULL;
}

uint64_t call_id_next(void)
{
	static uint64_t next;

	if (next == 0) {
		random_bytes(&next, sizeof next);
		next &= INT64_MAX >> 1; /* the store keeps it as a signed number */
	}
	return next++;
}
