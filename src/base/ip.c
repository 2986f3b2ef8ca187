#include "base/ip.h"

#include "base/hash.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

bool ip_parse(struct ip *ip, struct str text)
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	char z[INET6_ADDRSTRLEN];

	*ip = (struct ip){ 0 };
	if (!str_z(text, z, sizeof z))
		return false;
	if (inet_pton(AF_INET, z, ip->byte) == 1)
		return true;
	if (inet_pton(AF_INET6, z, ip->byte) != 1)
		return false;
	ip->v6 = memcmp(ip->byte, mapped, sizeof mapped) != 0;
	if (!ip->v6) {
		memmove(ip->byte, ip->byte + 12, 4);
		memset(ip->byte + 4, 0, 12);
	}
	return true;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const unsigned char v6[16] = { [15] = 1 };

	return ip->v6 ? memcmp(ip->byte, v6, sizeof v6) == 0 : ip->byte[0] == 127;
}

void ip_network(const struct ip *ip, char text[IP_NETWORK_SIZE])
{
	struct ip net = *ip;
	char z[INET6_ADDRSTRLEN] = "";

	memset(net.byte + (net.v6 ? 6 : 3), 0, net.v6 ? 10 : 1);
	inet_ntop(net.v6 ? AF_INET6 : AF_INET, net.byte, z, sizeof z);
	snprintf(text, IP_NETWORK_SIZE, "%s/%d", z, net.v6 ? 48 : 24);
}

static uint64_t tagged(char tag, const unsigned char *p, size_t n)
{
	char b[17] = { tag };

	memcpy(b + 1, p, n);
	return hash_bytes(str_make(b, n + 1));
}

struct ip_keys ip_keys(struct str text)
{
	struct ip ip;
	uint64_t own;

	if (ip_parse(&ip, text) && ip.v6)
		return (struct ip_keys){ tagged('A', ip.byte, 8), tagged('N', ip.byte, 6) };
	if (ip_parse(&ip, text))
		return (struct ip_keys){ tagged('a', ip.byte, 4), tagged('n', ip.byte, 3) };
	own = hash_bytes(text);
	return (struct ip_keys){ own, own };
}
