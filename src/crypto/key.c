#include "crypto/key.h"

#include "crypto/crypto.h"
#include "crypto/openssl_private.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

enum { RSA_LEAST = 2048, RSA_MOST = 8192 };

struct key {
	EVP_PKEY *pkey;
};

EVP_PKEY *key_openssl(const struct key *key)
{
	return key->pkey;
}

static int key_wrap(EVP_PKEY *pkey, struct key **key, struct err *err)
{
	struct key *k = calloc(1, sizeof *k);

	if (!k) {
		EVP_PKEY_free(pkey);
		return err_set(err, ERR_TEMP, "out of memory for a key");
	}
	k->pkey = pkey;
	*key = k;
	return 0;
}

void key_free(struct key **key)
{
	if (!*key)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

int key_generate(enum key_type type, struct key **key, struct err *err)
{
	EVP_PKEY *pkey = NULL;

	if (crypto_init(err) < 0)
		return -1;
	switch (type) {
	case KEY_P256:
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
		break;
	case KEY_RSA2048:
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
		break;
	case KEY_ED25519:
		pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	}
	if (!pkey)
		return openssl_failed(err, ERR_TEMP, "make a key");
	return key_wrap(pkey, key, err);
}

/* ---- import and export ---- */

static int usable(const EVP_PKEY *pkey, struct err *err)
{
	int bits = EVP_PKEY_get_bits(pkey);

	if (EVP_PKEY_is_a(pkey, "RSA")) {
		if (bits >= RSA_LEAST && bits <= RSA_MOST)
			return 0;
		return err_set(err, ERR_PERM, "an RSA key of %d bits: we take %d to %d", bits,
			RSA_LEAST, RSA_MOST);
	}
	if (EVP_PKEY_is_a(pkey, "EC") || EVP_PKEY_is_a(pkey, "ED25519"))
		return 0;
	return err_set(err, ERR_PERM, "a private key of a kind that is not RSA, EC or Ed25519");
}

static int no_password(char *text, int size, int writing, void *asked)
{
	(void)text;
	(void)size;
	(void)writing;
	*(bool *)asked = true;
	return -1;
}

int key_import(struct str text, struct key **key, struct err *err)
{
	BIO *bio = NULL;
	EVP_PKEY *pkey = NULL;
	bool encrypted = false;
	int r = -1;

	if (crypto_init(err) < 0)
		return -1;
	if (text.n == 0 || text.n > KEY_MAX)
		return err_set(err, ERR_PERM, "a private key has 1 to %d bytes", (int)KEY_MAX);
	bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (bio)
		pkey = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
	if (!pkey && !encrypted) {
		const unsigned char *der = (const unsigned char *)text.p;

		ERR_clear_error();
		pkey = d2i_AutoPrivateKey(NULL, &der, (long)text.n);
	}
	if (encrypted)
		err_set(err, ERR_PERM,
			"the private key is encrypted; decrypt it first (openssl pkey)");
	else if (!pkey)
		openssl_failed(err, ERR_PERM, "read a private key");
	else if (usable(pkey, err) == 0)
		r = 0;
	ERR_clear_error();
	BIO_free(bio);
	if (r == 0)
		return key_wrap(pkey, key, err);
	EVP_PKEY_free(pkey);
	return -1;
}

int key_export(const struct key *key, enum key_form form, struct secret *out, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem()); /* wipes what it leaves behind */
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key->pkey);
	char *p = NULL;
	long n = 0;
	int r = -1, ok = 0;

	if (bio && p8 && form == KEY_PEM)
		ok = PEM_write_bio_PKCS8_PRIV_KEY_INFO(bio, p8);
	else if (bio && p8)
		ok = i2d_PKCS8_PRIV_KEY_INFO_bio(bio, p8);
	if (ok == 1)
		n = BIO_get_mem_data(bio, &p);
	if (n > 0)
		r = secret_copy(out, str_make(p, (size_t)n), err);
	else
		openssl_failed(err, ERR_TEMP, "export a private key");
	PKCS8_PRIV_KEY_INFO_free(p8);
	BIO_free(bio);
	return r;
}

int key_public(const struct key *key, struct buf *der, struct err *err)
{
	unsigned char *p = NULL;
	int n = i2d_PUBKEY(key->pkey, &p);

	if (n <= 0)
		return openssl_failed(err, ERR_TEMP, "export a public key");
	buf_add(der, str_make(p, (size_t)n));
	OPENSSL_free(p);
	return buf_ok(der) ? 0 : err_set(err, ERR_LIMIT, "a public key of %d bytes", n);
}

/* ---- signing ---- */

/* "rsa-pss:SHA256:32" in its parts. */
struct algorithm {
	struct str name;
	const EVP_MD *md;
	uint64_t salt;
};

static int parse_algorithm(struct str text, struct algorithm *a, struct err *err)
{
	static const struct {
		struct str name;
		const EVP_MD *(*md)(void);
	} digests[] = { { STR_INIT("SHA256"), EVP_sha256 }, { STR_INIT("SHA384"), EVP_sha384 },
		{ STR_INIT("SHA512"), EVP_sha512 } };
	struct str rest = text, md;

	*a = (struct algorithm){ .name = str_word(&rest, ':') };
	if (rest.n == 0)
		return 0;
	md = str_word(&rest, ':');
	for (size_t i = 0; i < sizeof digests / sizeof *digests; i++)
		if (str_eq(md, digests[i].name))
			a->md = digests[i].md();
	if (!a->md || (rest.n && !str_u64(rest, 512, &a->salt)))
		return err_set(
			err, ERR_PERM, "cannot sign with \"" STR_F "\"", STR_A(str_head(text, 60)));
	return 0;
}

static bool set_rsa(EVP_PKEY_CTX *ctx, const struct algorithm *a, bool pss)
{
	return EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) >
		0 &&
		EVP_PKEY_CTX_set_signature_md(ctx, a->md) > 0 &&
		(!pss || EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, (int)a->salt) > 0);
}

/* Sign a digest. */
static bool sign_digest(
	EVP_PKEY *pkey, const struct algorithm *a, struct str data, unsigned char *out, size_t *n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool ok = ctx && EVP_PKEY_sign_init(ctx) > 0;

	if (ok && a->md)
		ok = set_rsa(ctx, a, str_eq(a->name, STR("rsa-pss")));
	ok = ok && EVP_PKEY_sign(ctx, out, n, (const unsigned char *)data.p, data.n) > 0;
	EVP_PKEY_CTX_free(ctx);
	return ok;
}

/* Sign a message whole. */
static bool sign_message(EVP_PKEY *pkey, struct str data, unsigned char *out, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) > 0 &&
		EVP_DigestSign(ctx, out, n, (const unsigned char *)data.p, data.n) > 0;

	EVP_MD_CTX_free(ctx);
	return ok;
}

/* Does the algorithm go with this kind of key, and the digest with the algorithm? */
static bool fits(const EVP_PKEY *pkey, const struct algorithm *a, struct str data)
{
	if (str_eq(a->name, STR("ed25519")))
		return !a->md && EVP_PKEY_is_a(pkey, "ED25519");
	if (str_eq(a->name, STR("ecdsa")))
		return !a->md && EVP_PKEY_is_a(pkey, "EC") && data.n >= 32 && data.n <= 64;
	return (str_eq(a->name, STR("rsa-pkcs1")) || str_eq(a->name, STR("rsa-pss"))) && a->md &&
		EVP_PKEY_is_a(pkey, "RSA") && data.n == (size_t)EVP_MD_get_size(a->md);
}

int key_sign(const struct key *key, struct str algorithm, struct str data, struct buf *signature,
	struct err *err)
{
	unsigned char out[SIGNATURE_MAX];
	struct algorithm a;
	size_t n = sizeof out;
	bool ok;

	if (parse_algorithm(algorithm, &a, err) < 0)
		return -1;
	if (!fits(key->pkey, &a, data) || (size_t)EVP_PKEY_get_size(key->pkey) > sizeof out)
		return err_set(err, ERR_PERM,
			"cannot sign %zu bytes with \"" STR_F "\" and this key", data.n,
			STR_A(str_head(algorithm, 60)));
	if (str_eq(a.name, STR("ed25519")))
		ok = sign_message(key->pkey, data, out, &n);
	else
		ok = sign_digest(key->pkey, &a, data, out, &n);
	if (!ok)
		return openssl_failed(err, ERR_TEMP, "sign");
	buf_add(signature, str_make(out, n));
	return buf_ok(signature) ? 0 : err_set(err, ERR_LIMIT, "a signature of %zu bytes", n);
}
