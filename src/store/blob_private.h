/* blob_private.h - what the files of blobs share. */
#ifndef STORE_BLOB_PRIVATE_H
#define STORE_BLOB_PRIVATE_H

#include "store/blob.h"

enum { BLOB_PATH = 64 };

static inline uint64_t blob_pieces(uint64_t size)
{
	return (size + BLOB_PIECE - 1) / BLOB_PIECE;
}

void blob_tmp_path(const struct blob_writer *w, char path[BLOB_PATH]);
void blob_add_u32(struct buf *b, uint32_t v); /* little-endian */
int blob_open(int dir, struct str name, char path[BLOB_PATH], struct err *err);

/* All bytes are written and all sums are there: a smaller file takes the place of the one in
 * blob/tmp, if that pays. */
int blob_squeeze_file(struct blob_writer *w, struct err *err);

#endif
