#include "base/ip.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static bool same_address(const char *a, const char *b)
{
	return ip_keys(str_c(a)).address == ip_keys(str_c(b)).address;
}

static bool same_network(const char *a, const char *b)
{
	return ip_keys(str_c(a)).network == ip_keys(str_c(b)).network;
}

static void addresses_are_counted_under_their_networks(void **state)
{
	(void)state;
	assert_true(same_address("192.0.2.1", "::ffff:192.0.2.1"));
	assert_false(same_address("192.0.2.1", "192.0.2.2"));
	assert_true(same_network("192.0.2.1", "192.0.2.2"));
	assert_false(same_network("192.0.2.1", "192.0.3.1"));
	assert_true(same_address("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
	assert_false(same_address("2001:db8:1:2::1", "2001:db8:1:3::1"));
	assert_true(same_network("2001:db8:1:2::1", "2001:db8:1:3::1"));
	assert_false(same_network("2001:db8:1::1", "2001:db8:2::1"));
	assert_true(same_network("unix", "unix"));
	assert_false(same_network("unix", "memory"));
}

static void a_network_prints_as_people_write_it(void **state)
{
	char text[IP_NETWORK_SIZE];
	struct ip ip;

	(void)state;
	assert_true(ip_parse(&ip, STR("192.0.2.77")));
	ip_network(&ip, text);
	assert_string_equal(text, "192.0.2.0/24");
	assert_true(ip_parse(&ip, STR("2001:db8:1:2:3:4:5:6")));
	ip_network(&ip, text);
	assert_string_equal(text, "2001:db8:1::/48");
}

static void loopback_is_told_from_the_rest(void **state)
{
	static const struct {
		const char *text;
		bool valid, loopback;
	} cases[] = { { "127.0.0.1", true, true }, { "127.9.9.9", true, true },
		{ "::1", true, true }, { "::ffff:127.0.0.1", true, true },
		{ "128.0.0.1", true, false }, { "::2", true, false }, { "unix", false, false },
		{ "", false, false }, { "127.0.0.1 ", false, false } };
	struct ip ip;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		assert_int_equal(ip_parse(&ip, str_c(cases[i].text)), cases[i].valid);
		if (cases[i].valid)
			assert_int_equal(ip_is_loopback(&ip), cases[i].loopback);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_are_counted_under_their_networks),
		cmocka_unit_test(a_network_prints_as_people_write_it),
		cmocka_unit_test(loopback_is_told_from_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
