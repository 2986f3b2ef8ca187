#include "base/hash.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static uint64_t key[2];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void draw_key(void)
{
	/* Without a random key every table would be an invitation. The kernel always has one once
	 * it has started; a program that cannot get it must not go on. */
	ssize_t got;

	while ((got = getrandom(key, sizeof key, 0)) < 0 && errno == EINTR)
		;
	if (got != (ssize_t)sizeof key)
		abort();
}

static uint64_t rotl(uint64_t x, int b)
{
	return x << b | x >> (64 - b);
}

static void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

static uint64_t load_le(const char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)(unsigned char)p[i] << 8 * i;
	return v;
}

uint64_t siphash(uint64_t k0, uint64_t k1, struct str s)
{
	uint64_t v[4] = { k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
		k1 ^ 0x7465646279746573 };
	size_t full = s.n & ~(size_t)7;
	uint64_t m;

	for (size_t i = 0; i < full; i += 8) {
		m = load_le(s.p + i, 8);
		v[3] ^= m;
		sip_round(v);
		sip_round(v);
		v[0] ^= m;
	}
	m = (uint64_t)s.n << 56 | load_le(s.p + full, s.n & 7);
	v[3] ^= m;
	sip_round(v);
	sip_round(v);
	v[0] ^= m;
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t hash_bytes(struct str s)
{
	pthread_once(&once, draw_key);
	return siphash(key[0], key[1], s);
}

uint64_t hash_u64(uint64_t v)
{
	char p[8];

	memcpy(p, &v, sizeof p);
	return hash_bytes(str_make(p, sizeof p));
}

uint64_t hash_fixed(struct str s)
{
	return siphash(0x45696c706f737420, 0x6d65737361676573, s);
}
