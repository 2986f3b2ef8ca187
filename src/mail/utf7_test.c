#include "mail/utf7.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void assert_decodes(const char *wire, const char *utf8)
{
	struct buf out = BUF(1000), back = BUF(1000);

	assert_true(utf7_decode(str_c(wire), &out));
	assert_true(str_eq(buf_str(&out), str_c(utf8)));
	utf7_encode(buf_str(&out), &back);
	assert_true(str_eq(buf_str(&back), str_c(wire)));
	buf_free(&out);
	buf_free(&back);
}

static void names_have_one_spelling_that_comes_back(void **state)
{
	assert_decodes("", "");
	assert_decodes("INBOX", "INBOX");
	assert_decodes("R&-D", "R&D");
	assert_decodes("&-&-", "&&");
	assert_decodes("Entw&APw-rfe", "Entw\xc3\xbcrfe");
	assert_decodes("&AOk-&-", "\xc3\xa9&");
	/* RFC 3501 5.1.3 */
	assert_decodes("~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	assert_decodes("&2D3eAA-", "\xf0\x9f\x98\x80"); /* a pair of UTF-16 units */
}

static void other_spellings_are_refused(void **state)
{
	static const char *const wrong[] = {
		"&",          /* no end */
		"&AOk",       /* no end */
		"&AGE-",      /* "a" needs no base64 */
		"&AOl-",      /* stray bits: the same as &AOk- */
		"&AOkA-",     /* a digit too many */
		"&A-",        /* too few */
		"&AOk-&AOk-", /* one shift cut in two */
		"&AO/-",      /* "/" is not in this alphabet */
		"&2D0-",      /* half a pair */
		"&3gA-",      /* the other half */
		"&2D3YPQ-",   /* two first halves */
		"&AAA-",      /* NUL */
		"&AAo-",      /* line feed */
		"\xc3\xa9",   /* UTF-8 */
		"a\tb",
		"a\x7f",
	};

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct buf out = BUF(1000);

		buf_addz(&out, "before");
		if (utf7_decode(str_c(wrong[i]), &out))
			fail_msg("%s was taken", wrong[i]);
		assert_true(str_eq(buf_str(&out), STR("before")));
		assert_true(buf_ok(&out));
		buf_free(&out);
	}
}

static void a_name_over_the_limit_is_refused(void **state)
{
	struct buf out = BUF(4);

	assert_false(utf7_decode(STR("12345"), &out));
	assert_true(utf7_decode(STR("1234"), &out));
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_have_one_spelling_that_comes_back),
		cmocka_unit_test(other_spellings_are_refused),
		cmocka_unit_test(a_name_over_the_limit_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
