#include "route/address.h"

#include <arpa/inet.h>
#include <string.h>

struct prefix {
	unsigned char bytes[16];
	int bits;
	enum route_address kind;
};

/* The first row that matches counts. What no row names is public. */
static const struct prefix v4[] = {
	{ { 127 }, 8, ADDRESS_LOOPBACK }, { { 0 }, 8, ADDRESS_SPECIAL },
	{ { 10 }, 8, ADDRESS_PRIVATE }, { { 172, 16 }, 12, ADDRESS_PRIVATE },
	{ { 192, 168 }, 16, ADDRESS_PRIVATE },
	{ { 100, 64 }, 10, ADDRESS_PRIVATE },  /* RFC 6598 7 */
	{ { 169, 254 }, 16, ADDRESS_PRIVATE }, /* RFC 3927 2.1 */
	{ { 192, 0, 0 }, 24, ADDRESS_SPECIAL }, { { 198, 18 }, 15, ADDRESS_SPECIAL },
	{ { 224 }, 3, ADDRESS_SPECIAL }, /* multicast, reserved, broadcast */
};

static const struct prefix v6[] = {
	{ { [15] = 1 }, 128, ADDRESS_LOOPBACK },
	{ { 0 }, 128, ADDRESS_SPECIAL },
	{ { 0xfc }, 7, ADDRESS_PRIVATE }, /* RFC 4193 3.1 */
	{ { 0xfe, 0x80 }, 10, ADDRESS_PRIVATE },
	{ { 0xfe, 0xc0 }, 10, ADDRESS_PRIVATE },
	{ { 0xff }, 8, ADDRESS_SPECIAL },
	{ { 0x00, 0x64, 0xff, 0x9b }, 32, ADDRESS_SPECIAL }, /* leads into IPv4 (RFC 6052 2.1) */
	{ { 0x20, 0x02 }, 16, ADDRESS_SPECIAL },             /* 6to4 likewise */
	{ { 0x20, 0x01, 0x00, 0x00 }, 32, ADDRESS_SPECIAL }, /* Teredo likewise */
	{ { 0x01, 0x00 }, 64, ADDRESS_SPECIAL },             /* RFC 6666 4 */
	{ { 0 }, 8, ADDRESS_SPECIAL },
};

static bool matches(const unsigned char *ip, const struct prefix *p)
{
	size_t whole = (size_t)p->bits / 8;
	int rest = p->bits % 8;
	unsigned char mask = (unsigned char)(0xff << (8 - rest));

	if (memcmp(ip, p->bytes, whole) != 0)
		return false;
	return rest == 0 || (ip[whole] & mask) == (p->bytes[whole] & mask);
}

static enum route_address look_up(const unsigned char *ip, const struct prefix *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (matches(ip, &rows[i]))
			return rows[i].kind;
	return ADDRESS_PUBLIC;
}

#define LOOK_UP(ip, rows) look_up((ip), (rows), sizeof(rows) / sizeof(rows)[0])

enum route_address route_address_kind(struct str text)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	unsigned char ip[16];
	char z[64];

	if (!str_z(text, z, sizeof z))
		return ADDRESS_NONE;
	if (inet_pton(AF_INET, z, ip) == 1)
		return LOOK_UP(ip, v4);
	if (inet_pton(AF_INET6, z, ip) != 1)
		return ADDRESS_NONE;
	if (memcmp(ip, mapped, sizeof mapped) == 0)
		return LOOK_UP(ip + 12, v4);
	return LOOK_UP(ip, v6);
}

bool route_address_is(struct str text)
{
	return route_address_kind(text) != ADDRESS_NONE;
}

bool route_address_is_v6(struct str text)
{
	return route_address_is(text) && str_find(text, ':') < text.n;
}
