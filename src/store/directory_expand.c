/* Where an address leads in the end. */
#include "base/map.h"
#include "store/directory_private.h"
#include "store/names.h"

#include <string.h>

/* An address of ours, by its number, or by its name when only the map knows it. */
struct step {
	struct step *next;
	uint64_t address;
	struct address name;
	struct str asked; /* the local part that led here, maybe with a tag */
	struct str owner; /* of the innermost list so far */
	unsigned depth;
};

struct expansion {
	struct view *v;
	struct arena *arena;
	struct map seen; /* address numbers, account numbers, names and foreign addresses */
	struct step *todo;
	struct destination *first, **end;
	size_t met;
	bool again; /* an address was met twice */
};

static int too_far(struct err *err)
{
	return err_set(err, ERR_EXPANSION,
		"this address leads too far: at most %d steps and %d targets", DIRECTORY_DEPTH,
		DIRECTORY_TARGETS);
}

/* A key for what was met: 'a' address, 'u' account, 'm' name in the map, 'r' elsewhere. */
static bool is_new(struct expansion *x, char kind, uint64_t id, struct str text)
{
	char *p = arena_bytes(x->arena, 9 + text.n);
	struct str key;

	if (!p)
		return false;
	p[0] = kind;
	memcpy(p + 1, &id, 8);
	if (text.n)
		memcpy(p + 9, text.p, text.n);
	key = str_make(p, 9 + text.n);
	return !map_get(&x->seen, key) && map_put(&x->seen, key, x);
}

static bool print(struct expansion *x, struct str local, struct str domain, struct str *out)
{
	struct buf text = BUF(ADDRESS_PATH_MAX + 64);
	bool ok;

	address_print(&text, &(struct address){ local, domain });
	ok = buf_ok(&text) && arena_str(x->arena, buf_str(&text), out);
	buf_free(&text);
	return ok;
}

static int add_step(struct expansion *x, const struct step *like, struct err *err)
{
	struct step *s = arena_alloc(x->arena, sizeof *s);
	struct str name = STR("");

	if (!s || ++x->met > DIRECTORY_TARGETS || like->depth > DIRECTORY_DEPTH)
		return too_far(err);
	*s = *like;
	if (!arena_str(x->arena, like->asked, &s->asked) ||
		!arena_str(x->arena, like->name.local, &s->name.local) ||
		!arena_str(x->arena, like->name.domain, &s->name.domain) ||
		(!like->address && !print(x, s->name.local, s->name.domain, &name)))
		return err_set(err, ERR_TEMP, "out of memory for an address");
	if (!is_new(x, like->address ? 'a' : 'm', like->address, name)) {
		x->again = true; /* a circle closes, or two ways lead to the same place */
		return 0;
	}
	s->next = x->todo;
	x->todo = s;
	return 0;
}

/* An account that was asked for with a tag keeps it: "user+tag". */
static int with_tag(struct expansion *x, struct str asked, const struct address *a,
	struct destination *d, struct err *err)
{
	const struct str local = a->local;

	d->delivered_to = d->address;
	if (asked.n <= local.n + 1 || !local.n || !str_eqi(str_head(asked, local.n), local) ||
		asked.p[local.n] != directory_separator(x->v) ||
		print(x, asked, a->domain, &d->delivered_to))
		return 0;
	return err_set(err, ERR_TEMP, "out of memory for an address");
}

static int add_destination(struct expansion *x, const struct step *from, uint64_t account,
	uint8_t flags, const struct address *a, struct err *err)
{
	struct destination *d = arena_alloc(x->arena, sizeof *d);

	if (!d || ++x->met > DIRECTORY_TARGETS)
		return too_far(err);
	*d = (struct destination){ .account = account,
		.owner = from->owner,
		.indirect = from->depth > 0,
		.flags = flags };
	if (!print(x, a->local, a->domain, &d->address) ||
		!arena_str(x->arena, a->domain, &d->domain))
		return err_set(err, ERR_TEMP, "out of memory for an address");
	if (with_tag(x, account ? from->asked : STR(""), a, d, err) < 0)
		return -1;
	if (is_new(x, account ? 'u' : 'r', account, account ? STR("") : d->address)) {
		*x->end = d;
		x->end = &d->next;
	}
	return 0;
}

/* One address, as text. What is no address here any more is left out. */
static int add_address(
	struct expansion *x, struct str text, const struct step *from, struct err *err)
{
	struct step s = { .owner = from->owner, .depth = from->depth };
	struct err why = ERR_INIT;
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse(text, &name, &why) < 0)
		return 0;
	if (directory_resolve(x->v, &name, &e, err) < 0)
		return -1;
	s.asked = name.local;
	if (e.kind == STORE_DOMAIN_LOCAL) {
		s.address = e.id;
		s.name = name.address;
		return e.id || e.mapped ? add_step(x, &s, err) : 0;
	}
	/* Elsewhere the case of the local part may matter. */
	if (address_mailbox(text, ADDRESS_UTF8, &name.store, &name.address, &why) < 0)
		return 0;
	return add_destination(x, &s, 0, 0, &name.address, err);
}

static int follow_alias(struct expansion *x, const struct step *s, struct err *err)
{
	const struct step next = { .owner = s->owner, .depth = s->depth + 1 };
	struct rows *r;
	int got;

	if (db_query(x->v->db, &r,
		    "SELECT target FROM alias_target WHERE address = $1 ORDER BY position",
		    DB_ARGS(DB_I((int64_t)s->address)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (add_address(x, rows_str(r, 0), &next, err) < 0)
			break;
	rows_free(&r);
	return got == 0 ? 0 : -1;
}

static int follow_map(struct expansion *x, const struct step *s, struct err *err)
{
	const struct step next = { .owner = s->owner, .depth = s->depth + 1 };
	struct buf targets = BUF(DIRECTORY_MAPPED);
	struct str rest;
	int r = directory_map(x->v, &s->name, &targets, err);

	if (r > 0)
		r = 0;
	rest = buf_str(&targets);
	while (r == 0 && rest.n)
		r = add_address(x, str_word(&rest, '\n'), &next, err);
	buf_free(&targets);
	return r;
}

static int follow(struct expansion *x, struct step *s, struct err *err)
{
	struct address a = { 0 };
	uint64_t account = 0;
	struct rows *r;
	int got;

	if (!s->address)
		return follow_map(x, s, err);
	if (db_query(x->v->db, &r,
		    "SELECT a.account, a.flags, a.local, d.name, a.owner FROM address a, domain d"
		    " WHERE a.id = $1 AND d.id = a.domain",
		    DB_ARGS(DB_I((int64_t)s->address)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		account = (uint64_t)rows_int(r, 0);
		a = (struct address){ rows_str(r, 2), rows_str(r, 3) };
		if (account && add_destination(x, s, account, (uint8_t)rows_int(r, 1), &a, err) < 0)
			got = -1;
		if (rows_str(r, 4).n && !arena_str(x->arena, rows_str(r, 4), &s->owner))
			got = err_set(err, ERR_TEMP, "out of memory for an address");
	}
	rows_free(&r);
	if (got == 1 && !account)
		return follow_alias(x, s, err);
	return got < 0 ? -1 : 0; /* 0: the address has gone */
}

static int begin(struct expansion *x, uint64_t target, struct str address, struct err *err)
{
	struct step s = { .address = target };
	struct directory_name name;

	if (!target)
		return add_address(x, address, &s, err);
	/* Only an address with a tag has to be read again. */
	if (str_find(address, directory_separator(x->v)) < address.n &&
		directory_parse(address, &name, err) == 0)
		s.asked = name.local;
	return add_step(x, &s, err);
}

int directory_expand(struct view *v, uint64_t target, struct str address, struct arena *arena,
	struct destination **out, struct err *err)
{
	struct expansion x = { .v = v, .arena = arena, .seen = MAP(4 * DIRECTORY_TARGETS) };
	int r;

	*out = NULL;
	x.end = &x.first;
	r = begin(&x, target, address, err);
	while (r == 0 && x.todo) {
		struct step *s = x.todo;

		x.todo = s->next;
		r = follow(&x, s, err);
	}
	map_free(&x.seen);
	if (r == 0 && !x.first)
		r = x.again ? err_set(err, ERR_EXPANSION, "this address leads in a circle")
			    : err_set(err, ERR_NOTFOUND, "this address leads nowhere");
	*out = x.first;
	return r;
}
