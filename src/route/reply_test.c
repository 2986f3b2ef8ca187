#include "route/reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void replies_mean_this(void **state)
{
	static const struct {
		enum reply_phase phase;
		unsigned code;
		struct str status;
		enum reply_scope scope;
		enum reply_outcome outcome;
		enum reply_kind kind;
		const char *result;
	} rows[] = {
		/* fine */
		{ PHASE_BODY, 250, STR_INIT("2.0.0"), ABOUT_MESSAGE, REPLY_OK, KIND_OK, "2.0.0" },
		{ PHASE_RCPT, 250, STR_INIT(""), ABOUT_RCPT, REPLY_OK, KIND_OK, "2.0.0" },
		{ PHASE_RCPT, 251, STR_INIT("2.1.5"), ABOUT_RCPT, REPLY_OK, KIND_OK, "2.1.5" },
		/* one recipient */
		{ PHASE_RCPT, 550, STR_INIT("5.1.1"), ABOUT_RCPT, REPLY_NEVER, KIND_NO_USER,
			"5.1.1" },
		{ PHASE_RCPT, 550, STR_INIT(""), ABOUT_RCPT, REPLY_NEVER, KIND_OTHER, "5.0.0" },
		{ PHASE_RCPT, 553, STR_INIT(""), ABOUT_RCPT, REPLY_NEVER, KIND_NO_USER, "5.1.1" },
		{ PHASE_RCPT, 551, STR_INIT(""), ABOUT_RCPT, REPLY_NEVER, KIND_NO_USER, "5.1.1" },
		{ PHASE_RCPT, 450, STR_INIT("4.2.1"), ABOUT_RCPT, REPLY_LATER, KIND_NO_USER,
			"4.2.1" },
		{ PHASE_RCPT, 450, STR_INIT(""), ABOUT_RCPT, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_RCPT, 451, STR_INIT("4.7.1"), ABOUT_RCPT, REPLY_LATER, KIND_POLICY,
			"4.7.1" },
		{ PHASE_RCPT, 452, STR_INIT(""), ABOUT_RCPT, REPLY_LATER, KIND_FULL, "4.2.2" },
		{ PHASE_RCPT, 452, STR_INIT("4.5.3"), ABOUT_RCPT, REPLY_LATER, KIND_BUSY, "4.5.3" },
		{ PHASE_RCPT, 552, STR_INIT(""), ABOUT_RCPT, REPLY_LATER, KIND_FULL, "4.2.2" },
		{ PHASE_RCPT, 552, STR_INIT("5.2.2"), ABOUT_RCPT, REPLY_NEVER, KIND_FULL, "5.2.2" },
		{ PHASE_RCPT, 554, STR_INIT("5.7.1"), ABOUT_RCPT, REPLY_NEVER, KIND_POLICY,
			"5.7.1" },
		{ PHASE_RCPT, 530, STR_INIT("5.7.0"), ABOUT_RCPT, REPLY_LATER, KIND_POLICY,
			"4.7.0" },
		/* the message */
		{ PHASE_MAIL, 552, STR_INIT("5.3.4"), ABOUT_MESSAGE, REPLY_NEVER, KIND_TOO_BIG,
			"5.3.4" },
		{ PHASE_MAIL, 552, STR_INIT(""), ABOUT_MESSAGE, REPLY_NEVER, KIND_FULL, "5.2.2" },
		{ PHASE_MAIL, 452, STR_INIT("4.3.1"), ABOUT_MESSAGE, REPLY_LATER, KIND_FULL,
			"4.3.1" },
		{ PHASE_MAIL, 550, STR_INIT("5.7.1"), ABOUT_MESSAGE, REPLY_NEVER, KIND_POLICY,
			"5.7.1" },
		{ PHASE_MAIL, 535, STR_INIT(""), ABOUT_MESSAGE, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_DATA, 554, STR_INIT(""), ABOUT_MESSAGE, REPLY_NEVER, KIND_OTHER, "5.0.0" },
		{ PHASE_BODY, 554, STR_INIT("5.6.0"), ABOUT_MESSAGE, REPLY_NEVER, KIND_OTHER,
			"5.6.0" },
		{ PHASE_BODY, 451, STR_INIT(""), ABOUT_MESSAGE, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_BODY, 0, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_NETWORK, "4.4.2" },
		/* the host: never final */
		{ PHASE_CONNECT, 0, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_NETWORK, "4.4.2" },
		{ PHASE_GREETING, 554, STR_INIT("5.7.1"), ABOUT_HOST, REPLY_LATER, KIND_POLICY,
			"4.7.1" },
		{ PHASE_GREETING, 421, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_BUSY, "4.4.5" },
		{ PHASE_HELLO, 550, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_TLS, 0, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_TLS, "4.7.5" },
		{ PHASE_TLS, 454, STR_INIT("4.7.0"), ABOUT_HOST, REPLY_LATER, KIND_TLS, "4.7.0" },
		{ PHASE_LOGIN, 535, STR_INIT("5.7.8"), ABOUT_HOST, REPLY_LATER, KIND_LOGIN,
			"4.7.8" },
		{ PHASE_LOGIN, 0, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_LOGIN, "4.7.8" },
		{ PHASE_RCPT, 421, STR_INIT("4.3.2"), ABOUT_HOST, REPLY_LATER, KIND_BUSY, "4.3.2" },
		{ PHASE_BODY, 421, STR_INIT(""), ABOUT_HOST, REPLY_LATER, KIND_BUSY, "4.4.5" },
		/* what makes no sense is never final */
		{ PHASE_RCPT, 354, STR_INIT(""), ABOUT_RCPT, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_RCPT, 199, STR_INIT(""), ABOUT_RCPT, REPLY_LATER, KIND_OTHER, "4.0.0" },
		{ PHASE_RCPT, 999, STR_INIT("5.1.1"), ABOUT_RCPT, REPLY_LATER, KIND_NO_USER,
			"4.1.1" },
		/* a status that contradicts the code gives way; one that is none is ignored */
		{ PHASE_RCPT, 450, STR_INIT("5.1.1"), ABOUT_RCPT, REPLY_LATER, KIND_NO_USER,
			"4.1.1" },
		{ PHASE_RCPT, 550, STR_INIT("4.7.1"), ABOUT_RCPT, REPLY_NEVER, KIND_POLICY,
			"5.7.1" },
		{ PHASE_RCPT, 550, STR_INIT("5.1"), ABOUT_RCPT, REPLY_NEVER, KIND_OTHER, "5.0.0" },
		{ PHASE_RCPT, 550, STR_INIT("9.1.1"), ABOUT_RCPT, REPLY_NEVER, KIND_OTHER,
			"5.0.0" },
		{ PHASE_RCPT, 550, STR_INIT("5.1.1\r\nX"), ABOUT_RCPT, REPLY_NEVER, KIND_OTHER,
			"5.0.0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct reply_verdict v = reply_judge(rows[i].phase, rows[i].code, rows[i].status);

		if (v.scope != rows[i].scope || v.outcome != rows[i].outcome ||
			v.kind != rows[i].kind)
			fail_msg("phase %d, %u %s: %s", (int)rows[i].phase, rows[i].code,
				rows[i].status.p, reply_kind_name(v.kind));
		assert_string_equal(v.status, rows[i].result);
	}
}

static void a_status_has_three_numbers_and_a_known_class(void **state)
{
	(void)state;
	assert_true(reply_status_ok(STR("5.1.10")));
	assert_true(reply_status_ok(STR("2.0.0")));
	assert_false(reply_status_ok(STR("")));
	assert_false(reply_status_ok(STR("3.0.0")));
	assert_false(reply_status_ok(STR("5.1000.1")));
	assert_false(reply_status_ok(STR("5..1")));
	assert_false(reply_status_ok(STR("5.1.1.1")));
	assert_false(reply_status_ok(STR("5.1.1 ")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(replies_mean_this),
		cmocka_unit_test(a_status_has_three_numbers_and_a_known_class),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
