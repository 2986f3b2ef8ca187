#include "mail/dsn.h"
#include "mail/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct address ann = { STR_INIT("ann"), STR_INIT("example.org") };

#define JOE                                                                                        \
	{                                                                                          \
		STR_INIT("joe"), STR_INIT("example.net")                                           \
	}

static void a_bounce_reads_as_the_standard_says(void **state)
{
	const struct dsn_recipient rcpt[] = {
		{ .address = JOE,
			.original = STR_INIT("rfc822;Joe@alias.example"),
			.action = DSN_FAILED,
			.status = STR_INIT("5.1.1"),
			.remote_mta = STR_INIT("mx.example.net"),
			.diagnostic = STR_INIT("550 5.1.1 No such\r\nuser"),
			.last_attempt = 86400 },
		{ .address = { STR_INIT("bob"), STR_INIT("example.net") },
			.action = DSN_DELAYED,
			.status = STR_INIT("4.4.1"),
			.diagnostic = STR_INIT("no server answers"),
			.retry_until = 172800 },
	};
	const struct dsn d = { .host = STR_INIT("mx.example.org"),
		.to = ann,
		.id = STR_INIT("dsn1"),
		.now = { 86400, 0 },
		.arrival = 3600,
		.held_until = 7200,
		.envelope_id = STR_INIT("env 1"),
		.recipients = rcpt,
		.n = 2,
		.original = STR_INIT("Message-ID: <m@x>\r\nSubject: Hello\r\n\r\nbody\r\n") };
	struct err err = ERR_INIT;
	struct buf b = BUF(10000);

	(void)state;
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_string_equal((buf_addc(&b, '\0'), b.p),
		"From: Mail Delivery System <MAILER-DAEMON@mx.example.org>\r\n"
		"To: <ann@example.org>\r\n"
		"Subject: Your message could not be delivered\r\n"
		"Date: Fri, 02 Jan 1970 00:00:00 +0000\r\n"
		"Message-ID: <dsn1@mx.example.org>\r\n"
		"In-Reply-To: <m@x>\r\nReferences: <m@x>\r\n"
		"Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
		"Content-Type: multipart/report; "
		"report-type=delivery-status;\r\n\tboundary=\"=_0_dsn1\"\r\n"
		"\r\n--=_0_dsn1\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
		"This is the mail server mx.example.org.\r\n"
		"\r\nYour message could not be delivered, and we have stopped trying, for:\r\n"
		"\r\n  joe@example.net\r\n    mx.example.net said: 550 5.1.1 No such user\r\n"
		"\r\nYour message has not been delivered yet. You need not send it again: we keep "
		"trying.\r\n"
		"It is still waiting for:\r\n"
		"\r\n  bob@example.net\r\n    Reason: no server answers\r\n"
		"    We keep trying until Sat, 03 Jan 1970 00:00:00 +0000.\r\n"
		"\r\nWe received the message on Thu, 01 Jan 1970 01:00:00 +0000.\r\n"
		"\r\nIts subject: Hello\r\n"
		"\r\n--=_0_dsn1\r\nContent-Type: message/delivery-status\r\n\r\n"
		"Original-Envelope-Id: env 1\r\nReporting-MTA: dns;mx.example.org\r\n"
		"Arrival-Date: Thu, 01 Jan 1970 01:00:00 +0000\r\n"
		"Future-Release-Request: until;1970-01-01T02:00:00Z\r\n"
		"\r\nOriginal-Recipient: rfc822;Joe@alias.example\r\nFinal-Recipient: "
		"rfc822;joe@example.net\r\n"
		"Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns;mx.example.net\r\n"
		"Diagnostic-Code: smtp; 550 5.1.1 No such user\r\n"
		"Last-Attempt-Date: Fri, 02 Jan 1970 00:00:00 +0000\r\n"
		"\r\nFinal-Recipient: rfc822;bob@example.net\r\nAction: delayed\r\nStatus: "
		"4.4.1\r\n"
		"Diagnostic-Code: X-Eilpost; no server answers\r\n"
		"Will-Retry-Until: Sat, 03 Jan 1970 00:00:00 +0000\r\n"
		"\r\n--=_0_dsn1\r\nContent-Type: text/rfc822-headers\r\n\r\n"
		"Message-ID: <m@x>\r\nSubject: Hello\r\n\r\n"
		"\r\n--=_0_dsn1--\r\n");
	buf_free(&b);
}

static void assert_has(const struct buf *b, const char *text, bool has)
{
	if ((str_search(buf_str(b), str_c(text)) < b->n) != has)
		print_error(STR_F "\n", STR_A(buf_str(b)));
	assert_true((str_search(buf_str(b), str_c(text)) < b->n) == has);
}

static void addresses_in_other_alphabets_stay_readable_for_old_programs(void **state)
{
	struct dsn_recipient rcpt = { .address = { STR_INIT("j\xc3\xbcrgen+a"), STR_INIT("x.y") },
		.original = STR_INIT("utf-8;j\xc3\xbc@x.y"),
		.action = DSN_FAILED };
	const struct dsn d = { .host = STR_INIT("h.x"),
		.to = ann,
		.id = STR_INIT("1"),
		.recipients = &rcpt,
		.n = 1,
		.original = STR_INIT("Subject: =?utf-8?q?gr=C3=BCn?=\r\nX: \xc3\xbc\r\n\r\n") };
	struct err err = ERR_INIT;
	struct buf b = BUF(10000), longer = BUF(500);

	(void)state;
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	/* RFC 6533 3 */
	assert_has(&b, "Final-Recipient: utf-8;j\\x{FC}rgen\\x{2B}a@x.y\r\n", true);
	assert_has(&b, "Original-Recipient: utf-8;j\\x{FC}@x.y\r\n", true);
	assert_has(&b, "  j=C3=BCrgen+a@x.y\r\n", true);
	assert_has(&b, "Its subject: gr=C3=BCn\r\n", true);
	assert_has(&b, "X: =C3=BC\r\n", true);
	for (size_t i = 0; i < b.n; i++)
		assert_true((unsigned char)b.p[i] < 0x80);
	/* one that would not fit in a line is left out */
	buf_addz(&longer, "utf-8;");
	while (longer.n < 480)
		buf_addz(&longer, "\xc3\xbc");
	rcpt.original = buf_str(&longer);
	buf_clear(&b);
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_has(&b, "Original-Recipient", false);
	buf_free(&b);
	buf_free(&longer);
}

static void remote_words_are_tamed(void **state)
{
	struct dsn_recipient rcpt = { .address = JOE,
		.action = DSN_FAILED,
		.status = STR_INIT("2.0.0"),
		.remote_mta = STR_INIT("m\r\nX: y"),
		.diagnostic = STR_INIT("550 \x1b[2J\0\xff\r\n--=_0_1\r\nAction: delivered") };
	const struct dsn d = { .host = STR_INIT("h.x"),
		.to = ann,
		.id = STR_INIT("1"),
		.recipients = &rcpt,
		.n = 1,
		.original = STR_INIT("Message-ID: <a\r\n b>\r\nSubject: x\n--=_0_1\nY: \r z\n\n") };
	struct err err = ERR_INIT;
	struct buf b = BUF(10000), big = BUF(5000);

	(void)state;
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_has(&b, "smtp; 550 ?[2J?? --=_0_1 Action: delivered\r\n", true);
	assert_has(&b, "Remote-MTA: dns;m??X:?y\r\n", true);
	assert_has(&b, "Status: 5.0.0\r\n", true); /* a failure of class 2 is none */
	assert_has(&b, "References:", false);
	assert_has(&b, "boundary=\"=_1_1\"", true); /* the first choice occurs in the original */
	assert_has(&b, "Y: =0D z\r\n", true);
	while (big.n < 4000)
		buf_addz(&big, "word ");
	rcpt.diagnostic = buf_str(&big);
	buf_clear(&b);
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_true(b.n < 3000);
	buf_free(&b);
	buf_free(&big);
}

static void a_whole_message_is_returned_if_it_can_be(void **state)
{
	const struct dsn_recipient rcpt = { .address = JOE, .action = DSN_DELIVERED };
	struct dsn d = { .host = STR_INIT("h.x"),
		.to = ann,
		.id = STR_INIT("1"),
		.recipients = &rcpt,
		.n = 1,
		.original = STR_INIT("Subject: x\r\n\r\nb\xc3\xbc\r\n"),
		.whole = true };
	struct err err = ERR_INIT;
	struct buf b = BUF(10000);

	(void)state;
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_has(&b,
		"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\nSubject: "
		"x\r\n\r\nb\xc3\xbc\r\n",
		true);
	assert_has(&b, "Subject: Your message was delivered\r\n", true);
	d.original = STR("Subject: x\r\n\r\nbare\nline\r\n");
	buf_clear(&b);
	assert_int_equal(dsn_compose(&d, &b, &err), 0);
	assert_has(&b, "Content-Type: text/rfc822-headers\r\n", true);
	assert_has(&b, "bare", false);
	buf_free(&b);
}

static void nobody_is_told_nothing(void **state)
{
	const struct dsn_recipient rcpt = { .address = JOE, .action = DSN_FAILED };
	struct dsn d = {
		.host = STR_INIT("h.x"), .to = ann, .id = STR_INIT("1"), .recipients = &rcpt
	};
	struct err err = ERR_INIT;
	struct buf b = BUF(10000), small = BUF(300);

	(void)state;
	assert_int_equal(dsn_compose(&d, &b, &err), -1);
	d.n = 1;
	d.to = (struct address){ STR(""), STR("") };
	assert_int_equal(dsn_compose(&d, &b, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	d.to = ann;
	assert_int_equal(dsn_compose(&d, &small, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_free(&b);
	buf_free(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bounce_reads_as_the_standard_says),
		cmocka_unit_test(addresses_in_other_alphabets_stay_readable_for_old_programs),
		cmocka_unit_test(remote_words_are_tamed),
		cmocka_unit_test(a_whole_message_is_returned_if_it_can_be),
		cmocka_unit_test(nobody_is_told_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
