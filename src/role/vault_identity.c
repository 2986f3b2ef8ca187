/* Certificates and their private keys: from the settings' files and from the directory. */
#include "base/clock.h"
#include "base/log.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "crypto/x509.h"
#include "role/vault_private.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	IDENTITIES_MAX = 64,
	NAMES_MAX = 2000,
	ANSWER_MAX = 62000,
	PLAIN_MAX = 1 + 4 + 24576 + 16384
};

struct identity {
	uint32_t number; /* of the key: from its public half, so it outlives this process */
	char name[321];  /* under which it is sealed; "" when it came from files */
	struct key *key;
	struct buf chain;
	struct x509_facts facts;
};

struct vault_identities {
	struct identity *list[IDENTITIES_MAX];
	size_t count;
};

static void identity_free(struct identity **i)
{
	if (!*i)
		return;
	key_free(&(*i)->key);
	buf_free(&(*i)->chain);
	buf_free(&(*i)->facts.names);
	free(*i);
	*i = NULL;
}

void vault_identities_free(struct vault *v)
{
	if (!v->identities)
		return;
	for (size_t i = 0; i < v->identities->count; i++)
		identity_free(&v->identities->list[i]);
	free(v->identities);
	v->identities = NULL;
}

/* ---- making one from its parts ---- */

static int number_of(const struct key *key, uint32_t *number, struct err *err)
{
	struct buf der = BUF(4096);
	unsigned char digest[SHA256_SIZE];
	int r = -1;

	if (key_public(key, &der, err) == 0)
		r = digest_once(DIGEST_SHA256, buf_str(&der), digest, err);
	if (r == 0)
		memcpy(number, digest, sizeof *number);
	buf_free(&der);
	return r;
}

static int identity_new(struct str chain, struct str key, struct identity **out, struct err *err)
{
	struct identity *i = calloc(1, sizeof *i);

	*out = i;
	if (!i)
		return err_set(err, ERR_TEMP, "out of memory");
	i->chain = BUF(X509_CHAIN_MAX);
	i->facts.names = BUF(NAMES_MAX);
	buf_add(&i->chain, chain);
	if (!buf_ok(&i->chain))
		err_set(err, ERR_LIMIT, "a certificate chain of more than %d bytes",
			X509_CHAIN_MAX);
	else if (key_import(key, &i->key, err) == 0 && x509_check(chain, i->key, err) == 0 &&
		x509_read(chain, &i->facts, err) == 0 && number_of(i->key, &i->number, err) == 0)
		return 0;
	identity_free(out);
	return -1;
}

/* The new one takes the place of the one with the same name. */
static int add(struct vault *v, struct identity **i, struct err *err)
{
	struct vault_identities *all = v->identities;

	for (size_t n = 0; n < all->count; n++)
		if (strcmp(all->list[n]->name, (*i)->name) == 0) {
			identity_free(&all->list[n]);
			all->list[n] = *i;
			*i = NULL;
			return 0;
		}
	if (all->count == IDENTITIES_MAX)
		return err_set(err, ERR_LIMIT, "there are %d certificates already", IDENTITIES_MAX);
	all->list[all->count++] = *i;
	*i = NULL;
	return 0;
}

/* ---- from files ---- */

static int read_file(int fd, char *p, size_t size, struct str *out, struct err *err)
{
	size_t n = 0;
	ssize_t got;

	while (n < size && (got = read(fd, p + n, size - n)) != 0) {
		if (got < 0)
			return err_sys(err, "read", "a certificate or key file");
		n += (size_t)got;
	}
	if (n == size)
		return err_set(err, ERR_LIMIT, "a certificate or key file of more than %zu bytes",
			size - 1);
	*out = str_make(p, n);
	return 0;
}

static int add_files(struct vault *v, int chain_fd, int key_fd, struct err *err)
{
	char *chain_p = malloc(X509_CHAIN_MAX + 1);
	struct secret key_p = SECRET_NONE;
	struct identity *i = NULL;
	struct str chain, key;
	int r = -1;

	if (!chain_p) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	if (secret_alloc(&key_p, KEY_MAX + 1, err) < 0 ||
		read_file(chain_fd, chain_p, X509_CHAIN_MAX + 1, &chain, err) < 0 ||
		read_file(key_fd, key_p.p, key_p.n, &key, err) < 0 ||
		identity_new(chain, key, &i, err) < 0 || add(v, &i, err) < 0) {
		err_wrap(err, "tls.certificate and tls.key");
		goto out;
	}
	r = 0;
out:
	identity_free(&i);
	secret_free(&key_p);
	free(chain_p);
	return r;
}

int vault_identities_prepare(struct vault *v, struct err *err)
{
	int chain = role_take_file(v->r, FILE_TLS_CHAIN, NULL);
	int key = role_take_file(v->r, FILE_TLS_KEY, NULL);
	int r = 0;

	v->identities = calloc(1, sizeof *v->identities);
	if (!v->identities)
		r = err_set(err, ERR_TEMP, "out of memory");
	else if (chain >= 0 && key >= 0)
		r = add_files(v, chain, key, err);
	else if (chain >= 0 || key >= 0)
		r = err_set(err, ERR_PERM, "tls.certificate and tls.key go together: set both");
	if (chain >= 0)
		close(chain);
	if (key >= 0)
		close(key);
	return r;
}

/* ---- in the directory ---- */

/* Sealed together: the length of the chain, the chain, the key. */
static int load_one(struct vault *v, struct str name, struct err *err)
{
	struct secret plain = SECRET_NONE;
	struct identity *i = NULL;
	struct str bytes;
	size_t chain;
	int r = -1;

	if (vault_secret_get(v, SECRET_TLS_KEY, name, &plain, err) < 0)
		return -1;
	bytes = secret_reveal(&plain);
	if (bytes.n < 5 || bytes.p[0] != 1) {
		err_set(err, ERR_PERM, "a sealed key of an unknown version");
		goto out;
	}
	chain = (size_t)(unsigned char)bytes.p[1] << 8 | (unsigned char)bytes.p[2];
	bytes = str_from(bytes, 3);
	if (identity_new(str_head(bytes, chain), str_from(bytes, chain), &i, err) < 0)
		goto out;
	str_z(name, i->name, sizeof i->name);
	r = add(v, &i, err);
out:
	identity_free(&i);
	secret_free(&plain);
	return r;
}

int vault_identities_load(struct vault *v, struct err *err)
{
	struct store_secret_list_req q = { .kind = SECRET_TLS_KEY };
	struct store_secret_list_rep a;
	struct store_secret_item item;
	char after[321] = "";
	bool more = true;

	while (more) {
		struct reply hold = { 0 };
		struct str rest;

		q.after = str_c(after);
		if (STORE_CALL(v->store, store_secret_list, &q, &a, &hold, err) < 0)
			return -1;
		rest = a.items;
		more = a.more && rest.n > 0;
		while (store_secret_item_next(&rest, &item)) {
			struct err why = ERR_INIT;

			str_z(item.name, after, sizeof after);
			if (load_one(v, item.name, &why) < 0)
				log_event(LOG_ERROR, "vault.identity", L_STR("name", item.name),
					L_ERR(&why));
		}
		reply_free(&hold);
	}
	return 0;
}

/* The first name of the leaf: a new certificate for it takes the place of the old one. */
static void name_identity(struct identity *i)
{
	struct str names = buf_str(&i->facts.names);

	if (!str_z(str_word(&names, ','), i->name, sizeof i->name) || !i->name[0])
		memcpy(i->name, "unnamed", sizeof "unnamed");
}

static int keep(struct vault *v, struct identity **i, struct str key, struct err *err)
{
	struct str chain = buf_str(&(*i)->chain);
	struct secret plain = SECRET_NONE;
	int r = -1;

	name_identity(*i);
	if (secret_alloc(&plain, 3 + chain.n + key.n, err) < 0)
		return -1;
	plain.p[0] = 1;
	plain.p[1] = (char)(chain.n >> 8);
	plain.p[2] = (char)chain.n;
	memcpy(plain.p + 3, chain.p, chain.n);
	memcpy(plain.p + 3 + chain.n, key.p, key.n);
	if (vault_secret_put(v, SECRET_TLS_KEY, str_c((*i)->name), secret_reveal(&plain), err) == 0)
		r = add(v, i, err);
	secret_free(&plain);
	if (r == 0)
		vault_tell(v, VAULT_IDENTITIES);
	return r;
}

/* ---- requests ---- */

static int make(
	struct vault *v, const struct vault_identity_make_req *q, struct buf *ca, struct err *err)
{
	struct key *authority = NULL, *key = NULL;
	struct buf chain = BUF(X509_CHAIN_MAX);
	struct secret pem = SECRET_NONE;
	struct identity *i = NULL;
	int r = -1;

	if (key_generate(KEY_P256, &authority, err) < 0 || key_generate(KEY_P256, &key, err) < 0 ||
		x509_make_authority(authority, STR("Eilpost local authority"), q->days, ca, err) <
			0 ||
		x509_make_server(key, q->names, q->days, authority, buf_str(ca), &chain, err) < 0 ||
		key_export(key, KEY_DER, &pem, err) < 0 ||
		identity_new(buf_str(&chain), secret_reveal(&pem), &i, err) < 0)
		goto out;
	r = keep(v, &i, secret_reveal(&pem), err);
out:
	identity_free(&i);
	secret_free(&pem);
	buf_free(&chain);
	key_free(&key);
	key_free(&authority); /* nobody can sign with it ever again */
	return r;
}

void vault_do_identity_make(struct vault *v, struct request *req)
{
	struct vault_identity_make_req q;
	struct vault_identity_make_rep a;
	struct buf ca = BUF(8192);
	struct err err = ERR_INIT;

	if (vault_identity_make_req_get(req->body, &q, &err) < 0 || make(v, &q, &ca, &err) < 0) {
		request_fail(&req, &err);
	} else {
		a.ca = buf_str(&ca);
		vault_identity_make_answer(&req, &a);
	}
	buf_free(&ca);
}

void vault_do_identity_import(struct vault *v, struct request *req)
{
	struct vault_identity_import_req q;
	struct vault_identity_import_rep a = { 0 };
	struct identity *i = NULL;
	struct buf names = BUF(NAMES_MAX);
	struct err err = ERR_INIT;

	if (vault_identity_import_req_get(req->body, &q, &err) < 0 ||
		identity_new(q.chain, q.key, &i, &err) < 0)
		goto failed;
	buf_add(&names, buf_str(&i->facts.names));
	if (keep(v, &i, q.key, &err) < 0)
		goto failed;
	a.names = buf_str(&names);
	vault_identity_import_answer(&req, &a);
	goto out;
failed:
	request_fail(&req, &err);
out:
	identity_free(&i);
	buf_free(&names);
}

void vault_do_identities(struct vault *v, struct request *req)
{
	struct buf items = BUF(ANSWER_MAX);
	struct vault_identities_rep a = { 0 };

	for (size_t n = 0; n < v->identities->count; n++) {
		const struct identity *i = v->identities->list[n];
		struct vault_identity item = { .key = i->number,
			.names = buf_str(&i->facts.names),
			.chain = buf_str(&i->chain) };
		size_t before = items.n;

		vault_identity_put(&items, &item);
		if (buf_ok(&items))
			continue;
		items.over = false;
		buf_cut(&items, before);
		log_event(LOG_WARN, "vault.identities",
			L_Z("note",
				"more certificates than fit an answer: the last ones are not "
				"used"));
		break;
	}
	a.items = buf_str(&items);
	vault_identities_answer(&req, &a);
	buf_free(&items);
}

static const struct key *find_key(const struct vault *v, uint32_t number)
{
	for (size_t i = 0; i < v->identities->count; i++)
		if (v->identities->list[i]->number == number)
			return v->identities->list[i]->key;
	return NULL;
}

void vault_do_sign(struct vault *v, struct request *req)
{
	struct vault_sign_req q;
	struct vault_sign_rep a;
	struct buf signature = BUF(SIGNATURE_MAX);
	const struct key *key = NULL;
	struct err err = ERR_INIT;

	if (vault_sign_req_get(req->body, &q, &err) < 0)
		channel_violation(req->ch, err.msg);
	else if (!(key = find_key(v, q.key)))
		err_set(&err, ERR_NOTFOUND, "no such key");
	if (key && key_sign(key, q.algorithm, q.data, &signature, &err) == 0) {
		a.signature = buf_str(&signature);
		vault_sign_answer(&req, &a);
	} else {
		request_fail(&req, &err);
	}
	buf_free(&signature);
}

void vault_identities_status(const struct vault *v, struct vault_status_rep *a, struct buf *names)
{
	a->identities = (uint32_t)v->identities->count;
	for (size_t i = 0; i < v->identities->count; i++) {
		const struct x509_facts *f = &v->identities->list[i]->facts;

		if (i == 0 || f->until < a->earliest_expiry)
			a->earliest_expiry = f->until;
		if (names->n > 0)
			buf_addc(names, ',');
		buf_add(names, buf_str(&f->names));
	}
	a->names = str_head(buf_str(names), NAMES_MAX);
}
