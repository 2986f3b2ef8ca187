#include "route/schedule.h"

uint32_t schedule_wait(const struct schedule *s, uint32_t attempts, uint32_t random)
{
	uint64_t wait = s->first;
	uint32_t spread;

	for (uint32_t i = 1; i < attempts && wait < s->most; i++)
		wait *= 2;
	if (wait > s->most)
		wait = s->most;
	spread = (uint32_t)(wait / 5);
	wait = wait - spread + random % (2 * spread + 1);
	return wait > 0 ? (uint32_t)wait : 1;
}

bool schedule_is_over(const struct schedule *s, int64_t arrived, int64_t now)
{
	return now >= arrived && now - arrived >= (int64_t)s->expire;
}

uint32_t schedule_next(
	const struct schedule *s, uint32_t attempts, int64_t arrived, int64_t now, uint32_t random)
{
	uint32_t wait = schedule_wait(s, attempts, random);
	int64_t left;

	if (schedule_is_over(s, arrived, now))
		return 0;
	left = now < arrived ? (int64_t)s->expire : arrived + (int64_t)s->expire - now;
	/* The last attempt comes when the time is up, not a whole wait later. */
	return left < (int64_t)wait ? (uint32_t)left : wait;
}
