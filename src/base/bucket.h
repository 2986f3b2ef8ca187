/* bucket.h - how often something may happen, for very many keys in fixed memory.
 *
 * A token bucket holds `burst` tokens and gets one more every `every` nanoseconds. It is kept as
 * one number: when it will be full again. A table of them is fixed at birth. An entry whose time
 * has passed says nothing and is reused; when all places of a key are taken, the one nearest to
 * forgotten goes. So whoever has emptied his bucket gets it forgotten only by emptying more buckets
 * further than his own, in a place that is chosen by a hash whose key he does not know.
 *
 * Pure: time is a parameter (monotonic nanoseconds). Keys are hashes (base/hash.h: hash_bytes), and
 * 0 is none. Nothing fails after buckets_new(). Memory that no key has touched costs nothing.
 */
#ifndef BASE_BUCKET_H
#define BASE_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Burst 0: no limit. */
struct rate {
	uint32_t burst;
	int64_t every;
};

/* One bucket: the time when it is full again. */
bool rate_allows(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now);
int64_t rate_taken(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now);
int64_t rate_given(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now);

enum { BUCKETS_WAYS = 8 };

struct buckets;

/* `entries` is rounded up to a multiple of BUCKETS_WAYS; 16 bytes each. NULL: out of memory. */
struct buckets *buckets_new(size_t entries);
void buckets_free(struct buckets **b);

/* Are that many tokens there? More than `burst` at once never are. */
bool buckets_allow(const struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens,
	int64_t now);
/* Take them, whether they are there or not. */
void buckets_take(
	struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens, int64_t now);
void buckets_give(
	struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens, int64_t now);

/* The table as a memory of what holds until a time: 0 when nothing is known. */
int64_t buckets_until(const struct buckets *b, uint64_t key);
void buckets_set(struct buckets *b, uint64_t key, int64_t until);

#endif
