/* client_private.h - a session with a server, and what its files share.
 *
 * client.c opens the session (greeting, EHLO, STARTTLS, AUTH); client_send.c sends messages;
 * client_text.c the text of a
 * message; client_reply.c reads replies.
 */
#ifndef SMTP_CLIENT_PRIVATE_H
#define SMTP_CLIENT_PRIVATE_H

#include "smtp/client.h"

enum {
	REPLY_LINE_MAX = 4096, /* octets; RFC 5321 4.5.3.1.5 has 512 */
	REPLY_LINES_MAX = 200,
	REPLY_BYTES_MAX = 65536,
	MECHS_MAX = 400,
};

struct smtp_client {
	struct conn *c;
	struct smtp_times times;
	struct buf helo;
	bool lmtp, encrypted, dead;
	bool dirty;        /* a transaction may be open there: RSET first */
	unsigned messages; /* sent so far */
	/* What EHLO offered; forgotten at the handshake. */
	struct smtp_offer {
		bool extended, starttls, has_size, chunking;
		unsigned has;                /* enum smtp_offers */
		uint64_t size;               /* 0: no limit told */
		uint64_t mail_max, rcpt_max; /* RFC 9422; 0: not told */
		uint64_t by_min;             /* RFC 2852 2; 0: not told */
		char mechs[MECHS_MAX];       /* of AUTH, separated by spaces */
	} offer;
};

/* Called for each line of a reply, without code. */
typedef void smtp_line_fn(struct smtp_client *s, size_t index, struct str text);

/* Read one reply within `timeout`. 0 with *a, or -1: no reply, a->code is 0, and the session is
 * dead. After 421, too, it is dead. */
int smtp_client_reply(struct smtp_client *s, enum smtp_phase phase, int64_t timeout,
	smtp_line_fn *each, struct smtp_answer *a, struct err *err);

/* A message under way. */
struct smtp_delivery {
	struct smtp_client *s;
	struct smtp_client_mail *m;
	struct smtp_answer mail; /* the reply to MAIL */
	bool chunks;             /* RFC 3030: BDAT, not DATA */
	size_t accepted;
};

bool smtp_answer_positive(const struct smtp_answer *a);
/* The text, and the answers to it for the recipients that were accepted. */
int smtp_client_send_text(struct smtp_delivery *d, struct err *err);

/* A reply's line: the code, whether it is the last, and its text. False when it is none. */
bool smtp_reply_line(struct str line, unsigned *code, bool *last, struct str *text);

#endif
