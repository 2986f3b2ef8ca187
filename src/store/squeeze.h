/* squeeze.h - bytes of mail as one zstd frame. The only file that knows the library.
 *
 * How long the bytes were is known from elsewhere (the index), so what a frame says of itself is
 * not believed: undoing writes into the room that it is given and allocates nothing that depends on
 * the frame. Whether the bytes are the right ones their checksum says, as it does for any others.
 * Thread-safe.
 */
#ifndef STORE_SQUEEZE_H
#define STORE_SQUEEZE_H

#include "base/err.h"
#include "base/str.h"

enum { SQUEEZE_LEAST = 512 }; /* what is shorter is not worth it */

/* Into `out`, which is empty. False, and `out` is empty: it does not pay, that is, less than an
 * eighth would be saved. */
bool squeeze(struct str plain, struct buf *out);

/* Exactly n bytes. 0; 1 these are none that squeeze() has made of so many; -1 out of memory, which
 * says nothing about them. */
int squeeze_undo(struct str squeezed, char *room, size_t n, struct err *err);

#endif
