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
	bool shared; /* they are rows: by_id stays empty, rcpts are those of the domain at hand, and
			nothing of the table of domains is kept */
	uint64_t node;
	struct lease *found; /* read from its rows last */
	struct map by_id;    /* struct lease */
	struct map rcpts;    /* by recipient: its lease */
	uint64_t next;
	unsigned turn;      /* choices made */
	struct map domains; /* struct queue_domain by name */
	struct heap due;
	/* So far the table has been read; after that it is asked. */
	int64_t read_next;
	struct buf read_domain;
};

struct lease *lease_find(struct txn *t, uint64_t id, uint64_t holder, struct err *err);
/* It is over when this request succeeds. */
int lease_finish(struct txn *t, struct lease *lease, struct err *err);

/* lease_rows.c */
int lease_rows_of_domain(struct txn *t, struct str domain, struct err *err); /* into rcpts */
int lease_rows_put(struct txn *t, const struct queue_lease *l, uint64_t holder, struct err *err);
struct lease *lease_rows_find(struct txn *t, uint64_t id, uint64_t holder, struct err *err);
int lease_rows_end(struct txn *t, struct lease *lease, struct err *err);
int lease_rows_holder_gone(struct txn *t, uint64_t holder, struct err *err);
/* Of queue_domain, those due at $3 of which not all is worked on. */
#define LEASE_ROWS_FREE                                                                            \
	" AND EXISTS (SELECT 1 FROM queue_rcpt q WHERE q.domain = queue_domain.domain"             \
	" AND q.next <= $3 AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.rcpt = q.id))"
/* When something may become due that is not now. */
int lease_rows_when_next(struct txn *t, int64_t *when, struct err *err);

#endif
