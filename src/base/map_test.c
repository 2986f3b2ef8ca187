#include "base/hash.h"
#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void siphash_gives_the_published_values(void **state)
{
	char in[15];

	(void)state;
	for (size_t i = 0; i < sizeof in; i++)
		in[i] = (char)i;
	assert_true(siphash(0x0706050403020100, 0x0f0e0d0c0b0a0908, str_make(in, 15)) ==
		0xa129ca6149be45e5);
	assert_true(siphash(0x0706050403020100, 0x0f0e0d0c0b0a0908, STR("")) == 0x726fdb47dd0e0e31);
}

static void stored_hashes_never_change(void **state)
{
	(void)state;
	assert_true(hash_fixed(STR("<a@b>")) == hash_fixed(STR("<a@b>")));
	assert_true(hash_fixed(STR("<a@b>")) == UINT64_C(0xe4195f514927ba46));
	assert_true(hash_bytes(STR("x")) == hash_bytes(STR("x")));
}

static void what_is_put_is_found_until_it_is_deleted(void **state)
{
	static char keys[5000][8];
	struct map m = MAP(5000);
	size_t pos = 0, seen = 0;

	(void)state;
	for (size_t i = 0; i < 5000; i++) {
		snprintf(keys[i], sizeof keys[i], "k%zu", i);
		assert_true(map_put(&m, str_c(keys[i]), keys[i]));
	}
	assert_false(map_put(&m, STR("one more"), keys));
	assert_true(map_put(&m, STR("k7"), keys)); /* replacing needs no room */
	assert_ptr_equal(map_get(&m, STR("k7")), keys);
	for (size_t i = 0; i < 5000; i += 2)
		assert_non_null(map_del(&m, str_c(keys[i])));
	for (size_t i = 0; i < 5000; i++)
		assert_true(!map_get(&m, str_c(keys[i])) == (i % 2 == 0));
	while (map_next(&m, &pos))
		seen++;
	assert_int_equal(seen, 2500);
	assert_null(map_del(&m, STR("k0")));
	map_free(&m);
	map_free(&m);
	assert_null(map_get(&m, STR("k1")));
}

static void numbers_and_words_do_not_meet(void **state)
{
	struct map m = MAP(10);
	char a, b, c;

	(void)state;
	assert_true(map_put_u64(&m, 0, &a));
	assert_true(map_put(&m, STR(""), &b));
	assert_true(map_put_u64(&m, UINT64_MAX, &c));
	assert_ptr_equal(map_get_u64(&m, 0), &a);
	assert_ptr_equal(map_get(&m, STR("")), &b);
	assert_ptr_equal(map_get(&m, (struct str){ NULL, 0 }), &b);
	assert_ptr_equal(map_del_u64(&m, UINT64_MAX), &c);
	assert_null(map_get_u64(&m, UINT64_MAX));
	map_free(&m);
}

static void coming_and_going_does_not_grow_the_table(void **state)
{
	struct map m = MAP(100);
	char v;

	(void)state;
	for (uint64_t i = 0; i < 100000; i++) {
		assert_true(map_put_u64(&m, i, &v));
		if (i >= 10)
			assert_ptr_equal(map_del_u64(&m, i - 10), &v);
	}
	assert_int_equal(m.n, 10);
	assert_true(m.cap <= 64);
	map_free(&m);
}

static void entries_may_be_deleted_while_walking(void **state)
{
	uint64_t v[200];
	struct map m = MAP(200);
	const uint64_t *at;
	size_t pos = 0, seen = 0;

	(void)state;
	for (uint64_t i = 0; i < 200; i++) {
		v[i] = i;
		assert_true(map_put_u64(&m, i, &v[i]));
	}
	while ((at = map_next(&m, &pos))) {
		assert_non_null(map_del_u64(&m, *at));
		seen++;
	}
	assert_int_equal(seen, 200);
	assert_int_equal(m.n, 0);
	map_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siphash_gives_the_published_values),
		cmocka_unit_test(stored_hashes_never_change),
		cmocka_unit_test(what_is_put_is_found_until_it_is_deleted),
		cmocka_unit_test(numbers_and_words_do_not_meet),
		cmocka_unit_test(coming_and_going_does_not_grow_the_table),
		cmocka_unit_test(entries_may_be_deleted_while_walking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
