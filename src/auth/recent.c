#include "auth/recent.h"

#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"

#include <stdlib.h>
#include <string.h>

enum { WAYS = 8, SETS = 512 };

struct entry {
	uint64_t account;
	int64_t until; /* 0: free */
	unsigned char mac[SHA256_SIZE];
};

struct recent {
	struct secret key;
	struct entry slot[SETS][WAYS];
};

struct recent *recent_new(struct err *err)
{
	struct recent *r = calloc(1, sizeof *r);

	if (!r)
		err_set(err, ERR_TEMP, "out of memory");
	else if (secret_alloc(&r->key, SHA256_SIZE, err) < 0)
		recent_free(&r);
	else
		random_bytes(r->key.p, r->key.n);
	return r;
}

void recent_free(struct recent **r)
{
	if (!*r)
		return;
	secret_free(&(*r)->key);
	crypto_wipe((*r)->slot, sizeof(*r)->slot);
	free(*r);
	*r = NULL;
}

static void mac_of(const struct recent *r, uint64_t account, uint64_t password_id,
	struct str password, unsigned char *mac)
{
	/* Numbers of fixed length first: no two triples run together. */
	uint64_t ids[2] = { account, password_id };
	struct str parts[] = { str_make(ids, sizeof ids), password };

	mac_sha256(secret_reveal(&r->key), parts, 2, mac);
}

bool recent_has(const struct recent *r, int64_t now, uint64_t account, uint64_t password_id,
	struct str password)
{
	const struct entry *set = r->slot[account % SETS];
	unsigned char mac[SHA256_SIZE];
	bool found = false;

	mac_of(r, account, password_id, password, mac);
	for (int i = 0; i < WAYS; i++)
		if (set[i].account == account && set[i].until > now)
			found |= crypto_equal(
				str_make(mac, sizeof mac), str_make(set[i].mac, sizeof mac));
	crypto_wipe(mac, sizeof mac);
	return found;
}

void recent_add(
	struct recent *r, int64_t now, uint64_t account, uint64_t password_id, struct str password)
{
	struct entry *set = r->slot[account % SETS], *e = &set[0];

	/* One entry an account: its own if it has one, else the oldest of the set. */
	for (int i = 1; i < WAYS && e->account != account; i++)
		if (set[i].account == account || set[i].until < e->until)
			e = &set[i];
	e->account = account;
	e->until = now + RECENT_FOR;
	mac_of(r, account, password_id, password, e->mac);
}

void recent_forget(struct recent *r, uint64_t account)
{
	struct entry *set = r->slot[account % SETS];

	for (int i = 0; i < WAYS; i++)
		if (set[i].account == account)
			crypto_wipe(&set[i], sizeof set[i]);
}
