/* Looking addresses up. */
#include "store/directory.h"
#include "base/clock.h"
#include "store/address_map.h"
#include "store/directory_private.h"
#include "store/names.h"
#include "store/store_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int directory_parse(struct str s, struct directory_name *out, struct err *err)
{
	struct address *a = &out->address;
	struct err why = ERR_INIT;

	if (str_eqi(s, STR("postmaster"))) {
		*a = (struct address){ STR("postmaster"), STR("") };
		out->local = a->local;
		return 0;
	}
	if (address_mailbox(s, ADDRESS_UTF8, &out->store, a, &why) < 0)
		return err_set(err, ERR_PERM, "not an address: %.200s", why.msg);
	out->local = a->local;
	for (size_t i = 0; i < a->local.n; i++)
		out->lower[i] = to_lower(a->local.p[i]);
	a->local.p = out->lower;
	return 0;
}

int directory_parse_alias(struct str s, struct directory_name *out, struct err *err)
{
	if (s.n == 0 || s.p[0] != '@')
		return directory_parse(s, out, err);
	out->address.local = out->local = STR("");
	return domain_canonical(str_from(s, 1), out->store.bytes, &out->address.domain, err);
}

int directory_find(struct view *v, const struct directory_name *name, struct directory_entry *out,
	struct err *err)
{
	struct rows *r;
	int got;

	*out = (struct directory_entry){ 0 };
	if (db_query(v->db, &r,
		    "SELECT d.id, d.kind, a.id, a.account, a.flags FROM domain d"
		    " LEFT JOIN address a ON a.domain = d.id AND a.local = $2 WHERE d.name = $1",
		    DB_ARGS(DB_T(name->address.domain), DB_T(name->address.local)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		out->domain = (uint64_t)rows_int(r, 0);
		out->kind = (uint8_t)rows_int(r, 1);
		out->id = (uint64_t)rows_int(r, 2);
		out->account = (uint64_t)rows_int(r, 3);
		out->flags = (uint8_t)rows_int(r, 4);
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

/* The oldest account that takes mail with an address in the domain, else of all. */
static int caretaker(struct view *v, uint64_t domain, struct directory_entry *out, struct err *err)
{
	int64_t id = 0;
	struct rows *r;
	int got = db_int(v->db, &id,
		"SELECT id FROM address WHERE domain = $1 AND account <> 0 AND (flags & 1) = 0"
		" ORDER BY account LIMIT 1",
		DB_ARGS(DB_I((int64_t)domain)), err);

	if (got == 0)
		got = db_int(v->db, &id,
			"SELECT id FROM address WHERE account <> 0 AND (flags & 1) = 0"
			" ORDER BY account LIMIT 1",
			DB_NOARGS, err);
	if (got != 1)
		return got;
	if (db_query(v->db, &r, "SELECT account, flags FROM address WHERE id = $1",
		    DB_ARGS(DB_I(id)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		out->id = (uint64_t)id;
		out->account = (uint64_t)rows_int(r, 0);
		out->flags = (uint8_t)rows_int(r, 1);
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static bool is_caretaker_name(struct str local)
{
	return str_eq(local, STR("postmaster")) || str_eq(local, STR("abuse"));
}

char directory_separator(const struct view *v)
{
	return v->store->options.subaddress;
}

bool directory_untag(const struct view *v, struct str local, struct str *user)
{
	struct str tag;

	return str_cut(local, directory_separator(v), user, &tag) && user->n > 0;
}

int directory_map(struct view *v, const struct address *a, struct buf *targets, struct err *err)
{
	const struct address_map *m = v->store->options.map;

	return m ? m->find(m->arg, a->local, a->domain, targets, err) : 0;
}

/* Does the map know the name, as it is or as `user`? */
static int find_mapped(struct view *v, struct directory_name *name, struct str user,
	struct directory_entry *out, struct err *err)
{
	struct buf ignored = BUF(DIRECTORY_MAPPED);
	int got = 0;

	if (!v->store->options.map)
		return 0;
	got = directory_map(v, &name->address, &ignored, err);
	if (got == 0 && user.n) {
		name->address.local = user;
		got = directory_map(v, &name->address, &ignored, err);
	}
	out->mapped = got == 1;
	buf_free(&ignored);
	return got < 0 ? -1 : 0;
}

/* What is left when nobody has this address. */
static int find_catch_all(
	struct view *v, struct directory_name *name, struct directory_entry *out, struct err *err)
{
	const struct str given = name->address.local;

	name->address.local = STR("");
	if (directory_find(v, name, out, err) < 0)
		return -1;
	if (!out->id && find_mapped(v, name, STR(""), out, err) < 0)
		return -1;
	if (!out->id && !out->mapped)
		name->address.local = given;
	return 0;
}

int directory_resolve(
	struct view *v, struct directory_name *name, struct directory_entry *out, struct err *err)
{
	const struct str local = name->address.local;
	struct str user = STR("");

	if (directory_find(v, name, out, err) < 0)
		return -1;
	if (name->address.domain.n == 0) {
		out->kind = STORE_DOMAIN_LOCAL;
		return caretaker(v, 0, out, err);
	}
	if (out->kind != STORE_DOMAIN_LOCAL || out->id)
		return 0;
	if (directory_untag(v, local, &user)) {
		name->address.local = user;
		if (directory_find(v, name, out, err) < 0 || out->id)
			return out->id ? 0 : -1;
	} else {
		user = STR("");
	}
	name->address.local = local;
	if (find_mapped(v, name, user, out, err) < 0 || out->mapped)
		return out->mapped ? 0 : -1;
	name->address.local = user.n ? user : local;
	if (is_caretaker_name(name->address.local))
		return caretaker(v, out->domain, out, err);
	return find_catch_all(v, name, out, err);
}

/* --- room ----------------------------------------------------------------------------------- */

struct limits {
	uint64_t messages, bytes, quota_messages, quota_bytes;
};

static struct limits read_limits(const struct rows *r, int column)
{
	return (struct limits){ (uint64_t)rows_int(r, column), (uint64_t)rows_int(r, column + 1),
		(uint64_t)rows_int(r, column + 2), (uint64_t)rows_int(r, column + 3) };
}

/* Of a message of unknown size we know that it is not empty. */
static bool is_over(const struct limits *l, uint64_t messages, uint64_t bytes)
{
	if (l->quota_messages && l->messages + messages > l->quota_messages)
		return true;
	return l->quota_bytes && l->bytes + (bytes ? bytes : 1) > l->quota_bytes;
}

static int say_full(const struct view *v, int64_t since, const char *what, struct err *err)
{
	const int64_t grace = v->store->options.quota_grace;

	if (grace < 0 || (since && clock_wall() - since >= grace))
		return err_set(err, ERR_QUOTA_LONG, "the %s is full", what);
	return err_set(err, ERR_QUOTA, "the %s is full, try again later", what);
}

int directory_has_room(struct view *v, uint64_t account, uint64_t messages, uint64_t bytes,
	struct directory_room *room, struct err *err)
{
	struct directory_room unused;
	struct limits own, domains;
	struct rows *r;
	int got;

	if (!room)
		room = &unused;
	*room = (struct directory_room){ 0 };
	if (db_query(v->db, &r,
		    "SELECT a.enabled, a.full_since, a.messages, a.bytes, a.quota_messages,"
		    " a.quota_bytes, d.messages, d.bytes, d.quota_messages, d.quota_bytes"
		    " FROM account a LEFT JOIN domain d ON d.id = a.charged WHERE a.id = $1",
		    DB_ARGS(DB_I((int64_t)account)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		room->disabled = rows_int(r, 0) == 0;
		room->full_since = rows_int(r, 1);
		own = read_limits(r, 2);
		domains = read_limits(r, 6);
	}
	rows_free(&r);
	if (got != 1)
		return got < 0 ? -1 : err_set(err, ERR_NOTFOUND, "no such account");
	if (is_over(&own, messages, bytes))
		return say_full(v, room->full_since, "mailbox", err);
	if (is_over(&domains, messages, bytes))
		return say_full(v, room->full_since, "domain", err);
	return 0;
}

int directory_destination_takes(struct view *v, const struct destination *d, uint64_t size,
	struct directory_room *room, struct err *err)
{
	*room = (struct directory_room){ 0 };
	/* RFC 3463 3.3: X.2.1 is for accounts that are there and take no mail. */
	if (d->flags & STORE_ADDRESS_DISABLED)
		return err_set(err, ERR_DISABLED, "this account takes no mail");
	return d->flags ? directory_has_room(v, d->account, 1, size, room, err) : 0;
}

/* --- recipients ----------------------------------------------------------------------------- */

/* One of those it leads to must take the message; else the first says why not. */
static int any_takes(struct view *v, const struct destination *d, uint64_t size,
	struct directory_rcpt *out, struct err *err)
{
	struct err why = ERR_INIT;
	struct directory_room room;

	out->measured = d->flags & STORE_ADDRESS_QUOTA;
	if (directory_destination_takes(v, d, size, &room, err) == 0)
		return 0;
	out->newly_full = err->kind == ERR_QUOTA && room.full_since == 0;
	while ((d = d->next)) {
		out->measured |= d->flags & STORE_ADDRESS_QUOTA;
		if (directory_destination_takes(v, d, size, &room, &why) == 0)
			return 0;
	}
	return -1;
}

static int expand_rcpt(struct view *v, struct str address, uint64_t size,
	struct directory_rcpt *out, struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *where = NULL;
	int r = directory_expand(v, out->target, address, &arena, &where, err);

	if (r == 0)
		r = any_takes(v, where, size, out, err);
	arena_free(&arena);
	return r;
}

int directory_rcpt(struct view *v, struct str address, bool anywhere, uint64_t size,
	struct directory_rcpt *out, struct err *err)
{
	struct directory_name name;
	struct directory_entry e;

	*out = (struct directory_rcpt){ 0 };
	if (directory_parse(address, &name, err) < 0 || directory_resolve(v, &name, &e, err) < 0)
		return -1;
	if (e.kind != STORE_DOMAIN_LOCAL) {
		if (e.kind == STORE_DOMAIN_RELAY || anywhere)
			return 0;
		return err_set(err, ERR_DENIED, "relaying is not allowed");
	}
	if (!e.id && !e.mapped)
		return err_set(err, ERR_NOTFOUND, "no such user here");
	*out = (struct directory_rcpt){ .target = e.id, .local = true };
	if (e.account && !e.flags)
		return 0;
	return expand_rcpt(v, address, size, out, err);
}

int directory_is_local(struct view *v, struct str address, struct err *err)
{
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse(address, &name, err) < 0 || directory_find(v, &name, &e, err) < 0)
		return -1;
	return e.kind == STORE_DOMAIN_LOCAL;
}

/* Does the address lead to this account and to nobody else? */
static int leads_to_alone(
	struct view *v, uint64_t target, struct str address, uint64_t account, struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *where = NULL;
	int r = directory_expand(v, target, address, &arena, &where, err);

	if (r == 0)
		r = where->account == account && !where->next;
	else if (err->kind == ERR_NOTFOUND || err->kind == ERR_EXPANSION)
		r = 0;
	arena_free(&arena);
	return r;
}

static int has_identity(
	struct view *v, uint64_t account, const struct directory_name *name, struct err *err)
{
	struct buf text = BUF(DIRECTORY_ADDRESS);
	int64_t id = 0;
	int got = 0;

	address_print(&text, &name->address);
	if (buf_ok(&text))
		got = db_int(v->db, &id,
			"SELECT id FROM identity WHERE account = $1 AND address = $2",
			DB_ARGS(DB_I((int64_t)account), DB_T(buf_str(&text))), err);
	buf_free(&text);
	return got;
}

int directory_sender(struct view *v, uint64_t account, struct str address, struct err *err)
{
	struct directory_name name, found;
	struct directory_entry e;
	int ok = 0;

	if (directory_parse(address, &name, err) < 0)
		return -1;
	found = name;
	if (name.address.local.p == name.lower)
		found.address.local.p = found.lower;
	if (directory_resolve(v, &found, &e, err) < 0)
		return -1;
	if (e.kind == STORE_DOMAIN_LOCAL && e.account)
		ok = e.account == account;
	else if (e.kind == STORE_DOMAIN_LOCAL && (e.id || e.mapped))
		ok = leads_to_alone(v, e.id, address, account, err);
	if (ok == 0)
		ok = has_identity(v, account, &name, err);
	if (ok < 0)
		return -1;
	return ok ? 0 : err_set(err, ERR_DENIED, "this sender address is not yours");
}

static int account_row(
	struct view *v, uint64_t account, struct directory_login *out, struct err *err)
{
	struct rows *r;
	int got;

	*out = (struct directory_login){ .account = account };
	if (db_query(v->db, &r,
		    "SELECT login, enabled FROM account WHERE id = $1 AND login IS NOT NULL",
		    DB_ARGS(DB_I((int64_t)account)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		out->enabled = rows_int(r, 1) != 0;
		if (!str_z(rows_str(r, 0), out->login, sizeof out->login))
			got = err_set(err, ERR_PERM, "the login of account %" PRIu64 " is too long",
				account);
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND, "no such account");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

int directory_account(
	struct view *v, uint64_t account, struct directory_login *out, struct err *err)
{
	return account_row(v, account, out, err);
}

static void spell(const struct address *a, char *out, size_t size)
{
	struct buf text = BUF(DIRECTORY_ADDRESS);

	address_print(&text, a);
	if (!buf_ok(&text) || !str_z(buf_str(&text), out, size))
		out[0] = 0;
	buf_free(&text);
}

int directory_login(struct view *v, struct str name, struct directory_login *out, struct err *err)
{
	struct directory_name n;
	struct directory_entry e;
	struct err why = ERR_INIT;

	*out = (struct directory_login){ 0 };
	/* Whoever mistypes a name gets the same answer as for an unknown one. */
	if (directory_parse(name, &n, &why) < 0)
		return err_set(err, ERR_NOTFOUND, "no such account");
	if (directory_find(v, &n, &e, err) < 0)
		return -1;
	if (e.account)
		return account_row(v, e.account, out, err);
	spell(&n.address, out->login, sizeof out->login);
	return err_set(err, ERR_NOTFOUND, "no such account");
}

int directory_secret(
	struct view *v, uint8_t kind, struct str name, struct buf *out, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT sealed FROM secret WHERE kind = $1 AND name = $2",
		    DB_ARGS(DB_I(kind), DB_T(name)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		buf_add(out, rows_str(r, 0));
	else if (got == 0)
		err_set(err, ERR_NOTFOUND, "no such secret");
	rows_free(&r);
	if (got == 1 && !buf_ok(out))
		return err_set(err, ERR_TEMP, "out of memory for a secret");
	return got == 1 ? 0 : -1;
}

int directory_since(struct view *v, uint64_t target, int64_t since, struct err *err)
{
	int64_t created = 0;

	if (db_int(v->db, &created,
		    "SELECT c.created FROM address a JOIN account c ON c.id = a.account WHERE a.id "
		    "= $1",
		    DB_ARGS(DB_I((int64_t)target)), err) < 0)
		return -1;
	return created > since ? err_set(err, ERR_EXISTS, "the mailbox has another owner since")
			       : 0;
}
