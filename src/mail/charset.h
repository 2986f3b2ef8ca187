/* charset.h - text of old character sets as UTF-8, by built-in tables.
 *
 * Known: UTF-8, US-ASCII, ISO-8859-1 and -15, windows-1252. Of any other set the ASCII bytes are
 * taken as ASCII. Bytes that mean nothing become U+FFFD, so the result is always valid UTF-8. As
 * HTML and every browser do, ISO-8859-1 is read as windows-1252, which has it whole.
 */
#ifndef MAIL_CHARSET_H
#define MAIL_CHARSET_H

#include "base/str.h"

enum charset { CHARSET_UNKNOWN, CHARSET_UTF8, CHARSET_1252, CHARSET_LATIN9 };

/* By MIME name or a common alias; US-ASCII counts as UTF-8, which has it whole. */
enum charset charset_find(struct str name);

/* Piecewise: the result does not depend on the pieces. */
struct charset_decoder {
	enum charset set;
	char held[4]; /* the start of a UTF-8 character whose rest has not come */
	size_t n;
};
#define CHARSET_DECODER(s) ((struct charset_decoder){ .set = (s) })

void charset_feed(struct charset_decoder *d, struct str in, struct buf *out);
void charset_end(struct charset_decoder *d, struct buf *out);

/* All at once. */
void charset_to_utf8(struct str name, struct str in, struct buf *out);

#endif
