/* openssl_private.h - habits for talking to OpenSSL 3.
 *
 * Its errors gather in a queue per thread, and tasks share a thread: so every function of ours
 * that calls OpenSSL leaves the queue empty before it returns or waits.
 */
#ifndef CRYPTO_OPENSSL_PRIVATE_H
#define CRYPTO_OPENSSL_PRIVATE_H

#include "crypto/key.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* -1 with "what: the first reason in the queue"; empties the queue. */
int openssl_failed(struct err *err, enum err_kind kind, const char *what);

EVP_PKEY *key_openssl(const struct key *key); /* borrowed */

/* Certificates from PEM (several) or DER (one), leaf first. NULL with err: ERR_PERM. */
STACK_OF(X509) * x509_parse(struct str chain, struct err *err);
void x509_chain_free(STACK_OF(X509) * *chain);

/* A private key that somebody else holds. `public` is its public half. The result
 * behaves in OpenSSL like any private key that can sign; NULL with err. */
EVP_PKEY *remote_key_new(
	EVP_PKEY *public, struct str id, key_sign_fn *sign, void *arg, struct err *err);
/* Why the last signature failed, if one has failed since this was last asked and nobody has waited
 * since: it then fills *err and is true. */
bool remote_key_failed(struct err *err);

#endif
