/* sasl_private.h - the step functions behind the table of mechanisms. */
#ifndef SASL_SASL_PRIVATE_H
#define SASL_SASL_PRIVATE_H

#include "sasl/sasl.h"

typedef enum sasl_step sasl_serve_fn(struct sasl_server *s, struct str response, struct err *err);
typedef enum sasl_step sasl_respond_fn(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out);

sasl_serve_fn plain_serve, login_serve, scram_serve, oauthbearer_serve, xoauth2_serve,
	external_serve;
sasl_respond_fn plain_respond, login_respond, scram_respond;

/* Keep what the client gave, or say what is wrong with it. */
enum sasl_step sasl_keep_name(struct sasl_server *s, struct str name, struct err *err);
enum sasl_step sasl_keep_password(struct sasl_server *s, struct str password, struct err *err);

/* What the answer of a check means for the exchange. */
enum sasl_step sasl_verdict(int r, const struct err *err);

#endif
