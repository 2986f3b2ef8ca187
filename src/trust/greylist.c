#include "trust/greylist.h"

#include "base/bucket.h"
#include "base/hash.h"

#include <stdlib.h>

enum { ENTRIES = 65536 }; /* 1 MiB each when full */

#define DAY (INT64_C(86400) * 1000000000)
#define WINDOW (2 * DAY) /* in which the second try must come */
#define TRUST (36 * DAY) /* newsletters come once a month */

struct greylist {
	struct buckets *waiting; /* triples: until the window closes */
	struct buckets *trusted; /* networks, and addresses written to: until they are forgotten */
};

struct greylist *greylist_new(struct err *err)
{
	struct greylist *g = calloc(1, sizeof *g);

	if (g) {
		g->waiting = buckets_new(ENTRIES);
		g->trusted = buckets_new(ENTRIES);
	}
	if (!g || !g->waiting || !g->trusted) {
		greylist_free(&g);
		err_set(err, ERR_TEMP, "out of memory");
	}
	return g;
}

void greylist_free(struct greylist **g)
{
	if (!*g)
		return;
	buckets_free(&(*g)->waiting);
	buckets_free(&(*g)->trusted);
	free(*g);
	*g = NULL;
}

static uint64_t key_of(char kind, struct str s)
{
	char folded[321] = { kind };
	size_t n = s.n < sizeof folded - 1 ? s.n : sizeof folded - 1;

	for (size_t i = 0; i < n; i++)
		folded[1 + i] = to_lower(s.p[i]);
	return hash_bytes(str_make(folded, n + 1));
}

static uint64_t triple_of(struct str network, struct str sender, struct str recipient)
{
	const uint64_t keys[3] = { key_of('n', network), key_of('s', sender),
		key_of('r', recipient) };

	return hash_bytes(str_make(keys, sizeof keys));
}

static bool is_trusted(const struct greylist *g, int64_t now, struct str network, struct str sender)
{
	if (buckets_until(g->trusted, key_of('n', network)) > now)
		return true;
	return sender.n && buckets_until(g->trusted, key_of('w', sender)) > now;
}

static void trust(struct greylist *g, int64_t now, char kind, struct str who)
{
	buckets_set(g->trusted, key_of(kind, who), now + TRUST);
}

int64_t greylist_ask(struct greylist *g, int64_t now, int64_t delay, struct str network,
	struct str sender, struct str recipient)
{
	uint64_t triple = triple_of(network, sender, recipient);
	int64_t until = buckets_until(g->waiting, triple), first = until - WINDOW;

	if (is_trusted(g, now, network, sender)) {
		if (buckets_until(g->trusted, key_of('n', network)) > now)
			trust(g, now, 'n', network);
		return 0;
	}
	if (until <= now) {
		buckets_set(g->waiting, triple, now + WINDOW);
		return delay;
	}
	if (now - first < delay)
		return first + delay - now;
	trust(g, now, 'n', network);
	return 0;
}

void greylist_wrote(struct greylist *g, int64_t now, struct str address)
{
	trust(g, now, 'w', address);
}
