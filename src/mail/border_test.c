#include "mail/border.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int collect(void *arg, struct str bytes, struct err *err)
{
	(void)err;
	buf_add(arg, bytes);
	return 0;
}

static unsigned pass(struct str in, size_t chunk, struct buf *out)
{
	struct border b = BORDER(STR("mail.example.test"));
	struct err err = ERR_INIT;
	unsigned removed;

	buf_clear(out);
	for (size_t at = 0; at < in.n; at += chunk)
		assert_int_equal(
			border_feed(&b, str_head(str_from(in, at), chunk), collect, out, &err), 0);
	assert_int_equal(border_end(&b, collect, out, &err), 0);
	removed = b.removed;
	border_free(&b);
	return removed;
}

/* However the bytes come. */
static void assert_kept(struct str in, struct str want)
{
	struct buf out = BUF(1 << 20);

	for (size_t chunk = 1; chunk < 40; chunk++) {
		pass(in, chunk, &out);
		if (!str_eq(buf_str(&out), want))
			fail_msg("pieces of %zu: '" STR_F "' became '" STR_F "'", chunk, STR_A(in),
				STR_A(buf_str(&out)));
	}
	pass(in, in.n ? in.n : 1, &out);
	assert_true(str_eq(buf_str(&out), want));
	buf_free(&out);
}

#define TOP "Subject: x\r\n"
#define REST "To: you\r\n\r\nbody\r\nAuthentication-Results: mail.example.test; spf=pass\r\n"

static void assert_field(const char *field, bool kept)
{
	struct buf in = BUF(65536), want = BUF(65536);

	buf_addf(&in, TOP "%s\r\n" REST, field);
	buf_addf(&want, TOP "%s%s" REST, kept ? field : "", kept ? "\r\n" : "");
	assert_kept(buf_str(&in), buf_str(&want));
	buf_free(&in);
	buf_free(&want);
}

/* T054 */
static void nobody_else_speaks_as_our_checks(void **state)
{
	static const char *const names[] = { "Authentication-Results:", "authentication-results:",
		"AUTHENTICATION-RESULTS:", "aUTHENTICATION-rESULTS :", "Authentication-Results\t :",
		"Authentication-Results\r\n :" };
	static const char *const ids[] = { "mail.example.test; spf=pass", " mail.example.test;",
		" MAIL.Example.TEST; dkim=pass", " mail.example.test",
		" \"mail.example.test\"; x=y", " \"mail\\.example\\.test\" 1; x=y",
		" mail.example.test 1; spf=pass", " mail.example.test.; spf=pass",
		" (hi) mail.example.test; spf=pass",
		" (a (b \\) \") c)\r\n\t(d)\r\n mail.example.test; spf=pass",
		"\r\n mail.example.test;\r\n spf=pass", " mail.example.test(x); spf=pass",
		" mail(x).example.test; spf=pass", " mail.example .test; spf=pass",
		" mail.example.test/1; spf=pass", " mail.example.test\t; spf=pass",
		" \"mail\".example.test; x", " ; spf=pass", "", " (", " \"mail.example.test",
		" m\xc3\xa4il.example.test; spf=pass", " mail.example.test=; x" };

	(void)state;
	for (size_t n = 0; n < sizeof names / sizeof *names; n++)
		for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
			char field[200];

			snprintf(field, sizeof field, "%s%s", names[n], ids[i]);
			assert_field(field, false);
		}
}

static void what_others_say_of_themselves_stays(void **state)
{
	static const char *const fields[] = {
		"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=a@b",
		"Authentication-Results: mail.example.test.evil.example; spf=pass",
		"Authentication-Results: xmail.example.test; spf=pass",
		"Authentication-Results: example.test; spf=pass",
		"Authentication-Results: (mail.example.test;) other.example; spf=pass",
		("Authentication-Results: spf=pass (sender IP is 192.0.2.1)\r\n"
		 " smtp.mailfrom=mail.example.test; dkim=none"),
		"ARC-Authentication-Results: i=1; mail.example.test; spf=pass",
		"X-Authentication-Results: mail.example.test; spf=pass",
		"Authentication-Results-Original: mail.example.test; spf=pass",
		"Authentication-Result: mail.example.test", "Return-Receipt-To: a",
		"Return-Path-X: a",
		"Subject: x\r\n Authentication-Results: mail.example.test; folded"
	};

	(void)state;
	for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
		assert_field(fields[i], true);
}

static void a_return_path_is_written_by_the_last_server_only(void **state)
{
	(void)state;
	assert_field("Return-Path: <evil@example.org>", false);
	assert_field("RETURN-PATH : <evil@example.org>\r\n folded", false);
	assert_kept(STR("Return-Path: <a>\r\nReturn-Path: <b>\r\nA: b\r\n\r\nReturn-Path: <c>\r\n"),
		STR("A: b\r\n\r\nReturn-Path: <c>\r\n"));
}

static void a_bare_lf_hides_nothing(void **state)
{
	(void)state;
	assert_kept(STR("A: b\nReturn-Path: <x>\nC: d\n\nbody"), STR("A: b\nC: d\n\nbody"));
	assert_kept(STR("\rA\nReturn-Path: <x>\nC: d\n"), STR("\rA\nC: d\n"));
}

static void a_message_may_end_anywhere(void **state)
{
	(void)state;
	assert_kept(STR(""), STR(""));
	assert_kept(STR("\r\n"), STR("\r\n"));
	assert_kept(STR("Auth"), STR("Auth"));
	assert_kept(STR("A: b\r\nAuthentication-Results: mail.example.test"), STR("A: b\r\n"));
	assert_kept(STR("Authentication-Results: other"), STR("Authentication-Results: other"));
	assert_kept(STR("Authentication-Results"), STR("Authentication-Results"));
	assert_kept(STR("\r"), STR("\r"));
}

static void an_endless_comment_costs_no_memory(void **state)
{
	struct buf in = BUF(1 << 20), out = BUF(1 << 20);

	(void)state;
	buf_addz(&in, "Authentication-Results: (");
	for (int i = 0; i < 20000; i++)
		buf_addc(&in, '(');
	buf_addz(&in, "\r\nA: b\r\n\r\n");
	assert_kept(buf_str(&in), STR("A: b\r\n\r\n"));
	assert_int_equal(pass(buf_str(&in), 1000, &out), 1);
	buf_free(&in);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_else_speaks_as_our_checks),
		cmocka_unit_test(what_others_say_of_themselves_stays),
		cmocka_unit_test(a_return_path_is_written_by_the_last_server_only),
		cmocka_unit_test(a_bare_lf_hides_nothing),
		cmocka_unit_test(a_message_may_end_anywhere),
		cmocka_unit_test(an_endless_comment_costs_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
