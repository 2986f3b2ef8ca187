#include "auth/verifier.h"

#include "crypto/crypto.h"
#include "crypto/digest.h"
#include "crypto/password.h"

#include <stdatomic.h>

enum { VERSION = 1 };

static atomic_uint_fast64_t checks;

static void put_number(struct buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> 8 * i));
}

static bool take_number(struct str *s, int bytes, uint64_t *v)
{
	if (s->n < (size_t)bytes)
		return false;
	*v = 0;
	for (int i = 0; i < bytes; i++)
		*v |= (uint64_t)(unsigned char)s->p[i] << 8 * i;
	*s = str_from(*s, (size_t)bytes);
	return true;
}

static bool take_bytes(struct str *s, size_t n, struct str *out)
{
	if (s->n < n)
		return false;
	*out = str_head(*s, n);
	*s = str_from(*s, n);
	return true;
}

/* RFC 5802 3: SaltedPassword gives ClientKey and ServerKey; only what checks a proof is kept. */
static int put_scram(struct str password, struct buf *out, struct err *err)
{
	unsigned char salt[VERIFIER_SALT], salted[SHA256_SIZE], key[SHA256_SIZE];
	struct str by = str_make(salted, sizeof salted);
	int r = -1;

	random_bytes(salt, sizeof salt);
	if (pbkdf2(DIGEST_SHA256, password, str_make(salt, sizeof salt), VERIFIER_ROUNDS, salted, err) < 0)
		goto out;
	put_number(out, VERIFIER_ROUNDS, 4);
	buf_add(out, str_make(salt, sizeof salt));
	mac_sha256(by, &STR("Client Key"), 1, key);
	if (digest_once(DIGEST_SHA256, str_make(key, sizeof key), key, err) < 0)
		goto out;
	buf_add(out, str_make(key, sizeof key));
	mac_sha256(by, &STR("Server Key"), 1, key);
	buf_add(out, str_make(key, sizeof key));
	r = 0;
out:
	crypto_wipe(salted, sizeof salted);
	crypto_wipe(key, sizeof key);
	return r;
}

int verifier_make(struct str password, uint64_t password_id, struct buf *out, struct err *err)
{
	char text[ARGON2_TEXT];

	while (password_id == 0)
		random_bytes(&password_id, sizeof password_id);
	if (argon2_make(password, text, err) < 0)
		return -1;
	put_number(out, VERSION, 1);
	put_number(out, password_id, 8);
	put_number(out, str_c(text).n, 1);
	buf_addz(out, text);
	if (put_scram(password, out, err) < 0)
		return -1;
	return buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, "no room for a password verifier");
}

int verifier_read(struct str bytes, struct verifier *v, struct err *err)
{
	uint64_t version, id, len, rounds;
	struct verifier got = { 0 };

	if (!take_number(&bytes, 1, &version) || version != VERSION)
		return err_set(err, ERR_PROTO, "a password verifier of an unknown version");
	if (!take_number(&bytes, 8, &id) || !take_number(&bytes, 1, &len) ||
		!take_bytes(&bytes, len, &got.argon2) || !take_number(&bytes, 4, &rounds) ||
		!take_bytes(&bytes, VERIFIER_SALT, &got.salt) ||
		!take_bytes(&bytes, SHA256_SIZE, &got.stored_key) ||
		!take_bytes(&bytes, SHA256_SIZE, &got.server_key) || bytes.n > 0)
		return err_set(err, ERR_PROTO, "a damaged password verifier");
	got.password_id = id;
	got.rounds = (uint32_t)rounds;
	*v = got;
	return 0;
}

int verifier_check(const struct verifier *v, struct str password, struct err *err)
{
	atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
	return argon2_check(v->argon2, password, err);
}

bool verifier_is_old(const struct verifier *v)
{
	return argon2_is_old(v->argon2) || v->rounds != VERIFIER_ROUNDS;
}

uint64_t verifier_checks(void)
{
	return atomic_load_explicit(&checks, memory_order_relaxed);
}
