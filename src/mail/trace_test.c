#include "mail/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void a_received_line_says_all_and_cannot_be_forged(void **state)
{
	struct err err = ERR_INIT;
	struct address_store store;
	struct address joe;
	struct buf b = BUF(2000);
	struct trace_hop hop = { .helo = STR_INIT("client.example"),
		.client = STR_INIT("2001:db8::1"),
		.client_name = STR_INIT("ptr.example"),
		.by = STR_INIT("mx.example.org"),
		.tls_version = STR_INIT("TLSv1.3"),
		.tls_cipher = STR_INIT("TLS_AES_256_GCM_SHA384"),
		.id = STR_INIT("abc123"),
		.date = { 0, 60 } };

	(void)state;
	assert_int_equal(address_mailbox(STR("joe@x.y"), 0, &store, &joe, &err), 0);
	hop.recipient = &joe;
	hop.protocol = trace_protocol(false, true, false, true, true);
	trace_received(&b, &hop);
	assert_true(str_eq(buf_str(&b),
		STR("Received: from client.example (ptr.example [IPv6:2001:db8::1])\r\n"
		    "\tby mx.example.org with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n\tid "
		    "abc123\r\n"
		    "\tfor <joe@x.y>;\r\n\tThu, 01 Jan 1970 01:00:00 +0100\r\n")));
	buf_clear(&b);
	hop = (struct trace_hop){ .helo = STR_INIT("x) by y;\r\nSubject: z\0\xff"),
		.client = STR_INIT("192.0.2.1"),
		.by = STR_INIT("mx"),
		.protocol = trace_protocol(false, false, false, false, false) };
	trace_received(&b, &hop);
	assert_true(str_eq(buf_str(&b),
		STR("Received: from x??by?y???Subject:?z?? ([192.0.2.1])\r\n\tby mx with SMTP;\r\n"
		    "\tThu, 01 Jan 1970 00:00:00 +0000\r\n")));
	buf_free(&b);
}

static void protocols_have_their_registered_names(void **state)
{
	(void)state;
	assert_true(str_eq(trace_protocol(false, true, false, false, false), STR("ESMTP")));
	assert_true(str_eq(trace_protocol(false, true, false, true, false), STR("ESMTPS")));
	assert_true(str_eq(trace_protocol(false, true, true, true, true), STR("UTF8SMTPSA")));
	assert_true(str_eq(trace_protocol(true, true, false, false, true), STR("LMTPA")));
	assert_true(str_eq(trace_protocol(true, true, true, false, false), STR("UTF8LMTP")));
}

static const struct head_fix fix = { { 0, 0 }, STR_INIT("u1"), STR_INIT("h.x"),
	STR_INIT("<me@x.y>") };

static void submitted_heads_are_completed(void **state)
{
	static const struct {
		struct str in, out;
	} rows[] = {
		{ STR_INIT("Subject: s\r\n\r\n"),
			STR_INIT("Subject: s\r\nFrom: <me@x.y>\r\nDate: Thu, 01 Jan 1970 00:00:00 "
				 "+0000\r\n"
				 "Message-ID: <u1@h.x>\r\n\r\n") },
		{ STR_INIT("From: a@b\r\nDATE: d\r\nmessage-id : <i>\r\n\r\n"),
			STR_INIT("From: a@b\r\nDATE: d\r\nmessage-id : <i>\r\n\r\n") },
		{ STR_INIT("From: a@b\r\nbcc: x@y,\r\n z@w\r\nDate: d\r\nReturn-Path: "
			   "<q>\r\nMessage-ID: i\r\nResent-Bcc: k\r\n"
			   "To: t\r\n\r\n"),
			STR_INIT("From: a@b\r\nDate: d\r\nMessage-ID: i\r\nTo: t\r\n\r\n") },
		/* a mbox line goes, any other line of junk begins the body */
		{ STR_INIT("From me Mon\r\nFrom: a@b\r\nDate: d\r\nMessage-ID: i\r\nhello "
			   "there\r\nBcc: x\r\n\r\n"),
			STR_INIT("From: a@b\r\nDate: d\r\nMessage-ID: i\r\n\r\nhello there\r\nBcc: "
				 "x\r\n\r\n") },
		{ STR_INIT("From: a@b\r\nDate: d\r\nMessage-ID: i"),
			STR_INIT("From: a@b\r\nDate: d\r\nMessage-ID: i\r\n\r\n") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = ERR_INIT;
		struct buf b = BUF(2000);

		assert_int_equal(head_fix_submission(rows[i].in, &fix, &b, &err), 0);
		assert_true(str_eq(buf_str(&b), rows[i].out));
		buf_free(&b);
	}
}

static void heads_that_cannot_be_mended_are_refused(void **state)
{
	struct head_fix no_from = fix;
	struct err err = ERR_INIT;
	struct buf b = BUF(2000), big = BUF(100000);

	(void)state;
	no_from.from = STR("");
	assert_int_equal(head_fix_submission(STR("Subject: s\r\n\r\n"), &no_from, &b, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	for (int i = 0; i < 3000; i++)
		buf_addz(&big, "X: y\r\n");
	assert_int_equal(head_fix_submission(buf_str(&big), &fix, &b, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_free(&b);
	buf_free(&big);
}

static bool drop_x(void *arg, const struct header_field *f)
{
	(void)arg;
	return header_is(f, STR("X"));
}

static void filtering_takes_whole_fields(void **state)
{
	struct buf b = BUF(200);

	(void)state;
	head_filter(STR("A: 1\r\nX: 2\r\n more\r\nB: 3\r\n\r\n"), drop_x, NULL, &b);
	assert_true(str_eq(buf_str(&b), STR("A: 1\r\nB: 3\r\n\r\n")));
	buf_free(&b);
}

/* T042 */
static void who_a_message_is_from_is_not_up_for_interpretation(void **state)
{
	static const struct {
		struct str head;
		int n; /* -1: refused */
	} rows[] = {
		{ STR_INIT("From: A <a@b>\r\n"), 1 },
		{ STR_INIT("From: A <a@b>\r\nSender: c@d\r\nResent-From: e@f, g@h\r\n"), 4 },
		{ STR_INIT("From: a@b, c@d\r\nSender: a@b\r\n"), 3 },
		{ STR_INIT("From: a@b, c@d\r\n"), -1 },
		{ STR_INIT(""), -1 },
		{ STR_INIT("From: a@b\r\nFrom: c@d\r\n"), -1 },
		{ STR_INIT("From: a@b\r\nfrom : c@d\r\n"), -1 },
		{ STR_INIT("From:\r\n"), -1 },
		{ STR_INIT("From: group:;\r\n"), -1 },
		{ STR_INIT("From: a@b <c@d> <e@f>\r\n"), -1 },
		{ STR_INIT("From: a@b@c\r\n"), -1 },
		{ STR_INIT("From: root\r\n"), -1 },
		{ STR_INIT("From: =?utf-8?q?a=40b?=\r\n"), -1 },
		{ STR_INIT("From: a@b\r\nSender: c@d\r\nSender: e@f\r\n"), -1 },
		{ STR_INIT("From: a@b\r\nSender: c@d, e@f\r\n"), -1 },
		{ STR_INIT("From: \"x@y\" (z@w) <a@b>\r\n"), 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = ERR_INIT;
		struct arena a = ARENA(2000);
		struct head_senders s;
		int r = head_senders(rows[i].head, &a, &s, &err);

		assert_int_equal(r < 0 ? -1 : (int)s.n, rows[i].n);
		if (r == 0)
			assert_true(str_eq(s.address[0].local, STR("a")));
		arena_free(&a);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_received_line_says_all_and_cannot_be_forged),
		cmocka_unit_test(protocols_have_their_registered_names),
		cmocka_unit_test(submitted_heads_are_completed),
		cmocka_unit_test(heads_that_cannot_be_mended_are_refused),
		cmocka_unit_test(filtering_takes_whole_fields),
		cmocka_unit_test(who_a_message_is_from_is_not_up_for_interpretation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
