/* key.h - private keys: making, importing, exporting, and signing with them.
 *
 * Only the vault (and tests) hold a struct key; everybody else has the number of one and asks.
 * A key belongs to whoever made or imported it; it is wiped when freed. Signing does not
 * change it, so several threads may sign with one key.
 */
#ifndef CRYPTO_KEY_H
#define CRYPTO_KEY_H

#include "base/secret.h"

struct key;

enum key_type { KEY_P256, KEY_RSA2048, KEY_ED25519 };
enum key_form { KEY_PEM, KEY_DER };
enum { KEY_MAX = 16384, SIGNATURE_MAX = 1024 }; /* bytes of an exported key, of a signature */

/* RSA takes up to a second: on a worker thread. */
int key_generate(enum key_type type, struct key **key, struct err *err);

/* PKCS #8 (RFC 5958), or the older forms of RSA (RFC 8017 A.1.2) and EC (RFC 5915) keys, as PEM
 * or DER. ERR_PERM: encrypted, not a key, a kind we cannot use, or an RSA key of less than
 * 2,048 or more than 8,192 bits. */
int key_import(struct str text, struct key **key, struct err *err);
/* PKCS #8. *out must not hold a secret. */
int key_export(const struct key *key, enum key_form form, struct secret *out, struct err *err);
/* The public half as SubjectPublicKeyInfo (RFC 5280 4.1), appended to `der`. */
int key_public(const struct key *key, struct buf *der, struct err *err);
void key_free(struct key **key);

/* What is signed is named by a text, so that it can travel:
 *
 *	"ecdsa"              `data` is the digest; the signature is DER (RFC 3279 2.2.3)
 *	"rsa-pkcs1:SHA256"   `data` is the digest of that name (SHA1 is refused), RFC 8017 8.2
 *	"rsa-pss:SHA256:32"  the same with RFC 8017 8.1 and a salt of 32 bytes
 *	"ed25519"            `data` is the message itself, RFC 8032
 *
 * Appends the signature. ERR_PERM: an algorithm that is unknown or not for this key, or a
 * digest of the wrong length. Works at once (RSA: about a millisecond) and waits for nothing. */
int key_sign(const struct key *key, struct str algorithm, struct str data, struct buf *signature,
	struct err *err);

/* The same by somebody else: `key_id` is what the key was named to tls_server_add_remote(). May
 * suspend its task. 0, or -1 with err; ERR_TEMP and ERR_CANCELED reach the caller of the handshake.
 */
typedef int key_sign_fn(void *arg, struct str key_id, struct str algorithm, struct str data,
	struct buf *signature, struct err *err);

#endif
