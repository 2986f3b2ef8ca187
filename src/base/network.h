/* network.h - networks of IP addresses, as an operator writes them, and whether an address is in
 * one. Pure functions; what is no address is in no network.
 */
#ifndef BASE_NETWORK_H
#define BASE_NETWORK_H

#include "base/ip.h"

struct network {
	struct ip ip;
	unsigned bits; /* of it that count */
};

/* "192.0.2.0/24", "2001:db8::/32", or a bare address, which is a network of one. False when it is
 * neither, or when bits are set behind the prefix (the writer meant something else). */
bool network_parse(struct str text, struct network *n);

/* `address` as text: "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1" (which is IPv4). */
bool network_has(const struct network *n, struct str address);

#endif
