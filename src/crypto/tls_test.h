/* tls_test.h - an authority and certificates for tests, made anew in each run. */
#ifndef CRYPTO_TLS_TEST_H
#define CRYPTO_TLS_TEST_H

#include "crypto/x509.h"

#include <stdlib.h>

struct test_identity {
	struct key *key;
	struct buf chain;
};

struct test_authority {
	struct key *key;
	struct buf pem;
};

static inline void test_authority_make(struct test_authority *a)
{
	struct err err = ERR_INIT;

	*a = (struct test_authority){ .pem = BUF(X509_CHAIN_MAX) };
	if (key_generate(KEY_P256, &a->key, &err) < 0 ||
		x509_make_authority(a->key, STR("Test authority"), 30, &a->pem, &err) < 0)
		abort();
}

static inline void test_identity_make(struct test_identity *i, enum key_type type,
	const struct test_authority *a, const char *names)
{
	struct err err = ERR_INIT;

	*i = (struct test_identity){ .chain = BUF(X509_CHAIN_MAX) };
	if (key_generate(type, &i->key, &err) < 0 ||
		x509_make_server(
			i->key, str_c(names), 30, a->key, buf_str(&a->pem), &i->chain, &err) < 0)
		abort();
}

static inline void test_authority_free(struct test_authority *a)
{
	key_free(&a->key);
	buf_free(&a->pem);
}

static inline void test_identity_free(struct test_identity *i)
{
	key_free(&i->key);
	buf_free(&i->chain);
}

#endif
