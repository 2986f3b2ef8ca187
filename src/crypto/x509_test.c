#include "crypto/tls_test.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

static void a_certificate_says_for_whom_and_how_long(void **state)
{
	struct x509_facts facts = { .names = BUF(1000) };
	struct test_authority authority;
	struct test_identity id;

	(void)state;
	test_authority_make(&authority);
	test_identity_make(&id, KEY_P256, &authority, "localhost,127.0.0.1,::1,*.Example.test");
	assert_int_equal(x509_read(buf_str(&id.chain), &facts, &err), 0);
	assert_true(str_eq(buf_str(&facts.names), STR("localhost,127.0.0.1,::1,*.Example.test")));
	assert_true(facts.from < clock_wall());
	assert_in_range(facts.until - clock_wall(), 29 * 86400, 31 * 86400);
	assert_int_equal(x509_check(buf_str(&id.chain), id.key, &err), 0);
	buf_free(&facts.names);
	test_identity_free(&id);
	test_authority_free(&authority);
}

static void a_chain_must_fit_its_key_and_itself(void **state)
{
	struct test_authority one, two;
	struct test_identity id;
	struct buf mixed = BUF(X509_CHAIN_MAX);
	size_t leaf;

	(void)state;
	test_authority_make(&one);
	test_authority_make(&two);
	test_identity_make(&id, KEY_RSA2048, &one, "a.test");
	assert_int_equal(x509_check(buf_str(&id.chain), one.key, &err), -1);
	assert_non_null(strstr(err.msg, "does not belong"));
	leaf = str_search(buf_str(&id.chain), STR("-----END CERTIFICATE-----\n")) + 26;
	buf_add(&mixed, str_head(buf_str(&id.chain), leaf));
	buf_add(&mixed, buf_str(&two.pem));
	assert_int_equal(x509_check(buf_str(&mixed), id.key, &err), -1);
	assert_non_null(strstr(err.msg, "not signed by the next"));
	buf_free(&mixed);
	test_identity_free(&id);
	test_authority_free(&one);
	test_authority_free(&two);
}

static void names_are_host_names_or_addresses(void **state)
{
	static const char *const bad[] = { "", "a.test,,b.test", "a b", "a.test,email:x@y", "a:b",
		"a.test\n", "a,b.test;c", "x/y" };
	struct buf pem = BUF(X509_CHAIN_MAX);
	struct test_authority authority;

	(void)state;
	test_authority_make(&authority);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_int_equal(x509_make_server(authority.key, str_c(bad[i]), 1, authority.key,
					 buf_str(&authority.pem), &pem, &err),
			-1);
		assert_int_equal(err.kind, ERR_PERM);
	}
	assert_int_equal(pem.n, 0);
	test_authority_free(&authority);
}

static void what_is_no_certificate_is_refused(void **state)
{
	struct x509_facts facts = { .names = BUF(1000) };

	(void)state;
	assert_int_equal(x509_read(STR(""), &facts, &err), -1);
	assert_int_equal(x509_read(STR("nothing"), &facts, &err), -1);
	assert_int_equal(
		x509_read(STR("-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"),
			&facts, &err),
		-1);
	assert_int_equal(err.kind, ERR_PERM);
	buf_free(&facts.names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_certificate_says_for_whom_and_how_long),
		cmocka_unit_test(a_chain_must_fit_its_key_and_itself),
		cmocka_unit_test(names_are_host_names_or_addresses),
		cmocka_unit_test(what_is_no_certificate_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
