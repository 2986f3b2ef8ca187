/* hash.h - SipHash-2-4, the hash for everything that foreign bytes may choose.
 *
 * hash_bytes() and hash_u64() use a key drawn at random once per process, so nobody can prepare
 * collisions; their values mean nothing in another process and must never be stored. hash_fixed()
 * has a key that is part of our formats: its values may be stored and compared for ever.
 */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

uint64_t hash_bytes(struct str s);
uint64_t hash_u64(uint64_t v);
uint64_t hash_fixed(struct str s);

uint64_t siphash(uint64_t k0, uint64_t k1, struct str s);

#endif
