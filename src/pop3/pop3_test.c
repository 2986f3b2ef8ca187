#include "pop3/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static const char short_mail[] = "Subject: one\r\n\r\nhello\r\n";
static const char dots[] = "Subject: two\r\n\r\n.\r\n..two\r\nx.\r\n.end";

static struct pop3_mem mailbox(void)
{
	struct pop3_mem m = { .name = STR("ann@example.test"), .password = STR("two words") };

	m.messages[m.count++] = str_c(short_mail);
	m.messages[m.count++] = str_c(dots);
	return m;
}

static struct pop3_config config(void)
{
	struct pop3_config c = POP3_CONFIG_DEFAULT;

	c.hostname = STR("mx.test");
	c.secure = true;
	return c;
}

/* Play the client's lines; give what the server said. */
static const char *play(struct pop3_mem *m, struct pop3_config c, const char *input, size_t chunk)
{
	static char said[8192];
	struct pop3_policy policy = pop3_mem_policy(m);
	struct conn *conn = conn_mem(str_c(input), chunk);
	struct err err = ERR_INIT;

	pop3_serve(conn, &c, &policy, &err);
	snprintf(said, sizeof said, STR_F, STR_A(conn_mem_output(conn)));
	conn_free(&conn);
	assert_false(m->open); /* whatever happened, the mailbox is free again */
	return said;
}

#define LOGIN "USER ann@example.test\r\nPASS two words\r\n"
#define GREETING "+OK mx.test ready\r\n+OK now the password\r\n+OK 2 messages (57 octets)\r\n"

static void a_password_may_hold_spaces(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(play(&m, config(), LOGIN "STAT\r\nQUIT\r\n", 0),
		GREETING "+OK 2 57\r\n+OK goodbye\r\n");
}

static void the_dialogue_is_the_same_byte_by_byte(void **state)
{
	struct pop3_mem m = mailbox();
	static char whole[8192];
	static const char talk[] = LOGIN "LIST\r\nUIDL\r\nRETR 1\r\nRETR 2\r\nTOP 2 1\r\nQUIT\r\n";

	snprintf(whole, sizeof whole, "%s", play(&m, config(), talk, 0));
	m.chunk = 1;
	assert_string_equal(play(&m, config(), talk, 1), whole);
}

static void dots_are_stuffed_and_a_last_line_is_ended(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(play(&m, config(), LOGIN "RETR 2\r\n", 0),
		GREETING
		"+OK 34 octets\r\nSubject: two\r\n\r\n..\r\n...two\r\nx.\r\n..end\r\n.\r\n");
}

static void a_lone_line_feed_cannot_end_the_message(void **state)
{
	struct pop3_mem m = mailbox();

	m.count = 1;
	m.messages[0] = STR("a\n.\nb\r\n");
	m.chunk = 2;
	assert_string_equal(play(&m, config(), LOGIN "RETR 1\r\n", 0),
		"+OK mx.test ready\r\n+OK now the password\r\n+OK 1 messages (7 octets)\r\n"
		"+OK 7 octets\r\na\r\n..\r\nb\r\n.\r\n");
}

static void top_counts_lines_of_the_body(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(play(&m, config(), LOGIN "TOP 2 0\r\nTOP 2 2\r\nTOP 1 99\r\n", 0),
		GREETING "+OK 34 octets\r\nSubject: two\r\n\r\n.\r\n"
			 "+OK 34 octets\r\nSubject: two\r\n\r\n..\r\n...two\r\n.\r\n"
			 "+OK 23 octets\r\nSubject: one\r\n\r\nhello\r\n.\r\n");
}

static void only_quit_removes_what_dele_marked(void **state)
{
	struct pop3_mem m = mailbox();

	play(&m, config(), LOGIN "DELE 1\r\n", 0); /* the client hangs up */
	assert_false(m.removed[0]);
	play(&m, config(), LOGIN "DELE 1\r\nRSET\r\nDELE 2\r\nQUIT\r\n", 0);
	assert_false(m.removed[0]);
	assert_true(m.removed[1]);
}

static void a_marked_message_cannot_be_asked_for(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(
		play(&m, config(), LOGIN "DELE 1\r\nRETR 1\r\nDELE 1\r\nLIST\r\nSTAT\r\n", 0),
		GREETING "+OK marked as deleted\r\n"
			 "-ERR that message is marked as deleted\r\n"
			 "-ERR that message is marked as deleted\r\n"
			 "+OK the list follows\r\n2 34\r\n.\r\n"
			 "+OK 1 34\r\n");
}

static void a_failed_removal_is_told_at_quit(void **state)
{
	struct pop3_mem m = mailbox();

	m.read_only = true;
	assert_string_equal(play(&m, config(), LOGIN "DELE 1\r\nQUIT\r\n", 0),
		GREETING "+OK marked as deleted\r\n"
			 "-ERR [SYS/TEMP] some deleted messages were not removed\r\n");
}

static void the_second_session_is_told_in_use(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(play(&m, config(), "USER busy\r\nPASS x\r\nSTAT\r\n", 0),
		"+OK mx.test ready\r\n+OK now the password\r\n"
		"-ERR [IN-USE] another session has this mailbox open\r\n"
		"-ERR log in first\r\n");
}

static void without_tls_no_password_is_taken(void **state)
{
	struct pop3_mem m = mailbox();
	struct pop3_config c = config();

	c.secure = false;
	assert_string_equal(play(&m, c, LOGIN "AUTH PLAIN\r\nCAPA\r\n", 0),
		"+OK mx.test ready\r\n"
		"-ERR [AUTH] no passwords without TLS: STLS first\r\n"
		"-ERR USER first\r\n"
		"-ERR [AUTH] no passwords without TLS: STLS first\r\n"
		"+OK capabilities\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
		"EXPIRE NEVER\r\nIMPLEMENTATION Eilpost\r\n.\r\n");
}

static void what_comes_along_with_stls_is_never_run(void **state)
{
	struct pop3_mem m = mailbox();
	struct pop3_config c = config();

	c.secure = false;
	c.starttls = true;
	assert_string_equal(play(&m, c, "STLS\r\n" LOGIN, 0), "+OK mx.test ready\r\n");
}

static void plain_works_with_and_without_initial_response(void **state)
{
	struct pop3_mem m = mailbox();
	/* \0ann@example.test\0two words */
	static const char reply[] = "+OK mx.test ready\r\n+OK 2 messages (57 octets)\r\n";

	assert_string_equal(
		play(&m, config(), "AUTH PLAIN AGFubkBleGFtcGxlLnRlc3QAdHdvIHdvcmRz\r\n", 0),
		reply);
	assert_string_equal(
		play(&m, config(), "AUTH PLAIN\r\nAGFubkBleGFtcGxlLnRlc3QAdHdvIHdvcmRz\r\n", 3),
		"+OK mx.test ready\r\n+ \r\n+OK 2 messages (57 octets)\r\n");
	assert_string_equal(play(&m, config(), "AUTH PLAIN\r\n*\r\nSTAT\r\n", 0),
		"+OK mx.test ready\r\n+ \r\n-ERR cancelled\r\n-ERR log in first\r\n");
}

static void three_wrong_passwords_end_the_connection(void **state)
{
	struct pop3_mem m = mailbox();
	static const char wrong[] = "USER ann@example.test\r\nPASS no\r\n"
				    "USER ann@example.test\r\nPASS no\r\n"
				    "USER nobody\r\nPASS no\r\n" LOGIN "STAT\r\n";

	assert_string_equal(play(&m, config(), wrong, 0),
		"+OK mx.test ready\r\n"
		"+OK now the password\r\n-ERR [AUTH] wrong name or password\r\n"
		"+OK now the password\r\n-ERR [AUTH] wrong name or password\r\n"
		"+OK now the password\r\n-ERR [AUTH] wrong name or password\r\n");
}

static void a_stranger_cannot_keep_failing(void **state)
{
	struct pop3_mem m = mailbox();
	struct pop3_config c = config();

	c.max_errors = 2;
	assert_string_equal(play(&m, c, "GET / now\r\nHost: x\r\n\r\nQUIT\r\n", 0),
		"+OK mx.test ready\r\n-ERR unknown command\r\n-ERR unknown command\r\n"
		"-ERR unknown command\r\n-ERR too many errors, goodbye\r\n");
}

static void a_long_line_is_refused_and_the_session_goes_on(void **state)
{
	struct pop3_mem m = mailbox();
	static char line[6000];

	snprintf(line, sizeof line, "USER %05000d\r\nQUIT\r\n", 1);
	assert_string_equal(play(&m, config(), line, 0),
		"+OK mx.test ready\r\n-ERR line too long\r\n+OK goodbye\r\n");
}

static void a_message_that_vanished_is_refused(void **state)
{
	struct pop3_mem m = mailbox();

	m.vanished[0] = true;
	assert_string_equal(play(&m, config(), LOGIN "RETR 1\r\nNOOP\r\n", 0),
		GREETING
		"-ERR that message has been removed by another session\r\n+OK still here\r\n");
}

static void a_session_ends_when_its_login_is_taken_back(void **state)
{
	struct pop3_mem m = mailbox();

	m.gone = true;
	assert_string_equal(play(&m, config(), LOGIN "STAT\r\n", 0),
		GREETING "-ERR the login has been taken back, goodbye\r\n");
}

static void arguments_are_checked(void **state)
{
	struct pop3_mem m = mailbox();

	assert_string_equal(
		play(&m, config(),
			LOGIN "RETR\r\nRETR 0\r\nRETR 3\r\nRETR -1\r\n"
			      "TOP 1\r\nTOP 1 x\r\nDELE 99999999999\r\nLIST 2\r\nUIDL 1\r\n",
			0),
		GREETING "-ERR expected a message number\r\n-ERR no such message\r\n"
			 "-ERR no such message\r\n-ERR expected a message number\r\n"
			 "-ERR expected a message number and a number of lines\r\n"
			 "-ERR expected a message number and a number of lines\r\n"
			 "-ERR expected a message number\r\n+OK 2 34\r\n+OK 1 7.1\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_password_may_hold_spaces),
		cmocka_unit_test(the_dialogue_is_the_same_byte_by_byte),
		cmocka_unit_test(dots_are_stuffed_and_a_last_line_is_ended),
		cmocka_unit_test(a_lone_line_feed_cannot_end_the_message),
		cmocka_unit_test(top_counts_lines_of_the_body),
		cmocka_unit_test(only_quit_removes_what_dele_marked),
		cmocka_unit_test(a_marked_message_cannot_be_asked_for),
		cmocka_unit_test(a_failed_removal_is_told_at_quit),
		cmocka_unit_test(the_second_session_is_told_in_use),
		cmocka_unit_test(without_tls_no_password_is_taken),
		cmocka_unit_test(what_comes_along_with_stls_is_never_run),
		cmocka_unit_test(plain_works_with_and_without_initial_response),
		cmocka_unit_test(three_wrong_passwords_end_the_connection),
		cmocka_unit_test(a_stranger_cannot_keep_failing),
		cmocka_unit_test(a_long_line_is_refused_and_the_session_goes_on),
		cmocka_unit_test(a_message_that_vanished_is_refused),
		cmocka_unit_test(a_session_ends_when_its_login_is_taken_back),
		cmocka_unit_test(arguments_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
