/* msg_private.h - what the generated code of msg.c is made of, and the table of all messages that
 * the channel, the tests and the fuzz target walk.
 */
#ifndef IPC_MSG_PRIVATE_H
#define IPC_MSG_PRIVATE_H

#include "ipc/msg.h"

/* Decoding: bytes that are left, and whether anything was wrong so far. */
struct msg_in {
	struct str rest;
	bool bad;
};

/* One direction of a message. recode decodes and encodes again; print decodes and prints.
 * Both fail as the decoder does. */
struct msg_form {
	int (*check)(struct str in, struct err *err);
	int (*print)(struct buf *out, struct str in, struct err *err);
	int (*recode)(struct buf *out, struct str in, struct err *err);
};

struct msg_row {
	struct msg_info info;
	struct msg_form asked, answered; /* answered.check NULL: a oneway */
};

extern const struct msg_row msg_rows[];
extern const size_t msg_row_count;
const struct msg_row *msg_row(uint16_t number); /* NULL: no such number */

#endif
