/* What a word means for each type of setting. */
#include "conf/conf_private.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

struct unit {
	struct str name;
	uint64_t worth;
};

#define SECOND UINT64_C(1000000000)

static const struct unit sizes[] = {
	{ STR_INIT("B"), 1 },
	{ STR_INIT("KB"), 1 << 10 },
	{ STR_INIT("MB"), 1 << 20 },
	{ STR_INIT("GB"), 1 << 30 },
};

static const struct unit durations[] = {
	{ STR_INIT("ms"), SECOND / 1000 },
	{ STR_INIT("s"), SECOND },
	{ STR_INIT("m"), 60 * SECOND },
	{ STR_INIT("h"), 3600 * SECOND },
	{ STR_INIT("d"), 86400 * SECOND },
	{ STR_INIT("w"), 7 * 86400 * SECOND },
};

static const struct unit *units_of(enum conf_type type, size_t *n)
{
	*n = type == CONF_T_SIZE ? sizeof sizes / sizeof *sizes
				 : sizeof durations / sizeof *durations;
	return type == CONF_T_SIZE ? sizes : durations;
}

void conf_print_number(struct buf *out, enum conf_type type, uint64_t v)
{
	size_t n;
	const struct unit *u = units_of(type, &n);

	if (type != CONF_T_SIZE && type != CONF_T_DURATION) {
		buf_addf(out, "%" PRIu64, v);
		return;
	}
	while (n > 1 && (v < u[n - 1].worth || v % u[n - 1].worth))
		n--;
	buf_addf(out, "%" PRIu64 STR_F, v / u[n - 1].worth, STR_A(u[n - 1].name));
}

static const char *noun(enum conf_type type)
{
	switch (type) {
	case CONF_T_NAME:
		return "a host name (an international one in its ASCII form, xn--...)";
	case CONF_T_PATH:
		return "a path";
	case CONF_T_SECRET:
		return "file:PATH; the configuration itself holds no secrets";
	case CONF_T_BOOL:
		return "on or off";
	case CONF_T_COUNT:
		return "a number";
	case CONF_T_SIZE:
		return "a size like 10MB";
	case CONF_T_DURATION:
		return "a duration like 20s, 5m, 4h or 5d";
	case CONF_T_CHOICE:
		return "one of";
	case CONF_T_LISTEN:
		return "ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or unix:PATH, or off";
	case CONF_T_SERVER:
		return "a numeric ADDRESS or ADDRESS:PORT ([ADDRESS]:PORT for IPv6), or off";
	case CONF_T_DNSLISTS:
		return "ZONE, ZONE=127.0.0.2-11 (the answers that count) and, if need be, :ACTION";
	case CONF_T_NETWORKS:
		return "a numeric ADDRESS or ADDRESS/BITS with no bits set behind the prefix, or "
		       "off";
	case CONF_T_DATABASE:
		return "postgres://[USER@]HOST[:PORT][,HOST...]/NAME[?sslmode=...] without a "
		       "password (store.password names the file that has it)";
	case CONF_T_ROUTE:
	case CONF_T_ROUTES:
		return "smtp://, smtp+starttls://, smtps:// or lmtp:// and [USER@]HOST[:PORT]";
	}
	return "";
}

void conf_expected(struct buf *out, const struct setting *s)
{
	buf_addz(out, noun(s->type));
	if (s->type == CONF_T_CHOICE)
		buf_addf(out, ": %s", s->choices);
	if (!s->most || conf_is_list(s))
		return;
	buf_addz(out, ", from ");
	conf_print_number(out, s->type, s->least);
	buf_addz(out, " to ");
	conf_print_number(out, s->type, s->most);
}

bool conf_is_name(struct str s)
{
	struct str label;

	if (s.n == 0 || s.n > 253)
		return false;
	while (s.p && s.n) {
		bool dot = str_find(s, '.') < s.n;

		label = str_word(&s, '.');
		if (label.n == 0 || label.n > 63 || label.p[0] == '-' ||
			label.p[label.n - 1] == '-')
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!is_alnum(label.p[i]) && label.p[i] != '-')
				return false;
		if (dot && s.n == 0)
			return false;
	}
	return true;
}

static bool with_unit(enum conf_type type, struct str text, uint64_t *out)
{
	size_t digits = 0, n;
	const struct unit *u = units_of(type, &n);
	uint64_t v;

	while (digits < text.n && is_digit(text.p[digits]))
		digits++;
	for (size_t i = 0; i < n; i++)
		if (str_eqi(str_from(text, digits), u[i].name)) {
			if (!str_u64(str_head(text, digits), INT64_MAX / u[i].worth, &v))
				return false;
			*out = v * u[i].worth;
			return true;
		}
	return false;
}

bool conf_size(struct str text, uint64_t *out)
{
	return with_unit(CONF_T_SIZE, text, out);
}

static bool number(const struct setting *s, struct str text, uint64_t *out)
{
	bool ok = s->type == CONF_T_COUNT ? str_u64(text, INT64_MAX, out)
					  : with_unit(s->type, text, out);

	return ok && *out >= s->least && *out <= s->most;
}

bool conf_choice(const char *choices, struct str text, uint64_t *which)
{
	struct str all = str_c(choices);

	for (*which = 0; all.n; ++*which)
		if (str_eq(str_word(&all, ' '), text))
			return true;
	return false;
}

static bool is_numeric(struct str s)
{
	unsigned char bytes[16];
	char z[64];

	return str_z(s, z, sizeof z) &&
		(inet_pton(AF_INET, z, bytes) == 1 || inet_pton(AF_INET6, z, bytes) == 1);
}

static bool port_of(struct str s, uint16_t *port)
{
	uint64_t v;

	if (!str_u64(s, 65535, &v) || v == 0)
		return false;
	*port = (uint16_t)v;
	return true;
}

/* "HOST:PORT", "[V6]:PORT", "HOST": brackets fall away; the port stays text ("" when absent). */
static bool split_port(struct str text, struct str *host, struct str *port)
{
	struct str rest;

	*port = STR("");
	if (str_starts(text, STR("["))) {
		if (!str_cut(str_from(text, 1), ']', host, &rest))
			return false;
		if (rest.n == 0)
			return true;
		*port = str_from(rest, 1);
		return rest.p[0] == ':' && port->n;
	}
	*host = text;
	if (!str_cut(text, ':', host, port))
		return true;
	if (str_find(*port, ':') == port->n)
		return port->n > 0;
	*host = text; /* bare IPv6 */
	*port = STR("");
	return true;
}

bool conf_address(struct str text, uint16_t fallback, struct str *address, uint16_t *port)
{
	struct str p;

	*port = fallback;
	return split_port(text, address, &p) && is_numeric(*address) &&
		(p.n == 0 || port_of(p, port));
}

static bool decode_percent(struct str s, char *out, size_t *n)
{
	static const char hex[] = "0123456789abcdef";

	*n = 0;
	for (size_t i = 0; i < s.n; i++) {
		const char *high, *low;

		if (s.p[i] != '%') {
			out[(*n)++] = s.p[i];
			continue;
		}
		if (s.n - i < 3)
			return false;
		high = memchr(hex, to_lower(s.p[i + 1]), 16);
		low = memchr(hex, to_lower(s.p[i + 2]), 16);
		if (!high || !low)
			return false;
		out[*n] = (char)((high - hex) << 4 | (low - hex));
		if (is_ctl(out[(*n)++]))
			return false;
		i += 2;
	}
	return true;
}

static bool take_scheme(struct str *url, struct conf_route *route)
{
	static const struct {
		struct str scheme;
		enum conf_security security;
		uint16_t port;
	} schemes[] = {
		{ STR_INIT("smtp://"), CONF_OPPORTUNISTIC, 25 },
		{ STR_INIT("smtp+starttls://"), CONF_STARTTLS, 587 },
		{ STR_INIT("smtps://"), CONF_TLS, 465 },
		{ STR_INIT("lmtp://"), CONF_LMTP, 24 },
	};

	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (str_take(url, schemes[i].scheme)) {
			route->security = schemes[i].security;
			route->port = schemes[i].port;
			return true;
		}
	return false;
}

/* [USER@]HOST[:PORT]; the user may hold an @ of its own, plain or as %40. */
static bool route(struct arena *a, struct str text, struct conf_route **out)
{
	struct conf_route *r = arena_alloc(a, sizeof *r);
	struct str user = STR(""), port;
	char *decoded;

	if (!r || !take_scheme(&text, r))
		return false;
	if (str_find(text, '@') < text.n && (!str_rcut(text, '@', &user, &text) || user.n == 0))
		return false;
	decoded = arena_bytes(a, user.n + 1);
	if (!decoded || !decode_percent(user, decoded, &r->user.n))
		return false;
	r->user.p = decoded;
	if (!split_port(text, &r->host, &port) || (port.n && !port_of(port, &r->port)))
		return false;
	*out = r;
	return (is_numeric(r->host) || conf_is_name(r->host)) && arena_str(a, r->host, &r->host);
}

static bool dnslist(
	struct arena *a, const struct setting *s, struct str text, struct conf_dnslist **out)
{
	struct conf_dnslist *l = arena_alloc(a, sizeof *l);

	*out = l;
	return l && conf_dnslist_parse(text, s->choices, l) && arena_str(a, l->zone, &l->zone);
}

/* The port of a listener may be +N, which port-base completes when all is read. */
static bool listener(struct str text)
{
	struct str host, port;
	uint16_t number;

	if (str_starts(text, STR("unix:/")))
		return text.n < 100; /* sun_path has 108 bytes */
	if (!split_port(text, &host, &port) || port.n == 0)
		return false;
	if (port.p[0] == '+')
		port = str_from(port, 1);
	return port_of(port, &number) && (str_eq(host, STR("*")) || is_numeric(host));
}

static bool network(struct arena *a, struct str text, struct network **out)
{
	*out = arena_alloc(a, sizeof **out);
	return *out && network_parse(text, *out);
}

static bool path(struct reader *r, struct str text, struct str *out)
{
	struct buf full = BUF(1024);
	bool ok = text.n > 0;

	if (ok && text.p[0] != '/')
		buf_addf(&full, STR_F "/", STR_A(r->folder));
	buf_add(&full, text);
	ok = ok && buf_ok(&full) && str_find(buf_str(&full), '\0') == full.n;
	if (ok) {
		out->p = arena_z(&r->c->arena, buf_str(&full));
		out->n = full.n;
		ok = out->p != NULL;
	}
	buf_free(&full);
	return ok;
}

static bool by_type(struct reader *r, const struct setting *s, struct str text, struct item *item)
{
	struct str address;
	uint16_t port;

	switch (s->type) {
	case CONF_T_NAME:
		return conf_is_name(text);
	case CONF_T_PATH:
		return path(r, text, &item->text);
	case CONF_T_SECRET:
		return str_take(&text, STR("file:")) && path(r, text, &item->text);
	case CONF_T_BOOL:
		item->number = str_eq(text, STR("on"));
		return item->number || str_eq(text, STR("off"));
	case CONF_T_COUNT:
	case CONF_T_SIZE:
	case CONF_T_DURATION:
		return number(s, text, &item->number);
	case CONF_T_CHOICE:
		return conf_choice(s->choices, text, &item->number);
	case CONF_T_LISTEN:
		return listener(text);
	case CONF_T_SERVER:
		return conf_address(text, 53, &address, &port);
	case CONF_T_DNSLISTS:
		return dnslist(&r->c->arena, s, text, &item->dnslist);
	case CONF_T_NETWORKS:
		return network(&r->c->arena, text, &item->network);
	case CONF_T_DATABASE:
		return conf_database_parse(text);
	case CONF_T_ROUTE:
	case CONF_T_ROUTES:
		return route(&r->c->arena, text, &item->route);
	}
	return false;
}

bool conf_value(struct reader *r, const struct setting *s, struct str text, struct item *item,
	struct err *why)
{
	struct buf expected = BUF(400);
	/* Somebody may have written the password itself. */
	bool secret = s->type == CONF_T_SECRET || s->type == CONF_T_DATABASE;

	if (by_type(r, s, text, item)) {
		if (item->text.p)
			return true;
		item->text.p = arena_z(&r->c->arena, text);
		item->text.n = text.n;
		if (item->text.p)
			return true;
	}
	conf_expected(&expected, s);
	buf_addc(&expected, '\0');
	err_set(why, ERR_PERM, "%s: expected %s%s" STR_F "%s", s->name,
		buf_ok(&expected) ? expected.p : "", secret ? "" : ", not '",
		STR_A(secret ? STR("") : text), secret ? "" : "'");
	buf_free(&expected);
	return false;
}
