#include "role/front_smtp_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The head's length as found in chunks of every size. */
static void watches(struct str message, size_t head, unsigned received, bool eight_bit)
{
	for (size_t chunk = 1; chunk <= message.n; chunk++) {
		struct head_watch w = { 0 };
		size_t got = 0;

		for (size_t at = 0; at < message.n; at += chunk)
			got += head_watch_feed(&w, str_head(str_from(message, at), chunk));
		assert_int_equal(got, head);
		assert_int_equal(w.received, received);
		assert_int_equal(w.eight_bit, eight_bit);
		assert_int_equal(w.done, head < message.n || str_endsi(message, STR("\r\n\r\n")));
	}
}

static void the_head_ends_with_the_first_empty_line(void **state)
{
	(void)state;
	watches(STR("A: b\r\n\r\nbody\r\n\r\n"), 8, 0, false);
	watches(STR("\r\nA: b\r\n\r\n"), 2, 0, false);
	watches(STR("A: b\r\nC: d\r\n"), 12, 0, false);
	watches(STR("A: b\r\n\r\n"), 8, 0, false);
	watches(STR("A:\r\n \r\nB: c\r\n\r\nx"), 15, 0, false);
}

static void hops_are_counted_in_the_head_only(void **state)
{
	(void)state;
	watches(STR("Received: a\r\nreceived: b\r\n\tc\r\nX-Received: "
		    "d\r\nRECEIVED:\r\n\r\nReceived: e\r\n"),
		58, 3, false);
	watches(STR("Received : a\r\n Received: b\r\nReceive\r\n\r\n\xff"), 39, 0, false);
}

static void eight_bits_in_the_head_are_seen(void **state)
{
	(void)state;
	watches(STR("A: \xc3\xa4\r\n\r\nx"), 9, 0, true);
	watches(STR("A: a\r\n\r\n\xc3\xa4"), 8, 0, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_head_ends_with_the_first_empty_line),
		cmocka_unit_test(hops_are_counted_in_the_head_only),
		cmocka_unit_test(eight_bits_in_the_head_are_seen),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
