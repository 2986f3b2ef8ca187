/* saslprep.h - one form of a password for all keyboards (RFC 4013, and what RFC 8265 4 keeps of
 * it).
 *
 * The same password typed on two machines may arrive as different bytes; mechanisms that hash on
 * the client's side need one form. Pure; linear time.
 */
#ifndef SASL_SASLPREP_H
#define SASL_SASLPREP_H

#include "base/secret.h"

/* At most SECRET_MAX / 128 bytes in. ERR_PERM: it has no such form (not UTF-8, control characters,
 * nothing left): use its bytes as they are. Right-to-left rules are not checked: a client that
 * minds them does not get as far as a server. */
int saslprep(struct str text, struct secret *out, struct err *err);

#endif
