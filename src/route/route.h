/* route.h - where mail for a domain goes: an explicit route, the smarthost, an address literal, or
 * the domain's MX records. Pure; slices point into what was given.
 */
#ifndef ROUTE_ROUTE_H
#define ROUTE_ROUTE_H

#include "base/err.h"
#include "base/str.h"

enum route_tls {
	ROUTE_TLS_MAY,     /* opportunistic (RFC 3207 5), once in clear when it fails */
	ROUTE_TLS_REQUIRE, /* STARTTLS and a good certificate, or not at all */
	ROUTE_TLS_IMPLICIT /* the same with TLS from the first byte (RFC 8314 3.3) */
};

enum route_kind {
	ROUTE_MX,  /* host is the domain */
	ROUTE_HOST /* host is a name or an address without brackets */
};

struct route {
	enum route_kind kind;
	struct str host;
	uint16_t port;
	enum route_tls tls;
	bool trusted;    /* the operator named it: private addresses are allowed */
	bool lmtp;       /* RFC 2033: the server delivers to its mailboxes, and says so for each */
	bool login;      /* log in with the password that the vault keeps */
	struct str name; /* what the vault knows it by: the domain, or "smarthost" */
};

#define ROUTE_SMARTHOST STR("smarthost")

/* `explicit` and `smarthost` may be NULL. ERR_PERM: an address literal that is none (RFC
 * 5321 4.1.3). A login over a connection that may stay in clear is raised to ROUTE_TLS_REQUIRE. */
int route_choose(const struct route *explicit, const struct route *smarthost, struct str domain,
	struct route *r, struct err *err);

#endif
