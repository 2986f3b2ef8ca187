#include "route/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* T147 */
static void addresses_that_lead_inwards_are_known(void **state)
{
	static const struct {
		struct str text;
		enum route_address kind;
	} rows[] = {
		{ STR_INIT("192.0.2.1"), ADDRESS_PUBLIC },
		{ STR_INIT("8.8.8.8"), ADDRESS_PUBLIC },
		{ STR_INIT("127.0.0.1"), ADDRESS_LOOPBACK },
		{ STR_INIT("127.255.255.254"), ADDRESS_LOOPBACK },
		{ STR_INIT("128.0.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("0.0.0.0"), ADDRESS_SPECIAL },
		{ STR_INIT("0.1.2.3"), ADDRESS_SPECIAL },
		{ STR_INIT("10.0.0.1"), ADDRESS_PRIVATE },
		{ STR_INIT("11.0.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("172.16.0.1"), ADDRESS_PRIVATE },
		{ STR_INIT("172.31.255.255"), ADDRESS_PRIVATE },
		{ STR_INIT("172.32.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("172.15.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("192.168.1.1"), ADDRESS_PRIVATE },
		{ STR_INIT("192.169.1.1"), ADDRESS_PUBLIC },
		{ STR_INIT("100.64.0.1"), ADDRESS_PRIVATE },
		{ STR_INIT("100.127.255.255"), ADDRESS_PRIVATE },
		{ STR_INIT("100.128.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("169.254.169.254"), ADDRESS_PRIVATE },
		{ STR_INIT("198.18.0.1"), ADDRESS_SPECIAL },
		{ STR_INIT("198.20.0.1"), ADDRESS_PUBLIC },
		{ STR_INIT("224.0.0.1"), ADDRESS_SPECIAL },
		{ STR_INIT("240.0.0.1"), ADDRESS_SPECIAL },
		{ STR_INIT("255.255.255.255"), ADDRESS_SPECIAL },
		{ STR_INIT("::1"), ADDRESS_LOOPBACK },
		{ STR_INIT("::"), ADDRESS_SPECIAL },
		{ STR_INIT("::2"), ADDRESS_SPECIAL },
		{ STR_INIT("::ffff:127.0.0.1"), ADDRESS_LOOPBACK },
		{ STR_INIT("::ffff:10.1.1.1"), ADDRESS_PRIVATE },
		{ STR_INIT("::ffff:192.0.2.1"), ADDRESS_PUBLIC },
		{ STR_INIT("::127.0.0.1"), ADDRESS_SPECIAL },
		{ STR_INIT("64:ff9b::7f00:1"), ADDRESS_SPECIAL },
		{ STR_INIT("2002:7f00:1::1"), ADDRESS_SPECIAL },
		{ STR_INIT("2001:db8::1"), ADDRESS_PUBLIC },
		{ STR_INIT("2001::1"), ADDRESS_SPECIAL },
		{ STR_INIT("fc00::1"), ADDRESS_PRIVATE },
		{ STR_INIT("fdff::1"), ADDRESS_PRIVATE },
		{ STR_INIT("fe80::1"), ADDRESS_PRIVATE },
		{ STR_INIT("ff02::1"), ADDRESS_SPECIAL },
		{ STR_INIT("100::1"), ADDRESS_SPECIAL },
		{ STR_INIT(""), ADDRESS_NONE },
		{ STR_INIT("localhost"), ADDRESS_NONE },
		{ STR_INIT("127.1"), ADDRESS_NONE },
		{ STR_INIT("0x7f000001"), ADDRESS_NONE },
		{ STR_INIT("fe80::1%eth0"), ADDRESS_NONE },
		{ STR_INIT("127.0.0.1\0"), ADDRESS_NONE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (route_address_kind(rows[i].text) != rows[i].kind)
			fail_msg("%s", rows[i].text.p);
		assert_int_equal(route_address_is(rows[i].text), rows[i].kind != ADDRESS_NONE);
	}
	assert_true(route_address_is_v6(STR("::1")));
	assert_false(route_address_is_v6(STR("127.0.0.1")));
	assert_false(route_address_is_v6(STR("a:b")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_that_lead_inwards_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
