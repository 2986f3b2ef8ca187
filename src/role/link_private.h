/* link_private.h - how run.c feeds a link. */
#ifndef ROLE_LINK_PRIVATE_H
#define ROLE_LINK_PRIVATE_H

#include "role/link.h"

struct link_waiter;

struct link {
	struct task_group *group;
	uint32_t who;
	struct channel *ch; /* NULL: down */
	uint64_t generation;
	channel_handler *handler;
	link_state_fn *state;
	void *arg;
	struct link_waiter *waiters;
};

/* A new channel has come (fd is taken over); it replaces the old one. */
void link_put(struct link *l, int fd, uint32_t number);
void link_end(struct link *l);

#endif
