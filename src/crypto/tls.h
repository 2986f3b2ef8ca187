/* tls.h - TLS 1.2 and 1.3 as an engine without sockets.
 *
 * Ciphertext goes in and out through buffers of the engine; whoever moves the bytes
 * (net/conn) asks it to shake hands, read and write in between. An engine belongs to one task.
 *
 * A tls_server has the certificates of one service and serves any number of engines; so does a
 * tls_client. Both may be freed while engines made from them live on, which then keep what they
 * need.
 *
 * Handshakes with a key that is held elsewhere (tls_server_add_remote) call the sign function,
 * which may suspend the task; nothing else here waits. RFC 8446, RFC 5246.
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include "crypto/key.h"

#include <sys/types.h>

struct tls;
struct tls_server;
struct tls_client;

/* ---- servers ---- */

/* `service` says what this is for ("imap"): a session ticket of one service is worth nothing at
 * another. `alpn`: the protocol names that a client may ask for (RFC 7301), comma separated
 * ("imap", "h2,http/1.1"); a client that offers only others is refused with alert 120. A client
 * that offers none is welcome. */
int tls_server_new(
	struct tls_server **server, struct str service, struct str alpn, struct err *err);
void tls_server_free(struct tls_server **server);

/* Add a certificate chain (x509.h) with its private key: here, or held elsewhere. Which one is used
 * is decided by the name that the client asks for (SNI); the first one added is the answer to
 * everything else. ERR_PERM: chain or key are unusable or do not fit together. */
int tls_server_add(
	struct tls_server *server, struct str chain, const struct key *key, struct err *err);
int tls_server_add_remote(struct tls_server *server, struct str chain, struct str key_id,
	key_sign_fn *sign, void *arg, struct err *err);

/* Ask clients for a certificate of one of these authorities (PEM); call it before adding
 * certificates. One that shows none, or one that does not verify, is as welcome as before: see
 * tls_peer_chain(). There are no session tickets then, so that every session has shown its own.
 * ERR_PERM: no certificates. */
int tls_server_ask_client(struct tls_server *server, struct str authorities, struct err *err);

/* Session tickets (TLS 1.3 only). `keys`: one to three random keys of TLS_TICKET_KEY bytes; the
 * first seals, the others (older ones) only open. May be called again at any time. Without keys
 * there are no tickets. ERR_PERM: another length. */
enum { TLS_TICKET_KEY = 80, TLS_TICKET_KEYS = 3 };
int tls_server_tickets(struct tls_server *server, const struct secret *keys, struct err *err);

/* ---- clients ---- */

/* `ca_file`: PEM file of trusted authorities; NULL: those of the system; "": none yet, see
 * tls_client_trust(). Read now, never later. `verify`: a server whose certificate does not verify
 * for its name is refused (ERR_DENIED). Without, encryption is opportunistic: anything goes,
 * and tls_verify_error() says what would have been wrong. ERR_PERM: no such file, nothing in it. */
int tls_client_new(struct tls_client **client, const char *ca_file, bool verify, struct err *err);
int tls_client_trust(struct tls_client *client, struct str pem, struct err *err);
/* The file of the system's authorities, or NULL: for who may want them later, behind a sandbox, and
 * keeps the text until then. */
const char *tls_system_bundle(void);
void tls_client_free(struct tls_client **client);

/* ---- engines ---- */

int tls_server_start(struct tls_server *server, struct tls **tls, struct err *err);
/* `name`: the host name or address that the certificate must be for. */
int tls_client_start(struct tls_client *client, struct str name, struct tls **tls, struct err *err);
void tls_free(struct tls **tls);

/* Ciphertext in: put up to n bytes there, say how many. NULL: out of memory. */
char *tls_room(struct tls *tls, size_t n);
void tls_grew(struct tls *tls, size_t n);
void tls_input_ended(struct tls *tls); /* the peer's end of stream */
/* Ciphertext out: to be sent, also after a failure (it may be an alert). */
struct str tls_output(const struct tls *tls);
void tls_sent(struct tls *tls, size_t n);

/* Results. TLS_AGAIN: more input is needed; send the output first. TLS_FAILED: *err says why, and
 * the engine is of no more use: ERR_PROTO, ERR_DENIED (verification), what the sign function said,
 * or ERR_CLOSED when the input ended without close_notify (see tls_truncated). */
enum { TLS_DONE = 1, TLS_END = 0, TLS_AGAIN = -1, TLS_FAILED = -2 };

int tls_handshake(struct tls *tls, struct err *err);                   /* TLS_DONE at the end */
ssize_t tls_read(struct tls *tls, char *p, size_t n, struct err *err); /* bytes; TLS_END */
int tls_write(struct tls *tls, struct str s, struct err *err);         /* TLS_DONE: all of it */
void tls_close(struct tls *tls);                                       /* says close_notify */

/* Did the peer's stream end without a close_notify? Then it may have been cut by somebody else. */
bool tls_truncated(const struct tls *tls);

/* After the handshake. The texts live as long as the engine. */
struct str tls_version(const struct tls *tls); /* "TLSv1.3" */
struct str tls_cipher(const struct tls *tls);  /* "TLS_AES_256_GCM_SHA384" */
struct str tls_alpn(const struct tls *tls);    /* empty: none was agreed on */
struct str tls_sni(const struct tls *tls);     /* server: the name asked for, or empty */
bool tls_resumed(const struct tls *tls);
/* Client: why the certificate did not verify, or empty when it did. */
struct str tls_verify_error(const struct tls *tls);

/* The certificates that the peer has shown, as PEM, leaf first; it has proven that it holds the
 * leaf's key, and nothing else is known of them. ERR_NOTFOUND: none. */
int tls_peer_chain(const struct tls *tls, struct buf *pem, struct err *err);

/* Channel bindings for SCRAM. ERR_PERM when this session has none of that kind. */
enum tls_binding {
	TLS_EXPORTER,        /* RFC 9266, TLS 1.3 only */
	TLS_SERVER_END_POINT /* RFC 5929 4 */
};
int tls_channel_binding(
	const struct tls *tls, enum tls_binding kind, struct buf *out, struct err *err);

#endif
