/* compact.h - what is dead goes from the disk (doc/store.md, "Compaction").
 *
 * A thread looks every few seconds. Segments of the log without a live body are removed, and so are
 * blobs that nobody refers to. Of a segment that is at least half dead the live bodies are copied
 * to the head of the log, checked, a little at a time, by ordinary jobs of the writer; then it is
 * dead.
 *
 * A file is removed only after a checkpoint that began when nothing in the index named it any more,
 * and only when neither the index, the trace nor a snapshot may want it for a replay.
 *
 * The same thread reads bodies that nobody may read for years, to know what the disk has lost.
 *
 * compact_start() and compact_stop() belong to the embedded engine. Failures are logged, and the
 * thread tries again later: what is dead costs space and nothing else.
 */
#ifndef STORE_COMPACT_H
#define STORE_COMPACT_H

#include "store/store.h"

struct compact_report {
	unsigned moved;    /* bodies */
	unsigned segments; /* removed */
	unsigned blobs;
};

/* Do now, without pauses, what there is to do; any thread. */
int store_compact(struct store *s, struct compact_report *done, struct err *err);

/* Read all bodies, so that those that have rotted are known. The thread does so, too, a little at a
 * time (scrub.c). */
int store_scrub(struct store *s, struct err *err);

/* All bodies that are not damaged are squeezed where it pays, or all are as they are, from now on.
 * done->moved: those of which the form has changed. What they were takes its space until it is
 * compacted. Nothing else is asked of the store meanwhile. */
int store_rewrite(struct store *s, bool squeezed, struct compact_report *done, struct err *err);

#endif
