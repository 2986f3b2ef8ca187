/* greylist.h - who is put off for a while before the first message is taken (RFC 6647).
 *
 * A server that comes back after the delay with the same network, sender and recipient is a server
 * and not a program that spreads spam; its network is trusted from then on, as long as it is heard
 * of once in 36 days. Addresses that people here have written to may answer at once.
 *
 * Pure: time is a parameter (monotonic nanoseconds). Memory is fixed at birth and holds only
 * hashes; what is forgotten is put off once more, nothing is lost. Cannot fail after
 * greylist_new().
 */
#ifndef TRUST_GREYLIST_H
#define TRUST_GREYLIST_H

#include "base/err.h"
#include "base/str.h"

struct greylist;

struct greylist *greylist_new(struct err *err);
void greylist_free(struct greylist **g);

/* Nanoseconds until it may come again, 0: it may pass. `network` as text (base/ip.h: ip_network);
 * `sender` is empty for reports; addresses fold. */
int64_t greylist_ask(struct greylist *g, int64_t now, int64_t delay, struct str network,
	struct str sender, struct str recipient);
/* Somebody here writes to this address. */
void greylist_wrote(struct greylist *g, int64_t now, struct str address);

#endif
