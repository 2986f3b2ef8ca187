#include "route/schedule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct schedule usual = { .first = 300, .most = 14400, .expire = 432000 };

static void the_wait_doubles_up_to_its_most_and_is_spread(void **state)
{
	static const struct {
		uint32_t attempts, middle;
	} rows[] = { { 1, 300 }, { 2, 600 }, { 3, 1200 }, { 4, 2400 }, { 5, 4800 }, { 6, 9600 },
		{ 7, 14400 }, { 8, 14400 }, { 4000000000u, 14400 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		uint32_t fifth = rows[i].middle / 5, low = UINT32_MAX, high = 0;

		for (uint32_t random = 0; random < 100000; random++) {
			uint32_t w = schedule_wait(&usual, rows[i].attempts, random);

			low = w < low ? w : low;
			high = w > high ? w : high;
		}
		assert_int_equal(low, rows[i].middle - fifth);
		assert_int_equal(high, rows[i].middle + fifth);
	}
}

static void a_wait_is_never_zero(void **state)
{
	static const struct schedule least = { .first = 0, .most = 0, .expire = 10 };

	(void)state;
	assert_int_equal(schedule_wait(&least, 1, 12345), 1);
	assert_int_equal(schedule_wait(&least, 0, UINT32_MAX), 1);
}

static void a_message_is_given_up_when_its_time_is_over(void **state)
{
	(void)state;
	assert_false(schedule_is_over(&usual, 1000, 1000 + 431999));
	assert_true(schedule_is_over(&usual, 1000, 1000 + 432000));
	assert_int_equal(schedule_next(&usual, 30, 1000, 1000 + 432000, 0), 0);
	assert_int_equal(schedule_next(&usual, 30, 1000, 1000 + 431000, 0), 1000);
	assert_int_equal(schedule_next(&usual, 1, 1000, 1001, 60), 300);
}

/* T130 */
static void a_clock_that_jumps_back_gives_nothing_up(void **state)
{
	(void)state;
	assert_false(schedule_is_over(&usual, 1000000, 5));
	assert_int_equal(schedule_next(&usual, 1, 1000000, 5, 60), 300);
}

/* T110: six days of an unreachable server. */
static void five_days_take_some_forty_attempts(void **state)
{
	int64_t now = 0;
	uint32_t attempts = 0, wait;

	(void)state;
	do {
		attempts++;
		wait = schedule_next(&usual, attempts, 0, now, attempts * 7919);
		now += wait;
	} while (wait > 0);
	assert_int_equal(now, 432000);
	assert_in_range(attempts, 30, 45);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_wait_doubles_up_to_its_most_and_is_spread),
		cmocka_unit_test(a_wait_is_never_zero),
		cmocka_unit_test(a_message_is_given_up_when_its_time_is_over),
		cmocka_unit_test(a_clock_that_jumps_back_gives_nothing_up),
		cmocka_unit_test(five_days_take_some_forty_attempts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
