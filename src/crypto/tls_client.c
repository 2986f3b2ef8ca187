/* tls_client.c - whom to trust, and which name to ask for. */
#include "crypto/tls_private.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <unistd.h>

enum { HOST_MAX = 253, TRUST_MAX = 4 * 1024 * 1024 };

struct tls_client {
	SSL_CTX *ctx;
};

/* Whole bundles only: a folder of hashed names would be read later, behind the sandbox. */
const char *tls_system_bundle(void)
{
	static const char *const known[] = {
		"/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, Arch */
		"/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora and its kin */
		"/etc/ssl/ca-bundle.pem",             /* openSUSE */
		"/etc/ssl/cert.pem",                  /* the BSDs */
	};
	const char *named = getenv(X509_get_default_cert_file_env());

	if (named && access(named, R_OK) == 0)
		return named;
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (access(known[i], R_OK) == 0)
			return known[i];
	return NULL;
}

static int load(SSL_CTX *ctx, const char *ca_file, struct err *err)
{
	const char *file = ca_file ? ca_file : tls_system_bundle();

	if (!file)
		return err_set(err, ERR_PERM,
			"this system has no list of certificate authorities; install "
			"ca-certificates or set tls.ca-file");
	if (*file && SSL_CTX_load_verify_file(ctx, file) != 1)
		return openssl_failed(err, ERR_PERM, file);
	return 0;
}

int tls_client_new(struct tls_client **client, const char *ca_file, bool verify, struct err *err)
{
	struct tls_client *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(err, ERR_TEMP, "out of memory for TLS");
	c->ctx = tls_context(TLS_client_method(), err);
	if (!c->ctx || load(c->ctx, ca_file, err) < 0) {
		tls_client_free(&c);
		return -1;
	}
	SSL_CTX_set_verify(c->ctx, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	/* The alternative to weak encryption would be none (RFC 7435): keys and hashes that OpenSSL
	 * would refuse are fine for a server that is not authenticated anyway. */
	if (!verify)
		SSL_CTX_set_security_level(c->ctx, 0);
	ERR_clear_error();
	*client = c;
	return 0;
}

int tls_client_trust(struct tls_client *client, struct str pem, struct err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(client->ctx);
	BIO *bio = pem.n <= TRUST_MAX ? BIO_new_mem_buf(pem.p, (int)pem.n) : NULL;
	size_t added = 0;
	X509 *x;

	while (bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		added += X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	BIO_free(bio);
	ERR_clear_error();
	return added ? 0 : err_set(err, ERR_PERM, "there is no certificate authority in it");
}

void tls_client_free(struct tls_client **client)
{
	struct tls_client *c = *client;

	if (!c)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
	*client = NULL;
}

/* Ask for the name, and have the certificate checked against it. */
static bool expect(SSL *ssl, const char *name)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
	unsigned char ip[16];

	if (inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1)
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

int tls_client_start(struct tls_client *client, struct str name, struct tls **tls, struct err *err)
{
	char z[HOST_MAX + 1];

	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || !str_z(name, z, sizeof z))
		return err_set(err, ERR_PERM, "TLS needs the name of the server");
	if (tls_start(client->ctx, tls, err) < 0)
		return -1;
	if (!expect((*tls)->ssl, z)) {
		openssl_failed(err, ERR_PERM, "TLS to this name");
		tls_free(tls);
		return -1;
	}
	SSL_set_connect_state((*tls)->ssl);
	return 0;
}
