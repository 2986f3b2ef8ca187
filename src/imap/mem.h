/* mem.h - an IMAP account in memory: what unit tests, transcripts and the fuzzer talk to.
 *
 * It behaves as the policy in imap.h says, and small: few mailboxes, few messages. imap_mem_add()
 * fills it before the session; STATUS of a mailbox "other/ACTION" stands for another session that
 * does something to the selected mailbox: other/expunge/UID, other/seen/UID, other/deleted/UID,
 * other/deliver, other/remove (the mailbox itself), other/gone (the login is taken back),
 * other/broken (from now on every call fails).
 */
#ifndef IMAP_MEM_H
#define IMAP_MEM_H

#include "imap/imap.h"

enum { IMAP_MEM_BOXES = 24, IMAP_MEM_ENTRIES = 256 };

struct imap_mem_body {
	struct str text;
	struct str facts; /* empty: the session has to read the message */
	unsigned users;
};

struct imap_mem_entry {
	struct imap_mem_body *body;
	uint32_t uid;
	unsigned flags;
	char keywords[IMAP_FLAGS_MAX + 1];
	int64_t received;
	uint64_t modseq;
	bool expunged;
};

struct imap_mem_box {
	char name[IMAP_NAME_MAX + 1]; /* empty: a free place */
	unsigned uses;
	bool exists, subscribed;
	uint32_t uidvalidity, uidnext, recent_from;
	struct imap_mem_entry *entries;
	size_t count;
};

struct imap_mem {
	struct str name, password; /* the one login */
	size_t chunk;              /* bytes that one read gives; 0: all */
	uint32_t prefix;           /* so much of each message counts as prefix */
	bool no_facts;             /* for what is added from now on */
	uint64_t space;            /* bytes that APPEND may take; 0: no limit */

	struct imap_mem_box boxes[IMAP_MEM_BOXES];
	uint64_t modseq;
	uint32_t uidvalidity;
	struct imap_mem_box *selected;
	bool gone, broken;
	struct signal wake;
	struct buf incoming;
	unsigned rows_open; /* walks that were not ended: must be 0 after a session */
};

/* INBOX, and Sent with its use. Zero the struct first and set what is to differ. */
void imap_mem_init(struct imap_mem *m);
void imap_mem_free(struct imap_mem *m);
struct imap_mem_box *imap_mem_box(struct imap_mem *m, struct str name); /* NULL: none */
/* Keeps a copy. The uid, or 0 when there is no room. */
uint32_t imap_mem_add(struct imap_mem *m, struct str box, struct str text, unsigned flags,
	struct str keywords, int64_t received);
struct imap_policy imap_mem_policy(struct imap_mem *m);

#endif
