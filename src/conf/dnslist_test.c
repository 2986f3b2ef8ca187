#include "conf/conf_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char actions[] = "reject greylist defer log";

static void a_list_is_a_zone_the_answers_that_count_and_what_to_do(void **state)
{
	struct conf_dnslist l;

	(void)state;
	assert_true(conf_dnslist_parse(STR("bl.example"), actions, &l));
	assert_true(str_eq(l.zone, STR("bl.example")));
	assert_int_equal(l.action, 0);
	assert_memory_equal(l.low, "\x7f\0\0\0", 4);
	assert_memory_equal(l.high, "\x7f\xff\xff\xff", 4);
	assert_true(conf_dnslist_parse(STR("zen.example=127.0.0.2-11:defer"), actions, &l));
	assert_true(str_eq(l.zone, STR("zen.example")));
	assert_int_equal(l.action, 2);
	assert_memory_equal(l.low, "\x7f\0\0\x02", 4);
	assert_memory_equal(l.high, "\x7f\0\0\x0b", 4);
	assert_true(conf_dnslist_parse(STR("list.example=127.0.*.1-3"), NULL, &l));
	assert_memory_equal(l.low, "\x7f\0\0\x01", 4);
	assert_memory_equal(l.high, "\x7f\0\xff\x03", 4);
}

static void what_is_no_list_is_refused(void **state)
{
	static const char *const bad[] = { "", ":reject", "=127.0.0.2",
		"bl.example:", "bl.example:drop", "bl.example=", "bl.example=127.0.0",
		"bl.example=127.0.0.2.3", "bl.example=10.0.0.2", "bl.example=127.0.0.9-2",
		"bl.example=127.0.0.256", "bl.example=127.0.0.2-", "bl.example=*.0.0.2",
		"bl..example", "bl_example", "bl.example:reject:reject" };
	struct conf_dnslist l;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		if (conf_dnslist_parse(str_c(bad[i]), actions, &l))
			fail_msg("taken: %s", bad[i]);
	assert_false(conf_dnslist_parse(STR("bl.example:reject"), NULL, &l));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_list_is_a_zone_the_answers_that_count_and_what_to_do),
		cmocka_unit_test(what_is_no_list_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
