/* utf8.h - strict UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing over U+10FFFF.
 *
 * Pure functions on slices; nothing is owned. Decoding never fails to advance, so a loop over
 * hostile bytes ends.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

#define UTF8_BAD 0xfffdu /* U+FFFD, what a reader shows in place of bytes that mean nothing */

bool utf8_valid(struct str s);
bool utf8_is_ascii(struct str s);

/* Drop one character from the front and return it. False at the end. For bytes that are no
 * character *cp is UTF8_BAD, *ok is false and one byte is dropped. `ok` may be NULL. */
bool utf8_next(struct str *s, uint32_t *cp, bool *ok);

/* The bytes of one character; returns how many. What is not a Unicode scalar value gives U+FFFD. */
size_t utf8_encode(uint32_t cp, char out[4]);
/* Append one character; what is not a Unicode scalar value becomes U+FFFD. */
void utf8_put(struct buf *b, uint32_t cp);

/* Append s with every bad byte replaced by U+FFFD. */
void utf8_clean(struct buf *b, struct str s);

/* The longest head of at most max bytes that does not end within a character. */
struct str utf8_head(struct str s, size_t max);

#endif
