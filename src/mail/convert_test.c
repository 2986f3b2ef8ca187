#include "mail/convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct err why;

/* 0 and the result in `out`, or -1 and `why`; in pieces of every size up to 9, and at once. */
static int convert(enum convert_target target, struct str text, struct buf *out)
{
	struct buf one = BUF(1 << 20);
	int r = 0;

	for (size_t piece = 1; piece < 12; piece++) {
		size_t step = piece < 10 ? piece : text.n + 1;
		struct convert *c = convert_new();
		int got;

		assert_non_null(c);
		why = ERR_INIT;
		for (size_t at = 0; at < text.n; at += step)
			convert_scan(c, str_head(str_from(text, at), step));
		got = convert_plan(c, target, &why);
		for (int run = 0; run < 2 && got == 0; run++) {
			buf_clear(&one);
			for (size_t at = 0; at < text.n; at += step)
				convert_feed(c, str_head(str_from(text, at), step), &one);
			got = convert_end(c, &one, &why);
		}
		if (piece == 1) {
			r = got;
			buf_clear(out);
			buf_add(out, buf_str(&one));
		}
		assert_int_equal(got, r);
		assert_true(r < 0 || str_eq(buf_str(out), buf_str(&one)));
		convert_free(&c);
	}
	buf_free(&one);
	return r;
}

static void becomes(enum convert_target target, struct str text, struct str want)
{
	struct buf out = BUF(1 << 20);

	assert_int_equal(convert(target, text, &out), 0);
	if (!str_eq(buf_str(&out), want))
		print_error("got: " STR_F "\n", STR_A(buf_str(&out)));
	assert_true(str_eq(buf_str(&out), want));
	buf_free(&out);
}

static void is_refused(enum convert_target target, struct str text)
{
	struct buf out = BUF(1 << 20);

	assert_int_equal(convert(target, text, &out), -1);
	assert_int_equal(why.kind, ERR_PERM);
	buf_free(&out);
}

#define HEAD "Subject: x\r\nMIME-Version: 1.0\r\n"

static void text_becomes_quoted_printable(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT,
		STR(HEAD "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: 8bit\r\n\r\ngr\xc3\xbc\xc3\x9f dich\r\n"),
		STR(HEAD "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: quoted-printable\r\n\r\ngr=C3=BC=C3=9F "
			 "dich\r\n"));
}

static void a_message_that_says_nothing_of_itself_is_labelled(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT, STR("Subject: x\r\n\r\n\xe4\r\n"),
		STR("Subject: x\r\nMIME-Version: 1.0\r\n"
		    "Content-Type: text/plain; charset=unknown-8bit\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n"));
	becomes(CONVERT_7BIT, STR("Content-Type: text/html\r\n\r\n\xe4\r\n"),
		STR("Content-Type: text/html\r\nMIME-Version: 1.0\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n"));
}

static void what_is_clean_stays_as_it_is(void **state)
{
	static const struct str text = STR_INIT(
		HEAD "Content-Type: text/plain\r\nContent-Transfer-Encoding: 7bit\r\n\r\nhi\r\n");
	static const struct str eight = STR_INIT(
		HEAD "Content-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe4\r\n");

	(void)state;
	becomes(CONVERT_7BIT, text, text);
	becomes(CONVERT_8BIT, eight, eight);
	becomes(CONVERT_7BIT, STR(""), STR(""));
	becomes(CONVERT_7BIT, STR("Subject: only a head\r\n"), STR("Subject: only a head\r\n"));
}

static void what_is_no_text_becomes_base64(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT,
		STR(HEAD "Content-Type: image/png\r\nContent-Transfer-Encoding:\r\n 8bit\r\n\r\n"
			 "\xff\xfe\r\n"),
		STR(HEAD "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			 "//4NCg=="));
	becomes(CONVERT_8BIT,
		STR(HEAD "Content-Type: text/plain\r\nContent-Transfer-Encoding: binary\r\n\r\n"
			 "a\nb\r\n"),
		STR(HEAD "Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			 "YQpiDQo="));
	becomes(CONVERT_8BIT,
		STR(HEAD "Content-Type: application/x\r\nContent-Transfer-Encoding: binary\r\n\r\n"
			 "a\0b\r\n"),
		STR(HEAD "Content-Type: application/x\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			 "YQBiDQo="));
}

#define MULTI                                                                                      \
	HEAD "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "            \
	     "8bit\r\n\r\n"
#define MULTI_7                                                                                    \
	HEAD "Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "            \
	     "7bit\r\n\r\n"

/* RFC 2045 6.4 */
static void multiparts_and_messages_are_converted_inside(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT,
		STR(MULTI "for others\r\n--b\r\n\r\nplain\r\n--b  \r\n"
			  "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
			  "Subject: y\r\nContent-Type: text/plain; charset=utf-8\r\n"
			  "Content-Transfer-Encoding: 8bit\r\n\r\n\xc3\xbc\r\n"
			  "--b--\r\nend\r\n"),
		STR(MULTI_7
			"for others\r\n--b\r\n\r\nplain\r\n--b  \r\n"
			"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 7bit\r\n\r\n"
			"Subject: y\r\nContent-Type: text/plain; charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n"
			"MIME-Version: 1.0\r\n\r\n=C3=BC\r\n"
			"--b--\r\nend\r\n"));
}

static void text_around_the_parts_is_left_out_when_it_cannot_go(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT, STR(MULTI "\xe4\r\n--b\r\n\r\nhi\r\n--b--\r\n\xe4\r\n"),
		STR(MULTI_7 "--b\r\n\r\nhi\r\n--b--\r\n"));
}

static void what_was_encoded_badly_is_encoded_anew(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT,
		STR(HEAD "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3\xbc=\r\n!\r\n"),
		STR(HEAD "Content-Type: text/plain; charset=utf-8\r\n"
			 "Content-Transfer-Encoding: quoted-printable\r\n\r\n=C3=BC!\r\n"));
}

static void long_text(struct buf *b, const char *head, size_t n)
{
	buf_clear(b);
	buf_addz(b, head);
	for (size_t i = 0; i < n; i++)
		buf_addc(b, 'x');
	buf_addz(b, "\r\n");
}

static void long_lines_are_encoded(void **state)
{
	static const char head[] = HEAD "Content-Type: text/plain\r\n\r\n";
	struct buf text = BUF(4000), out = BUF(1 << 16);

	(void)state;
	long_text(&text, head, 998);
	becomes(CONVERT_8BIT, buf_str(&text), buf_str(&text));
	long_text(&text, head, 999);
	assert_int_equal(convert(CONVERT_8BIT, buf_str(&text), &out), 0);
	assert_true(str_search(buf_str(&out), STR("quoted-printable")) < out.n);
	assert_true(str_search(buf_str(&out), STR("xxx=\r\nxxx")) < out.n);
	buf_free(&text);
	buf_free(&out);
}

#define DKIM "DKIM-Signature: v=1; b=x\r\n" HEAD "Content-Type: text/plain\r\n\r\n"
#define SIGNED                                                                                     \
	HEAD "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n"                           \
	     "Content-Type: text/plain\r\n\r\n"

static void signed_content_is_not_touched(void **state)
{
	struct buf text = BUF(4000);

	(void)state;
	is_refused(CONVERT_7BIT, STR(SIGNED "\xe4\r\n--b\r\n\r\nsig\r\n--b--\r\n"));
	becomes(CONVERT_8BIT, STR(SIGNED "\xe4\r\n--b\r\n\r\nsig\r\n--b--\r\n"),
		STR(SIGNED "\xe4\r\n--b\r\n\r\nsig\r\n--b--\r\n"));
	long_text(&text, SIGNED, 2000);
	becomes(CONVERT_7BIT, buf_str(&text), buf_str(&text));
	long_text(&text, DKIM, 2000);
	becomes(CONVERT_7BIT, buf_str(&text), buf_str(&text));
	becomes(CONVERT_7BIT, STR(DKIM "\xe4\r\n"),
		STR("DKIM-Signature: v=1; b=x\r\n" HEAD "Content-Type: text/plain\r\n"
		    "Content-Transfer-Encoding: quoted-printable\r\n\r\n=E4\r\n"));
	buf_free(&text);
}

static void what_may_not_be_encoded_is_refused(void **state)
{
	(void)state;
	is_refused(CONVERT_7BIT, STR("Subject: \xe4\r\n\r\nhi\r\n"));
	is_refused(CONVERT_8BIT, STR("Subject: a\0b\r\n\r\nhi\r\n"));
	is_refused(CONVERT_7BIT, STR("Content-Type: message/partial\r\n\r\n\xe4\r\n"));
	is_refused(CONVERT_7BIT, STR("Content-Type: multipart/mixed\r\n\r\n\xe4\r\n"));
	is_refused(CONVERT_7BIT, STR("Content-Type: multipart/mixed\r\n\r\n--\xe4"));
	is_refused(CONVERT_7BIT, STR("Content-Transfer-Encoding: x-uuencode\r\n\r\n\xe4\r\n"));
	is_refused(
		CONVERT_7BIT, STR(MULTI "--b\r\nContent-Description: \xe4\r\n\r\nhi\r\n--b--\r\n"));
}

/* RFC 6532 3.7 */
static void a_message_in_utf8_is_encoded_as_a_whole(void **state)
{
	(void)state;
	becomes(CONVERT_7BIT,
		STR(HEAD "Content-Type: message/global\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
			 "Subject: \xc3\xbc\r\n\r\nhi"),
		STR(HEAD "Content-Type: message/global\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			 "U3ViamVjdDogw7wNCg0KaGk="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_becomes_quoted_printable),
		cmocka_unit_test(a_message_that_says_nothing_of_itself_is_labelled),
		cmocka_unit_test(what_is_clean_stays_as_it_is),
		cmocka_unit_test(what_is_no_text_becomes_base64),
		cmocka_unit_test(multiparts_and_messages_are_converted_inside),
		cmocka_unit_test(text_around_the_parts_is_left_out_when_it_cannot_go),
		cmocka_unit_test(what_was_encoded_badly_is_encoded_anew),
		cmocka_unit_test(long_lines_are_encoded),
		cmocka_unit_test(signed_content_is_not_touched),
		cmocka_unit_test(what_may_not_be_encoded_is_refused),
		cmocka_unit_test(a_message_in_utf8_is_encoded_as_a_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
