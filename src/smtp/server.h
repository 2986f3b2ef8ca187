/* server.h - the receiving side of SMTP (RFC 5321), message submission (RFC 6409) and LMTP (RFC
 * 2033).
 *
 * smtp_serve() is one session, from the greeting to the goodbye, as one function on one connection.
 * It knows the protocol and nothing else: who may log in, which senders and recipients are good,
 * and where a message goes is asked of the policy, a struct of functions that the caller fills in.
 * They may wait.
 *
 * A transaction is begun by mail() and ended by reset(), always, whatever happened in between; what
 * commit() has answered with 0 is the policy's to keep. Nothing of one transaction reaches the
 * next.
 */
#ifndef SMTP_SERVER_H
#define SMTP_SERVER_H

#include "base/secret.h"
#include "mail/address.h"
#include "net/conn.h"

struct sasl_checks;

enum { SMTP_REPLY_TEXT = 200, SMTP_STATUS_SIZE = 12 };

/* What to answer: a code of RFC 5321 4.2, a status of RFC 3463 and words for people (ASCII; control
 * characters are replaced). 421 also ends the session. */
struct smtp_reply {
	unsigned code;
	char status[SMTP_STATUS_SIZE];
	char text[SMTP_REPLY_TEXT];
};

/* Where in the transaction something failed: it decides the reply to a struct err. */
enum smtp_stage { SMTP_AT_MAIL, SMTP_AT_RCPT, SMTP_AT_DATA };

/* The one place that turns kinds of errors into replies. The err's own text goes to the client only
 * for kinds that speak of the client's doing (ERR_PERM, ERR_DENIED, ERR_NOTFOUND, ERR_LIMIT). */
void smtp_reply_err(struct smtp_reply *r, enum smtp_stage stage, const struct err *err);
void smtp_reply_set(struct smtp_reply *r, unsigned code, const char *status, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The client, as far as it is known when a transaction begins. */
struct smtp_peer {
	struct str helo;    /* what it calls itself: printable ASCII without specials */
	const char *proto;  /* for Received (RFC 3848, RFC 6531): "ESMTPS", "ESMTPSA" ... */
	bool authenticated; /* login() has answered 0 */
	bool secure;
};

enum smtp_body { SMTP_7BIT, SMTP_8BITMIME, SMTP_BINARYMIME }; /* RFC 6152, RFC 3030 */
enum { SMTP_BY_RETURN = 1, SMTP_BY_NOTIFY = 2, SMTP_BY_TRACE = 4 };

struct smtp_mail {
	struct address from; /* null for reports */
	uint64_t size;       /* as declared, 0: not said */
	enum smtp_body body;
	bool utf8;          /* SMTPUTF8 */
	uint8_t ret;        /* RFC 3461 4.3: 0 not said, 1 FULL, 2 HDRS */
	struct str envid;   /* RFC 3461 4.4, as xtext */
	int64_t hold_until; /* RFC 4865: ns since 1970; 0: not said */
	int64_t deliver_by; /* RFC 2852: the same, */
	uint8_t by_mode;    /* and SMTP_BY_RETURN or _NOTIFY, maybe _TRACE */
	int priority;       /* RFC 6710: -9 to 9 */
	bool priority_said;
	bool require_tls; /* RFC 8689 */
};

struct smtp_rcpt {
	struct address to; /* domain empty: postmaster of this server */
	uint8_t notify;    /* RFC 3461 4.1: 0 not said, or 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY */
	struct str orcpt;  /* RFC 3461 4.2: "type;xtext" */
	int64_t rrvs;      /* RFC 7293: seconds since 1970; 0: not said */
	bool rrvs_reject;  /* rather than pass it on to a server that cannot check */
};

/* What a front of ours says of the client it speaks for (XCLIENT). Empty and 0: not said, or not
 * known there. */
struct smtp_xclient {
	struct str name; /* verified by the front */
	struct str address;
	uint16_t port;
	struct str helo;
	bool login; /* it has named a login: nobody believes it */
};

/* All but login() give 0, or -1 with the reply to send. Slices are good for the call only. */
struct smtp_policy {
	void *arg;
	struct str session; /* id of this session, in all its log lines */
	int (*start_tls)(void *arg, struct conn *c, struct err *err);
	/* ERR_DENIED: wrong; ERR_LIMIT: too many tries; anything else: cannot tell now. */
	int (*login)(void *arg, struct str name, const struct secret *password, struct err *err);
	int (*mail)(void *arg, const struct smtp_peer *peer, const struct smtp_mail *mail,
		struct smtp_reply *no);
	int (*rcpt)(void *arg, const struct smtp_rcpt *rcpt, struct smtp_reply *no);
	int (*data)(void *arg, struct smtp_reply *no); /* before the 354, or the first BDAT */
	int (*body)(
		void *arg, struct str piece, struct smtp_reply *no); /* after -1 not called again */
	/* The message is ours: durable when 0. `id` is what the client is told. */
	int (*commit)(void *arg, struct str *id, struct smtp_reply *no);
	void (*reset)(void *arg); /* forget the transaction; what is committed stays */

	/* Ways to log in besides a password (sasl/sasl.h); NULL: none. */
	const struct sasl_checks *checks;
	/* Raised when the login has ended by itself, which ended() then says; NULL: never. The
	 * session says 421 as soon as it waits for a command. */
	struct signal *wake;
	bool (*ended)(void *arg);
	/* LMTP, after a commit(): is the message in the hands of the nth accepted recipient? NULL:
	 * it always is. */
	int (*outcome)(void *arg, unsigned n, struct smtp_reply *no);
	/* Every refusal, for the trace. `what` is the path as the client wrote it, or empty. Gives
	 * the id of the transaction, for the log, or an empty slice. May be NULL. */
	struct str (*refused)(
		void *arg, const char *stage, struct str what, const struct smtp_reply *no);
	/* NULL: this client may not. After 0 the session begins anew. */
	int (*xclient)(void *arg, const struct smtp_xclient *x, struct smtp_reply *no);
};

/* What one connection may cost (base/budget.h): errors, idling, commands, input and work
 * count since the last accepted message. A client that has logged in gets SMTP_TRUSTED times as
 * much. */
enum { SMTP_TRUSTED = 4 };

struct smtp_limits {
	uint64_t message; /* bytes of a message */
	unsigned rcpts;   /* RFC 5321 4.5.3.1.8: at least 100 */
	unsigned mails;   /* transactions of one session; RFC 9422 4.1: six digits at most */
	size_t text_line; /* bytes of a line of text; RFC 5321 4.5.3.1.6 asks for 998 */
	unsigned errors;  /* bad commands and refusals since the last accepted message */
	unsigned idling;  /* commands that lead nowhere since the last accepted message */
	unsigned logins;  /* wrong passwords */
	unsigned commands;
	uint64_t memory; /* bytes held at once: buffers, TLS, the envelope */
	uint64_t work;
	int64_t idle;     /* ns for one command to come; RFC 5321 4.5.3.2.7: five minutes */
	int64_t patience; /* ns until a client that has delivered nothing must have done so */
};
#define SMTP_LIMITS                                                                                \
	((struct smtp_limits){ .message = 50 << 20,                                                \
		.rcpts = 1000,                                                                     \
		.mails = 999999,                                                                   \
		.text_line = 65536,                                                                \
		.errors = 20,                                                                      \
		.idling = 300,                                                                     \
		.logins = 10,                                                                      \
		.commands = 10000,                                                                 \
		.memory = 4 << 20,                                                                 \
		.work = 20000,                                                                     \
		.idle = 300 * INT64_C(1000000000),                                                 \
		.patience = 3600 * INT64_C(1000000000) })

/* Somebody who watches over all sessions together (floods, memory, who is a stranger). */
struct smtp_guard {
	void *arg;
	/* Asked before each command is waited for. `errors`: since the last accepted message. It
	 * may shorten *silence, the time a client has for its next command, and say how long the
	 * replies that wait are held back: nanoseconds, both. -1 with a reply (421) ends the
	 * session. */
	int (*pace)(
		void *arg, uint64_t errors, int64_t *silence, int64_t *hold, struct smtp_reply *no);
};

/* What a listener offers; shared by its sessions. */
struct smtp_server {
	struct str name;    /* in the greeting and after EHLO */
	const char *proto;  /* in log lines: "smtp", "submission", "submissions" */
	bool lmtp;          /* RFC 2033: LHLO, and one reply for each recipient */
	bool starttls;      /* a certificate is there */
	bool secure;        /* the connection counts as encrypted from its first byte */
	bool auth;          /* offer AUTH within TLS */
	bool auth_required; /* RFC 6409 4.3: no MAIL before it */
	/* Extensions that the policy honours. */
	bool dsn;          /* RFC 3461 */
	bool chunking;     /* RFC 3030, with BINARYMIME */
	int64_t by_min;    /* RFC 2852: least seconds for BY=...;R; 0: not offered */
	int64_t hold_max;  /* RFC 4865, where one may log in: most seconds; 0: not offered */
	bool priority;     /* RFC 6710, where one may log in */
	bool require_tls;  /* RFC 8689, within TLS */
	bool rrvs;         /* RFC 7293 */
	bool tells_limits; /* RFC 9422 */
	struct smtp_limits limits;
	const struct smtp_guard *guard; /* NULL: nobody */
};

/* 0 after QUIT and when we ended the session ourselves; -1 with why it could not go on. The caller
 * frees the connection; what had to be said has been said. */
int smtp_serve(struct conn *c, const struct smtp_server *server, const struct smtp_policy *policy,
	struct err *err);

#endif
