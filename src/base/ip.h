/* ip.h - an IP address and the networks it is counted under.
 *
 * Who wants to be many takes addresses of one network, so what is counted per client is counted
 * twice: per address (of IPv6 the /64, which is what one line gets) and per network (IPv4 /24, IPv6
 * /48, which is what one customer gets). Pure, nothing is owned.
 */
#ifndef BASE_IP_H
#define BASE_IP_H

#include "base/str.h"

#include <stdint.h>

struct ip {
	unsigned char byte[16]; /* of IPv4 the first 4 */
	bool v6;
};

/* "192.0.2.1" or "2001:db8::1"; "::ffff:192.0.2.1" is IPv4. False: something else ("unix"). */
bool ip_parse(struct ip *ip, struct str text);
bool ip_is_loopback(const struct ip *ip);
/* The network as text, "192.0.2.0/24" or "2001:db8:1::/48". */
enum { IP_NETWORK_SIZE = 56 };
void ip_network(const struct ip *ip, char text[IP_NETWORK_SIZE]);

/* Hashes for tables (base/hash.h: of this process only). What is no address is one of its own. */
struct ip_keys {
	uint64_t address, network;
};
struct ip_keys ip_keys(struct str text);

#endif
