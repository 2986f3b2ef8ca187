/* delivery_private.h - what handing out and mailboxes share. */
#ifndef STORE_DELIVERY_PRIVATE_H
#define STORE_DELIVERY_PRIVATE_H

#include "store/delivery.h"
#include "store/directory.h"

/* The body's row: `links` emails and queued messages of this request share it. */
int delivery_put_body(struct txn *t, const struct delivery_body *b, uint32_t links, uint64_t *id,
	struct err *err);
/* Into the INBOX of a destination here; its link to the body is counted already. */
int delivery_into_mailbox(struct txn *t, const struct delivery *d, uint64_t body,
	const struct destination *to, struct err *err);
/* It is sent in the name of the list's owner. A report has no sender and must cause none, so it
 * keeps that on its way through a list. */
bool delivery_is_for_owner(const struct delivery *d, const struct destination *to);
int delivery_trace(struct txn *t, uint64_t message, const char *event, struct str address,
	struct str text, struct err *err);

#endif
