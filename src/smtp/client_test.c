#include "smtp/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GREETING "220 mx.test ESMTP\r\n"
#define EHLO_ALL                                                                                   \
	"250-mx.test greets you\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-DSN\r\n" \
	"250-ENHANCEDSTATUSCODES\r\n250 SMTPUTF8\r\n"
#define BYE "221 2.0.0 bye\r\n"

/* What the server says is a text; what we said is compared as a whole. */
struct scene {
	struct conn *c;
	struct smtp_client *s;
	struct smtp_client_options o;
	struct smtp_answer answer;
	struct err err;
	struct str after_tls; /* what the server says after the handshake */
	struct secret password;
	/* the message */
	struct str text;
	bool given, text_fails;
	struct smtp_client_rcpt rcpts[3];
	struct smtp_client_mail m;
};

static int fake_tls(void *arg, struct conn *c, struct err *err)
{
	struct scene *sc = arg;

	assert_int_equal(conn_buffered(c), 0);
	if (sc->after_tls.n == 0)
		return err_set(err, ERR_PROTO, "the handshake failed");
	conn_mem_feed(c, sc->after_tls);
	return 0;
}

static int read_text(void *arg, struct str *piece, struct err *err)
{
	struct scene *sc = arg;

	if (sc->text_fails && sc->given)
		return err_set(err, ERR_TEMP, "the store is away");
	*piece = sc->given ? STR("") : sc->text;
	sc->given = true;
	return 0;
}

static void begin(struct scene *sc, struct str replies)
{
	*sc = (struct scene){ .err = ERR_INIT, .text = STR("Subject: x\r\n") };
	sc->c = conn_mem(replies, 0);
	assert_non_null(sc->c);
	sc->o = (struct smtp_client_options){ .helo = STR("me.test"),
		.encryption = SMTP_MAY,
		.start_tls = fake_tls,
		.arg = sc,
		.times = SMTP_TIMES };
	sc->rcpts[0].address = STR("joe@mx.test");
	sc->rcpts[1].address = STR("sue@mx.test");
	sc->rcpts[2].address = STR("tom@mx.test");
	sc->m = (struct smtp_client_mail){ .from = STR("ann@me.test"),
		.size = 12,
		.rcpts = sc->rcpts,
		.rcpt_count = 1,
		.read = read_text,
		.arg = sc };
}

static int start(struct scene *sc)
{
	return smtp_client_open(&sc->s, sc->c, &sc->o, &sc->answer, &sc->err);
}

static int deliver(struct scene *sc)
{
	sc->given = false;
	return smtp_client_send(sc->s, &sc->m, &sc->err);
}

/* All that we said so far. */
static void said(struct scene *sc, const char *want)
{
	struct str got = conn_mem_output(smtp_client_conn(sc->s));

	if (!str_eq(got, str_c(want)))
		print_error("wanted: %s\ngot: " STR_F "\n", want, STR_A(got));
	assert_true(str_eq(got, str_c(want)));
}

static void end(struct scene *sc)
{
	smtp_client_close(&sc->s);
	secret_free(&sc->password);
}

static void answered(const struct scene *sc, size_t i, enum smtp_phase phase, unsigned code)
{
	assert_int_equal(sc->rcpts[i].answer.phase, phase);
	assert_int_equal(sc->rcpts[i].answer.code, code);
}

static void one_message_goes_in_one_write(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go\r\n"
				      "250 2.0.0 queued as 17\r\n" BYE));
	sc.text = STR("Subject: x\n\n.dot\r\nno end");
	sc.m.body = SMTP_BODY_8BIT;
	sc.m.ret = 2;
	sc.m.envid = STR("id");
	sc.rcpts[0].notify = 6;
	sc.rcpts[0].orcpt = STR("rfc822;joe@mx.test");
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	assert_string_equal(sc.rcpts[0].answer.status, "2.0.0");
	assert_string_equal(sc.rcpts[0].answer.text, "queued as 17");
	assert_true(smtp_client_usable(sc.s));
	said(&sc,
		"EHLO me.test\r\n"
		"MAIL FROM:<ann@me.test> SIZE=12 BODY=8BITMIME RET=HDRS ENVID=id\r\n"
		"RCPT TO:<joe@mx.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;joe@mx.test\r\nDATA\r\n"
		"Subject: x\r\n\r\n..dot\r\nno end\r\n.\r\n");
	end(&sc);
}

static void an_old_server_gets_one_command_at_a_time(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING
			"500 what?\r\n250 mx.test\r\n250 ok\r\n250 ok\r\n354 go\r\n250\r\n" BYE));
	sc.m.ret = 2;
	sc.rcpts[0].notify = 6;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	said(&sc,
		"EHLO me.test\r\nHELO me.test\r\nMAIL FROM:<ann@me.test>\r\nRCPT "
		"TO:<joe@mx.test>\r\n"
		"DATA\r\nSubject: x\r\n.\r\n");
	end(&sc);
}

static void every_recipient_has_its_own_answer(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL
			"250 2.1.0 ok\r\n250 2.1.5 ok\r\n550-5.1.1 no\r\n550 5.1.1 such "
			"user\r\n450 4.2.1 slow\r\n354 go\r\n250 2.0.0 ok\r\n" BYE));
	sc.m.rcpt_count = 3;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	answered(&sc, 1, SMTP_RCPT, 550);
	assert_string_equal(sc.rcpts[1].answer.status, "5.1.1");
	assert_string_equal(sc.rcpts[1].answer.text, "no such user");
	answered(&sc, 2, SMTP_RCPT, 450);
	end(&sc);
}

static void a_refused_sender_is_everybodys_answer(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL
			"550 5.7.1 no\r\n503 mail first\r\n503 mail first\r\n503 no\r\n"
			"250 2.0.0 reset\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 "
			"ok\r\n" BYE));
	sc.m.rcpt_count = 2;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_MAIL, 550);
	answered(&sc, 1, SMTP_MAIL, 550);
	assert_true(smtp_client_usable(sc.s));
	assert_int_equal(deliver(&sc), 0); /* after RSET */
	answered(&sc, 1, SMTP_BODY, 250);
	said(&sc,
		"EHLO me.test\r\n"
		"MAIL FROM:<ann@me.test> SIZE=12\r\nRCPT TO:<joe@mx.test>\r\nRCPT "
		"TO:<sue@mx.test>\r\nDATA\r\n"
		"RSET\r\n"
		"MAIL FROM:<ann@me.test> SIZE=12\r\nRCPT TO:<joe@mx.test>\r\nRCPT "
		"TO:<sue@mx.test>\r\nDATA\r\n"
		"Subject: x\r\n.\r\n");
	end(&sc);
}

static void with_no_recipient_left_no_text_is_sent(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL
			"250 ok\r\n550 no\r\n554 no valid recipients\r\n"
			"250 reset\r\n250 ok\r\n550 no\r\n354 go anyway\r\n554 empty\r\n" BYE));
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_RCPT, 550);
	assert_int_equal(deliver(&sc), 0); /* RFC 2920 3.1: a 354 must be answered */
	answered(&sc, 0, SMTP_RCPT, 550);
	said(&sc,
		"EHLO me.test\r\n"
		"MAIL FROM:<ann@me.test> SIZE=12\r\nRCPT TO:<joe@mx.test>\r\nDATA\r\n"
		"RSET\r\n"
		"MAIL FROM:<ann@me.test> SIZE=12\r\nRCPT TO:<joe@mx.test>\r\nDATA\r\n"
		".\r\n");
	end(&sc);
}

static void refusals_of_the_text_are_the_answer_of_the_accepted(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL
			"250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n554 5.6.0 spam\r\n"
			"250 reset\r\n250 ok\r\n250 ok\r\n550 no\r\n451 4.3.0 later\r\n" BYE));
	sc.m.rcpt_count = 2;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 554);
	answered(&sc, 1, SMTP_RCPT, 550);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_DATA, 451);
	answered(&sc, 1, SMTP_RCPT, 550);
	end(&sc);
}

static void after_421_nothing_more_is_expected(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_ALL "250 ok\r\n250 ok\r\n421 4.3.2 going down\r\n"));
	sc.m.rcpt_count = 3;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_DATA, 0); /* accepted, but nothing came of it */
	answered(&sc, 1, SMTP_RCPT, 421);
	answered(&sc, 2, SMTP_MAIL, 0);
	assert_false(smtp_client_usable(sc.s));
	end(&sc);
}

static void a_connection_that_breaks_says_where(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_ALL "250 ok\r\n250 ok\r\n354 go\r\n"));
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_BODY, 0); /* it may have it */
	assert_int_equal(sc.err.kind, ERR_CLOSED);
	assert_int_equal(deliver(&sc), -1); /* and it is not tried again on this session */
	end(&sc);
}

static void a_text_that_cannot_be_read_is_never_ended(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_ALL "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"));
	sc.text_fails = true;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_DATA, 0);
	assert_false(smtp_client_usable(sc.s));
	said(&sc,
		"EHLO me.test\r\nMAIL FROM:<ann@me.test> SIZE=12\r\nRCPT "
		"TO:<joe@mx.test>\r\nDATA\r\n"
		"Subject: x\r\n");
	end(&sc);
}

static void what_a_server_cannot_take_is_not_sent(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING "250-mx.test\r\n250 SIZE 100\r\n" BYE));
	assert_int_equal(start(&sc), 0);
	sc.m.utf8 = true;
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_MAIL, 550);
	assert_true(sc.rcpts[0].answer.ours);
	assert_string_equal(sc.rcpts[0].answer.status, "5.6.7");
	sc.m.utf8 = false;
	sc.m.body = SMTP_BODY_8BIT;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.6.3");
	sc.m.body = SMTP_BODY_7BIT;
	sc.m.size = 101;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.3.4");
	sc.m.size = 1;
	sc.rcpts[0].address = STR("joe@mx.test>\r\nRSET"); /* T002 */
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.1.3");
	said(&sc, "EHLO me.test\r\n");
	end(&sc);
}

static void a_servers_limits_are_kept(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING
			"250-mx.test\r\n250 LIMITS RCPTMAX=2 MAILMAX=1\r\n250 ok\r\n250 ok\r\n250 "
			"ok\r\n354 go\r\n250 ok\r\n" BYE));
	sc.m.rcpt_count = 3;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 1, SMTP_BODY, 250);
	answered(&sc, 2, SMTP_MAIL, 452);
	assert_true(sc.rcpts[2].answer.ours);
	assert_int_equal(sc.m.rcpt_count, 3);
	assert_false(smtp_client_usable(sc.s));
	end(&sc);
}

static void tls_is_used_when_offered_and_all_before_it_forgotten(void **state)
{
	struct scene sc;

	(void)state;
	/* T020: what came in the clear behind the 220 is dropped, and EHLO is asked again. */
	begin(&sc,
		STR(GREETING "250-mx.test\r\n250-AUTH PLAIN\r\n250-SMTPUTF8\r\n250 STARTTLS\r\n"
			     "220 go\r\n250-evil\r\n250 DSN\r\n"));
	sc.after_tls = STR("250 mx.test\r\n" BYE);
	assert_int_equal(start(&sc), 0);
	assert_true(smtp_client_is_encrypted(sc.s));
	assert_false(smtp_client_offers(sc.s, SMTP_DSN));
	sc.m.utf8 = true;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.6.7"); /* it was offered before only */
	said(&sc, "EHLO me.test\r\nSTARTTLS\r\nEHLO me.test\r\n");
	end(&sc);
}

static void tls_is_a_condition_when_it_must_be(void **state)
{
	static const struct {
		enum smtp_encryption how;
		struct str replies;
		int want;
	} rows[] = {
		{ SMTP_STARTTLS, STR_INIT(GREETING "250 mx.test\r\n" BYE), -1 },
		{ SMTP_STARTTLS, STR_INIT(GREETING "250-mx.test\r\n250 STARTTLS\r\n454 no\r\n" BYE),
			-1 },
		{ SMTP_STARTTLS, STR_INIT(GREETING "250-mx.test\r\n250 STARTTLS\r\n220 go\r\n"),
			-1 },
		{ SMTP_STARTTLS, STR_INIT(GREETING "500 no\r\n" BYE), -1 },
		{ SMTP_WRAPPED, STR_INIT(""), -1 },
		{ SMTP_MAY, STR_INIT(GREETING "250 mx.test\r\n" BYE), 0 },
		{ SMTP_MAY, STR_INIT(GREETING "250-mx.test\r\n250 STARTTLS\r\n454 no\r\n" BYE), 0 },
		{ SMTP_MAY, STR_INIT(GREETING "250-mx.test\r\n250 STARTTLS\r\n220 go\r\n"), -1 },
		{ SMTP_CLEAR, STR_INIT(GREETING "250-mx.test\r\n250 STARTTLS\r\n" BYE), 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene sc;

		begin(&sc, rows[i].replies);
		sc.o.encryption = rows[i].how;
		assert_int_equal(start(&sc), rows[i].want);
		if (rows[i].want == 0)
			assert_false(smtp_client_is_encrypted(sc.s));
		else if (rows[i].how != SMTP_STARTTLS || i < 3)
			assert_int_equal(sc.answer.phase, SMTP_TLS);
		end(&sc);
	}
}

static void with_password(struct scene *sc, struct str replies, bool clear)
{
	begin(sc, replies);
	assert_int_equal(secret_copy(&sc->password, STR("pw"), &sc->err), 0);
	sc->o.user = STR("ann");
	sc->o.password = &sc->password;
	sc->o.clear_login = clear;
}

static void it_logs_in_with_plain_or_login(void **state)
{
	struct scene sc;

	(void)state;
	with_password(
		&sc, STR(GREETING "250-mx.test\r\n250 AUTH LOGIN PLAIN\r\n235 ok\r\n" BYE), true);
	assert_int_equal(start(&sc), 0);
	said(&sc, "EHLO me.test\r\nAUTH PLAIN AGFubgBwdw==\r\n");
	end(&sc);
	with_password(&sc,
		STR(GREETING "250-mx.test\r\n250 AUTH LOGIN\r\n334 VXNlcm5hbWU6\r\n334 "
			     "UGFzc3dvcmQ6\r\n235 ok\r\n" BYE),
		true);
	assert_int_equal(start(&sc), 0);
	said(&sc, "EHLO me.test\r\nAUTH LOGIN\r\nYW5u\r\ncHc=\r\n");
	end(&sc);
}

static void a_login_that_cannot_be_is_said(void **state)
{
	static const struct {
		bool clear;
		struct str replies;
		unsigned code;
	} rows[] = {
		{ true,
			STR_INIT(GREETING
				"250-mx.test\r\n250 AUTH PLAIN\r\n535 5.7.8 wrong\r\n" BYE),
			535 },
		{ true, STR_INIT(GREETING "250-mx.test\r\n250 AUTH XOAUTH2\r\n" BYE), 0 },
		{ true, STR_INIT(GREETING "250 mx.test\r\n" BYE), 0 },
		/* a server that says yes without having shown that it knows the password */
		{ true,
			STR_INIT(
				GREETING "250-mx.test\r\n250 AUTH SCRAM-SHA-256\r\n235 ok\r\n" BYE),
			235 },
		/* a challenge that does not begin with our nonce */
		{ true,
			STR_INIT(GREETING "250-mx.test\r\n250 AUTH SCRAM-SHA-1\r\n"
					  "334 cj1hYmMscz1ZV0ZoWVE9PSxpPTQwOTY=\r\n" BYE),
			334 },
		/* T021: the password is not sent in the clear */
		{ false, STR_INIT(GREETING "250-mx.test\r\n250 AUTH PLAIN\r\n" BYE), 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct scene sc;

		with_password(&sc, rows[i].replies, rows[i].clear);
		assert_int_equal(start(&sc), -1);
		assert_int_equal(sc.answer.phase, SMTP_LOGIN);
		assert_int_equal(sc.answer.code, rows[i].code);
		end(&sc);
	}
}

/* T008 */
static void hostile_replies_are_bounded_and_cleaned(void **state)
{
	static const struct str bad[] = {
		STR_INIT("garbage\r\n"),
		STR_INIT("22\r\n"),
		STR_INIT("2204 x\r\n"),
		STR_INIT("999 x\r\n"),
		STR_INIT("220-a\r\n221 b\r\n"),
		STR_INIT("\r\n"),
		STR_INIT("220-never ends\r\n"),
	};
	struct buf endless = BUF(1 << 20);
	struct scene sc;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		begin(&sc, bad[i]);
		assert_int_equal(start(&sc), -1);
		assert_int_equal(sc.answer.code, 0);
		end(&sc);
	}
	for (int i = 0; i < 1000; i++)
		buf_addz(&endless, "220-x\r\n");
	begin(&sc, buf_str(&endless));
	assert_int_equal(start(&sc), -1);
	assert_int_equal(sc.err.kind, ERR_PROTO);
	end(&sc);
	buf_free(&endless);
	begin(&sc, STR("554 5.3.2 go\x1b[2J \xff away\r\n" BYE));
	assert_int_equal(start(&sc), -1);
	assert_string_equal(sc.answer.text, "go?[2J ? away");
	assert_string_equal(sc.answer.status, "5.3.2");
	assert_int_equal(sc.answer.code, 554);
	end(&sc);
}

static void a_status_must_agree_with_its_code(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR("554 2.0.0 go away\r\n" BYE));
	assert_int_equal(start(&sc), -1);
	assert_string_equal(sc.answer.status, "");
	assert_string_equal(sc.answer.text, "2.0.0 go away");
	end(&sc);
	begin(&sc, STR("554 5.1234.0 go away\r\n" BYE));
	assert_int_equal(start(&sc), -1);
	assert_string_equal(sc.answer.status, "");
	end(&sc);
}

#define EHLO_MORE                                                                                  \
	"250-mx.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-CHUNKING\r\n250-BINARYMIME\r\n"      \
	"250-DELIVERBY 100\r\n250-MT-PRIORITY MIXER\r\n250-REQUIRETLS\r\n250 RRVS\r\n"

/* RFC 3030 */
static void binary_content_goes_in_chunks(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_MORE "250 ok\r\n250 ok\r\n550 no\r\n250 got it\r\n"
				       "250 2.0.0 queued\r\n" BYE));
	sc.text = STR("a\0b\n.\r\nc");
	sc.m.body = SMTP_BODY_BINARY;
	sc.m.rcpt_count = 2;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	answered(&sc, 1, SMTP_RCPT, 550);
	assert_true(smtp_client_usable(sc.s));
	{
		static const char want[] =
			"EHLO me.test\r\nMAIL FROM:<ann@me.test> BODY=BINARYMIME\r\n"
			"RCPT TO:<joe@mx.test>\r\nRCPT TO:<sue@mx.test>\r\n"
			"BDAT 8\r\na\0b\n.\r\ncBDAT 0 LAST\r\n";
		struct str got = conn_mem_output(smtp_client_conn(sc.s));

		assert_true(str_eq(got, str_make(want, sizeof want - 1)));
	}
	end(&sc);
}

static void a_refused_chunk_is_the_answer(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_MORE "250 ok\r\n250 ok\r\n552 5.3.4 too much\r\n"
				       "503 5.5.1 no\r\n250 reset\r\n550 no\r\n250 ok\r\n" BYE));
	sc.m.body = SMTP_BODY_BINARY;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 552);
	assert_true(smtp_client_usable(sc.s));
	assert_int_equal(deliver(&sc), 0); /* after RSET */
	answered(&sc, 0, SMTP_MAIL, 550);
	end(&sc);
}

static void nobody_accepted_means_no_chunk(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_MORE "250 ok\r\n550 no\r\n" BYE));
	sc.m.body = SMTP_BODY_BINARY;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_RCPT, 550);
	end(&sc);
}

static void chunks_that_break_off_leave_doubt_only_at_the_last(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_MORE "250 ok\r\n250 ok\r\n250 got it\r\n"));
	sc.m.body = SMTP_BODY_BINARY;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_BODY, 0);
	end(&sc);
	begin(&sc, STR(GREETING EHLO_MORE "250 ok\r\n250 ok\r\n250 got it\r\n"));
	sc.m.body = SMTP_BODY_BINARY;
	sc.text_fails = true;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_DATA, 0);
	end(&sc);
}

static void what_was_asked_for_is_passed_on(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING "250-mx.test\r\n250 STARTTLS\r\n220 go\r\n"));
	sc.after_tls = STR(EHLO_MORE "250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n" BYE);
	sc.m.require_tls = true;
	sc.m.priority = -3;
	sc.m.by_mode = 1 | 4;
	sc.m.by_seconds = 120;
	sc.rcpts[0].rrvs = 1400000000;
	sc.rcpts[0].rrvs_reject = true;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	said(&sc,
		"EHLO me.test\r\nSTARTTLS\r\nEHLO me.test\r\n"
		"MAIL FROM:<ann@me.test> REQUIRETLS MT-PRIORITY=-3 BY=120;RT\r\n"
		"RCPT TO:<joe@mx.test> RRVS=2014-05-13T16:53:20Z;R\r\nDATA\r\n"
		"Subject: x\r\n.\r\n");
	end(&sc);
}

static void what_a_server_does_not_know_is_left_out_or_refused(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING "250-mx.test\r\n250 CHUNKING\r\n250 ok\r\n250 ok\r\n354 go\r\n"
			     "250 ok\r\n" BYE));
	assert_int_equal(start(&sc), 0);
	sc.m.require_tls = true;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.7.10");
	sc.m.require_tls = false;
	sc.m.by_mode = 1;
	sc.m.by_seconds = 1000;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.4.7");
	sc.m.body = SMTP_BODY_BINARY;
	assert_int_equal(deliver(&sc), 0);
	assert_string_equal(sc.rcpts[0].answer.status, "5.6.3");
	sc.m.body = SMTP_BODY_7BIT;
	sc.m.by_mode = 2;
	sc.m.by_seconds = -10;
	sc.m.priority = 9;
	sc.rcpts[0].rrvs = 1;
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	said(&sc,
		"EHLO me.test\r\nMAIL FROM:<ann@me.test>\r\nRCPT TO:<joe@mx.test>\r\nDATA\r\n"
		"Subject: x\r\n.\r\n");
	end(&sc);
}

static void a_time_below_the_servers_least_is_not_tried(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_MORE BYE));
	assert_int_equal(start(&sc), 0);
	sc.m.by_mode = 1;
	sc.m.by_seconds = 99;
	assert_int_equal(deliver(&sc), 0);
	assert_true(sc.rcpts[0].answer.ours);
	assert_string_equal(sc.rcpts[0].answer.status, "5.4.7");
	end(&sc);
}

/* RFC 2033 4.2 */
static void lmtp_answers_for_each_recipient(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc,
		STR(GREETING EHLO_ALL "250 ok\r\n250 ok\r\n550 no\r\n250 ok\r\n354 go\r\n"
				      "250 2.0.0 in\r\n452 4.2.2 full\r\n" BYE));
	sc.o.lmtp = true;
	sc.m.rcpt_count = 3;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), 0);
	answered(&sc, 0, SMTP_BODY, 250);
	answered(&sc, 1, SMTP_RCPT, 550);
	answered(&sc, 2, SMTP_BODY, 452);
	said(&sc,
		"LHLO me.test\r\nMAIL FROM:<ann@me.test> SIZE=12\r\nRCPT TO:<joe@mx.test>\r\n"
		"RCPT TO:<sue@mx.test>\r\nRCPT TO:<tom@mx.test>\r\nDATA\r\nSubject: x\r\n.\r\n");
	end(&sc);
}

static void lmtp_that_breaks_off_leaves_doubt_for_the_rest(void **state)
{
	struct scene sc;

	(void)state;
	begin(&sc, STR(GREETING EHLO_ALL "250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 in\r\n"));
	sc.o.lmtp = true;
	sc.m.rcpt_count = 2;
	assert_int_equal(start(&sc), 0);
	assert_int_equal(deliver(&sc), -1);
	answered(&sc, 0, SMTP_BODY, 250);
	answered(&sc, 1, SMTP_BODY, 0);
	end(&sc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_message_goes_in_one_write),
		cmocka_unit_test(an_old_server_gets_one_command_at_a_time),
		cmocka_unit_test(every_recipient_has_its_own_answer),
		cmocka_unit_test(a_refused_sender_is_everybodys_answer),
		cmocka_unit_test(with_no_recipient_left_no_text_is_sent),
		cmocka_unit_test(refusals_of_the_text_are_the_answer_of_the_accepted),
		cmocka_unit_test(after_421_nothing_more_is_expected),
		cmocka_unit_test(a_connection_that_breaks_says_where),
		cmocka_unit_test(a_text_that_cannot_be_read_is_never_ended),
		cmocka_unit_test(what_a_server_cannot_take_is_not_sent),
		cmocka_unit_test(a_servers_limits_are_kept),
		cmocka_unit_test(binary_content_goes_in_chunks),
		cmocka_unit_test(a_refused_chunk_is_the_answer),
		cmocka_unit_test(nobody_accepted_means_no_chunk),
		cmocka_unit_test(chunks_that_break_off_leave_doubt_only_at_the_last),
		cmocka_unit_test(what_was_asked_for_is_passed_on),
		cmocka_unit_test(what_a_server_does_not_know_is_left_out_or_refused),
		cmocka_unit_test(a_time_below_the_servers_least_is_not_tried),
		cmocka_unit_test(lmtp_answers_for_each_recipient),
		cmocka_unit_test(lmtp_that_breaks_off_leaves_doubt_for_the_rest),
		cmocka_unit_test(tls_is_used_when_offered_and_all_before_it_forgotten),
		cmocka_unit_test(tls_is_a_condition_when_it_must_be),
		cmocka_unit_test(it_logs_in_with_plain_or_login),
		cmocka_unit_test(a_login_that_cannot_be_is_said),
		cmocka_unit_test(hostile_replies_are_bounded_and_cleaned),
		cmocka_unit_test(a_status_must_agree_with_its_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
