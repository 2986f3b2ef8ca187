/* front_smtp_private.h - one SMTP session of a front, and the message it is taking in.
 *
 * front_smtp.c is the policy that smtp/server.h asks for: logins go to the vault, recipients and
 * messages to the store. front_smtp_message.c makes what the store gets out of what the client
 * sends: our Received line, the head (checked and repaired for submission), the facts.
 * front_smtp_trace.c notes what becomes of each transaction, and for whom a front speaks.
 */
#ifndef ROLE_FRONT_SMTP_PRIVATE_H
#define ROLE_FRONT_SMTP_PRIVATE_H

#include "mail/border.h"
#include "mail/facts.h"
#include "mail/queue_id.h"
#include "mail/trace.h"
#include "role/front_auth.h"
#include "role/front_body.h"
#include "smtp/server.h"

/* Walks along a head as it streams by. */
struct head_watch {
	bool done; /* the empty line has come */
	bool eight_bit;
	unsigned received; /* fields of that name */
	size_t line;       /* bytes of the current line so far */
	size_t match;      /* how many of them are the start of "Received:", or SIZE_MAX */
};

/* How many bytes of the piece still belong to the head. */
size_t head_watch_feed(struct head_watch *w, struct str piece);

enum { NOTES_BYTES = 8192, HOW_BYTES = 400 };

struct front_smtp;

/* From MAIL to the end of data. */
struct smtp_mailing {
	struct front_smtp *session;
	uint64_t call; /* the queue id */
	char id[QUEUE_ID_SIZE];
	struct buf sender, envid;
	char proto[16];
	struct buf helo;
	struct smtp_mail asked; /* its slices are not good any more */
	bool utf8_needed;       /* an address or the head goes beyond ASCII */
	bool eight_bit;         /* the message does */
	bool long_line;         /* it has a line over 998 octets */
	size_t line;            /* octets of the line that is coming in */
	unsigned rcpts;
	struct address_store rcpt_store; /* of the first recipient */
	struct address rcpt;
	struct front_body *body;
	struct facts_builder *facts;
	struct border border;
	struct head_watch watch;
	struct buf head; /* submission only: held until it has been checked */
	bool head_passed;
	/* For the trace: encoded store_note, and how many did not fit. */
	struct buf notes;
	unsigned notes_lost;
	bool committed;
	struct smtp_reply last; /* the last refusal; code 0: none yet */
	struct buf outcomes;    /* LMTP: encoded store_gone_item */
};

struct front_smtp {
	struct front *front;
	struct conn *c;
	struct visitor *visitor;
	enum service service;
	bool submission;
	struct front_auth auth;
	struct signal wake;
	char sid[32];
	struct smtp_mailing *mailing;
	size_t held;           /* memory of the transaction, as charged */
	char client_name[256]; /* as a front has verified it (XCLIENT) */
	char via[48];          /* that front */
	uint64_t accepted;     /* messages */
};

/* The login that calls are made under; NULL on mx. */
struct front_login *front_smtp_login(struct front_smtp *s);
/* May the login send as this address? 0, or -1 with the store's err. */
int front_smtp_may_send_as(struct front_smtp *s, struct str address, struct err *err);

struct smtp_mailing *smtp_mailing_new(struct front_smtp *s, const struct smtp_peer *peer,
	const struct smtp_mail *mail, struct err *err);
int smtp_mailing_rcpt(struct smtp_mailing *m, const struct smtp_rcpt *rcpt, struct str address,
	uint64_t target, struct err *err);
int smtp_mailing_begin(struct smtp_mailing *m, struct err *err); /* the trace lines */
/* -1 with the reply, here and below. */
int smtp_mailing_add(struct smtp_mailing *m, struct str piece, struct smtp_reply *no);
int smtp_mailing_commit(struct smtp_mailing *m, struct smtp_reply *no);
void smtp_mailing_free(struct smtp_mailing **m); /* what is not committed is nowhere */
/* LMTP: what the store said of the nth recipient. */
int smtp_mailing_outcome(const struct smtp_mailing *m, unsigned n, struct smtp_reply *no);

/* front_smtp_trace.c */
void smtp_note_rcpt(struct smtp_mailing *m, struct str address);
struct str smtp_note_refusal(
	struct front_smtp *s, const char *stage, struct str what, const struct smtp_reply *no);
/* By which door, as whom and through whom it came. */
void smtp_how(const struct front_smtp *s, struct buf *how);
/* The transaction ends and nothing of it is kept: tell the store, if there is not too much to tell.
 */
void smtp_note_end(struct smtp_mailing *m);
int smtp_speak_for(struct front_smtp *s, const struct smtp_xclient *x, struct smtp_reply *no);

#endif
