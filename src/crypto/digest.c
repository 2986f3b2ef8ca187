#include "crypto/digest.h"

#include "crypto/crypto_private.h"

#include <limits.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <stdlib.h>

struct digest {
	EVP_MD_CTX *ctx;
};

size_t digest_size(enum digest_kind kind)
{
	static const size_t sizes[DIGEST_KINDS] = { SHA1_SIZE, SHA256_SIZE, SHA512_SIZE };

	return kind < DIGEST_KINDS ? sizes[kind] : 0;
}

int digest_once(enum digest_kind kind, struct str data, void *out, struct err *err)
{
	const EVP_MD *md = digest_md(kind);

	if (!md || EVP_Digest(data.p, data.n, out, NULL, md, NULL) != 1)
		return err_set(err, ERR_TEMP, "cannot compute a digest");
	return 0;
}

struct digest *digest_new(enum digest_kind kind, struct err *err)
{
	const EVP_MD *md = digest_md(kind);
	struct digest *d = calloc(1, sizeof *d);

	if (d && md && (d->ctx = EVP_MD_CTX_new()) && EVP_DigestInit_ex(d->ctx, md, NULL) == 1)
		return d;
	digest_free(&d);
	err_set(err, ERR_TEMP, "cannot start a digest: out of memory");
	return NULL;
}

int digest_add(struct digest *d, struct str data, struct err *err)
{
	if (data.n > 0 && EVP_DigestUpdate(d->ctx, data.p, data.n) != 1)
		return err_set(err, ERR_TEMP, "cannot compute a digest");
	return 0;
}

int digest_end(struct digest *d, void *out, struct err *err)
{
	if (EVP_DigestFinal_ex(d->ctx, out, NULL) != 1)
		return err_set(err, ERR_TEMP, "cannot compute a digest");
	return 0;
}

void digest_free(struct digest **d)
{
	if (!*d)
		return;
	EVP_MD_CTX_free((*d)->ctx);
	free(*d);
	*d = NULL;
}

void mac_sha256(struct str key, const struct str *parts, size_t count, void *out)
{
	crypto_auth_hmacsha256_state st;

	crypto_auth_hmacsha256_init(&st, (const unsigned char *)key.p, key.n);
	for (size_t i = 0; i < count; i++)
		crypto_auth_hmacsha256_update(&st, (const unsigned char *)parts[i].p, parts[i].n);
	crypto_auth_hmacsha256_final(&st, out);
	sodium_memzero(&st, sizeof st);
}

int mac_once(enum digest_kind kind, struct str key, struct str data, void *out, struct err *err)
{
	const EVP_MD *md = digest_md(kind);

	if (!md || key.n > INT_MAX ||
		!HMAC(md, key.n ? key.p : "", (int)key.n, (const unsigned char *)data.p, data.n,
			out, NULL))
		return err_set(err, ERR_TEMP, "cannot compute a mac");
	return 0;
}
