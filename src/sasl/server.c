#include "base/codec.h"
#include "base/utf8.h"
#include "sasl/sasl_private.h"

static const struct sasl_mech mechs[] = {
	{ STR_INIT("PLAIN"), STR_INIT(""), true, plain_serve, plain_respond },
	{ STR_INIT("LOGIN"), STR_INIT("Username:"), true, login_serve, login_respond },
};
enum { MECHS = sizeof mechs / sizeof mechs[0] };

const struct sasl_mech *sasl_mech_at(size_t i)
{
	return i < MECHS ? &mechs[i] : NULL;
}

const struct sasl_mech *sasl_mech_find(struct str name)
{
	for (size_t i = 0; i < MECHS; i++)
		if (str_eqi(name, mechs[i].name))
			return &mechs[i];
	return NULL;
}

void sasl_mech_list(struct buf *out)
{
	for (size_t i = 0; i < MECHS; i++) {
		if (i)
			buf_addc(out, ' ');
		buf_add(out, mechs[i].name);
	}
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
static enum sasl_step feed(
	struct sasl_server *s, const struct sasl_mech *mech, struct str line, struct err *err)
{
	struct buf raw = BUF(SASL_LINE_MAX);
	enum sasl_step step = SASL_MALFORMED;

	/* Full size at once, so that growing leaves no copy of a password behind. */
	if (buf_room(&raw, line.n / 4 * 3 + 3) && base64_decode(line, &raw))
		step = mech->serve(s, buf_str(&raw), err);
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

static enum sasl_outcome outcome_of(enum sasl_step step)
{
	switch (step) {
	case SASL_DONE:
		return SASL_GIVEN;
	case SASL_DENIED:
		return SASL_FOREIGN;
	case SASL_CHALLENGE:
	case SASL_MALFORMED:
		break;
	}
	return SASL_BROKEN;
}

int sasl_serve(struct sasl_server *s, const struct sasl_mech *mech, const struct str *initial,
	sasl_ask_fn *ask, void *arg, enum sasl_outcome *how, struct err *err)
{
	enum sasl_step step = SASL_CHALLENGE;
	struct err why = ERR_INIT;
	struct str line;

	s->out = mech->prompt;
	if (initial)
		step = feed(s, mech, str_eq(*initial, STR("=")) ? STR("") : *initial, err);
	while (step == SASL_CHALLENGE) {
		if (ask_for(s, ask, arg, &line, &why) < 0) {
			*err = why;
			*how = SASL_TOO_LONG;
			return why.kind == ERR_LIMIT ? 0 : -1;
		}
		if (str_eq(line, STR("*"))) { /* RFC 4954 4, RFC 9051 6.2.2, RFC 5034 4 */
			err_set(err, ERR_PROTO, "cancelled");
			*how = SASL_CANCELLED;
			return 0;
		}
		step = feed(s, mech, line, err);
	}
	*how = outcome_of(step);
	return 0;
}

void sasl_server_free(struct sasl_server *s)
{
	secret_free(&s->password);
	buf_free(&s->name);
	*s = (struct sasl_server){ 0 };
}
