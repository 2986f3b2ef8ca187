/* address.h - what kind of IP address this is, and whether mail may be sent there. Pure.
 *
 * A stranger writes MX records, so a name may lead to our own loopback, to a router or to a
 * database in the private network. Such addresses are refused unless the operator wrote the route
 * himself.
 */
#ifndef ROUTE_ADDRESS_H
#define ROUTE_ADDRESS_H

#include "base/str.h"

enum route_address {
	ADDRESS_NONE, /* not an address */
	ADDRESS_PUBLIC,
	ADDRESS_LOOPBACK, /* 127/8, ::1, also mapped into IPv6 */
	ADDRESS_PRIVATE,  /* RFC 1918, RFC 6598, RFC 4193, link-local */
	ADDRESS_SPECIAL   /* unspecified, multicast, reserved, broadcast, translated forms */
};

bool route_address_is(struct str text); /* IPv4 or IPv6, no brackets, no zone */
enum route_address route_address_kind(struct str text);
bool route_address_is_v6(struct str text);

#endif
