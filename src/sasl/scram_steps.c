/* SCRAM as steps of an exchange (RFC 5802 5): what each side reads of the messages itself. Who
 * keeps the verifiers reads them again. */
#include "base/utf8.h"
#include "crypto/crypto.h"
#include "sasl/sasl_private.h"
#include "sasl/saslprep.h"

/* The binding that a message names, as text that outlives the message. */
static struct str known_binding(struct str name)
{
	static const struct str known[] = { STR_INIT("tls-exporter"),
		STR_INIT("tls-server-end-point") };

	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (str_eq(name, known[i]))
			return known[i];
	return STR("");
}

static enum sasl_step keep_saslname(struct sasl_server *s, struct str name, struct err *err)
{
	struct buf plain = BUF(SASL_NAME_MAX);
	enum sasl_step step = SASL_MALFORMED;

	if (scram_name_decode(name, &plain))
		step = sasl_keep_name(s, buf_str(&plain), err);
	else
		err_set(err, ERR_PROTO, "not a user name");
	buf_free(&plain);
	return step;
}

/* RFC 5802 5: an authorization identity of one's own is empty or one's name. */
static bool is_oneself(const struct scram_first *f)
{
	return f->authz.n == 0 || str_eqi(f->authz, f->name);
}

static bool is_plus(const struct sasl_server *s)
{
	return s->mech->ways & SASL_WAY_BINDING;
}

static enum sasl_step first(struct sasl_server *s, struct str response, struct err *err)
{
	struct sasl_scram m = { .hash = s->mech->hash,
		.plus = is_plus(s),
		.offered = s->ways & SASL_WAY_BINDING,
		.message = response };
	struct scram_first f;
	enum sasl_step step;

	if (scram_read_first(response, &f, err) < 0)
		return SASL_MALFORMED;
	step = keep_saslname(s, f.name, err);
	if (step != SASL_DONE)
		return step;
	if (scram_check_flag(&f, m.plus, m.offered, err) < 0)
		return sasl_verdict(-1, err);
	if (!is_oneself(&f)) {
		err_set(err, ERR_DENIED, "asked to act as somebody else");
		return SASL_DENIED;
	}
	m.binding = s->binding = known_binding(f.binding);
	s->made = BUF(SCRAM_MESSAGE_MAX);
	if (s->checks->scram_first(s->checks->arg, &m, &s->made, err) < 0)
		return sasl_verdict(-1, err);
	s->out = buf_str(&s->made);
	return SASL_CHALLENGE;
}

static enum sasl_step final(struct sasl_server *s, struct str response, struct err *err)
{
	struct sasl_scram m = { .hash = s->mech->hash,
		.plus = is_plus(s),
		.offered = s->ways & SASL_WAY_BINDING,
		.message = response,
		.binding = s->binding };
	struct scram_final f;

	if (scram_read_final(m.hash, response, &f, err) < 0)
		return SASL_MALFORMED;
	buf_clear(&s->made);
	if (s->checks->scram_final(s->checks->arg, &m, &s->made, err) < 0)
		return sasl_verdict(-1, err);
	s->granted = true;
	s->out = buf_str(&s->made);
	return SASL_CHALLENGE;
}

enum sasl_step scram_serve(struct sasl_server *s, struct str response, struct err *err)
{
	switch (s->step++) {
	case 0:
		/* An empty line where nothing was sent yet: not a message (RFC 5802 5). */
		return first(s, response, err);
	case 1:
		return final(s, response, err);
	default:
		/* RFC 4422 3.6, RFC 4954 4: our last message went as a challenge, and the client
		 * has nothing to add to it. */
		if (response.n == 0)
			return SASL_YES;
		err_set(err, ERR_PROTO, "words after the end of SCRAM");
		return SASL_MALFORMED;
	}
}

/* ---- the client ---- */

static void draw_nonce(struct scram_client *c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned char random[SCRAM_NONCE];

	random_bytes(random, sizeof random);
	for (size_t i = 0; i < sizeof random; i++)
		c->nonce[i] = digits[random[i] & 63];
}

static enum sasl_step answer_challenge(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out)
{
	struct secret prepared = SECRET_NONE;
	struct err err = ERR_INIT;
	struct str password = secret_reveal(c->password);
	int r;

	if (saslprep(password, &prepared, &err) == 0)
		password = secret_reveal(&prepared);
	r = scram_client_final(&c->scram, mech->hash, c->name, password, challenge, out, &err);
	secret_free(&prepared);
	return r == 0 ? SASL_CHALLENGE : SASL_MALFORMED;
}

enum sasl_step scram_respond(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out)
{
	struct err err = ERR_INIT;

	switch (c->step++) {
	case 0:
		draw_nonce(&c->scram);
		scram_client_first(&c->scram, c->name, out);
		return challenge.n == 0 ? SASL_CHALLENGE : SASL_MALFORMED;
	case 1:
		return answer_challenge(c, mech, challenge, out);
	case 2:
		c->satisfied = scram_client_verify(&c->scram, mech->hash, challenge, &err) == 0;
		return c->satisfied ? SASL_DONE : SASL_MALFORMED;
	default:
		return SASL_MALFORMED;
	}
}
