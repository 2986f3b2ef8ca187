/* front_auth.h - every way to log in, for the sessions of a front.
 *
 * Fills in what a protocol's policy wants to know of logins (sasl/sasl.h) with calls to the vault,
 * which alone decides. The session embeds the struct, calls front_auth_begin() once it has its
 * connection, gives `checks` to its policy, and front_auth_end() when it is over. `in` is true from
 * a login to its end. Errors as of front_login().
 */
#ifndef ROLE_FRONT_AUTH_H
#define ROLE_FRONT_AUTH_H

#include "base/secret.h"
#include "role/front_login.h"
#include "sasl/sasl.h"

struct front_auth {
	struct front *front;
	struct conn *c;
	enum service service;
	const char *proto; /* for the log: "imap"; NULL: the protocol logs logins itself */
	struct signal *wake;
	struct front_login login;
	bool in;
	struct visitor *visitor; /* who is told of it (front_guard.h); may be NULL */
	struct sasl_checks checks;
	enum { FRONT_UNSEEN, FRONT_GOOD, FRONT_BAD } certificate; /* the client's, once looked at */
	uint64_t exchange;            /* SCRAM: the vault's number for what is half done */
	char name[SASL_NAME_MAX + 1]; /* and the name it began with */
};

/* `wake`: raised when the login has ended (front_login.h); may be NULL. */
void front_auth_begin(struct front_auth *a, struct front *f, struct conn *c, enum service service,
	const char *proto, struct signal *wake);
int front_auth_password(
	struct front_auth *a, struct str name, const struct secret *password, struct err *err);
void front_auth_end(struct front_auth *a); /* does not wait; safe to call twice */

#endif
