/* text.h - is a message that came in chunks made of lines? Pure functions.
 *
 * With BDAT (RFC 3030) the end of a message does not depend on what is in it, so nothing in it
 * could fool us. But what we keep is passed on: to servers with DATA, to readers with POP3. So text
 * is held to the same rule as with DATA (dot.h): lines end with CR LF, and a CR, an LF or a NUL
 * alone is refused, not repaired, because a repaired message is another one than was signed. In a
 * BINARYMIME message the rule holds for the head only; behind it any byte may stand.
 */
#ifndef SMTP_TEXT_H
#define SMTP_TEXT_H

#include "base/str.h"

/* Zero starts a message of text; `binary` one that is text up to the empty line. */
struct text_check {
	bool binary;
	bool done;      /* binary, and the head has ended */
	bool cr;        /* the last byte was a CR */
	size_t line;    /* bytes of the current line so far */
	size_t longest; /* the longest line so far, without CR LF */
};

/* NULL, or what is wrong. The pieces of a message in order, cut anywhere. Linear time. */
const char *text_check_feed(struct text_check *t, struct str piece);
const char *text_check_end(const struct text_check *t);

#endif
