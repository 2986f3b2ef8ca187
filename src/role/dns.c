/* The dns role: answers questions about names for mx fronts, the courier and operators. */
#include "base/clock.h"
#include "conf/conf.h"
#include "dns/resolver.h"
#include "role/role.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* An answer must fit a message; a set that is larger than this is an attack, not a mail domain. */
enum { ANSWER_MAX = 60000, RECORD_MAX = 4096, RECORDS_MAX = 500 };

#define ROOT_ANCHOR "/usr/share/dns/root.key"

static struct {
	struct resolver *resolver;
} self;

/* "ADDRESS:PORT" from the settings to the library's "ADDRESS@PORT". */
static void read_servers(const struct conf *c, struct resolver_lines *out)
{
	for (size_t i = 0; i < conf_count(c, CONF_DNS_SERVER) && i < RESOLVER_SERVERS_MAX; i++) {
		struct str address;
		uint16_t port;

		if (!conf_address(conf_item(c, CONF_DNS_SERVER, i), 53, &address, &port))
			continue;
		snprintf(out->line[out->count], sizeof out->line[0], STR_F "@%u", STR_A(address),
			port);
		out->p[out->count] = out->line[out->count];
		out->count++;
	}
}

/* The root's anchor proves nothing about the answers of a server that stands for another root, so
 * with dns.server only an anchor that was named counts. */
static int read_anchors(
	const struct conf *c, bool has_servers, struct resolver_lines *out, struct err *err)
{
	if (conf_str(c, CONF_DNS_ANCHOR).n > 0)
		return resolver_read_anchors(conf_z(c, CONF_DNS_ANCHOR), out, err);
	if (has_servers)
		return 0;
	return resolver_read_anchors(ROOT_ANCHOR, out, err);
}

struct lines {
	struct resolver_lines servers, anchors, fallback;
};

int role_dns_prepare(struct role *r, struct err *err)
{
	struct lines *l = calloc(1, sizeof *l);
	struct resolver_options o = { 0 };
	int done = -1;

	if (!l) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	read_servers(r->conf, &l->servers);
	if (read_anchors(r->conf, l->servers.count > 0, &l->anchors, err) < 0)
		goto out;
	if (l->servers.count == 0)
		resolver_read_nameservers("/etc/resolv.conf", &l->fallback);
	o.main = (struct dns_module_options){ l->servers.p, l->servers.count, l->anchors.p,
		l->anchors.count };
	o.fallback = (struct dns_module_options){ .servers = l->fallback.p,
		.server_count = l->fallback.count };
	/* A server that may not talk to the world (the demo) does not ask it either. */
	o.offline = l->servers.count == 0 && conf_bool(r->conf, CONF_OUTBOUND_LOCAL_ONLY);
	done = resolver_open(&o, &self.resolver, err);
out:
	free(l);
	return done;
}

static uint8_t status_of(enum dns_module_status s)
{
	switch (s) {
	case DNS_MODULE_OK:
		return DNS_OK;
	case DNS_MODULE_NXDOMAIN:
		return DNS_NXDOMAIN;
	case DNS_MODULE_NODATA:
		return DNS_NODATA;
	case DNS_MODULE_BOGUS:
		return DNS_BOGUS;
	case DNS_MODULE_TEMP:
		break;
	}
	return DNS_TEMP;
}

static void put_records(struct buf *b, const struct dns_module_answer *a)
{
	for (size_t i = 0; i < a->count && i < RECORDS_MAX; i++) {
		struct dns_rdata record = { str_make(a->data[i], (size_t)a->len[i]) };

		if (a->len[i] < 0 || a->len[i] > RECORD_MAX || b->n + record.data.n > ANSWER_MAX)
			continue;
		dns_rdata_put(b, &record);
	}
}

static struct str canonical_name(const char *z)
{
	struct str s = str_c(z);

	return s.n > 1 && s.n <= 255 && s.p[s.n - 1] == '.' ? str_head(s, s.n - 1)
							    : str_head(s, 255);
}

static void answer(void *arg, const struct dns_module_answer *a)
{
	struct request *req = arg;
	struct buf records = BUF(MSG_MAX);
	struct dns_query_rep rep = { .status = status_of(a->status),
		.secure = a->secure != 0,
		.ttl = a->ttl,
		.canonical = canonical_name(a->canonical) };

	put_records(&records, a);
	if (!buf_ok(&records))
		rep.status = DNS_TEMP;
	else
		rep.records = buf_str(&records);
	dns_query_answer(&req, &rep);
	buf_free(&records);
}

static void do_query(struct request *req)
{
	struct dns_query_req q;
	struct err err = ERR_INIT;

	if (dns_query_req_get(req->body, &q, &err) < 0)
		channel_violation(req->ch, err.msg);
	else if (resolver_ask(self.resolver, q.name, q.type, answer, req, &err) == 0)
		return;
	request_fail(&req, &err);
}

static void do_status(struct request *req)
{
	struct resolver_stats s = resolver_stats(self.resolver);
	struct dns_status_rep rep = {
		.queries = s.queries, .failures = s.failures, .mode = str_c(s.mode)
	};

	dns_status_answer(&req, &rep);
}

static void on_request(void *arg, struct request *req)
{
	(void)arg;
	if (req->type == MSG_dns_query)
		do_query(req);
	else if (req->type == MSG_dns_status)
		do_status(req);
	else
		request_free(&req);
}

/* A peer's channel is its own object here: nothing is kept per peer. */
struct peer {
	struct channel *ch;
};

static void on_end(void *arg, const struct err *why)
{
	struct peer *p = arg;

	(void)why;
	channel_close(&p->ch);
	free(p);
}

static void on_peer(void *arg, uint32_t who, uint32_t number, int fd)
{
	struct role *r = arg;
	struct peer *p = calloc(1, sizeof *p);
	struct err err = ERR_INIT;

	if (!p) {
		close(fd);
		return;
	}
	p->ch = channel_new(r->group, fd, who, number, on_request, on_end, p, &err);
	if (!p->ch)
		free(p);
}

/* The way questions go may change while we run; the master shows it. */
static void say_mode(struct role *r, const char **said)
{
	const char *mode = resolver_stats(self.resolver).mode;

	if (mode != *said)
		role_ready(r, mode);
	*said = mode;
}

int role_dns_main(struct role *r, struct err *err)
{
	const char *said = NULL;
	struct err why = ERR_INIT;

	if (resolver_start(self.resolver, r->group, err) < 0)
		return -1;
	role_on_peer(r, WHO_MX | WHO_COURIER | WHO_OPERATOR, on_peer, r);
	while (!r->stopping && why.kind != ERR_CANCELED) {
		say_mode(r, &said);
		why = ERR_INIT;
		(void)task_wait(-1, 0, &r->stop, clock_after(10 * CLOCK_SEC), &why);
	}
	return 0;
}
