/* reply.h - what the other server's words mean for the message. Pure.
 *
 * Two questions: for whom does the reply count (this recipient, the message, or only this host),
 * and is it final? A refusal that is about us or about the host (greeting, EHLO, TLS, login) is
 * never final for the message: the next host or the next attempt may do better.
 */
#ifndef ROUTE_REPLY_H
#define ROUTE_REPLY_H

#include "base/str.h"

enum reply_phase {
	PHASE_CONNECT, /* no reply: could not connect, or the connection broke */
	PHASE_GREETING,
	PHASE_HELLO,
	PHASE_TLS,
	PHASE_LOGIN,
	PHASE_MAIL,
	PHASE_RCPT,
	PHASE_DATA, /* the reply to DATA itself */
	PHASE_BODY  /* the reply to the final dot */
};

enum reply_scope { ABOUT_RCPT, ABOUT_MESSAGE, ABOUT_HOST };
enum reply_outcome { REPLY_OK, REPLY_LATER, REPLY_NEVER };

/* Why, in classes that logs and counters use. */
enum reply_kind {
	KIND_OK,
	KIND_OTHER,
	KIND_NO_USER, /* no such mailbox */
	KIND_FULL,    /* mailbox or disk full */
	KIND_TOO_BIG,
	KIND_POLICY,  /* refused for what we are or what it says */
	KIND_BUSY,    /* too many connections or messages: slow down */
	KIND_LOGIN,   /* our password or the way to log in */
	KIND_NETWORK, /* no connection, or it broke */
	KIND_TLS
};

struct reply_verdict {
	enum reply_scope scope;
	enum reply_outcome outcome;
	enum reply_kind kind;
	char status[16]; /* enhanced status (RFC 3463) that agrees with the outcome */
};

/* `code` 0: no reply came. `status` as the server gave it, or empty. */
struct reply_verdict reply_judge(enum reply_phase phase, unsigned code, struct str status);
const char *reply_kind_name(enum reply_kind kind);

/* An enhanced status code of class 2, 4 or 5 (RFC 3463 2). */
bool reply_status_ok(struct str status);

#endif
