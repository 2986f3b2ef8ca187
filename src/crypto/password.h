/* password.h - the slow functions between a password and what is kept of it.
 *
 * Both are made to take time (argon2id about 15 ms and 19 MiB): call them on a worker thread and
 * never more than a few at once. Thread-safe after crypto_init().
 */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include "base/err.h"
#include "base/str.h"
#include "crypto/digest.h"

/* What OWASP names as the least for argon2id: 19 MiB, two passes, one lane. */
enum { ARGON2_MEMORY = 19 * 1024 * 1024, ARGON2_PASSES = 2, ARGON2_TEXT = 128 };
/* Strings that ask for more than this are refused: they come from a directory or an import. */
enum { ARGON2_MEMORY_MAX = 256 * 1024 * 1024, ARGON2_PASSES_MAX = 16 };

/* Make the usual string "$argon2id$v=19$m=19456,t=2,p=1$salt$hash", NUL-terminated.
 * ERR_TEMP: no memory. */
int argon2_make(struct str password, char text[ARGON2_TEXT], struct err *err);
/* 0: the password is right. ERR_DENIED: wrong. ERR_TEMP: no memory. ERR_PROTO: no such string. */
int argon2_check(struct str text, struct str password, struct err *err);
/* Was it made with less (or other) work than argon2_make() does today? */
bool argon2_is_old(struct str text);

/* PBKDF2 with HMAC (RFC 8018 5.2), digest_size(kind) bytes: what SCRAM calls Hi() (RFC 5802 2.2).
 */
int pbkdf2(enum digest_kind kind, struct str password, struct str salt, uint32_t rounds, void *out,
	struct err *err);

#endif
