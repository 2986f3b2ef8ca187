#include "cli/sendmail_args.h"

#include "ipc/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct sendmail_args got;

static int parse(const char *line)
{
	static char words[512];
	char *argv[32];
	struct err err = ERR_INIT;
	int argc = 0;

	strncpy(words, line, sizeof words - 1);
	for (char *p = words, *end; p && *p; p = end) {
		end = strchr(p, ' ');
		if (end)
			*end++ = '\0';
		argv[argc++] = p;
	}
	return sendmail_args(argc, argv, &got, &err);
}

/* What callers in Debian write: PHP, cron, at, mutt, git, s-nail, nodemailer, anacron. */
static void every_known_caller_is_understood(void **state)
{
	static const struct {
		const char *line, *sender;
		bool from_head, ignore_dots;
		size_t rcpts;
	} callers[] = {
		{ "-t -i", NULL, true, true, 0 },
		{ "-t -i -fweb@example.test", "web@example.test", true, true, 0 },
		{ "-oi -fweb@example.test -t", "web@example.test", true, true, 0 },
		{ "-FCronDaemon -i -B8BITMIME -oem ann", NULL, false, true, 1 },
		{ "-FAnacron -odi ann", NULL, false, false, 1 },
		{ "-i -B8BITMIME ann@example.test", NULL, false, true, 1 },
		{ "-oem -oi -f ann@example.test -B 8BITMIME -N delay,failure -R hdrs -- "
		  "bob@example.test",
			"ann@example.test", false, true, 1 },
		{ "-f ann@example.test -i bob@example.test cy@example.test", "ann@example.test",
			false, true, 2 },
		{ "-i -m -v -f ann@example.test -- bob@example.test", "ann@example.test", false,
			true, 1 },
		{ "-i -f <> -- -odd@example.test", "", false, true, 1 },
		{ "-it -r ann@example.test", "ann@example.test", true, true, 0 },
		{ "-O IgnoreDots=true -G -L tag -h 10 -U -n ann", NULL, false, true, 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof callers / sizeof callers[0]; i++) {
		assert_int_equal(parse(callers[i].line), 0);
		assert_int_equal(got.mode, SENDMAIL_SUBMIT);
		assert_int_equal(got.from_head, callers[i].from_head);
		assert_int_equal(got.ignore_dots, callers[i].ignore_dots);
		assert_int_equal(got.rcpt_count, callers[i].rcpts);
		assert_int_equal(got.has_sender, callers[i].sender != NULL);
		assert_true(str_eq(got.sender, str_c(callers[i].sender)));
	}
}

static void other_modes_are_told_apart(void **state)
{
	(void)state;
	assert_int_equal(parse("-bp"), 0);
	assert_int_equal(got.mode, SENDMAIL_QUEUE);
	assert_int_equal(parse("-q15m"), 0);
	assert_int_equal(got.mode, SENDMAIL_FLUSH);
	assert_int_equal(parse("-bi"), 0);
	assert_int_equal(got.mode, SENDMAIL_ALIASES);
	assert_int_equal(parse("-R full -N never -V id7 ann"), 0);
	assert_int_equal(got.ret, RET_FULL);
	assert_int_equal(got.notify, NOTIFY_NEVER);
	assert_true(str_eq(got.envid, STR("id7")));
}

/* threats.md T043: arguments that an attacker smuggles into a web form name files or programs. */
static void dangerous_options_are_refused(void **state)
{
	static const char *const bad[] = { "-X/tmp/log ann", "-C/tmp/evil.cf ann", "-be", "-bd",
		"-bs", "-bv ann", "-Z", "-f", "-N sometimes ann", "-N never,delay ann",
		"-R all ann" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_int_equal(parse(bad[i]), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_known_caller_is_understood),
		cmocka_unit_test(other_modes_are_told_apart),
		cmocka_unit_test(dangerous_options_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
