/* pack.h - a short form for the facts of messages, as the index keeps them.
 *
 * Facts say much that is said in every message, and repeat themselves. The short form refers to
 * what was there before, beginning with a dictionary that is part of the form. Bytes that do not
 * begin with its mark are as they were given: rows of earlier versions, and what would not get
 * shorter. Unpacking takes any bytes.
 */
#ifndef STORE_PACK_H
#define STORE_PACK_H

#include "base/str.h"

enum { PACK_MAX = 32768 }; /* bytes that can be packed */

/* `raw`, or its short form in `out`. */
struct str pack(struct str raw, struct buf *out);
/* What was packed: `coded` itself, or a slice of `out`. Damaged: empty. */
struct str unpack(struct str coded, struct buf *out);

#endif
