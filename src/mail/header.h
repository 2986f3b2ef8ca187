/* header.h - the head of a message: where it ends, and its fields.
 *
 * Everyone who looks at a message uses this split, so that what is checked, signed, stored and
 * shown is the same. A line ends with LF; a CR before it belongs to the ending. The head ends with
 * the first empty line, which is part of it, and nothing else ends it: a line that is neither a
 * field nor a continuation is junk inside the head. Pure functions on slices; what they give points
 * into what they were given. Linear time.
 */
#ifndef MAIL_HEADER_H
#define MAIL_HEADER_H

#include "base/str.h"

enum {
	HEAD_MAX = 1 << 20,     /* bytes of a head that are looked at */
	HEAD_FIELDS_MAX = 2000, /* fields of a head that are looked at */
};

/* Length of the head of `message` with its empty line. False when the empty line has not come:
 * *len is then the whole length. */
bool head_find_end(struct str message, size_t *len);

struct header_field {
	struct str name;  /* as written; empty for a line of junk */
	struct str value; /* from after the colon, folds and all, without the last line ending */
	struct str raw;   /* the field's lines with their endings */
	size_t offset;    /* of raw in the head */
};

/* for (struct header_iter it = HEADER_ITER(head); header_next(&it, &field);) */
struct header_iter {
	struct str head;
	size_t at, fields;
	bool over; /* stopped at a limit: there was more */
};
#define HEADER_ITER(h)                                                                             \
	{                                                                                          \
		.head = (h)                                                                        \
	}

bool header_next(struct header_iter *it, struct header_field *f);

/* Is this the field's name? Case does not matter. */
bool header_is(const struct header_field *f, struct str name);

/* The first field of that name, and how many there are. */
bool header_find(struct str head, struct str name, struct header_field *f);
size_t header_count(struct str head, struct str name);

/* May this be the name of a field (RFC 5322 3.6.8)? */
bool header_name_valid(struct str name);

/* Append a value on one line: line breaks, other CRs and NULs gone, no white space at the ends. */
void header_unfold(struct buf *b, struct str value);

#endif
