#include "auth/verifier.h"

#include "base/codec.h"
#include "crypto/digest.h"
#include "crypto/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void make(struct str password, uint64_t id, struct buf *b, struct verifier *v)
{
	struct err err = ERR_INIT;

	assert_int_equal(verifier_make(password, id, b, &err), 0);
	assert_true(b->n <= VERIFIER_MAX);
	assert_int_equal(verifier_read(buf_str(b), v, &err), 0);
}

static void only_the_right_password_passes(void **state)
{
	struct buf b = BUF(VERIFIER_MAX);
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("pencil"), 0, &b, &v);
	assert_int_equal(verifier_check(&v, STR("pencil"), &err), 0);
	assert_int_equal(verifier_check(&v, STR("Pencil"), &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	assert_false(verifier_is_old(&v));
	buf_free(&b);
}

static void a_new_password_has_a_new_id_and_a_rehash_keeps_it(void **state)
{
	struct buf b1 = BUF(VERIFIER_MAX), b2 = BUF(VERIFIER_MAX), b3 = BUF(VERIFIER_MAX);
	struct verifier v1, v2, v3;

	(void)state;
	make(STR("pencil"), 0, &b1, &v1);
	make(STR("pencil"), 0, &b2, &v2);
	make(STR("pencil"), v1.password_id, &b3, &v3);
	assert_true(v1.password_id != v2.password_id);
	assert_true(v1.password_id == v3.password_id);
	assert_false(str_eq(v1.scram[DIGEST_SHA256].salt, v3.scram[DIGEST_SHA256].salt));
	buf_free(&b1);
	buf_free(&b2);
	buf_free(&b3);
}

/* What a SCRAM server does with the stored keys (RFC 5802 3): the client's proof, undone with the
 * signature, must hash to StoredKey. */
static void the_stored_keys_check_a_scram_proof(void **state)
{
	static const enum digest_kind hashes[] = { DIGEST_SHA1, DIGEST_SHA256 };
	struct buf b = BUF(VERIFIER_MAX);
	unsigned char salted[32] = { 0 }, client_key[32], stored[32], server_key[32];
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("pencil"), 0, &b, &v);
	for (size_t i = 0; i < 2; i++) {
		const struct verifier_scram *s = &v.scram[hashes[i]];
		size_t n = digest_size(hashes[i]);
		struct str by = str_make(salted, n);

		assert_true(s->rounds >= 4096); /* RFC 7677 4 */
		assert_int_equal(
			pbkdf2(hashes[i], STR("pencil"), s->salt, s->rounds, salted, &err), 0);
		assert_int_equal(mac_once(hashes[i], by, STR("Client Key"), client_key, &err), 0);
		assert_int_equal(digest_once(hashes[i], str_make(client_key, n), stored, &err), 0);
		assert_memory_equal(stored, s->stored_key.p, n);
		assert_int_equal(mac_once(hashes[i], by, STR("Server Key"), server_key, &err), 0);
		assert_memory_equal(server_key, s->server_key.p, n);
	}
	buf_free(&b);
}

/* The form that was kept before SCRAM-SHA-1: shorter by those keys. */
static void a_verifier_of_the_first_version_still_checks_and_counts_as_old(void **state)
{
	enum { SHA1_PART = 4 + VERIFIER_SALT + 2 * SHA1_SIZE };
	struct buf b = BUF(VERIFIER_MAX);
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("pencil"), 0, &b, &v);
	assert_false(verifier_is_old(&v));
	buf_cut(&b, b.n - SHA1_PART);
	b.p[0] = 1;
	assert_int_equal(verifier_read(buf_str(&b), &v, &err), 0);
	assert_int_equal(verifier_check(&v, STR("pencil"), &err), 0);
	assert_int_equal(v.scram[DIGEST_SHA1].rounds, 0);
	assert_true(verifier_is_old(&v));
	buf_free(&b);
}

static void a_password_is_right_in_whatever_form_it_was_typed(void **state)
{
	struct buf b = BUF(VERIFIER_MAX);
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("caf\xc3\xa9"), 0, &b, &v);
	assert_int_equal(verifier_check(&v, STR("caf\xc3\xa9"), &err), 0);
	assert_int_equal(verifier_check(&v, STR("cafe\xcc\x81"), &err), 0);
	assert_int_equal(verifier_check(&v, STR("cafe"), &err), -1);
	buf_clear(&b);
	make(STR("\xff\x01"), 0, &b, &v); /* no text at all, still a password */
	assert_int_equal(verifier_check(&v, STR("\xff\x01"), &err), 0);
	buf_free(&b);
}

static void bytes_that_are_no_verifier_are_refused(void **state)
{
	struct buf b = BUF(VERIFIER_MAX);
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("pencil"), 0, &b, &v);
	for (size_t i = 0; i < b.n; i++)
		assert_int_equal(verifier_read(str_head(buf_str(&b), i), &v, &err), -1);
	buf_addc(&b, 'x');
	assert_int_equal(verifier_read(buf_str(&b), &v, &err), -1);
	buf_cut(&b, b.n - 1);
	b.p[0] = 3;
	assert_int_equal(verifier_read(buf_str(&b), &v, &err), -1);
	assert_int_equal(err.kind, ERR_PROTO);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_right_password_passes),
		cmocka_unit_test(a_new_password_has_a_new_id_and_a_rehash_keeps_it),
		cmocka_unit_test(the_stored_keys_check_a_scram_proof),
		cmocka_unit_test(a_verifier_of_the_first_version_still_checks_and_counts_as_old),
		cmocka_unit_test(a_password_is_right_in_whatever_form_it_was_typed),
		cmocka_unit_test(bytes_that_are_no_verifier_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
