/* evil_private.h - between the files with attempts at the other roles. */
#ifndef EVIL_PRIVATE_H
#define EVIL_PRIVATE_H

#include "evil.h"

/* asks.c: what every attempt needs. They end the process when the instance does not work at all. */
int64_t evil_soon(void); /* a deadline */
uint64_t evil_call_id(void);
struct channel *evil_store(struct evil *e);
uint32_t evil_handle(struct evil *e, const char *who); /* a fresh login of "ANN" or "BOB" */

/* ask_mailbox.c */
int ask_own_mailbox(struct evil *e, struct err *err);
int ask_own_body(struct evil *e, struct err *err);
int ask_other_uids(struct evil *e, struct err *err);
int ask_other_entries(struct evil *e, struct err *err);
int ask_other_body(struct evil *e, struct err *err);
int ask_other_flags(struct evil *e, struct err *err);
int ask_other_copy(struct evil *e, struct err *err);
int ask_other_expunge(struct evil *e, struct err *err);
int ask_open_account(struct evil *e, struct err *err);

#endif
