#include "auth/limits.h"

#include "base/hash.h"
#include "base/ip.h"

#include <stdlib.h>

#define SECOND INT64_C(1000000000)

const struct limits_rules limits_usual = {
	.account = { 10, 30 * SECOND },
	.address = { 20, 10 * SECOND },
	.network = { 60, 5 * SECOND },
	.known = { 20, 10 * SECOND },
	.everyone = { 1000, SECOND / 20 },
};

enum { ENTRIES = 8192 }; /* 128 KiB a table */

#define KNOWN_FOR (30 * 24 * 3600 * SECOND)

struct limits {
	struct limits_rules rules;
	int64_t everyone;
	struct buckets *accounts, *addresses, *networks, *known, *pairs;
};

struct limits *limits_new(const struct limits_rules *rules, struct err *err)
{
	struct limits *l = calloc(1, sizeof *l);

	if (!l) {
		err_set(err, ERR_TEMP, "out of memory");
		return NULL;
	}
	l->rules = *rules;
	l->accounts = buckets_new(ENTRIES);
	l->addresses = buckets_new(ENTRIES);
	l->networks = buckets_new(ENTRIES);
	l->known = buckets_new(ENTRIES);
	l->pairs = buckets_new(ENTRIES);
	if (!l->accounts || !l->addresses || !l->networks || !l->known || !l->pairs) {
		err_set(err, ERR_TEMP, "out of memory");
		limits_free(&l);
	}
	return l;
}

void limits_free(struct limits **limits)
{
	struct limits *l = *limits;

	if (!l)
		return;
	buckets_free(&l->accounts);
	buckets_free(&l->addresses);
	buckets_free(&l->networks);
	buckets_free(&l->known);
	buckets_free(&l->pairs);
	free(l);
	*limits = NULL;
}

/* Who is asking, as keys. */
struct asker {
	uint64_t account, address, network, pair;
};

static struct asker asker_of(struct str account, struct str peer)
{
	struct ip_keys from = ip_keys(peer);
	struct asker a = { .address = from.address, .network = from.network };
	char folded[320];
	size_t n = account.n < sizeof folded ? account.n : sizeof folded;

	for (size_t i = 0; i < n; i++)
		folded[i] = to_lower(account.p[i]);
	a.account = hash_bytes(str_make(folded, n));
	a.pair = hash_u64(a.account ^ hash_u64(a.network));
	return a;
}

static bool is_known(struct limits *l, const struct asker *a, int64_t now)
{
	return buckets_until(l->known, a->pair) > now;
}

bool limits_known(struct limits *l, int64_t now, struct str account, struct str peer)
{
	struct asker a = asker_of(account, peer);

	return is_known(l, &a, now);
}

enum limits_answer limits_take(struct limits *l, int64_t now, struct str account, struct str peer)
{
	const struct limits_rules *r = &l->rules;
	struct asker a = asker_of(account, peer);

	if (is_known(l, &a, now)) {
		if (!buckets_allow(l->pairs, a.pair, &r->known, 1, now))
			return LIMITS_ACCOUNT;
		buckets_take(l->pairs, a.pair, &r->known, 1, now);
		return LIMITS_OK;
	}
	if (!buckets_allow(l->addresses, a.address, &r->address, 1, now))
		return LIMITS_ADDRESS;
	if (!buckets_allow(l->networks, a.network, &r->network, 1, now))
		return LIMITS_NETWORK;
	if (!buckets_allow(l->accounts, a.account, &r->account, 1, now))
		return LIMITS_ACCOUNT;
	if (!rate_allows(l->everyone, &r->everyone, 1, now))
		return LIMITS_EVERYONE;
	buckets_take(l->addresses, a.address, &r->address, 1, now);
	buckets_take(l->networks, a.network, &r->network, 1, now);
	buckets_take(l->accounts, a.account, &r->account, 1, now);
	l->everyone = rate_taken(l->everyone, &r->everyone, 1, now);
	return LIMITS_OK;
}

void limits_undo(struct limits *l, int64_t now, struct str account, struct str peer)
{
	const struct limits_rules *r = &l->rules;
	struct asker a = asker_of(account, peer);

	if (is_known(l, &a, now)) {
		buckets_give(l->pairs, a.pair, &r->known, 1, now);
		return;
	}
	buckets_give(l->addresses, a.address, &r->address, 1, now);
	buckets_give(l->networks, a.network, &r->network, 1, now);
	buckets_give(l->accounts, a.account, &r->account, 1, now);
	l->everyone = rate_given(l->everyone, &r->everyone, 1, now);
}

void limits_give_back(struct limits *l, int64_t now, struct str account, struct str peer)
{
	struct asker a = asker_of(account, peer);

	limits_undo(l, now, account, peer);
	buckets_set(l->known, a.pair, now + KNOWN_FOR);
}
