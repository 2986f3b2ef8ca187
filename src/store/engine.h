/* engine.h - what an engine of the store does in its own way. Jobs, effects and their SQL are the
 * same for all.
 *
 * Embedded (embedded.c): the log makes a batch safe, and the index, an SQLite file, follows.
 * Shared (shared.c): all is in a PostgreSQL database that several nodes have open.
 *
 * A batch of the writer's thread:
 *
 *   may_begin, begin, for each job: job_begin, the job itself, record, job_end; commit
 *
 * Where -1 is said to be fatal nobody knows what is on the disk, or the database is gone: the
 * process must end with nothing answered.
 */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/blob.h"

/* Where a body is. */
struct body_place {
	uint64_t body, segment, place, size;
	uint64_t stored; /* in so many bytes, squeezed (squeeze.h); 0: as it is */
	uint32_t checksum;
	char blob[BLOB_NAME]; /* "": none */
	bool damaged;         /* known to be, and not served */
};

struct batch {
	struct store_job *first; /* those that have run, in order; not all have succeeded */
	unsigned jobs;
	bool lazy; /* nothing but lazy jobs */
};

struct engine {
	/* Make tables or bring them up to date, recover; s->index and the counters are there
	 * afterwards. */
	int (*open)(struct store *s, struct err *err);
	int (*start)(struct store *s, struct err *err); /* threads of its own */
	void (*stop)(struct store *s);                  /* and join them */
	void (*close)(struct store *s);                 /* also after a failed open or start */

	/* -1: nothing can be written at present, and the jobs are refused. */
	int (*may_begin)(struct store *s, size_t expected, struct err *err);
	int (*begin)(struct store *s, struct err *err); /* fatal */
	bool (*fits)(const struct store *s, size_t expected);
	int (*job_begin)(struct store *s, struct err *err); /* fatal */
	/* The job's effects and its body go into the batch; -1: the job has failed. */
	int (*record)(struct store *s, struct err *err);
	/* A failed job leaves nothing behind. The engine may make it fail yet. -1: fatal. */
	int (*job_end)(struct store *s, struct store_job *job, struct err *err);
	int (*commit)(struct store *s, const struct batch *b, struct err *err); /* fatal */
	/* Commit what a lazy batch has left open; fatal. */
	int (*settle)(struct store *s, struct err *err);

	/* A batch that has met a conflict (db_conflict()) leaves nothing behind and is repeated;
	 * NULL: there are none. */
	void (*undo)(struct store *s);
	/* Once a second, within a job; NULL: nothing to do. */
	int (*tend)(struct txn *t, struct err *err);
	/* May so much new mail come in? Any thread. */
	bool (*has_room)(const struct store *s, uint64_t bytes);

	void (*figures)(struct store *s, struct store_figures *f); /* any thread */

	int (*view_open)(struct store *s, struct view *v, struct err *err);
	/* Fill `room` with `n` bytes of a body from `offset` on: all of it, or a piece of
	 * BLOB_PIECE bytes (the last may be shorter). 0; 1 what is there cannot be these bytes; -1,
	 * ERR_NOTFOUND: it is not there, or no longer. */
	int (*body_read)(struct view *v, const struct body_place *p, uint64_t offset, char *room,
		size_t n, struct err *err);
	/* The checksums of its pieces of BLOB_PIECE bytes, little-endian u32. 1; 0 the engine has
	 * none of this body: it is read whole to be checked; -1. NULL: of no body. */
	int (*body_sums)(
		struct view *v, const struct body_place *p, struct buf *sums, struct err *err);
};

/* place.c: of the embedded engine */
int place_read(struct view *v, const struct body_place *p, uint64_t offset, char *room, size_t n,
	struct err *err);
int place_sums(struct view *v, const struct body_place *p, struct buf *sums, struct err *err);

extern const struct engine engine_embedded, engine_shared;

#endif
