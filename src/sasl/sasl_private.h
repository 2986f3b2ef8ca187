/* sasl_private.h - the step functions behind the table of mechanisms. */
#ifndef SASL_SASL_PRIVATE_H
#define SASL_SASL_PRIVATE_H

#include "sasl/sasl.h"

enum sasl_step plain_serve(struct sasl_server *s, struct str response, struct err *err);
enum sasl_step plain_respond(struct sasl_client *c, struct str challenge, struct buf *out);
enum sasl_step login_serve(struct sasl_server *s, struct str response, struct err *err);
enum sasl_step login_respond(struct sasl_client *c, struct str challenge, struct buf *out);

/* Keep what the client gave, or say what is wrong with it. */
enum sasl_step sasl_keep_name(struct sasl_server *s, struct str name, struct err *err);
enum sasl_step sasl_keep_password(struct sasl_server *s, struct str password, struct err *err);

#endif
