/* convert.h - down-conversion: a message for a server that takes less than the message is.
 *
 * A server without 8BITMIME gets 7-bit text only (RFC 6152 3), one without BINARYMIME no NUL, no
 * bare CR or LF and no line over 998 octets (RFC 3030 3). Leaves become quoted-printable or base64;
 * multiparts and messages are never encoded themselves but converted inside (RFC 2045 6.4), with
 * boundaries and all other fields kept. What a leaf decodes to is the same before and after.
 *
 * Three passes over the message, in pieces of any size: convert_scan() finds the structure;
 * convert_plan() decides; then convert_feed() and convert_end() twice, once to see whether it can
 * be done and how large the result is, once for good. Any bytes are a message. Memory is bounded by
 * the limits of the MIME parser, whatever the size of the message.
 *
 * Decisions about signed messages. What is inside multipart/signed must not be touched (RFC 1847
 * 2.1): if it would have to be, the message cannot be converted. A DKIM signature may be broken,
 * because a broken one counts as none (RFC 6376 6.1) and the alternative is no delivery at all; but
 * overlong lines, which most servers take all the same, are left alone in either kind.
 */
#ifndef MAIL_CONVERT_H
#define MAIL_CONVERT_H

#include "base/err.h"
#include "base/str.h"

enum convert_target {
	CONVERT_8BIT, /* 8-bit text in lines */
	CONVERT_7BIT, /* ASCII text in lines */
};

struct convert;

struct convert *convert_new(void); /* NULL: out of memory */
void convert_free(struct convert **c);

void convert_scan(struct convert *c, struct str piece);
/* The whole message has been scanned. ERR_TEMP: out of memory. ERR_PERM: it cannot be converted;
 * err says why (RFC 3463: 5.6.3). */
int convert_plan(struct convert *c, enum convert_target target, struct err *err);

/* Append what the piece, of at most 1 MiB, becomes: at most four times its size and 64 KiB. */
void convert_feed(struct convert *c, struct str piece, struct buf *out);
/* The end of a run; the next piece begins another. Errors as of convert_plan(). */
int convert_end(struct convert *c, struct buf *out, struct err *err);

#endif
