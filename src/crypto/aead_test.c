#include "crypto/aead.h"

#include "crypto/crypto_test.h"

static void make_key(struct secret *key, unsigned char first)
{
	struct err err = ERR_INIT;

	assert_int_equal(secret_alloc(key, AEAD_KEY, &err), 0);
	for (int i = 0; i < AEAD_KEY; i++)
		key->p[i] = (char)(first + i);
}

/* draft-irtf-cfrg-xchacha-03 A.3.1 */
static void the_published_example_opens(void **state)
{
	static const char hex[] = "404142434445464748494a4b4c4d4e4f5051525354555657"
				  "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb"
				  "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452"
				  "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9"
				  "21f9664c97637da9768812f615c68b13b52e"
				  "c0875924c1c7987947deafd8780acf49";
	struct buf sealed = BUF(256);
	struct secret key = SECRET_NONE, plain = SECRET_NONE;
	struct err err = ERR_INIT;

	(void)state;
	make_key(&key, 0x80);
	assert_true(hex_decode(str_c(hex), &sealed));
	assert_int_equal(aead_open(&key, STR("\x50\x51\x52\x53\xc0\xc1\xc2\xc3\xc4\xc5\xc6\xc7"),
				 buf_str(&sealed), &plain, &err),
		0);
	assert_true(secret_eq(&plain,
		STR("Ladies and Gentlemen of the class of '99: If I could "
		    "offer you only one tip for the future, sunscreen would "
		    "be it.")));
	secret_free(&plain);
	secret_free(&key);
	buf_free(&sealed);
}

static void what_was_sealed_opens_and_is_never_sealed_alike(void **state)
{
	static const struct str texts[] = { STR_INIT(""), STR_INIT("a key") };
	struct secret key = SECRET_NONE, plain = SECRET_NONE;
	struct err err = ERR_INIT;

	(void)state;
	make_key(&key, 1);
	for (size_t i = 0; i < 2; i++) {
		struct buf one = BUF(64), two = BUF(64);

		assert_int_equal(aead_seal(&key, STR("tls"), texts[i], &one, &err), 0);
		assert_int_equal(aead_seal(&key, STR("tls"), texts[i], &two, &err), 0);
		assert_int_equal(one.n, texts[i].n + AEAD_EXTRA);
		assert_false(str_eq(buf_str(&one), buf_str(&two)));
		assert_int_equal(aead_open(&key, STR("tls"), buf_str(&one), &plain, &err), 0);
		assert_true(secret_eq(&plain, texts[i]));
		secret_free(&plain);
		buf_free(&one);
		buf_free(&two);
	}
	secret_free(&key);
}

static void any_change_is_noticed(void **state)
{
	struct secret key = SECRET_NONE, other = SECRET_NONE, plain = SECRET_NONE;
	struct buf b = BUF(64);
	struct err err = ERR_INIT;

	(void)state;
	make_key(&key, 1);
	make_key(&other, 2);
	assert_int_equal(aead_seal(&key, STR("ann"), STR("secret"), &b, &err), 0);
	assert_int_equal(aead_open(&key, STR("joe"), buf_str(&b), &plain, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(aead_open(&other, STR("ann"), buf_str(&b), &plain, &err), -1);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 1;
		assert_int_equal(aead_open(&key, STR("ann"), buf_str(&b), &plain, &err), -1);
		assert_null(plain.p);
		b.p[i] ^= 1;
		assert_int_equal(
			aead_open(&key, STR("ann"), str_head(buf_str(&b), i), &plain, &err), -1);
	}
	buf_free(&b);
	secret_free(&key);
	secret_free(&other);
}

static void a_short_key_and_a_full_buffer_are_refused(void **state)
{
	struct secret key = SECRET_NONE, tiny = SECRET_NONE;
	struct buf b = BUF(AEAD_EXTRA + 3);
	struct err err = ERR_INIT;

	(void)state;
	make_key(&key, 1);
	assert_int_equal(secret_alloc(&tiny, AEAD_KEY - 1, &err), 0);
	assert_int_equal(aead_seal(&tiny, STR(""), STR("x"), &b, &err), -1);
	assert_int_equal(aead_seal(&key, STR(""), STR("four"), &b, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_free(&b);
	secret_free(&key);
	secret_free(&tiny);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_example_opens),
		cmocka_unit_test(what_was_sealed_opens_and_is_never_sealed_alike),
		cmocka_unit_test(any_change_is_noticed),
		cmocka_unit_test(a_short_key_and_a_full_buffer_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
