#include "auth/seal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static int new_file(void)
{
	char path[] = "/tmp/seal_test.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	return fd;
}

static struct seal *load(int fd)
{
	struct seal *s = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(seal_load(fd, &s, &err), 0);
	return s;
}

static void the_first_start_makes_a_key_and_the_next_finds_it(void **state)
{
	int fd = new_file();
	struct seal *first = load(fd), *second = load(fd);
	struct buf b = BUF(256);
	struct secret plain;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(seal_put(first, SEAL_VERIFIER, STR("ann"), STR("secret"), &b, &err), 0);
	assert_int_equal(b.n, 6 + SEAL_EXTRA);
	assert_int_equal(seal_get(second, SEAL_VERIFIER, STR("ann"), buf_str(&b), &plain, &err), 0);
	assert_true(secret_eq(&plain, STR("secret")));
	secret_free(&plain);
	buf_free(&b);
	seal_free(&first);
	seal_free(&second);
	seal_free(&second);
	close(fd);
}

static void what_is_sealed_belongs_to_its_kind_and_name(void **state)
{
	int fd = new_file(), other_fd = new_file();
	struct seal *s = load(fd), *other = load(other_fd);
	struct buf b = BUF(256);
	struct secret plain;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(seal_put(s, SEAL_VERIFIER, STR("ann"), STR("secret"), &b, &err), 0);
	assert_int_equal(seal_get(s, SEAL_VERIFIER, STR("joe"), buf_str(&b), &plain, &err), -1);
	assert_int_equal(seal_get(s, SEAL_TLS_KEY, STR("ann"), buf_str(&b), &plain, &err), -1);
	assert_int_equal(seal_get(other, SEAL_VERIFIER, STR("ann"), buf_str(&b), &plain, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(seal_get(s, SEAL_VERIFIER, STR("ann"), str_head(buf_str(&b), i),
					 &plain, &err),
			-1);
	buf_free(&b);
	seal_free(&s);
	seal_free(&other);
	close(fd);
	close(other_fd);
}

static void a_damaged_key_file_is_named_and_left_alone(void **state)
{
	int fd = new_file();
	struct seal *s = load(fd);
	char before[200], after[200];
	struct err err = ERR_INIT;
	ssize_t n;

	(void)state;
	seal_free(&s);
	n = pread(fd, before, sizeof before, 0);
	assert_true(n > 64);
	for (ssize_t i = 0; i < n; i++) {
		char c = (char)(before[i] ^ 1);

		assert_int_equal(pwrite(fd, &c, 1, i), 1);
		assert_int_equal(seal_load(fd, &s, &err), -1);
		assert_int_equal(err.kind, ERR_PERM);
		assert_null(s);
		assert_int_equal(pwrite(fd, &before[i], 1, i), 1);
	}
	assert_int_equal(pread(fd, after, sizeof after, 0), n);
	assert_memory_equal(before, after, (size_t)n);
	assert_int_equal(ftruncate(fd, n - 1), 0);
	assert_int_equal(seal_load(fd, &s, &err), -1);
	close(fd);
}

static void a_key_file_that_others_may_read_is_refused(void **state)
{
	int fd = new_file();
	struct seal *s = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(fchmod(fd, 0640), 0);
	assert_int_equal(seal_load(fd, &s, &err), -1);
	assert_int_equal(lseek(fd, 0, SEEK_END), 0); /* and nothing was written */
	close(fd);
}

static void a_file_of_zeros_from_a_power_cut_counts_as_new(void **state)
{
	int fd = new_file();
	struct seal *s;

	(void)state;
	assert_int_equal(ftruncate(fd, 50), 0);
	s = load(fd);
	seal_free(&s);
	s = load(fd);
	seal_free(&s);
	close(fd);
}

static void derived_keys_differ_by_purpose_and_stay(void **state)
{
	int fd = new_file();
	struct seal *s = load(fd), *again = load(fd);
	char a[32], b[32], c[32];

	(void)state;
	seal_derive(s, STR("session"), a);
	seal_derive(again, STR("session"), b);
	seal_derive(s, STR("other"), c);
	assert_memory_equal(a, b, 32);
	assert_memory_not_equal(a, c, 32);
	seal_free(&s);
	seal_free(&again);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_start_makes_a_key_and_the_next_finds_it),
		cmocka_unit_test(what_is_sealed_belongs_to_its_kind_and_name),
		cmocka_unit_test(a_damaged_key_file_is_named_and_left_alone),
		cmocka_unit_test(a_key_file_that_others_may_read_is_refused),
		cmocka_unit_test(a_file_of_zeros_from_a_power_cut_counts_as_new),
		cmocka_unit_test(derived_keys_differ_by_purpose_and_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
