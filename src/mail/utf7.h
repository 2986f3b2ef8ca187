/* utf7.h - mailbox names between the wire and the store (RFC 3501 5.1.3, modified UTF-7).
 *
 * Pure functions. Each name has one encoding only: the decoder refuses every other spelling, so
 * encode(decode(x)) is x and two names that look different on the wire are different mailboxes.
 */
#ifndef MAIL_UTF7_H
#define MAIL_UTF7_H

#include "base/str.h"

/* Append the name as UTF-8. False, with the buffer as it was, when it is not the one valid
 * spelling: bytes outside printable ASCII, ASCII in base64, a broken or superfluous shift, stray
 * bits. */
bool utf7_decode(struct str in, struct buf *utf8);

/* The same for names that other programs have made up: ASCII in base64 is taken, too, which some
 * use for a separator within a name. */
bool utf7_decode_any(struct str in, struct buf *utf8);

/* Append a name in valid UTF-8 in modified UTF-7. Overflow is left to buf_ok(). */
void utf7_encode(struct str utf8, struct buf *out);

#endif
