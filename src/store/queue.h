/* queue.h - mail for elsewhere: what is due, who works on it, what became of it.
 *
 * A lease is the right of one holder (a courier's channel) to work on the recipients of one message
 * in one domain. Leases live in memory: they end with their result, with their holder, or with the
 * process, and then the recipients are due again. (On PostgreSQL they are rows: lease_rows.c.)
 * Results are durable per recipient. The last recipient takes its message along. All times are
 * seconds since 1970.
 *
 * Of what is due in a domain, higher priority goes first, then what has been due for longer; but
 * every eighth choice goes by age alone, so that a stream of urgent mail starves nothing.
 *
 * A recipient that had gone when its message was committed comes with `failed`: the holder makes
 * the report and does not try. Errors: ERR_NOTFOUND no such lease or message; ERR_DENIED another's.
 */
#ifndef STORE_QUEUE_H
#define STORE_QUEUE_H

#include "base/arena.h"
#include "store/delivery.h"

enum { QUEUE_LEASE_RCPTS = 100, QUEUE_LEASES_MAX = 4096 };
#define QUEUE_NEVER INT64_MAX

struct leases;
int leases_new(struct leases **l, struct err *err);
void leases_free(struct leases **l);
/* On PostgreSQL leases are rows that all nodes see: this node's have this number. */
void leases_share(struct leases *l, uint64_t node);
int leases_of_node_end(struct txn *t, uint64_t node, struct err *err);
/* Something was queued, or put off, until that time. Being wrong costs one look. */
void queue_expect(struct leases *l, int64_t when);
void queue_lease_ended(struct leases *l, uint64_t lease);

struct queue_rcpt {
	uint64_t id;
	struct str address, orcpt, failed;
	bool delivered; /* here, already: it is only to be reported */
	uint8_t notify;
	int64_t rrvs;
	uint8_t rrvs_mode;
	uint32_t attempts;
	bool delay_told;
};

struct queue_lease {
	struct queue_lease *next;
	uint64_t id, message, body, size;
	struct str sender, envid, domain, prefix;
	int64_t arrived;
	uint32_t flags;
	uint8_t ret;
	struct delivery_options options;
	struct queue_rcpt rcpts[QUEUE_LEASE_RCPTS];
	size_t rcpt_count;
};

struct queue_lease_query {
	uint64_t holder;
	uint32_t max;
	const struct str *busy; /* domains not wanted now */
	size_t busy_count;
	size_t room; /* bytes that the strings of all leases may take, about */
};
/* The leases given, in the arena; *next_due: when something may become due that is not now,
 * QUEUE_NEVER when nothing waits. Writer's thread. Held mail for here is delivered. */
int queue_lease(struct txn *t, const struct queue_lease_query *q, struct arena *arena,
	struct queue_lease **out, int64_t *next_due, struct err *err);
int queue_holder_gone(struct txn *t, uint64_t holder, struct err *err);

/* Bytes of a queued message: its prefix, then its body. */
int queue_read(struct view *v, uint64_t message, uint64_t offset, uint32_t length, struct buf *out,
	uint64_t *size, struct err *err);

struct queue_result {
	uint64_t rcpt;
	uint8_t state; /* STORE_DELIVERED, _DEFERRED, _FAILED, _RELEASED */
	uint32_t retry_after, code;
	struct str status, text, remote;
	bool delay_told;
};
struct queue_report {
	bool wanted; /* there is one: its body goes to the message's sender, from nobody */
	uint64_t id; /* queue id of the report */
	uint32_t flags;
	struct delivery_body body;
};
int queue_results(struct txn *t, uint64_t holder, uint64_t lease, const struct queue_result *r,
	size_t n, const struct queue_report *report, struct err *err);

enum queue_op { QUEUE_OP_RETRY = 1, QUEUE_OP_HOLD, QUEUE_OP_RELEASE, QUEUE_OP_DROP };
/* message 0: all; account not 0: only what it has submitted. Whom a message that is released goes
 * to, its account knows from then on (sending.h). */
int queue_change(struct txn *t, uint64_t message, uint64_t account, enum queue_op op,
	uint32_t *changed, struct err *err);
/* The same for at most `most` recipients, from the one after *after on, which then is where to go
 * on; 0: at the beginning, and there is no more. */
int queue_change_some(struct txn *t, uint64_t message, uint64_t account, enum queue_op op,
	uint32_t most, uint64_t *after, uint32_t *changed, struct err *err);

struct queue_row {
	uint64_t message, rcpt, size;
	int64_t arrived, next;
	struct str sender, address, text;
	uint8_t state;
	uint32_t attempts;
};
typedef bool queue_row_fn(void *arg, const struct queue_row *row);
int queue_list(struct view *v, uint64_t after, queue_row_fn *fn, void *arg, struct err *err);

struct queue_figures {
	uint64_t queued, held;
	int64_t oldest; /* 0: none */
};
int queue_figures(struct view *v, struct queue_figures *f, struct err *err);

#endif
