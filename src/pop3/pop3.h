/* pop3.h - the POP3 server session (RFC 1939, with RFC 2449, 2595, 3206 and 5034).
 *
 * pop3_serve() talks to one client from the greeting to the end. What the protocol cannot know, it
 * asks a policy: a struct of functions that check a password, open the mailbox, and give its
 * messages piece by piece. Nothing of a message is kept here but its number and size, so memory
 * does not depend on how large messages are. Messages marked with DELE are removed only by QUIT
 * (RFC 1939 6): a connection that ends in any other way removes nothing.
 *
 * Passwords are taken only under TLS. The session owns neither the connection nor the policy.
 */
#ifndef POP3_POP3_H
#define POP3_POP3_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "net/conn.h"

struct sasl_checks;

struct pop3_message {
	uint64_t size; /* octets, with the line ends as stored */
	uint32_t uid;
	bool deleted; /* marked by DELE; the policy leaves it alone */
};

struct pop3_policy {
	void *arg; /* given to every function */

	/* The TLS handshake, for STLS; -1 ends the session. */
	int (*start_tls)(void *arg, struct conn *c, struct err *err);
	/* ERR_DENIED: wrong name or password; ERR_LIMIT: too many guesses; else a fault of ours. */
	int (*login)(void *arg, struct str name, const struct secret *password, struct err *err);
	/* Hold the mailbox alone (RFC 1939 4). ERR_EXISTS: another session holds it. */
	int (*open)(void *arg, uint32_t *uidvalidity, struct err *err);
	/* Up to `max` messages with uid >= from, in order of uid; *n is 0 only at the end. */
	int (*list)(void *arg, uint32_t from, struct pop3_message *list, size_t max, size_t *n,
		struct err *err);
	/* Some bytes of a message from `offset` on, valid until the next call; empty at its end. */
	int (*read)(void *arg, uint32_t uid, uint64_t offset, struct str *piece, struct err *err);
	/* Remove these for good; durable when it returns 0. `uids` is ascending. */
	int (*remove)(void *arg, const uint32_t *uids, size_t n, struct err *err);
	/* Let go of the mailbox and of the login. Called after a login, also when open failed. */
	void (*close)(void *arg);
	/* Raised when `gone` may have changed; NULL: never. */
	struct signal *wake;
	/* True when the login has been taken back (password changed): the session ends. */
	bool (*gone)(void *arg);
	/* Ways to log in besides a password (sasl/sasl.h); NULL: none. */
	const struct sasl_checks *checks;
};

struct pop3_config {
	struct str hostname;
	bool secure;   /* TLS is on from the first byte */
	bool starttls; /* STLS is offered */
	int64_t idle;  /* nanoseconds until autologout after a login; RFC 1939 3: at least 10 min */
	int64_t login_time;       /* from the greeting to a successful login, nanoseconds */
	uint32_t max_messages;    /* what a session shows at most; the rest comes after QUIT */
	uint32_t max_errors;      /* commands in a row that failed, then goodbye */
	uint32_t max_login_fails; /* wrong passwords on one connection, then goodbye */
};

#define POP3_CONFIG_DEFAULT                                                                        \
	((struct pop3_config){ .idle = 600 * CLOCK_SEC,                                            \
		.login_time = 60 * CLOCK_SEC,                                                      \
		.max_messages = 1000000,                                                           \
		.max_errors = 10,                                                                  \
		.max_login_fails = 3 })

/* Serve one client. 0 after QUIT or a goodbye of ours; -1 when the connection ended
 * otherwise (ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELED, ERR_PROTO). The caller closes the connection.
 */
int pop3_serve(struct conn *c, const struct pop3_config *config, const struct pop3_policy *policy,
	struct err *err);

#endif
