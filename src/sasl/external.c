/* EXTERNAL (RFC 4422 A): who it is was shown elsewhere, here by a certificate in the TLS handshake.
 * The one message names whom to act as: empty, or the certificate's own account. */
#include "sasl/sasl_private.h"

enum sasl_step external_serve(struct sasl_server *s, struct str response, struct err *err)
{
	enum sasl_step step = response.n ? sasl_keep_name(s, response, err) : SASL_DONE;

	if (step != SASL_DONE)
		return step;
	return sasl_verdict(s->checks->certificate(s->checks->arg, buf_str(&s->name), err), err);
}
