#include "imap/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static struct imap_view view_of(const struct imap_range *v, size_t n)
{
	struct imap_view w = { .v = NULL };

	for (size_t i = 0; i < n; i++)
		assert_true(imap_view_append(&w, v[i].first, v[i].last));
	return w;
}

static struct imap_ranges ranges_of(const struct imap_range *v, size_t n)
{
	struct imap_ranges r = { .v = NULL };

	for (size_t i = 0; i < n; i++)
		assert_true(imap_ranges_add(&r, v[i].first, v[i].last));
	return r;
}

#define LIST(...)                                                                                  \
	(const struct imap_range[]){ __VA_ARGS__ },                                                \
		sizeof((const struct imap_range[]){ __VA_ARGS__ }) / sizeof(struct imap_range)

static void numbers_and_uids_lead_to_each_other(void **state)
{
	struct imap_view w = view_of(LIST({ 3, 5 }, { 6, 6 }, { 10, 12 }));

	assert_int_equal(w.n, 2); /* 3:6 is one range */
	assert_int_equal(w.count, 7);
	assert_int_equal(w.uidnext, 13);
	assert_int_equal(imap_view_uid(&w, 1), 3);
	assert_int_equal(imap_view_uid(&w, 5), 10);
	assert_int_equal(imap_view_uid(&w, 7), 12);
	assert_int_equal(imap_view_uid(&w, 0), 0);
	assert_int_equal(imap_view_uid(&w, 8), 0);
	for (uint32_t seq = 1; seq <= 7; seq++)
		assert_int_equal(imap_view_seq(&w, imap_view_uid(&w, seq)), seq);
	assert_int_equal(imap_view_seq(&w, 7), 0);
	assert_int_equal(imap_view_seq(&w, 13), 0);
	assert_int_equal(imap_view_count_from(&w, 7), 3);
	assert_int_equal(imap_view_count_from(&w, 11), 2);
	imap_view_free(&w);
}

struct told {
	uint32_t seq[64];
	size_t n;
};

static void tell(void *arg, uint32_t seq)
{
	struct told *t = arg;

	t->seq[t->n++] = seq;
}

static void expunges_are_numbered_as_they_happen(void **state)
{
	struct imap_view w = view_of(LIST({ 1, 10 }, { 20, 22 }));
	struct imap_ranges gone = ranges_of(LIST({ 2, 3 }, { 9, 20 }, { 50, 60 }));
	struct told t = { .n = 0 };
	static const uint32_t want[] = { 2, 2, 7, 7, 7 };

	assert_true(imap_view_remove(&w, &gone, tell, &t));
	assert_int_equal(t.n, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(t.seq[i], want[i]);
	assert_int_equal(w.count, 8);
	assert_int_equal(imap_view_uid(&w, 2), 4);
	assert_int_equal(imap_view_uid(&w, 7), 21);
	assert_int_equal(w.uidnext, 23);
	imap_ranges_free(&gone);
	imap_view_free(&w);
}

/* A plain array does the same the slow way. */
static void random_expunges_agree_with_a_plain_list(void **state)
{
	enum { N = 60 };
	srand(1);
	for (unsigned round = 0; round < 2000; round++) {
		struct imap_view w = { .v = NULL };
		struct imap_ranges gone = { .v = NULL };
		struct told t = { .n = 0 };
		uint32_t list[N], expect[N];
		size_t n = 0, told = 0;

		for (uint32_t uid = 1; uid <= N; uid++) {
			if (rand() % 3 == 0)
				continue;
			assert_true(imap_view_append(&w, uid, uid));
			list[n++] = uid;
		}
		for (uint32_t uid = 1; uid <= N + 5; uid++)
			if (rand() % 4 == 0)
				assert_true(imap_ranges_add(&gone, uid, uid));
		for (size_t i = 0; i < n;) {
			if (!imap_ranges_have(&gone, list[i])) {
				i++;
				continue;
			}
			expect[told++] = (uint32_t)i + 1;
			for (size_t k = i; k + 1 < n; k++)
				list[k] = list[k + 1];
			n--;
		}
		assert_true(imap_view_remove(&w, &gone, tell, &t));
		assert_int_equal(t.n, told);
		assert_memory_equal(t.seq, expect, told * sizeof *expect);
		assert_int_equal(w.count, n);
		for (size_t i = 0; i < n; i++) {
			assert_int_equal(imap_view_uid(&w, (uint32_t)i + 1), list[i]);
			assert_int_equal(imap_view_seq(&w, list[i]), i + 1);
		}
		imap_view_free(&w);
		imap_ranges_free(&gone);
	}
}

static struct imap_ranges resolve(
	const struct imap_view *w, bool uids, const struct imap_range *v, size_t n)
{
	struct imap_range copy[16];
	struct imap_set set = { .v = copy, .n = n };
	struct imap_ranges out = { .v = NULL };
	const char *why;

	for (size_t i = 0; i < n; i++)
		copy[i] = v[i];
	assert_true(imap_view_resolve(w, &set, uids, &out, &why));
	return out;
}

static void sets_become_few_ranges_of_uids(void **state)
{
	struct imap_view w = view_of(LIST({ 3, 5 }, { 10, 12 }));
	struct imap_ranges r = resolve(&w, false, LIST({ 5, 4 }, { 1, 2 }, { 2, 3 }));

	assert_int_equal(r.n, 1); /* 1:5 in numbers, so 3:11 in uids: nothing lies in the gap */
	assert_int_equal(r.v[0].first, 3);
	assert_int_equal(r.v[0].last, 11);
	imap_ranges_free(&r);
	r = resolve(&w, true, LIST({ 1, 3 }, { 11, IMAP_STAR }, { 6, 9 }, { 99, 98 }));
	assert_int_equal(r.n, 2);
	assert_int_equal(r.v[0].last, 3);
	assert_int_equal(r.v[1].first, 11);
	assert_int_equal(r.v[1].last, 12);
	imap_ranges_free(&r);
	r = resolve(&w, true, LIST({ 50, IMAP_STAR })); /* RFC 3501 6.4.8: the last message */
	assert_int_equal(r.n, 1);
	assert_int_equal(r.v[0].first, 12);
	imap_ranges_free(&r);
	imap_view_free(&w);
}

static void a_number_without_message_is_an_error(void **state)
{
	struct imap_view w = view_of(LIST({ 3, 5 }));
	struct imap_range four = { 1, 4 };
	struct imap_set set = { .v = &four, .n = 1 };
	struct imap_ranges out = { .v = NULL };
	const char *why = NULL;

	assert_false(imap_view_resolve(&w, &set, false, &out, &why));
	assert_non_null(why);
	imap_ranges_free(&out);
	imap_view_free(&w);
}

static void a_large_mailbox_is_one_range(void **state)
{
	struct imap_view w = view_of(LIST({ 1, 4000000000u }));

	assert_int_equal(w.n, 1);
	assert_int_equal(imap_view_uid(&w, 4000000000u), 4000000000u);
	assert_int_equal(imap_view_count_from(&w, 3999999999u), 2);
	imap_view_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_and_uids_lead_to_each_other),
		cmocka_unit_test(expunges_are_numbered_as_they_happen),
		cmocka_unit_test(random_expunges_agree_with_a_plain_list),
		cmocka_unit_test(sets_become_few_ranges_of_uids),
		cmocka_unit_test(a_number_without_message_is_an_error),
		cmocka_unit_test(a_large_mailbox_is_one_range),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
