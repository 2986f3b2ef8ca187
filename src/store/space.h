/* space.h - how much of each segment of the log is alive.
 *
 * Whoever applies effects says here what a body's coming, moving and going changes; the sums go
 * into the table `segment` together with the position of the log, so they are exact at every commit
 * and cost a row or two of it. What has been counted and not saved is forgotten when the index is
 * rolled back. A segment without a row is dead: no body that anybody refers to has its record
 * there.
 *
 * Names of blobs that nobody refers to any more are kept as hints for compact.h; one that is lost
 * is found by the sweep (blob.h). The writer's thread; space_take_blobs() any.
 */
#ifndef STORE_SPACE_H
#define STORE_SPACE_H

#include "db/db.h"

#include <pthread.h>

enum { SPACE_BLOBS = 256 << 10 };

struct space_change {
	uint64_t segment;
	int64_t bytes, bodies;
};

struct space {
	struct space_change *v;
	size_t n, cap;
	struct buf blobs; /* names, each with a newline; of this transaction */
	pthread_mutex_t lock;
	struct buf dropped; /* the same, committed */
};

void space_init(struct space *s);
void space_end(struct space *s);

/* segment 0 is no segment. */
int space_add(struct space *s, uint64_t segment, int64_t bytes, int64_t bodies, struct err *err);
void space_blob_dropped(struct space *s, struct str name);

int space_save(struct space *s, struct db *db, struct err *err); /* before the commit */
void space_committed(struct space *s); /* what was saved; blobs that were dropped may go */
void space_forget(struct space *s);    /* the index was rolled back */

/* Not now. */
void space_give_blobs(struct space *s, struct str names);
/* Blobs that were dropped by what is committed; the caller's from now on. */
void space_take_blobs(struct space *s, struct buf *out);

#endif
