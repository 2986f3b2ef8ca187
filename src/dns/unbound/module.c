/* The resolver module (dns/module.h) on libunbound. */
#include "dns/module.h"

#include <stdio.h>
#include <stdlib.h>
#include <unbound.h>

enum { RCODE_NOERROR = 0, CLASS_IN = 1 };

struct dns_resolver_ctx {
	struct ub_ctx *ub;
};

/* One question under way. */
struct asked {
	dns_module_done *done;
	void *arg;
	int id;
};

static const char *const settings[][2] = {
	{ "do-not-query-localhost:",
		"no" }, /* a validating resolver on this machine is the best one */
	{ "unblock-lan-zones:", "yes" },
	{ "insecure-lan-zones:", "yes" },
	{ "trust-anchor-signaling:", "no" },
	{ "qname-minimisation:", "yes" },
	{ "harden-dnssec-stripped:", "yes" },
	{ "edns-buffer-size:", "1232" },
	{ "msg-cache-size:", "4m" },
	{ "rrset-cache-size:", "8m" },
	{ "key-cache-size:", "1m" },
	{ "neg-cache-size:", "512k" },
	{ "msg-cache-slabs:", "1" },
	{ "rrset-cache-slabs:", "1" },
	{ "key-cache-slabs:", "1" },
	{ "infra-cache-slabs:", "1" },
	{ "outgoing-range:", "256" },
	{ "num-queries-per-thread:", "512" },
	{ "cache-max-ttl:", "86400" },
	{ "cache-max-negative-ttl:", "900" },
};

/* Zones that the library would answer itself, of which the operator's own server may know. */
static const char *const own_zones[] = { "none.invalid.", "test.", "invalid.", "onion.",
	"home.arpa." };

static int failed(char *why, size_t size, const char *what, int code)
{
	snprintf(why, size, "%s: %s", what, ub_strerror(code));
	return -1;
}

static int use_servers(
	struct ub_ctx *ub, const struct dns_module_options *o, char *why, size_t size)
{
	int r;

	for (size_t i = 0; i < o->server_count; i++)
		if ((r = ub_ctx_set_fwd(ub, o->servers[i])) != 0)
			return failed(why, size, o->servers[i], r);
	return 0;
}

/* Touching the library's own zones makes it final: all that it reads, it reads now. So this comes
 * last and is done in any case; taking away a zone that is not there is no error. */
static int finish_setup(
	struct ub_ctx *ub, const struct dns_module_options *o, char *why, size_t size)
{
	size_t count = o->server_count > 0 ? sizeof own_zones / sizeof own_zones[0] : 1;
	int r;

	for (size_t i = 0; i < count; i++)
		if ((r = ub_ctx_zone_remove(ub, own_zones[i])) != 0)
			return failed(why, size, own_zones[i], r);
	return 0;
}

static int use_anchors(
	struct ub_ctx *ub, const struct dns_module_options *o, char *why, size_t size)
{
	int r;

	if (o->anchor_count == 0 && (r = ub_ctx_set_option(ub, "module-config:", "iterator")) != 0)
		return failed(why, size, "module-config", r);
	for (size_t i = 0; i < o->anchor_count; i++)
		if ((r = ub_ctx_add_ta(ub, o->anchors[i])) != 0)
			return failed(why, size, "a trust anchor", r);
	return 0;
}

static void module_close(struct dns_resolver_ctx *ctx)
{
	if (!ctx)
		return;
	ub_ctx_delete(ctx->ub);
	free(ctx);
}

static int module_open(
	const struct dns_module_options *o, struct dns_resolver_ctx **out, char *why, size_t size)
{
	struct dns_resolver_ctx *ctx = calloc(1, sizeof *ctx);
	int r;

	*out = NULL;
	if (!ctx || !(ctx->ub = ub_ctx_create())) {
		snprintf(why, size, "cannot start libunbound: out of memory or descriptors");
		free(ctx);
		return -1;
	}
	for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
		if ((r = ub_ctx_set_option(ctx->ub, settings[i][0], settings[i][1])) != 0) {
			failed(why, size, settings[i][0], r);
			goto fail;
		}
	/* A thread, not a process: the sandbox allows no fork. */
	if ((r = ub_ctx_async(ctx->ub, 1)) != 0) {
		failed(why, size, "threads", r);
		goto fail;
	}
	if (use_servers(ctx->ub, o, why, size) < 0 || use_anchors(ctx->ub, o, why, size) < 0 ||
		finish_setup(ctx->ub, o, why, size) < 0)
		goto fail;
	*out = ctx;
	return 0;
fail:
	module_close(ctx);
	return -1;
}

static int module_fd(struct dns_resolver_ctx *ctx)
{
	return ub_fd(ctx->ub);
}

static int module_process(struct dns_resolver_ctx *ctx)
{
	return ub_process(ctx->ub) == 0 ? 0 : -1;
}

static enum dns_module_status status_of(const struct ub_result *r)
{
	if (r->bogus)
		return DNS_MODULE_BOGUS;
	if (r->nxdomain)
		return DNS_MODULE_NXDOMAIN;
	if (r->rcode != RCODE_NOERROR)
		return DNS_MODULE_TEMP;
	return r->havedata ? DNS_MODULE_OK : DNS_MODULE_NODATA;
}

static void answered(void *arg, int failure, struct ub_result *r)
{
	struct asked *q = arg;
	struct dns_module_answer a = { .status = DNS_MODULE_TEMP };

	if (failure == 0 && r) {
		a.status = status_of(r);
		a.secure = r->secure != 0;
		a.ttl = r->ttl > 0 ? (uint32_t)r->ttl : 0;
		a.canonical = r->canonname;
		if (a.status == DNS_MODULE_OK) {
			a.data = (const char *const *)r->data;
			a.len = r->len;
			while (r->data[a.count])
				a.count++;
		}
	}
	q->done(q->arg, &a);
	ub_resolve_free(r);
	free(q);
}

static void *module_ask(
	struct dns_resolver_ctx *ctx, const char *name, int type, void *arg, dns_module_done *done)
{
	struct asked *q = calloc(1, sizeof *q);

	if (!q)
		return NULL;
	q->done = done;
	q->arg = arg;
	if (ub_resolve_async(ctx->ub, name, type, CLASS_IN, q, answered, &q->id) == 0)
		return q;
	free(q);
	return NULL;
}

static void module_cancel(struct dns_resolver_ctx *ctx, void *asked)
{
	struct asked *q = asked;

	ub_cancel(ctx->ub, q->id);
	free(q);
}

__attribute__((visibility("default"))) extern const struct dns_module dns_module;
const struct dns_module dns_module = {
	.version = DNS_MODULE_VERSION,
	.open = module_open,
	.close = module_close,
	.fd = module_fd,
	.process = module_process,
	.ask = module_ask,
	.cancel = module_cancel,
};
