#include "auth/verifier.h"

#include "crypto/crypto.h"
#include "crypto/password.h"
#include "sasl/saslprep.h"
#include "sasl/scram.h"

#include <stdatomic.h>

/* Version 1 had neither the keys of SCRAM-SHA-1 nor prepared passwords. */
enum { FIRST_VERSION = 1, VERSION = 2 };

_Static_assert((int)DIGEST_SHA1 < VERIFIER_HASHES && (int)DIGEST_SHA256 < VERIFIER_HASHES,
	"hashes of SCRAM");

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

static int put_scram(enum digest_kind hash, struct str password, struct buf *out, struct err *err)
{
	unsigned char salt[VERIFIER_SALT];
	struct scram_keys keys;
	int r;

	random_bytes(salt, sizeof salt);
	r = scram_make_keys(
		hash, password, str_make(salt, sizeof salt), VERIFIER_ROUNDS, &keys, err);
	if (r == 0) {
		put_number(out, VERIFIER_ROUNDS, 4);
		buf_add(out, str_make(salt, sizeof salt));
		buf_add(out, str_make(keys.stored, digest_size(hash)));
		buf_add(out, str_make(keys.server, digest_size(hash)));
	}
	crypto_wipe(&keys, sizeof keys);
	return r;
}

/* The form of a password that all clients agree on, or its bytes where there is none. */
static struct str prepare(struct str password, struct secret *room)
{
	struct err none = ERR_INIT;

	return saslprep(password, room, &none) == 0 ? secret_reveal(room) : password;
}

int verifier_make(struct str password, uint64_t password_id, struct buf *out, struct err *err)
{
	struct secret room = SECRET_NONE;
	char text[ARGON2_TEXT];
	int r = -1;

	while (password_id == 0)
		random_bytes(&password_id, sizeof password_id);
	password = prepare(password, &room);
	if (argon2_make(password, text, err) < 0)
		goto out;
	put_number(out, VERSION, 1);
	put_number(out, password_id, 8);
	put_number(out, str_c(text).n, 1);
	buf_addz(out, text);
	if (put_scram(DIGEST_SHA256, password, out, err) < 0 ||
		put_scram(DIGEST_SHA1, password, out, err) < 0)
		goto out;
	r = buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, "no room for a password verifier");
out:
	secret_free(&room);
	return r;
}

static bool take_scram(struct str *bytes, enum digest_kind hash, struct verifier_scram *s)
{
	uint64_t rounds;

	if (!take_number(bytes, 4, &rounds) || !take_bytes(bytes, VERIFIER_SALT, &s->salt) ||
		!take_bytes(bytes, digest_size(hash), &s->stored_key) ||
		!take_bytes(bytes, digest_size(hash), &s->server_key))
		return false;
	s->rounds = (uint32_t)rounds;
	return true;
}

int verifier_read(struct str bytes, struct verifier *v, struct err *err)
{
	uint64_t version, id, len;
	struct verifier got = { 0 };

	if (!take_number(&bytes, 1, &version) || version < FIRST_VERSION || version > VERSION)
		return err_set(err, ERR_PROTO, "a password verifier of an unknown version");
	if (!take_number(&bytes, 8, &id) || !take_number(&bytes, 1, &len) ||
		!take_bytes(&bytes, len, &got.argon2) ||
		!take_scram(&bytes, DIGEST_SHA256, &got.scram[DIGEST_SHA256]) ||
		(version > FIRST_VERSION &&
			!take_scram(&bytes, DIGEST_SHA1, &got.scram[DIGEST_SHA1])) ||
		bytes.n > 0)
		return err_set(err, ERR_PROTO, "a damaged password verifier");
	got.password_id = id;
	got.prepared = version > FIRST_VERSION;
	*v = got;
	return 0;
}

int verifier_check(const struct verifier *v, struct str password, struct err *err)
{
	struct secret room = SECRET_NONE;
	int r;

	atomic_fetch_add_explicit(&checks, 1, memory_order_relaxed);
	r = argon2_check(v->argon2, v->prepared ? prepare(password, &room) : password, err);
	secret_free(&room);
	return r;
}

bool verifier_is_old(const struct verifier *v)
{
	for (size_t i = 0; i < VERIFIER_HASHES; i++)
		if (v->scram[i].rounds != VERIFIER_ROUNDS)
			return true;
	return !v->prepared || argon2_is_old(v->argon2);
}

uint64_t verifier_checks(void)
{
	return atomic_load_explicit(&checks, memory_order_relaxed);
}
