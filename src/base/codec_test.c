#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef bool decode_fn(struct str s, struct buf *b);
typedef void encode_fn(struct buf *b, struct str s);

static void decodes(decode_fn *fn, struct str in, struct str want)
{
	struct buf b = BUF(256);

	buf_add(&b, STR("kept"));
	assert_true(fn(in, &b));
	assert_true(str_starts(buf_str(&b), STR("kept")));
	assert_true(str_eq(str_from(buf_str(&b), 4), want));
	buf_free(&b);
}

static void refuses(decode_fn *fn, struct str in)
{
	struct buf b = BUF(256);

	buf_add(&b, STR("kept"));
	assert_false(fn(in, &b));
	assert_true(buf_ok(&b));
	assert_true(str_eq(buf_str(&b), STR("kept")));
	buf_free(&b);
}

static void encodes(encode_fn *fn, struct str in, struct str want)
{
	struct buf b = BUF(1024);

	fn(&b, in);
	assert_true(str_eq(buf_str(&b), want));
	buf_free(&b);
}

static void base64_is_strict(void **state)
{
	(void)state;
	decodes(base64_decode, STR(""), STR(""));
	decodes(base64_decode, STR("Zg=="), STR("f"));
	decodes(base64_decode, STR("Zm8="), STR("fo"));
	decodes(base64_decode, STR("Zm9v"), STR("foo"));
	decodes(base64_decode, STR("AGFubgBwdw=="), STR("\0ann\0pw"));
	decodes(base64_decode, STR("+/+/"), STR("\xfb\xff\xbf"));
	refuses(base64_decode, STR("Zg="));
	refuses(base64_decode, STR("Zg"));
	refuses(base64_decode, STR("Zh==")); /* the same byte, spelled differently */
	refuses(base64_decode, STR("Zm9="));
	refuses(base64_decode, STR("===="));
	refuses(base64_decode, STR("Z==="));
	refuses(base64_decode, STR("Zg==Zg=="));
	refuses(base64_decode, STR("Zm9v\r\n"));
	refuses(base64_decode, STR(" Zm9v"));
	refuses(base64_decode, STR("Zm9-"));
	encodes(base64_encode, STR("foob"), STR("Zm9vYg=="));
	encodes(base64_encode_lines, STR("foo"), STR("Zm9v\r\n"));
}

static void decoders_stop_at_the_limit_of_the_buffer(void **state)
{
	struct buf b = BUF(2);

	(void)state;
	assert_false(base64_decode(STR("Zm9v"), &b));
	assert_true(buf_ok(&b));
	assert_false(hex_decode(STR("666f6f"), &b));
	assert_false(qp_decode(STR("foo"), &b));
	assert_false(xtext_decode(STR("foo"), &b));
	assert_int_equal(b.n, 0);
	assert_true(hex_decode(STR("666F"), &b));
	assert_true(str_eq(buf_str(&b), STR("fo")));
	buf_free(&b);
}

static void hex_takes_both_cases_and_gives_lower(void **state)
{
	(void)state;
	encodes(hex_encode, STR("\0\xAB\xff"), STR("00abff"));
	decodes(hex_decode, STR("00aBFf"), STR("\0\xAB\xff"));
	refuses(hex_decode, STR("0"));
	refuses(hex_decode, STR("0g"));
}

static void quoted_printable_keeps_lines_short_and_text_readable(void **state)
{
	char text[300];
	struct buf b = BUF(2048), back = BUF(300);
	struct str rest, line;

	(void)state;
	encodes(qp_encode, STR("caf\xc3\xa9 = \r\n.x\r\nFrom me\t"),
		STR("caf=C3=A9 =3D=20\r\n=2Ex\r\n=46rom me=09"));
	encodes(qp_encode, STR("a\nb\rc"), STR("a=0Ab=0Dc"));
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = i % 7 ? 'x' : (char)0xe4;
	qp_encode(&b, str_make(text, sizeof text));
	for (rest = buf_str(&b); rest.n;) {
		line = str_word(&rest, '\n');
		assert_true(line.n <= 77);
	}
	assert_true(qp_decode(buf_str(&b), &back));
	assert_true(str_eq(buf_str(&back), str_make(text, sizeof text)));
	buf_free(&b);
	buf_free(&back);
}

static void quoted_printable_is_strict(void **state)
{
	(void)state;
	decodes(qp_decode, STR("a=3db=\r\nc \t\r\nd"), STR("a=bc\r\nd"));
	decodes(qp_decode, STR("x="), STR("x"));
	decodes(qp_decode, STR("x= \r\ny"), STR("xy"));
	refuses(qp_decode, STR("=4"));
	refuses(qp_decode, STR("=ZZ"));
	refuses(qp_decode, STR("a\nb"));
	refuses(qp_decode, STR("a\rb"));
	refuses(qp_decode, STR("\xe4"));
}

static void xtext_hides_nothing(void **state)
{
	(void)state;
	encodes(xtext_encode, STR("rfc822;a+b=c d"), STR("rfc822;a+2Bb+3Dc+20d"));
	decodes(xtext_decode, STR("a+2Bb"), STR("a+b"));
	decodes(xtext_decode, STR("x+0Ay"), STR("x\ny")); /* the caller judges what came out */
	refuses(xtext_decode, STR("a+2bb"));
	refuses(xtext_decode, STR("a+2"));
	refuses(xtext_decode, STR("a=b"));
	refuses(xtext_decode, STR("a b"));
}

static void what_was_encoded_decodes_to_itself(void **state)
{
	static const struct {
		encode_fn *encode;
		decode_fn *decode;
	} pairs[] = { { base64_encode, base64_decode }, { hex_encode, hex_decode },
		{ qp_encode, qp_decode }, { xtext_encode, xtext_decode } };
	char text[64];

	(void)state;
	srand(1);
	for (int round = 0; round < 4000; round++) {
		size_t n = (size_t)rand() % sizeof text;

		for (size_t i = 0; i < n; i++)
			text[i] = (char)(rand() % 4 ? rand() : "\r\n =.+"[rand() % 6]);
		for (size_t i = 0; i < 4; i++) {
			struct buf b = BUF(1024), back = BUF(64);

			pairs[i].encode(&b, str_make(text, n));
			assert_true(pairs[i].decode(buf_str(&b), &back));
			assert_true(str_eq(buf_str(&back), str_make(text, n)));
			buf_free(&b);
			buf_free(&back);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_is_strict),
		cmocka_unit_test(decoders_stop_at_the_limit_of_the_buffer),
		cmocka_unit_test(hex_takes_both_cases_and_gives_lower),
		cmocka_unit_test(quoted_printable_keeps_lines_short_and_text_readable),
		cmocka_unit_test(quoted_printable_is_strict),
		cmocka_unit_test(xtext_hides_nothing),
		cmocka_unit_test(what_was_encoded_decodes_to_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
