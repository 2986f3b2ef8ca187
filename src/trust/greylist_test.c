#include "trust/greylist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define MINUTE (INT64_C(60) * 1000000000)
#define DAY (24 * 60 * MINUTE)
#define DELAY (5 * MINUTE)

static const struct str net = STR_INIT("192.0.2.0/24"), other = STR_INIT("198.51.100.0/24");
static const struct str joe = STR_INIT("joe@far.example"), ann = STR_INIT("ann@example.test");

static struct greylist *make(void)
{
	struct err err = ERR_INIT;
	struct greylist *g = greylist_new(&err);

	assert_non_null(g);
	return g;
}

static void who_comes_back_after_the_delay_may_pass_and_so_may_its_network(void **state)
{
	struct greylist *g = make();

	(void)state;
	assert_int_equal(greylist_ask(g, MINUTE, DELAY, net, joe, ann), DELAY);
	assert_int_equal(greylist_ask(g, 2 * MINUTE, DELAY, net, joe, ann), 4 * MINUTE);
	assert_int_equal(greylist_ask(g, 6 * MINUTE, DELAY, net, joe, ann), 0);
	assert_int_equal(greylist_ask(g, 7 * MINUTE, DELAY, net, STR("new@far.example"), ann), 0);
	assert_int_equal(greylist_ask(g, 7 * MINUTE, DELAY, other, joe, ann), DELAY);
	greylist_free(&g);
	greylist_free(&g);
}

static void another_sender_or_recipient_begins_anew(void **state)
{
	struct greylist *g = make();

	(void)state;
	assert_int_equal(greylist_ask(g, MINUTE, DELAY, net, joe, ann), DELAY);
	assert_int_equal(
		greylist_ask(g, 9 * MINUTE, DELAY, net, joe, STR("bob@example.test")), DELAY);
	assert_int_equal(greylist_ask(g, 9 * MINUTE, DELAY, net, STR("x@far.example"), ann), DELAY);
	assert_int_equal(greylist_ask(g, 9 * MINUTE, DELAY, net, STR(""), ann), DELAY);
	assert_int_equal(greylist_ask(g, 9 * MINUTE, DELAY, net, STR("JOE@far.example"), ann), 0);
	greylist_free(&g);
}

static void who_comes_back_far_too_late_begins_anew(void **state)
{
	struct greylist *g = make();

	(void)state;
	assert_int_equal(greylist_ask(g, MINUTE, DELAY, net, joe, ann), DELAY);
	assert_int_equal(greylist_ask(g, 3 * DAY, DELAY, net, joe, ann), DELAY);
	assert_int_equal(greylist_ask(g, 3 * DAY + DELAY, DELAY, net, joe, ann), 0);
	assert_int_equal(greylist_ask(g, 33 * DAY, DELAY, net, joe, ann), 0); /* and is renewed */
	assert_int_equal(greylist_ask(g, 66 * DAY, DELAY, net, joe, ann), 0);
	assert_int_equal(greylist_ask(g, 110 * DAY, DELAY, net, joe, ann), DELAY);
	greylist_free(&g);
}

static void whoever_was_written_to_may_answer_at_once(void **state)
{
	struct greylist *g = make();

	(void)state;
	greylist_wrote(g, MINUTE, STR("Joe@Far.example"));
	assert_int_equal(greylist_ask(g, 2 * MINUTE, DELAY, net, joe, ann), 0);
	/* That says nothing about the network it claims to come from. */
	assert_int_equal(greylist_ask(g, 2 * MINUTE, DELAY, net, STR("x@far.example"), ann), DELAY);
	greylist_free(&g);
}

static void a_flood_of_triples_does_not_shake_trust(void **state)
{
	struct greylist *g = make();
	char sender[64];

	(void)state;
	assert_int_equal(greylist_ask(g, MINUTE, DELAY, net, joe, ann), DELAY);
	assert_int_equal(greylist_ask(g, 7 * MINUTE, DELAY, net, joe, ann), 0);
	for (unsigned i = 0; i < 300000; i++) {
		snprintf(sender, sizeof sender, "s%u@spam.example", i);
		assert_int_equal(
			greylist_ask(g, 8 * MINUTE, DELAY, other, str_c(sender), ann), DELAY);
	}
	assert_int_equal(greylist_ask(g, 9 * MINUTE, DELAY, net, STR("y@far.example"), ann), 0);
	greylist_free(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_comes_back_after_the_delay_may_pass_and_so_may_its_network),
		cmocka_unit_test(another_sender_or_recipient_begins_anew),
		cmocka_unit_test(who_comes_back_far_too_late_begins_anew),
		cmocka_unit_test(whoever_was_written_to_may_answer_at_once),
		cmocka_unit_test(a_flood_of_triples_does_not_shake_trust),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
