/* mx.h - which hosts take mail for a domain, in which order, and what failed lookups mean. Pure.
 *
 * The rule that everything here serves (T142, T143): only what DNS certainly says is final: that a
 * name does not exist, that it has no mail server, a null MX. Whatever goes wrong with DNS is tried
 * again later.
 */
#ifndef ROUTE_MX_H
#define ROUTE_MX_H

#include "base/err.h"
#include "base/str.h"

enum { MX_HOSTS_MAX = 20, MX_ADDRESSES_MAX = 10 };

struct mx_host {
	uint16_t preference;
	uint32_t random; /* drawn by the caller: equal preferences are tried in random order */
	struct str name; /* without the final dot; "." is the null MX */
};

/* What a lookup said; the courier maps the answers of the dns role. */
enum mx_lookup { MX_FOUND, MX_NXDOMAIN, MX_NODATA, MX_TEMP, MX_BOGUS };

enum mx_verdict {
	MX_USE,      /* try these hosts */
	MX_IMPLICIT, /* no MX records: the domain's own addresses (RFC 5321 5.1) */
	MX_DEFER,    /* err says why: try again later */
	MX_FAIL      /* err says why: give it back to the sender; status in `status` */
};

struct mx_list {
	struct mx_host *hosts; /* sorted in place */
	size_t count;
	const char *status; /* of MX_DEFER and MX_FAIL: enhanced status code (RFC 3463) */
};

/* After the MX question: sort, drop what must not be used, decide. `self` is our own host name: we
 * and everything that is no better are dropped, so mail does not go in a circle (RFC 5321 5.1). */
enum mx_verdict mx_decide(enum mx_lookup found, struct mx_list *list, struct str domain,
	struct str self, struct err *err);

/* Lookups of all hosts' addresses together; `tally` counts each result. Called when no address
 * could be used at all. */
struct mx_tally {
	unsigned nxdomain, nodata, temp, bogus;
	bool implicit;    /* they are the domain's own, for want of MX records */
	unsigned refused; /* loopback, private or special addresses that were left out */
};
void mx_count(struct mx_tally *t, enum mx_lookup a, enum mx_lookup aaaa);
enum mx_verdict mx_no_address(
	const struct mx_tally *t, struct str domain, const char **status, struct err *err);

#endif
