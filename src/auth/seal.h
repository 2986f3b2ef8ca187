/* seal.h - the sealing key, and what is sealed with it.
 *
 * Verifiers, private keys and provider passwords lie in the directory as bytes that only the vault
 * can open. What is sealed is bound to its kind, its name and the version of this format: bytes
 * moved to another name do not open. The key lives in one file of its own.
 */
#ifndef AUTH_SEAL_H
#define AUTH_SEAL_H

#include "base/secret.h"

/* Part of the stored form: never renumber. */
enum seal_kind {
	SEAL_VERIFIER = 1,
	SEAL_TLS_KEY = 2,
	SEAL_PROVIDER = 3,
	SEAL_DKIM = 4,
	SEAL_MARK = 5
};

enum { SEAL_EXTRA = 1 + 40 }; /* how much longer sealed bytes are */

struct seal;

/* Read the key from an open file. An empty file (the first start; the master creates it with mode
 * 0600) gets a new key, which is flushed before this returns. The descriptor stays the caller's.
 * ERR_PERM: the file is not a sealing key, or others may read it; nothing is changed then. */
int seal_load(int fd, struct seal **seal, struct err *err);
void seal_free(struct seal **seal);

int seal_put(const struct seal *seal, enum seal_kind kind, struct str name, struct str plain,
	struct buf *out, struct err *err);
/* ERR_DENIED: not sealed by this key for this kind and name. */
int seal_get(const struct seal *seal, enum seal_kind kind, struct str name, struct str sealed,
	struct secret *plain, struct err *err);

/* A key for another purpose that the sealing key determines: 32 bytes. It survives a restart and
 * tells nothing of the sealing key. */
void seal_derive(const struct seal *seal, struct str purpose, void *out);

#endif
