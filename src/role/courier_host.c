#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/crypto.h"
#include "dns/rdata.h"

#include <stdio.h>
#include <stdlib.h>

enum { DNS_SECONDS = 45 };

/* ---- asking ---- */

static enum mx_lookup lookup_of(uint8_t status)
{
	switch (status) {
	case DNS_OK:
		return MX_FOUND;
	case DNS_NXDOMAIN:
		return MX_NXDOMAIN;
	case DNS_NODATA:
		return MX_NODATA;
	case DNS_BOGUS:
		return MX_BOGUS;
	default:
		return MX_TEMP;
	}
}

/* Whatever goes wrong on the way to the resolver is no answer, never a "no" (T142). A name that
 * cannot be a DNS name does not exist. */
static enum mx_lookup ask(struct courier *c, struct str name, enum dns_type type,
	struct str *records, bool *secure, struct reply *hold)
{
	struct dns_query_req q = { .name = name, .type = type };
	struct dns_query_rep a;
	int64_t deadline = clock_after(DNS_SECONDS * CLOCK_SEC);
	struct err err = ERR_INIT;
	struct channel *ch;

	*secure = false;
	if (!dns_name_ok(name))
		return MX_NXDOMAIN;
	ch = c->dns ? link_wait(c->dns, deadline, &err) : NULL;
	if (!ch || dns_query(ch, &q, deadline, &a, hold, &err) < 0)
		return MX_TEMP;
	*records = a.records;
	*secure = a.secure;
	return lookup_of(a.status);
}

/* ---- addresses ---- */

static bool may_use(const struct courier *c, const struct route *r, struct str address)
{
	enum route_address kind = route_address_kind(address);

	if (c->local_only)
		return kind == ADDRESS_LOOPBACK;
	if (kind == ADDRESS_PUBLIC)
		return true;
	return (kind == ADDRESS_LOOPBACK || kind == ADDRESS_PRIVATE) &&
		(r->trusted || c->private_ok);
}

/* What one resolution gathers. */
struct search {
	struct courier *c;
	const struct route *r;
	struct target_list *out;
	struct mx_tally tally;
	struct str host;
	uint16_t port;
	size_t of_host; /* addresses of this host so far (T148) */
};

static void add_address(struct search *s, struct str address)
{
	struct target *t = &s->out->t[s->out->count];

	if (!may_use(s->c, s->r, address)) {
		s->tally.refused++;
		return;
	}
	if (s->out->count == TARGETS_MAX || s->of_host == MX_ADDRESSES_MAX ||
		!str_z(s->host, t->name, sizeof t->name) ||
		!str_z(address, t->address, sizeof t->address))
		return;
	t->port = s->port;
	s->out->count++;
	s->of_host++;
}

static enum mx_lookup add_family(struct search *s, enum dns_type type)
{
	char text[DNS_ADDRESS_SIZE];
	struct reply hold = { 0 };
	struct str records = { 0 };
	struct dns_rdata record;
	struct err err;
	bool secure;
	enum mx_lookup found = ask(s->c, s->host, type, &records, &secure, &hold);

	while (found == MX_FOUND && dns_rdata_next(&records, &record))
		if (dns_read_address(type, record.data, text, &err) == 0)
			add_address(s, str_c(text));
	reply_free(&hold);
	return found;
}

/* IPv6 first, unless it has failed lately (T152). Both families, so that one can stand in. */
static void add_host(struct search *s, struct str host)
{
	bool v6_first = s->c->v6_bad_until <= clock_mono();
	enum mx_lookup one, two;

	s->host = host;
	s->of_host = 0;
	if (str_eqi(host, STR("localhost"))) { /* RFC 6761 6.3: never asked of DNS */
		add_address(s, STR("127.0.0.1"));
		add_address(s, STR("::1"));
		return;
	}
	one = add_family(s, v6_first ? DNS_TYPE_AAAA : DNS_TYPE_A);
	two = add_family(s, v6_first ? DNS_TYPE_A : DNS_TYPE_AAAA);
	mx_count(&s->tally, one, two);
}

/* ---- MX ---- */

enum { MX_READ_MAX = 500 };

struct mx_names {
	struct mx_host hosts[MX_READ_MAX];
	char text[MX_READ_MAX][DNS_NAME_MAX + 2];
	size_t count;
};

static void read_mx(struct mx_names *m, struct str records)
{
	struct buf name = BUF(DNS_NAME_MAX + 1);
	struct dns_rdata record;
	struct err err;

	while (m->count < MX_READ_MAX && dns_rdata_next(&records, &record)) {
		struct mx_host *h = &m->hosts[m->count];
		char *text = m->text[m->count];

		buf_clear(&name);
		if (dns_read_mx(record.data, &h->preference, &name, &err) < 0 ||
			!str_z(buf_str(&name), text, sizeof m->text[0]))
			continue;
		h->name = str_c(text);
		h->random = random_below(UINT32_MAX);
		m->count++;
	}
	buf_free(&name);
}

static enum mx_verdict find_mx(
	struct search *s, struct mx_names *m, const char **status, struct err *err)
{
	struct str domain = s->r->host, records = { 0 };
	struct reply hold = { 0 };
	struct mx_list list = { m->hosts, 0, "" };
	bool secure;
	enum mx_lookup found = ask(s->c, domain, DNS_TYPE_MX, &records, &secure, &hold);
	enum mx_verdict v;

	if (found == MX_FOUND)
		read_mx(m, records);
	reply_free(&hold);
	if (found == MX_FOUND && m->count == 0) {
		*status = "4.4.3";
		err_set(err, ERR_TEMP, "no usable MX record for " STR_F, STR_A(domain));
		return MX_DEFER;
	}
	list.count = m->count;
	v = mx_decide(found, &list, domain, conf_str(s->c->conf, CONF_HOSTNAME), err);
	*status = list.status;
	/* RFC 8689 4.2.1: the certificate is asked for the domain's own name, or for one that the
	 * domain has certainly named. */
	s->out->certain = v == MX_IMPLICIT || secure;
	s->tally.implicit = v == MX_IMPLICIT;
	if (v == MX_IMPLICIT)
		add_host(s, domain);
	for (size_t i = 0; v == MX_USE && i < list.count && s->out->count < TARGETS_MAX; i++)
		add_host(s, list.hosts[i].name);
	return v == MX_IMPLICIT ? MX_USE : v;
}

static enum mx_verdict resolve_mx(struct search *s, const char **status, struct err *err)
{
	struct mx_names *m = calloc(1, sizeof *m);
	enum mx_verdict v = MX_DEFER;

	*status = "4.3.0";
	if (!m)
		err_set(err, ERR_TEMP, "out of memory");
	else
		v = find_mx(s, m, status, err);
	free(m);
	if (v == MX_USE && s->out->count == 0)
		v = mx_no_address(&s->tally, s->r->host, status, err);
	return v;
}

/* ---- a named host ---- */

static enum mx_verdict resolve_host(struct search *s, const char **status, struct err *err)
{
	struct str host = s->r->host;
	enum mx_verdict v;

	s->host = host;
	if (route_address_is(host))
		add_address(s, host);
	else
		add_host(s, host);
	if (s->out->count > 0)
		return MX_USE;
	v = mx_no_address(&s->tally, host, status, err);
	if (!s->r->trusted)
		return v;
	/* The operator's own mistake is no reason to send mail back. */
	*status = "4.4.4";
	err->kind = ERR_TEMP;
	return MX_DEFER;
}

enum mx_verdict courier_resolve(struct courier *c, const struct route *r, struct target_list *out,
	const char **status, struct err *err)
{
	struct search s = { .c = c, .r = r, .out = out, .port = r->port };
	enum mx_verdict v;

	out->count = 0;
	out->certain = true;
	if (r->kind == ROUTE_MX)
		s.port = c->mx_port;
	v = r->kind == ROUTE_MX ? resolve_mx(&s, status, err) : resolve_host(&s, status, err);
	if (v != MX_USE && c->local_only && s.tally.refused > 0)
		err_set(err, err->kind,
			"this server connects to loopback addresses only "
			"(outbound.local-only)");
	return v;
}
