/* client.h - the sending side of SMTP and LMTP: one session with one server, for any number of
 * messages.
 *
 * smtp_client_open() goes from the greeting to the point where MAIL may be sent; smtp_client_send()
 * is one message to some recipients, each with its own answer; smtp_client_close() says goodbye.
 * What an answer means (try again, give up, ask another host) is for the caller to judge
 * (route/reply.h).
 *
 * The server is not trusted: its replies are bounded in lines, bytes and time, and what is kept of
 * their text is printable. What we write is re-serialised: lines end in CR LF, dots are stuffed,
 * addresses hold no line break.
 */
#ifndef SMTP_CLIENT_H
#define SMTP_CLIENT_H

#include "base/secret.h"
#include "net/conn.h"

enum { SMTP_ANSWER_TEXT = 512 };

enum smtp_phase { /* in the order of route/reply.h */
	SMTP_CONNECT,
	SMTP_GREETING,
	SMTP_HELLO,
	SMTP_TLS,
	SMTP_LOGIN,
	SMTP_MAIL,
	SMTP_RCPT,
	SMTP_DATA, /* the reply to DATA itself */
	SMTP_BODY, /* the reply to the final dot */
};

/* What the server said. */
struct smtp_answer {
	enum smtp_phase phase;
	unsigned code;   /* 0: nothing came (then the connection is gone, and why is in err) */
	bool ours;       /* not the server's: we saw beforehand that it cannot take the message */
	char status[12]; /* RFC 3463, "" when the server gave none */
	char text[SMTP_ANSWER_TEXT +
		1]; /* all lines on one, without code and status; printable ASCII */
};

enum smtp_encryption {
	SMTP_CLEAR,    /* never */
	SMTP_MAY,      /* when offered */
	SMTP_STARTTLS, /* or no session */
	SMTP_WRAPPED,  /* from the first byte */
};

/* RFC 5321 4.5.3.2, in nanoseconds */
struct smtp_times {
	int64_t greeting, command, data, block, end;
};
#define SMTP_MINUTES(n) ((n)*INT64_C(60000000000))
#define SMTP_TIMES                                                                                 \
	((struct smtp_times){ SMTP_MINUTES(5), SMTP_MINUTES(5), SMTP_MINUTES(2), SMTP_MINUTES(3),  \
		SMTP_MINUTES(10) })

struct smtp_client_options {
	struct str helo;
	bool lmtp; /* RFC 2033: LHLO, and a reply for each recipient after the text */
	enum smtp_encryption encryption;
	/* The handshake, with whatever it takes to trust the server. Not used for SMTP_CLEAR. */
	int (*start_tls)(void *arg, struct conn *c, struct err *err);
	void *arg;
	struct str user;               /* with password: log in, or no session */
	const struct secret *password; /* NULL: no login */
	bool clear_login;              /* also without TLS: never over a network */
	struct smtp_times times;
};

struct smtp_client;

/* Take over c (in any case). On -1: *answer is the reply that stopped us, or its phase with code 0,
 * and *err the reason. A failed handshake leaves no session: for SMTP_MAY the caller may connect
 * again with SMTP_CLEAR. The options are used during the call only, but for helo, times. */
int smtp_client_open(struct smtp_client **s, struct conn *c, const struct smtp_client_options *o,
	struct smtp_answer *answer, struct err *err);

/* What a server may offer, of what a message may need. */
enum smtp_offers {
	SMTP_PIPELINING = 1 << 0,
	SMTP_8BITMIME = 1 << 1,
	SMTP_BINARYMIME = 1 << 2, /* and CHUNKING, without which it is nothing (RFC 3030 3) */
	SMTP_SMTPUTF8 = 1 << 3,   /* and 8BITMIME (RFC 6531 3.1) */
	SMTP_DSN = 1 << 4,
	SMTP_DELIVERBY = 1 << 5,
	SMTP_PRIORITY = 1 << 6,
	SMTP_REQUIRETLS = 1 << 7,
	SMTP_RRVS = 1 << 8,
};

struct smtp_client_rcpt {
	struct str address; /* "local@domain", the local part quoted where it must be */
	uint8_t notify; /* RFC 3461 4.1: 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY; sent if the server
			   has DSN */
	struct str orcpt;
	int64_t rrvs;     /* RFC 7293: seconds since 1970, 0: none; sent if the server has RRVS */
	bool rrvs_reject; /* where it cannot be checked */
	/* Out: the reply that decided. 2xx: delivered, the server has the message. */
	struct smtp_answer answer;
};

enum smtp_body { SMTP_BODY_7BIT, SMTP_BODY_8BIT, SMTP_BODY_BINARY };

/* What the server does not offer is not sent to it: body, utf8, require_tls, returned by a time and
 * a recipient's rrvs_reject are refused then, the rest is left out. */
struct smtp_client_mail {
	struct str from; /* "" for the null path */
	uint64_t size;
	enum smtp_body body; /* what the bytes are; SMTP_BODY_BINARY goes in chunks (RFC 3030) */
	bool utf8, require_tls;
	uint8_t ret; /* RFC 3461 4.3: 1 FULL, 2 HDRS */
	struct str envid;
	uint8_t by_mode;    /* RFC 2852: 1 return, 2 notify; 4: trace. 0: no time */
	int64_t by_seconds; /* that are left; below 1 only to notify */
	int8_t priority;    /* RFC 6710: -9 to 9 */
	struct smtp_client_rcpt *rcpts;
	size_t rcpt_count; /* more than smtp_client_rcpt_max() is more than the server takes */
	/* The next piece of the message as it is stored; empty at its end. -1 breaks the connection
	 * off. */
	int (*read)(void *arg, struct str *piece, struct err *err);
	void *arg;
};

/* 0: every recipient has its answer, and the session is good for more (see smtp_client_usable). -1:
 * the connection is gone; recipients without an answer have code 0 and the phase in which it broke.
 * In phase SMTP_BODY nobody knows whether the server has the message. */
int smtp_client_send(struct smtp_client *s, struct smtp_client_mail *m, struct err *err);

/* May another message be sent? Not after 421, a broken connection, or the server's own limit (RFC
 * 9422). */
bool smtp_client_usable(const struct smtp_client *s);

/* The most recipients of one message here (RFC 9422 4.2). */
size_t smtp_client_rcpt_max(const struct smtp_client *s);

struct conn *smtp_client_conn(struct smtp_client *s);
bool smtp_client_offers(const struct smtp_client *s, enum smtp_offers what);
bool smtp_client_is_encrypted(const struct smtp_client *s);

/* QUIT, wait a moment for its reply, and close. NULL is fine. */
void smtp_client_close(struct smtp_client **s);

#endif
