/* link.h - my channel to a peer that may be restarted.
 *
 * A link outlives the channels of one peer (the store, the vault, dns). When the peer dies its
 * channel ends, all waiting calls fail with ERR_CLOSED, and the next link_wait() waits for the
 * channel that the master hands out once the peer is back. Each new channel has a new generation:
 * what the peer kept for the old channel (handles, transactions, leases, watches) is gone with it.
 *
 * A channel pointer got from a link is good until the caller's next wait (a call counts: take the
 * pointer anew for the next call). Links belong to the role and are never freed.
 */
#ifndef ROLE_LINK_H
#define ROLE_LINK_H

#include "ipc/channel.h"

enum { LINK_PATIENCE = 30 }; /* seconds to wait for a restarted peer */

struct link;

/* The open channel; waits for one until the deadline (LINK_PATIENCE seconds at most). NULL:
 * ERR_TEMP (the peer did not come back in time, or the master is gone) or ERR_CANCELED. */
struct channel *link_wait(struct link *l, int64_t deadline, struct err *err);

/* The open channel if it still is of that generation, else NULL. Never waits. */
struct channel *link_channel(struct link *l, uint64_t generation);

/* The number of channels so far; 0 when there has been none. It grows when a new channel comes. */
uint64_t link_generation(const struct link *l);

/* What the peer sends by itself (store_changed, store_due, vault_changed ...), and the news that a
 * channel has come or ended. Set both before the first wait; either may be NULL. `state` is called
 * with up = true for a new channel, false when it has ended. Neither may wait. */
typedef void link_state_fn(void *arg, bool up);
void link_on(struct link *l, channel_handler *handler, link_state_fn *state, void *arg);

#endif
