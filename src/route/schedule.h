/* schedule.h - when to try again, and when to stop. Pure; times are seconds.
 *
 * The wait doubles from queue.first-retry up to queue.max-retry and is spread by a fifth to both
 * sides, so that what failed together does not come back together. RFC 5321 4.5.4.1 wants days, not
 * hours, before a message is given back; queue.expire says how many.
 */
#ifndef ROUTE_SCHEDULE_H
#define ROUTE_SCHEDULE_H

#include "base/str.h"

struct schedule {
	uint32_t first;  /* after the first attempt */
	uint32_t most;   /* at most this long between attempts */
	uint32_t expire; /* after arrival; 0: after the first attempt */
};

/* `attempts` made so far, at least 1; `random` any number. At least 1. */
uint32_t schedule_wait(const struct schedule *s, uint32_t attempts, uint32_t random);

/* Has the message been tried long enough? A clock that stands before the arrival says no. */
bool schedule_is_over(const struct schedule *s, int64_t arrived, int64_t now);

/* The wait after a failed attempt, or 0: give up. An attempt is always made at the very end. */
uint32_t schedule_next(
	const struct schedule *s, uint32_t attempts, int64_t arrived, int64_t now, uint32_t random);

#endif
