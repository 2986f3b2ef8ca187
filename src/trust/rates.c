#include "trust/rates.h"

#include "base/hash.h"

#include <stdlib.h>

#define SECOND INT64_C(1000000000)

enum {
	ENTRIES = 32768,   /* half a MiB when all are in use */
	NETWORK = 4,       /* times as much as an address */
	COMMANDS = 30,     /* to a message */
	COMMANDS_MIN = 600 /* a minute: whoever just looks */
};

struct rates {
	struct rate address[RATES_KINDS], network[RATES_KINDS], account;
	struct buckets *table;
};

static struct rate per(uint64_t count, int64_t period)
{
	if (count == 0)
		return (struct rate){ 0 };
	if (count > UINT32_MAX)
		count = UINT32_MAX;
	return (struct rate){ (uint32_t)count, period / (int64_t)count };
}

static uint64_t commands_for(uint32_t messages)
{
	uint64_t n = (uint64_t)messages * COMMANDS;

	return n && n < COMMANDS_MIN ? COMMANDS_MIN : n;
}

struct rates *rates_new(const struct rates_rules *rules, struct err *err)
{
	const uint64_t counts[RATES_KINDS] = { [RATES_CONNECTIONS] = rules->connections,
		[RATES_COMMANDS] = commands_for(rules->messages),
		[RATES_MESSAGES] = rules->messages,
		[RATES_RECIPIENTS] = rules->recipients };
	struct rates *r = calloc(1, sizeof *r);

	if (r)
		r->table = buckets_new(ENTRIES);
	if (!r || !r->table) {
		rates_free(&r);
		err_set(err, ERR_TEMP, "out of memory");
		return NULL;
	}
	for (int i = 0; i < RATES_KINDS; i++) {
		r->address[i] = per(counts[i], 60 * SECOND);
		r->network[i] = per(NETWORK * counts[i], 60 * SECOND);
	}
	r->network[RATES_LOG_LINES] = (struct rate){ 10, 6 * SECOND };
	r->account = per(rules->account_recipients, 3600 * SECOND);
	return r;
}

void rates_free(struct rates **r)
{
	if (*r)
		buckets_free(&(*r)->table);
	free(*r);
	*r = NULL;
}

/* One table for all: the kind is part of the key. */
static uint64_t key_of(uint64_t who, unsigned kind)
{
	return hash_u64(who + kind);
}

enum rates_answer rates_take(
	struct rates *r, int64_t now, const struct ip_keys *who, enum rates_kind kind, uint32_t n)
{
	uint64_t address = key_of(who->address, kind);
	uint64_t network = key_of(who->network, RATES_KINDS + kind);

	if (!buckets_allow(r->table, address, &r->address[kind], n, now))
		return RATES_ADDRESS;
	if (!buckets_allow(r->table, network, &r->network[kind], n, now))
		return RATES_NETWORK;
	buckets_take(r->table, address, &r->address[kind], n, now);
	buckets_take(r->table, network, &r->network[kind], n, now);
	return RATES_OK;
}

enum rates_answer rates_take_account(struct rates *r, int64_t now, struct str account, uint32_t n)
{
	char folded[320];
	size_t size = account.n < sizeof folded ? account.n : sizeof folded;
	uint64_t key;

	for (size_t i = 0; i < size; i++)
		folded[i] = to_lower(account.p[i]);
	key = key_of(hash_bytes(str_make(folded, size)), 2 * RATES_KINDS);
	if (!buckets_allow(r->table, key, &r->account, n, now))
		return RATES_ACCOUNT;
	buckets_take(r->table, key, &r->account, n, now);
	return RATES_OK;
}

const char *rates_words(enum rates_answer a)
{
	static const char *const words[] = { [RATES_OK] = "nothing",
		[RATES_ADDRESS] = "address",
		[RATES_NETWORK] = "network",
		[RATES_ACCOUNT] = "account" };

	return words[a];
}
