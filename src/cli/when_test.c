#include "cli/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <time.h>

static int64_t of(const char *text)
{
	struct err err = ERR_INIT;
	int64_t at;

	return when_parse(str_c(text), 1000000, &at, &err) < 0 ? -1 : at;
}

static void moments_are_read(void **state)
{
	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_int_equal(of("now"), 1000000);
	assert_int_equal(of("90m"), 1000000 - 5400);
	assert_int_equal(of("3d"), 1000000 - 3 * 86400);
	assert_int_equal(of("2w"), 1000000 - 14 * 86400);
	assert_int_equal(of("1970-01-02"), 86400);
	assert_int_equal(of("1970-01-02 01:02"), 86400 + 3720);
	assert_int_equal(of("1970-01-02T01:02:03"), 86400 + 3723);
	assert_int_equal(of("2026-11-30 17:54:07"), 1796061247);
}

static void what_is_no_moment_is_refused(void **state)
{
	static const char *const wrong[] = { "", "d", "3", "3x", "-3d", "1970", "1970-1-2",
		"1970-13-02", "1970-00-02", "1970-01-32", "1970-01-02 ", "1970-01-02 1",
		"1970-01-02 01:02:", "1970-01-02 24:00", "1970-01-02 01:02:03Z", "yesterday",
		"99999999999999999999d", "1970/01/02" };

	(void)state;
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		if (of(wrong[i]) != -1)
			fail_msg("\"%s\" was taken", wrong[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(moments_are_read),
		cmocka_unit_test(what_is_no_moment_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
