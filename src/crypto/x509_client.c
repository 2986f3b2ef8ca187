/* Certificates that people log in with (RFC 5280, RFC 8398). */
#include "crypto/crypto.h"
#include "crypto/openssl_private.h"
#include "crypto/x509.h"

#include "base/utf8.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum {
	ADDRESS_MAX = 320,
	STRENGTH = 2 /* OpenSSL's level of 112 bits: no SHA-1, no RSA below 2048 */
};

static int refuse(struct err *err, const char *why)
{
	return err_set(err, ERR_DENIED, "the client's certificate is refused: %s", why);
}

/* RFC 8398 3: an otherName that holds the UTF-8 form of an address. */
static const ASN1_STRING *utf8_mailbox(const GENERAL_NAME *name)
{
	ASN1_OBJECT *type = NULL;
	ASN1_TYPE *value = NULL;

	if (GENERAL_NAME_get0_otherName(name, &type, &value) != 1 ||
		OBJ_obj2nid(type) != NID_id_on_SmtpUTF8Mailbox ||
		ASN1_TYPE_get(value) != V_ASN1_UTF8STRING)
		return NULL;
	return value->value.utf8string;
}

static bool address_like(struct str s)
{
	struct str local, domain;

	for (size_t i = 0; i < s.n; i++)
		if (is_ctl(s.p[i]) || s.p[i] == ' ') /* T027: NUL among them */
			return false;
	return s.n <= ADDRESS_MAX && utf8_valid(s) && str_rcut(s, '@', &local, &domain) &&
		local.n > 0 && domain.n > 0;
}

/* T027: exactly one address, or none at all counts. */
static int read_address(X509 *leaf, struct buf *address, struct err *err)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	const ASN1_STRING *found = NULL;
	struct str text;
	int count = 0, r = -1;

	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(all, i);
		const ASN1_STRING *one =
			name->type == GEN_EMAIL ? name->d.rfc822Name : utf8_mailbox(name);

		count += one != NULL;
		found = one ? one : found;
	}
	if (count != 1) {
		refuse(err, count ? "it names several mail addresses" : "it names no mail address");
	} else {
		text = str_make(ASN1_STRING_get0_data(found), (size_t)ASN1_STRING_length(found));
		if (address_like(text)) {
			buf_add(address, text);
			r = buf_ok(address) ? 0 : refuse(err, "its mail address is too long");
		} else {
			refuse(err, "it names something that is no mail address");
		}
	}
	GENERAL_NAMES_free(all);
	return r;
}

static X509_STORE *store_of(STACK_OF(X509) * authorities)
{
	X509_STORE *store = X509_STORE_new();

	for (int i = 0; store && i < sk_X509_num(authorities); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(authorities, i)) != 1) {
			X509_STORE_free(store);
			return NULL;
		}
	return store;
}

/* RFC 5280 6, with today's date, for the purpose of a TLS client. */
static int verify(STACK_OF(X509) * chain, STACK_OF(X509) * authorities, struct err *err)
{
	X509_STORE *store = store_of(authorities);
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	int r = -1;

	if (!store || !ctx ||
		X509_STORE_CTX_init(ctx, store, sk_X509_value(chain, 0), chain) != 1 ||
		X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) != 1) {
		err_set(err, ERR_TEMP, "cannot verify a certificate: out of memory");
		goto out;
	}
	/* Without a word there is no lower bound outside of a handshake. */
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), STRENGTH);
	if (X509_verify_cert(ctx) == 1)
		r = 0;
	else
		refuse(err, X509_verify_cert_error_string(X509_STORE_CTX_get_error(ctx)));
out:
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	return r;
}

int x509_check_client(
	struct str chain, struct str authorities, struct buf *address, struct err *err)
{
	STACK_OF(X509) *shown = x509_parse(chain, err);
	STACK_OF(X509) *trusted = shown ? x509_parse(authorities, err) : NULL;
	int r = -1;

	if (trusted && verify(shown, trusted, err) == 0)
		r = read_address(sk_X509_value(shown, 0), address, err);
	x509_chain_free(&shown);
	x509_chain_free(&trusted);
	ERR_clear_error();
	return r;
}
