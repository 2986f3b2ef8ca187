/* marks.h - what mailbox formats know of a message besides its bytes.
 *
 * Flags have the numbers that the store and IMAP use. Keywords are words with a space between them;
 * what is no keyword (RFC 9051 9: an atom) is left out, however a file spells it.
 */
#ifndef PORT_MARKS_H
#define PORT_MARKS_H

#include "base/str.h"

enum { MARK_SEEN = 1, MARK_ANSWERED = 2, MARK_FLAGGED = 4, MARK_DELETED = 8, MARK_DRAFT = 16 };
enum { MARKS_KEYWORDS = 1024, MARKS_KEYWORD = 100 };

/* RFC 9051 9: flag-keyword. */
bool keyword_valid(struct str word);
/* Add the valid ones among words that `sep` or space ends, each once. */
void keywords_take(struct buf *keywords, struct str words, char sep);

#endif
