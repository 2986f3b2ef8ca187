#include "route/route.h"

#include "route/address.h"

static int literal(struct str domain, struct route *r, struct err *err)
{
	struct str inner = str_from(domain, 1);
	bool tagged;

	if (inner.n == 0 || inner.p[inner.n - 1] != ']')
		return err_set(err, ERR_PERM, "a broken address literal");
	inner = str_head(inner, inner.n - 1);
	tagged = str_take(&inner, STR("IPv6:"));
	if (!route_address_is(inner) || route_address_is_v6(inner) != tagged)
		return err_set(err, ERR_PERM, "an address literal of an unknown kind");
	*r = (struct route){ .kind = ROUTE_HOST, .host = inner, .port = 25, .name = domain };
	return 0;
}

int route_choose(const struct route *explicit, const struct route *smarthost, struct str domain,
	struct route *r, struct err *err)
{
	const struct route *named = explicit ? explicit : smarthost;

	if (named) {
		*r = *named;
		r->trusted = true;
		r->name = explicit ? domain : ROUTE_SMARTHOST;
		if (r->login && r->tls == ROUTE_TLS_MAY)
			r->tls = ROUTE_TLS_REQUIRE;
		return 0;
	}
	if (str_starts(domain, STR("[")))
		return literal(domain, r, err);
	*r = (struct route){ .kind = ROUTE_MX, .host = domain, .port = 25, .name = domain };
	return 0;
}
