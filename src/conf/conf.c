/* Putting a configuration together: defaults, then the file, then overrides; then what must hold
 * between settings. */
#include "conf/conf_private.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static enum conf_id id_of(const struct setting *s)
{
	return (enum conf_id)(s - conf_table);
}

static struct item *find_key(struct value *v, struct str key)
{
	for (size_t i = 0; i < v->n; i++)
		if (str_eqi(v->items[i].key, key))
			return &v->items[i];
	return NULL;
}

static bool add_item(struct value *v, const struct item *item, size_t most)
{
	if (v->n == most)
		return false;
	if (v->n == v->cap) {
		size_t cap = v->cap ? v->cap * 2 : 1;
		struct item *p = realloc(v->items, cap * sizeof *p);

		if (!p)
			return false;
		v->items = p;
		v->cap = cap;
	}
	v->items[v->n++] = *item;
	return true;
}

static bool lower_key(struct reader *r, struct str *key)
{
	char *p = arena_z(&r->c->arena, *key);

	if (!p)
		return false;
	for (size_t i = 0; i < key->n; i++)
		p[i] = to_lower(p[i]);
	key->p = p;
	return true;
}

static int twice(struct reader *r, const struct place *at, const char *name, struct str key,
	const struct place *first)
{
	return conf_mistake(r, at, "%s%s" STR_F " is set twice; the first is at %s:%u", name,
		key.n ? "." : "", STR_A(key), first->file, first->line);
}

static int assign_route(struct reader *r, const struct setting *s, struct str key,
	const struct word *words, size_t n, const struct place *at)
{
	struct value *v = &r->c->values[id_of(s)];
	struct item item = { .place = *at, .rank = r->rank }, *old;
	struct err why = ERR_INIT;

	if (n != 1 || !conf_is_name(key))
		return conf_mistake(r, at, "write it as `%s DOMAIN URL;`", s->name);
	if (!conf_value(r, s, words[0].text, &item, &why))
		return conf_mistake(r, &words[0].place, "%s", why.msg);
	item.key = key;
	if (!lower_key(r, &item.key))
		return conf_mistake(r, at, "out of memory"), -1;
	old = find_key(v, key);
	if (old && old->rank == RANK_FILE && r->rank == RANK_FILE)
		return twice(r, at, s->name, key, &old->place);
	if (old)
		*old = item;
	else if (!add_item(v, &item, s->most))
		return conf_mistake(r, at, "%s: more than %d of them", s->name, (int)s->most), -1;
	v->rank = r->rank;
	return 0;
}

static int assign_list(struct reader *r, const struct setting *s, const struct word *words,
	size_t n, const struct place *at)
{
	struct value *v = &r->c->values[id_of(s)];
	struct err why = ERR_INIT;

	if (n == 0)
		return conf_mistake(r, at, "%s needs a value, or off", s->name);
	if (v->rank < r->rank)
		v->n = 0;
	v->rank = r->rank;
	v->place = *at;
	if (n == 1 && str_eq(words[0].text, STR("off"))) {
		v->n = 0;
		return 0;
	}
	for (size_t i = 0; i < n; i++) {
		struct item item = { .place = words[i].place, .rank = r->rank };

		if (!conf_value(r, s, words[i].text, &item, &why)) {
			if (conf_mistake(r, &words[i].place, "%s", why.msg) < 0)
				return -1;
		} else if (!add_item(v, &item, s->most)) {
			return conf_mistake(
				       r, at, "%s: more than %d of them", s->name, (int)s->most),
			       -1;
		}
	}
	return 0;
}

/* Two lines that became one statement: the ';' of the first is missing. */
static int too_many(struct reader *r, const struct setting *s, const struct word *words, size_t n,
	const struct place *at)
{
	for (size_t i = 1; i < n; i++)
		if (words[i].place.line != words[i - 1].place.line)
			return conf_mistake(r, &words[i - 1].place,
				"a ';' is missing after '" STR_F "'", STR_A(words[i - 1].text));
	return conf_mistake(
		r, at, "%s takes one value, not %zu (one with spaces goes in quotes)", s->name, n);
}

static bool may_be_empty(const struct setting *s)
{
	return s->type == CONF_T_NAME || s->type == CONF_T_PATH || s->type == CONF_T_SECRET ||
		s->type == CONF_T_ROUTE || s->type == CONF_T_DATABASE;
}

static int assign_one(struct reader *r, const struct setting *s, const struct word *words, size_t n,
	const struct place *at)
{
	struct value *v = &r->c->values[id_of(s)];
	struct item item = { .place = *at, .rank = r->rank };
	struct err why = ERR_INIT;

	if (n == 0)
		return conf_mistake(r, at, "%s needs a value", s->name);
	if (n > 1)
		return too_many(r, s, words, n, at);
	if (v->rank == RANK_FILE && r->rank == RANK_FILE)
		return twice(r, at, s->name, STR(""), &v->place);
	v->n = 0;
	v->rank = r->rank;
	v->place = *at;
	if (words[0].text.n == 0 && may_be_empty(s))
		return 0;
	if (!conf_value(r, s, words[0].text, &item, &why))
		return conf_mistake(r, &words[0].place, "%s", why.msg);
	if (!add_item(v, &item, 1))
		return conf_mistake(r, at, "out of memory"), -1;
	return 0;
}

int conf_assign(struct reader *r, const struct setting *s, struct str key, const struct word *words,
	size_t n, const struct place *at)
{
	if (s->type == CONF_T_ROUTES)
		return assign_route(r, s, key, words, n, at);
	return conf_is_list(s) ? assign_list(r, s, words, n, at) : assign_one(r, s, words, n, at);
}

/* Words of a list outside of a file: split at spaces and commas. */
static size_t split(struct str text, const struct place *at, struct word *words, size_t max)
{
	size_t n = 0;

	while (text.n && n < max) {
		size_t end = str_find(text, ' '), comma = str_find(text, ',');
		struct str w = str_head(text, end < comma ? end : comma);

		text = str_from(text, w.n + 1);
		if (w.n)
			words[n++] = (struct word){ w, *at };
	}
	return n;
}

static int assign_text(struct reader *r, const struct setting *s, struct str key, struct str text,
	const struct place *at)
{
	struct word words[32] = { { text, *at } };
	size_t n = 1;

	if (conf_is_list(s) && s->type != CONF_T_ROUTES)
		n = split(text, at, words, sizeof words / sizeof *words);
	return conf_assign(r, s, key, words, n, at);
}

static int set_defaults(struct reader *r)
{
	static const struct place built_in = { "default", 0, 0 };

	r->rank = RANK_DEFAULT;
	for (size_t i = 0; i < CONF_COUNT; i++) {
		const struct setting *s = &conf_table[i];
		const char *text = r->c->kind == CONF_DEMO && s->demo ? s->demo : s->fallback;

		if (*text && assign_text(r, s, STR(""), str_c(text), &built_in) < 0)
			return -1;
	}
	return r->mistakes ? -1 : 0;
}

static int set_one(struct reader *r, struct str text)
{
	struct place at = { "--set", 0, 0 };
	struct str name, value, key, near;
	const struct setting *s;

	if (!str_cut(text, '=', &name, &value))
		return conf_mistake(r, &at, "'" STR_F "' is not NAME=VALUE", STR_A(text));
	s = conf_find(name, &key);
	if (!s) {
		near = conf_nearest(name);
		return conf_mistake(r, &at, "there is no setting '" STR_F "'%s" STR_F "%s",
			STR_A(name), near.n ? "; did you mean '" : "", STR_A(near),
			near.n ? "'?" : "");
	}
	return assign_text(r, s, key, value, &at);
}

/* RFC 6335 6: ports end at 65535. */
static void complete_listener(struct reader *r, struct item *item, uint64_t base)
{
	struct str host, port;
	struct buf text = BUF(128);
	uint64_t number;

	if (!str_rcut(item->text, ':', &host, &port) || !str_take(&port, STR("+")) ||
		!str_u64(port, 65535, &number))
		return;
	buf_addf(&text, STR_F ":%u", STR_A(host), (unsigned)(number + base));
	item->text.p = arena_z(&r->c->arena, buf_str(&text));
	item->text.n = text.n;
	if (!item->text.p)
		item->text = STR("");
	if (number + base > 65535)
		conf_mistake(r, &item->place, "port-base %u makes port %u; ports end at 65535",
			(unsigned)base, (unsigned)(number + base));
	buf_free(&text);
}

static void complete_listeners(struct reader *r)
{
	uint64_t base = conf_u64(r->c, CONF_PORT_BASE);

	for (size_t i = 0; i < CONF_COUNT; i++)
		if (conf_table[i].type == CONF_T_LISTEN)
			for (size_t k = 0; k < r->c->values[i].n; k++)
				complete_listener(r, &r->c->values[i].items[k], base);
}

/* Told at whichever of the two somebody wrote. */
static void taken(struct reader *r, size_t id, const struct item *item, size_t other_id,
	const struct item *other)
{
	bool swap = item->rank < other->rank;

	conf_mistake(r, swap ? &other->place : &item->place, "%s: " STR_F " is taken by %s already",
		conf_table[swap ? other_id : id].name, STR_A(item->text),
		conf_table[swap ? id : other_id].name);
}

static void used_before(struct reader *r, size_t last, const struct item *item)
{
	for (size_t i = 0; i <= last; i++) {
		const struct value *v = &r->c->values[i];

		if (conf_table[i].type != CONF_T_LISTEN)
			continue;
		for (size_t k = 0; k < v->n && &v->items[k] != item; k++)
			if (str_eq(v->items[k].text, item->text))
				taken(r, last, item, i, &v->items[k]);
	}
}

static void check_listeners(struct reader *r)
{
	for (size_t i = 0; i < CONF_COUNT; i++)
		if (conf_table[i].type == CONF_T_LISTEN)
			for (size_t k = 0; k < r->c->values[i].n; k++)
				used_before(r, i, &r->c->values[i].items[k]);
}

static void check_together(struct reader *r)
{
	const struct conf *c = r->c;
	const struct conf_route *smart = conf_route(c, CONF_SMARTHOST, 0);

	if (conf_count(c, CONF_HOSTNAME) == 0)
		conf_mistake(r, NULL,
			"hostname is not set: give this server a name, like `hostname "
			"mail.example.org;`");
	if (conf_count(c, CONF_TLS_CERTIFICATE) != conf_count(c, CONF_TLS_KEY))
		conf_mistake(r, &c->values[CONF_TLS_CERTIFICATE].place,
			"tls.certificate and tls.key need each other");
	if (smart && smart->user.n && !conf_is_set(c, CONF_SMARTHOST_PASSWORD))
		conf_mistake(r, &c->values[CONF_SMARTHOST].place,
			"smarthost names a user: its password belongs in smarthost.password "
			"file:PATH");
	if (conf_u64(c, CONF_QUEUE_MAX_RETRY) < conf_u64(c, CONF_QUEUE_FIRST_RETRY))
		conf_mistake(r, &c->values[CONF_QUEUE_MAX_RETRY].place,
			"queue.max-retry is shorter than queue.first-retry");
	complete_listeners(r);
	check_listeners(r);
}

/* The path with the current folder before it, unless it is absolute. */
static int absolute(struct arena *a, const char *path, struct str *out, struct err *err)
{
	char here[PATH_MAX / 2];
	struct buf full = BUF(PATH_MAX);

	if (*path != '/') {
		if (!getcwd(here, sizeof here))
			return err_sys(err, "find", "the current folder");
		buf_addf(&full, "%s/", here);
	}
	buf_addz(&full, path);
	out->p = arena_z(a, buf_str(&full));
	out->n = full.n;
	if (!out->p || !buf_ok(&full))
		err_set(err, ERR_LIMIT, "path %s is too long", path);
	else
		err = NULL;
	buf_free(&full);
	return err ? -1 : 0;
}

static int read_source(struct reader *r, const struct conf_source *from)
{
	struct arena *a = &r->c->arena;
	struct str full, rest;

	r->rank = RANK_FILE;
	if (!from->path)
		return conf_read_text(r, "configuration", from->text);
	if (absolute(a, from->path, &full, r->err) < 0)
		return -1;
	str_rcut(full, '/', &r->folder, &rest);
	r->may_include = true;
	return conf_read_file(r, full.p);
}

static int fill(struct reader *r, const struct conf_source *from)
{
	struct arena *a = &r->c->arena;
	struct str here, folder, rest;

	if (absolute(a, ".", &here, r->err) < 0 ||
		absolute(a,
			from->folder         ? from->folder
				: from->path ? from->path
					     : ".",
			&folder, r->err) < 0)
		return -1;
	if (!from->folder && from->path)
		str_rcut(folder, '/', &folder, &rest);
	here.n -= 2; /* "/." */
	r->folder = from->folder || from->path ? folder : here;
	if (set_defaults(r) < 0 || read_source(r, from) < 0)
		return -1;
	r->rank = RANK_SET;
	r->folder = here;
	for (size_t i = 0; i < from->sets; i++)
		if (set_one(r, from->set[i]) < 0)
			return -1;
	if (r->mistakes == 0)
		check_together(r);
	return r->mistakes ? -1 : 0;
}

int conf_load(const struct conf_source *from, struct conf **c, struct buf *report, struct err *err)
{
	struct reader r = { .report = report, .err = err, .text_left = CONF_TEXT };

	*c = NULL;
	r.c = calloc(1, sizeof *r.c);
	if (!r.c)
		return err_set(err, ERR_TEMP, "out of memory for the configuration");
	r.c->arena = ARENA(CONF_ARENA);
	r.c->kind = from->kind;
	if (fill(&r, from) < 0) {
		conf_free(&r.c);
		return -1;
	}
	*c = r.c;
	return 0;
}

void conf_free(struct conf **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < CONF_COUNT; i++)
		free((*c)->values[i].items);
	arena_free(&(*c)->arena);
	free(*c);
	*c = NULL;
}
