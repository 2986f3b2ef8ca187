#include "trust/rates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND INT64_C(1000000000)

static struct rates *make(struct rates_rules rules)
{
	struct err err = ERR_INIT;
	struct rates *r = rates_new(&rules, &err);

	assert_non_null(r);
	return r;
}

static unsigned passed(
	struct rates *r, int64_t now, const char *from, enum rates_kind kind, unsigned tries)
{
	struct ip_keys who = ip_keys(str_c(from));
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += rates_take(r, now, &who, kind, 1) == RATES_OK;
	return n;
}

static void an_address_has_a_minutes_worth_at_once_and_then_its_rate(void **state)
{
	struct rates *r = make((struct rates_rules){ .connections = 60 });

	(void)state;
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_CONNECTIONS, 1000), 60);
	assert_int_equal(passed(r, 30 * SECOND, "192.0.2.1", RATES_CONNECTIONS, 1000), 30);
	assert_int_equal(passed(r, 3600 * SECOND, "192.0.2.1", RATES_CONNECTIONS, 1000), 60);
	rates_free(&r);
	rates_free(&r);
}

static void T084_many_addresses_of_one_network_share_its_count(void **state)
{
	struct rates *r = make((struct rates_rules){ .connections = 10 });
	unsigned v4 = 0, v6 = 0, other;
	char text[64];

	(void)state;
	for (int i = 0; i < 256; i++) {
		snprintf(text, sizeof text, "192.0.2.%d", i);
		v4 += passed(r, 0, text, RATES_CONNECTIONS, 10);
		snprintf(text, sizeof text, "2001:db8:1:%x::1", (unsigned)i);
		v6 += passed(r, 0, text, RATES_CONNECTIONS, 10);
	}
	other = passed(r, 0, "192.0.3.1", RATES_CONNECTIONS, 100);
	assert_int_equal(v4, 40);
	assert_int_equal(v6, 40);
	assert_int_equal(other, 10);
	rates_free(&r);
}

static void what_is_counted_does_not_mix(void **state)
{
	struct rates *r =
		make((struct rates_rules){ .connections = 5, .messages = 2, .recipients = 7 });
	struct ip_keys who = ip_keys(STR("192.0.2.1"));

	(void)state;
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_MESSAGES, 100), 2);
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_CONNECTIONS, 100), 5);
	assert_int_equal(rates_take(r, 0, &who, RATES_RECIPIENTS, 8), RATES_ADDRESS);
	assert_int_equal(rates_take(r, 0, &who, RATES_RECIPIENTS, 7), RATES_OK);
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_COMMANDS, 1000), 600);
	rates_free(&r);
}

static void an_account_has_an_hours_worth_from_wherever_it_comes(void **state)
{
	struct rates *r = make((struct rates_rules){ .account_recipients = 100 });

	(void)state;
	assert_int_equal(rates_take_account(r, 0, STR("ann@example.test"), 99), RATES_OK);
	assert_int_equal(rates_take_account(r, 0, STR("ANN@example.test"), 2), RATES_ACCOUNT);
	assert_int_equal(rates_take_account(r, 0, STR("ann@example.test"), 1), RATES_OK);
	assert_int_equal(rates_take_account(r, 0, STR("joe@example.test"), 1), RATES_OK);
	assert_int_equal(
		rates_take_account(r, 3600 * SECOND, STR("ann@example.test"), 100), RATES_OK);
	assert_string_equal(rates_words(RATES_ACCOUNT), "account");
	rates_free(&r);
}

static void without_a_number_there_is_no_limit(void **state)
{
	struct rates *r = make((struct rates_rules){ 0 });

	(void)state;
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_CONNECTIONS, 5000), 5000);
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_COMMANDS, 5000), 5000);
	assert_int_equal(rates_take_account(r, 0, STR("ann"), 100000), RATES_OK);
	rates_free(&r);
}

static void T095_log_lines_about_one_network_are_few_whatever_is_set(void **state)
{
	struct rates *r = make((struct rates_rules){ 0 });

	(void)state;
	assert_int_equal(passed(r, 0, "192.0.2.1", RATES_LOG_LINES, 5000), 10);
	assert_int_equal(passed(r, 60 * SECOND, "192.0.2.2", RATES_LOG_LINES, 5000), 10);
	rates_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_has_a_minutes_worth_at_once_and_then_its_rate),
		cmocka_unit_test(T084_many_addresses_of_one_network_share_its_count),
		cmocka_unit_test(what_is_counted_does_not_mix),
		cmocka_unit_test(an_account_has_an_hours_worth_from_wherever_it_comes),
		cmocka_unit_test(without_a_number_there_is_no_limit),
		cmocka_unit_test(T095_log_lines_about_one_network_are_few_whatever_is_set),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
