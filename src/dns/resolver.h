/* resolver.h - asks the resolver library, for many at once.
 *
 * Equal questions that are under way share one lookup; there is a cap on lookups and on those who
 * wait; every question is answered within RESOLVER_PATIENCE (as "try later" if need be). Without
 * servers it does its own recursion, with DNSSEC; when nothing is heard from there (port 53
 * blocked) it turns to the fallback servers, whose answers are never called secure, and tries
 * recursion again every ten minutes. The answers' cache is the library's.
 *
 * resolver_open() loads the module and reads files: before the sandbox closes. resolver_start()
 * needs the loop. Belongs to the loop's thread.
 */
#ifndef DNS_RESOLVER_H
#define DNS_RESOLVER_H

#include "dns/module.h"
#include "dns/rdata.h"
#include "rt/task.h"

enum { RESOLVER_SERVERS_MAX = 8, RESOLVER_ANCHORS_MAX = 32, RESOLVER_PATIENCE = 20 /* seconds */ };
enum { RESOLVER_LOOKUPS_MAX = 1000, RESOLVER_WAITING_MAX = 20000 };

/* A list of short lines read from a file. */
struct resolver_lines {
	char line[RESOLVER_ANCHORS_MAX][1024];
	const char *p[RESOLVER_ANCHORS_MAX];
	size_t count;
};
/* DS and DNSKEY records, one a line; `;` and `#` start comments. */
int resolver_read_anchors(const char *path, struct resolver_lines *out, struct err *err);
/* The nameservers of resolv.conf. A missing file gives none. */
void resolver_read_nameservers(const char *path, struct resolver_lines *out);

struct resolver_options {
	const struct dns_module *module; /* NULL: load DNS_MODULE_FILE */
	bool offline;                    /* ask nobody: no name exists */
	struct dns_module_options main;
	struct dns_module_options fallback; /* no servers: none */
};

struct resolver;

int resolver_open(const struct resolver_options *o, struct resolver **r, struct err *err);
/* Start answering; its tasks live in g. */
int resolver_start(struct resolver *r, struct task_group *g, struct err *err);
/* After g has ended. Nobody is answered any more. */
void resolver_free(struct resolver **r);

/* `name` is checked (dns_name_ok) by this. done() is called exactly once, perhaps at once;
 * ERR_LIMIT (too much under way) and ERR_PERM (no name) come as -1, and done() is not called then.
 */
int resolver_ask(struct resolver *r, struct str name, uint32_t type, dns_module_done *done,
	void *arg, struct err *err);

struct resolver_stats {
	uint64_t queries, failures; /* asked by callers; answered "try later" */
	size_t lookups;             /* under way */
	const char *mode;           /* "offline", "recursion", "servers", "fallback servers" */
};
struct resolver_stats resolver_stats(const struct resolver *r);

#endif
