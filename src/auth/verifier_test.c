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
	assert_false(str_eq(v1.salt, v3.salt));
	buf_free(&b1);
	buf_free(&b2);
	buf_free(&b3);
}

/* What a SCRAM server does with the stored keys (RFC 5802 3): the client's proof, undone with the
 * signature, must hash to StoredKey. */
static void the_stored_keys_check_a_scram_proof(void **state)
{
	struct buf b = BUF(VERIFIER_MAX);
	unsigned char salted[32] = { 0 }, client_key[32], stored[32], server_key[32];
	struct str by = str_make(salted, 32), what = STR("Client Key");
	struct verifier v;
	struct err err = ERR_INIT;

	(void)state;
	make(STR("pencil"), 0, &b, &v);
	assert_true(v.rounds >= 4096); /* RFC 7677 4 */
	assert_int_equal(pbkdf2(DIGEST_SHA256, STR("pencil"), v.salt, v.rounds, salted, &err), 0);
	mac_sha256(by, &what, 1, client_key);
	assert_int_equal(digest_once(DIGEST_SHA256, str_make(client_key, 32), stored, &err), 0);
	assert_memory_equal(stored, v.stored_key.p, 32);
	what = STR("Server Key");
	mac_sha256(by, &what, 1, server_key);
	assert_memory_equal(server_key, v.server_key.p, 32);
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
	b.p[0] = 2;
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
		cmocka_unit_test(bytes_that_are_no_verifier_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
