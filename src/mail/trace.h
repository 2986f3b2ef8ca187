/* trace.h - what a server writes into the head of a message, and what it may take out.
 *
 * Received lines for everyone; for submission (RFC 6409) the repair of heads: missing Date,
 * Message-ID and From, no Bcc; and the list of addresses that a head claims to be from. What comes
 * from the peer is reduced to harmless characters. Pure functions; linear time.
 */
#ifndef MAIL_TRACE_H
#define MAIL_TRACE_H

#include "base/arena.h"
#include "mail/address.h"
#include "mail/date.h"
#include "mail/header.h"

enum {
	HOPS_MAX = 100,        /* RFC 5321 6.3: more Received fields are a loop */
	HEAD_SENDERS_MAX = 16, /* addresses in From, Sender and their Resent- forms */
};

struct trace_hop {
	struct str helo;   /* as the client said it */
	struct str client; /* its address as text ("192.0.2.1", "2001:db8::1"), or empty to leave it
			      out */
	struct str client_name;             /* its verified name, or empty */
	struct str by;                      /* our name */
	struct str protocol;                /* trace_protocol() */
	struct str tls_version, tls_cipher; /* empty without TLS */
	struct str id;                      /* the queue id */
	const struct address *recipient;    /* when there is just one, else NULL (RFC 5321 7.2) */
	struct date date;
};

/* The word after "with" (RFC 3848, RFC 6531 4.3): "ESMTPSA" and so on. `extended`: EHLO. */
struct str trace_protocol(bool lmtp, bool extended, bool utf8, bool tls, bool auth);

/* Append one folded Received field (RFC 5321 4.4). */
void trace_received(struct buf *b, const struct trace_hop *hop);

struct head_fix {
	struct date now;
	struct str id, host; /* make "<id@host>", for a message without Message-ID */
	struct str
		from; /* the value of From for a message without, or empty: then that is an error */
};

/* Append a submitted head as it goes on, with its empty line: Bcc, Resent-Bcc and Return-Path
 * removed, what is missing added (RFC 6409 8). A line that is no field ends the head: an empty line
 * comes before it, so that nobody can read it otherwise; a mbox "From " line at the start is
 * dropped. ERR_LIMIT: too many fields or bytes. ERR_PERM: no From and none given. */
int head_fix_submission(
	struct str head, const struct head_fix *fix, struct buf *out, struct err *err);

/* Append the head without the fields that `drop` names. */
void head_filter(struct str head, bool (*drop)(void *arg, const struct header_field *f), void *arg,
	struct buf *out);

struct head_senders {
	struct address address[HEAD_SENDERS_MAX]; /* their bytes lie in the arena */
	size_t n;
};

/* Whom a head says it is from: all addresses of From, Sender, Resent-From and Resent-Sender.
 * ERR_PERM: not exactly one From field, two Sender fields, an address that cannot be read, several
 * authors without a Sender (RFC 5322 3.6.2), or too many. ERR_TEMP: the arena is full. */
int head_senders(struct str head, struct arena *arena, struct head_senders *s, struct err *err);

#endif
