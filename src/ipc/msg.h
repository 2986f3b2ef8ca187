/* msg.h - the messages between roles, as C structs, made from the tables (*.def).
 *
 * The forms in a table:
 *
 *	RECORD(name, fields)                       a row inside a sequence
 *	ONEWAY(name, number, who, fields)          a message without answer
 *	CALL(name, number, who, request, reply)    a question and its answer; the answer's number is
 *	                                           the question's | 0x8000
 *	F_U8 F_U32 F_U64 F_I64 (name)              little-endian numbers
 *	F_STR(name, max) F_BYTES(name, max)        a slice of at most max bytes; F_STR holds no NUL
 *	F_SECRET(name, max)                        a slice that is never printed; its message is
 *wiped F_SEQ(name, record)                        any number of records, encoded one after another
 *	F_FD(name)                                 a descriptor that travels with the message
 *
 * A line CALL(store_rcpt, ...) makes `struct store_rcpt_req` and `struct store_rcpt_rep`;
 * ONEWAY(store_due, ...) makes `struct store_due`; RECORD(store_range, ...) makes
 * `struct store_range`. For each there are
 *
 *	void X_put(struct buf *out, const struct X *m);               append the encoded fields
 *	int X_get(struct str in, struct X *m, struct err *err);       decode; slices point into `in`
 *	void X_print(struct buf *out, const struct X *m);             for logs; secrets as ***
 *
 * The decoder is total: any bytes give a value or ERR_PROTO. A field over its limit, or a F_STR
 *with a NUL, cannot be encoded either: X_put then sets out->over, and the call fails with
 * ERR_LIMIT. Sequences are checked whole by X_get, so walking them cannot fail:
 *
 *	struct str seq = rep.items;
 *	struct store_range r;
 *	while (store_range_next(&seq, &r)) ...
 *
 * A message is at most 64 KiB. The calls themselves are in channel.h.
 */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include "base/err.h"
#include "base/str.h"
#include "ipc/names.h"

#include <stdint.h>

#define MSG_MAX 65536u

/* First pass over the tables: the structs and the declarations. */
#define F_U8(name) uint8_t name;
#define F_U32(name) uint32_t name;
#define F_U64(name) uint64_t name;
#define F_I64(name) int64_t name;
#define F_STR(name, max) struct str name;
#define F_BYTES(name, max) struct str name;
#define F_SECRET(name, max) struct str name;
#define F_SEQ(name, record) struct str name;
#define F_FD(name) int name;

#define MSG_DECLARE(name, fields)                                                                  \
	struct name {                                                                              \
		fields                                                                             \
	};                                                                                         \
	void name##_put(struct buf *out, const struct name *m);                                    \
	int name##_get(struct str in, struct name *m, struct err *err);                            \
	void name##_print(struct buf *out, const struct name *m);
#define RECORD(name, fields)                                                                       \
	MSG_DECLARE(name, fields)                                                                  \
	bool name##_next(struct str *seq, struct name *row);
#define ONEWAY(name, number, who, fields) MSG_DECLARE(name, fields)
#define CALL(name, number, who, request, reply)                                                    \
	MSG_DECLARE(name##_req, request)                                                           \
	MSG_DECLARE(name##_rep, reply)

#include "ipc/messages.def"

#undef MSG_DECLARE
#include "ipc/undef.h"

/* Second pass: the numbers, MSG_store_rcpt and so on. */
#define RECORD(name, fields)
#define ONEWAY(name, number, who, fields) MSG_##name = (number),
#define CALL(name, number, who, request, reply) MSG_##name = (number),
enum msg_number {
	MSG_error = 0x7fff, /* an answer that is a struct err */
#include "ipc/messages.def"
};
#include "ipc/undef.h"

/* What a table line says of a number; NULL for a number that no table has. */
struct msg_info {
	const char *name;
	uint16_t number;
	uint32_t who;  /* WHO_ bits that may send it */
	bool answered; /* a CALL */
	uint8_t fds;   /* descriptors that travel with it (0 or 1); none with answers */
	bool secret;   /* holds an F_SECRET: wiped after use */
	bool answer_secret;
};
const struct msg_info *msg_info(uint16_t number);
const char *who_name(uint32_t who); /* "mx", "store" ...: one WHO_ bit */

#endif
