/* store_call.h - a call to the store that survives a restart of the store.
 *
 *	struct store_login_req q = { .name = name };
 *	struct store_login_rep a;
 *	struct reply hold = { 0 };
 *
 *	if (STORE_CALL(link, store_login, &q, &a, &hold, err) < 0) ...
 *	reply_free(&hold);
 *
 * waits for the store if it is away and repeats the call when the channel ended meanwhile. A
 *changing call must carry its call id already (call_id_next), so that a repeat gets the same
 *answer. Gives 0, or -1 with the store's err; ERR_TEMP when the store stays away for LINK_PATIENCE
 *seconds.
 */
#ifndef ROLE_STORE_CALL_H
#define ROLE_STORE_CALL_H

#include "role/link.h"

#define STORE_CALL(link, name, q, a, hold, err)                                                    \
	({                                                                                         \
		struct store_try try_ = { 0 };                                                     \
		while (store_try(&try_, (link), (err)))                                            \
			try_.result = name(try_.ch, (q), try_.deadline, (a), (hold), (err));       \
		try_.result;                                                                       \
	})

struct store_try {
	struct channel *ch;
	int64_t deadline;
	int result;
	unsigned repeats;
	bool began;
};
bool store_try(struct store_try *t, struct link *link, struct err *err);

/* An id for a changing call: a random base per process plus a counter. */
uint64_t call_id_next(void);

#endif
