/* trace.h - what happened to each message, for people. It stands in trace.db, which follows the log
 * a moment behind the replies (on PostgreSQL it is part of the commit), and keeps rows as long as
 * expunged mail is kept. It can always be made again from the log; but for what was never taken in:
 * that is not in the log, and only the newest TRACE_RING rows of it are kept, so that nobody can
 * fill the disk by being refused. */
#ifndef STORE_TRACE_H
#define STORE_TRACE_H

#include "store/store.h"

enum { TRACE_RING = 100000, TRACE_WAITING = 1 << 20 };

/* Write down something about a message that was not taken in. Any thread; never waits. False when
 * too much (TRACE_WAITING bytes) waits to be written already: it is then not written down. */
bool trace_note(
	struct store *s, uint64_t message, struct str event, struct str address, struct str text);

/* A row of it. ring: the newest of these are kept. */
int trace_put(struct db *db, const struct effect_trace *e, bool ring, struct err *err);
/* Rows older than that go, at most so many of the oldest. */
int trace_tidy(struct db *db, int64_t before, int64_t most, struct err *err);

struct trace_row {
	uint64_t position, message;
	int64_t time;
	struct str event, address, text;
};
typedef bool trace_fn(void *arg, const struct trace_row *row);
/* Of a message, or (message 0) of mail from or to an address; oldest first, after that position.
 * Waits until what was committed before is there. Reading job. */
int trace_list(struct view *v, uint64_t message, struct str address, uint64_t after, trace_fn *fn,
	void *arg, struct err *err);

#endif
