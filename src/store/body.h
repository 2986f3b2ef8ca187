/* body.h - the bytes of a message: a prefix of its own, then the shared body. */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "store/store.h"

/* Append at most `length` bytes from `offset` on; *size is the whole. A body that is read from its
 * beginning to its end in one call is checked against its checksum: ERR_PERM when it has rotted. */
int body_read_message(struct view *v, struct str prefix, uint64_t body, uint64_t offset,
	uint32_t length, struct buf *out, uint64_t *size, struct err *err);

#endif
