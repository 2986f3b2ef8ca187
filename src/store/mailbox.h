/* mailbox.h - the mailboxes of an account: make, name, list, count, open.
 *
 * Names are UTF-8 with '/' between levels, at most 1,000 bytes; INBOX has no case and is always
 * there. A mailbox that is deleted keeps its mail until the retention time is over, but nobody sees
 * it. Errors: ERR_NOTFOUND no such mailbox (or account); ERR_EXISTS the name is taken; ERR_DENIED
 * not with INBOX; ERR_PERM not a name; ERR_LIMIT too many mailboxes.
 */
#ifndef STORE_MAILBOX_H
#define STORE_MAILBOX_H

#include "store/txn.h"

enum { MAILBOX_NAME = 1000, MAILBOX_KEYWORDS = 4096, MAILBOX_MAX = 50000 };

struct mailbox {
	uint64_t id;
	uint32_t uses, uidvalidity, uidnext, recent_from;
	uint32_t messages, unseen, deleted;
	uint64_t modseq, bytes;
};

/* What an account gives out next. */
struct account_state {
	uint64_t modseq; /* of the last change */
	uint64_t next_email, next_mailbox, next_uidvalidity;
	uint64_t messages, bytes;
	uint64_t charged; /* the domain with a quota that this counts towards; 0: none */
	bool limited;     /* the account or its domain has a quota */
};
int account_state(struct view *v, uint64_t account, struct account_state *s, struct err *err);

int mailbox_find(
	struct view *v, uint64_t account, struct str name, struct mailbox *m, struct err *err);
/* `name` (may be NULL) gets its name. A mailbox that was deleted is not found. */
int mailbox_get(struct view *v, uint64_t account, uint64_t mailbox, struct mailbox *m,
	struct buf *name, struct err *err);
int mailbox_keywords(
	struct view *v, uint64_t account, uint64_t mailbox, struct buf *out, struct err *err);
/* The mailbox remembers every keyword that was ever used in it. ERR_LIMIT: too many. */
int mailbox_note_keywords(
	struct txn *t, uint64_t account, uint64_t mailbox, struct str words, struct err *err);
/* The first unseen uid, 0 when there is none. */
int mailbox_first_unseen(
	struct view *v, uint64_t account, const struct mailbox *m, uint32_t *uid, struct err *err);

struct mailbox_row {
	uint64_t id; /* 0: subscribed only, there is no such mailbox */
	struct str name;
	uint32_t uses;
	bool subscribed;
};
/* In order of name after `after`; the callback returns false when it has enough. */
typedef bool mailbox_list_fn(void *arg, const struct mailbox_row *row);
int mailbox_list(struct view *v, uint64_t account, struct str after, mailbox_list_fn *fn, void *arg,
	struct err *err);

int mailbox_create(struct txn *t, uint64_t account, struct str name, uint32_t uses, uint64_t *id,
	struct err *err);
int mailbox_delete(struct txn *t, uint64_t account, struct str name, struct err *err);
/* What is below comes along. Renaming INBOX moves its mail into a new mailbox (RFC 3501 6.3.5). */
int mailbox_rename(
	struct txn *t, uint64_t account, struct str from, struct str to, struct err *err);
int mailbox_subscribe(struct txn *t, uint64_t account, struct str name, bool on, struct err *err);
/* The uids from recent_from on are the caller's to show as \Recent; nobody else's from now on. */
int mailbox_take_recent(
	struct txn *t, uint64_t account, uint64_t mailbox, uint32_t *recent_from, struct err *err);

/* The standard form of a name: INBOX in capitals. False: not a name. */
bool mailbox_name(struct str name, struct buf *out);

#endif
