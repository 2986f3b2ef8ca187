#include "base/network.h"

#include <string.h>

static bool same_prefix(const unsigned char *a, const unsigned char *b, unsigned bits)
{
	unsigned rest = bits % 8;

	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return rest == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0;
}

static bool clear_behind(const struct network *n)
{
	for (unsigned i = n->bits; i < 128; i++)
		if (n->ip.byte[i / 8] & 0x80u >> i % 8)
			return false;
	return true;
}

bool network_parse(struct str text, struct network *n)
{
	struct str host = text, length = STR("");
	bool whole = !str_cut(text, '/', &host, &length);
	uint64_t bits, most;

	if (!ip_parse(&n->ip, whole ? text : host))
		return false;
	bits = most = n->ip.v6 ? 128 : 32;
	if (!whole && !str_u64(length, most, &bits))
		return false;
	n->bits = (unsigned)bits;
	return clear_behind(n);
}

bool network_has(const struct network *n, struct str address)
{
	struct ip ip;

	return ip_parse(&ip, address) && ip.v6 == n->ip.v6 &&
		same_prefix(n->ip.byte, ip.byte, n->bits);
}
