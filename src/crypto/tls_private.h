/* tls_private.h - the inside of TLS engines, servers and clients. */
#ifndef CRYPTO_TLS_PRIVATE_H
#define CRYPTO_TLS_PRIVATE_H

#include "crypto/openssl_private.h"
#include "crypto/tls.h"

#include <openssl/ssl.h>

struct tls {
	SSL *ssl;
	struct tls_server *server; /* counted; NULL for a client */
	struct buf in, out;        /* ciphertext; in: unread from in_at on */
	size_t in_at;
	bool ended;  /* no more input will come */
	bool cut;    /* and it ended without close_notify */
	bool failed; /* OpenSSL must not be asked again, not even to say goodbye */
};

/* An engine around a fresh SSL of this context. */
int tls_start(SSL_CTX *ctx, struct tls **tls, struct err *err);
/* What servers and clients have in common. */
SSL_CTX *tls_context(const SSL_METHOD *method, struct err *err);

void tls_server_hold(struct tls_server *server);

#endif
