/* The short form of facts: it comes back as it was, and takes damage. */
#include "store/pack.h"
#include "store/store_test.h"

#include <string.h>

static void assert_round(struct str raw, size_t at_most)
{
	struct buf packed = BUF(2 * PACK_MAX), back = BUF(PACK_MAX);
	struct str coded = pack(raw, &packed), again = unpack(coded, &back);

	assert_true(coded.n <= at_most);
	assert_true(str_eq(again, raw));
	buf_free(&packed);
	buf_free(&back);
}

static void what_is_packed_comes_back(void **state)
{
	static const char facts[] =
		"\x01\x1fMon, 23 Nov 2026 11:11:07 +0100\x03:\"Somebody 11 (Sales)\" "
		"<somebody.11@department.example.net>\x06<second.reader@department.example.net>"
		"\x01\x04text"
		"\x02\x05plain\x03\x0e\x07"
		"charset\x05utf-8\x06\x10quoted-printable";
	static char much[PACK_MAX];

	(void)state;
	assert_round(STR(""), 0);
	assert_round(STR("x"), 1);
	assert_round(str_c(facts), (sizeof facts) * 3 / 4);
	assert_round(str_make(much, sizeof much), 1000);
	for (size_t i = 0; i < sizeof much; i++)
		much[i] = (char)(i * i * 31 >> 5);
	for (size_t n = 1; n <= sizeof much; n += n < 300 ? 1 : 1013)
		assert_round(str_make(much, n), n);
}

/* Also what looks like the short form. */
static void what_begins_with_the_mark_comes_back(void **state)
{
	static const char marked[] = "\xe1\x81\x00\x00\xe1\x81\x00\x00\xff\xff\xff";

	(void)state;
	for (size_t n = 1; n < sizeof marked; n++)
		assert_round(str_make(marked, n), n + 3);
}

static void damage_gives_nothing_or_something_else(void **state)
{
	struct buf packed = BUF(2 * PACK_MAX), back = BUF(PACK_MAX);
	char raw[] = "charset utf-8 quoted-printable, multipart and again quoted-printable",
	     bad[200];
	struct str coded = pack(str_c(raw), &packed);

	(void)state;
	assert_true(coded.n < sizeof bad);
	for (size_t at = 0; at < coded.n; at++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(bad, coded.p, coded.n);
			bad[at] = (char)(bad[at] ^ 1 << bit);
			assert_true(unpack(str_make(bad, coded.n), &back).n <= PACK_MAX);
			assert_true(unpack(str_make(bad, at), &back).n <= PACK_MAX);
		}
	/* Nothing so far back; no bytes left; more than there may be. */
	assert_int_equal(unpack(str_make("\xe1\x80\xff\xff", 4), &back).n, 0);
	assert_int_equal(unpack(str_make("\xe1\x80\x00\x00", 4), &back).n, 0);
	assert_int_equal(unpack(str_make("\xe1\x05xx", 4), &back).n, 0);
	buf_free(&packed);
	packed = BUF(2 * PACK_MAX);
	buf_addz(&packed, "\xe1");
	for (int i = 0; i < 400; i++)
		buf_add(&packed, str_make("\xff\x50\x00", 3));
	assert_int_equal(unpack(buf_str(&packed), &back).n, 0);
	buf_free(&packed);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_packed_comes_back),
		TEST(what_begins_with_the_mark_comes_back),
		TEST(damage_gives_nothing_or_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
