/* body.h - the bytes of a message: a prefix of its own, then the shared body.
 *
 * No byte of a body leaves unless the checksum of the piece that it lies in is right: all of it
 * when it is in the log, 256 KiB when it is a blob. Each view keeps the piece it read last, so
 * reading on from there costs nothing. What is found to be wrong is marked in the index
 * (body_damaged) and from then on refused at once, until it is right again and somebody has said so
 * (fsck).
 *
 * Errors: ERR_DAMAGED on disk; ERR_NOTFOUND nobody refers to it any more; ERR_TEMP its file
 * cannot be read.
 */
#ifndef STORE_BODY_H
#define STORE_BODY_H

#include "store/engine.h"

/* The columns of `body b` that say where it is, and the place that they make, from `column` on: for
 * who finds a message, so that no other statement is needed to find its body. */
#define BODY_PLACE "b.id, b.segment, b.place, b.size, b.checksum, b.blob, b.damaged, b.stored"
struct body_place body_place_of(const struct rows *r, int column);

/* Of a row of `body`: how many bytes of it lie in the log. */
#define BODY_IN_LOG "CASE WHEN blob IS NOT NULL THEN 0 WHEN stored <> 0 THEN stored ELSE size END"

/* Where it is, as the index says. */
int body_find(struct view *v, uint64_t body, struct body_place *p, struct err *err);

/* Checked bytes from `offset` (below its size) to the end of the piece. They live until the view
 * reads again. */
int body_read(struct view *v, uint64_t body, uint64_t offset, struct str *bytes, struct err *err);

/* Append at most `length` bytes from `offset` on; *size is the whole. A body that is wanted from
 * its first byte to its last is read into `out` itself, and not kept. */
int body_read_message(struct view *v, struct str prefix, const struct body_place *p,
	uint64_t offset, uint32_t length, struct buf *out, uint64_t *size, struct err *err);

/* How many are known to be damaged. */
int body_count_damaged(struct view *v, uint64_t *n, struct err *err);

struct body_cache;
void body_cache_free(struct body_cache **c);

#endif
