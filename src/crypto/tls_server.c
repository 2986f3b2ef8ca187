/* tls_server.c - certificates by name, protocol names, session tickets. */
#include "base/map.h"
#include "crypto/crypto.h"
#include "crypto/tls_private.h"
#include "crypto/x509.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>

/* All forward secret and authenticated, so RSA key transport, which would need a decryption by the
 * remote key, is out. TLS 1.3 has only such suites. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

enum {
	NAMES_MAX = 100000,
	SERVICE_MAX = 32,
	ALPN_MAX = 255,
	HOST_MAX = 253,
	TICKETS = 2,
	TICKET_SECONDS = 24 * 60 * 60
};

/* A ticket key: its public name, then the secret halves. */
enum { TICKET_NAME = 16, TICKET_MAC = 32, TICKET_CIPHER = 32 };
_Static_assert(TICKET_NAME + TICKET_MAC + TICKET_CIPHER == TLS_TICKET_KEY, "ticket key");

struct certificate {
	SSL_CTX *ctx;
	struct certificate *next;
};

struct server_name {
	struct certificate *certificate;
	struct server_name *next;
	size_t len;
	char text[]; /* lower case */
};

struct tls_server {
	unsigned refs;
	struct certificate *first, *last;
	struct server_name *all;
	struct map names;
	struct secret tickets;
	char service[SERVICE_MAX];
	size_t service_len;
	char alpn[ALPN_MAX];
	size_t alpn_len;
	STACK_OF(X509) * client_authorities; /* NULL: clients are not asked for certificates */
};

/* ---- life ---- */

int tls_server_new(struct tls_server **server, struct str service, struct str alpn, struct err *err)
{
	struct tls_server *s;

	if (service.n == 0 || service.n > SERVICE_MAX || alpn.n > ALPN_MAX)
		return err_set(err, ERR_PERM, "a TLS service needs a name of 1 to %d bytes",
			(int)SERVICE_MAX);
	s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_TEMP, "out of memory for TLS");
	s->refs = 1;
	s->names = MAP(NAMES_MAX);
	memcpy(s->service, service.p, service.n);
	s->service_len = service.n;
	if (alpn.n)
		memcpy(s->alpn, alpn.p, alpn.n);
	s->alpn_len = alpn.n;
	*server = s;
	return 0;
}

void tls_server_hold(struct tls_server *server)
{
	server->refs++;
}

void tls_server_free(struct tls_server **server)
{
	struct tls_server *s = *server;

	*server = NULL;
	if (!s || --s->refs)
		return;
	while (s->all) {
		struct server_name *n = s->all;

		s->all = n->next;
		free(n);
	}
	while (s->first) {
		struct certificate *c = s->first;

		s->first = c->next;
		SSL_CTX_free(c->ctx);
		free(c);
	}
	map_free(&s->names);
	x509_chain_free(&s->client_authorities);
	secret_free(&s->tickets);
	free(s);
}

static struct tls_server *server_of(const SSL *ssl)
{
	const struct tls *t = SSL_get_app_data(ssl);

	return t->server;
}

/* ---- which certificate ---- */

static struct certificate *find(const struct tls_server *s, struct str name)
{
	char text[HOST_MAX + 1];
	const struct server_name *found;
	struct str lower = { text, name.n }, head, tail;

	if (name.n == 0 || name.n > HOST_MAX)
		return NULL;
	for (size_t i = 0; i < name.n; i++)
		text[i] = to_lower(name.p[i]);
	found = map_get(&s->names, lower);
	/* RFC 9525 6.3: a star stands for exactly the leftmost label. */
	if (!found && str_cut(lower, '.', &head, &tail) && head.n) {
		text[head.n - 1] = '*';
		found = map_get(&s->names, str_from(lower, head.n - 1));
	}
	return found ? found->certificate : NULL;
}

static int on_name(SSL *ssl, int *alert, void *unused)
{
	const struct certificate *c;

	(void)alert;
	(void)unused;
	c = find(server_of(ssl), str_c(SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)));
	if (!c || (c->ctx != SSL_get_SSL_CTX(ssl) && !SSL_set_SSL_CTX(ssl, c->ctx)))
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

/* ---- which protocol ---- */

static bool offered(struct str list, struct str name, const unsigned char **out, unsigned char *len)
{
	while (list.n) {
		size_t n = (unsigned char)list.p[0];
		struct str one = str_head(str_from(list, 1), n);

		if (str_eq(one, name)) {
			*out = (const unsigned char *)one.p;
			*len = (unsigned char)one.n;
			return true;
		}
		list = str_from(list, 1 + n);
	}
	return false;
}

/* RFC 7301 3.2: no common protocol is alert 120. Going on without would let an attacker send
 * a browser's request to a mail server, under the same certificate. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *len,
	const unsigned char *client, unsigned n, void *unused)
{
	const struct tls_server *s = server_of(ssl);
	struct str ours = { s->alpn, s->alpn_len };

	(void)unused;
	while (ours.n)
		if (offered(str_make(client, n), str_word(&ours, ','), out, len))
			return SSL_TLSEXT_ERR_OK;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- tickets ---- */

int tls_server_tickets(struct tls_server *s, const struct secret *keys, struct err *err)
{
	struct secret copy = SECRET_NONE;

	if (keys->n == 0 || keys->n % TLS_TICKET_KEY || keys->n > TLS_TICKET_KEYS * TLS_TICKET_KEY)
		return err_set(err, ERR_PERM, "ticket keys of %zu bytes", keys->n);
	if (secret_copy(&copy, secret_reveal(keys), err) < 0)
		return -1;
	secret_free(&s->tickets);
	s->tickets = copy;
	for (struct certificate *c = s->first; c && !s->client_authorities; c = c->next)
		SSL_CTX_set_num_tickets(c->ctx, TICKETS);
	return 0;
}

static int use_key(
	struct str key, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
	struct str secret = str_from(key, TICKET_NAME + TICKET_MAC);
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
		OSSL_PARAM_octet_string(
			OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)(key.p + TICKET_NAME), TICKET_MAC),
		OSSL_PARAM_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, sizeof digest - 1),
		OSSL_PARAM_END,
	};

	return EVP_MAC_CTX_set_params(mac, params) == 1 &&
		EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, (const unsigned char *)secret.p,
			iv, seal) == 1;
}

/* OpenSSL: 1 go on, 2 go on and give the client a new ticket (a client uses each only once, RFC
 * 8446 C.4), 0 no ticket, -1 failure. */
static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
	EVP_MAC_CTX *mac, int seal)
{
	struct str keys = secret_reveal(&server_of(ssl)->tickets);

	/* Below TLS 1.3 a ticket key could read all that was ever said with it. */
	if (SSL_version(ssl) < TLS1_3_VERSION || keys.n == 0)
		return 0;
	if (seal) {
		random_bytes(iv, 16);
		memcpy(name, keys.p, TICKET_NAME);
		return use_key(keys, iv, cipher, mac, 1) ? 1 : -1;
	}
	for (size_t at = 0; at < keys.n; at += TLS_TICKET_KEY) {
		struct str key = str_from(keys, at);

		if (memcmp(name, key.p, TICKET_NAME) == 0)
			return use_key(key, iv, cipher, mac, 0) ? 2 : -1;
	}
	return 0;
}

/* ---- certificates of clients ---- */

int tls_server_ask_client(struct tls_server *s, struct str authorities, struct err *err)
{
	x509_chain_free(&s->client_authorities);
	s->client_authorities = x509_parse(authorities, err);
	return s->client_authorities ? 0 : -1;
}

/* Whether it verifies matters to who asks for it (EXTERNAL), not to the handshake: a certificate
 * for something else must not keep a client out. */
static int on_client_certificate(int ok, X509_STORE_CTX *ctx)
{
	(void)ok;
	(void)ctx;
	return 1;
}

/* RFC 8446 4.3.2: the names of the authorities let a client choose the right certificate. */
static bool ask_client(SSL_CTX *ctx, STACK_OF(X509) * authorities)
{
	for (int i = 0; i < sk_X509_num(authorities); i++)
		if (SSL_CTX_add_client_CA(ctx, sk_X509_value(authorities, i)) != 1)
			return false;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, on_client_certificate);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return SSL_CTX_set_num_tickets(ctx, 0) == 1;
}

/* ---- adding ---- */

static SSL_CTX *new_context(const struct tls_server *s, struct err *err)
{
	SSL_CTX *ctx = tls_context(TLS_server_method(), err);

	if (!ctx)
		return NULL;
	SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_NO_AUTO_CHAIN);
	SSL_CTX_set_timeout(ctx, TICKET_SECONDS);
	SSL_CTX_set_num_tickets(ctx, s->tickets.n ? TICKETS : 0);
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1 &&
		SSL_CTX_set_session_id_context(
			ctx, (const unsigned char *)s->service, (unsigned)s->service_len) == 1 &&
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) == 1 &&
		(!s->client_authorities || ask_client(ctx, s->client_authorities)))
		return ctx;
	SSL_CTX_free(ctx);
	openssl_failed(err, ERR_TEMP, "set up TLS");
	return NULL;
}

static bool use_chain(SSL_CTX *ctx, STACK_OF(X509) * chain)
{
	if (SSL_CTX_use_certificate(ctx, sk_X509_value(chain, 0)) != 1)
		return false;
	for (int i = 1; i < sk_X509_num(chain); i++) {
		X509 *x = sk_X509_value(chain, i);

		/* RFC 8446 4.4.2: who trusts the root has it. */
		if (X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) != 0 &&
			SSL_CTX_add1_chain_cert(ctx, x) != 1)
			return false;
	}
	return true;
}

static bool add_name(struct tls_server *s, struct str name, struct certificate *c)
{
	struct server_name *n;

	if (find(s, name)) /* the first certificate for a name keeps it */
		return true;
	n = calloc(1, sizeof *n + name.n);
	if (!n)
		return false;
	n->certificate = c;
	n->len = name.n;
	for (size_t i = 0; i < name.n; i++)
		n->text[i] = to_lower(name.p[i]);
	n->next = s->all;
	s->all = n;
	return map_put(&s->names, str_make(n->text, n->len), n);
}

static int add_certificate(struct tls_server *s, SSL_CTX *ctx, struct str chain, struct err *err)
{
	struct x509_facts facts = { .names = BUF(64 * 1024) };
	struct certificate *c = calloc(1, sizeof *c);
	struct str names;
	int r = -1;

	if (!c) {
		SSL_CTX_free(ctx);
		return err_set(err, ERR_TEMP, "out of memory for a certificate");
	}
	c->ctx = ctx;
	if (s->last)
		s->last->next = c;
	else
		s->first = c;
	s->last = c;
	if (x509_read(chain, &facts, err) < 0)
		goto out;
	names = buf_str(&facts.names);
	while (names.n)
		if (!add_name(s, str_word(&names, ','), c)) {
			err_set(err, ERR_LIMIT, "more than %d names of certificates",
				(int)NAMES_MAX);
			goto out;
		}
	r = 0;
out:
	buf_free(&facts.names);
	return r;
}

/* `pkey` is borrowed; NULL: it is held elsewhere. */
static int add(struct tls_server *s, struct str text, EVP_PKEY *pkey, struct str key_id,
	key_sign_fn *sign, void *arg, struct err *err)
{
	STACK_OF(X509) *chain = x509_parse(text, err);
	EVP_PKEY *remote = NULL;
	SSL_CTX *ctx = NULL;

	if (!chain)
		return -1;
	if (!pkey)
		pkey = remote = remote_key_new(
			X509_get0_pubkey(sk_X509_value(chain, 0)), key_id, sign, arg, err);
	if (pkey)
		ctx = new_context(s, err);
	if (ctx &&
		(!use_chain(ctx, chain) || SSL_CTX_use_PrivateKey(ctx, pkey) != 1 ||
			SSL_CTX_check_private_key(ctx) != 1)) {
		openssl_failed(err, ERR_PERM, "use a certificate and its key");
		SSL_CTX_free(ctx);
		ctx = NULL;
	}
	EVP_PKEY_free(remote);
	x509_chain_free(&chain);
	ERR_clear_error();
	return ctx ? add_certificate(s, ctx, text, err) : -1;
}

int tls_server_add(struct tls_server *s, struct str chain, const struct key *key, struct err *err)
{
	return add(s, chain, key_openssl(key), STR(""), NULL, NULL, err);
}

int tls_server_add_remote(struct tls_server *s, struct str chain, struct str key_id,
	key_sign_fn *sign, void *arg, struct err *err)
{
	return add(s, chain, NULL, key_id, sign, arg, err);
}

int tls_server_start(struct tls_server *s, struct tls **tls, struct err *err)
{
	if (!s->first)
		return err_set(err, ERR_TEMP, "there is no certificate for TLS");
	if (tls_start(s->first->ctx, tls, err) < 0)
		return -1;
	tls_server_hold(s);
	(*tls)->server = s;
	SSL_set_accept_state((*tls)->ssl);
	return 0;
}
