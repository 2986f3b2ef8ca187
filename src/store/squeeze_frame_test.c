/* One body squeezed, and frames that are not what they say. */
#include "store/squeeze.h"
#include "store/squeeze_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void what_does_not_get_smaller_by_an_eighth_stays(void **state)
{
	static char text[100000], random[100000];
	struct buf out = BUF(200000);

	(void)state;
	make(0, text, sizeof text);
	make(3, random, sizeof random);
	assert_false(squeeze(str_make(random, sizeof random), &out));
	assert_int_equal(out.n, 0);
	assert_false(squeeze(str_make(text, SQUEEZE_LEAST - 1), &out));
	memcpy(random, text, 30000); /* about a fourteenth could be saved */
	assert_false(squeeze(str_make(random, sizeof random), &out));
	assert_int_equal(out.n, 0);
	memcpy(random, text, 97000);
	assert_true(squeeze(str_make(random, sizeof random), &out));
	assert_true(out.n <= sizeof random - sizeof random / 8);
	buf_free(&out);
}

/* T088: the room is what the index says, whatever the frame says. */
static void a_frame_that_lies_about_its_size_is_none(void **state)
{
	static char text[20000], back[20001];
	struct buf out = BUF(200000);
	struct err err = ERR_INIT;
	struct str frame;

	(void)state;
	make(1, text, sizeof text);
	assert_true(squeeze(str_make(text, sizeof text), &out));
	frame = buf_str(&out);
	assert_int_equal(squeeze_undo(frame, back, sizeof text, &err), 0);
	assert_memory_equal(back, text, sizeof text);
	back[100] = 'x';
	assert_int_equal(squeeze_undo(frame, back, 100, &err), 1);
	assert_int_equal(back[100], 'x'); /* not a byte behind the room */
	assert_int_equal(squeeze_undo(frame, back, sizeof text + 1, &err), 1);
	for (size_t n = 0; n < frame.n; n++)
		assert_int_equal(squeeze_undo(str_head(frame, n), back, sizeof text, &err), 1);
	/* The size as the frame tells it, in its head. */
	for (int bit = 0; bit < 8; bit++) {
		out.p[5] = (char)(out.p[5] ^ 1 << bit);
		assert_int_equal(squeeze_undo(frame, back, sizeof text, &err), 1);
		out.p[5] = (char)(out.p[5] ^ 1 << bit);
	}
	assert_int_equal(squeeze_undo(STR(""), back, 1, &err), 1);
	assert_int_equal(squeeze_undo(STR("not a frame at all"), back, 18, &err), 1);
	buf_free(&out);
}

/* T088: a megabyte in a few bytes, as often as the input has room for it. */
static void a_bomb_ends_where_the_room_ends(void **state)
{
	struct buf one = BUF(1 << 20), all = BUF(1 << 20);
	char *zeros = calloc(1, 1 << 20), room[1000];
	struct err err = ERR_INIT;

	(void)state;
	assert_true(squeeze(str_make(zeros, 1 << 20), &one));
	assert_true(one.n < 200);
	while (all.n < 100000)
		buf_add(&all, buf_str(&one));
	assert_int_equal(squeeze_undo(buf_str(&all), room, sizeof room, &err), 1);
	assert_int_equal(squeeze_undo(buf_str(&all), zeros, 1 << 20, &err), 1);
	free(zeros);
	buf_free(&one);
	buf_free(&all);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_not_get_smaller_by_an_eighth_stays),
		cmocka_unit_test(a_frame_that_lies_about_its_size_is_none),
		cmocka_unit_test(a_bomb_ends_where_the_room_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
