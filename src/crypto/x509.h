/* x509.h - certificates: what is in them, and making our own.
 *
 * A certificate chain travels as text: PEM, leaf first (one certificate may also be DER). Nothing
 * here owns anything; functions that give text append it to a buffer of the caller's.
 */
#ifndef CRYPTO_X509_H
#define CRYPTO_X509_H

#include "crypto/key.h"

enum { X509_CHAIN_MAX = 24576 }; /* bytes of a chain in PEM */

struct x509_facts {
	int64_t from, until; /* seconds since 1970 */
	struct buf names; /* DNS names and addresses of the leaf, comma separated; set its limit */
};

/* Look at the leaf of a chain. ERR_PERM: not certificates. Names that are not plain host names or
 * addresses are left out. The caller frees facts->names. */
int x509_read(struct str chain, struct x509_facts *facts, struct err *err);

/* Does the chain fit together (each certificate signed by the next), and its leaf
 * fit to the key? ERR_PERM with the reason. */
int x509_check(struct str chain, const struct key *key, struct err *err);

/* May a client log in with this chain, and as whom? It must lead to one of the `authorities` (PEM)
 * today and be allowed to TLS clients; its one rfc822Name or SmtpUTF8Mailbox (RFC 8398) is appended
 * to `address`. ERR_DENIED with why; ERR_PERM: not certificates. That the client holds the key is
 * for the handshake to say. */
int x509_check_client(
	struct str chain, struct str authorities, struct buf *address, struct err *err);

/* Make an authority: its certificate, signed by itself, as PEM. `name` is what people see. */
int x509_make_authority(
	const struct key *key, struct str name, unsigned days, struct buf *pem, struct err *err);

/* Make a certificate for a server, signed by that authority. `names`: DNS names and IP
 * addresses, comma separated, at least one; ERR_PERM if one is neither. Appends the certificate
 * and then the authority's, as PEM. */
int x509_make_server(const struct key *key, struct str names, unsigned days,
	const struct key *authority_key, struct str authority, struct buf *pem, struct err *err);

#endif
