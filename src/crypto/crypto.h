/* crypto.h - start of the library, random bytes, and comparing without telling how far it got.
 *
 * crypto_init() touches everything that the libraries would otherwise load at first use, so it
 * must have run before the sandbox closes and before any thread starts. Nothing here is owned.
 * Thread-safe after crypto_init().
 */
#ifndef CRYPTO_CRYPTO_H
#define CRYPTO_CRYPTO_H

#include "base/err.h"
#include "base/str.h"

int crypto_init(struct err *err); /* may be called again */

/* Bytes from the kernel's generator. Cannot fail: a program without randomness ends. */
void random_bytes(void *p, size_t n);
/* Evenly distributed in 0 .. below - 1; 0 when below is 0. */
uint32_t random_below(uint32_t below);

/* The time depends on the lengths only. */
bool crypto_equal(struct str a, struct str b);
void crypto_wipe(void *p, size_t n); /* overwrites even when nobody reads it again */

#endif
