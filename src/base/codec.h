/* codec.h - base64, hex, quoted-printable and xtext.
 *
 * Encoders append to the buffer and leave its overflow to buf_ok(). Decoders are strict: any byte
 * that the encoding does not allow, a wrong end, or a result past the buffer's limit gives false,
 * and the buffer then holds what it held before. For mail bodies, which are often a little wrong,
 * see the tolerant piecewise decoders in mail/body.h. Nothing is owned; linear time.
 */
#ifndef BASE_CODEC_H
#define BASE_CODEC_H

#include "base/str.h"

/* RFC 4648 4: standard alphabet, padding required, no line breaks, unused bits zero. */
void base64_encode(struct buf *b, struct str s);
bool base64_decode(struct str s, struct buf *b);
/* The value of one base64 digit, or -1. */
int base64_digit(char c);

/* Base64 in lines of 76 characters, each ended by CRLF (RFC 2045 6.8). */
void base64_encode_lines(struct buf *b, struct str s);

void hex_encode(struct buf *b, struct str s); /* lower case */
bool hex_decode(struct str s, struct buf *b); /* either case, an even number of digits */
int hex_digit(char c);                        /* 0 to 15, or -1 */

/* RFC 2045 6.7. Text: CRLF in s stays a line break; a lone CR or LF is encoded. Output lines are
 * at most 76 characters and never begin with a dot or "From ". */
void qp_encode(struct buf *b, struct str s);
bool qp_decode(struct str s, struct buf *b);

/* RFC 3461 4: printable ASCII but "+" and "=" stands for itself, the rest is +HH. */
void xtext_encode(struct buf *b, struct str s);
bool xtext_decode(struct str s, struct buf *b);

#endif
