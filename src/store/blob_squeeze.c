/* Blobs of which each piece is squeezed for itself, so that a part can be read without the rest. */
#include "store/blob_private.h"
#include "store/io.h"
#include "store/squeeze.h"
#include "store/store_private.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LENGTHS_MAX = 128 << 20 };

/* ---- writing ---- */

struct squeezing {
	struct blob_writer *w;
	char from[BLOB_PATH], to[BLOB_PATH];
	int fd;
	char *piece;
	struct buf squeezed, lengths;
	uint64_t stored;
};

static int add_piece(struct squeezing *q, uint64_t at, size_t n, struct err *err)
{
	struct str piece = str_make(q->piece, n);

	if (io_read(q->w->fd, q->from, at, q->piece, n, err) < 0)
		return -1;
	buf_clear(&q->squeezed);
	if (squeeze(piece, &q->squeezed))
		piece = buf_str(&q->squeezed);
	if (io_write(q->fd, q->to, q->stored, piece, err) < 0)
		return -1;
	blob_add_u32(&q->lengths, (uint32_t)piece.n);
	q->stored += piece.n;
	return 0;
}

static int add_pieces(struct squeezing *q, struct err *err)
{
	const uint64_t size = q->w->size;

	for (uint64_t at = 0; at < size; at += BLOB_PIECE)
		if (add_piece(q, at, size - at < BLOB_PIECE ? (size_t)(size - at) : BLOB_PIECE,
			    err) < 0)
			return -1;
	buf_add(&q->lengths, buf_str(&q->w->sums));
	return buf_ok(&q->lengths) ? 0 : err_set(err, ERR_TEMP, "out of memory for a blob");
}

/* The writer goes on with the smaller file, and the other one goes. */
static void take_over(struct squeezing *q)
{
	struct blob_writer *w = q->w;
	const struct buf sums = w->sums;
	const int fd = w->fd;

	w->fd = q->fd;
	q->fd = fd;
	w->sums = q->lengths;
	q->lengths = sums;
	w->stored = q->stored;
	memcpy(q->to, q->from, sizeof q->to);
}

static bool pays(const struct squeezing *q)
{
	return q->stored <= q->w->size - q->w->size / 8;
}

int blob_squeeze_file(struct blob_writer *w, struct err *err)
{
	struct squeezing q = { .w = w,
		.fd = -1,
		.piece = malloc(BLOB_PIECE),
		.squeezed = BUF(BLOB_PIECE),
		.lengths = BUF(LENGTHS_MAX) };
	struct err ignored = ERR_INIT;
	int r = q.piece ? 0 : err_set(err, ERR_TEMP, "out of memory for a blob");

	blob_tmp_path(w, q.from);
	snprintf(q.to, sizeof q.to, "blob/tmp/%s.z", w->name);
	if (r == 0)
		r = q.fd = io_open(w->store->dir, q.to, O_RDWR | O_CREAT | O_EXCL, err);
	if (r >= 0)
		r = add_pieces(&q, err);
	if (r >= 0 && pays(&q))
		take_over(&q);
	if (q.fd >= 0) {
		close(q.fd);
		io_remove(w->store->dir, q.to, &ignored);
	}
	buf_free(&q.squeezed);
	buf_free(&q.lengths);
	free(q.piece);
	return r < 0 ? -1 : 0;
}

/* ---- reading ---- */

struct piece {
	uint64_t at;
	uint32_t length;
};

/* Where piece number `number` lies. What is read here nothing has checked: the checksum of the
 * bytes tells in the end. */
static int find_piece(int fd, const char *path, uint64_t stored, uint64_t number, struct piece *p,
	struct err *err)
{
	struct buf lengths = BUF(LENGTHS_MAX);
	const size_t n = number < LENGTHS_MAX / 4 ? (size_t)(4 * (number + 1)) : 0;
	char *room = n ? buf_room(&lengths, n) : NULL;
	uint32_t one;
	int r;

	*p = (struct piece){ 0 };
	if (!room)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	r = io_read(fd, path, stored, room, n, err);
	for (size_t i = 0; r == 0 && i < n; i += 4) {
		p->at += p->length;
		memcpy(&one, room + i, 4);
		p->length = le32toh(one);
	}
	buf_free(&lengths);
	return r;
}

static int read_piece(
	int fd, const char *path, const struct piece *p, char *room, size_t n, struct err *err)
{
	struct buf squeezed = BUF(n);
	char *there;
	int r;

	if (p->length == n)
		return io_read(fd, path, p->at, room, n, err);
	there = buf_room(&squeezed, p->length);
	if (!there)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	r = io_read(fd, path, p->at, there, p->length, err);
	if (r == 0)
		r = squeeze_undo(str_make(there, p->length), room, n, err);
	buf_free(&squeezed);
	return r;
}

int blob_read_squeezed(int dir, struct str name, uint64_t size, uint64_t stored, uint64_t offset,
	char *p, size_t n, struct err *err)
{
	const uint64_t left = size - offset;
	char path[BLOB_PATH];
	struct piece piece;
	int fd, r;

	if (offset >= size || offset % BLOB_PIECE || n != (left < BLOB_PIECE ? left : BLOB_PIECE))
		return err_set(err, ERR_PROTO, "a blob is read in its pieces");
	fd = blob_open(dir, name, path, err);
	if (fd < 0)
		return -1;
	r = find_piece(fd, path, stored, offset / BLOB_PIECE, &piece, err);
	if (r == 0)
		r = piece.length > n || piece.at > stored || piece.length > stored - piece.at
			? 1
			: read_piece(fd, path, &piece, p, n, err);
	close(fd);
	return r;
}
