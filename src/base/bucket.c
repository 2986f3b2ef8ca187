#include "base/bucket.h"

#include <stdlib.h>

struct entry {
	uint64_t key;
	int64_t until;
};

struct buckets {
	size_t sets;
	struct entry slot[][BUCKETS_WAYS];
};

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

bool rate_allows(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now)
{
	int64_t missing = later(full_at, now) - now;

	if (rate->burst == 0 || tokens == 0)
		return true;
	return tokens <= rate->burst && missing <= (int64_t)(rate->burst - tokens) * rate->every;
}

int64_t rate_taken(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now)
{
	return rate->burst ? later(full_at, now) + (int64_t)tokens * rate->every : full_at;
}

int64_t rate_given(int64_t full_at, const struct rate *rate, uint32_t tokens, int64_t now)
{
	return rate->burst && full_at > now ? full_at - (int64_t)tokens * rate->every : full_at;
}

struct buckets *buckets_new(size_t entries)
{
	size_t sets = entries / BUCKETS_WAYS + (entries % BUCKETS_WAYS != 0);
	struct buckets *b;

	if (sets == 0)
		sets = 1;
	b = calloc(1, sizeof *b + sets * sizeof b->slot[0]);
	if (b)
		b->sets = sets;
	return b;
}

void buckets_free(struct buckets **b)
{
	free(*b);
	*b = NULL;
}

static const struct entry *find(const struct buckets *b, uint64_t key)
{
	const struct entry *set = b->slot[key % b->sets];

	for (int i = 0; i < BUCKETS_WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

static struct entry *find_or_make(struct buckets *b, uint64_t key)
{
	struct entry *set = b->slot[key % b->sets], *e = &set[0];

	for (int i = 0; i < BUCKETS_WAYS; i++) {
		if (set[i].key == key)
			return &set[i];
		if (set[i].until < e->until)
			e = &set[i];
	}
	*e = (struct entry){ .key = key };
	return e;
}

int64_t buckets_until(const struct buckets *b, uint64_t key)
{
	const struct entry *e = find(b, key);

	return e ? e->until : 0;
}

void buckets_set(struct buckets *b, uint64_t key, int64_t until)
{
	find_or_make(b, key)->until = until;
}

bool buckets_allow(const struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens,
	int64_t now)
{
	return rate_allows(buckets_until(b, key), rate, tokens, now);
}

void buckets_take(
	struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens, int64_t now)
{
	struct entry *e;

	if (rate->burst == 0)
		return;
	e = find_or_make(b, key);
	e->until = rate_taken(e->until, rate, tokens, now);
}

void buckets_give(
	struct buckets *b, uint64_t key, const struct rate *rate, uint32_t tokens, int64_t now)
{
	int64_t until = buckets_until(b, key);

	if (until)
		buckets_set(b, key, rate_given(until, rate, tokens, now));
}
