/* secret.h - bytes that must not leak: passwords, keys, tokens.
 *
 * A secret owns its bytes. They live in memory that is kept out of core dumps and, when the
 * system lets us, out of swap; they are wiped when the secret is freed. There is no way to
 * print, log or copy a secret by accident: secret_reveal() is the one door, and a reviewer
 * greps for it. Taking a secret can fail only for lack of memory. Thread-safe.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/err.h"
#include "base/str.h"

enum { SECRET_MAX = 1 << 20 }; /* bytes; larger is a mistake of the caller */

struct secret {
	char *p;
	size_t n;
};

#define SECRET_NONE ((struct secret){ NULL, 0 })

/* Room for n bytes, all zero. The second copies; the caller wipes its own copy. On failure
 * (ERR_LIMIT, ERR_TEMP) *s is SECRET_NONE. *s must not hold a secret yet. */
int secret_alloc(struct secret *s, size_t n, struct err *err);
int secret_copy(struct secret *s, struct str from, struct err *err);
void secret_free(struct secret *s); /* wipes; safe to call twice */

/* Compare in a time that depends on the lengths only. */
bool secret_eq(const struct secret *a, struct str b);

struct str secret_reveal(const struct secret *s);

/* Wipe and forget a buffer that held something secret for a moment. A buffer that grew may have
 * left copies behind: give it its full size first (buf_room). */
void secret_wipe_buf(struct buf *b);

#endif
