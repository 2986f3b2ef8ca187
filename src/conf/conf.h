/* conf.h - the configuration: read it, ask it, explain it.
 *
 * A file is `name value;` and blocks: `tls { key /etc/x.pem; }` is the same as `tls.key
 * /etc/x.pem;`.
 * `#` starts a comment, "quotes" keep spaces, `include FILE;` reads another file. settings.def is
 * the table of all settings. A struct conf is complete and checked, and never changes: a server
 * that reads its file again makes a new one and keeps the old when that fails. It holds no secret,
 * only paths.
 *
 * Loading fails with ERR_PERM and a sentence with FILE:LINE:COLUMN for each mistake, ERR_NOTFOUND
 * or ERR_DENIED when the file cannot be read. Reading a value never fails; asking with the wrong
 * type is a mistake of the program and stops it.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "base/err.h"
#include "base/str.h"

enum conf_id {
#define SETTING(id, ...) CONF_##id,
#include "conf/settings.def"
#undef SETTING
	CONF_COUNT
};

enum conf_type {
	CONF_T_NAME,     /* conf_str: a host name, A-labels */
	CONF_T_PATH,     /* conf_str, conf_z: absolute */
	CONF_T_SECRET,   /* conf_str, conf_z: absolute path of the file with the secret */
	CONF_T_BOOL,     /* conf_bool: on or off */
	CONF_T_COUNT,    /* conf_u64 */
	CONF_T_SIZE,     /* conf_u64: bytes. KB, MB, GB are powers of 1024 */
	CONF_T_DURATION, /* conf_duration: nanoseconds. ms, s, m, h, d, w */
	CONF_T_CHOICE,   /* conf_u64: which of the choices, from 0 */
	CONF_T_LISTEN,   /* list of "ADDRESS:PORT", "[ADDRESS]:PORT", "*:PORT", "unix:PATH" */
	CONF_T_SERVER,   /* list of numeric "ADDRESS" or "ADDRESS:PORT", "[ADDRESS]:PORT" */
	CONF_T_DNSLISTS, /* list of conf_dnslist: ZONE[=CODES][:ACTION] */
	CONF_T_NETWORKS, /* list of networks, conf_network_has: ADDRESS or ADDRESS/BITS */
	CONF_T_ROUTE,    /* conf_route */
	CONF_T_DATABASE, /* conf_str, conf_z: postgres://..., without a password */
	CONF_T_ROUTES    /* list of conf_route with a domain as key, lower case */
};

enum conf_kind { CONF_SERVER, CONF_DEMO }; /* which column of defaults */

enum conf_sandbox { CONF_SANDBOX_ON, CONF_SANDBOX_OFF, CONF_SANDBOX_BEST_EFFORT };

/* What a configuration is made of; later parts win. Relative paths are taken from `folder` in
 * defaults and text, from the file's own folder in a file, from the current one in overrides. */
struct conf_source {
	enum conf_kind kind;
	const char *folder;    /* NULL: the file's, or the current one */
	const char *path;      /* a file; NULL: none */
	struct str text;       /* instead of a file; includes are refused */
	const struct str *set; /* overrides: "name=value"; a list is split at spaces and commas */
	size_t sets;
};

struct conf;

/* `report` (may be NULL) gets one line per mistake, at most 20; err gets the first. */
int conf_load(const struct conf_source *from, struct conf **c, struct buf *report, struct err *err);
void conf_free(struct conf **c);

/* Look whether the files named are there and readable by this process; the same form of report. */
int conf_check_files(const struct conf *c, struct buf *report, struct err *err);

bool conf_bool(const struct conf *c, enum conf_id id);
uint64_t conf_u64(const struct conf *c, enum conf_id id);
int64_t conf_duration(const struct conf *c, enum conf_id id);
struct str conf_str(const struct conf *c, enum conf_id id); /* empty when not set */
const char *conf_z(const struct conf *c, enum conf_id id);  /* the same, with a NUL at the end */
bool conf_is_set(const struct conf *c, enum conf_id id);    /* by file, text or override */

size_t conf_count(
	const struct conf *c, enum conf_id id); /* of a list; a single value counts 1 or 0 */
struct str conf_item(const struct conf *c, enum conf_id id, size_t i);
struct str conf_key(const struct conf *c, enum conf_id id, size_t i);

/* Is the address (as text) in one of the networks of this setting? */
bool conf_network_has(const struct conf *c, enum conf_id id, struct str address);

enum conf_security {
	CONF_OPPORTUNISTIC, /* smtp: STARTTLS if offered, certificate not needed */
	CONF_STARTTLS,      /* smtp+starttls: STARTTLS and a verified certificate, or nothing */
	CONF_TLS,           /* smtps: the same with TLS from the first byte */
	CONF_LMTP           /* lmtp: as smtp, for a server that delivers (RFC 2033) */
};

struct conf_route {
	enum conf_security security;
	struct str user; /* empty: no login */
	struct str host; /* name or numeric address, without brackets */
	uint16_t port;
};

/* NULL when not set. conf_route_find: the route of a domain (any case), NULL when it has none. */
const struct conf_route *conf_route(const struct conf *c, enum conf_id id, size_t i);
const struct conf_route *conf_route_find(const struct conf *c, struct str domain);

/* A list of addresses in the DNS. Of an answer like 127.0.0.4 each number must lie in its range:
 * "127.0.0.2-11", "127.0.*.1-3". */
struct conf_dnslist {
	struct str zone;
	unsigned char low[4], high[4];
	unsigned action; /* which of the setting's choices, from 0 */
};
const struct conf_dnslist *conf_dnslist(const struct conf *c, enum conf_id id, size_t i);

/* Take apart "ADDRESS:PORT", "[ADDRESS]:PORT" or "ADDRESS" (then *port is `fallback`). */
bool conf_address(struct str text, uint16_t fallback, struct str *address, uint16_t *port);

/* Of a CONF_T_DATABASE, for people: "db1:5432,db2", "/run/postgresql". */
struct str conf_database_place(struct str url);

/* All settings as text that conf_load() takes back, without secrets' paths: what the master gives
 * each role. Fits into 1 MiB. */
void conf_serialise(const struct conf *c, struct buf *out);

enum conf_format { CONF_MARKDOWN, CONF_MDOC };
void conf_manual(struct buf *out, enum conf_format format);

const char *conf_name(enum conf_id id); /* "smtp.idle" */

/* A size as settings write it: "500MB", "2GB", "1000B". */
bool conf_size(struct str text, uint64_t *out);

#endif
