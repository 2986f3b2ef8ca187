/* LOGIN (draft-murchison-sasl-login-00): never a standard, still what many devices and libraries
 * speak. Name, then password. The challenges are the words that everybody sends and some
 * clients wait for; the draft's own words are used by nobody. */
#include "sasl/sasl_private.h"

enum sasl_step login_serve(struct sasl_server *s, struct str response, struct err *err)
{
	enum sasl_step step;

	if (s->step++)
		return sasl_keep_password(s, response, err);
	step = sasl_keep_name(s, response, err);
	if (step != SASL_DONE)
		return step;
	s->out = STR("Password:");
	return SASL_CHALLENGE;
}

enum sasl_step login_respond(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out)
{
	/* The words of the challenge differ from server to server; their order does not. */
	switch (c->step++) {
	case 0:
		buf_add(out, c->name);
		return SASL_CHALLENGE;
	case 1:
		buf_add(out, secret_reveal(c->password));
		c->satisfied = true;
		return SASL_DONE;
	default:
		return SASL_MALFORMED;
	}
}
