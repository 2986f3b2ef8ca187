#include "crypto/aead.h"

#include "crypto/crypto.h"

#include <sodium.h>

enum {
	NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
	TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES
};

_Static_assert((int)AEAD_EXTRA == (int)NONCE + (int)TAG, "size of a sealed text");
_Static_assert((int)AEAD_KEY == (int)crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "size of a key");

static const unsigned char *bytes(struct str s)
{
	return (const unsigned char *)s.p;
}

static bool key_fits(const struct secret *key)
{
	return secret_reveal(key).n == AEAD_KEY;
}

int aead_seal(const struct secret *key, struct str aad, struct str plain, struct buf *out,
	struct err *err)
{
	unsigned char *at;

	if (!key_fits(key) || plain.n > AEAD_MAX)
		return err_set(err, ERR_LIMIT, "cannot seal %zu bytes with this key", plain.n);
	at = (unsigned char *)buf_room(out, plain.n + AEAD_EXTRA);
	if (!at)
		return err_set(
			err, ERR_LIMIT, "no room for %zu sealed bytes", plain.n + AEAD_EXTRA);
	random_bytes(at, NONCE);
	crypto_aead_xchacha20poly1305_ietf_encrypt(at + NONCE, NULL, bytes(plain), plain.n,
		bytes(aad), aad.n, NULL, at, bytes(secret_reveal(key)));
	buf_grew(out, plain.n + AEAD_EXTRA);
	return 0;
}

int aead_open(const struct secret *key, struct str aad, struct str sealed, struct secret *plain,
	struct err *err)
{
	*plain = SECRET_NONE;
	if (!key_fits(key) || sealed.n < AEAD_EXTRA || sealed.n > AEAD_MAX + (size_t)AEAD_EXTRA)
		return err_set(err, ERR_DENIED, "sealed bytes of an impossible size");
	if (secret_alloc(plain, sealed.n - AEAD_EXTRA, err) < 0)
		return -1;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt((unsigned char *)plain->p, NULL, NULL,
		    bytes(sealed) + NONCE, sealed.n - NONCE, bytes(aad), aad.n, bytes(sealed),
		    bytes(secret_reveal(key))) == 0)
		return 0;
	secret_free(plain);
	return err_set(err, ERR_DENIED, "sealed bytes were changed, or belong to another key");
}
