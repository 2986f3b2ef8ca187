/* verifier.h - what is kept of a password: enough to check it, not enough to know it.
 *
 * A verifier holds an argon2id string for PLAIN and LOGIN, the keys of SCRAM-SHA-256 and
 * SCRAM-SHA-1 (RFC 5803, RFC 7677), and a random password id that stays through a re-hash and
 * changes with the password. Its bytes are versioned, compact, and stored only sealed (seal.h).
 * Making and checking take time and memory: call them on a worker thread. Reading is total and
 * fast.
 */
#ifndef AUTH_VERIFIER_H
#define AUTH_VERIFIER_H

#include "base/err.h"
#include "base/str.h"

enum {
	VERIFIER_MAX = 512,
	VERIFIER_SALT = 16,
	VERIFIER_ROUNDS = 65536, /* more than this Cyrus SASL, which many clients use, refuses */
	VERIFIER_HASHES = 2
};

/* Slices point into the bytes it was read from. */
struct verifier {
	uint64_t password_id;
	struct str argon2;
	bool prepared; /* made from the password's prepared form (sasl/saslprep.h) */
	struct verifier_scram {
		uint32_t rounds; /* 0: none, from before SCRAM-SHA-1 was kept */
		struct str salt, stored_key, server_key;
	} scram[VERIFIER_HASHES]; /* by DIGEST_SHA1, DIGEST_SHA256 */
};

/* Slow. `password_id` 0: draw a new one. ERR_TEMP: no memory. A password that has no prepared form
 * counts as the bytes it is. */
int verifier_make(struct str password, uint64_t password_id, struct buf *out, struct err *err);
/* ERR_PROTO: no verifier, or of a version that is newer than this program. */
int verifier_read(struct str bytes, struct verifier *v, struct err *err);
/* Slow. 0: right. ERR_DENIED: wrong. ERR_TEMP: no memory. */
int verifier_check(const struct verifier *v, struct str password, struct err *err);
/* Made with other cost than today's: make it anew at the next right password. */
bool verifier_is_old(const struct verifier *v);

/* How often verifier_check() has run in this process, for status and for the test that unknown
 * names cost what known ones cost. */
uint64_t verifier_checks(void);

#endif
