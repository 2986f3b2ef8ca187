#include "crypto/digest.h"
#include "crypto/key.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <cmocka.h>

static struct err err;

/* A second opinion on a signature, by the library itself and from the public half alone. */
static bool verifies(
	const struct key *key, struct str algorithm, struct str message, struct str sig)
{
	struct buf der = BUF(4096);
	const unsigned char *p;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx = NULL;
	EVP_PKEY *public;
	bool ed = str_eq(algorithm, STR("ed25519")), ok;

	assert_int_equal(key_public(key, &der, &err), 0);
	p = (const unsigned char *)der.p;
	public = d2i_PUBKEY(NULL, &p, (long)der.n);
	assert_non_null(public);
	ok = EVP_DigestVerifyInit(ctx, &pctx, ed ? NULL : EVP_sha256(), NULL, public) == 1;
	if (str_starts(algorithm, STR("rsa-pss")))
		ok = ok && EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
			EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, 32) == 1;
	ok = ok &&
		EVP_DigestVerify(ctx, (const unsigned char *)sig.p, sig.n,
			(const unsigned char *)message.p, message.n) == 1;
	EVP_PKEY_free(public);
	EVP_MD_CTX_free(ctx);
	buf_free(&der);
	return ok;
}

static void signs_and_verifies(enum key_type type, struct str algorithm)
{
	struct buf sig = BUF(SIGNATURE_MAX);
	struct str message = STR("what is to be signed"), data = message;
	unsigned char digest[SHA256_SIZE];
	struct key *key = NULL;

	assert_int_equal(key_generate(type, &key, &err), 0);
	if (!str_eq(algorithm, STR("ed25519"))) {
		assert_int_equal(digest_once(DIGEST_SHA256, message, digest, &err), 0);
		data = str_make(digest, sizeof digest);
	}
	assert_int_equal(key_sign(key, algorithm, data, &sig, &err), 0);
	assert_true(verifies(key, algorithm, message, buf_str(&sig)));
	assert_false(verifies(key, algorithm, STR("something else"), buf_str(&sig)));
	buf_free(&sig);
	key_free(&key);
	key_free(&key);
}

static void every_kind_of_key_signs(void **state)
{
	(void)state;
	signs_and_verifies(KEY_P256, STR("ecdsa"));
	signs_and_verifies(KEY_ED25519, STR("ed25519"));
	signs_and_verifies(KEY_RSA2048, STR("rsa-pkcs1:SHA256"));
	signs_and_verifies(KEY_RSA2048, STR("rsa-pss:SHA256:32"));
}

static void a_key_signs_only_what_fits_it(void **state)
{
	static const struct {
		enum key_type type;
		const char *algorithm;
		size_t n;
	} bad[] = { { KEY_P256, "ed25519", 32 }, { KEY_P256, "rsa-pkcs1:SHA256", 32 },
		{ KEY_P256, "ecdsa", 20 }, { KEY_P256, "ecdsa:SHA256", 32 }, { KEY_P256, "", 32 },
		{ KEY_ED25519, "ecdsa", 32 }, { KEY_RSA2048, "rsa-pkcs1:SHA256", 31 },
		{ KEY_RSA2048, "rsa-pkcs1:SHA1", 20 }, { KEY_RSA2048, "rsa-pkcs1", 32 },
		{ KEY_RSA2048, "rsa-pss:SHA256:-1", 32 },
		{ KEY_RSA2048, "rsa-pss:SHA256:9999", 32 } };
	struct buf sig = BUF(SIGNATURE_MAX);
	struct key *keys[3] = { NULL };
	char data[64] = { 0 };

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(key_generate((enum key_type)i, &keys[i], &err), 0);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(key_sign(keys[bad[i].type], str_c(bad[i].algorithm),
					 str_make(data, bad[i].n), &sig, &err),
			-1);
		assert_int_equal(err.kind, ERR_PERM);
	}
	assert_int_equal(sig.n, 0);
	for (int i = 0; i < 3; i++)
		key_free(&keys[i]);
}

static void keys_survive_export_and_import(void **state)
{
	struct buf before = BUF(4096), after = BUF(4096);

	(void)state;
	for (int type = 0; type < 3; type++)
		for (int form = 0; form < 2; form++) {
			struct secret text = SECRET_NONE;
			struct key *key = NULL, *again = NULL;

			assert_int_equal(key_generate((enum key_type)type, &key, &err), 0);
			assert_int_equal(key_export(key, (enum key_form)form, &text, &err), 0);
			assert_int_equal(key_import(secret_reveal(&text), &again, &err), 0);
			buf_clear(&before);
			buf_clear(&after);
			assert_int_equal(key_public(key, &before, &err), 0);
			assert_int_equal(key_public(again, &after, &err), 0);
			assert_true(str_eq(buf_str(&before), buf_str(&after)));
			secret_free(&text);
			key_free(&key);
			key_free(&again);
		}
	buf_free(&before);
	buf_free(&after);
}

static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
				"MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhR9ZJw59qsaQICCAAw\n"
				"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEDxgt0s9TMCWasGA+G5gRG8EQNhX\n"
				"8emmcKM3V8IHxfCR8XLwqJ3A5qTsWM9373xzIEwYNPf9NI0QeS0Vjm7HXp72bidj\n"
				"xpCmKMmsECtvoCQIBGA=\n"
				"-----END ENCRYPTED PRIVATE KEY-----\n";

static void what_is_no_usable_key_is_refused(void **state)
{
	struct key *key = NULL;
	char nul[100] = { 0 };

	(void)state;
	assert_int_equal(key_import(STR(""), &key, &err), -1);
	assert_int_equal(key_import(STR("no key at all"), &key, &err), -1);
	assert_int_equal(key_import(str_make(nul, sizeof nul), &key, &err), -1);
	assert_int_equal(
		key_import(STR("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
			&key, &err),
		-1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_int_equal(key_import(str_c(encrypted), &key, &err), -1);
	assert_non_null(strstr(err.msg, "encrypted"));
	assert_null(key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_of_key_signs),
		cmocka_unit_test(a_key_signs_only_what_fits_it),
		cmocka_unit_test(keys_survive_export_and_import),
		cmocka_unit_test(what_is_no_usable_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
