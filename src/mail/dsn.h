/* dsn.h - compose a delivery status notification (RFC 3464): a whole message for the sender.
 *
 * Three parts: plain English for people, the status for programs, and the head (or all) of the
 * message that it is about. Everything a remote server said is reduced to at most 512 printable
 * characters. The result has CRLF line endings only, lines of at most 998 bytes, and is 7-bit,
 * unless `to` is not ASCII (RFC 6531) or a whole 8-bit message is returned. Owns nothing; linear
 * time.
 */
#ifndef MAIL_DSN_H
#define MAIL_DSN_H

#include "mail/address.h"
#include "mail/date.h"

enum { DSN_WORDS_MAX = 512 };

/* RFC 3464 2.3.3, from what matters least to what matters most to the sender. */
enum dsn_action { DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED, DSN_DELAYED, DSN_FAILED };

struct dsn_recipient {
	struct address address; /* as we knew it last */
	struct str original;    /* ORCPT decoded ("rfc822;joe@x.y"), or empty */
	enum dsn_action action;
	struct str status;     /* "5.1.1"; anything else becomes the class's general code */
	struct str remote_mta; /* the host that answered, or empty */
	struct str
		diagnostic; /* what it said; or, without remote_mta, why we gave up; may be empty */
	int64_t last_attempt; /* 0: none */
	int64_t retry_until;  /* 0: no more attempts */
};

struct dsn {
	struct str host;   /* our name: Reporting-MTA, and the sender of the notification */
	struct address to; /* the envelope sender of the message */
	struct str id;     /* unique: makes Message-ID and boundary. Letters and digits */
	struct date now;
	int64_t arrival;    /* when the message came, 0: unknown */
	int64_t deliver_by; /* RFC 2852: when it should have been delivered, 0: no such time */
	int64_t held_until; /* RFC 4865: not sent before, as its sender wished, 0: no such time */
	struct str envelope_id; /* ENVID decoded, or empty */
	const struct dsn_recipient *recipients;
	size_t n;
	struct str original; /* the message, or its head */
	bool whole;          /* return all of `original`; else only its head */
};

/* ERR_LIMIT: `out` is full. ERR_PERM: no recipients, or `to` is the null path (RFC 3464 2: never
 * answer a notification). */
int dsn_compose(const struct dsn *d, struct buf *out, struct err *err);

/* The worst of the actions. */
enum dsn_action dsn_worst(const struct dsn *d);

#endif
