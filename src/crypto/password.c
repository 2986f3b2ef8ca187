#include "crypto/password.h"

#include "crypto/crypto_private.h"

#include <errno.h>
#include <limits.h>
#include <sodium.h>

_Static_assert((int)ARGON2_TEXT >= (int)crypto_pwhash_argon2id_STRBYTES, "size of a hash string");

int argon2_make(struct str password, char text[ARGON2_TEXT], struct err *err)
{
	if (crypto_pwhash_argon2id_str(
		    text, password.p, password.n, ARGON2_PASSES, ARGON2_MEMORY) != 0)
		return err_set(err, ERR_TEMP, "cannot hash a password: out of memory");
	return 0;
}

/* The cost part ("m=19456,t=2,p=1") of a string. The library checks the rest. */
static bool read_cost(struct str text, uint64_t *kib, uint64_t *passes)
{
	struct str m, t;

	if (!str_take(&text, STR("$argon2id$v=19$m=")))
		return false;
	m = str_word(&text, ',');
	if (!str_take(&text, STR("t=")))
		return false;
	t = str_word(&text, ',');
	return str_u64(m, UINT32_MAX, kib) && str_u64(t, UINT32_MAX, passes) &&
		str_starts(text, STR("p="));
}

int argon2_check(struct str text, struct str password, struct err *err)
{
	char z[ARGON2_TEXT];
	uint64_t kib, passes;

	if (!read_cost(text, &kib, &passes) || !str_z(text, z, sizeof z))
		return err_set(err, ERR_PROTO, "not a password hash that we know");
	if (kib > ARGON2_MEMORY_MAX / 1024 || passes > ARGON2_PASSES_MAX)
		return err_set(err, ERR_PROTO, "a password hash that asks for too much work");
	errno = 0;
	if (crypto_pwhash_argon2id_str_verify(z, password.p, password.n) == 0)
		return 0;
	if (errno == EINVAL) /* what the library says of a mismatch, and only of that */
		return err_set(err, ERR_DENIED, "wrong password");
	if (errno == ENOMEM)
		return err_set(err, ERR_TEMP, "cannot check a password: out of memory");
	return err_set(err, ERR_PROTO, "a damaged password hash");
}

bool argon2_is_old(struct str text)
{
	uint64_t kib, passes;

	return !read_cost(text, &kib, &passes) || kib != ARGON2_MEMORY / 1024 ||
		passes != ARGON2_PASSES;
}

int pbkdf2(enum digest_kind kind, struct str password, struct str salt, uint32_t rounds, void *out,
	struct err *err)
{
	const EVP_MD *md = digest_md(kind);

	if (password.n > INT_MAX || salt.n > INT_MAX || rounds == 0 || rounds > INT_MAX)
		return err_set(err, ERR_LIMIT, "impossible password, salt or rounds");
	/* RFC 8018 5.2; an empty password must not be a null pointer here. */
	if (!md ||
		PKCS5_PBKDF2_HMAC(password.n ? password.p : "", (int)password.n,
			(const unsigned char *)salt.p, (int)salt.n, (int)rounds, md,
			(int)digest_size(kind), out) != 1)
		return err_set(err, ERR_TEMP, "cannot derive a key: out of memory");
	return 0;
}
