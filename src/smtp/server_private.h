/* server_private.h - one session, and what its files share.
 *
 * server.c runs the session and has the commands without state; server_hello.c EHLO and what is
 * offered; server_mail.c MAIL and RCPT; server_data.c DATA and the end of every message;
 * server_bdat.c BDAT; server_xclient.c XCLIENT; server_auth.c STARTTLS and AUTH; params.c the
 * parameters; reply.c the replies.
 */
#ifndef SMTP_SERVER_PRIVATE_H
#define SMTP_SERVER_PRIVATE_H

#include "smtp/dot.h"
#include "smtp/server.h"
#include "smtp/text.h"

enum {
	SMTP_COMMAND_MAX = 2046, /* octets without CR LF: 512 (RFC 5321 4.5.3.1.4) and what SIZE,
				  * BODY, SMTPUTF8, AUTH= and DSN add */
	SMTP_HELO_MAX = 255,     /* RFC 5321 4.5.3.1.2 */
	SMTP_ENVID_MAX = 100,    /* RFC 3461 5.4 */
	SMTP_ORCPT_MAX = 500,    /* RFC 3461 5.4 */
};

/* In units of BUDGET_WORK: a password hash, a handshake. */
enum { SMTP_WORK_LOGIN = 100, SMTP_WORK_TLS = 50 };
/* A message as it comes in. */
struct smtp_reception {
	bool begun;             /* the policy knows of it */
	struct dot_reader dot;  /* DATA */
	struct text_check text; /* BDAT */
	uint64_t size;
	bool refused; /* the client will hear it at the end; until then the rest is dropped */
	struct smtp_reply no;
	int64_t began; /* DATA, or this chunk, */
	uint64_t came; /* and so many bytes of it */
};

/* From MAIL to the end of data. Made anew each time, so nothing is left over. */
struct smtp_txn {
	struct address_store store;
	struct address from;
	unsigned rcpts; /* accepted */
	bool tried;     /* a recipient was named */
	bool utf8;
	bool binary; /* BODY=BINARYMIME */
	struct smtp_reception in;
};

struct smtp_session {
	struct conn *c;
	const struct smtp_server *server;
	const struct smtp_policy *policy;
	struct buf helo; /* empty: not greeted yet */
	bool extended;   /* by EHLO */
	bool secure;
	bool authenticated;
	bool done;             /* the goodbye has been said */
	bool thrown_out;       /* by us */
	bool spoken;           /* the client has sent something */
	unsigned mails;        /* begun */
	struct budget *budget; /* of the connection */
	int64_t progress;      /* when it last got somewhere */
	struct smtp_txn *txn;  /* NULL: no MAIL yet */
};

/* A command answers the client itself. -1 only when the session cannot go on. */
typedef int smtp_command_fn(struct smtp_session *s, struct str arg, struct err *err);
smtp_command_fn smtp_do_helo, smtp_do_ehlo, smtp_do_starttls, smtp_do_auth, smtp_do_mail,
	smtp_do_rcpt, smtp_do_data, smtp_do_bdat, smtp_do_xclient;

/* reply.c. All give 0, so that a command can return them. The status is left out when it is "".
 * Codes from 500 on count as errors of the client. */
int smtp_say(struct smtp_session *s, unsigned code, const char *status, struct str text);
/* The same, and a line in the log. `what` is the address or word that was refused. */
int smtp_refuse(
	struct smtp_session *s, const char *stage, struct str what, const struct smtp_reply *no);
/* Say it and end the session: the client is lost, hostile or too slow. */
int smtp_goodbye(struct smtp_session *s, unsigned code, const char *status, const char *text);

void smtp_txn_end(struct smtp_session *s);
/* A message was accepted, a login was right: what the session has used is forgotten. */
void smtp_progress(struct smtp_session *s);
/* By then a client that has got nowhere must have got somewhere. */
int64_t smtp_fruitless_end(const struct smtp_session *s);
/* True when the budget is used up; the goodbye has then been said. */
bool smtp_budget_over(struct smtp_session *s);

/* server_auth.c */
bool smtp_auth_offered(const struct smtp_session *s);
void smtp_write_auth(struct smtp_session *s); /* the line of AUTH after EHLO, if it is offered */
/* Wait for input, or for the end of the login: then the goodbye has been said, and s->done is set.
 * -1 as conn_wait(). */
int smtp_await_command(struct smtp_session *s, int64_t deadline, struct err *err);

/* What is offered to this session as it stands. EHLO says it, and parameters go by it. */
enum {
	SMTP_HAS_STARTTLS = 1 << 0,
	SMTP_HAS_AUTH = 1 << 1,
	SMTP_HAS_DSN = 1 << 2,
	SMTP_HAS_CHUNKING = 1 << 3,
	SMTP_HAS_BY = 1 << 4,
	SMTP_HAS_HOLD = 1 << 5,
	SMTP_HAS_PRIORITY = 1 << 6,
	SMTP_HAS_REQUIRETLS = 1 << 7,
	SMTP_HAS_RRVS = 1 << 8,
	SMTP_HAS_LIMITS = 1 << 9,
};
unsigned smtp_offers(const struct smtp_session *s);
void smtp_greet(struct smtp_session *s);
const char *smtp_hello_first(const struct smtp_session *s); /* what to say to who forgot it */
bool smtp_helo_valid(struct str name);

/* server_data.c, for DATA and BDAT. */
/* May the body come now? 0, or the code and text of what the client gets instead. */
unsigned smtp_body_too_soon(const struct smtp_session *s, const char **text);
/* Nothing more of this message is kept. */
void smtp_reception_refuse(
	struct smtp_reception *r, unsigned code, const char *status, const char *text);
int smtp_reception_begin(struct smtp_session *s); /* -1: refused */
void smtp_reception_take(struct smtp_session *s, struct str piece);
int smtp_reception_more(struct smtp_session *s, struct err *err); /* wait for bytes */
void smtp_reception_end(struct smtp_session *s); /* commit or refuse; ends the transaction */
/* More than this is not even read to be dropped. */
uint64_t smtp_reception_most(const struct smtp_session *s);

/* params.c: what stands behind the path of MAIL or RCPT. 0, or -1 with the reply. */
int smtp_mail_params(const struct smtp_session *s, struct str params, struct smtp_mail *mail,
	struct smtp_reply *no);
int smtp_rcpt_params(const struct smtp_session *s, struct str params, struct smtp_rcpt *rcpt,
	struct smtp_reply *no);

#endif
