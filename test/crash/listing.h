/* listing.h - every message with a ledger's mark that a store holds. */
#ifndef CRASH_LISTING_H
#define CRASH_LISTING_H

#include "crash.h"
#include "store/store.h"

struct listed {
	const char *
		place; /* LOGIN/MAILBOX:FLAGS or queue:ADDRESS; NULL: an account, its login in id */
	struct str id;
	const char *digest; /* NULL: it cannot be read, and why says so */
	uint32_t uid;
	const char *why;
};
typedef void listing_fn(void *arg, const struct listed *l);

/* -1: the index cannot be read. */
int listing(struct store *s, listing_fn *fn, void *arg, struct err *err);

/* Deliver one more message, "probe", to everybody. */
int listing_probe(struct store *s, struct err *err);

#endif
