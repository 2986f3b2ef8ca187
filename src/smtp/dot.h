/* dot.h - the dot framing of DATA (RFC 5321 4.5.2), both ways. Pure functions.
 *
 * Reading: dot_scan() walks over whatever bytes are there and gives the message back in pieces that
 * point into them, the longest that need no copy. Only CR LF . CR LF ends a message. A bare CR, a
 * bare LF or a NUL is an error and never repaired: two servers that repair differently can be made
 * to disagree on where a message ends.
 *
 * Writing: dot_write() takes the message in pieces and appends what goes over the wire. Its output
 * always ends its lines with CR LF and never holds a bare CR or LF, whatever it is given.
 */
#ifndef SMTP_DOT_H
#define SMTP_DOT_H

#include "base/str.h"

enum dot_result {
	DOT_PIECE,   /* *piece is the next part of the message */
	DOT_MORE,    /* nothing more to be had from these bytes without further ones */
	DOT_END,     /* the end of the message has been taken */
	DOT_BARE_CR, /* these three: the stream cannot be trusted from here on */
	DOT_BARE_LF,
	DOT_NUL,
};

/* A message being read; zero starts at the beginning of a line. */
struct dot_reader {
	size_t line;    /* bytes of the current line so far, a stuffed dot included */
	size_t longest; /* the longest line so far, without CR LF */
};

/* Look at `in`; *used bytes of it are done with (never more than a few are left by DOT_MORE).
 * Linear time. */
enum dot_result dot_scan(struct dot_reader *d, struct str in, size_t *used, struct str *piece);

struct dot_writer {
	bool in_line; /* the last line is not ended */
	bool cr;      /* the last byte given was CR and has not been written */
};

void dot_write(struct dot_writer *d, struct str in, struct buf *out);
void dot_finish(struct dot_writer *d,
	struct buf *out); /* the end of the line, then the end of the message */

#endif
