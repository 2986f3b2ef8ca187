/* SCRAM (RFC 5802) where the verifiers are: half-done exchanges, one try each.
 *
 * T031, T032: a name that does not exist gets a salt that never changes, the same rounds and the
 * same steps, and is told the same words at the same moment as a wrong password. */
#include "role/vault_private.h"

#include "base/clock.h"
#include "base/ip.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "sasl/sasl.h"

#include <stdlib.h>
#include <string.h>

enum { EXCHANGES = 1024, CROWDS = 1 << 14, PEER_MAX = 64 };

#define PATIENCE (120 * CLOCK_SEC)

/* What was said so far; nothing of it is secret. */
struct exchange {
	uint64_t id;
	uint32_t front; /* whose it is */
	uint32_t scopes;
	int64_t until;
	enum digest_kind hash;
	uint64_t password_id; /* that the salt belongs to */
	bool known;
	size_t crowd; /* of its network */
	char peer[PEER_MAX + 1];
	char name[SASL_NAME_MAX + 1];
	struct scram_exchange said;
};

struct vault_exchanges {
	struct exchange *slot[EXCHANGES];
	uint16_t count[CROWDS]; /* for most_dispensable() */
	unsigned char salt_key[SHA256_SIZE];
};

int vault_exchanges_begin(struct vault *v, struct err *err)
{
	v->exchanges = calloc(1, sizeof *v->exchanges);
	if (!v->exchanges)
		return err_set(err, ERR_TEMP, "out of memory");
	seal_derive(v->seal, STR("scram salt"), v->exchanges->salt_key);
	return 0;
}

static void exchange_free(struct exchange **x)
{
	if (!*x)
		return;
	scram_end(&(*x)->said);
	free(*x);
	*x = NULL;
}

void vault_exchanges_free(struct vault *v)
{
	if (!v->exchanges)
		return;
	for (size_t i = 0; i < EXCHANGES; i++)
		exchange_free(&v->exchanges->slot[i]);
	crypto_wipe(v->exchanges, sizeof *v->exchanges);
	free(v->exchanges);
	v->exchanges = NULL;
}

/* ---- the bounded number ---- */

/* All places are taken: the oldest of the network that has the most makes room, so whoever begins
 * many and ends none hurts himself first. IPv6: who has one address has 2^64. */
static size_t most_dispensable(struct vault_exchanges *all)
{
	size_t crowd = all->slot[0]->crowd, found = 0;
	int64_t oldest = INT64_MAX;

	memset(all->count, 0, sizeof all->count);
	for (size_t i = 0; i < EXCHANGES; i++)
		if (++all->count[all->slot[i]->crowd] > all->count[crowd])
			crowd = all->slot[i]->crowd;
	for (size_t i = 0; i < EXCHANGES; i++)
		if (all->slot[i]->crowd == crowd && all->slot[i]->until < oldest) {
			oldest = all->slot[i]->until;
			found = i;
		}
	return found;
}

static size_t free_slot(struct vault_exchanges *all, int64_t now)
{
	for (size_t i = 0; i < EXCHANGES; i++)
		if (!all->slot[i] || all->slot[i]->until <= now) {
			exchange_free(&all->slot[i]);
			return i;
		}
	return most_dispensable(all);
}

static void keep(struct vault_exchanges *all, struct exchange *x)
{
	int64_t now = clock_mono();
	size_t at = free_slot(all, now);

	x->crowd = ip_keys(str_c(x->peer)).network % CROWDS;

	random_bytes(&x->id, sizeof x->id);
	x->id = x->id / EXCHANGES * EXCHANGES + at;
	x->until = now + PATIENCE;
	exchange_free(&all->slot[at]);
	all->slot[at] = x;
}

/* Whoever asks for an exchange ends it: there is one try. */
static struct exchange *take(struct vault_exchanges *all, uint64_t id, uint32_t front)
{
	struct exchange *x = all->slot[id % EXCHANGES];

	if (!x || x->id != id || x->front != front)
		return NULL;
	all->slot[id % EXCHANGES] = NULL;
	if (x->until <= clock_mono())
		exchange_free(&x);
	return x;
}

/* ---- the first message ---- */

/* The salt of a name that has none: always the same for the same name. */
static void fake_salt(const struct vault *v, enum digest_kind hash, struct str name,
	unsigned char salt[VERIFIER_SALT])
{
	unsigned char mac[SHA256_SIZE];
	char folded[SASL_NAME_MAX], kind = (char)hash;
	size_t n = name.n < sizeof folded ? name.n : sizeof folded;
	const struct str parts[] = { { &kind, 1 }, { folded, n } };

	for (size_t i = 0; i < n; i++)
		folded[i] = to_lower(name.p[i]);
	mac_sha256(str_make(v->exchanges->salt_key, SHA256_SIZE), parts, 2, mac);
	memcpy(salt, mac, VERIFIER_SALT);
}

static void draw_nonce(char nonce[SCRAM_NONCE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[SCRAM_NONCE];

	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		nonce[i] = hex[random[i] & 15];
}

static int challenge(struct vault *v, struct exchange *x, const struct vault_account *a,
	const struct scram_first *first, struct buf *out, struct err *err)
{
	const struct verifier_scram *kept = &a->verifier.scram[x->hash];
	unsigned char fake[VERIFIER_SALT];
	char nonce[SCRAM_NONCE];
	struct str salt = { (const char *)fake, sizeof fake };

	fake_salt(v, x->hash, a->login, fake);
	draw_nonce(nonce);
	x->known = a->known && kept->rounds > 0;
	x->password_id = a->verifier.password_id;
	if (x->known)
		salt = kept->salt;
	return scram_begin(&x->said, x->hash, first, str_make(nonce, sizeof nonce), salt,
		x->known ? kept->rounds : VERIFIER_ROUNDS, out, err);
}

/* The client's words, and what the front says of the session they came from. */
static int read_first(const struct vault_scram_first_req *q, struct exchange *x,
	struct scram_first *first, struct err *err)
{
	struct buf name = BUF(SASL_NAME_MAX);
	int r = -1;

	if (q->hash != DIGEST_SHA1 && q->hash != DIGEST_SHA256) {
		err_set(err, ERR_PROTO, "no such hash");
	} else if (scram_read_first(q->message, first, err) == 0 &&
		scram_check_flag(first, q->plus & 1, q->plus & 2, err) == 0) {
		if (scram_name_decode(first->name, &name) &&
			str_z(buf_str(&name), x->name, sizeof x->name) &&
			str_z(q->peer, x->peer, sizeof x->peer))
			r = 0;
		else
			err_set(err, ERR_PROTO, "not a user name");
	}
	x->hash = (enum digest_kind)q->hash;
	buf_free(&name);
	return r;
}

void vault_do_scram_first(struct vault *v, struct request *req)
{
	struct vault_scram_first_req q;
	struct vault_scram_first_rep rep = { 0 };
	struct vault_account a = { 0 };
	struct exchange *x = calloc(1, sizeof *x);
	struct scram_first first;
	struct buf out = BUF(1024);
	struct err err = ERR_INIT;

	if (!x) {
		err_set(&err, ERR_TEMP, "out of memory");
	} else if (vault_scram_first_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else if (!(x->scopes = vault_scopes(channel_who(req->ch), q.service))) {
		channel_violation(req->ch, "a login for a service that this front does not run");
		err_set(&err, ERR_DENIED, "not this service");
	} else if (read_first(&q, x, &first, &err) == 0 &&
		vault_account_find(v, str_c(x->name), &a, &err) == 0 &&
		challenge(v, x, &a, &first, &out, &err) == 0) {
		x->front = channel_number(req->ch);
		keep(v->exchanges, x);
		rep.exchange = x->id;
		rep.challenge = buf_str(&out);
		x = NULL;
	}
	if (rep.challenge.n > 0)
		vault_scram_first_answer(&req, &rep);
	else
		request_fail(&req, &err);
	exchange_free(&x);
	vault_account_free(&a);
	buf_free(&out);
}

/* ---- the last message ---- */

static void keys_of(const struct vault_account *a, enum digest_kind hash, struct scram_keys *keys)
{
	const struct verifier_scram *kept = &a->verifier.scram[hash];

	*keys = (struct scram_keys){ 0 };
	if (kept->rounds == 0) /* a proof for no key at all is as wrong as any other */
		return;
	memcpy(keys->stored, kept->stored_key.p, kept->stored_key.n);
	memcpy(keys->server, kept->server_key.p, kept->server_key.n);
}

/* The account is looked up again: it may have been disabled or got another password meanwhile. */
static int finish(struct vault *v, struct exchange *x, const struct vault_scram_final_req *q,
	struct vault_account *a, struct buf *last, struct err *err)
{
	struct str peer = str_c(x->peer);
	struct scram_keys keys;
	int r;

	if (vault_account_find(v, str_c(x->name), a, err) < 0 || vault_attempt(v, a, peer, err) < 0)
		return -1;
	keys_of(a, x->hash, &keys);
	r = scram_finish(&x->said, &keys, q->binding, q->message, last, err);
	crypto_wipe(&keys, sizeof keys);
	if (r == 0 && (!x->known || !a->known || a->verifier.password_id != x->password_id))
		r = err_set(err, ERR_DENIED, "wrong proof");
	if (r == 0)
		limits_give_back(v->limits, clock_mono(), a->login, peer);
	else if (err->kind == ERR_DENIED)
		v->failures++;
	else
		limits_undo(v->limits, clock_mono(), a->login, peer);
	return r;
}

static void answer(struct vault *v, const struct exchange *x, const struct vault_account *a,
	struct str last, struct request **req)
{
	struct vault_scram_final_rep rep = { .login = a->login, .last = last };
	struct vault_entry e;
	struct err err = ERR_INIT;

	if (vault_admit(v, a, x->scopes, (*req)->ch, &e, &err) < 0) {
		request_fail(req, &err);
	} else {
		rep.token = str_make(e.token, sizeof e.token);
		rep.session = buf_str(&e.session);
		vault_scram_final_answer(req, &rep);
	}
	buf_free(&e.session);
}

void vault_do_scram_final(struct vault *v, struct request *req)
{
	struct vault_scram_final_req q;
	struct vault_account a = { 0 };
	struct exchange *x = NULL;
	struct buf last = BUF(128);
	struct err err = ERR_INIT;

	if (vault_scram_final_req_get(req->body, &q, &err) < 0)
		channel_violation(req->ch, err.msg);
	else if (!(x = take(v->exchanges, q.exchange, channel_number(req->ch))))
		err_set(&err, ERR_DENIED, "no such exchange, or no longer");
	else if (finish(v, x, &q, &a, &last, &err) == 0)
		answer(v, x, &a, buf_str(&last), &req);
	if (req) {
		if (err.kind == ERR_DENIED)
			err_set(&err, ERR_DENIED, "wrong name or password");
		request_fail(&req, &err);
	}
	exchange_free(&x);
	vault_account_free(&a);
	buf_free(&last);
}
