/* queue_private.h - leases, from the inside. */
#ifndef STORE_QUEUE_PRIVATE_H
#define STORE_QUEUE_PRIVATE_H

#include "base/heap.h"
#include "base/map.h"
#include "store/queue.h"

/* A domain that somebody works for, or that is due: what the table of domains (queue_domain) tells
 * of up to where it has been read. `due.at` is never later than the truth. */
struct queue_domain {
	struct heap_item due;
	struct queue_domain *next; /* of those looked at by this call */
	bool aside, seen;
	size_t leases;
	size_t name_n;
	char name[];
};

struct lease {
	uint64_t id, holder, message;
	struct queue_domain *domain;
	size_t rcpt_count;
	uint64_t rcpts[];
};

struct leases {
	struct map by_id; /* struct lease */
	struct map rcpts; /* by recipient: its lease */
	uint64_t next;
	unsigned turn;      /* choices made */
	struct map domains; /* struct queue_domain by name */
	struct heap due;
	/* So far the table has been read; after that it is asked. */
	int64_t read_next;
	struct buf read_domain;
};

struct lease *lease_find(struct leases *l, uint64_t id, uint64_t holder, struct err *err);
void lease_end(struct leases *l, struct lease *lease);

#endif
