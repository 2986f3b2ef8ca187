#include "sasl/scram.h"

#include "base/codec.h"
#include "base/utf8.h"
#include "crypto/crypto.h"
#include "crypto/password.h"

#include <string.h>

static int malformed(struct err *err)
{
	return err_set(err, ERR_PROTO, "not a SCRAM message");
}

static int no_memory(struct err *err)
{
	return err_set(err, ERR_TEMP, "out of memory for a login");
}

/* ---- words of a message ---- */

/* "X=value" up to the next comma or the end; the comma is dropped. */
static bool take_attribute(struct str *rest, char name, struct str *value)
{
	struct str word = str_word(rest, ',');

	if (word.n < 2 || word.p[0] != name || word.p[1] != '=')
		return false;
	*value = str_from(word, 2);
	return true;
}

/* RFC 5802 7, nonce: printable ASCII without a comma. */
static bool nonce_ok(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e || s.p[i] == ',')
			return false;
	return s.n > 0 && s.n <= SCRAM_NONCE_MAX - SCRAM_NONCE;
}

/* RFC 5802 5.1 and 7: optional attributes that we do not know are ignored, mandatory ones ("m")
 * refused; a letter, "=", at least one character. */
static bool extensions_ok(struct str rest)
{
	while (rest.n) {
		struct str word = str_word(&rest, ',');

		if (word.n < 3 || !is_alpha(word.p[0]) || word.p[0] == 'm' || word.p[1] != '=')
			return false;
	}
	return true;
}

bool scram_name_decode(struct str name, struct buf *out)
{
	for (size_t i = 0; i < name.n; i++) {
		struct str rest = str_from(name, i + 1);

		if (name.p[i] != '=') {
			buf_addc(out, name.p[i]);
			continue;
		}
		if (str_starts(rest, STR("2C")))
			buf_addc(out, ',');
		else if (str_starts(rest, STR("3D")))
			buf_addc(out, '=');
		else
			return false;
		i += 2;
	}
	return buf_ok(out);
}

void scram_name_encode(struct str name, struct buf *out)
{
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] == ',')
			buf_addz(out, "=2C");
		else if (name.p[i] == '=')
			buf_addz(out, "=3D");
		else
			buf_addc(out, name.p[i]);
	}
}

/* RFC 5801 4, gs2-header: flag, comma, perhaps an authorization identity, comma. */
static bool read_header(struct str *rest, struct scram_first *f)
{
	struct str whole = *rest, flag, authz;

	if (!str_cut(*rest, ',', &flag, rest) || !str_cut(*rest, ',', &authz, rest) || flag.n == 0)
		return false;
	f->flag = flag.p[0];
	f->header = str_head(whole, whole.n - rest->n);
	if (f->flag == 'p') {
		if (flag.n < 3 || flag.p[1] != '=')
			return false;
		f->binding = str_from(flag, 2);
	} else if (flag.n != 1 || (f->flag != 'n' && f->flag != 'y')) {
		return false;
	}
	if (authz.n == 0)
		return true;
	f->authz = str_from(authz, 2);
	return str_starts(authz, STR("a=")) && f->authz.n > 0;
}

int scram_read_first(struct str message, struct scram_first *f, struct err *err)
{
	struct str rest = message;

	*f = (struct scram_first){ 0 };
	if (message.n > SCRAM_MESSAGE_MAX || !utf8_valid(message) ||
		str_find(message, '\0') < message.n || !read_header(&rest, f))
		return malformed(err);
	f->bare = rest;
	/* A message that begins with "m=" asks for an extension; there is none. */
	if (!take_attribute(&rest, 'n', &f->name) || !take_attribute(&rest, 'r', &f->nonce) ||
		f->name.n == 0 || !nonce_ok(f->nonce) || !extensions_ok(rest))
		return malformed(err);
	return 0;
}

int scram_read_final(
	enum digest_kind hash, struct str message, struct scram_final *f, struct err *err)
{
	struct str rest, proof;
	struct buf raw = BUF(SHA256_SIZE + 3);
	int r = 0;

	*f = (struct scram_final){ 0 };
	/* RFC 5802 5.1: the proof is the last attribute. */
	if (message.n > SCRAM_MESSAGE_MAX || !utf8_valid(message) ||
		!str_rcut(message, ',', &f->without_proof, &proof) || !str_take(&proof, STR("p=")))
		return malformed(err);
	rest = f->without_proof;
	if (!take_attribute(&rest, 'c', &f->binding) || !take_attribute(&rest, 'r', &f->nonce) ||
		f->binding.n == 0 || f->nonce.n == 0 || !extensions_ok(rest) ||
		!base64_decode(proof, &raw) || raw.n != digest_size(hash))
		r = malformed(err);
	else
		memcpy(f->proof, raw.p, raw.n);
	buf_free(&raw);
	return r;
}

int scram_check_flag(const struct scram_first *f, bool plus, bool offered, struct err *err)
{
	bool known = str_eq(f->binding, STR("tls-exporter")) ||
		str_eq(f->binding, STR("tls-server-end-point"));

	if (plus != (f->flag == 'p'))
		return f->flag == 'p' || f->flag == 'n'
			? err_set(err, ERR_PROTO, "channel binding does not go with the mechanism")
			: err_set(err, ERR_DENIED, "a channel binding was left out");
	if (plus && !known)
		return err_set(err, ERR_DENIED, "an unknown channel binding");
	/* T032, RFC 5802 6: it would have bound, had it seen our list. */
	if (f->flag == 'y' && offered)
		return err_set(err, ERR_DENIED, "somebody has changed the list of mechanisms");
	return 0;
}

/* ---- computing ---- */

struct key {
	unsigned char b[SHA256_SIZE];
};

static struct str bytes(enum digest_kind hash, const unsigned char *p)
{
	return str_make(p, digest_size(hash));
}

/* SaltedPassword, ClientKey, StoredKey, ServerKey of RFC 5802 3. */
static int derive(enum digest_kind hash, struct str password, struct str salt, uint32_t rounds,
	struct key *client, struct scram_keys *keys, struct err *err)
{
	struct key salted;
	struct str by = bytes(hash, salted.b);
	int r = -1;

	if (pbkdf2(hash, password, salt, rounds, salted.b, err) == 0 &&
		mac_once(hash, by, STR("Client Key"), client->b, err) == 0 &&
		digest_once(hash, bytes(hash, client->b), keys->stored, err) == 0 &&
		mac_once(hash, by, STR("Server Key"), keys->server, err) == 0)
		r = 0;
	crypto_wipe(&salted, sizeof salted);
	return r;
}

int scram_make_keys(enum digest_kind hash, struct str password, struct str salt, uint32_t rounds,
	struct scram_keys *keys, struct err *err)
{
	struct key client;
	int r = derive(hash, password, salt, rounds, &client, keys, err);

	crypto_wipe(&client, sizeof client);
	return r;
}

static void exclusive_or(enum digest_kind hash, unsigned char *to, const unsigned char *with)
{
	for (size_t i = 0; i < digest_size(hash); i++)
		to[i] ^= with[i];
}

/* ---- the server's side ---- */

int scram_begin(struct scram_exchange *x, enum digest_kind hash, const struct scram_first *first,
	struct str nonce, struct str salt, uint32_t rounds, struct buf *challenge, struct err *err)
{
	size_t start = challenge->n;

	*x = (struct scram_exchange){ hash, BUF(SCRAM_MESSAGE_MAX), BUF(2 * SCRAM_MESSAGE_MAX),
		BUF(SCRAM_NONCE_MAX) };
	buf_add(&x->nonce, first->nonce);
	buf_add(&x->nonce, nonce);
	buf_add(challenge, STR("r="));
	buf_add(challenge, buf_str(&x->nonce));
	buf_add(challenge, STR(",s="));
	base64_encode(challenge, salt);
	buf_addf(challenge, ",i=%u", (unsigned)rounds);
	buf_add(&x->header, first->header);
	buf_add(&x->said, first->bare);
	buf_addc(&x->said, ',');
	buf_add(&x->said, str_from(buf_str(challenge), start));
	buf_addc(&x->said, ',');
	return buf_ok(challenge) && buf_ok(&x->nonce) && buf_ok(&x->header) && buf_ok(&x->said)
		? 0
		: no_memory(err);
}

void scram_end(struct scram_exchange *x)
{
	buf_free(&x->header);
	buf_free(&x->said);
	buf_free(&x->nonce);
}

/* Is "c=" the header of the first message and the data of this channel? */
static bool binding_matches(const struct scram_exchange *x, struct str data, struct str claimed)
{
	struct buf want = BUF(2 * SCRAM_MESSAGE_MAX), text = BUF(4 * SCRAM_MESSAGE_MAX);
	bool ok;

	buf_add(&want, buf_str(&x->header));
	buf_add(&want, data);
	base64_encode(&text, buf_str(&want));
	ok = buf_ok(&want) && buf_ok(&text) && crypto_equal(buf_str(&text), claimed);
	buf_free(&want);
	buf_free(&text);
	return ok;
}

/* RFC 5802 3: ClientProof gives ClientKey, whose digest must be StoredKey. */
static int check_proof(enum digest_kind hash, const struct scram_keys *keys, struct str message,
	const unsigned char *proof, bool *ok, struct err *err)
{
	struct key client, stored;
	int r = -1;

	if (mac_once(hash, bytes(hash, keys->stored), message, client.b, err) == 0) {
		exclusive_or(hash, client.b, proof);
		r = digest_once(hash, bytes(hash, client.b), stored.b, err);
	}
	*ok = r == 0 && crypto_equal(bytes(hash, stored.b), bytes(hash, keys->stored));
	crypto_wipe(&client, sizeof client);
	return r;
}

int scram_finish(const struct scram_exchange *x, const struct scram_keys *keys, struct str binding,
	struct str message, struct buf *out, struct err *err)
{
	struct buf whole = BUF(4 * SCRAM_MESSAGE_MAX);
	struct scram_final f;
	struct key signature;
	bool bound, fresh, proven;
	int r = -1;

	if (scram_read_final(x->hash, message, &f, err) < 0)
		return -1;
	bound = binding_matches(x, binding, f.binding);
	fresh = crypto_equal(f.nonce, buf_str(&x->nonce));
	buf_add(&whole, buf_str(&x->said));
	buf_add(&whole, f.without_proof);
	if (!buf_ok(&whole))
		no_memory(err);
	else if (check_proof(x->hash, keys, buf_str(&whole), f.proof, &proven, err) == 0 &&
		mac_once(x->hash, bytes(x->hash, keys->server), buf_str(&whole), signature.b,
			err) == 0)
		r = bound && fresh && proven ? 0 : err_set(err, ERR_DENIED, "wrong proof");
	if (r == 0) {
		buf_add(out, STR("v="));
		base64_encode(out, bytes(x->hash, signature.b));
		r = buf_ok(out) ? 0 : no_memory(err);
	}
	buf_free(&whole);
	return r;
}

/* ---- the client's side ---- */

static void first_bare(const struct scram_client *c, struct str name, struct buf *out)
{
	buf_add(out, STR("n="));
	scram_name_encode(name, out);
	buf_add(out, STR(",r="));
	buf_add(out, str_make(c->nonce, sizeof c->nonce));
}

/* RFC 5802 6: we do not bind to channels, and say so with "n". */
void scram_client_first(const struct scram_client *c, struct str name, struct buf *out)
{
	buf_add(out, STR("n,,"));
	first_bare(c, name, out);
}

struct challenge {
	struct str nonce;
	struct buf salt;
	uint64_t rounds;
};

static int read_challenge(
	const struct scram_client *c, struct str message, struct challenge *q, struct err *err)
{
	struct str rest = message, salt, rounds;

	if (message.n > SCRAM_MESSAGE_MAX || !take_attribute(&rest, 'r', &q->nonce) ||
		!take_attribute(&rest, 's', &salt) || !take_attribute(&rest, 'i', &rounds) ||
		!extensions_ok(rest) || !base64_decode(salt, &q->salt) || q->salt.n == 0 ||
		!str_u64(rounds, UINT32_MAX, &q->rounds))
		return malformed(err);
	/* RFC 5802 5.1: ours, and something of the server's. */
	if (!str_starts(q->nonce, str_make(c->nonce, sizeof c->nonce)) ||
		q->nonce.n <= sizeof c->nonce || q->nonce.n > SCRAM_NONCE_MAX)
		return err_set(err, ERR_PROTO, "the server answers with a nonce of its own");
	if (q->rounds < SCRAM_ROUNDS_LEAST || q->rounds > SCRAM_ROUNDS_MOST)
		return err_set(err, ERR_PROTO, "the server asks for %llu rounds",
			(unsigned long long)q->rounds);
	return 0;
}

/* The proof for `message`, appended to `out`, and the signature that the server must show. */
static int prove(struct scram_client *c, enum digest_kind hash, struct str password,
	const struct challenge *q, struct str message, struct buf *out, struct err *err)
{
	struct scram_keys keys;
	struct key client, proof;
	int r = -1;

	if (derive(hash, password, buf_str(&q->salt), (uint32_t)q->rounds, &client, &keys, err) ==
			0 &&
		mac_once(hash, bytes(hash, keys.stored), message, proof.b, err) == 0 &&
		mac_once(hash, bytes(hash, keys.server), message, c->expected, err) == 0) {
		exclusive_or(hash, proof.b, client.b);
		base64_encode(out, bytes(hash, proof.b));
		r = 0;
	}
	crypto_wipe(&client, sizeof client);
	crypto_wipe(&keys, sizeof keys);
	return r;
}

int scram_client_final(struct scram_client *c, enum digest_kind hash, struct str name,
	struct str password, struct str challenge, struct buf *out, struct err *err)
{
	struct buf message = BUF(4 * SCRAM_MESSAGE_MAX), last = BUF(SCRAM_MESSAGE_MAX);
	struct challenge q = { .salt = BUF(SCRAM_SALT_MAX) };
	int r = -1;

	if (read_challenge(c, challenge, &q, err) < 0)
		goto out;
	buf_add(&last, STR("c=biws,r=")); /* "n,,": what the first message said */
	buf_add(&last, q.nonce);
	first_bare(c, name, &message);
	buf_addc(&message, ',');
	buf_add(&message, challenge);
	buf_addc(&message, ',');
	buf_add(&message, buf_str(&last));
	buf_add(out, buf_str(&last));
	buf_add(out, STR(",p="));
	if (!buf_ok(&message) || !buf_ok(&last))
		no_memory(err);
	else
		r = prove(c, hash, password, &q, buf_str(&message), out, err);
out:
	buf_free(&message);
	buf_free(&last);
	buf_free(&q.salt);
	return r;
}

int scram_client_verify(
	const struct scram_client *c, enum digest_kind hash, struct str message, struct err *err)
{
	struct str rest = message, signature;
	struct buf raw = BUF(SHA256_SIZE + 3);
	int r = -1;

	if (!take_attribute(&rest, 'v', &signature) || !extensions_ok(rest) ||
		!base64_decode(signature, &raw))
		malformed(err);
	else if (!crypto_equal(buf_str(&raw), bytes(hash, c->expected)))
		err_set(err, ERR_DENIED, "the server does not know the password");
	else
		r = 0;
	buf_free(&raw);
	return r;
}
