/* view.h - the messages of a selected mailbox as one session numbers them.
 *
 * A view maps message sequence numbers (1, 2, 3 ...) to UIDs. It is kept as ranges of consecutive
 * UIDs, so a mailbox of a million messages that were never expunged costs twelve bytes. It changes
 * only when the session says so, between commands (RFC 3501 7.4.1), whatever others do to the
 * mailbox meanwhile.
 *
 * Ranges of UIDs made from a view never cover a message that is in the mailbox but not in the view,
 * as UIDs only grow: what is new lies beyond its end. The owner frees.
 */
#ifndef IMAP_VIEW_H
#define IMAP_VIEW_H

#include "imap/parse.h"

enum { IMAP_SPANS_MAX = 4 << 20 }; /* ranges of a view, or of any list of ranges */

/* A growing list of ranges of UIDs, ascending and apart. Zero is a valid, empty list. */
struct imap_ranges {
	struct imap_range *v;
	size_t n, cap;
};
/* Append uids that are all above those that are there; false when memory runs out. */
bool imap_ranges_add(struct imap_ranges *r, uint32_t first, uint32_t last);
bool imap_ranges_have(const struct imap_ranges *r, uint32_t uid);
uint64_t imap_ranges_count(const struct imap_ranges *r);
void imap_ranges_clear(struct imap_ranges *r); /* keeps the memory */
void imap_ranges_free(struct imap_ranges *r);

struct imap_span {
	uint32_t first, last; /* uids */
	uint32_t seq;         /* of `first` */
};
struct imap_view {
	struct imap_span *v;
	size_t n, cap;
	uint32_t count;   /* messages */
	uint32_t uidnext; /* the smallest uid that may still come */
};

bool imap_view_append(struct imap_view *w, uint32_t first, uint32_t last);
uint32_t imap_view_uid(const struct imap_view *w, uint32_t seq); /* 0: no such number */
uint32_t imap_view_seq(const struct imap_view *w, uint32_t uid); /* 0: not in the view */
/* The same when asked in ascending order: *at remembers the place; begin with 0. */
uint32_t imap_view_seq_from(const struct imap_view *w, uint32_t uid, size_t *at);
uint32_t imap_view_last_uid(const struct imap_view *w); /* 0 when empty */
/* How many messages have a uid of at least `uid`. */
uint32_t imap_view_count_from(const struct imap_view *w, uint32_t uid);

/* Take `gone` out. For each message that goes, in ascending order, `each` gets the number that it
 * has after the ones before it have gone, which is what EXPUNGE says. False when memory runs out:
 * nothing has changed. */
bool imap_view_remove(struct imap_view *w, const struct imap_ranges *gone,
	void (*each)(void *arg, uint32_t seq), void *arg);

/* A set from a command as ranges of UIDs of this view, clipped to it, ascending and as few as
 * possible. `uids`: the set holds UIDs (those that are not here are ignored, RFC 3501 6.4.8), else
 * sequence numbers. False and *why: a number with no message (BAD), or memory ran out. */
bool imap_view_resolve(const struct imap_view *w, const struct imap_set *set, bool uids,
	struct imap_ranges *out, const char **why);

void imap_view_free(struct imap_view *w);

#endif
