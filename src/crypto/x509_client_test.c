#include "crypto/tls_test.h"

#include "crypto/openssl_private.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

struct person {
	const char *names; /* subjectAltName as OpenSSL writes it; NULL: none */
	const char *usage; /* extendedKeyUsage; NULL: any */
	long from, until;  /* seconds from now */
	const char *raw;   /* an rfc822Name of exactly these bytes */
	int raw_n;
	bool weak; /* signed with SHA-1 */
};

#define DAY 86400L
#define GOOD(names)                                                                                \
	{                                                                                          \
		names, NULL, -DAY, DAY, NULL, 0                                                    \
	}

static void extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
}

static void add_raw(X509 *x, const struct person *p)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	GENERAL_NAME *one = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();

	ASN1_STRING_set(text, p->raw, p->raw_n);
	GENERAL_NAME_set0_value(one, GEN_EMAIL, text);
	sk_GENERAL_NAME_push(all, one);
	assert_int_equal(X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0), 1);
	GENERAL_NAMES_free(all);
}

/* A certificate of that authority for that person, as PEM. */
static void make(const struct test_authority *by, const struct person *p, struct buf *pem)
{
	STACK_OF(X509) *chain = x509_parse(buf_str(&by->pem), &err);
	struct key *key = NULL;
	X509 *x = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	long n;

	assert_int_equal(key_generate(KEY_P256, &key, &err), 0);
	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
	X509_gmtime_adj(X509_getm_notBefore(x), p->from);
	X509_gmtime_adj(X509_getm_notAfter(x), p->until);
	X509_set_issuer_name(x, X509_get_subject_name(sk_X509_value(chain, 0)));
	X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
		(const unsigned char *)"boss@example.test", -1, -1, 0);
	X509_set_pubkey(x, key_openssl(key));
	if (p->names)
		extend(x, NID_subject_alt_name, p->names);
	if (p->raw)
		add_raw(x, p);
	if (p->usage)
		extend(x, NID_ext_key_usage, p->usage);
	assert_true(X509_sign(x, key_openssl(by->key), p->weak ? EVP_sha1() : EVP_sha256()) > 0);
	PEM_write_bio_X509(bio, x);
	n = BIO_get_mem_data(bio, &text);
	buf_add(pem, str_make(text, (size_t)n));
	BIO_free(bio);
	X509_free(x);
	key_free(&key);
	x509_chain_free(&chain);
}

static const char *check(const struct test_authority *by, const struct test_authority *trusted,
	const struct person *p)
{
	static char said[400];
	struct buf pem = BUF(X509_CHAIN_MAX), address = BUF(320);

	err = ERR_INIT;
	make(by, p, &pem);
	if (x509_check_client(buf_str(&pem), buf_str(&trusted->pem), &address, &err) == 0)
		snprintf(said, sizeof said, STR_F, STR_A(buf_str(&address)));
	else
		snprintf(said, sizeof said, "%s", err_kind_name(err.kind));
	buf_free(&pem);
	buf_free(&address);
	return said;
}

static void a_certificate_names_its_one_mail_address(void **state)
{
	static const struct {
		struct person p;
		const char *said;
	} rows[] = {
		{ GOOD("email:ann@example.test"), "ann@example.test" },
		{ GOOD("DNS:a.test,email:ann@example.test,IP:127.0.0.1"), "ann@example.test" },
		{ GOOD("otherName:1.3.6.1.5.5.7.8.9;UTF8:\xe4nn@example.test"),
			"\xc3\xa4nn@example.test" },
		{ { "email:ann@example.test", "clientAuth", -DAY, DAY, NULL, 0 },
			"ann@example.test" },
	};
	struct test_authority by;

	(void)state;
	test_authority_make(&by);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(check(&by, &by, &rows[i].p), rows[i].said);
	test_authority_free(&by);
}

static void T027_without_exactly_one_good_address_it_is_nobodys(void **state)
{
	static const struct person rows[] = {
		GOOD(NULL), /* the subject's common name does not count */
		GOOD("DNS:ann.example.test"),
		GOOD("email:ann@example.test,email:bob@example.test"),
		GOOD("email:ann@example.test,email:ann@example.test"),
		GOOD("email:ann@example.test,otherName:1.3.6.1.5.5.7.8.9;UTF8:bob@example.test"),
		GOOD("otherName:1.3.6.1.5.5.7.8.9;IA5:ann@example.test"),
		GOOD("otherName:1.2.3.4;UTF8:ann@example.test"),
		GOOD("email:ann"),
		GOOD("email:@example.test"),
		{ NULL, NULL, -DAY, DAY, "ann@example.test\0.evil.test", 27 },
		{ NULL, NULL, -DAY, DAY, "ann@example.test\n", 17 },
		{ NULL, NULL, -DAY, DAY, "\xe4nn@example.test", 16 },
		{ NULL, NULL, -DAY, DAY, "", 0 },
	};
	struct test_authority by;

	(void)state;
	test_authority_make(&by);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_string_equal(check(&by, &by, &rows[i]), "denied");
	test_authority_free(&by);
}

static void chain_date_purpose_and_strength_are_verified(void **state)
{
	static const struct person good = GOOD("email:ann@example.test"),
				   over = { "email:ann@example.test", NULL, -2 * DAY, -DAY, NULL,
					   0 },
				   early = { "email:ann@example.test", NULL, DAY, 2 * DAY, NULL,
					   0 },
				   server = { "email:ann@example.test", "serverAuth", -DAY, DAY,
					   NULL, 0 },
				   weak = { "email:ann@example.test", NULL, -DAY, DAY, NULL, 0,
					   true };
	struct test_authority by, other;
	struct buf address = BUF(320);

	(void)state;
	test_authority_make(&by);
	test_authority_make(&other);
	assert_string_equal(check(&by, &by, &good), "ann@example.test");
	assert_string_equal(check(&by, &other, &good), "denied");
	assert_string_equal(check(&by, &by, &over), "denied");
	assert_string_equal(check(&by, &by, &early), "denied");
	assert_string_equal(check(&by, &by, &server), "denied");
	assert_string_equal(check(&by, &by, &weak), "denied");
	assert_int_equal(x509_check_client(STR("x"), buf_str(&by.pem), &address, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	test_authority_free(&by);
	test_authority_free(&other);
	buf_free(&address);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_names_its_one_mail_address),
		cmocka_unit_test(T027_without_exactly_one_good_address_it_is_nobodys),
		cmocka_unit_test(chain_date_purpose_and_strength_are_verified),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
