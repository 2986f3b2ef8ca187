/* border.h - fields that only this server may write are taken out of what comes in.
 *
 * Authentication-Results (RFC 8601) that claim to be ours, however they are spelled, folded and
 * commented, so that nobody downstream takes a stranger's word for ours; and Return-Path, which the
 * last server writes (RFC 5321 4.4). The message streams through: at most one field is held back
 * while it is not clear what it is. What is kept goes out byte for byte.
 */
#ifndef MAIL_BORDER_H
#define MAIL_BORDER_H

#include "base/err.h"
#include "base/str.h"

enum {
	BORDER_HOLD = 4096, /* a field that hides its id behind more than that is removed */
	BORDER_ID = 300,
};

struct border {
	struct str host; /* our authserv-id */
	unsigned removed;
	/* Where in the head we are. */
	unsigned char state, value;
	bool line_start;
	struct buf held; /* of an undecided field, from earlier pieces */
	char name[24];
	size_t name_n;
	char id[BORDER_ID]; /* what stands where the authserv-id should, without comments */
	size_t id_n;
	unsigned length; /* of the undecided field so far */
	unsigned depth;  /* of comments */
};
#define BORDER(name)                                                                               \
	((struct border){ .host = (name), .line_start = true, .held = BUF(BORDER_HOLD) })

/* Gets what is kept, in order. */
typedef int border_fn(void *arg, struct str bytes, struct err *err);

/* The next piece of the message, of any size. -1 when fn has failed. */
int border_feed(struct border *b, struct str piece, border_fn *fn, void *arg, struct err *err);
/* The message has ended (perhaps within its head). */
int border_end(struct border *b, border_fn *fn, void *arg, struct err *err);
void border_free(struct border *b);

#endif
