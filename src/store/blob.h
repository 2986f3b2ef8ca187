/* blob.h - bodies that are too large for the log: one immutable file each.
 *
 * A writer fills blob/tmp/NAME piece by piece while the checksum is taken. blob_commit() flushes
 * the file, moves it to blob/xx/NAME and flushes that folder; only then may a record name it. A
 * blob that no record came to name is swept away later. Nothing here touches the index except the
 * sweep, which reads it. One thread at a time per writer; calls block. On PostgreSQL all of this is
 * rows (shared_body.c), and only the writer's functions are used.
 *
 * Behind the bytes stands a table with the checksum of each piece of 256 KiB, so that a piece can
 * be checked without reading the rest: u32 for each, then 32 bytes: mark "EILPBLB1", u32 size of a
 * piece, u32 checksum of all bytes, u64 how many, u32 zero, u32 checksum of the table and these 28
 * bytes; little-endian. Blobs of earlier versions have none.
 *
 * A squeezed blob (blob_squeeze.c) has, one after the other, its pieces as squeeze.h makes them, or
 * as they are where that does not pay; then u32 for each, how long it is there (as long as the
 * piece itself: as it is); then the table as above, with the mark "EILPBLB2" and a checksum that
 * covers the lengths, too. Checksums are always those of the plain bytes.
 */
#ifndef STORE_BLOB_H
#define STORE_BLOB_H

#include "store/store.h"

enum { BLOB_NAME = 40, BLOB_PIECE = 256 << 10 };

struct blob_writer {
	struct store *store;
	bool begun;
	int fd;
	char name[BLOB_NAME]; /* 32 hex digits, random */
	uint64_t size;
	uint64_t stored;   /* blob_squeeze() has made it so long; 0: its bytes are as they are */
	uint32_t checksum; /* CRC-32C of all bytes */
	uint32_t piece;    /* of those since the last full piece */
	struct buf
		sums; /* of the full pieces, as in the file; of a squeezed one after the lengths */
	bool committed;
};

int blob_prepare(int dir, struct err *err); /* make the folders */

int blob_begin(struct store *s, struct blob_writer *w, struct err *err);
int blob_add(struct blob_writer *w, struct str data, struct err *err);
/* After the last byte: squeeze it if that pays. Not on PostgreSQL. A failure is no reason not to
 * commit it: it stays as it came. */
void blob_squeeze(struct blob_writer *w);
int blob_commit(struct blob_writer *w, struct err *err);
void blob_end(struct blob_writer *w); /* removes what was not committed; safe to call twice */

/* Bytes as they are. ERR_NOTFOUND: the file is gone or too short. */
int blob_read(int dir, struct str name, uint64_t offset, char *p, size_t n, struct err *err);

/* A piece of a squeezed one, or of a shorter one all. 0; 1 what is there is none; -1 as above. */
int blob_read_squeezed(int dir, struct str name, uint64_t size, uint64_t stored, uint64_t offset,
	char *p, size_t n, struct err *err);

/* The checksums of its pieces, encoded as in the file, of a blob of which size, checksum and how it
 * is stored are known. 1; 0 the file has none that belong to it; -1. */
int blob_sums(int dir, struct str name, uint64_t size, uint64_t stored, uint32_t checksum,
	struct buf *sums, struct err *err);

/* Does a body refer to it? When in doubt it does. */
bool blob_is_named(struct view *v, const char *name);
int blob_remove(int dir, struct str name, struct err *err);

/* Remove files that no body names and that are older than an hour; none while the log is damaged,
 * which may name them where it was not read. Gives how many. */
int blob_sweep(struct view *v, struct err *err);

#endif
