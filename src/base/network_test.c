#include "base/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static bool has(const char *network, const char *address)
{
	struct network n;

	assert_true(network_parse(str_c(network), &n));
	return network_has(&n, str_c(address));
}

static void an_address_is_in_its_network(void **state)
{
	(void)state;
	assert_true(has("192.0.2.0/24", "192.0.2.255"));
	assert_false(has("192.0.2.0/24", "192.0.3.0"));
	assert_true(has("192.0.2.128/25", "192.0.2.129"));
	assert_false(has("192.0.2.128/25", "192.0.2.127"));
	assert_true(has("192.0.2.7", "192.0.2.7"));
	assert_false(has("192.0.2.7", "192.0.2.6"));
	assert_true(has("2001:db8::/33", "2001:db8:7fff::1"));
	assert_false(has("2001:db8::/33", "2001:db8:8000::1"));
	assert_true(has("0.0.0.0/0", "203.0.113.9"));
	assert_false(has("0.0.0.0/0", "2001:db8::1"));
	assert_true(has("::/0", "2001:db8::1"));
}

static void both_spellings_of_an_ipv4_address_are_one(void **state)
{
	(void)state;
	assert_true(has("192.0.2.0/24", "::ffff:192.0.2.1"));
}

static void what_is_no_address_is_nowhere(void **state)
{
	struct network n;

	(void)state;
	assert_true(network_parse(STR("::/0"), &n));
	assert_false(network_has(&n, STR("unix")));
	assert_false(network_has(&n, STR("memory")));
	assert_false(network_has(&n, STR("")));
	assert_false(network_has(&n, STR("192.0.2.1 ")));
}

static void what_cannot_be_meant_is_refused(void **state)
{
	static const char *const bad[] = { "", "/", "192.0.2.0/", "192.0.2.0/33", "2001:db8::/129",
		"192.0.2.1/24", "2001:db8::1/64", "192.0.2/24", "example.org", "192.0.2.0/24/1",
		"192.0.2.0/-1", "192.0.2.0/ 24", "unix", "*" };
	struct network n;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (network_parse(str_c(bad[i]), &n))
			fail_msg("%s was taken", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_address_is_in_its_network),
		cmocka_unit_test(both_spellings_of_an_ipv4_address_are_one),
		cmocka_unit_test(what_is_no_address_is_nowhere),
		cmocka_unit_test(what_cannot_be_meant_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
