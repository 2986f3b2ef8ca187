#include "base/bucket.h"

#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static const struct rate three = { 3, 10 * SECOND };

static struct buckets *make(size_t entries)
{
	struct buckets *b = buckets_new(entries);

	assert_non_null(b);
	return b;
}

/* How many single tokens somebody gets at one moment. */
static int got(struct buckets *b, uint64_t key, int64_t now, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++) {
		if (!buckets_allow(b, key, &three, 1, now))
			continue;
		buckets_take(b, key, &three, 1, now);
		n++;
	}
	return n;
}

static void a_burst_goes_through_and_then_one_at_a_time(void **state)
{
	struct buckets *b = make(64);

	(void)state;
	assert_int_equal(got(b, 7, 0, 10), 3);
	assert_int_equal(got(b, 7, 9 * SECOND, 10), 0);
	assert_int_equal(got(b, 7, 10 * SECOND, 10), 1);
	assert_int_equal(got(b, 8, 10 * SECOND, 10), 3);
	assert_int_equal(got(b, 7, 1000 * SECOND, 10), 3);
	buckets_free(&b);
	buckets_free(&b);
}

static void several_tokens_are_given_whole_or_not_at_all(void **state)
{
	struct buckets *b = make(64);

	(void)state;
	buckets_take(b, 7, &three, 2, 0);
	assert_false(buckets_allow(b, 7, &three, 2, 0));
	assert_true(buckets_allow(b, 7, &three, 1, 0));
	assert_false(buckets_allow(b, 7, &three, 4, 1000 * SECOND));
	buckets_give(b, 7, &three, 2, 0);
	assert_int_equal(got(b, 7, 0, 10), 3);
	buckets_free(&b);
}

static void no_burst_means_no_limit(void **state)
{
	static const struct rate none = { 0, 0 };
	struct buckets *b = make(8);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		assert_true(buckets_allow(b, 7, &none, 1, 0));
		buckets_take(b, 7, &none, 1, 0);
	}
	assert_int_equal(buckets_until(b, 7), 0);
	buckets_free(&b);
}

static void a_flood_of_new_keys_does_not_make_an_empty_bucket_forgotten(void **state)
{
	struct buckets *b = make(1024);
	uint64_t flooder = hash_u64(1);

	(void)state;
	assert_int_equal(got(b, flooder, 0, 10), 3);
	for (uint64_t other = 2; other < 100000; other++)
		buckets_take(b, hash_u64(other), &three, 1, 0);
	assert_int_equal(got(b, flooder, 0, 10), 0);
	buckets_free(&b);
}

static void what_is_remembered_ends_at_its_time(void **state)
{
	struct buckets *b = make(8);

	(void)state;
	assert_int_equal(buckets_until(b, 9), 0);
	buckets_set(b, 9, 50);
	assert_int_equal(buckets_until(b, 9), 50);
	for (uint64_t k = 100; k < 107; k++) /* seven more fit */
		buckets_set(b, k, 100);
	assert_int_equal(buckets_until(b, 9), 50);
	buckets_set(b, 200, 100); /* the one that ends first makes room */
	assert_int_equal(buckets_until(b, 9), 0);
	assert_int_equal(buckets_until(b, 100), 100);
	buckets_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_burst_goes_through_and_then_one_at_a_time),
		cmocka_unit_test(several_tokens_are_given_whole_or_not_at_all),
		cmocka_unit_test(no_burst_means_no_limit),
		cmocka_unit_test(a_flood_of_new_keys_does_not_make_an_empty_bucket_forgotten),
		cmocka_unit_test(what_is_remembered_ends_at_its_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
