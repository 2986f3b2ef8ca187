/* Passwords: checking, granting at the store, granting again, setting. */
#include "role/vault_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "conf/conf.h"
#include "crypto/crypto.h"

#include <sched.h>
#include <unistd.h>

enum { SESSION_SECONDS = 7 * 24 * 3600, HASHES_MAX = 4, PASSWORD_MAX = 1024 };

/* ---- start ---- */

static struct rate limit_from(uint64_t burst, int64_t window)
{
	return (struct rate){ (uint32_t)burst, burst ? window / (int64_t)burst : 0 };
}

static struct limits_rules rules_from(const struct conf *c)
{
	uint64_t account = conf_u64(c, CONF_AUTH_ACCOUNT_ATTEMPTS);
	uint64_t network = conf_u64(c, CONF_AUTH_NETWORK_ATTEMPTS);
	int64_t window = conf_duration(c, CONF_AUTH_WINDOW);
	struct limits_rules rules = { .account = limit_from(account, window),
		.known = limit_from(2 * account, window),
		.address = limit_from(network, window),
		.network = limit_from(2 * network, window) };

	if (account || network)
		rules.everyone = limits_usual.everyone;
	return rules;
}

static int make_decoy(void *arg, struct err *err)
{
	char nobody[32];

	random_bytes(nobody, sizeof nobody);
	return verifier_make(str_make(nobody, sizeof nobody), 0, arg, err);
}

/* As many at once as we may use processors. (sysconf() would read /sys, which we cannot.) */
static unsigned how_many_hashes(void)
{
	cpu_set_t set;
	int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;

	return cores < 1 ? 1 : cores > HASHES_MAX ? HASHES_MAX : (unsigned)cores;
}

int vault_login_begin(struct vault *v, struct err *err)
{
	struct limits_rules rules = rules_from(v->r->conf);
	unsigned hashes = how_many_hashes();

	(void)rt_workers(hashes);
	hash_gate_begin(&v->gate, hashes);
	seal_derive(v->seal, STR("session"), v->session_key);
	v->decoy = BUF(VERIFIER_MAX);
	v->limits = limits_new(&rules, err);
	v->recent = recent_new(err);
	if (!v->limits || !v->recent || vault_exchanges_begin(v, err) < 0)
		return -1;
	return hash_gate_run(&v->gate, true, make_decoy, &v->decoy, err);
}

void vault_login_end(struct vault *v)
{
	vault_exchanges_free(v);
	limits_free(&v->limits);
	recent_free(&v->recent);
	secret_wipe_buf(&v->decoy);
	crypto_wipe(v->session_key, sizeof v->session_key);
}

/* ---- the account behind a name ---- */

void vault_account_free(struct vault_account *a)
{
	secret_free(&a->plain);
	reply_free(&a->hold);
}

static int open_verifier(
	struct vault *v, struct vault_account *a, struct str sealed, struct err *err)
{
	if (seal_get(v->seal, SEAL_VERIFIER, a->login, sealed, &a->plain, err) < 0 ||
		verifier_read(secret_reveal(&a->plain), &a->verifier, err) < 0)
		return -1;
	a->known = true;
	return 0;
}

static bool name_ok(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (is_ctl(name.p[i]))
			return false;
	return name.n > 0 && utf8_valid(name);
}

int vault_account_find(struct vault *v, struct str name, struct vault_account *a, struct err *err)
{
	/* A name that cannot be one is nobody's, but costs the same. */
	struct store_login_req q = { .name = name_ok(name) ? name : STR("-") };
	struct store_login_rep rep = { 0 };
	struct err why = ERR_INIT;

	*a = (struct vault_account){ .login = q.name };
	if (STORE_CALL(v->store, store_login, &q, &rep, &a->hold, &why) < 0) {
		if (why.kind != ERR_NOTFOUND) {
			*err = why;
			return -1;
		}
	} else {
		a->id = rep.account;
		a->login = rep.login;
		if (rep.account && rep.enabled && rep.verifier.n > 0 &&
			open_verifier(v, a, rep.verifier, &why) < 0)
			log_event(
				LOG_ERROR, "vault.verifier", L_STR("login", a->login), L_ERR(&why));
	}
	if (!a->known)
		return verifier_read(buf_str(&v->decoy), &a->verifier, err);
	return 0;
}

/* ---- checking ---- */

struct check {
	const struct verifier *verifier;
	struct str password;
};

static int run_check(void *arg, struct err *err)
{
	const struct check *c = arg;

	return verifier_check(c->verifier, c->password, err);
}

/* The name that attempts are counted under is the account's own, whichever of its addresses was
 * typed. */
int vault_attempt(struct vault *v, const struct vault_account *a, struct str peer, struct err *err)
{
	if (limits_take(v->limits, clock_mono(), a->login, peer) == LIMITS_OK)
		return 0;
	v->limited++;
	return err_set(err, ERR_LIMIT, "too many attempts, try again later");
}

/* T031: an unknown name costs what a wrong password costs. */
static int check_password(struct vault *v, const struct vault_account *a, struct str password,
	struct str peer, struct err *err)
{
	struct check c = { &a->verifier, password };
	uint64_t id = a->verifier.password_id;
	int64_t now = clock_mono();
	bool been_here = limits_known(v->limits, now, a->login, peer), seen;

	if (vault_attempt(v, a, peer, err) < 0)
		return -1;
	seen = recent_has(v->recent, now, a->id, id, password);
	if (!a->known || !seen) {
		if (hash_gate_run(&v->gate, been_here, run_check, &c, err) < 0) {
			if (err->kind == ERR_DENIED)
				v->failures++;
			else
				limits_undo(v->limits, now, a->login, peer);
			return -1;
		}
		if (!a->known) /* somebody guessed the decoy */
			return err_set(err, ERR_DENIED, "wrong name or password");
		recent_add(v->recent, clock_mono(), a->id, id, password);
	}
	limits_give_back(v->limits, clock_mono(), a->login, peer);
	return 0;
}

/* ---- hashing anew ---- */

struct make {
	struct str password;
	uint64_t id;
	struct buf out;
};

static int run_make(void *arg, struct err *err)
{
	struct make *m = arg;

	return verifier_make(m->password, m->id, &m->out, err);
}

static int store_verifier(struct vault *v, bool known, struct str login, struct str password,
	uint64_t id, struct err *err)
{
	struct make m = { password, id, BUF(VERIFIER_MAX) };
	int r = -1;

	if (!buf_room(&m.out, VERIFIER_MAX))
		err_set(err, ERR_TEMP, "out of memory");
	else if (hash_gate_run(&v->gate, known, run_make, &m, err) == 0)
		r = vault_secret_put(v, SECRET_VERIFIER, login, buf_str(&m.out), err);
	secret_wipe_buf(&m.out);
	return r;
}

/* The cost that is right today may be too low tomorrow, and what is kept may grow: now we know the
 * password (T039). But not while it is being changed: the new one must stay. */
static void refresh(
	struct vault *v, const struct vault_account *a, uint64_t sets, struct str password)
{
	struct make m = { password, a->verifier.password_id, BUF(VERIFIER_MAX) };
	struct err err = ERR_INIT;
	int r = -1;

	if (!buf_room(&m.out, VERIFIER_MAX))
		err_set(&err, ERR_TEMP, "out of memory");
	else
		r = hash_gate_run(&v->gate, false, run_make, &m, &err);
	if (r == 0 && v->setting == 0 && v->sets == sets)
		r = vault_secret_put(v, SECRET_VERIFIER, a->login, buf_str(&m.out), &err);
	if (r < 0)
		log_event(LOG_WARN, "vault.rehash", L_STR("login", a->login), L_ERR(&err));
	secret_wipe_buf(&m.out);
}

/* ---- granting ---- */

static int grant(struct vault *v, uint32_t front, uint64_t account, uint32_t scopes,
	unsigned char token[16], struct err *err)
{
	struct store_grant_req q = {
		.front = front, .account = account, .scopes = scopes, .token = str_make(token, 16)
	};
	struct store_grant_rep a;

	random_bytes(token, 16);
	return STORE_CALL(v->store, store_grant, &q, &a, NULL, err);
}

int vault_admit(struct vault *v, const struct vault_account *a, uint32_t scopes, struct channel *ch,
	struct vault_entry *entry, struct err *err)
{
	uint32_t front = channel_number(ch);
	struct session s = { .account = a->id,
		.password_id = a->verifier.password_id,
		.front = front,
		.scopes = scopes,
		.until = clock_wall() + SESSION_SECONDS,
		.login = a->login };

	entry->session = BUF(SESSION_MAX);
	if (grant(v, front, a->id, scopes, entry->token, err) < 0 ||
		session_make(str_make(v->session_key, sizeof v->session_key), &s, &entry->session,
			err) < 0)
		return -1;
	v->logins++;
	return 0;
}

static void answer_login(
	struct vault *v, const struct vault_account *a, uint32_t scopes, struct request **req)
{
	struct vault_entry e;
	struct vault_login_rep rep = { .login = a->login };
	struct err err = ERR_INIT;

	if (vault_admit(v, a, scopes, (*req)->ch, &e, &err) < 0) {
		request_fail(req, &err);
	} else {
		rep.token = str_make(e.token, sizeof e.token);
		rep.session = buf_str(&e.session);
		vault_login_answer(req, &rep);
	}
	buf_free(&e.session);
}

uint32_t vault_scopes(uint32_t who, uint8_t service)
{
	switch (service) {
	case SERVICE_SUBMISSION:
	case SERVICE_SUBMISSIONS:
		return who == WHO_SUBMIT ? SCOPE_SUBMIT : 0;
	case SERVICE_IMAP:
	case SERVICE_IMAPS:
	case SERVICE_POP3:
	case SERVICE_POP3S:
		return who == WHO_MAILBOX ? SCOPE_MAIL : 0;
	default:
		return 0;
	}
}

static int try_login(
	struct vault *v, const struct vault_login_req *q, struct vault_account *a, struct err *err)
{
	if (vault_account_find(v, q->name, a, err) < 0)
		return -1;
	if (check_password(v, a, q->password, q->peer, err) == 0)
		return 0;
	return err->kind == ERR_DENIED ? err_set(err, ERR_DENIED, "wrong name or password") : -1;
}

void vault_do_login(struct vault *v, struct request *req)
{
	struct vault_login_req q;
	struct vault_account a = { 0 };
	struct err err = ERR_INIT;
	uint64_t sets = v->sets;
	uint32_t scopes;

	if (vault_login_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
		request_fail(&req, &err);
		return;
	}
	scopes = vault_scopes(channel_who(req->ch), q.service);
	if (!scopes) {
		channel_violation(req->ch, "a login for a service that this front does not run");
		err_set(&err, ERR_DENIED, "not this service");
		request_fail(&req, &err);
	} else if (try_login(v, &q, &a, &err) < 0) {
		request_fail(&req, &err);
	} else {
		struct secret kept = SECRET_NONE;

		/* The request is gone once it is answered. */
		if (verifier_is_old(&a.verifier))
			(void)secret_copy(&kept, q.password, &err);
		answer_login(v, &a, scopes, &req);
		if (kept.n > 0)
			refresh(v, &a, sets, secret_reveal(&kept));
		secret_free(&kept);
	}
	vault_account_free(&a);
}

/* ---- the same session after a restart of the store ---- */

void vault_do_regrant(struct vault *v, struct request *req)
{
	struct vault_regrant_req q;
	struct vault_regrant_rep rep = { 0 };
	uint32_t front = channel_number(req->ch);
	struct vault_account a = { 0 };
	struct session s;
	struct err err = ERR_INIT;
	unsigned char token[16];

	if (vault_regrant_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else if (session_read(str_make(v->session_key, sizeof v->session_key), q.session, front,
			   clock_wall(), &s, &err) == 0 &&
		vault_account_find(v, s.login, &a, &err) == 0) {
		if (!a.known || a.id != s.account || a.verifier.password_id != s.password_id)
			err_set(&err, ERR_DENIED,
				"the password has changed or the account is disabled");
		else if (grant(v, front, a.id, s.scopes, token, &err) == 0)
			rep.token = str_make(token, sizeof token);
	}
	if (rep.token.n > 0)
		vault_regrant_answer(&req, &rep);
	else
		request_fail(&req, &err);
	vault_account_free(&a);
}

/* ---- setting ---- */

static int end_sessions(struct vault *v, const struct vault_account *a, struct err *err)
{
	struct store_revoke_req q = { .account = a->id, .why = STR("password changed") };
	struct store_revoke_rep rep;

	recent_forget(v->recent, a->id);
	return STORE_CALL(v->store, store_revoke, &q, &rep, NULL, err);
}

static int store_new(struct vault *v, struct str login, struct str password, struct err *err)
{
	int r;

	v->setting++;
	r = store_verifier(v, true, login, password, 0, err);
	v->setting--;
	v->sets++;
	return r;
}

static int set_password(struct vault *v, const struct vault_password_set_req *q,
	struct vault_account *a, struct err *err)
{
	if (q->password.n == 0 || q->password.n > PASSWORD_MAX)
		return err_set(err, ERR_PERM, "a password needs 1 to %d bytes", PASSWORD_MAX);
	if (vault_account_find(v, q->login, a, err) < 0)
		return -1;
	if (a->id == 0)
		return err_set(err, ERR_NOTFOUND, "there is no account " STR_F, STR_A(q->login));
	if (store_new(v, a->login, q->password, err) < 0)
		return -1;
	return end_sessions(v, a, err);
}

void vault_do_password_set(struct vault *v, struct request *req)
{
	struct vault_password_set_req q;
	struct vault_password_set_rep rep = { .ok = 1 };
	struct vault_account a = { 0 };
	struct err err = ERR_INIT;

	if (vault_password_set_req_get(req->body, &q, &err) < 0 ||
		set_password(v, &q, &a, &err) < 0)
		request_fail(&req, &err);
	else
		vault_password_set_answer(&req, &rep);
	vault_account_free(&a);
}
