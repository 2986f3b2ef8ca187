#include "mail/body.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void encode(enum body_encoding how, struct str text, size_t piece, struct buf *out)
{
	struct body_encoder e = BODY_ENCODER(how);

	buf_clear(out);
	for (size_t at = 0; at < text.n; at += piece)
		body_encode(&e, str_head(str_from(text, at), piece), out);
	body_encode_end(&e, out);
}

static void quoted_printable_keeps_lines_and_codes_the_rest(void **state)
{
	static const struct {
		struct str text, want;
	} rows[] = {
		{ STR_INIT(""), STR_INIT("") },
		{ STR_INIT("a=b\r\nc"), STR_INIT("a=3Db\r\nc") },
		{ STR_INIT("gr\xc3\xbc\xc3\x9f"), STR_INIT("gr=C3=BC=C3=9F") },
		{ STR_INIT("end \r\nend\t"), STR_INIT("end=20\r\nend=09") },
		{ STR_INIT("a \r b\r"), STR_INIT("a =0D b=0D") },
		{ STR_INIT("a\nb\r\r\n"), STR_INIT("a=0Ab=0D\r\n") },
		{ STR_INIT(" \r"), STR_INIT(" =0D") },
		{ STR_INIT("\0"), STR_INIT("=00") },
	};
	struct buf out = BUF(1000);

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t piece = 1; piece < 5; piece++) {
			encode(BODY_QP, rows[i].text, piece, &out);
			if (!str_eq(buf_str(&out), rows[i].want))
				print_error("row %zu: " STR_F "\n", i, STR_A(buf_str(&out)));
			assert_true(str_eq(buf_str(&out), rows[i].want));
		}
	buf_free(&out);
}

static void lines_are_short_and_decode_to_the_same(void **state)
{
	static const enum body_encoding ways[] = { BODY_QP, BODY_BASE64 };
	struct buf text = BUF(20000), out = BUF(80000), back = BUF(20000);

	(void)state;
	for (unsigned i = 0; i < 9001; i++)
		buf_addc(&text, (char)(i * i / 7 + i));
	for (size_t w = 0; w < 2; w++)
		for (size_t n = 0; n < text.n; n = n * 3 + 1) {
			struct body_decoder d = BODY_DECODER(ways[w]);
			struct str s = str_head(buf_str(&text), n);
			size_t line = 0;

			encode(ways[w], s, 7, &out);
			buf_clear(&back);
			body_feed(&d, buf_str(&out), &back);
			body_end(&d, &back);
			assert_true(str_eq(buf_str(&back), s));
			for (size_t i = 0; i < out.n; i++) {
				line = out.p[i] == '\n' ? 0 : line + 1;
				assert_true(line <= 77); /* with the CR */
			}
		}
	buf_free(&text);
	buf_free(&out);
	buf_free(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(quoted_printable_keeps_lines_and_codes_the_rest),
		cmocka_unit_test(lines_are_short_and_decode_to_the_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
