/* Bearer tokens: OAUTHBEARER (RFC 7628) and XOAUTH2, which Google and Microsoft used before there
 * was an RFC. A refusal is told in JSON first, and the client's answer to it means nothing. */
#include "sasl/sasl_private.h"

#define SEPARATOR '\x01'

/* RFC 7628 3.2.2, and the form that Google documents for XOAUTH2. */
static const struct str refusal_bearer = STR_INIT("{\"status\":\"invalid_token\"}");
static const struct str refusal_xoauth2 =
	STR_INIT("{\"status\":\"401\",\"schemes\":\"bearer\",\"scope\":\"mail\"}");

static enum sasl_step malformed(const char *why, struct err *err)
{
	err_set(err, ERR_PROTO, "%s", why);
	return SASL_MALFORMED;
}

/* RFC 6750 2.1, b64token. */
static bool is_token(struct str s)
{
	while (s.n && s.p[s.n - 1] == '=')
		s.n--;
	for (size_t i = 0; i < s.n; i++)
		if (!is_alnum(s.p[i]) && str_find(STR("-._~+/"), s.p[i]) == 6)
			return false;
	return s.n > 0;
}

/* "Bearer TOKEN", the scheme in any case (RFC 7628 3.1). */
static bool keep_token(struct sasl_server *s, struct str value, struct err *err)
{
	if (!str_take(&value, STR("Bearer ")))
		return false;
	while (value.n && value.p[0] == ' ')
		value = str_from(value, 1);
	if (value.n > SASL_TOKEN_MAX || !is_token(value))
		return false;
	secret_free(&s->password);
	return secret_copy(&s->password, value, err) == 0;
}

/* Key-value pairs, each ended by ^A, the last one by another. */
static bool take_pair(struct str *rest, struct str *key, struct str *value)
{
	struct str pair;

	return str_cut(*rest, SEPARATOR, &pair, rest) && str_cut(pair, '=', key, value) &&
		key->n > 0;
}

static enum sasl_step check(struct sasl_server *s, struct str refusal, struct err *err)
{
	if (s->checks->token(s->checks->arg, buf_str(&s->name), &s->password, err) == 0)
		return SASL_YES;
	if (err->kind != ERR_DENIED)
		return sasl_verdict(-1, err);
	s->why = *err;
	s->out = refusal;
	return SASL_CHALLENGE;
}

/* RFC 7628 3.2.3: a client that was told why sends a dummy, or cancels. */
static enum sasl_step after_refusal(struct sasl_server *s, struct err *err)
{
	*err = s->why;
	return SASL_NO;
}

/* RFC 7628 3.1: a GS2 header without a binding, then pairs, of which we need "auth". */
static enum sasl_step read_bearer(struct sasl_server *s, struct str message, struct err *err)
{
	struct str flag, authz, key, value, rest;
	bool have = false;

	if (!str_cut(message, ',', &flag, &rest) || !str_cut(rest, ',', &authz, &rest) ||
		(!str_eq(flag, STR("n")) && !str_eq(flag, STR("y"))) ||
		!str_take(&rest, STR("\x01")))
		return malformed("not an OAUTHBEARER message", err);
	while (!str_eq(rest, STR("\x01"))) {
		if (!take_pair(&rest, &key, &value))
			return malformed("not an OAUTHBEARER message", err);
		if (str_eq(key, STR("auth")))
			have = !have && keep_token(s, value, err);
	}
	if (!have)
		return malformed("no bearer token", err);
	if (authz.n == 0)
		return SASL_DONE;
	if (!str_take(&authz, STR("a=")))
		return malformed("not an authorization identity", err);
	struct buf name = BUF(SASL_NAME_MAX);
	enum sasl_step step = scram_name_decode(authz, &name)
		? sasl_keep_name(s, buf_str(&name), err)
		: malformed("not a user name", err);

	buf_free(&name);
	return step;
}

enum sasl_step oauthbearer_serve(struct sasl_server *s, struct str response, struct err *err)
{
	enum sasl_step step;

	if (s->step++)
		return after_refusal(s, err);
	step = read_bearer(s, response, err);
	return step == SASL_DONE ? check(s, refusal_bearer, err) : step;
}

/* "user=NAME^Aauth=Bearer TOKEN^A^A" */
static enum sasl_step read_xoauth2(struct sasl_server *s, struct str message, struct err *err)
{
	struct str user, name, auth, value;

	if (!take_pair(&message, &user, &name) || !str_eqi(user, STR("user")) ||
		!take_pair(&message, &auth, &value) || !str_eqi(auth, STR("auth")) ||
		!str_eq(message, STR("\x01")) || !keep_token(s, value, err))
		return malformed("not an XOAUTH2 message", err);
	return sasl_keep_name(s, name, err);
}

enum sasl_step xoauth2_serve(struct sasl_server *s, struct str response, struct err *err)
{
	enum sasl_step step;

	if (s->step++)
		return after_refusal(s, err);
	step = read_xoauth2(s, response, err);
	return step == SASL_DONE ? check(s, refusal_xoauth2, err) : step;
}
