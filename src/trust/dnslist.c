#include "trust/dnslist.h"

static void add_v4(const struct ip *ip, struct buf *name)
{
	for (int i = 3; i >= 0; i--)
		buf_addf(name, "%u.", ip->byte[i]);
}

static void add_v6(const struct ip *ip, struct buf *name)
{
	for (int i = 15; i >= 0; i--)
		buf_addf(name, "%x.%x.", ip->byte[i] & 15u, ip->byte[i] >> 4);
}

bool dnslist_question(const struct ip *ip, struct str zone, struct buf *name)
{
	buf_clear(name);
	if (ip->v6)
		add_v6(ip, name);
	else
		add_v4(ip, name);
	buf_add(name, zone);
	return buf_ok(name) && name->n <= DNSLIST_NAME_MAX;
}

enum dnslist_answer dnslist_answer(
	struct str rdata, const unsigned char low[4], const unsigned char high[4])
{
	const unsigned char *a = (const unsigned char *)rdata.p;

	/* RFC 5782 2.1: an answer outside of 127.0.0.0/8 comes from a name that was sold or a
	 * resolver that lies. 127.255.255.x says: you may not ask, or not through this resolver. */
	if (rdata.n != 4 || a[0] != 127 || (a[1] == 255 && a[2] == 255))
		return DNSLIST_ERROR;
	for (int i = 0; i < 4; i++)
		if (a[i] < low[i] || a[i] > high[i])
			return DNSLIST_OTHER;
	return DNSLIST_YES;
}

enum dnslist_answer dnslist_worse(enum dnslist_answer so_far, enum dnslist_answer more)
{
	static const int rank[] = {
		[DNSLIST_NO] = 0, [DNSLIST_OTHER] = 1, [DNSLIST_YES] = 2, [DNSLIST_ERROR] = 3
	};

	return rank[more] > rank[so_far] ? more : so_far;
}

const char *dnslist_verdict(enum dnslist_answer must, enum dnslist_answer must_not)
{
	if (must == DNSLIST_ERROR || must_not == DNSLIST_ERROR)
		return "it answers with an error";
	if (must == DNSLIST_NO)
		return "it does not list 127.0.0.2";
	if (must_not != DNSLIST_NO)
		return "it lists 127.0.0.1";
	return NULL;
}
