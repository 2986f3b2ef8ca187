#include "mail/body.h"
#include "mail/charset.h"
#include "mail/encode.h"

#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void encoded_words_are_read(void **state)
{
	static const struct {
		struct str in, out;
	} rows[] = {
		{ STR_INIT("plain"), STR_INIT("plain") },
		{ STR_INIT("=?ISO-8859-1?Q?a?="), STR_INIT("a") },
		{ STR_INIT("=?ISO-8859-1?Q?a?= b"), STR_INIT("a b") },
		{ STR_INIT("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?="), STR_INIT("ab") },
		{ STR_INIT("=?ISO-8859-1?Q?a?=\r\n   =?ISO-8859-1?Q?b?="), STR_INIT("ab") },
		{ STR_INIT("=?ISO-8859-1?Q?a_b?="), STR_INIT("a b") },
		{ STR_INIT("=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?="), STR_INIT("a b") },
		{ STR_INIT("=?utf-8?b?SsO8cmdlbg==?="), STR_INIT("J\xc3\xbcrgen") },
		{ STR_INIT("=?UTF-8*de?B?w7w=?="), STR_INIT("\xc3\xbc") },
		/* a character split between two words, which no one may do and many do */
		{ STR_INIT("=?utf-8?q?=C3?= =?utf-8?q?=BC?="), STR_INIT("\xc3\xbc") },
		{ STR_INIT("=?windows-1252?q?=80=99?="), STR_INIT("\xe2\x82\xac\xe2\x84\xa2") },
		{ STR_INIT("=?iso-8859-15?q?=A4?="), STR_INIT("\xe2\x82\xac") },
		{ STR_INIT("=?x-none?q?a=FF?="), STR_INIT("a\xef\xbf\xbd") },
		{ STR_INIT("=?utf-8?x?a?="), STR_INIT("=?utf-8?x?a?=") },
		{ STR_INIT("=?utf-8?q?a b?="), STR_INIT("=?utf-8?q?a b?=") },
		{ STR_INIT("=?utf-8?q?a"), STR_INIT("=?utf-8?q?a") },
		{ STR_INIT("Re: =?utf-8?q?=0D=0AX?= =?"), STR_INIT("Re: X =?") },
		{ STR_INIT("folded\r\n line"), STR_INIT("folded line") },
		{ STR_INIT("raw \xfc and \xc3\xbc"),
			STR_INIT("raw \xc3\xbc and \xc3\x83\xc2\xbc") },
		{ STR_INIT("raw \xc3\xbc"), STR_INIT("raw \xc3\xbc") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = BUF(200);

		words_decode(rows[i].in, &b);
		assert_true(str_eq(buf_str(&b), rows[i].out));
		buf_free(&b);
	}
}

static void lines_are_short(struct str s, size_t column)
{
	while (s.n) {
		struct str line = str_word(&s, '\n');

		assert_true(column + line.n <= 77);
		column = 0;
	}
}

static void what_is_written_reads_back(void **state)
{
	static const struct str texts[] = { STR_INIT("Hello"),
		STR_INIT("J\xc3\xbcrgen Gr\xc3\xb6\xc3\x9f"
			 "e"),
		STR_INIT("\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"), STR_INIT(" spaces "),
		STR_INIT("=?utf-8?q?trick?="), STR_INIT("a \"quoted\" \\ word"), STR_INIT(""),
		STR_INIT("long long long long long long long long long long long long long long "
			 "long long "
			 "long long long long text with \xc3\xbcmlauts at the end "
			 "\xc3\xa4\xc3\xb6\xc3\xbc"),
		STR_INIT("a subject of many plain words that has to be folded because it is longer "
			 "than any "
			 "line should be, twice over, so that there are two folds"),
		STR_INIT("\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f"
			 "\x93\xa7"
			 "\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f\x93\xa7\xf0\x9f"
			 "\x93\xa7") };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		for (size_t column = 0; column < 80; column += 9) {
			struct buf b = BUF(2000), back = BUF(2000);

			words_encode(&b, texts[i], column);
			lines_are_short(buf_str(&b), column < 40 ? column : 0);
			words_decode(buf_str(&b), &back);
			assert_true(str_eq(buf_str(&back), texts[i]));
			buf_free(&b);
			buf_free(&back);
		}
}

static void no_text_ends_the_field(void **state)
{
	struct buf b = BUF(2000), back = BUF(2000);

	(void)state;
	words_encode(&b, STR("a\r\nBcc: evil\0\x7f\xff"), 9);
	assert_true(str_search(buf_str(&b), STR("\r\nB")) == b.n);
	words_decode(buf_str(&b), &back);
	assert_true(str_eq(buf_str(&back), STR("a  Bcc: evil  \xef\xbf\xbd")));
	buf_free(&b);
	buf_free(&back);
}

static void display_names_are_quoted_when_they_must_be(void **state)
{
	static const struct {
		struct str in, out;
	} rows[] = {
		{ STR_INIT("Ann Cee"), STR_INIT("Ann Cee") },
		{ STR_INIT("Cee, Ann"), STR_INIT("\"Cee, Ann\"") },
		{ STR_INIT("a \"b\" \\"), STR_INIT("\"a \\\"b\\\" \\\\\"") },
		{ STR_INIT("J\xc3\xbc, x"), STR_INIT("=?utf-8?q?J=C3=BC=2C_x?=") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = BUF(200);

		phrase_encode(&b, rows[i].in, 6);
		assert_true(str_eq(buf_str(&b), rows[i].out));
		buf_free(&b);
	}
}

static void bodies_decode_in_any_pieces(void **state)
{
	static const struct {
		enum body_encoding encoding;
		struct str in, out;
	} rows[] = {
		{ BODY_BASE64, STR_INIT("SGVs\r\nbG8=\r\nIHdvcmxk"), STR_INIT("Hello world") },
		{ BODY_BASE64, STR_INIT("S G*V s b G 8"), STR_INIT("Hello") },
		{ BODY_BASE64, STR_INIT("S"), STR_INIT("") },
		{ BODY_QP, STR_INIT("a=3D=\r\nb= \t\r\nc=\nd=e"), STR_INIT("a=bcd=e") },
		{ BODY_QP, STR_INIT("x = 10, =zz =4x =\rq =3d==3D"),
			STR_INIT("x = 10, =zz =4x =\rq ===") },
		{ BODY_QP, STR_INIT("end="), STR_INIT("end") },
		{ BODY_IDENTITY, STR_INIT("a=3D"), STR_INIT("a=3D") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t chunk = 1; chunk < 40; chunk++) {
			struct body_decoder d = BODY_DECODER(rows[i].encoding);
			struct buf b = BUF(100);

			for (struct str s = rows[i].in; s.n; s = str_from(s, chunk))
				body_feed(&d, str_head(s, chunk), &b);
			body_end(&d, &b);
			assert_true(str_eq(buf_str(&b), rows[i].out));
			buf_free(&b);
		}
}

static void charsets_decode_in_any_pieces(void **state)
{
	char in[40];

	(void)state;
	srand(3);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)rand() % sizeof in;
		struct buf whole = BUF(200), pieces = BUF(200);
		struct charset_decoder d = CHARSET_DECODER(CHARSET_UTF8);

		for (size_t i = 0; i < n; i++)
			in[i] = "a\x80\xbf\xc3\xe2\x82\xac\xed\xf0\x9f\xf4\xff\xe0\xc0"[rand() %
				14];
		charset_to_utf8(STR("utf-8"), str_make(in, n), &whole);
		for (size_t i = 0; i < n;) {
			size_t step = 1 + (size_t)rand() % 3;

			charset_feed(&d, str_head(str_from(str_make(in, n), i), step), &pieces);
			i += step;
		}
		charset_end(&d, &pieces);
		assert_true(str_eq(buf_str(&whole), buf_str(&pieces)));
		assert_true(utf8_valid(buf_str(&whole)));
		buf_free(&whole);
		buf_free(&pieces);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(encoded_words_are_read),
		cmocka_unit_test(what_is_written_reads_back),
		cmocka_unit_test(no_text_ends_the_field),
		cmocka_unit_test(display_names_are_quoted_when_they_must_be),
		cmocka_unit_test(bodies_decode_in_any_pieces),
		cmocka_unit_test(charsets_decode_in_any_pieces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
