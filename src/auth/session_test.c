#include "auth/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct str key = STR_INIT("0123456789abcdef0123456789abcdef");
static const struct session ann = { .account = 7,
	.password_id = 99,
	.front = 3,
	.scopes = 2,
	.until = 1000,
	.login = STR_INIT("ann@example.test") };

static void a_session_says_what_it_was_made_of(void **state)
{
	struct buf b = BUF(SESSION_MAX);
	struct session s;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(session_make(key, &ann, &b, &err), 0);
	assert_int_equal(session_read(key, buf_str(&b), 3, 999, &s, &err), 0);
	assert_int_equal(s.account, 7);
	assert_int_equal(s.password_id, 99);
	assert_int_equal(s.scopes, 2);
	assert_true(str_eq(s.login, ann.login));
	buf_free(&b);
}

static void it_serves_one_front_until_its_end_and_cannot_be_changed(void **state)
{
	struct buf b = BUF(SESSION_MAX);
	struct session s;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(session_make(key, &ann, &b, &err), 0);
	assert_int_equal(session_read(key, buf_str(&b), 4, 999, &s, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_int_equal(session_read(key, buf_str(&b), 3, 1000, &s, &err), -1);
	assert_int_equal(
		session_read(STR("other key, also 32 bytes long..."), buf_str(&b), 3, 1, &s, &err),
		-1);
	for (size_t i = 0; i < b.n; i++) {
		b.p[i] ^= 4;
		assert_int_equal(session_read(key, buf_str(&b), 3, 999, &s, &err), -1);
		b.p[i] ^= 4;
		assert_int_equal(session_read(key, str_head(buf_str(&b), i), 3, 999, &s, &err), -1);
	}
	buf_free(&b);
}

static void the_longest_name_fits_and_a_longer_one_is_refused(void **state)
{
	char name[SESSION_LOGIN_MAX + 1];
	struct session s = ann, got;
	struct buf b = BUF(SESSION_MAX);
	struct err err = ERR_INIT;

	(void)state;
	memset(name, 'a', sizeof name);
	s.login = str_make(name, SESSION_LOGIN_MAX);
	assert_int_equal(session_make(key, &s, &b, &err), 0);
	assert_int_equal(session_read(key, buf_str(&b), 3, 1, &got, &err), 0);
	assert_true(str_eq(got.login, s.login));
	buf_clear(&b);
	s.login = str_make(name, sizeof name);
	assert_int_equal(session_make(key, &s, &b, &err), -1);
	assert_int_equal(err.kind, ERR_LIMIT);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_session_says_what_it_was_made_of),
		cmocka_unit_test(it_serves_one_front_until_its_end_and_cannot_be_changed),
		cmocka_unit_test(the_longest_name_fits_and_a_longer_one_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
