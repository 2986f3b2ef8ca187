/* PLAIN, RFC 4616: one message, [authzid] NUL authcid NUL passwd. */
#include "base/utf8.h"
#include "sasl/sasl_private.h"

enum sasl_step plain_serve(struct sasl_server *s, struct str response, struct err *err)
{
	struct str authz, name, password, rest;
	enum sasl_step step;

	if (!str_cut(response, '\0', &authz, &rest) || !str_cut(rest, '\0', &name, &password)) {
		err_set(err, ERR_PROTO, "PLAIN needs two NUL octets");
		return SASL_MALFORMED;
	}
	step = sasl_keep_name(s, name, err);
	if (step == SASL_DONE)
		step = sasl_keep_password(s, password, err);
	if (step != SASL_DONE)
		return step;
	/* RFC 4616 2: an empty authzid means "as myself". Nobody may act as somebody else. */
	if (authz.n && !str_eqi(authz, name)) {
		err_set(err, ERR_DENIED, "asked to act as somebody else");
		return SASL_DENIED;
	}
	return SASL_DONE;
}

enum sasl_step plain_respond(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out)
{
	struct str password = secret_reveal(c->password);

	if (c->step++ || challenge.n)
		return SASL_MALFORMED;
	buf_addc(out, '\0');
	buf_add(out, c->name);
	buf_addc(out, '\0');
	buf_add(out, password);
	c->satisfied = true;
	return SASL_DONE;
}
