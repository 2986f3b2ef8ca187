/* Asking a configuration, and writing it down again. */
#include "conf/conf_private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Asking a setting for what it is not is a mistake that the first test run must show. */
static const struct item *first(const struct conf *c, enum conf_id id, bool right_type)
{
	if (!right_type)
		abort();
	return c->values[id].n ? &c->values[id].items[0] : NULL;
}

static uint64_t number(const struct conf *c, enum conf_id id, bool right_type)
{
	const struct item *item = first(c, id, right_type);

	return item ? item->number : 0;
}

bool conf_bool(const struct conf *c, enum conf_id id)
{
	return number(c, id, conf_table[id].type == CONF_T_BOOL) != 0;
}

uint64_t conf_u64(const struct conf *c, enum conf_id id)
{
	enum conf_type t = conf_table[id].type;

	return number(c, id,
		t == CONF_T_COUNT || t == CONF_T_SIZE || t == CONF_T_CHOICE ||
			t == CONF_T_DURATION);
}

int64_t conf_duration(const struct conf *c, enum conf_id id)
{
	return (int64_t)number(c, id, conf_table[id].type == CONF_T_DURATION);
}

struct str conf_str(const struct conf *c, enum conf_id id)
{
	const struct item *item = first(c, id, !conf_is_list(&conf_table[id]));

	return item ? item->text : STR("");
}

const char *conf_z(const struct conf *c, enum conf_id id)
{
	return conf_str(c, id).p;
}

bool conf_is_set(const struct conf *c, enum conf_id id)
{
	return c->values[id].rank != RANK_DEFAULT;
}

size_t conf_count(const struct conf *c, enum conf_id id)
{
	return c->values[id].n;
}

struct str conf_item(const struct conf *c, enum conf_id id, size_t i)
{
	return i < c->values[id].n ? c->values[id].items[i].text : STR("");
}

struct str conf_key(const struct conf *c, enum conf_id id, size_t i)
{
	return i < c->values[id].n ? c->values[id].items[i].key : STR("");
}

const struct conf_route *conf_route(const struct conf *c, enum conf_id id, size_t i)
{
	return i < c->values[id].n ? c->values[id].items[i].route : NULL;
}

const struct conf_route *conf_route_find(const struct conf *c, struct str domain)
{
	const struct value *v = &c->values[CONF_ROUTE];

	for (size_t i = 0; i < v->n; i++)
		if (str_eqi(v->items[i].key, domain))
			return v->items[i].route;
	return NULL;
}

bool conf_network_has(const struct conf *c, enum conf_id id, struct str address)
{
	const struct value *v = &c->values[id];

	for (size_t i = 0; i < v->n; i++)
		if (v->items[i].network && network_has(v->items[i].network, address))
			return true;
	return false;
}

const struct conf_dnslist *conf_dnslist(const struct conf *c, enum conf_id id, size_t i)
{
	return i < c->values[id].n ? c->values[id].items[i].dnslist : NULL;
}

static void quote(struct buf *out, struct str text)
{
	buf_addz(out, " \"");
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, text.p[i]);
	}
	buf_addc(out, '"');
}

static void write_value(const struct setting *s, const struct value *v, struct buf *out)
{
	if (s->type == CONF_T_ROUTES) {
		for (size_t i = 0; i < v->n; i++) {
			buf_addf(out, "%s " STR_F, s->name, STR_A(v->items[i].key));
			quote(out, v->items[i].text);
			buf_addz(out, ";\n");
		}
		return;
	}
	buf_addz(out, s->name);
	for (size_t i = 0; i < v->n; i++)
		quote(out, v->items[i].text);
	if (v->n == 0)
		buf_addz(out, conf_is_list(s) ? " off" : " \"\"");
	buf_addz(out, ";\n");
}

/* A secret stays behind: "" says that its owner gets it in another way. */
void conf_serialise(const struct conf *c, struct buf *out)
{
	static const struct value empty;

	for (size_t i = 0; i < CONF_COUNT; i++) {
		bool secret = conf_table[i].type == CONF_T_SECRET;

		write_value(&conf_table[i], secret ? &empty : &c->values[i], out);
	}
}

static int check_file(struct reader *r, enum conf_id id, bool as_default)
{
	const struct value *v = &r->c->values[id];

	if (v->n == 0 || (v->rank == RANK_DEFAULT && !as_default) ||
		access(v->items[0].text.p, R_OK) == 0)
		return 0;
	return conf_mistake(r, &v->items[0].place, "%s: cannot read %s: %s", conf_name(id),
		v->items[0].text.p, strerror(errno));
}

int conf_check_files(const struct conf *c, struct buf *report, struct err *err)
{
	struct reader r = { .c = (struct conf *)(uintptr_t)c, .report = report, .err = err };

	check_file(&r, CONF_TLS_CERTIFICATE, true);
	check_file(&r, CONF_TLS_KEY, true);
	check_file(&r, CONF_TLS_CA_FILE, true);
	check_file(&r, CONF_SMARTHOST_PASSWORD, true);
	check_file(&r, CONF_STORE_PASSWORD, true);
	check_file(&r, CONF_DNS_ANCHOR, false); /* validation is off without the default one */
	return r.mistakes ? -1 : 0;
}
