/* shared.h - the shared engine from the inside: one PostgreSQL database, several nodes.
 *
 * One writer at a time over all nodes: a batch is a transaction that begins by locking the row of
 * log_position, and reads from it the numbers given out next. What it has changed goes to the other
 * nodes as notes (NOTIFY) with the commit; a thread listens to theirs. Any connection that is lost,
 * and a commit of which nobody knows whether it has happened, is fatal (store_fatal()).
 */
#ifndef STORE_SHARED_H
#define STORE_SHARED_H

#include "store/engine.h"
#include "store/store_private.h"

enum {
	NODE_SECONDS = 60, /* a node that is silent for that long is dead */
	NODE_RENEW = 15,   /* seconds after which it says that it is not */
	NODE_MARGIN = 10,  /* before the end of its leases it does not rely on them any more */
};

struct shared {
	uint64_t node; /* random: never used again */
	struct db *listen;
	/* The writer's thread. */
	int64_t now; /* of the database, when this batch began; seconds since 1970 */
	int64_t renewed, tidied;
	int64_t leases_next; /* clock_mono() until which leases hold once this batch is there */
	_Atomic int64_t leases_end; /* the same of the last one that is */
	unsigned jobs;              /* of this batch */
	bool changed; /* it must be saved, or has read what may not be on the standby yet */

	pthread_t thread;
	int stop[2];
	bool running;
	atomic_int standby;

	pthread_mutex_t side_lock;
	struct db *side; /* for bodies that come ahead of their message */
};

/* The time of the database, in seconds since 1970. */
#define SHARED_NOW "floor(extract(epoch FROM clock_timestamp()))::bigint"

/* A connection whose loss is fatal. */
int shared_connect(struct store *s, struct db **db, enum db_mode mode, struct err *err);

/* shared_notes.c */
int notes_open(struct store *s, struct err *err);  /* nothing is missed from here on */
int notes_start(struct store *s, struct err *err); /* the thread */
void notes_stop(struct store *s);
int notes_send(struct store *s, const struct batch *b, struct err *err); /* with the commit */

/* shared_body.c: bodies as rows. */
int piece_put(struct db *db, struct str name, uint64_t start, struct str data, struct err *err);
int piece_put_inline(struct store *s, struct err *err); /* the body of the job that has just run */
int piece_read(struct view *v, const struct body_place *p, uint64_t offset, char *room, size_t n,
	struct err *err);
int piece_sums(struct view *v, const struct body_place *p, struct buf *sums, struct err *err);
/* Those that come ahead of their message; any thread. */
int staged_begin(struct shared *h, struct str name, struct err *err);
int staged_add(struct shared *h, struct str name, uint64_t start, struct str data, struct err *err);
int staged_commit(struct shared *h, struct str name, const struct buf *sums, struct err *err);
void staged_drop(struct shared *h, struct str name);
int staged_sweep(struct txn *t, struct err *err); /* bodies that no message came for */

#endif
