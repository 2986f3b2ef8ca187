/* timer.c - deadlines of waiting tasks.
 *
 * A session moves its deadline on with every line. So a timer is not moved when the deadline
 * becomes later, and not removed when the wait ends: it fires early, finds out, and is
 * set again. Most waits then never touch the heap.
 */
#include "base/clock.h"
#include "rt/rt_private.h"

/* Room in the heap was reserved when the task was started. */
void timer_set(struct task *t, int64_t deadline)
{
	t->deadline = deadline;
	if (deadline == NEVER)
		return;
	if (!t->timer.pos)
		heap_add(&rt.timers, &t->timer, deadline);
	else if (deadline < t->timer.at)
		heap_move(&rt.timers, &t->timer, deadline);
}

void timer_fire(void)
{
	struct heap_item *top;

	while ((top = heap_min(&rt.timers)) != NULL && top->at <= rt.now) {
		struct task *t = heap_owner(top, struct task, timer);
		bool waits = t->state == TASK_WAITING && t->deadline != NEVER;

		if (waits && t->deadline > rt.now) {
			heap_move(&rt.timers, top, t->deadline);
			continue;
		}
		heap_remove(&rt.timers, top);
		if (waits) {
			t->timed_out = true;
			task_wake(t);
		}
	}
}
