#include "base/codec.h"
#include "base/utf8.h"
#include "sasl/sasl_private.h"

enum { BOUND = SASL_WAY_SCRAM | SASL_WAY_BINDING };

/* In the order in which they are offered: many clients take the first that they know. */
static const struct sasl_mech mechs[] = {
	{ STR_INIT("SCRAM-SHA-256-PLUS"), STR_INIT(""), false, BOUND, DIGEST_SHA256, scram_serve },
	{ STR_INIT("SCRAM-SHA-1-PLUS"), STR_INIT(""), false, BOUND, DIGEST_SHA1, scram_serve },
	{ STR_INIT("SCRAM-SHA-256"), STR_INIT(""), false, SASL_WAY_SCRAM, DIGEST_SHA256,
		scram_serve, scram_respond },
	{ STR_INIT("SCRAM-SHA-1"), STR_INIT(""), false, SASL_WAY_SCRAM, DIGEST_SHA1, scram_serve,
		scram_respond },
	{ STR_INIT("EXTERNAL"), STR_INIT(""), false, SASL_WAY_CERTIFICATE, 0, external_serve },
	{ STR_INIT("OAUTHBEARER"), STR_INIT(""), true, SASL_WAY_TOKEN, 0, oauthbearer_serve },
	{ STR_INIT("XOAUTH2"), STR_INIT(""), true, SASL_WAY_TOKEN, 0, xoauth2_serve },
	{ STR_INIT("PLAIN"), STR_INIT(""), true, 0, 0, plain_serve, plain_respond },
	{ STR_INIT("LOGIN"), STR_INIT("Username:"), true, 0, 0, login_serve, login_respond },
};
enum { MECHS = sizeof mechs / sizeof mechs[0] };

const struct sasl_mech *sasl_mech_at(size_t i)
{
	return i < MECHS ? &mechs[i] : NULL;
}

static bool usable(const struct sasl_mech *mech, unsigned ways)
{
	return (mech->ways & ~ways) == 0;
}

const struct sasl_mech *sasl_mech_find(struct str name, unsigned ways)
{
	for (size_t i = 0; i < MECHS; i++)
		if (str_eqi(name, mechs[i].name))
			return usable(&mechs[i], ways) ? &mechs[i] : NULL;
	return NULL;
}

void sasl_mech_list(unsigned ways, const char *before, struct buf *out)
{
	for (size_t i = 0; i < MECHS; i++) {
		if (!usable(&mechs[i], ways))
			continue;
		buf_addz(out, before);
		buf_add(out, mechs[i].name);
	}
}

unsigned sasl_ways(const struct sasl_checks *checks)
{
	return checks ? checks->ways(checks->arg) : 0;
}

enum sasl_step sasl_keep_name(struct sasl_server *s, struct str name, struct err *err)
{
	if (name.n == 0 || name.n > SASL_NAME_MAX || str_find(name, '\0') < name.n ||
		!utf8_valid(name)) {
		err_set(err, ERR_PROTO, "not a user name");
		return SASL_MALFORMED;
	}
	buf_free(&s->name);
	s->name = BUF(SASL_NAME_MAX);
	buf_add(&s->name, name);
	return buf_ok(&s->name) ? SASL_DONE : SASL_MALFORMED;
}

/* RFC 4616 2: not empty, no NUL. The encoding is not checked: a password that is not UTF-8 is
 * merely wrong, and to say more would help nobody. */
enum sasl_step sasl_keep_password(struct sasl_server *s, struct str password, struct err *err)
{
	if (password.n == 0 || password.n > SASL_PASSWORD_MAX ||
		str_find(password, '\0') < password.n) {
		err_set(err, ERR_PROTO, "not a password");
		return SASL_MALFORMED;
	}
	secret_free(&s->password);
	return secret_copy(&s->password, password, err) < 0 ? SASL_MALFORMED : SASL_DONE;
}

/* One line of the client, decoded, to the mechanism. */
static enum sasl_step feed(struct sasl_server *s, struct str line, struct err *err)
{
	struct buf raw = BUF(SASL_LINE_MAX);
	enum sasl_step step = SASL_MALFORMED;

	/* Full size at once, so that growing leaves no copy of a password behind. */
	if (buf_room(&raw, line.n / 4 * 3 + 3) && base64_decode(line, &raw))
		step = s->mech->serve(s, buf_str(&raw), err);
	else
		err_set(err, ERR_PROTO, "not base64");
	secret_wipe_buf(&raw);
	return step;
}

static int ask_for(
	struct sasl_server *s, sasl_ask_fn *ask, void *arg, struct str *line, struct err *err)
{
	struct buf challenge = BUF(SASL_LINE_MAX);
	int r;

	base64_encode(&challenge, s->out);
	r = ask(arg, buf_str(&challenge), line, err);
	buf_free(&challenge);
	return r;
}

enum sasl_step sasl_verdict(int r, const struct err *err)
{
	if (r == 0)
		return SASL_YES;
	return err->kind == ERR_PROTO ? SASL_MALFORMED : SASL_NO;
}

static enum sasl_outcome outcome_of(enum sasl_step step)
{
	switch (step) {
	case SASL_YES:
		return SASL_WELCOME;
	case SASL_NO:
		return SASL_REFUSED;
	case SASL_DENIED:
		return SASL_FOREIGN;
	case SASL_DONE:
	case SASL_CHALLENGE:
	case SASL_MALFORMED:
		break;
	}
	return SASL_BROKEN;
}

/* One challenge and its answer. False: there is no answer to go on with. */
static bool next_line(struct sasl_server *s, sasl_ask_fn *ask, void *arg, struct str *line,
	enum sasl_outcome *how, struct err *err)
{
	struct err why = ERR_INIT;

	if (ask_for(s, ask, arg, line, &why) < 0) {
		*how = SASL_TOO_LONG;
		*err = why;
		return false;
	}
	if (!str_eq(*line, STR("*"))) /* RFC 4954 4, RFC 9051 6.2.2, RFC 5034 4 */
		return true;
	*how = SASL_CANCELLED;
	err_set(err, ERR_PROTO, "cancelled");
	return false;
}

static int exchange(struct sasl_server *s, const struct str *initial, sasl_ask_fn *ask, void *arg,
	enum sasl_outcome *how, struct err *err)
{
	enum sasl_step step = SASL_CHALLENGE;
	struct str line;

	s->out = s->mech->prompt;
	if (initial)
		step = feed(s, str_eq(*initial, STR("=")) ? STR("") : *initial, err);
	while (step == SASL_CHALLENGE) {
		if (!next_line(s, ask, arg, &line, how, err))
			return *how == SASL_CANCELLED || err->kind == ERR_LIMIT ? 0 : -1;
		step = feed(s, line, err);
	}
	if (step == SASL_DONE)
		step = sasl_verdict(s->login(s->arg, buf_str(&s->name), &s->password, err), err);
	*how = outcome_of(step);
	return step == SASL_NO && err->kind == ERR_CANCELED ? -1 : 0;
}

int sasl_serve(struct sasl_server *s, const struct sasl_mech *mech, const struct str *initial,
	sasl_ask_fn *ask, void *arg, enum sasl_outcome *how, struct err *err)
{
	int r;

	s->mech = mech;
	s->ways = sasl_ways(s->checks);
	r = exchange(s, initial, ask, arg, how, err);
	/* A login that the client has broken off after all is none. */
	if (s->granted && (r < 0 || *how != SASL_WELCOME))
		s->checks->undo(s->checks->arg);
	s->granted = false;
	return r;
}

void sasl_server_free(struct sasl_server *s)
{
	secret_free(&s->password);
	buf_free(&s->name);
	secret_wipe_buf(&s->made);
	*s = (struct sasl_server){ 0 };
}
