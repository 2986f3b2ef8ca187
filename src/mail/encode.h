/* encode.h - words of header fields in other alphabets (RFC 2047).
 *
 * Encoding is for fields that we write; decoding is for people and search, and never fails: what is
 * no encoded word stands for itself. Linear time.
 */
#ifndef MAIL_ENCODE_H
#define MAIL_ENCODE_H

#include "base/str.h"

/* Append UTF-8 text for the value of an unstructured field (Subject) or a display name. Text that
 * is plain and fits stays as it is (a display name is quoted if it must be); otherwise it becomes
 * encoded words of at most 75 characters, folded with CRLF and a space. `column` is how much of the
 * line is taken. Line breaks and other control characters in the text become spaces. */
void words_encode(struct buf *b, struct str text, size_t column);
void phrase_encode(struct buf *b, struct str text, size_t column);

/* Append a field's value as UTF-8 on one line, encoded words decoded. */
void words_decode(struct str value, struct buf *text);

#endif
