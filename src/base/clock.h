/* clock.h - what time it is.
 *
 * Deadlines and intervals are monotonic nanoseconds: they never jump. What is stored or shown
 * to people is wall time, which may jump; nothing may wait by it.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define CLOCK_MSEC ((int64_t)1000000)
#define CLOCK_SEC ((int64_t)1000000000)

int64_t clock_mono(void);            /* nanoseconds since some fixed moment */
int64_t clock_after(int64_t period); /* the deadline `period` nanoseconds from now; no overflow */
int64_t clock_wall(void);            /* seconds since 1970-01-01 UTC */
int64_t clock_wall_us(void);         /* microseconds since then */

/* T130: wall time, and what it would be had it not jumped since the process began: the earlier and
 * the later of the two. What is stamped by the later and given up by the earlier is never given up
 * before its time. */
int64_t clock_wall_earlier(void);
int64_t clock_wall_later(void);

#endif
