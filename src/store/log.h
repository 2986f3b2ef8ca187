/* log.h - the store's log: where bytes become safe. (Its prefix is slog_; log_ are log lines.)
 *
 * A row of segment files log/NNNNNNNNNN.seg. A segment is written with zeros and flushed before it
 * is used, one ahead by a helper thread, so that a flush touches no metadata. A record holds the
 * body of its message (may be empty) and the effects of one request. Its checksum covers its bytes,
 * the checksum before it (a chain) and a random salt of the segment, so that no message can
 * contain what looks like a record. Records are written in batches: one write, one flush. A
 * batch never crosses a segment and begins at a multiple of 512 bytes.
 *
 * Recovery follows the chain from the position that the index knows. A break is a torn tail only if
 * no valid record of a later batch follows anywhere; else it is damage, nothing is cut, and
 * the log is read-only. The exact bytes and steps are in doc/store.md.
 *
 * One thread writes; slog_read() may be called from any.
 */
#ifndef STORE_LOG_H
#define STORE_LOG_H

#include "base/err.h"
#include "base/str.h"

struct slog;

enum {
	SLOG_VERSION = 1,
	SLOG_RECORD_HEAD = 56,
	SLOG_SEGMENT_HEAD = 512,
	SLOG_ALIGN = 512,     /* where a batch begins */
	SLOG_SLACK = 64 << 10 /* a batch leaves a segment when less than this is left for effects */
};

/* Where the log stands: after which record, and where that one begins. All zero: at its beginning.
 */
struct slog_position {
	uint64_t segment, offset; /* of the end of the last record, rounded up to 8 */
	uint64_t last;            /* offset of the last record */
	uint64_t sequence, batch; /* of the last record */
	uint32_t checksum;        /* of the last record */
};

struct slog_record {
	uint64_t segment, offset; /* where it begins */
	uint16_t version;
	uint64_t sequence, batch;
	int64_t time;      /* microseconds since 1970 */
	uint32_t previous; /* checksum of the record before */
	struct str body, effects;
	bool ends_batch;
	struct slog_position after;
};

/* Called for every record after the given position, in order. Slices are valid during the call. */
typedef int slog_replay_fn(void *arg, const struct slog_record *r, struct err *err);

struct slog_options {
	uint64_t segment_bytes; /* 64 MiB unless set */
	uint64_t spare_bytes;   /* free space that a new segment must leave to others */
};

/* Open the log below dir, replay what follows `from`, repair a torn tail. 0 also when the log is
 * damaged or cannot be repaired: slog_damage() then says how, and nothing can be written. -1: a
 * system error, or replay failed. */
int slog_open(struct slog **out, int dir, const struct slog_options *o,
	const struct slog_position *from, slog_replay_fn *replay, void *arg, struct err *err);
void slog_close(struct slog **l);
const char *slog_damage(const struct slog *l); /* NULL: none */
/* With damage: the last batch that was replayed may be in the page cache and not on the disk, so no
 * index may name it. */
bool slog_is_unsure(const struct slog *l);
uint64_t slog_bytes(const struct slog *l); /* of all segments */

/* A batch: begin, add records, commit. `expected` is the size of the first record, about. */
int slog_batch_begin(struct slog *l, size_t expected, struct err *err);
/* Would another record of about this size still go into this batch? */
bool slog_batch_fits(const struct slog *l, size_t expected);
/* Where the body of the record added next will be. */
void slog_body_place(const struct slog *l, uint64_t *segment, uint64_t *offset);
int slog_batch_add(
	struct slog *l, int64_t time, struct str body, struct str effects, struct err *err);
/* One write, one flush; *after is the new position. -1 is final: the process must end unanswered,
 * because nobody knows what is on the disk. An empty batch costs nothing. */
int slog_batch_commit(struct slog *l, struct slog_position *after, struct err *err);
void slog_batch_drop(struct slog *l); /* forget what was added */
/* The records of the open batch, in order; only segment, offset and effects are set. */
int slog_batch_each(struct slog *l, slog_replay_fn *fn, void *arg, struct err *err);

/* Read bytes of a body; any thread. ERR_NOTFOUND when they are not there. */
int slog_read(
	struct slog *l, uint64_t segment, uint64_t offset, char *p, size_t n, struct err *err);

/* The segment's file is about to go, or has gone: who reads it now may finish. Any thread. */
void slog_forget(struct slog *l, uint64_t segment);
/* The first segment after this one that is there. 1, 0 none, -1. */
int slog_next_segment(int dir, uint64_t after, uint64_t *number, struct err *err);

/* Read along behind the writer, on any thread: the records after *at up to sequence `until` (which
 * is known to be committed), at most `max`. Bodies are passed over and come out empty. Returns
 * how many, -1 on error. *at moves along. */
int slog_follow(int dir, struct slog_position *at, uint64_t until, size_t max, slog_replay_fn *fn,
	void *arg, struct err *err);

/* One record at the front of `bytes`: its padded length, 0 when there is no valid record (a later
 * version may be valid: see r->version). Total: any bytes give an answer. */
size_t slog_record_parse(struct str bytes, uint32_t salt, struct slog_record *r);

#endif
