#include "base/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define MANY 500

struct job {
	char name;
	struct heap_item due;
};

static void the_earliest_comes_out_first(void **state)
{
	struct heap h = { NULL, 0, 0 };
	static struct job jobs[MANY];
	int64_t last = -1;

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(heap_add(&h, &jobs[i].due, i * 7919 % 263), 0);
	for (int i = 0; i < MANY; i++) {
		struct heap_item *top = heap_min(&h);

		assert_true(top->at >= last);
		last = top->at;
		heap_remove(&h, top);
	}
	assert_null(heap_min(&h));
	heap_free(&h);
}

static void items_can_be_moved_and_taken_out_from_anywhere(void **state)
{
	struct heap h = { NULL, 0, 0 };
	static struct job jobs[MANY];
	int64_t last = -1;
	size_t seen = 0;

	(void)state;
	for (int i = 0; i < MANY; i++)
		assert_int_equal(heap_add(&h, &jobs[i].due, i), 0);
	for (int i = 0; i < MANY; i++) {
		if (i % 3 == 0)
			heap_remove(&h, &jobs[i].due);
		else if (i % 3 == 1)
			heap_move(&h, &jobs[i].due, i * 7919 % 1009);
	}
	heap_remove(&h, &jobs[0].due); /* a second time: nothing happens */
	for (struct heap_item *top; (top = heap_min(&h)) != NULL; seen++) {
		assert_true(top->at >= last);
		last = top->at;
		heap_remove(&h, top);
	}
	assert_int_equal(seen, MANY - (MANY + 2) / 3);
	heap_free(&h);
}

static void an_item_leads_back_to_its_owner(void **state)
{
	struct heap h = { NULL, 0, 0 };
	struct job a = { .name = 'a' }, b = { .name = 'b' };

	(void)state;
	assert_int_equal(heap_add(&h, &a.due, 2), 0);
	assert_int_equal(heap_add(&h, &b.due, 1), 0);
	assert_int_equal(heap_owner(heap_min(&h), struct job, due)->name, 'b');
	heap_free(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_earliest_comes_out_first),
		cmocka_unit_test(items_can_be_moved_and_taken_out_from_anywhere),
		cmocka_unit_test(an_item_leads_back_to_its_owner),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
