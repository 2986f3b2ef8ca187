#include "crypto/digest.h"

#include "crypto/crypto_test.h"

static void digests_of_the_published_examples_match(void **state)
{
	static const struct {
		enum digest_kind kind;
		const char *hex;
	} rows[] = {
		/* FIPS 180-4, the message "abc" */
		{ DIGEST_SHA1, "a9993e364706816aba3e25717850c26c9cd0d89d" },
		{ DIGEST_SHA256,
			"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
		{ DIGEST_SHA512,
			"ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
			"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	};
	unsigned char out[DIGEST_MAX];
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(digest_once(rows[i].kind, STR("abc"), out, &err), 0);
		assert_hex(out, digest_size(rows[i].kind), rows[i].hex);
	}
}

static void pieces_give_what_the_whole_gives(void **state)
{
	unsigned char whole[SHA256_SIZE], pieces[SHA256_SIZE];
	struct err err = ERR_INIT;
	struct digest *d = digest_new(DIGEST_SHA256, &err);

	(void)state;
	assert_non_null(d);
	assert_int_equal(digest_add(d, STR("mail"), &err), 0);
	assert_int_equal(digest_add(d, STR(""), &err), 0);
	assert_int_equal(digest_add(d, STR("box"), &err), 0);
	assert_int_equal(digest_end(d, pieces, &err), 0);
	digest_free(&d);
	digest_free(&d);
	assert_int_equal(digest_once(DIGEST_SHA256, STR("mailbox"), whole, &err), 0);
	assert_memory_equal(whole, pieces, sizeof whole);
}

static void an_unknown_kind_is_refused(void **state)
{
	unsigned char out[DIGEST_MAX];
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(digest_once(DIGEST_KINDS, STR("x"), out, &err), -1);
	assert_null(digest_new(DIGEST_KINDS, &err));
	assert_int_equal(digest_size(DIGEST_KINDS), 0);
}

static void macs_of_the_published_examples_match(void **state)
{
	char key[131], out[SHA256_SIZE];
	struct str parts[] = { STR("what do ya want "), STR("for nothing?") };
	struct str large = STR("Test Using Larger Than Block-Size Key - Hash Key First");

	(void)state;
	/* RFC 4231 4.3 and 4.7 */
	mac_sha256(STR("Jefe"), parts, 2, out);
	assert_hex(out, sizeof out,
		"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	mac_sha256(str_make(key, sizeof key), &large, 1, out);
	assert_hex(out, sizeof out,
		"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_of_the_published_examples_match),
		cmocka_unit_test(pieces_give_what_the_whole_gives),
		cmocka_unit_test(an_unknown_kind_is_refused),
		cmocka_unit_test(macs_of_the_published_examples_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
