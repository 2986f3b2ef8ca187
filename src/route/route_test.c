#include "route/route.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct route one = { .kind = ROUTE_HOST, .host = STR_INIT("mx.test"), .port = 2525 };
static const struct route provider = {
	.kind = ROUTE_HOST, .host = STR_INIT("smtp.provider.test"), .port = 587, .login = true
};

static void the_most_particular_route_wins(void **state)
{
	struct route r;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(route_choose(&one, &provider, STR("a.test"), &r, &err), 0);
	assert_true(str_eq(r.host, STR("mx.test")) && str_eq(r.name, STR("a.test")) && r.trusted);
	assert_int_equal(route_choose(NULL, &provider, STR("a.test"), &r, &err), 0);
	assert_true(str_eq(r.host, provider.host) && str_eq(r.name, ROUTE_SMARTHOST));
	assert_int_equal(route_choose(NULL, &provider, STR("[192.0.2.1]"), &r, &err), 0);
	assert_true(str_eq(r.host, provider.host));
	assert_int_equal(route_choose(NULL, NULL, STR("a.test"), &r, &err), 0);
	assert_int_equal(r.kind, ROUTE_MX);
	assert_int_equal(r.port, 25);
	assert_false(r.trusted);
}

static void a_password_never_goes_out_in_clear(void **state)
{
	struct route r;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(route_choose(NULL, &provider, STR("a.test"), &r, &err), 0);
	assert_int_equal(r.tls, ROUTE_TLS_REQUIRE);
	assert_int_equal(route_choose(&one, NULL, STR("a.test"), &r, &err), 0);
	assert_int_equal(r.tls, ROUTE_TLS_MAY);
}

static void address_literals_lead_to_their_address(void **state)
{
	static const struct {
		struct str domain, host;
	} rows[] = {
		{ STR_INIT("[192.0.2.1]"), STR_INIT("192.0.2.1") },
		{ STR_INIT("[IPv6:2001:db8::1]"), STR_INIT("2001:db8::1") },
		{ STR_INIT("[ipv6:::1]"), STR_INIT("::1") },
		{ STR_INIT("[2001:db8::1]"), STR_INIT("") },
		{ STR_INIT("[IPv6:192.0.2.1]"), STR_INIT("") },
		{ STR_INIT("[192.0.2.1"), STR_INIT("") },
		{ STR_INIT("["), STR_INIT("") },
		{ STR_INIT("[]"), STR_INIT("") },
		{ STR_INIT("[mx.test]"), STR_INIT("") },
		{ STR_INIT("[192.0.2.1]x"), STR_INIT("") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct route r = { 0 };
		struct err err = ERR_INIT;
		int got = route_choose(NULL, NULL, rows[i].domain, &r, &err);

		assert_int_equal(got, rows[i].host.n ? 0 : -1);
		assert_true(str_eq(r.host, rows[i].host));
		if (got < 0)
			assert_int_equal(err.kind, ERR_PERM);
		else
			assert_false(r.trusted);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_particular_route_wins),
		cmocka_unit_test(a_password_never_goes_out_in_clear),
		cmocka_unit_test(address_literals_lead_to_their_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
