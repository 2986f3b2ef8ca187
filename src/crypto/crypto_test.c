#include "crypto/crypto.h"

#include "crypto/crypto_test.h"

static void the_libraries_start_more_than_once(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(crypto_init(&err), 0);
	assert_int_equal(crypto_init(&err), 0);
}

static void random_bytes_are_never_the_same_twice(void **state)
{
	char a[32] = { 0 }, b[32] = { 0 };

	(void)state;
	random_bytes(a, sizeof a);
	random_bytes(b, sizeof b);
	assert_memory_not_equal(a, b, sizeof a);
}

static void random_numbers_stay_below_and_reach_every_value(void **state)
{
	unsigned seen = 0;

	(void)state;
	assert_int_equal(random_below(0), 0);
	assert_int_equal(random_below(1), 0);
	for (int i = 0; i < 1000; i++) {
		uint32_t v = random_below(7);

		assert_true(v < 7);
		seen |= 1u << v;
	}
	assert_int_equal(seen, 0x7f);
}

static void equal_means_same_length_and_same_bytes(void **state)
{
	(void)state;
	assert_true(crypto_equal(STR("abc"), STR("abc")));
	assert_true(crypto_equal(STR(""), STR("")));
	assert_false(crypto_equal(STR("abc"), STR("abd")));
	assert_false(crypto_equal(STR("abc"), STR("abcd")));
	assert_false(crypto_equal(STR(""), STR("a")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_libraries_start_more_than_once),
		cmocka_unit_test(random_bytes_are_never_the_same_twice),
		cmocka_unit_test(random_numbers_stay_below_and_reach_every_value),
		cmocka_unit_test(equal_means_same_length_and_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
