#include "role/vault_private.h"

#include "conf/conf.h"
#include "role/secret_file.h"

#include <string.h>

enum { PASSWORD_MAX = SECRET_FILE_MAX, USER_MAX = 320, SEALED_MAX = 49152 };

/* Messages may number kinds anew with every version, sealed bytes may not. */
enum seal_kind vault_seal_kind(uint8_t kind)
{
	switch (kind) {
	case SECRET_TLS_KEY:
		return SEAL_TLS_KEY;
	case SECRET_PROVIDER:
		return SEAL_PROVIDER;
	case SECRET_DKIM:
		return SEAL_DKIM;
	case SECRET_MARK:
		return SEAL_MARK;
	default:
		return SEAL_VERIFIER;
	}
}

int vault_secret_get(
	struct vault *v, uint8_t kind, struct str name, struct secret *plain, struct err *err)
{
	struct store_secret_get_req q = { .kind = kind, .name = name };
	struct store_secret_get_rep a;
	struct reply hold = { 0 };
	int r = -1;

	*plain = SECRET_NONE;
	if (STORE_CALL(v->store, store_secret_get, &q, &a, &hold, err) == 0)
		r = seal_get(v->seal, vault_seal_kind(kind), name, a.sealed, plain, err);
	reply_free(&hold);
	return r;
}

int vault_secret_put(
	struct vault *v, uint8_t kind, struct str name, struct str plain, struct err *err)
{
	struct buf sealed = BUF(SEALED_MAX);
	struct store_secret_put_req q = { .call = call_id_next(), .kind = kind, .name = name };
	struct store_secret_put_rep a;
	int r = -1;

	if (seal_put(v->seal, vault_seal_kind(kind), name, plain, &sealed, err) == 0) {
		q.sealed = buf_str(&sealed);
		r = STORE_CALL(v->store, store_secret_put, &q, &a, NULL, err);
	}
	buf_free(&sealed);
	return r;
}

/* ---- is it the right key? ---- */

/* What stands first in the list of this kind: 1, 0 if there is none. ERR_DENIED: our key does not
 * open it. */
static int open_first(struct vault *v, uint8_t kind, struct err *err)
{
	struct store_secret_list_req q = { .kind = kind };
	struct store_secret_list_rep a;
	struct store_secret_item item;
	struct secret plain = SECRET_NONE;
	struct reply hold = { 0 };
	int r = -1;

	if (STORE_CALL(v->store, store_secret_list, &q, &a, &hold, err) == 0) {
		r = 0;
		if (store_secret_item_next(&a.items, &item))
			r = vault_secret_get(v, kind, item.name, &plain, err) == 0 ? 1 : -1;
	}
	secret_free(&plain);
	reply_free(&hold);
	return r < 0 && err->kind == ERR_NOTFOUND ? 0 : r;
}

/* T167: of machines that find an empty database at once, one has put its mark there first. */
static int make_mark(struct vault *v, struct err *err)
{
	const struct str name = STR("seal");
	struct secret plain = SECRET_NONE;
	int r = vault_secret_get(v, SECRET_MARK, name, &plain, err);

	if (r < 0 && err->kind == ERR_NOTFOUND &&
		vault_secret_put(v, SECRET_MARK, name, name, err) == 0)
		r = vault_secret_get(v, SECRET_MARK, name, &plain, err);
	secret_free(&plain);
	return r;
}

int vault_seal_check(struct vault *v, struct err *err)
{
	int key = open_first(v, SECRET_TLS_KEY, err);
	int word = key < 0 ? -1 : open_first(v, SECRET_VERIFIER, err);

	if (word >= 0 && make_mark(v, err) == 0)
		return 0;
	/* A disk without room for the mark, which the next start makes: ours is proven otherwise.
	 */
	if (word >= 0 && err->kind == ERR_FULL && key + word > 0)
		return 0;
	return err->kind != ERR_DENIED ? -1
				       : err_set(err, ERR_PERM,
						 "the sealing key of this machine (data/seal) is "
						 "not the one of the database: "
						 "stop the server, copy `seal` from the data "
						 "folder of a machine that works, "
						 "start again");
}

/* ---- provider passwords ---- */

/* User and password as they are sealed: the user's name, NUL, the password. */
static int pack(struct str user, struct str password, struct secret *out, struct err *err)
{
	if (user.n > USER_MAX || password.n > PASSWORD_MAX || password.n == 0)
		return err_set(err, ERR_PERM, "the user name or the password is empty or too long");
	if (secret_alloc(out, user.n + 1 + password.n, err) < 0)
		return -1;
	if (user.n > 0)
		memcpy(out->p, user.p, user.n);
	memcpy(out->p + user.n + 1, password.p, password.n);
	return 0;
}

static void answer_provider(struct request **req, struct str user, struct str password)
{
	struct vault_provider_rep a = { .user = user, .password = password };

	vault_provider_answer(req, &a);
}

void vault_do_provider(struct vault *v, struct request *req)
{
	const struct conf_route *smarthost = conf_route(v->r->conf, CONF_SMARTHOST, 0);
	struct vault_provider_req q;
	struct secret plain = SECRET_NONE;
	struct str user, password;
	struct err err = ERR_INIT;

	if (vault_provider_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
		request_fail(&req, &err);
	} else if (str_eq(q.route, STR("smarthost")) && smarthost && v->smarthost.n > 0) {
		answer_provider(&req, smarthost->user, secret_reveal(&v->smarthost));
	} else if (vault_secret_get(v, SECRET_PROVIDER, q.route, &plain, &err) < 0) {
		request_fail(&req, &err);
	} else {
		str_cut(secret_reveal(&plain), '\0', &user, &password);
		answer_provider(&req, user, password);
	}
	secret_free(&plain);
}

void vault_do_provider_set(struct vault *v, struct request *req)
{
	struct vault_provider_set_req q;
	struct vault_provider_set_rep a = { .ok = 1 };
	struct secret plain = SECRET_NONE;
	struct err err = ERR_INIT;

	if (vault_provider_set_req_get(req->body, &q, &err) < 0 ||
		pack(q.user, q.password, &plain, &err) < 0 ||
		vault_secret_put(v, SECRET_PROVIDER, q.route, secret_reveal(&plain), &err) < 0)
		request_fail(&req, &err);
	else
		vault_provider_set_answer(&req, &a);
	secret_free(&plain);
}
