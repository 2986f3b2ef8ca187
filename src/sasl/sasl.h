/* sasl.h - who is it? The SASL exchange (RFC 4422) of SMTP, IMAP and POP3, both sides.
 *
 * A mechanism is a row of a table and two step functions; nothing here knows a socket. The server
 * side runs a whole exchange with sasl_serve(): the protocol hands in a function that sends one
 * challenge and reads one line, and the functions that decide (the vault, behind the protocol's
 * policy). What comes out is yes or no. Nothing is decided here. Each attempt has its own object,
 * so a cancelled or broken attempt leaves nothing for the next. Passwords and tokens lie in struct
 * secret only; every passing copy is wiped.
 *
 * What one can log in with differs from session to session (TLS or not, a certificate or not): the
 * `ways` are asked for once per list and once per attempt, and a mechanism whose ways are not all
 * there is neither listed nor found.
 */
#ifndef SASL_SASL_H
#define SASL_SASL_H

#include "base/secret.h"
#include "sasl/scram.h"

enum {
	SASL_LINE_MAX = 12288,    /* RFC 4954 4: a line of the exchange, in octets with CRLF */
	SASL_NAME_MAX = 320,      /* octets of a user name: an address */
	SASL_PASSWORD_MAX = 1024, /* octets */
	SASL_TOKEN_MAX = 8192,    /* octets of a bearer token */
};

/* ---- who decides ---- */

enum sasl_way {
	SASL_WAY_SCRAM = 1,      /* there is somebody who keeps verifiers */
	SASL_WAY_BINDING = 2,    /* the session is TLS and has a channel binding */
	SASL_WAY_TOKEN = 4,      /* there is somebody who can check bearer tokens */
	SASL_WAY_CERTIFICATE = 8 /* the client has shown a certificate that verifies */
};

/* One message of SCRAM on its way to who keeps the verifiers. */
struct sasl_scram {
	enum digest_kind hash;
	bool plus, offered; /* the mechanism is a -PLUS one; one was offered here */
	struct str message;
	struct str binding; /* with a binding: its name */
};

/* What can be asked besides a password. Each may wait, and gives 0, or -1 with ERR_DENIED (no),
 * ERR_LIMIT (too many tries), ERR_PROTO (malformed), or anything else (cannot tell now). One whose
 * way is never there may be NULL. */
struct sasl_checks {
	void *arg; /* of these functions */
	unsigned (*ways)(void *arg);
	/* Appends the challenge. */
	int (*scram_first)(
		void *arg, const struct sasl_scram *m, struct buf *challenge, struct err *err);
	/* Appends the server's last message. 0 is a login; undo() takes it back when the client
	 * does not accept it. */
	int (*scram_final)(
		void *arg, const struct sasl_scram *m, struct buf *last, struct err *err);
	void (*undo)(void *arg);
	/* An empty name: the token itself says who. */
	int (*token)(void *arg, struct str name, const struct secret *token, struct err *err);
	/* An empty name: the certificate says who. */
	int (*certificate)(void *arg, struct str name, struct err *err);
};

/* ---- the server's side ---- */

enum sasl_step {
	SASL_CHALLENGE, /* more to say: `out` holds it */
	SASL_DONE,      /* name and password are there: to be checked */
	SASL_YES,       /* it was checked: a login */
	SASL_NO,        /* it was checked, or could not be: why is in err */
	SASL_MALFORMED, /* the peer broke the mechanism's grammar */
	SASL_DENIED,    /* asks to act as somebody else */
};

/* One attempt. The protocol sets the first three; sasl_server_free() ends it. */
struct sasl_server {
	void *arg; /* of login() */
	int (*login)(void *arg, struct str name, const struct secret *password, struct err *err);
	const struct sasl_checks *checks; /* NULL: passwords only */

	const struct sasl_mech *mech;
	unsigned ways;
	unsigned step;
	struct str out; /* the next challenge, not encoded: static, or `made` */
	struct buf made;
	struct buf name;        /* UTF-8 without NUL, as far as it is known */
	struct secret password; /* or token */
	struct str binding;     /* SCRAM: the name of the one that was agreed on; static */
	bool granted;           /* a login that the client has not accepted yet */
	struct err why;         /* of a refusal that is told only after another challenge */
};

/* One attempt, client side. The caller owns name and password. */
struct sasl_client {
	unsigned step;
	struct str name;
	const struct secret *password;
	struct scram_client scram;
	bool satisfied; /* the server has shown all that the mechanism wants of it */
};

struct sasl_mech {
	struct str name;
	struct str prompt;     /* the challenge when the client sent no initial response */
	bool plaintext;        /* whoever sees the exchange has the password: only within TLS */
	unsigned ways;         /* SASL_WAY_ bits it needs */
	enum digest_kind hash; /* of SCRAM */
	enum sasl_step (*serve)(struct sasl_server *s, struct str response, struct err *err);
	/* Append the response to `challenge`. SASL_DONE: nothing more is expected to be asked.
	 * NULL: we do not log in with it. */
	enum sasl_step (*respond)(struct sasl_client *c, const struct sasl_mech *mech,
		struct str challenge, struct buf *out);
};

/* By index, NULL after the last: in the order in which they are offered. */
const struct sasl_mech *sasl_mech_at(size_t i);
/* By name, any case; NULL when there is none that can be used with these ways. */
const struct sasl_mech *sasl_mech_find(struct str name, unsigned ways);
/* Append the names of those that can be used, `before` each of them. */
void sasl_mech_list(unsigned ways, const char *before, struct buf *out);
/* What this session has: 0 without checks. */
unsigned sasl_ways(const struct sasl_checks *checks);

enum sasl_outcome {
	SASL_WELCOME,   /* logged in */
	SASL_REFUSED,   /* not logged in: the kind of err says why, as of struct sasl_checks */
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
 * `ask` failed of, or ERR_CANCELED (the session is over). *s is for sasl_server_free() in every
 * case. */
int sasl_serve(struct sasl_server *s, const struct sasl_mech *mech, const struct str *initial,
	sasl_ask_fn *ask, void *arg, enum sasl_outcome *how, struct err *err);
void sasl_server_free(struct sasl_server *s); /* wipes; safe to call twice */

/* ---- the client's side ---- */

/* Pick the best mechanism of a server's list (separated by spaces); NULL when none fits. */
const struct sasl_mech *sasl_client_pick(struct str offered);
/* Append the base64 response to a base64 challenge (the initial response: an empty challenge).
 * The buffer then holds a secret: secret_wipe_buf(). SASL_MALFORMED when the challenge is not
 * base64, one more than the mechanism has, or not the server's that knows the password. When the
 * server says yes, look at c->satisfied: without it, it has not shown that it is the right one.
 * SCRAM takes up to a tenth of a second of work. */
enum sasl_step sasl_client_step(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out);

#endif
