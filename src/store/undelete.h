/* undelete.h - what was expunged, deleted or removed, and the way back.
 *
 * Mail stays for the retention time as a ghost, or as an entry of a mailbox that was deleted.
 * Bringing it back makes new entries, with new uids, in the mailbox that has the old one's name
 * (made anew when there is none), without \Deleted; the ghost stays for the views that hold it and
 * counts as moved, so nothing comes back twice. What was moved lives elsewhere and is not here.
 * Errors: ERR_NOTFOUND no such mailbox; ERR_QUOTA no room. Removed accounts:
 * directory_account_restore().
 */
#ifndef STORE_UNDELETE_H
#define STORE_UNDELETE_H

#include "store/mailbox.h"

enum { UNDELETE_STEP = 1000 }; /* messages that one request brings back */

/* All mailboxes of an account after number `after`, the deleted ones too. */
struct undelete_mailbox {
	uint64_t id;
	struct str name;
	int64_t removed; /* 0: it is there */
};
typedef bool undelete_mailbox_fn(void *arg, const struct undelete_mailbox *m);
int undelete_mailboxes(struct view *v, uint64_t account, uint64_t after, undelete_mailbox_fn *fn,
	void *arg, struct err *err);

struct undelete_query {
	uint64_t account, mailbox;
	uint32_t from;        /* uid */
	int64_t since, until; /* when it was deleted; both meant */
};
struct undelete_row {
	uint32_t uid, flags;
	int64_t deleted, received;
	uint64_t size;
	struct str facts;
};
/* What can be brought back into one of them, in order of uid. The callback returns false when it
 * has enough. */
typedef bool undelete_fn(void *arg, const struct undelete_row *row);
int undelete_list(struct view *v, const struct undelete_query *q, undelete_fn *fn, void *arg,
	struct err *err);

struct undeleted {
	uint64_t messages, bytes;
	uint32_t next; /* the uid to go on from; 0: all done */
};
/* Those of `ranges` that can be; at most UNDELETE_STEP. */
int undelete(struct txn *t, uint64_t account, uint64_t mailbox, struct str ranges,
	struct undeleted *out, struct err *err);

#endif
