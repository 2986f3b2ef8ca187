/* Where an alias leads in the end. */
#include "base/map.h"
#include "store/directory_private.h"
#include "store/names.h"

#include <string.h>

struct step {
	struct step *next;
	uint64_t address;
	unsigned depth;
};

struct expansion {
	struct view *v;
	struct arena *arena;
	struct map seen; /* address numbers, account numbers and foreign addresses that were met */
	struct step *todo;
	struct destination *first, **end;
	size_t met;
};

/* A key for what was met: 'a' address, 'u' account. */
static bool is_new(struct expansion *x, char kind, uint64_t id, struct str text)
{
	struct str key;
	char *p;

	if (kind == 'r') {
		if (!arena_str(x->arena, text, &key))
			return false;
	} else {
		p = arena_bytes(x->arena, 9);
		if (!p)
			return false;
		p[0] = kind;
		memcpy(p + 1, &id, 8);
		key = str_make(p, 9);
	}
	return !map_get(&x->seen, key) && map_put(&x->seen, key, x);
}

static int add_step(struct expansion *x, uint64_t address, unsigned depth, struct err *err)
{
	struct step *s;

	if (!is_new(x, 'a', address, STR("")))
		return 0; /* met before: a circle closes, or two ways lead to the same place */
	s = arena_alloc(x->arena, sizeof *s);
	if (!s || ++x->met > DIRECTORY_TARGETS || depth > DIRECTORY_DEPTH)
		return err_set(err, ERR_TEMP, "alias leads too far");
	*s = (struct step){ x->todo, address, depth };
	x->todo = s;
	return 0;
}

static int add_destination(
	struct expansion *x, uint64_t account, const struct address *a, struct err *err)
{
	struct buf text = BUF(ADDRESS_PATH_MAX + 64);
	struct destination *d = arena_alloc(x->arena, sizeof *d);
	int r = 0;

	address_print(&text, a);
	if (!d || !buf_ok(&text) || ++x->met > DIRECTORY_TARGETS ||
		!arena_str(x->arena, buf_str(&text), &d->address) ||
		!arena_str(x->arena, a->domain, &d->domain)) {
		r = err_set(err, ERR_TEMP, "alias leads too far");
	} else if (account ? is_new(x, 'u', account, STR("")) : is_new(x, 'r', 0, d->address)) {
		d->account = account;
		*x->end = d;
		x->end = &d->next;
	}
	buf_free(&text);
	return r;
}

/* One target of an alias, as text. What is no address here any more is left out. */
static int add_target(struct expansion *x, struct str target, unsigned depth, struct err *err)
{
	struct err why = ERR_INIT;
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse(target, &name, &why) < 0)
		return 0;
	if (directory_resolve(x->v, &name, &e, err) < 0)
		return -1;
	if (e.kind == STORE_DOMAIN_LOCAL)
		return e.id ? add_step(x, e.id, depth, err) : 0;
	/* Elsewhere the case of the local part may matter. */
	if (address_mailbox(target, ADDRESS_UTF8, &name.store, &name.address, &why) < 0)
		return 0;
	return add_destination(x, 0, &name.address, err);
}

static int follow_alias(struct expansion *x, const struct step *s, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(x->v->db, &r,
		    "SELECT target FROM alias_target WHERE address = $1 ORDER BY position",
		    DB_ARGS(DB_I((int64_t)s->address)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (add_target(x, rows_str(r, 0), s->depth + 1, err) < 0)
			break;
	rows_free(&r);
	return got == 0 ? 0 : -1;
}

static int follow(struct expansion *x, const struct step *s, struct err *err)
{
	struct address a = { 0 };
	uint64_t account = 0;
	struct rows *r;
	int got;

	if (db_query(x->v->db, &r,
		    "SELECT a.account, a.local, d.name FROM address a, domain d"
		    " WHERE a.id = $1 AND d.id = a.domain",
		    DB_ARGS(DB_I((int64_t)s->address)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		account = (uint64_t)rows_int(r, 0);
		a = (struct address){ rows_str(r, 1), rows_str(r, 2) };
		if (account && add_destination(x, account, &a, err) < 0)
			got = -1;
	}
	rows_free(&r);
	if (got == 1 && !account)
		return follow_alias(x, s, err);
	return got < 0 ? -1 : 0; /* 0: the address has gone */
}

int directory_expand(struct view *v, uint64_t target, struct arena *arena, struct destination **out,
	struct err *err)
{
	struct expansion x = { .v = v, .arena = arena, .seen = MAP(4 * DIRECTORY_TARGETS) };
	int r;

	*out = NULL;
	x.end = &x.first;
	r = add_step(&x, target, 0, err);
	while (r == 0 && x.todo) {
		struct step *s = x.todo;

		x.todo = s->next;
		r = follow(&x, s, err);
	}
	map_free(&x.seen);
	if (r == 0 && !x.first)
		r = err_set(err, ERR_NOTFOUND, "address leads nowhere");
	*out = x.first;
	return r;
}
