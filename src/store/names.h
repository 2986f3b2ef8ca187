/* names.h - numbers that are on disk. They never change. (Those of messages between roles are in
 * ipc/names.h; role/ checks that they agree where they are passed through.) */
#ifndef STORE_NAMES_H
#define STORE_NAMES_H

enum { STORE_SEEN = 1, STORE_ANSWERED = 2, STORE_FLAGGED = 4, STORE_DELETED = 8, STORE_DRAFT = 16 };
enum { STORE_FLAGS = 31 };
enum { STORE_DRAFTS = 1, STORE_SENT = 2, STORE_JUNK = 4, STORE_TRASH = 8, STORE_ARCHIVE = 16 };
enum { STORE_DOMAIN_LOCAL = 1, STORE_DOMAIN_RELAY = 2 };
enum { STORE_VERIFIER = 1, STORE_TLS_KEY, STORE_PROVIDER, STORE_DKIM, STORE_MARK };
enum { STORE_NOTIFY_SUCCESS = 2 }; /* RFC 3461 4.1; the other bits only the courier reads */
/* Of an address: what its account has to be asked before it gets mail. */
enum { STORE_ADDRESS_DISABLED = 1, STORE_ADDRESS_QUOTA = 2 };
/* State of a queued recipient, and what became of it. */
enum {
	STORE_DELIVERED = 1,
	STORE_DEFERRED,
	STORE_FAILED,
	STORE_RELEASED,
	STORE_HELD,
	STORE_DROPPED,
	STORE_HOME /* waits for its time, then goes into its mailbox here */
};

/* A priority of RFC 6710, -9 to 9, is kept with this added. */
enum { PRIORITY_ZERO = 9 };

#endif
