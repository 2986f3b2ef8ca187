/* entry.h - emails in mailboxes: list, flag, copy, move, expunge, read.
 *
 * Sets of uids are slices of encoded effect_uid_range rows ("ranges"): first and last, both meant,
 * ascending and apart from one another (ranges_valid()). An empty set means all. Answers go into
 * buffers that the caller limits; a callback returns false when it has enough. Errors: ERR_NOTFOUND
 * no such mailbox or message; ERR_LIMIT does not fit one request.
 */
#ifndef STORE_ENTRY_H
#define STORE_ENTRY_H

#include "store/txn.h"

enum { ENTRY_RANGES_OUT = 7000, ENTRY_FLAGS_PER_CALL = 1000, ENTRY_EXPUNGED_PER_CALL = 2000 };

/* Ranges that grow: adding the next uid makes the last one longer where it can. */
struct range_list {
	struct buf bytes; /* encoded effect_uid_range rows */
	struct effect_uid_range last;
	size_t n; /* ranges, with `last` */
	bool ended;
};
#define RANGE_LIST ((struct range_list){ .bytes = BUF(1 << 26) })
void range_list_add(struct range_list *l, uint32_t uid);
void range_list_add_range(struct range_list *l, uint32_t first, uint32_t last);
struct str range_list_end(
	struct range_list *l); /* all of them, encoded; nothing may be added after */
void range_list_free(struct range_list *l);
bool ranges_valid(struct str ranges);

/* The uids from `from` on, as ranges; at most ENTRY_RANGES_OUT. *more: there are others. */
int entry_uids(struct view *v, uint64_t account, uint64_t mailbox, uint32_t from,
	struct range_list *out, bool *more, struct err *err);
/* What was expunged after `since`, from uid `from` on. */
int entry_vanished(struct view *v, uint64_t account, uint64_t mailbox, uint64_t since,
	uint32_t from, struct range_list *out, bool *more, struct err *err);

/* How many have a uid from the mailbox's recent_from on. */
struct mailbox;
int entry_count_from(struct view *v, uint64_t account, const struct mailbox *m, uint32_t *count,
	struct err *err);

struct entry {
	uint32_t uid, flags, prefix_size;
	uint64_t email, thread, body, size, modseq;
	int64_t received, saved;
	struct str keywords, facts;
};
struct entry_query {
	uint64_t account, mailbox;
	struct str ranges;
	uint32_t from;
	uint64_t since;
	bool facts, ghosts;
};
typedef bool entry_fn(void *arg, const struct entry *e);
/* In order of uid. */
int entry_list(
	struct view *v, const struct entry_query *q, entry_fn *fn, void *arg, struct err *err);

/* Bytes of a message: the prefix, then the body. Also of expunged ones that a view may hold. At
 * most `length` bytes are appended to out. A body that is read whole is checked. */
int entry_read(struct view *v, uint64_t account, uint64_t mailbox, uint32_t uid, uint64_t offset,
	uint32_t length, struct buf *out, uint64_t *size, struct err *err);

/* Enough to know a message again: the size and checksum (CRC-32C) of what entry_read() gives, and
 * its date. Not of those known to be damaged: who has them brings them back. From uid `from` on, in
 * order; the callback returns false when it has enough. */
struct entry_digest {
	uint32_t uid, checksum;
	uint64_t size;
	int64_t received;
};
typedef bool entry_digest_fn(void *arg, const struct entry_digest *d);
int entry_digests(struct view *v, uint64_t account, uint64_t mailbox, uint32_t from,
	entry_digest_fn *fn, void *arg, struct err *err);

enum entry_op { ENTRY_SET, ENTRY_ADD, ENTRY_REMOVE };
struct entry_flags {
	uint64_t account, mailbox;
	struct str ranges;
	enum entry_op op;
	uint32_t flags;
	struct str keywords;
	uint64_t unchanged_since;
};
typedef bool entry_flag_fn(
	void *arg, uint32_t uid, uint32_t flags, struct str keywords, uint64_t modseq);
/* Tells `fn` what every entry has now. Entries changed after unchanged_since go to `failed`. At
 * most ENTRY_FLAGS_PER_CALL entries, or until fn has enough; *next is the uid to go on from, 0 at
 * the end.
 */
int entry_set_flags(struct txn *t, const struct entry_flags *q, entry_flag_fn *fn, void *arg,
	struct range_list *failed, uint32_t *next, uint64_t *modseq, struct err *err);

/* Those with \Deleted, or with `any` all; at most ENTRY_EXPUNGED_PER_CALL, the first ones. Were it
 * so many, ask again. */
int entry_expunge(struct txn *t, uint64_t account, uint64_t mailbox, struct str ranges, bool any,
	struct range_list *out, uint64_t *modseq, struct err *err);

struct entry_copy {
	uint64_t account, mailbox;
	struct str ranges;
	uint64_t target;
	bool move;
};
int entry_copy(struct txn *t, const struct entry_copy *q, struct range_list *from,
	struct range_list *to, uint64_t *modseq, struct err *err);
int entry_move_all(struct txn *t, uint64_t account, uint64_t from, uint64_t to, struct err *err);

/* Put an email that is there into a mailbox: for delivery and append. */
int entry_add(struct txn *t, uint64_t account, uint64_t mailbox, struct str name,
	struct effect_entry_row *row, uint64_t modseq, struct err *err);

/* Union of two keyword lists, each sorted and space-separated; false when too long. */
bool keywords_add(struct buf *list, struct str words);

#endif
