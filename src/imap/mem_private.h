/* mem_private.h - the two halves of the account in memory: what reads and what changes. */
#ifndef IMAP_MEM_PRIVATE_H
#define IMAP_MEM_PRIVATE_H

#include "imap/mem.h"

struct imap_rows {
	struct imap_mem *m;
	struct imap_mem_box *box;
	struct imap_ranges uids;
	uint64_t since;
	bool facts, live_only;
	size_t at;
};

int imap_mem_check(const struct imap_mem *m, struct err *err);    /* -1 when it is broken */
int imap_mem_selected(const struct imap_mem *m, struct err *err); /* and when no mailbox is there */
int imap_mem_walk(struct imap_mem *m, const struct imap_range *ranges, size_t n,
	struct imap_rows **rows, struct err *err);
struct imap_mem_entry *imap_mem_entry(struct imap_mem_box *box, uint32_t uid);
struct imap_mem_entry *imap_mem_put(
	struct imap_mem *m, struct imap_mem_box *box, struct imap_mem_body *body, struct err *err);
struct imap_mem_body *imap_mem_body(struct imap_mem *m, struct str text);
void imap_mem_drop_body(struct imap_mem_body **body);
void imap_mem_other(struct imap_mem *m, struct str action);

/* mem_change.c */
int imap_mem_create(void *arg, struct str name, unsigned uses, struct err *err);
int imap_mem_remove(void *arg, struct str name, struct err *err);
int imap_mem_rename(void *arg, struct str from, struct str to, struct err *err);
int imap_mem_subscribe(void *arg, struct str name, bool on, struct err *err);
int imap_mem_store(void *arg, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, struct imap_rows **rows, struct err *err);
int imap_mem_expunge(void *arg, const struct imap_ranges *uids, bool all, struct err *err);
int imap_mem_copy(void *arg, const struct imap_ranges *uids, struct str target, bool move,
	struct imap_copied *copied, struct err *err);
int imap_mem_append_begin(void *arg, const struct imap_append *a, struct err *err);
int imap_mem_append_piece(void *arg, struct str data, struct err *err);
int imap_mem_append_commit(void *arg, const struct imap_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err);
void imap_mem_append_abort(void *arg);

#endif
