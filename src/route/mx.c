#include "route/mx.h"

#include <stdlib.h>

static int by_preference(const void *a, const void *b)
{
	const struct mx_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	if (x->random != y->random)
		return x->random < y->random ? -1 : 1;
	return 0;
}

static enum mx_verdict defer(
	struct mx_list *list, struct err *err, const char *what, struct str domain)
{
	list->status = "4.4.3";
	err_set(err, ERR_TEMP, "%s for " STR_F, what, STR_A(str_head(domain, 128)));
	return MX_DEFER;
}

static enum mx_verdict fail(struct mx_list *list, const char *status, struct err *err,
	const char *what, struct str domain)
{
	list->status = status;
	err_set(err, ERR_PERM, STR_F " %s", STR_A(str_head(domain, 128)), what);
	return MX_FAIL;
}

/* RFC 7505 3: a null MX stands alone. Beside others it is an error, and only skipped. */
static size_t drop_null(struct mx_host *h, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (h[i].name.n > 0 && !str_eq(h[i].name, STR(".")))
			h[kept++] = h[i];
	return kept;
}

/* RFC 5321 5.1: when we are one of them, only better ones remain. */
static size_t drop_self(const struct mx_host *h, size_t n, struct str self)
{
	for (size_t i = 0; i < n; i++) {
		if (!str_eqi(h[i].name, self))
			continue;
		while (i > 0 && h[i - 1].preference == h[i].preference)
			i--;
		return i;
	}
	return n;
}

static enum mx_verdict choose(
	struct mx_list *list, struct str domain, struct str self, struct err *err)
{
	size_t all = list->count;

	if (all == 1 && str_eq(list->hosts[0].name, STR(".")))
		return fail(list, "5.1.10", err, "accepts no mail (null MX)", domain);
	list->count = drop_null(list->hosts, all);
	qsort(list->hosts, list->count, sizeof list->hosts[0], by_preference);
	if (list->count == 0)
		return defer(list, err, "no usable MX record", domain);
	list->count = drop_self(list->hosts, list->count, self);
	if (list->count == 0)
		return fail(list, "5.4.6", err,
			"has this server as its best MX, but is none of its domains", domain);
	if (list->count > MX_HOSTS_MAX)
		list->count = MX_HOSTS_MAX;
	return MX_USE;
}

enum mx_verdict mx_decide(enum mx_lookup found, struct mx_list *list, struct str domain,
	struct str self, struct err *err)
{
	switch (found) {
	case MX_FOUND:
		if (list->count > 0)
			return choose(list, domain, self, err);
		return MX_IMPLICIT;
	case MX_NODATA:
		return MX_IMPLICIT;
	case MX_NXDOMAIN:
		return fail(list, "5.1.2", err, "does not exist", domain);
	case MX_BOGUS:
		return defer(list, err, "the DNS answer is not validly signed", domain);
	case MX_TEMP:
		break;
	}
	return defer(list, err, "DNS gives no answer", domain);
}

static void count_one(struct mx_tally *t, enum mx_lookup found)
{
	t->nxdomain += found == MX_NXDOMAIN;
	t->nodata += found == MX_NODATA;
	t->temp += found == MX_TEMP;
	t->bogus += found == MX_BOGUS;
}

void mx_count(struct mx_tally *t, enum mx_lookup a, enum mx_lookup aaaa)
{
	count_one(t, a);
	count_one(t, aaaa);
}

enum mx_verdict mx_no_address(
	const struct mx_tally *t, struct str domain, const char **status, struct err *err)
{
	struct mx_list list = { 0 };
	enum mx_verdict v;

	if (t->temp > 0)
		v = defer(&list, err, "DNS gives no address of a mail server", domain);
	else if (t->bogus > 0)
		v = defer(&list, err, "the DNS answer is not validly signed", domain);
	else if (t->refused > 0)
		v = fail(&list, "5.4.4", err,
			"has only mail servers at loopback or private addresses", domain);
	else if (t->implicit) /* RFC 5321 5.1: neither MX nor address */
		v = fail(&list, "5.1.2", err, "has no mail server", domain);
	else if (t->nodata == 0 && t->nxdomain > 0)
		v = fail(&list, "5.4.4", err, "has only mail servers that do not exist", domain);
	else if (t->nodata > 0)
		v = fail(&list, "5.4.4", err, "has only mail servers without an address", domain);
	else
		v = defer(&list, err, "no mail server has an address", domain);
	*status = list.status;
	return v;
}
