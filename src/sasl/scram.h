/* scram.h - the messages of SCRAM (RFC 5802, RFC 7677) and what is computed from them.
 *
 * Both sides, as pure functions: nothing here waits, draws random numbers or knows who somebody is.
 * The server's side is an exchange in two steps around what is kept of a password; the caller
 * supplies nonce, salt and keys. Messages come from strangers: the parsers are total and bounded.
 * Slices point into the message. ERR_PROTO: not the grammar of RFC 5802 7; ERR_DENIED: proof,
 * nonce or channel binding are wrong; ERR_TEMP: no memory.
 */
#ifndef SASL_SCRAM_H
#define SASL_SCRAM_H

#include "base/err.h"
#include "base/str.h"
#include "crypto/digest.h"

enum {
	SCRAM_MESSAGE_MAX = 2048,   /* octets; names of 320 and two nonces fit */
	SCRAM_NONCE_MAX = 512,      /* octets of a nonce, both halves together */
	SCRAM_NONCE = 24,           /* octets that one side adds to it */
	SCRAM_SALT_MAX = 64,        /* octets of a salt that we accept as a client */
	SCRAM_ROUNDS_LEAST = 4096,  /* RFC 7677 4 */
	SCRAM_ROUNDS_MOST = 200000, /* what a server may make us compute as its client */
};

/* What checks a proof and signs the answer (RFC 5802 3): digest_size() octets of each count. */
struct scram_keys {
	unsigned char stored[SHA256_SIZE], server[SHA256_SIZE];
};

/* The first two from the password: slow (call it on a worker thread). */
int scram_make_keys(enum digest_kind hash, struct str password, struct str salt, uint32_t rounds,
	struct scram_keys *keys, struct err *err);

/* ---- messages ---- */

struct scram_first {
	char flag;              /* RFC 5802 7, gs2-cbind-flag: 'n', 'y' or 'p' */
	struct str binding;     /* with 'p': the name of the channel binding */
	struct str header;      /* the GS2 header, with both commas */
	struct str bare;        /* what comes after it */
	struct str authz, name; /* still written as saslname */
	struct str nonce;
};
int scram_read_first(struct str message, struct scram_first *f, struct err *err);

struct scram_final {
	struct str binding; /* base64 */
	struct str nonce;
	struct str without_proof;
	unsigned char proof[SHA256_SIZE]; /* digest_size() octets */
};
int scram_read_final(
	enum digest_kind hash, struct str message, struct scram_final *f, struct err *err);

/* saslname to octets: "=2C" and "=3D". False: not one, or no room. And the other way. */
bool scram_name_decode(struct str name, struct buf *out);
void scram_name_encode(struct str name, struct buf *out);

/* RFC 5802 6: does the flag go with what was offered? `plus`: the mechanism is a -PLUS one;
 * `offered`: this session was offered one. ERR_DENIED: somebody has removed it from the list, or
 * the client asks for a binding that we have not. */
int scram_check_flag(const struct scram_first *f, bool plus, bool offered, struct err *err);

/* ---- the server's side ---- */

struct scram_exchange {
	enum digest_kind hash;
	struct buf header; /* of the first message: the last one must repeat it */
	struct buf said;   /* first message (bare) and challenge, each with a comma after it */
	struct buf nonce;  /* both halves */
};

/* `nonce` is ours: printable, fresh. Appends the challenge. *x is for scram_end() in every case. */
int scram_begin(struct scram_exchange *x, enum digest_kind hash, const struct scram_first *first,
	struct str nonce, struct str salt, uint32_t rounds, struct buf *challenge, struct err *err);
/* `binding`: the data of the channel binding that the first message named, empty without. Appends
 * the server's last message. Takes the same steps whether the proof is right or not. */
int scram_finish(const struct scram_exchange *x, const struct scram_keys *keys, struct str binding,
	struct str message, struct buf *out, struct err *err);
void scram_end(struct scram_exchange *x); /* safe to call twice */

/* ---- the client's side ---- */

struct scram_client {
	char nonce[SCRAM_NONCE];
	unsigned char expected[SHA256_SIZE]; /* the signature that proves the server */
};

void scram_client_first(const struct scram_client *c, struct str name, struct buf *out);
/* The challenge is hostile: salt, rounds and nonce are checked. Slow. */
int scram_client_final(struct scram_client *c, enum digest_kind hash, struct str name,
	struct str password, struct str challenge, struct buf *out, struct err *err);
int scram_client_verify(
	const struct scram_client *c, enum digest_kind hash, struct str message, struct err *err);

#endif
