#include "crypto/password.h"

#include "crypto/crypto_test.h"

static void derived_keys_of_the_published_examples_match(void **state)
{
	static const struct {
		struct str password, salt;
		uint32_t rounds;
		const char *hex;
	} rows[] = {
		/* RFC 7914 11 */
		{ STR_INIT("passwd"), STR_INIT("salt"), 1,
			"55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc" },
		{ STR_INIT("Password"), STR_INIT("NaCl"), 80000,
			"4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56" },
	};
	unsigned char out[32];
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(pbkdf2(DIGEST_SHA256, rows[i].password, rows[i].salt,
					 rows[i].rounds, out, &err),
			0);
		assert_hex(out, sizeof out, rows[i].hex);
	}
	assert_int_equal(pbkdf2(DIGEST_SHA256, STR("x"), STR("y"), 0, out, &err), -1);
}

static void a_hash_made_by_another_program_is_understood(void **state)
{
	/* From the tests of the reference implementation. */
	struct str text = STR("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$"
			      "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(argon2_check(text, STR("password"), &err), 0);
	assert_true(argon2_is_old(text));
	assert_int_equal(argon2_check(text, STR("Password"), &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
}

static void a_new_hash_fits_its_password_only(void **state)
{
	char one[ARGON2_TEXT], two[ARGON2_TEXT];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(argon2_make(STR("correct horse"), one, &err), 0);
	assert_int_equal(argon2_make(STR("correct horse"), two, &err), 0);
	assert_string_not_equal(one, two); /* each has its own salt */
	assert_true(str_starts(str_c(one), STR("$argon2id$v=19$m=19456,t=2,p=1$")));
	assert_false(argon2_is_old(str_c(one)));
	assert_int_equal(argon2_check(str_c(one), STR("correct horse"), &err), 0);
	assert_int_equal(argon2_check(str_c(one), STR("correct horsf"), &err), -1);
	assert_int_equal(argon2_check(str_c(one), STR(""), &err), -1);
	assert_int_equal(argon2_check(str_c(one), STR("correct horse\0"), &err), -1);
}

static void strange_strings_are_no_hashes(void **state)
{
	static const struct str rows[] = {
		STR_INIT(""),
		STR_INIT("$argon2id$"),
		STR_INIT("$argon2id$v=19$m=,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1a"),
		STR_INIT("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$***"),
		STR_INIT("$argon2id$v=19$m=4294967295,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5Q"),
		STR_INIT("$argon2id$v=19$m=65536,t=4000000000,p=1$c29tZXNhbHQ$"
			 "CTFhFdXPJO1aFaMaO6Mm5Q"),
		STR_INIT("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFh\0"),
	};
	struct err err;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		err = ERR_INIT;
		assert_int_equal(argon2_check(rows[i], STR("password"), &err), -1);
		assert_int_equal(err.kind, ERR_PROTO);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(derived_keys_of_the_published_examples_match),
		cmocka_unit_test(a_hash_made_by_another_program_is_understood),
		cmocka_unit_test(a_new_hash_fits_its_password_only),
		cmocka_unit_test(strange_strings_are_no_hashes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
