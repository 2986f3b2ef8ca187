/* snapshot.h - copies of the index that are safe on their own, below snapshot/.
 *
 * A snapshot is the main file of the index just after a checkpoint that copied everything: one
 * moment of the index, with the position of the log that it stands at. With the log from there on
 * it gives the index back (fsck.h). Its name is SEGMENT-SEQUENCE.db. Two are kept; they hold the
 * segments since the older (store_held_from()).
 */
#ifndef STORE_SNAPSHOT_H
#define STORE_SNAPSHOT_H

#include "store/store.h"

enum { SNAPSHOT_NAME = 64, SNAPSHOTS_KEPT = 2 };

struct snapshot {
	char name[SNAPSHOT_NAME]; /* "snapshot/0000000003-00000000000000001234.db" */
	uint64_t segment, sequence;
	int64_t made; /* nanoseconds since 1970 */
};

/* The newest first, at most `max` of them. How many; 0 when there is no folder. */
int snapshot_list(int dir, struct snapshot *out, size_t max, struct err *err);

/* Make one now, of everything committed before. Takes as long as copying the index; the writer
 * goes on meanwhile, only checkpoints wait. Any thread. */
int store_snapshot(struct store *s, struct snapshot *out, struct err *err);

/* While at least one of these is in force no segment and no blob is removed. Any thread. */
void store_hold(struct store *s);
void store_unhold(struct store *s);

/* Where the log stands: everything that was answered before this job began is in front of it. */
void store_mark(const struct txn *t, uint64_t *segment, uint64_t *offset, uint64_t *sequence);

/* Copy index.db, which nobody may be changing, into snapshot/. `segment` and `sequence` are those
 * that it holds. */
int snapshot_copy(int dir, int main_file, uint64_t segment, uint64_t sequence, struct snapshot *out,
	struct err *err);

#endif
