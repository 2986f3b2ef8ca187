#include "auth/limits.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)

const struct limits_rules limits_usual = {
	.account = { 10, 30 * SECOND },
	.address = { 20, 10 * SECOND },
	.network = { 60, 5 * SECOND },
	.known = { 20, 10 * SECOND },
	.everyone = { 1000, SECOND / 20 },
};

enum { WAYS = 8, SETS = 1024 }; /* 128 KiB a table */

#define KNOWN_FOR (30 * 24 * 3600 * SECOND)

/* A token bucket is one number: when it will be full again. An entry whose time has passed
 * says nothing and may be reused at once. */
struct entry {
	uint64_t key;
	int64_t until;
};

struct table {
	struct entry slot[SETS][WAYS];
};

struct limits {
	struct limits_rules rules;
	int64_t everyone;
	struct table accounts, addresses, networks, known, pairs;
};

struct limits *limits_new(const struct limits_rules *rules, struct err *err)
{
	struct limits *l = calloc(1, sizeof *l);

	if (l)
		l->rules = *rules;
	else
		err_set(err, ERR_TEMP, "out of memory");
	return l;
}

void limits_free(struct limits **l)
{
	free(*l);
	*l = NULL;
}

static struct entry *find(struct table *t, uint64_t key)
{
	struct entry *set = t->slot[key % SETS];

	for (int i = 0; i < WAYS; i++)
		if (set[i].key == key)
			return &set[i];
	return NULL;
}

/* The entry of this key, taking the place of the one nearest to forgotten. */
static struct entry *find_or_make(struct table *t, uint64_t key)
{
	struct entry *e = find(t, key), *set = t->slot[key % SETS];

	if (e)
		return e;
	e = &set[0];
	for (int i = 1; i < WAYS; i++)
		if (set[i].until < e->until)
			e = &set[i];
	*e = (struct entry){ .key = key };
	return e;
}

static bool has_token(int64_t until, const struct limit *limit, int64_t now)
{
	int64_t from = until > now ? until : now;

	return limit->burst == 0 || from - now <= (int64_t)(limit->burst - 1) * limit->every;
}

static int64_t taken(int64_t until, const struct limit *limit, int64_t now)
{
	return limit->burst ? (until > now ? until : now) + limit->every : until;
}

static int64_t given_back(int64_t until, const struct limit *limit, int64_t now)
{
	return limit->burst && until > now ? until - limit->every : until;
}

static bool may_take(struct table *t, uint64_t key, const struct limit *limit, int64_t now)
{
	const struct entry *e = find(t, key);

	return has_token(e ? e->until : 0, limit, now);
}

static void take(struct table *t, uint64_t key, const struct limit *limit, int64_t now)
{
	struct entry *e = find_or_make(t, key);

	e->until = taken(e->until, limit, now);
}

static void give(struct table *t, uint64_t key, const struct limit *limit, int64_t now)
{
	struct entry *e = find(t, key);

	if (e)
		e->until = given_back(e->until, limit, now);
}

/* Who is asking, as keys. */
struct asker {
	uint64_t account, address, network, pair;
};

static uint64_t tagged(char tag, const void *p, size_t n)
{
	char b[32] = { tag };

	memcpy(b + 1, p, n);
	return hash_bytes(str_make(b, n + 1));
}

static void network_keys(struct str peer, struct asker *a)
{
	unsigned char ip[16] = { 0 };
	char z[64];

	if (str_z(peer, z, sizeof z) && inet_pton(AF_INET6, z, ip) == 1) {
		static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

		if (memcmp(ip, mapped, sizeof mapped) != 0) {
			a->address = tagged('A', ip, 8);
			a->network = tagged('N', ip, 6);
			return;
		}
		memmove(ip, ip + 12, 4);
	} else if (!str_z(peer, z, sizeof z) || inet_pton(AF_INET, z, ip) != 1) {
		a->address = a->network = hash_bytes(peer);
		return;
	}
	a->address = tagged('a', ip, 4);
	a->network = tagged('n', ip, 3);
}

static struct asker asker_of(struct str account, struct str peer)
{
	struct asker a;
	char folded[320];
	size_t n = account.n < sizeof folded ? account.n : sizeof folded;

	for (size_t i = 0; i < n; i++)
		folded[i] = to_lower(account.p[i]);
	a.account = hash_bytes(str_make(folded, n));
	network_keys(peer, &a);
	a.pair = hash_u64(a.account ^ hash_u64(a.network));
	return a;
}

static bool is_known(struct limits *l, const struct asker *a, int64_t now)
{
	const struct entry *e = find(&l->known, a->pair);

	return e && e->until > now;
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
		if (!may_take(&l->pairs, a.pair, &r->known, now))
			return LIMITS_ACCOUNT;
		take(&l->pairs, a.pair, &r->known, now);
		return LIMITS_OK;
	}
	if (!may_take(&l->addresses, a.address, &r->address, now))
		return LIMITS_ADDRESS;
	if (!may_take(&l->networks, a.network, &r->network, now))
		return LIMITS_NETWORK;
	if (!may_take(&l->accounts, a.account, &r->account, now))
		return LIMITS_ACCOUNT;
	if (!has_token(l->everyone, &r->everyone, now))
		return LIMITS_EVERYONE;
	take(&l->addresses, a.address, &r->address, now);
	take(&l->networks, a.network, &r->network, now);
	take(&l->accounts, a.account, &r->account, now);
	l->everyone = taken(l->everyone, &r->everyone, now);
	return LIMITS_OK;
}

void limits_undo(struct limits *l, int64_t now, struct str account, struct str peer)
{
	const struct limits_rules *r = &l->rules;
	struct asker a = asker_of(account, peer);

	if (is_known(l, &a, now)) {
		give(&l->pairs, a.pair, &r->known, now);
		return;
	}
	give(&l->addresses, a.address, &r->address, now);
	give(&l->networks, a.network, &r->network, now);
	give(&l->accounts, a.account, &r->account, now);
	l->everyone = given_back(l->everyone, &r->everyone, now);
}

void limits_give_back(struct limits *l, int64_t now, struct str account, struct str peer)
{
	struct asker a = asker_of(account, peer);

	limits_undo(l, now, account, peer);
	find_or_make(&l->known, a.pair)->until = now + KNOWN_FOR;
}
