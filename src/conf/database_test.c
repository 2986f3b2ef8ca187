#include "conf/conf_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void a_database_is_named_as_libpq_names_it(void **state)
{
	static const struct {
		const char *url, *place;
	} good[] = {
		{ "postgres://mail@db.example.org/mail", "db.example.org" },
		{ "postgresql://db1:5432,db2:5433/mail?sslmode=verify-full&sslrootcert=/etc/ca.pem",
			"db1:5432,db2:5433" },
		{ "postgres://joe%40x@[::1]:5432", "[::1]:5432" },
		{ "postgres:///mail?user=mail&host=/run/postgresql", "/run/postgresql" },
		{ "postgres://", "this machine" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct str place = conf_database_place(str_c(good[i].url));

		assert_true(conf_database_parse(str_c(good[i].url)));
		assert_true(str_eq(place, str_c(good[i].place)));
	}
}

/* A password would be seen by everybody who may list processes; other parameters could switch off
 * what a commit relies on. */
static void passwords_and_strange_parameters_are_refused(void **state)
{
	static const char *const bad[] = { "postgres://joe:secret@host/mail",
		"postgres://joe@x:secret@host/mail", "postgres://host/mail?password=secret",
		"postgres://host/mail?p%61ssword=secret", "postgres://host/mail?passfile=/x",
		"postgres://host/mail?options=-c%20synchronous_commit=off",
		"postgres://host/mail?target_session_attrs=any", "postgres://host/mail?sslmode",
		"postgres://host/mail?service=x", "mysql://host/x", "sqlite:/var/x", "/var/lib/x",
		"postgres://host/two words", "postgres://h\xc3\xb6st/x", "" };
	char text[800] = "postgres://";

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(conf_database_parse(str_c(bad[i])));
	memset(text + 11, 'x', sizeof text - 12);
	assert_false(conf_database_parse(str_c(text)));
}

/* What is refused may hold a password: it is not repeated in the message. */
static void a_refused_one_is_not_shown(void **state)
{
	const struct conf_source from = { .kind = CONF_DEMO,
		.folder = "/srv",
		.set = (const struct str[]){ STR("store=postgres://joe:s3cret@host/mail") },
		.sets = 1 };
	struct buf report = BUF(4096);
	struct err err = ERR_INIT;
	struct conf *c = NULL;

	(void)state;
	assert_int_equal(conf_load(&from, &c, &report, &err), -1);
	assert_non_null(strstr(err.msg, "without a password"));
	assert_null(strstr(err.msg, "s3cret"));
	assert_true(str_search(buf_str(&report), STR("s3cret")) == report.n);
	buf_free(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_database_is_named_as_libpq_names_it),
		cmocka_unit_test(passwords_and_strange_parameters_are_refused),
		cmocka_unit_test(a_refused_one_is_not_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
