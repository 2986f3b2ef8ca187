/* front_imap_private.h - one IMAP session's account, as both halves of its policy see it. */
#ifndef ROLE_FRONT_IMAP_PRIVATE_H
#define ROLE_FRONT_IMAP_PRIVATE_H

#include "imap/imap.h"
#include "mail/facts.h"
#include "role/front_auth.h"
#include "role/front_body.h"

struct front_imap {
	struct front *f;
	struct conn *c;
	enum service service;
	struct front_auth auth;
	struct signal wake;

	uint64_t mailbox;    /* selected; 0: none */
	bool ask;            /* the state may have changed unseen */
	uint64_t generation; /* of the store, when we last looked for news */
	struct reply piece;  /* what the slice of the last body() points into */

	struct front_body *incoming; /* APPEND */
	struct facts_builder *facts;
};

/* front_imap_message.c */
int front_imap_rows(
	void *arg, const struct imap_query *q, struct imap_rows **rows, struct err *err);
int front_imap_store(void *arg, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, struct imap_rows **rows, struct err *err);
int front_imap_next(struct imap_rows *rows, struct imap_entry *e, struct err *err);
void front_imap_end(struct imap_rows **rows);
int front_imap_expunge(void *arg, const struct imap_ranges *uids, bool all, struct err *err);
int front_imap_copy(void *arg, const struct imap_ranges *uids, struct str target, bool move,
	struct imap_copied *copied, struct err *err);
int front_imap_append_begin(void *arg, const struct imap_append *a, struct err *err);
int front_imap_append_piece(void *arg, struct str data, struct err *err);
int front_imap_append_commit(void *arg, const struct imap_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err);
void front_imap_append_abort(void *arg);

/* Append the encoded ranges of an answer. */
int front_imap_take_ranges(struct str encoded, struct imap_ranges *out, struct err *err);

#endif
