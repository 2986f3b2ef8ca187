/* remote_key.c - private keys that somebody else holds, as an OpenSSL provider.
 *
 * A key is its public half (an ordinary key of the default provider), the name of the private
 * half, and a function that signs. Key management for RSA, EC and Ed25519 answers questions
 * from the public half; the signature operation makes the digest itself and asks the function for
 * the rest. There is no decryption: RSA key transport is impossible.
 *
 * The function may suspend its task in the middle of OpenSSL, and other tasks then use OpenSSL on
 * the same thread. What lies in the error queue at that moment is left over from attempts that
 * OpenSSL has given up (the operation goes on), so it is dropped before the call; whatever others
 * left is dropped after it.
 */
#include "crypto/openssl_private.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROVIDER "eilpost"
#define PARAM_REMOTE "eilpost-remote" /* the bytes of a struct remote pointer */

struct remote {
	atomic_int refs;
	const char *type;
	EVP_PKEY *public;
	char *id; /* NULL: a public key only, imported to be compared */
	size_t id_len;
	key_sign_fn *sign;
	void *arg;
};

/* One thread runs all handshakes; a failure is picked up before anybody else can fail. */
static _Thread_local struct err failure;

bool remote_key_failed(struct err *err)
{
	if (failure.kind == ERR_NONE)
		return false;
	*err = failure;
	failure.kind = ERR_NONE;
	return true;
}

/* ---- key management ---- */

static void *key_new(const char *type)
{
	struct remote *k = calloc(1, sizeof *k);

	if (k) {
		k->refs = 1;
		k->type = type;
	}
	return k;
}

static void *key_new_rsa(void *provider)
{
	(void)provider;
	return key_new("RSA");
}

static void *key_new_ec(void *provider)
{
	(void)provider;
	return key_new("EC");
}

static void *key_new_ed25519(void *provider)
{
	(void)provider;
	return key_new("ED25519");
}

static void key_release(void *key)
{
	struct remote *k = key;

	if (!k || --k->refs)
		return;
	EVP_PKEY_free(k->public);
	free(k->id);
	free(k);
}

static int key_has(const void *key, int selection)
{
	const struct remote *k = key;

	if (!k->public)
		return 0;
	return (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || k->id != NULL;
}

static int key_match(const void *a, const void *b, int selection)
{
	const struct remote *ka = a, *kb = b;

	(void)selection; /* the private halves cannot be compared, and follow from the public ones
			  */
	return ka->public && kb->public && EVP_PKEY_eq(ka->public, kb->public) == 1;
}

/* Somebody else's public key, to be compared with ours. */
static int import_public(struct remote *k, const OSSL_PARAM params[])
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, k->type, "provider=default");
	int ok = ctx && EVP_PKEY_fromdata_init(ctx) > 0 &&
		EVP_PKEY_fromdata(
			ctx, &k->public, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)(uintptr_t)params) > 0;

	EVP_PKEY_CTX_free(ctx);
	return ok;
}

static int key_import_params(void *key, int selection, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, PARAM_REMOTE);
	struct remote *k = key;
	const struct remote *from;

	(void)selection;
	if (!p)
		return import_public(k, params);
	memcpy(&from, p->data, sizeof from);
	k->id = malloc(from->id_len + 1);
	if (!k->id || EVP_PKEY_up_ref(from->public) != 1)
		return 0;
	memcpy(k->id, from->id, from->id_len);
	k->id_len = from->id_len;
	k->public = from->public;
	k->sign = from->sign;
	k->arg = from->arg;
	return 1;
}

static const OSSL_PARAM *key_import_types(int selection)
{
	static const OSSL_PARAM types[] = { { PARAM_REMOTE, OSSL_PARAM_OCTET_STRING, NULL, 0, 0 },
		OSSL_PARAM_END };

	(void)selection;
	return types;
}

static int key_get_params(void *key, OSSL_PARAM params[])
{
	const struct remote *k = key;

	return k->public && EVP_PKEY_get_params(k->public, params);
}

static const OSSL_PARAM *key_gettable_params(void *provider)
{
	static const OSSL_PARAM list[] = { OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0), OSSL_PARAM_END };

	(void)provider;
	return list;
}

static const char *ec_operation(int operation)
{
	return operation == OSSL_OP_SIGNATURE ? "ECDSA" : "EC";
}

/* ---- signatures ---- */

struct signing {
	struct remote *key;
	EVP_MD_CTX *digest;
	const EVP_MD *md; /* NULL: the message itself is signed */
	int padding, salt;
};

static void *sig_new(void *provider, const char *properties)
{
	struct signing *s = calloc(1, sizeof *s);

	(void)provider;
	(void)properties;
	if (s)
		s->padding = RSA_PKCS1_PADDING;
	if (s)
		s->salt = RSA_PSS_SALTLEN_DIGEST;
	return s;
}

static void sig_free(void *ctx)
{
	struct signing *s = ctx;

	if (!s)
		return;
	key_release(s->key);
	EVP_MD_CTX_free(s->digest);
	free(s);
}

static const EVP_MD *md_by_name(const char *name)
{
	static const struct {
		const char *name;
		const EVP_MD *(*md)(void);
	} list[] = { { "SHA256", EVP_sha256 }, { "SHA384", EVP_sha384 }, { "SHA512", EVP_sha512 },
		{ "SHA2-256", EVP_sha256 }, { "SHA2-384", EVP_sha384 },
		{ "SHA2-512", EVP_sha512 } };

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (OPENSSL_strcasecmp(name, list[i].name) == 0)
			return list[i].md();
	return NULL;
}

static int set_padding(struct signing *s, const OSSL_PARAM *p)
{
	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_int(p, &s->padding) &&
			(s->padding == RSA_PKCS1_PADDING || s->padding == RSA_PKCS1_PSS_PADDING);
	s->padding = OPENSSL_strcasecmp(p->data, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0
		? RSA_PKCS1_PSS_PADDING
		: RSA_PKCS1_PADDING;
	return 1;
}

static int set_salt(struct signing *s, const OSSL_PARAM *p)
{
	if (p->data_type != OSSL_PARAM_UTF8_STRING)
		return OSSL_PARAM_get_int(p, &s->salt) && s->salt >= RSA_PSS_SALTLEN_DIGEST &&
			s->salt <= 512;
	s->salt = RSA_PSS_SALTLEN_DIGEST;
	return OPENSSL_strcasecmp(p->data, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
}

static int sig_set_params(void *ctx, const OSSL_PARAM params[])
{
	const OSSL_PARAM *p;
	struct signing *s = ctx;

	if (!params)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p && !set_padding(s, p))
		return 0;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	return !p || set_salt(s, p);
}

static const OSSL_PARAM *sig_settable_params(void *ctx, void *provider)
{
	static const OSSL_PARAM list[] = { OSSL_PARAM_utf8_string(
						   OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0), OSSL_PARAM_END };

	(void)ctx;
	(void)provider;
	return list;
}

static int sig_init(void *ctx, const char *md, void *key, const OSSL_PARAM params[])
{
	struct signing *s = ctx;
	struct remote *k = key;

	if (k && k != s->key) {
		k->refs++;
		key_release(s->key);
		s->key = k;
	}
	if (!s->key || !s->key->sign)
		return 0;
	if (strcmp(s->key->type, "ED25519") != 0) {
		s->md = md_by_name(md && *md ? md : "SHA256");
		if (!s->md)
			return 0;
		if (!s->digest)
			s->digest = EVP_MD_CTX_new();
		if (!s->digest || EVP_DigestInit_ex(s->digest, s->md, NULL) != 1)
			return 0;
	}
	return sig_set_params(s, params);
}

static int sig_update(void *ctx, const unsigned char *data, size_t n)
{
	struct signing *s = ctx;

	return s->digest && EVP_DigestUpdate(s->digest, data, n) == 1;
}

static void name_algorithm(const struct signing *s, char *text, size_t size)
{
	const char *md = s->md ? EVP_MD_get0_name(s->md) : "";
	int salt = s->salt;

	if (strncmp(md, "SHA2-", 5) == 0) /* its other name is "SHA2-256" */
		snprintf(text, size, "SHA%s", md + 5);
	else
		snprintf(text, size, "%s", md);
	if (strcmp(s->key->type, "RSA") == 0) {
		char name[16];

		snprintf(name, sizeof name, "%.15s", text);
		if (salt < 0)
			salt = EVP_MD_get_size(s->md);
		if (s->padding == RSA_PKCS1_PSS_PADDING)
			snprintf(text, size, "rsa-pss:%s:%d", name, salt);
		else
			snprintf(text, size, "rsa-pkcs1:%s", name);
	} else {
		snprintf(text, size, "%s", s->md ? "ecdsa" : "ed25519");
	}
}

/* Here the task may be suspended. */
static int ask(const struct signing *s, struct str data, unsigned char *sig, size_t *n, size_t size)
{
	struct remote *k = s->key;
	struct buf out = BUF(SIGNATURE_MAX);
	struct err err = ERR_INIT;
	char algorithm[48];
	int ok = 0;

	name_algorithm(s, algorithm, sizeof algorithm);
	ERR_clear_error();
	if (k->sign(k->arg, str_make(k->id, k->id_len), str_c(algorithm), data, &out, &err) < 0) {
		failure = err;
	} else if (out.n == 0 || out.n > size) {
		err_set(&failure, ERR_TEMP, "a signature of %zu bytes does not fit", out.n);
	} else {
		memcpy(sig, out.p, out.n);
		*n = out.n;
		ok = 1;
	}
	ERR_clear_error();
	buf_free(&out);
	return ok;
}

static int sig_final(void *ctx, unsigned char *sig, size_t *n, size_t size)
{
	struct signing *s = ctx;
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned len = 0;

	*n = sig ? *n : (size_t)EVP_PKEY_get_size(s->key->public);
	if (!sig)
		return 1;
	if (!s->digest || EVP_DigestFinal_ex(s->digest, digest, &len) != 1)
		return 0;
	return ask(s, str_make(digest, len), sig, n, size);
}

static int sig_whole(void *ctx, unsigned char *sig, size_t *n, size_t size,
	const unsigned char *data, size_t len)
{
	const struct signing *s = ctx;

	if (sig && !s->md)
		return ask(s, str_make(data, len), sig, n, size);
	return (!sig || sig_update(ctx, data, len)) && sig_final(ctx, sig, n, size);
}

/* ---- the provider ---- */

#define FN(f) ((void (*)(void))(f))
#define KEY_FUNCTIONS(make)                                                                        \
	{ OSSL_FUNC_KEYMGMT_NEW, FN(make) }, { OSSL_FUNC_KEYMGMT_FREE, FN(key_release) },          \
		{ OSSL_FUNC_KEYMGMT_HAS, FN(key_has) },                                            \
		{ OSSL_FUNC_KEYMGMT_MATCH, FN(key_match) },                                        \
		{ OSSL_FUNC_KEYMGMT_IMPORT, FN(key_import_params) },                               \
		{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FN(key_import_types) },                          \
		{ OSSL_FUNC_KEYMGMT_GET_PARAMS, FN(key_get_params) },                              \
	{                                                                                          \
		OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FN(key_gettable_params)                         \
	}

static const OSSL_DISPATCH rsa_keys[] = { KEY_FUNCTIONS(key_new_rsa), { 0, NULL } };
static const OSSL_DISPATCH ec_keys[] = { KEY_FUNCTIONS(key_new_ec),
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FN(ec_operation) }, { 0, NULL } };
static const OSSL_DISPATCH ed25519_keys[] = { KEY_FUNCTIONS(key_new_ed25519), { 0, NULL } };

static const OSSL_DISPATCH signatures[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, FN(sig_new) },
	{ OSSL_FUNC_SIGNATURE_FREECTX, FN(sig_free) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FN(sig_init) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, FN(sig_update) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, FN(sig_final) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FN(sig_whole) },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FN(sig_set_params) },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FN(sig_settable_params) },
	{ 0, NULL },
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_cache)
{
#define PROPERTIES "provider=" PROVIDER
	static const OSSL_ALGORITHM keys[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_keys, NULL },
		{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_keys, NULL },
		{ "ED25519:1.3.101.112", PROPERTIES, ed25519_keys, NULL },
		{ NULL, NULL, NULL, NULL },
	};
	static const OSSL_ALGORITHM sigs[] = {
		{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, signatures, NULL },
		{ "ECDSA", PROPERTIES, signatures, NULL },
		{ "ED25519:1.3.101.112", PROPERTIES, signatures, NULL },
		{ NULL, NULL, NULL, NULL },
	};

	(void)provider;
	*no_cache = 0;
	if (operation == OSSL_OP_KEYMGMT)
		return keys;
	return operation == OSSL_OP_SIGNATURE ? sigs : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
	const OSSL_DISPATCH **out, void **context)
{
	static const OSSL_DISPATCH functions[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, FN(query) }, { 0, NULL }
	};

	(void)in;
	*out = functions;
	*context = (void *)(uintptr_t)handle;
	return 1;
}

/* Everything else keeps using the default provider, which has to be named now that it is no
 * longer the only one. Both stay loaded until the process ends. */
static OSSL_PROVIDER *standard, *ours;
static bool loaded;

static void load(void)
{
	standard = OSSL_PROVIDER_load(NULL, "default");
	if (standard && OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) == 1)
		ours = OSSL_PROVIDER_load(NULL, PROVIDER);
	loaded = ours && EVP_set_default_properties(NULL, "?provider=default") == 1;
}

EVP_PKEY *remote_key_new(
	EVP_PKEY *public, struct str id, key_sign_fn *sign, void *arg, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct remote from = { .public = public,
		.id = (char *)(uintptr_t)id.p,
		.id_len = id.n,
		.sign = sign,
		.arg = arg };
	struct remote *at = &from;
	OSSL_PARAM params[] = { OSSL_PARAM_octet_string(PARAM_REMOTE, &at, sizeof at),
		OSSL_PARAM_END };
	EVP_PKEY_CTX *ctx = NULL;
	EVP_PKEY *key = NULL;

	pthread_once(&once, load);
	if (loaded)
		ctx = EVP_PKEY_CTX_new_from_name(
			NULL, EVP_PKEY_get0_type_name(public), "provider=" PROVIDER);
	if (!ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
		EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params) <= 0)
		openssl_failed(err, ERR_PERM, "use a key of this kind that is held elsewhere");
	EVP_PKEY_CTX_free(ctx);
	ERR_clear_error();
	return key;
}
