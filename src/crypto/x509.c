#include "crypto/x509.h"

#include "crypto/crypto.h"
#include "crypto/openssl_private.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

enum { CERTIFICATES_MAX = 16, NAMES_MAX = 100, SERIAL_BYTES = 16, HOST_MAX = 253 };

/* ---- reading ---- */

void x509_chain_free(STACK_OF(X509) * *chain)
{
	sk_X509_pop_free(*chain, X509_free);
	*chain = NULL;
}

static void read_pem(BIO *bio, STACK_OF(X509) * chain)
{
	X509 *x;

	while (sk_X509_num(chain) < CERTIFICATES_MAX &&
		(x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (!sk_X509_push(chain, x))
			X509_free(x);
}

static void read_der(struct str der, STACK_OF(X509) * chain)
{
	const unsigned char *p = (const unsigned char *)der.p;
	X509 *x = d2i_X509(NULL, &p, (long)der.n);

	if (x && !sk_X509_push(chain, x))
		X509_free(x);
}

STACK_OF(X509) * x509_parse(struct str text, struct err *err)
{
	STACK_OF(X509) *chain = NULL;
	BIO *bio = NULL;

	if (crypto_init(err) < 0)
		return NULL;
	if (text.n == 0 || text.n > X509_CHAIN_MAX) {
		err_set(err, ERR_PERM, "a certificate chain has 1 to %d bytes, not %zu",
			(int)X509_CHAIN_MAX, text.n);
		return NULL;
	}
	chain = sk_X509_new_null();
	bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (chain && bio)
		read_pem(bio, chain);
	if (chain && sk_X509_num(chain) == 0)
		read_der(text, chain);
	BIO_free(bio);
	ERR_clear_error(); /* the end of the PEM text counts as an error */
	if (sk_X509_num(chain) > 0)
		return chain;
	err_set(err, ERR_PERM, "there is no certificate in it");
	x509_chain_free(&chain);
	return NULL;
}

static bool host_like(struct str s)
{
	if (s.n == 0 || s.n > HOST_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && s.p[i] != '-' && s.p[i] != '.' && s.p[i] != '_' &&
			!(s.p[i] == '*' && i == 0))
			return false;
	return true;
}

static void add_name(struct buf *names, struct str name)
{
	if (names->n)
		buf_addc(names, ',');
	buf_add(names, name);
}

static void add_general_name(struct buf *names, const GENERAL_NAME *name)
{
	char text[INET6_ADDRSTRLEN];
	int type, n;
	const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
	const unsigned char *p = ASN1_STRING_get0_data(value);

	n = ASN1_STRING_length(value);
	if (type == GEN_DNS && host_like(str_make(p, (size_t)n)))
		add_name(names, str_make(p, (size_t)n));
	else if (type == GEN_IPADD && (n == 4 || n == 16) &&
		inet_ntop(n == 4 ? AF_INET : AF_INET6, p, text, sizeof text))
		add_name(names, str_c(text));
}

static void add_names(X509 *leaf, struct buf *names)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);

		if (name->type == GEN_DNS || name->type == GEN_IPADD)
			add_general_name(names, name);
	}
	GENERAL_NAMES_free(all);
}

static int64_t seconds(const ASN1_TIME *t)
{
	struct tm tm = { 0 };

	return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

int x509_read(struct str text, struct x509_facts *facts, struct err *err)
{
	STACK_OF(X509) *chain = x509_parse(text, err);
	X509 *leaf;

	if (!chain)
		return -1;
	leaf = sk_X509_value(chain, 0);
	facts->from = seconds(X509_get0_notBefore(leaf));
	facts->until = seconds(X509_get0_notAfter(leaf));
	add_names(leaf, &facts->names);
	x509_chain_free(&chain);
	ERR_clear_error();
	if (buf_ok(&facts->names))
		return 0;
	return err_set(err, ERR_LIMIT, "the names of the certificate take more than %zu bytes",
		facts->names.max);
}

int x509_check(struct str text, const struct key *key, struct err *err)
{
	STACK_OF(X509) *chain = x509_parse(text, err);
	int r = -1, i;

	if (!chain)
		return -1;
	for (i = 0; i + 1 < sk_X509_num(chain); i++)
		if (X509_verify(sk_X509_value(chain, i),
			    X509_get0_pubkey(sk_X509_value(chain, i + 1))) != 1)
			break;
	if (i + 1 < sk_X509_num(chain))
		err_set(err, ERR_PERM,
			"certificate %d of the chain is not signed by the next one; the server's "
			"own "
			"comes first",
			i + 1);
	else if (EVP_PKEY_eq(X509_get0_pubkey(sk_X509_value(chain, 0)), key_openssl(key)) != 1)
		err_set(err, ERR_PERM, "the private key does not belong to the certificate");
	else
		r = 0;
	ERR_clear_error();
	x509_chain_free(&chain);
	return r;
}

/* ---- making ---- */

static bool add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;
	bool ok;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	ok = ext && X509_add_ext(x, ext, -1) == 1;
	X509_EXTENSION_free(ext);
	return ok;
}

/* RFC 5280 4.1.2.2: positive, unique, at most 20 bytes. */
static bool set_serial(X509 *x)
{
	unsigned char bytes[SERIAL_BYTES];
	BIGNUM *n;
	bool ok;

	random_bytes(bytes, sizeof bytes);
	bytes[0] = (bytes[0] & 0x7f) | 0x40;
	n = BN_bin2bn(bytes, sizeof bytes, NULL);
	ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
	BN_free(n);
	return ok;
}

static bool set_subject(X509 *x, struct str name)
{
	X509_NAME *n = X509_NAME_new();
	bool ok = n &&
		X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8,
			(const unsigned char *)name.p, (int)name.n, -1, 0) == 1 &&
		X509_set_subject_name(x, n) == 1;

	X509_NAME_free(n);
	return ok;
}

/* All that an authority's and a server's certificate have in common. An hour of leeway for clocks
 * that are slow. */
static X509 *begin(const struct key *key, struct str subject, unsigned days, X509 *issuer)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
		X509_gmtime_adj(X509_getm_notBefore(x), -3600) &&
		X509_time_adj_ex(X509_getm_notAfter(x), (int)days, 0, NULL) &&
		set_subject(x, str_head(subject, 64)) &&
		X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x)) == 1 &&
		X509_set_pubkey(x, key_openssl(key)) == 1)
		return x;
	X509_free(x);
	return NULL;
}

static bool sign(X509 *x, const struct key *key)
{
	const EVP_MD *md = EVP_PKEY_is_a(key_openssl(key), "ED25519") ? NULL : EVP_sha256();

	return X509_sign(x, key_openssl(key), md) > 0;
}

static int write_pem(X509 *x, struct buf *pem, struct err *err)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *p = NULL;
	long n = 0;

	if (bio && PEM_write_bio_X509(bio, x) == 1)
		n = BIO_get_mem_data(bio, &p);
	buf_add(pem, str_make(p, (size_t)n));
	BIO_free(bio);
	if (n > 0 && buf_ok(pem))
		return 0;
	return openssl_failed(err, ERR_TEMP, "write a certificate");
}

int x509_make_authority(
	const struct key *key, struct str name, unsigned days, struct buf *pem, struct err *err)
{
	X509 *x = begin(key, name, days, NULL);
	int r = -1;

	if (x && add_extension(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		add_extension(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		add_extension(x, x, NID_subject_key_identifier, "hash") && sign(x, key))
		r = write_pem(x, pem, err);
	else
		openssl_failed(err, ERR_TEMP, "make an authority");
	X509_free(x);
	ERR_clear_error();
	return r;
}

/* "DNS:a.test,IP:192.0.2.1" from "a.test,192.0.2.1". Each name is checked, so none can smuggle in
 * something else by way of OpenSSL's little language. */
static int alternative_names(struct str names, struct buf *out, struct err *err)
{
	unsigned char ip[16];
	char z[HOST_MAX + 1];

	for (size_t i = 0; names.n; i++) {
		struct str name = str_word(&names, ',');

		if (!str_z(name, z, sizeof z) || i >= NAMES_MAX)
			return err_set(err, ERR_PERM, "a name of a certificate is too long");
		if (i)
			buf_addc(out, ',');
		if (inet_pton(AF_INET, z, ip) == 1 || inet_pton(AF_INET6, z, ip) == 1)
			buf_addz(out, "IP:");
		else if (host_like(name))
			buf_addz(out, "DNS:");
		else
			return err_set(
				err, ERR_PERM, "\"%s\" is neither a host name nor an address", z);
		buf_add(out, name);
	}
	buf_addc(out, '\0');
	return out->n > 1 && buf_ok(out) ? 0 : err_set(err, ERR_PERM, "a certificate needs a name");
}

static bool finish(X509 *x, X509 *issuer, const char *names, const struct key *authority_key)
{
	return add_extension(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
		add_extension(x, issuer, NID_key_usage, "critical,digitalSignature") &&
		add_extension(x, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
		add_extension(x, issuer, NID_subject_alt_name, names) &&
		add_extension(x, issuer, NID_subject_key_identifier, "hash") &&
		add_extension(x, issuer, NID_authority_key_identifier, "keyid") &&
		sign(x, authority_key);
}

int x509_make_server(const struct key *key, struct str names, unsigned days,
	const struct key *authority_key, struct str authority, struct buf *pem, struct err *err)
{
	struct buf alt = BUF(NAMES_MAX * (HOST_MAX + 8));
	STACK_OF(X509) *chain = x509_parse(authority, err);
	X509 *x = NULL, *issuer;
	struct str first = names;
	int r = -1;

	if (!chain || alternative_names(names, &alt, err) < 0)
		goto out;
	issuer = sk_X509_value(chain, 0);
	x = begin(key, str_word(&first, ','), days, issuer);
	if (!x || !finish(x, issuer, alt.p, authority_key))
		openssl_failed(err, ERR_TEMP, "make a certificate");
	else if (write_pem(x, pem, err) == 0 && write_pem(issuer, pem, err) == 0)
		r = 0;
out:
	X509_free(x);
	x509_chain_free(&chain);
	buf_free(&alt);
	ERR_clear_error();
	return r;
}
