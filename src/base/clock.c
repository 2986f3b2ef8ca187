#include "base/clock.h"

#include <time.h>

static struct timespec now(clockid_t id)
{
	struct timespec ts = { 0, 0 };

	clock_gettime(id, &ts);
	return ts;
}

int64_t clock_mono(void)
{
	struct timespec ts = now(CLOCK_MONOTONIC);

	return (int64_t)ts.tv_sec * CLOCK_SEC + ts.tv_nsec;
}

int64_t clock_after(int64_t period)
{
	int64_t t = clock_mono();

	if (period < 0)
		period = 0;
	return period > INT64_MAX - t ? INT64_MAX : t + period;
}

int64_t clock_wall(void)
{
	return (int64_t)now(CLOCK_REALTIME).tv_sec;
}

static int64_t began_wall_us, began_mono;

__attribute__((constructor)) static void begin(void)
{
	began_wall_us = clock_wall_us();
	began_mono = clock_mono();
}

static int64_t without_jumps(void)
{
	return (began_wall_us + (clock_mono() - began_mono) / 1000) / 1000000;
}

/* What rounding makes of the same moment is no jump. */
enum { NO_JUMP = 2 };

int64_t clock_wall_earlier(void)
{
	const int64_t wall = clock_wall(), steady = without_jumps();

	return wall > steady + NO_JUMP ? steady : wall;
}

int64_t clock_wall_later(void)
{
	const int64_t wall = clock_wall(), steady = without_jumps();

	return wall < steady - NO_JUMP ? steady : wall;
}

int64_t clock_wall_us(void)
{
	struct timespec ts = now(CLOCK_REALTIME);

	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
