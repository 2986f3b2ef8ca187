/* imap.h - the IMAP server session (RFC 3501, with the extensions in the capability table).
 *
 * imap_serve() talks to one client from the greeting to the end. Mailboxes and messages are behind
 * a policy: a struct of functions that the session calls and that may wait. Which account they work
 * on is the policy's matter once `login` has succeeded; the session never names it again.
 *
 * Passwords are taken only under TLS. Message bytes pass through in pieces and are never held. An
 * idle session holds this struct, its view of the mailbox (view.h) and nothing else. The session
 * owns neither the connection nor the policy.
 */
#ifndef IMAP_IMAP_H
#define IMAP_IMAP_H

#include "base/clock.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "imap/parse.h"
#include "imap/view.h"
#include "net/conn.h"

struct sasl_checks;

/* Special uses of a mailbox (RFC 6154 2). */
enum imap_use {
	IMAP_USE_DRAFTS = 1,
	IMAP_USE_SENT = 2,
	IMAP_USE_JUNK = 4,
	IMAP_USE_TRASH = 8,
	IMAP_USE_ARCHIVE = 16
};

/* A mailbox in a list. Names are UTF-8 with '/' between levels, everywhere in the policy. */
struct imap_mailbox {
	struct str name;
	unsigned uses; /* imap_use bits */
	bool subscribed;
	bool exists; /* false: a name that is only subscribed to */
};
/* Called for every mailbox, in any order; the name is good during the call. -1 with err ends the
 * list. */
typedef int imap_mailbox_fn(void *arg, const struct imap_mailbox *m, struct err *err);

struct imap_status {
	uint32_t uidvalidity, uidnext, messages, unseen, recent;
	uint64_t size; /* octets of all messages */
};

/* A mailbox as it is when it is selected. */
struct imap_box {
	uint32_t uidvalidity, uidnext;
	uint32_t first_unseen; /* uid; 0: all are seen */
	uint32_t recent_from;  /* uids from here on are recent in this session */
	uint64_t modseq;       /* of the last change so far */
	struct str keywords;   /* in use here, separated by spaces; good until the next call */
};

struct imap_entry {
	uint32_t uid;
	unsigned flags;       /* enum imap_flag bits */
	struct str keywords;  /* separated by spaces */
	int64_t received;     /* INTERNALDATE: seconds since 1970 */
	uint64_t size;        /* octets of the whole message */
	uint32_t prefix_size; /* how many of them stand before the message as it was received */
	uint64_t modseq;
	struct str facts; /* mail/facts.h; empty when not asked for */
};

/* Which entries to give. The ranges stay where they are until the walk ends. */
struct imap_query {
	const struct imap_range *ranges; /* uids, ascending */
	size_t n;
	uint64_t since; /* only those changed after this; 0: all */
	bool facts;
	bool ghosts; /* also those that others have expunged, as long as that can be */
};

/* A walk over entries in ascending order of uid. The policy makes it, the session ends it. An
 * entry's slices are good until the next call of imap_rows_next on it; the other functions may be
 * called in between. */
struct imap_rows;

enum imap_store_op { IMAP_STORE_SET, IMAP_STORE_ADD, IMAP_STORE_REMOVE };

struct imap_copied {
	uint32_t uidvalidity;        /* of the target */
	struct imap_ranges from, to; /* the n-th uid of `from` became the n-th of `to` */
};

struct imap_append {
	struct str mailbox;
	struct imap_flags flags;
	int64_t received;
	uint64_t size;
};

/* What `news` reports. */
enum { IMAP_NEWS_CHANGES = 1, IMAP_NEWS_GONE = 2 };

/* Errors in all of it: ERR_NOTFOUND no such mailbox (or message), ERR_EXISTS, ERR_DENIED,
 * ERR_LIMIT, ERR_QUOTA, ERR_FULL (the disk), ERR_PERM (never possible), ERR_DAMAGED (a message),
 * others: a fault of ours, try again. */
struct imap_policy {
	void *arg; /* given to every function */

	/* Raised when `news` may have something to say; NULL: never. IMAP_NEWS_CHANGES: the
	 * selected mailbox has changed after modseq `seen`, or may have; IMAP_NEWS_GONE: the login
	 * has been taken back. */
	struct signal *wake;
	unsigned (*news)(void *arg, uint64_t seen);

	/* The TLS handshake, for STARTTLS; -1 ends the session. */
	int (*start_tls)(void *arg, struct conn *c, struct err *err);
	/* ERR_DENIED: wrong name or password; ERR_LIMIT: too many guesses. */
	int (*login)(void *arg, struct str name, const struct secret *password, struct err *err);
	/* Ways to log in besides a password (sasl/sasl.h); NULL: none. */
	const struct sasl_checks *checks;

	int (*mailboxes)(void *arg, imap_mailbox_fn *each, void *each_arg, struct err *err);
	int (*create)(void *arg, struct str name, unsigned uses, struct err *err);
	int (*remove)(void *arg, struct str name, struct err *err);
	/* With all mailboxes below it; of INBOX only the messages go to the new name (RFC
	 * 3501 6.3.5). */
	int (*rename)(void *arg, struct str from, struct str to, struct err *err);
	int (*subscribe)(void *arg, struct str name, bool on, struct err *err);
	int (*status)(void *arg, struct str name, struct imap_status *st, struct err *err);

	/* The selected mailbox; at most one. Selecting asks for its changes to be reported by
	 * `news`; ERR_NOTFOUND of the functions below means that the mailbox itself is gone. */
	int (*select)(
		void *arg, struct str name, bool read_only, struct imap_box *box, struct err *err);
	void (*unselect)(void *arg);
	/* Append to `out` all uids from `from` on. */
	int (*uids)(void *arg, uint32_t from, struct imap_ranges *out, struct err *err);
	/* Append what was expunged after modseq `since`; *modseq: up to which change this is. */
	int (*vanished)(void *arg, uint64_t since, struct imap_ranges *out, uint64_t *modseq,
		struct err *err);
	int (*rows)(
		void *arg, const struct imap_query *q, struct imap_rows **rows, struct err *err);
	/* Change flags, as the walk goes on; the rows are what the entries have now (uid, flags,
	 * keywords and modseq only). */
	int (*store)(void *arg, const struct imap_ranges *uids, enum imap_store_op op,
		const struct imap_flags *flags, struct imap_rows **rows, struct err *err);
	int (*next)(struct imap_rows *rows, struct imap_entry *e,
		struct err *err);             /* 1, 0 at the end, -1 */
	void (*end)(struct imap_rows **rows); /* NULL is fine */
	/* Some bytes of a message, at most `length`; empty at its end. Good until the next call of
	 * this. */
	int (*body)(void *arg, uint32_t uid, uint64_t offset, uint64_t length, struct str *piece,
		struct err *err);
	/* Expunge those that have \Deleted, or, with `all`, all of them. */
	int (*expunge)(void *arg, const struct imap_ranges *uids, bool all, struct err *err);
	/* All or nothing. `move`: and expunge here, in the same step. */
	int (*copy)(void *arg, const struct imap_ranges *uids, struct str target, bool move,
		struct imap_copied *copied, struct err *err);

	/* A message comes in: begin, any number of pieces, commit (durable when it returns 0), or
	 * abort at any point. */
	int (*append_begin)(void *arg, const struct imap_append *a, struct err *err);
	int (*append_piece)(void *arg, struct str data, struct err *err);
	int (*append_commit)(void *arg, const struct imap_append *a, uint32_t *uidvalidity,
		uint32_t *uid, struct err *err);
	void (*append_abort)(void *arg);
};

struct imap_config {
	struct str hostname;
	bool secure;              /* TLS is on from the first byte */
	bool starttls;            /* STARTTLS is offered */
	int64_t idle;             /* nanoseconds until autologout; RFC 3501 5.4: at least 30 min */
	int64_t login_time;       /* from the greeting to a successful login, nanoseconds */
	uint64_t append_max;      /* octets of one message */
	uint32_t max_errors;      /* BAD answers in a row, then goodbye */
	uint32_t max_login_fails; /* wrong passwords on one connection, then goodbye */
};

#define IMAP_CONFIG_DEFAULT                                                                        \
	((struct imap_config){ .idle = 1800 * CLOCK_SEC,                                           \
		.login_time = 60 * CLOCK_SEC,                                                      \
		.append_max = 50 << 20,                                                            \
		.max_errors = 20,                                                                  \
		.max_login_fails = 3 })

/* Serve one client. 0 after LOGOUT or a goodbye of ours; -1 when the connection ended otherwise
 * (ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELED, ERR_PROTO). The caller closes the connection. */
int imap_serve(struct conn *c, const struct imap_config *config, const struct imap_policy *policy,
	struct err *err);

#endif
