/* compact_private.h - a round of compaction. */
#ifndef STORE_COMPACT_PRIVATE_H
#define STORE_COMPACT_PRIVATE_H

#include "store/compact.h"
#include "store/log_private.h"
#include "store/store_private.h"

struct round {
	struct store *s;
	struct view view;
	struct db *db;                                 /* for checkpoints */
	bool hurry;                                    /* no pauses */
	enum { AS_SET, ALL_PLAIN, ALL_SQUEEZED } form; /* the last two: of no other bodies */
	struct compact_report done;
	struct {
		bool begun, whole; /* this time from the first one on */
		uint64_t next;     /* the body that was read last */
		uint64_t segment;  /* that the last one of the log lies in */
		unsigned unread;   /* this time */
		int64_t due;       /* clock_mono() */
	} scrub;
};

/* Wait as the store's thread waits; false: it is time to stop. */
bool compact_pause(struct round *r, int64_t ns);

/* scrub.c: read the next bodies, so that damage is found. -1: the index cannot be read, or it is
 * time to stop; the next are tried by the next round. */
int compact_scrub(struct round *r, struct err *err);

/* Copy what lives in a segment to the head of the log. */
int compact_segment(struct round *r, uint64_t segment, struct err *err);

/* What of a body's record, and of the index, must go with it so that it can be brought back. */
struct moved_refs {
	struct buf emails, entries, queued, facts; /* rows of effect.def */
	uint64_t links, email_count, found;
};
void moved_refs_init(struct moved_refs *m);
void moved_refs_free(struct moved_refs *m);
/* From the effects of the record that the body lies in. */
int moved_refs_gather(
	struct view *v, uint64_t body, struct str effects, struct moved_refs *m, struct err *err);
/* Entries that are no longer where those say: each account is gone through once for all of them. */
int moved_refs_look(struct view *v, struct moved_refs *const *refs, size_t n, struct err *err);

#endif
