/* sasl.h - who is it? The SASL exchange (RFC 4422) of SMTP, IMAP and POP3, both sides.
 *
 * A mechanism is a row of a table and two pure step functions; nothing here knows a socket. The
 * server side runs a whole exchange with sasl_serve(): the protocol hands in a function that sends
 * one challenge and reads one line. What comes out is a name and a password *to be checked* (by the
 * vault); nothing is decided here. Each attempt has its own object, so a cancelled or broken
 * attempt leaves nothing for the next. Passwords lie in struct secret only; every passing copy is
 * wiped.
 */
#ifndef SASL_SASL_H
#define SASL_SASL_H

#include "base/secret.h"

enum {
	SASL_LINE_MAX = 12288,    /* RFC 4954 4: a line of the exchange, in octets with CRLF */
	SASL_NAME_MAX = 320,      /* octets of a user name: an address */
	SASL_PASSWORD_MAX = 1024, /* octets */
};

enum sasl_step {
	SASL_CHALLENGE, /* more to say: `out` holds it */
	SASL_DONE,
	SASL_MALFORMED, /* the peer broke the mechanism's grammar */
	SASL_DENIED,    /* asks to act as somebody else */
};

/* One attempt, server side. Zero is a valid start; sasl_server_free() ends it. */
struct sasl_server {
	unsigned step;
	struct str out;  /* the next challenge, not encoded: static text */
	struct buf name; /* UTF-8 without NUL, at least one octet, when done */
	struct secret password;
};

/* One attempt, client side. The caller owns name and password. */
struct sasl_client {
	unsigned step;
	struct str name;
	const struct secret *password;
};

struct sasl_mech {
	struct str name;
	struct str prompt; /* the challenge when the client sent no initial response */
	bool plaintext;    /* whoever sees the exchange has the password: only within TLS */
	enum sasl_step (*serve)(struct sasl_server *s, struct str response, struct err *err);
	/* Append the response to `challenge`. SASL_DONE: nothing more is expected to be asked. */
	enum sasl_step (*respond)(struct sasl_client *c, struct str challenge, struct buf *out);
};

/* By name, any case; NULL when there is none. By index, NULL after the last: strongest first. */
const struct sasl_mech *sasl_mech_find(struct str name);
const struct sasl_mech *sasl_mech_at(size_t i);
/* Append the names, separated by spaces. */
void sasl_mech_list(struct buf *out);

enum sasl_outcome {
	SASL_GIVEN,     /* name and password are there: check them */
	SASL_CANCELLED, /* the client sent "*" */
	SASL_BROKEN,    /* not base64, or not the mechanism's grammar; why is in err */
	SASL_TOO_LONG,  /* a line over the limit */
	SASL_FOREIGN,   /* authorization identity differs from the login */
};

/* Send one challenge (base64, may be empty) with the protocol's prefix and read one line, without
 * its ending. ERR_LIMIT when the line was too long and the session can go on. The answer is looked
 * at before the next call. */
typedef int sasl_ask_fn(void *arg, struct str challenge, struct str *response, struct err *err);

/* Run one exchange. `initial`: the initial response as it stood in the command, NULL when there was
 * none; "=" is an empty one (RFC 4954 4, RFC 4959 3, RFC 5034 4). 0 with *how, else -1 with what
 * `ask` failed of (the session is over). *s is for sasl_server_free() in every case. */
int sasl_serve(struct sasl_server *s, const struct sasl_mech *mech, const struct str *initial,
	sasl_ask_fn *ask, void *arg, enum sasl_outcome *how, struct err *err);
void sasl_server_free(struct sasl_server *s); /* wipes; safe to call twice */

/* Client side. Pick the best mechanism of a server's list (separated by spaces); NULL when none
 * fits. */
const struct sasl_mech *sasl_client_pick(struct str offered);
/* Append the base64 response to a base64 challenge (the initial response: an empty challenge).
 * The buffer then holds a secret: secret_wipe_buf(). SASL_MALFORMED when the challenge is not
 * base64 or one more than the mechanism has. */
enum sasl_step sasl_client_step(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out);

#endif
