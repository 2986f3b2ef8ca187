/* delivery.h - new mail: into mailboxes here, into the queue for elsewhere, in one commit.
 *
 * The body is the job's own bytes (up to 256 KiB: they go into the log) or a blob that is safe
 * already. Facts are the front's words about the body; the store keeps them unread. Every local
 * recipient gets Return-Path and Delivered-To in front of the given prefix, in the email's own
 * prefix; the body is never changed. A message that is to be held waits in the queue, for a
 * mailbox here as well.
 * Errors: ERR_NOTFOUND no recipient is left; ERR_DENIED sender or recipient is not allowed;
 * ERR_LIMIT too many recipients.
 */
#ifndef STORE_DELIVERY_H
#define STORE_DELIVERY_H

#include "store/txn.h"

enum { DELIVERY_INLINE = 256 << 10, DELIVERY_RCPTS = 60000 };

struct delivery_body {
	struct str blob; /* name of a blob; empty: the job's body */
	uint64_t size;
	uint64_t stored;   /* not 0: squeezed (squeeze.h), and so many bytes lie there */
	uint32_t checksum; /* of a blob, and of what is squeezed: of the bytes as they were */
	struct str facts, refs;
};

struct delivery_rcpt {
	uint64_t target; /* directory number; 0: elsewhere */
	struct str address, orcpt;
	uint8_t notify;
	int64_t rrvs;      /* RFC 7293: seconds since 1970, 0: none */
	uint8_t rrvs_mode; /* 1: reject where it cannot be checked */
};

/* What few messages ask for. All zero: nothing. */
struct delivery_options {
	uint8_t body_type;              /* 0 7BIT, 1 8BITMIME, 2 BINARYMIME */
	int64_t hold_until, deliver_by; /* ns since 1970; 0: none */
	uint8_t by_mode;                /* RFC 2852: 1 return, 2 notify; 4: trace */
	int8_t priority;                /* RFC 6710: -9 to 9 */
	bool require_tls;               /* RFC 8689 */
};

/* A recipient whom the client named and did not get, for the trace. */
struct delivery_note {
	struct str address, text;
};

struct delivery {
	uint64_t id;       /* of the message: its queue id */
	uint64_t account;  /* who submits; 0: nobody here (mx), or the operator */
	bool anywhere;     /* recipients elsewhere are allowed */
	bool any_sender;   /* the sender is not checked */
	struct str sender; /* empty: the null path */
	uint32_t flags;
	struct str envid;
	uint8_t ret;
	struct delivery_options options;
	struct str prefix;
	struct str how; /* for the trace: "mx.example.net[192.0.2.1] ESMTPS" */
	struct delivery_body body;
	const struct delivery_rcpt *rcpts;
	size_t rcpt_count;
	const struct delivery_note *notes;
	size_t note_count;
	/* NULL: who was accepted at RCPT and cannot be delivered to is owed a report. Otherwise it
	 * is told here which of the recipients that was, and nothing is owed. */
	void (*refuse)(void *arg, size_t rcpt, const struct err *why);
	void *refuse_arg;
};

int delivery_accept(struct txn *t, const struct delivery *d, uint32_t *local, uint32_t *queued,
	struct err *err);

/* A queued recipient of state STORE_HOME, whose time has come: into the mailbox. Where that is
 * gone, or full for too long, the recipient becomes one that has failed. */
int delivery_release(struct txn *t, uint64_t rcpt, struct err *err);

struct delivery_append {
	uint64_t account;
	struct str mailbox;
	uint32_t flags;
	struct str keywords;
	int64_t received;
	struct delivery_body body;
};
int delivery_append(struct txn *t, const struct delivery_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err);

#endif
