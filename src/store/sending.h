/* sending.h - how much an account sends to other servers, so that a stolen password does little
 * harm.
 *
 * Counted are messages, and recipients that the account never wrote to before; those it names
 * itself, not where an alias or a list leads, and nothing that stays here. A day is a window that
 * slides: what was sent yesterday counts by the part of yesterday that is less than 24 hours ago.
 * Over a cap a message is frozen: it is taken, and its recipients elsewhere are held until somebody
 * releases them; it counts for nothing. Whom an account knows is kept as hashes, at most
 * SENDING_KNOWN; the oldest go.
 */
#ifndef STORE_SENDING_H
#define STORE_SENDING_H

#include "store/txn.h"

enum { SENDING_KNOWN = 20000, SENDING_WHY = 160 };
/* What the reply of a frozen recipient begins with. */
#define SENDING_FROZEN "frozen: "

/* A message of the account goes to these. Counts it, or says in `why` that it is to be frozen:
 * *frozen. *tell: its owner has not been told today. */
struct sending {
	uint64_t account;
	const struct str *addresses;
	size_t count;
	bool frozen, tell;
	char why[SENDING_WHY];
};
int sending_take(struct txn *t, struct sending *s, struct err *err);

/* The account knows this address from now on. */
int sending_know(struct txn *t, uint64_t account, struct str address, struct err *err);

/* Its owner is being told. False: that was done already. */
int sending_told(struct txn *t, uint64_t account, bool *due, struct err *err);
/* The accounts whose owners have not been told yet. */
typedef bool sending_fn(void *arg, uint64_t account);
int sending_untold(struct view *v, sending_fn *fn, void *arg, struct err *err);

/* How many accounts have frozen mail. */
int sending_frozen_accounts(struct view *v, uint64_t *accounts, struct err *err);

#endif
