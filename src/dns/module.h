/* module.h - what the dns role loads at start: the resolver library behind a small table.
 *
 * libunbound and what it brings along are linked to the module eilpost-unbound.so alone, so no
 * other role has them in its address space. The module knows nothing of the rest of the program:
 * plain C types only. All functions are for one thread; done() is called from within process()
 * only. After open() nothing is read from files; the library's thread starts with the first
 * question.
 */
#ifndef DNS_MODULE_H
#define DNS_MODULE_H

#include <stddef.h>
#include <stdint.h>

#define DNS_MODULE_VERSION 1u
#define DNS_MODULE_FILE "eilpost-unbound.so"
#define DNS_MODULE_SYMBOL "dns_module"

struct dns_module_options {
	const char *const *servers; /* "192.0.2.1@53"; none: recursion from the root */
	size_t server_count;
	const char *const *anchors; /* lines with DS or DNSKEY records; none: no validation */
	size_t anchor_count;
};

enum dns_module_status {
	DNS_MODULE_OK,
	DNS_MODULE_NXDOMAIN,
	DNS_MODULE_NODATA,
	DNS_MODULE_TEMP,
	DNS_MODULE_BOGUS
};

struct dns_module_answer {
	enum dns_module_status status;
	int secure;
	uint32_t ttl;
	const char *canonical;   /* NULL: the name that was asked */
	const char *const *data; /* `count` records of len[i] bytes each */
	const int *len;
	size_t count;
};

typedef void dns_module_done(void *arg, const struct dns_module_answer *answer);

struct dns_resolver_ctx;

struct dns_module {
	unsigned version;
	/* 0, or -1 with a sentence in `why`. */
	int (*open)(const struct dns_module_options *o, struct dns_resolver_ctx **ctx, char *why,
		size_t why_size);
	void (*close)(struct dns_resolver_ctx *ctx); /* waits for the thread; nothing is answered */
	int (*fd)(struct dns_resolver_ctx *ctx); /* readable when process() has something to do */
	int (*process)(struct dns_resolver_ctx *ctx);
	/* What to cancel by, or NULL. It ends with done(). */
	void *(*ask)(struct dns_resolver_ctx *ctx, const char *name, int type, void *arg,
		dns_module_done *done);
	void (*cancel)(struct dns_resolver_ctx *ctx, void *asked); /* done() will not be called */
};

#endif
