#include "auth/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static const struct str ann = STR_INIT("ann@example.test");
static const struct str home = STR_INIT("192.0.2.1");

static struct limits *make(const struct limits_rules *rules)
{
	struct err err = ERR_INIT;
	struct limits *l = limits_new(rules, &err);

	assert_non_null(l);
	return l;
}

/* How many of `tries` attempts at one moment get through. */
static int passed(struct limits *l, int64_t now, struct str who, struct str from, int tries)
{
	int n = 0;

	for (int i = 0; i < tries; i++)
		n += limits_take(l, now, who, from) == LIMITS_OK;
	return n;
}

static void an_account_allows_a_few_guesses_then_one_at_a_time(void **state)
{
	static const struct limits_rules rules = { .account = { 3, 10 * SECOND } };
	struct limits *l = make(&rules);

	(void)state;
	assert_int_equal(passed(l, 0, ann, home, 10), 3);
	assert_int_equal(limits_take(l, 9 * SECOND, ann, STR("198.51.100.9")), LIMITS_ACCOUNT);
	assert_int_equal(limits_take(l, 10 * SECOND, STR("ANN@example.test"), home), LIMITS_OK);
	assert_int_equal(limits_take(l, 10 * SECOND, ann, home), LIMITS_ACCOUNT);
	assert_int_equal(limits_take(l, 10 * SECOND, STR("joe@example.test"), home), LIMITS_OK);
	assert_int_equal(passed(l, 1000 * SECOND, ann, home, 10), 3);
	limits_free(&l);
	limits_free(&l);
}

static void a_right_password_costs_nothing(void **state)
{
	static const struct limits_rules rules = { .account = { 2, SECOND },
		.address = { 2, SECOND },
		.network = { 2, SECOND },
		.known = { 2, SECOND },
		.everyone = { 2, SECOND } };
	struct limits *l = make(&rules);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(limits_take(l, 0, ann, home), LIMITS_OK);
		limits_give_back(l, 0, ann, home);
	}
	for (int i = 0; i < 100; i++) {
		assert_int_equal(limits_take(l, 0, STR("joe@example.test"), home), LIMITS_OK);
		limits_undo(l, 0, STR("joe@example.test"), home);
	}
	limits_free(&l);
}

static void networks_are_counted_by_address_and_by_neighbourhood(void **state)
{
	static const struct limits_rules rules = { .address = { 2, SECOND },
		.network = { 5, SECOND } };
	static const struct {
		struct str one, near, near2, far;
	} rows[] = {
		{ STR_INIT("192.0.2.1"), STR_INIT("192.0.2.77"), STR_INIT("192.0.2.78"),
			STR_INIT("192.0.3.1") },
		{ STR_INIT("2001:db8:1:1::1"), STR_INIT("2001:db8:1:2::1"),
			STR_INIT("2001:db8:1:3::1"), STR_INIT("2001:db8:2:1::1") },
		{ STR_INIT("::ffff:198.51.100.1"), STR_INIT("198.51.100.2"),
			STR_INIT("198.51.100.3"), STR_INIT("198.51.101.1") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct limits *l = make(&rules);

		assert_int_equal(passed(l, 0, ann, rows[i].one, 3), 2);
		assert_int_equal(limits_take(l, 0, ann, rows[i].one), LIMITS_ADDRESS);
		assert_int_equal(passed(l, 0, ann, rows[i].near, 3), 2);
		assert_int_equal(passed(l, 0, ann, rows[i].near2, 3), 1);
		assert_int_equal(limits_take(l, 0, ann, rows[i].near2), LIMITS_NETWORK);
		assert_int_equal(passed(l, 0, ann, rows[i].far, 3), 2);
		limits_free(&l);
	}
}

static void one_ipv6_customer_is_one_address(void **state)
{
	static const struct limits_rules rules = { .address = { 2, SECOND } };
	struct limits *l = make(&rules);

	(void)state;
	assert_int_equal(passed(l, 0, ann, STR("2001:db8:1:1::1"), 2), 2);
	assert_int_equal(limits_take(l, 0, ann, STR("2001:db8:1:1:ffff::2")), LIMITS_ADDRESS);
	limits_free(&l);
}

/* T029: many machines guess at 500 a second for ten minutes. Of a list of 10^6 they get through
 * a few, and the owner, who has been here before, logs in all the while. */
static void a_storm_gets_few_guesses_and_the_owner_still_gets_in(void **state)
{
	struct limits *l = make(&limits_usual);
	char from[64];
	int guesses = 0, owner = 0, logins = 0;

	(void)state;
	assert_int_equal(limits_take(l, 0, ann, home), LIMITS_OK);
	assert_false(limits_known(l, 0, ann, home));
	limits_give_back(l, 0, ann, home);
	assert_true(limits_known(l, 0, ann, STR("192.0.2.200"))); /* the same network */
	for (int i = 0; i < 500 * 600; i++) {
		int64_t now = i * (SECOND / 500);

		snprintf(from, sizeof from, "10.%d.%d.%d", i % 250, i / 250 % 250, i % 199);
		guesses += limits_take(l, now, ann, str_c(from)) == LIMITS_OK;
		if (i % 5000 == 0) {
			logins++;
			if (limits_take(l, now, ann, home) == LIMITS_OK) {
				owner++;
				limits_give_back(l, now, ann, home);
			}
		}
	}
	assert_true(guesses <= 40);
	assert_int_equal(owner, logins);
	limits_free(&l);
}

/* From the owner's own network, too, there is an end. */
static void a_known_network_may_not_guess_without_end(void **state)
{
	static const struct limits_rules rules = { .known = { 4, SECOND } };
	struct limits *l = make(&rules);

	(void)state;
	assert_int_equal(limits_take(l, 0, ann, home), LIMITS_OK);
	limits_give_back(l, 0, ann, home);
	assert_int_equal(passed(l, 0, ann, home, 10), 4);
	assert_int_equal(limits_take(l, 0, ann, home), LIMITS_ACCOUNT);
	limits_free(&l);
}

static void everybody_together_has_a_limit(void **state)
{
	static const struct limits_rules rules = { .everyone = { 50, SECOND } };
	struct limits *l = make(&rules);
	char who[64], from[64];
	int n = 0;

	(void)state;
	for (int i = 0; i < 200; i++) {
		snprintf(who, sizeof who, "user%d@example.test", i);
		snprintf(from, sizeof from, "10.0.%d.1", i);
		n += limits_take(l, 0, str_c(who), str_c(from)) == LIMITS_OK;
	}
	assert_int_equal(n, 50);
	assert_int_equal(limits_take(l, 0, ann, home), LIMITS_EVERYONE);
	limits_free(&l);
}

/* Memory is fixed: a flood of names makes entries go, but not those that are being attacked. */
static void a_flood_of_names_does_not_free_an_attacked_account(void **state)
{
	static const struct limits_rules rules = { .account = { 10, 30 * SECOND } };
	struct limits *l = make(&rules);
	char who[64];

	(void)state;
	assert_int_equal(passed(l, 0, ann, home, 20), 10);
	for (int i = 0; i < 100000; i++) {
		snprintf(who, sizeof who, "user%d@example.test", i);
		assert_int_equal(limits_take(l, 0, str_c(who), home), LIMITS_OK);
	}
	assert_int_equal(limits_take(l, 0, ann, home), LIMITS_ACCOUNT);
	limits_free(&l);
}

static void strange_peers_are_networks_of_their_own(void **state)
{
	static const struct limits_rules rules = { .address = { 1, SECOND } };
	struct limits *l = make(&rules);

	(void)state;
	assert_int_equal(limits_take(l, 0, ann, STR("unix")), LIMITS_OK);
	assert_int_equal(limits_take(l, 0, ann, STR("unix")), LIMITS_ADDRESS);
	assert_int_equal(limits_take(l, 0, ann, STR("")), LIMITS_OK);
	assert_int_equal(limits_take(l, 0, ann, STR("a\0b")), LIMITS_OK);
	limits_free(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_account_allows_a_few_guesses_then_one_at_a_time),
		cmocka_unit_test(a_right_password_costs_nothing),
		cmocka_unit_test(networks_are_counted_by_address_and_by_neighbourhood),
		cmocka_unit_test(one_ipv6_customer_is_one_address),
		cmocka_unit_test(a_storm_gets_few_guesses_and_the_owner_still_gets_in),
		cmocka_unit_test(a_known_network_may_not_guess_without_end),
		cmocka_unit_test(everybody_together_has_a_limit),
		cmocka_unit_test(a_flood_of_names_does_not_free_an_attacked_account),
		cmocka_unit_test(strange_peers_are_networks_of_their_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
