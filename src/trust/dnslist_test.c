#include "trust/dnslist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void asks(const char *address, const char *want)
{
	struct buf name = BUF(300);
	struct ip ip;

	assert_true(ip_parse(&ip, str_c(address)));
	assert_true(dnslist_question(&ip, STR("bl.example"), &name));
	buf_addc(&name, '\0');
	assert_string_equal(name.p, want);
	buf_free(&name);
}

/* The examples of RFC 5782 2.1 and 2.4. */
static void the_question_is_the_address_backwards(void **state)
{
	(void)state;
	asks("192.0.2.99", "99.2.0.192.bl.example");
	asks("::ffff:192.0.2.99", "99.2.0.192.bl.example");
	asks("2001:db8:1:2:3:4:567:89ab",
		"b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.bl.example");
}

static void a_question_that_is_too_long_is_not_asked(void **state)
{
	struct buf name = BUF(100);
	struct ip ip;

	(void)state;
	assert_true(ip_parse(&ip, STR("2001:db8::1")));
	assert_false(dnslist_question(
		&ip, STR("a-zone-of-such-length-that-the-name-does-not-fit.example"), &name));
	buf_free(&name);
}

static void T149_only_the_answers_that_count_list_an_address(void **state)
{
	static const unsigned char low[4] = { 127, 0, 0, 2 }, high[4] = { 127, 0, 0, 11 };
	static const struct {
		struct str rdata;
		enum dnslist_answer want;
	} cases[] = { { STR_INIT("\x7f\0\0\x02"), DNSLIST_YES },
		{ STR_INIT("\x7f\0\0\x0b"), DNSLIST_YES },
		{ STR_INIT("\x7f\0\0\x0c"), DNSLIST_OTHER },
		{ STR_INIT("\x7f\0\0\x01"), DNSLIST_OTHER },
		{ STR_INIT("\x7f\xff\xff\xfe"), DNSLIST_ERROR },
		{ STR_INIT("\x7f\xff\xff\x02"), DNSLIST_ERROR },
		{ STR_INIT("\x0a\0\0\x02"), DNSLIST_ERROR },
		{ STR_INIT("\x7f\0\0"), DNSLIST_ERROR }, { STR_INIT(""), DNSLIST_ERROR } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(dnslist_answer(cases[i].rdata, low, high), cases[i].want);
	assert_int_equal(dnslist_worse(DNSLIST_OTHER, DNSLIST_YES), DNSLIST_YES);
	assert_int_equal(dnslist_worse(DNSLIST_YES, DNSLIST_OTHER), DNSLIST_YES);
	assert_int_equal(dnslist_worse(DNSLIST_YES, DNSLIST_ERROR), DNSLIST_ERROR);
	assert_int_equal(dnslist_worse(DNSLIST_NO, DNSLIST_OTHER), DNSLIST_OTHER);
}

static void T149_a_list_that_is_dead_or_lists_everything_is_not_sound(void **state)
{
	(void)state;
	assert_null(dnslist_verdict(DNSLIST_YES, DNSLIST_NO));
	assert_null(dnslist_verdict(DNSLIST_OTHER, DNSLIST_NO));
	assert_string_equal(dnslist_verdict(DNSLIST_NO, DNSLIST_NO), "it does not list 127.0.0.2");
	assert_string_equal(dnslist_verdict(DNSLIST_YES, DNSLIST_YES), "it lists 127.0.0.1");
	assert_string_equal(dnslist_verdict(DNSLIST_YES, DNSLIST_OTHER), "it lists 127.0.0.1");
	assert_string_equal(dnslist_verdict(DNSLIST_ERROR, DNSLIST_NO), "it answers with an error");
	assert_string_equal(
		dnslist_verdict(DNSLIST_YES, DNSLIST_ERROR), "it answers with an error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_question_is_the_address_backwards),
		cmocka_unit_test(a_question_that_is_too_long_is_not_asked),
		cmocka_unit_test(T149_only_the_answers_that_count_list_an_address),
		cmocka_unit_test(T149_a_list_that_is_dead_or_lists_everything_is_not_sound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
