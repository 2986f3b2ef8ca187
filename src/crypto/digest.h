/* digest.h - SHA-1, SHA-256 and SHA-512, and message authentication with SHA-256.
 *
 * SHA-1 is here for protocols that name it, never for trust. Digests can fail only for lack of
 * memory (ERR_TEMP); macs cannot fail. A digest belongs to its maker; thread-safe between
 * different ones.
 */
#ifndef CRYPTO_DIGEST_H
#define CRYPTO_DIGEST_H

#include "base/err.h"
#include "base/str.h"

enum digest_kind { DIGEST_SHA1, DIGEST_SHA256, DIGEST_SHA512, DIGEST_KINDS };
enum { SHA1_SIZE = 20, SHA256_SIZE = 32, SHA512_SIZE = 64, DIGEST_MAX = 64 };

size_t digest_size(enum digest_kind kind);

/* The digest of one slice; digest_size(kind) bytes are written to `out`. */
int digest_once(enum digest_kind kind, struct str data, void *out, struct err *err);

/* In pieces. digest_end() may be called once; then only digest_free(). */
struct digest;
struct digest *digest_new(enum digest_kind kind, struct err *err); /* NULL with err */
int digest_add(struct digest *d, struct str data, struct err *err);
int digest_end(struct digest *d, void *out, struct err *err);
void digest_free(struct digest **d);

/* HMAC-SHA-256 (RFC 2104) over the slices one after the other; `out` has SHA256_SIZE bytes. The
 * slices are not told apart: put lengths between them where that matters. */
void mac_sha256(struct str key, const struct str *parts, size_t count, void *out);
/* HMAC with any of the digests; digest_size(kind) bytes. ERR_TEMP: no memory. */
int mac_once(enum digest_kind kind, struct str key, struct str data, void *out, struct err *err);

#endif
