/* Looking addresses up. */
#include "store/directory.h"
#include "store/directory_private.h"
#include "store/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int directory_parse(struct str s, struct directory_name *out, struct err *err)
{
	struct address *a = &out->address;
	struct err why = ERR_INIT;

	if (str_eqi(s, STR("postmaster"))) {
		*a = (struct address){ STR("postmaster"), STR("") };
		return 0;
	}
	if (address_mailbox(s, ADDRESS_UTF8, &out->store, a, &why) < 0)
		return err_set(err, ERR_PERM, "not an address: %.200s", why.msg);
	for (size_t i = 0; i < a->local.n; i++)
		out->lower[i] = to_lower(a->local.p[i]);
	a->local.p = out->lower;
	return 0;
}

int directory_find(struct view *v, const struct directory_name *name, struct directory_entry *out,
	struct err *err)
{
	struct rows *r;
	int got;

	*out = (struct directory_entry){ 0 };
	if (db_query(v->db, &r,
		    "SELECT d.id, d.kind, a.id, a.account FROM domain d"
		    " LEFT JOIN address a ON a.domain = d.id AND a.local = $2 WHERE d.name = $1",
		    DB_ARGS(DB_T(name->address.domain), DB_T(name->address.local)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		out->domain = (uint64_t)rows_int(r, 0);
		out->kind = (uint8_t)rows_int(r, 1);
		out->id = (uint64_t)rows_int(r, 2);
		out->account = (uint64_t)rows_int(r, 3);
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

/* The oldest account with an address in the domain, else the oldest of all. */
static int caretaker(struct view *v, uint64_t domain, struct directory_entry *out, struct err *err)
{
	int64_t id = 0;
	int got = db_int(v->db, &id,
		"SELECT id FROM address WHERE domain = $1 AND account <> 0 ORDER BY account LIMIT "
		"1",
		DB_ARGS(DB_I((int64_t)domain)), err);

	if (got == 0)
		got = db_int(v->db, &id,
			"SELECT id FROM address WHERE account <> 0 ORDER BY account LIMIT 1",
			DB_NOARGS, err);
	if (got != 1)
		return got;
	out->id = (uint64_t)id;
	id = 0;
	got = db_int(v->db, &id, "SELECT account FROM address WHERE id = $1",
		DB_ARGS(DB_I((int64_t)out->id)), err);
	out->account = (uint64_t)id;
	return got < 0 ? -1 : 0;
}

static bool is_caretaker_name(struct str local)
{
	return str_eq(local, STR("postmaster")) || str_eq(local, STR("abuse"));
}

int directory_resolve(
	struct view *v, struct directory_name *name, struct directory_entry *out, struct err *err)
{
	struct str user, tag, local = name->address.local;

	if (directory_find(v, name, out, err) < 0)
		return -1;
	if (name->address.domain.n == 0) {
		out->kind = STORE_DOMAIN_LOCAL;
		return caretaker(v, 0, out, err);
	}
	if (out->kind != STORE_DOMAIN_LOCAL || out->id)
		return 0;
	if (str_cut(local, '+', &user, &tag) && user.n) {
		name->address.local = user;
		if (directory_find(v, name, out, err) < 0)
			return -1;
	}
	if (!out->id && is_caretaker_name(name->address.local))
		return caretaker(v, out->domain, out, err);
	return 0;
}

int directory_rcpt(struct view *v, struct str address, bool anywhere, struct directory_rcpt *out,
	struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *where = NULL;
	struct directory_name name;
	struct directory_entry e;
	int r = 0;

	*out = (struct directory_rcpt){ 0 };
	if (directory_parse(address, &name, err) < 0 || directory_resolve(v, &name, &e, err) < 0)
		return -1;
	if (e.kind != STORE_DOMAIN_LOCAL) {
		if (e.kind == STORE_DOMAIN_RELAY || anywhere)
			return 0;
		return err_set(err, ERR_DENIED, "relaying is not allowed");
	}
	if (!e.id)
		return err_set(err, ERR_NOTFOUND, "no such user here");
	if (!e.account) /* an alias must lead somewhere */
		r = directory_expand(v, e.id, &arena, &where, err);
	arena_free(&arena);
	*out = (struct directory_rcpt){ .target = e.id, .local = true };
	return r;
}

int directory_is_local(struct view *v, struct str address, struct err *err)
{
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse(address, &name, err) < 0 || directory_find(v, &name, &e, err) < 0)
		return -1;
	return e.kind == STORE_DOMAIN_LOCAL;
}

int directory_sender(struct view *v, uint64_t account, struct str address, struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *where = NULL;
	struct err why = ERR_INIT;
	struct directory_name name;
	struct directory_entry e;
	bool ok = false;

	if (directory_parse(address, &name, err) < 0 || directory_resolve(v, &name, &e, err) < 0)
		return -1;
	if (e.kind == STORE_DOMAIN_LOCAL && e.account)
		ok = e.account == account;
	else if (e.kind == STORE_DOMAIN_LOCAL && e.id &&
		directory_expand(v, e.id, &arena, &where, &why) == 0)
		for (; where && !ok; where = where->next)
			ok = where->account == account;
	arena_free(&arena);
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

int directory_login(struct view *v, struct str name, struct directory_login *out, struct err *err)
{
	struct directory_name n;
	struct directory_entry e;
	struct err why = ERR_INIT;

	/* Whoever mistypes a name gets the same answer as for an unknown one. */
	if (directory_parse(name, &n, &why) < 0)
		return err_set(err, ERR_NOTFOUND, "no such account");
	if (directory_find(v, &n, &e, err) < 0)
		return -1;
	if (!e.account)
		return err_set(err, ERR_NOTFOUND, "no such account");
	return account_row(v, e.account, out, err);
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
