/* link_private.h - how run.c feeds a link. */
#ifndef ROLE_LINK_PRIVATE_H
#define ROLE_LINK_PRIVATE_H

#include "role/link.h"

struct link_waiter;

struct link {
	struct task_group *group;
	uint32_t who;
	struct channel *ch; /* NULL: down */
	int64_t down_since; /* clock_mono() */
	uint64_t generation;
	channel_handler *handler;
	link_state_fn *state;
	void *arg;
	struct link_waiter *waiters;
	bool last; /* the master is gone: no other channel will come */
};

/* A new channel has come (fd is taken over); it replaces the old one. */
void link_put(struct link *l, int fd, uint32_t number);
/* Since when there has been no channel although the peer is up; NEVER when there is one, or it is
 * not. */
int64_t link_down_since(struct link *l, bool up);
void link_end(struct link *l);
/* No other channel will come: who waits for one is told at once. */
void link_last(struct link *l);

#endif
