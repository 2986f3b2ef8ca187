/* aead.h - sealing bytes with a key: XChaCha20-Poly1305.
 *
 * Its nonces are long enough to be drawn at random for ever with one key, which is why it was
 * chosen. A sealed text is nonce, ciphertext and tag: AEAD_EXTRA bytes longer than the plain one.
 * `aad` is not stored: it says what the bytes are for, and opening with another one fails.
 */
#ifndef CRYPTO_AEAD_H
#define CRYPTO_AEAD_H

#include "base/secret.h"

enum { AEAD_KEY = 32, AEAD_EXTRA = 24 + 16, AEAD_MAX = 1 << 20 };

/* `key` has AEAD_KEY bytes. Appends to `out`; -1 (ERR_LIMIT) when it does not fit there. */
int aead_seal(const struct secret *key, struct str aad, struct str plain, struct buf *out,
	struct err *err);
/* ERR_DENIED: wrong key, wrong aad, or changed bytes; *plain is then SECRET_NONE. */
int aead_open(const struct secret *key, struct str aad, struct str sealed, struct secret *plain,
	struct err *err);

#endif
