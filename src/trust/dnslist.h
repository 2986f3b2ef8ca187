/* dnslist.h - lists of addresses in the DNS (RFC 5782): the question, what an answer means, and
 * whether a list can be believed. Pure.
 */
#ifndef TRUST_DNSLIST_H
#define TRUST_DNSLIST_H

#include "base/ip.h"

enum { DNSLIST_NAME_MAX = 253 };

/* RFC 5782 2.1 and 2.4: "1.2.0.192.ZONE"; of IPv6 one label for each hexadecimal digit. False: too
 * long. */
bool dnslist_question(const struct ip *ip, struct str zone, struct buf *name);

enum dnslist_answer {
	DNSLIST_NO,
	DNSLIST_YES,
	DNSLIST_OTHER, /* listed, but for reasons that do not count */
	DNSLIST_ERROR  /* the list says that it will not answer us, or it is no list at all */
};

/* One A record. What counts is within the four ranges. */
enum dnslist_answer dnslist_answer(
	struct str rdata, const unsigned char low[4], const unsigned char high[4]);
/* All A records of one answer; `more` is one more of them. */
enum dnslist_answer dnslist_worse(enum dnslist_answer so_far, enum dnslist_answer more);

/* T149, RFC 5782 5: 127.0.0.2 must be listed and 127.0.0.1 must not. NULL: the list is sound; else
 * why not. Only what was answered may be asked about here: no answer says nothing. */
const char *dnslist_verdict(enum dnslist_answer must, enum dnslist_answer must_not);

#endif
