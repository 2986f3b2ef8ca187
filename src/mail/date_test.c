#include "mail/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

static void dates_of_all_ages_are_read(void **state)
{
	static const struct {
		struct str s;
		int64_t unix;
		int zone;
	} rows[] = {
		{ STR_INIT("Fri, 21 Nov 1997 09:55:06 -0600"), 880127706, -360 },
		{ STR_INIT("21 Nov 97 09:55:06 GMT"), 880106106, 0 },
		{ STR_INIT("Thu,\r\n      13\r\n        Feb\r\n          1969\r\n      23:32\r\n"
			   "               -0330 (Newfoundland Time)"),
			-27723480, -210 },
		{ STR_INIT("Fri, 21 Nov 1997 09(comment):   55  :  06 -0600"), 880127706, -360 },
		{ STR_INIT("1 Jan 1970 00:00 UT"), 0, 0 },
		{ STR_INIT("Thursday, 1 January 1970 00:00:00 +0000"), 0, 0 },
		{ STR_INIT("Thu 1-Jan-1970 0:00:00"), 0, 0 },
		{ STR_INIT("1 Jan 100 00:00:00 +0000"), 946684800, 0 }, /* three digits */
		{ STR_INIT("31 Dec 2016 23:59:60 +0000"), 1483228799, 0 },
		{ STR_INIT("29 Feb 2000 12:00:00 EST"), 951843600, -300 },
		{ STR_INIT("29 Feb 2000 12:00:00 Z"), 951825600, 0 },
		{ STR_INIT("Mon, 1 Jan 2024 00:00:00 +0530 (IST) trailing"), 1704047400, 330 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct date d;

		assert_true(date_parse(rows[i].s, &d));
		assert_int_equal(d.unix, rows[i].unix);
		assert_int_equal(d.zone, rows[i].zone);
	}
}

static void what_is_no_date_is_refused(void **state)
{
	static const struct str bad[] = { STR_INIT(""), STR_INIT("yesterday"), STR_INIT("Mon,"),
		STR_INIT("32 Jan 2024 00:00:00 +0000"), STR_INIT("30 Feb 2024 00:00:00 +0000"),
		STR_INIT("29 Feb 1900 00:00:00 +0000"), STR_INIT("1 Foo 2024 00:00:00 +0000"),
		STR_INIT("1 Jan 2024 24:00:00 +0000"), STR_INIT("1 Jan 2024 00:60:00 +0000"),
		STR_INIT("1 Jan 2024 00:00:61 +0000"), STR_INIT("1 Jan 12024 00:00:00 +0000"),
		STR_INIT("1 Jan 2024 00:00:00 +00"), STR_INIT("1 Jan 2024 00:00:00 +0099"),
		STR_INIT("1 Jan 2024 00:00:00 +9900"), STR_INIT("0 Jan 2024 00:00:00 +0000"),
		STR_INIT("1 Jan 2024"), STR_INIT("(((((("), STR_INIT("1 Jan 0024 00:00:00 +0000") };
	struct date d;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(date_parse(bad[i], &d));
}

static void printed_dates_read_back_the_same(void **state)
{
	struct buf b = BUF(64);
	struct date d, back;

	(void)state;
	d = (struct date){ 880127706, -360 };
	date_print(&b, d);
	assert_true(str_eq(buf_str(&b), STR("Fri, 21 Nov 1997 09:55:06 -0600")));
	for (int64_t t = -2208988800 + 100000; t < 253402300799 - 100000; t += 86399 * 13 + 7) {
		d = (struct date){ t, (int)(t % 841) };
		buf_clear(&b);
		date_print(&b, d);
		assert_true(date_parse(buf_str(&b), &back));
		assert_int_equal(back.unix, d.unix);
		assert_int_equal(back.zone, d.zone);
		buf_clear(&b);
		date_imap_print(&b, d);
		assert_int_equal(b.n, 26);
		assert_true(date_imap_parse(buf_str(&b), &back));
		assert_int_equal(back.unix, d.unix);
		assert_int_equal(back.zone, d.zone);
	}
	buf_free(&b);
}

static void the_calendar_agrees_with_the_system(void **state)
{
	struct buf b = BUF(64);

	(void)state;
	for (int64_t t = -2000000000; t < 4000000000; t += 86400 * 9 + 12345) {
		time_t sys = (time_t)t;
		struct tm tm;
		char want[64];

		gmtime_r(&sys, &tm);
		strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S +0000", &tm);
		buf_clear(&b);
		date_print(&b, (struct date){ t, 0 });
		assert_true(str_eq(buf_str(&b), str_c(want)));
		strftime(want, sizeof want, "%Y-%m-%dT%H:%M:%SZ", &tm);
		buf_clear(&b);
		date_iso_print(&b, t);
		assert_true(str_eq(buf_str(&b), str_c(want)));
	}
	buf_free(&b);
}

static void imap_dates_are_strict(void **state)
{
	struct date d;
	int64_t day;

	(void)state;
	assert_true(date_imap_parse(STR(" 2-Jan-2006 15:04:05 +0100"), &d));
	assert_int_equal(d.unix, 1136210645);
	assert_true(date_imap_parse(STR("02-JAN-2006 15:04:05 +0100"), &d));
	assert_false(date_imap_parse(STR("2-Jan-2006 15:04:05 +0100"), &d));
	assert_false(date_imap_parse(STR("02-Jan-2006 15:04:05 +010"), &d));
	assert_false(date_imap_parse(STR("02-Jan-2006 15:04:05 00100"), &d));
	assert_false(date_imap_parse(STR("30-Feb-2006 15:04:05 +0100"), &d));
	assert_true(date_imap_day_parse(STR("1-Feb-1994"), &day));
	assert_int_equal(day, 8797);
	assert_true(date_imap_day_parse(STR("01-feb-1994"), &day));
	assert_false(date_imap_day_parse(STR("1-February-1994"), &day));
	assert_false(date_imap_day_parse(STR("1-Feb-94"), &day));
	assert_false(date_imap_day_parse(STR("31-Feb-1994"), &day));
	/* the day is the writer's, not ours */
	assert_true(date_parse(STR("1 Feb 1994 23:00:00 -0800"), &d));
	assert_int_equal(date_day(d), 8797);
	assert_int_equal(date_day((struct date){ -1, 0 }), -1);
}

static void a_moment_is_read_as_the_internet_writes_it(void **state)
{
	static const char *const none[] = { "", "2006-01-02", "2006-01-02T15:04:05",
		"2006-01-02 15:04:05Z", "2006-13-02T15:04:05Z", "2006-00-02T15:04:05Z",
		"2006-02-30T15:04:05Z", "2006-01-02T24:04:05Z", "2006-01-02T15:04:05.Z",
		"2006-01-02T15:04:05+0100", "2006-01-02T15:04:05+24:00", "2006-01-02T15:04:05Zx",
		"06-01-02T15:04:05Z", "2006-1-02T15:04:05Z", "+006-01-02T15:04:05Z" };
	struct date d;
	int64_t nanos;

	(void)state;
	assert_true(date_iso_parse(STR("2006-01-02T15:04:05Z"), &d, &nanos));
	assert_int_equal(d.unix, 1136214245);
	assert_int_equal(nanos, 0);
	assert_true(date_iso_parse(STR("2006-01-02t15:04:05.25+01:30"), &d, &nanos));
	assert_int_equal(d.unix, 1136214245 - 5400);
	assert_int_equal(nanos, 250000000);
	assert_true(date_iso_parse(STR("2006-01-02T15:04:05.1234567891111-00:01"), &d, &nanos));
	assert_int_equal(d.unix, 1136214245 + 60);
	assert_int_equal(nanos, 123456789);
	for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
		if (date_iso_parse(str_c(none[i]), &d, &nanos))
			fail_msg("taken: %s", none[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates_of_all_ages_are_read),
		cmocka_unit_test(what_is_no_date_is_refused),
		cmocka_unit_test(printed_dates_read_back_the_same),
		cmocka_unit_test(the_calendar_agrees_with_the_system),
		cmocka_unit_test(imap_dates_are_strict),
		cmocka_unit_test(a_moment_is_read_as_the_internet_writes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
