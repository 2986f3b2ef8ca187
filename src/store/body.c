#include "store/body.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "store/store_private.h"

#include <endian.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_MAX = 256 << 20, SUMS_MAX = 64 << 20 };

struct body_cache {
	uint64_t body; /* whose bytes these are; 0: nobody's */
	uint64_t start;
	struct buf bytes; /* checked */
	uint64_t summed;  /* the blob that these belong to */
	struct buf sums;  /* of its pieces */
};

static struct body_cache *cache_of(struct view *v, struct err *err)
{
	if (!v->cache) {
		v->cache = calloc(1, sizeof *v->cache);
		if (!v->cache) {
			err_set(err, ERR_TEMP, "out of memory to read a message");
			return NULL;
		}
		v->cache->bytes = BUF(PIECE_MAX);
		v->cache->sums = BUF(SUMS_MAX);
	}
	return v->cache;
}

void body_cache_free(struct body_cache **out)
{
	struct body_cache *c = *out;

	*out = NULL;
	if (!c)
		return;
	buf_free(&c->bytes);
	buf_free(&c->sums);
	free(c);
}

struct body_place body_place_of(const struct rows *r, int column)
{
	struct body_place p = { .body = (uint64_t)rows_int(r, column),
		.segment = (uint64_t)rows_int(r, column + 1),
		.place = (uint64_t)rows_int(r, column + 2),
		.size = (uint64_t)rows_int(r, column + 3),
		.checksum = (uint32_t)rows_int(r, column + 4),
		.damaged = rows_int(r, column + 6) != 0,
		.stored = (uint64_t)rows_int(r, column + 7) };

	str_z(rows_str(r, column + 5), p.blob, sizeof p.blob);
	return p;
}

int body_find(struct view *v, uint64_t body, struct body_place *p, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT " BODY_PLACE " FROM body b WHERE b.id = $1",
		    DB_ARGS(DB_I((int64_t)body)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		*p = body_place_of(r, 0);
	else if (got == 0)
		err_set(err, ERR_NOTFOUND, "body %" PRIu64 " is gone", body);
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* ---- damage ---- */

struct mark {
	struct store_job job; /* first */
	struct body_place where;
};

/* What has moved meanwhile was right when it was copied. */
static int mark_damaged(struct txn *t, struct store_job *job, struct err *err)
{
	const struct body_place *was = &((struct mark *)job)->where;
	const struct effect_body_damaged e = { was->body, t->now };
	struct body_place p;

	if (body_find(&t->view, e.id, &p, err) < 0)
		return -1;
	if (p.damaged || p.segment != was->segment || p.place != was->place)
		return 0;
	return emit_body_damaged(t, &e, err);
}

static void mark_done(struct store_job *job)
{
	store_job_free(job);
	free(job);
}

/* Said once for each time it is met; what is marked already is not met again. */
static int is_damaged(struct view *v, const struct body_place *p, struct err *err)
{
	struct mark *m = calloc(1, sizeof *m);

	log_event(LOG_ERROR, "store.rotten", L_U64("body", p->body));
	if (m) {
		*m = (struct mark){ .job = { .write = mark_damaged, .done = mark_done },
			.where = *p };
		if (!store_submit_own(v->store, &m->job))
			free(m);
	}
	return err_set(err, ERR_DAMAGED, "body %" PRIu64 " is damaged on disk", p->body);
}

int body_count_damaged(struct view *v, uint64_t *n, struct err *err)
{
	int64_t found = 0;

	if (db_int(v->db, &found, "SELECT count(*) FROM body WHERE damaged <> 0", DB_NOARGS, err) <
		0)
		return -1;
	*n = (uint64_t)found;
	return 0;
}

/* ---- pieces ---- */

/* Checked as a whole: read whole. */
static bool is_one_piece(const struct body_place *p)
{
	return p->size <= BLOB_PIECE || (p->segment && !p->blob[0]);
}

static void forget_piece(struct body_cache *c)
{
	buf_clear(&c->bytes);
	c->body = 0;
	c->start = 0;
}

static char *room_in(struct buf *out, uint64_t n, struct err *err)
{
	char *room = n <= PIECE_MAX ? buf_room(out, (size_t)n) : NULL;

	if (!room)
		err_set(err, ERR_TEMP, "out of memory to read a message");
	return room;
}

static int read_bytes(struct view *v, const struct body_place *p, uint64_t start, char *room,
	size_t n, struct err *err)
{
	int got = v->store->engine->body_read(v, p, start, room, n, err);

	return got > 0 ? is_damaged(v, p, err) : got;
}

static int read_piece(
	struct view *v, const struct body_place *p, uint64_t start, char *room, struct err *err)
{
	const uint64_t left = p->size - start;

	return read_bytes(v, p, start, room, left < BLOB_PIECE ? (size_t)left : BLOB_PIECE, err);
}

/* By reading all of it, with the room for the piece that is wanted later. */
static int make_sums(struct view *v, const struct body_place *p, char *room, struct err *err)
{
	struct buf *sums = &v->cache->sums;
	uint32_t all = 0, one;

	buf_clear(sums);
	for (uint64_t at = 0; at < p->size; at += BLOB_PIECE) {
		const size_t n = p->size - at < BLOB_PIECE ? (size_t)(p->size - at) : BLOB_PIECE;

		if (read_piece(v, p, at, room, err) < 0)
			return -1;
		all = crc32c(all, room, n);
		one = htole32(crc32c(0, room, n));
		buf_add(sums, str_make(&one, sizeof one));
	}
	if (!buf_ok(sums))
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	return all == p->checksum ? 0 : is_damaged(v, p, err);
}

static int load_sums(struct view *v, const struct body_place *p, char *room, struct err *err)
{
	const struct engine *e = v->store->engine;
	struct body_cache *c = v->cache;
	int got = 0;

	if (c->summed == p->body)
		return 0;
	c->summed = 0;
	buf_clear(&c->sums);
	if (e->body_sums)
		got = e->body_sums(v, p, &c->sums, err);
	if (got == 0)
		got = make_sums(v, p, room, err);
	if (got >= 0)
		c->summed = p->body;
	return got < 0 ? -1 : 0;
}

static bool is_right(const struct body_cache *c, uint64_t number, struct str piece)
{
	uint32_t sum;

	if (number >= c->sums.n / sizeof sum)
		return false;
	memcpy(&sum, c->sums.p + number * sizeof sum, sizeof sum);
	return crc32c(0, piece.p, piece.n) == le32toh(sum);
}

static int load_piece(struct view *v, const struct body_place *p, uint64_t offset, struct err *err)
{
	struct body_cache *c = v->cache;
	const uint64_t start = offset / BLOB_PIECE * BLOB_PIECE, left = p->size - start;
	const size_t n = left < BLOB_PIECE ? (size_t)left : BLOB_PIECE;
	char *room = room_in(&c->bytes, BLOB_PIECE, err);

	if (!room || load_sums(v, p, room, err) < 0 || read_piece(v, p, start, room, err) < 0)
		return -1;
	if (!is_right(c, start / BLOB_PIECE, str_make(room, n)))
		return is_damaged(v, p, err);
	buf_grew(&c->bytes, n);
	c->start = start;
	return 0;
}

static int load_whole(struct view *v, const struct body_place *p, struct buf *out, struct err *err)
{
	char *room = room_in(out, p->size, err);

	if (!room || read_bytes(v, p, 0, room, (size_t)p->size, err) < 0)
		return -1;
	if (crc32c(0, room, (size_t)p->size) != p->checksum)
		return is_damaged(v, p, err);
	buf_grew(out, (size_t)p->size);
	return 0;
}

/* With `out` all of it goes there; else the piece that `offset` lies in is kept. */
static int load(struct view *v, const struct body_place *p, uint64_t offset, struct buf *out,
	struct err *err)
{
	struct body_cache *c = v->cache;
	int r;

	if (out)
		return load_whole(v, p, out, err);
	forget_piece(c);
	r = is_one_piece(p) ? load_whole(v, p, &c->bytes, err) : load_piece(v, p, offset, err);
	if (r == 0)
		c->body = p->body;
	return r;
}

/* The segment has been removed since the view's moment began, because the body has moved: another
 * view knows where to. */
static int load_moved(struct view *v, const struct body_place *was, uint64_t offset,
	struct buf *out, struct err *err)
{
	struct body_place now;
	struct view fresh;
	int r;

	if (view_open(v->store, &fresh, err) < 0)
		return -1;
	r = body_find(&fresh, was->body, &now, err);
	view_close(&fresh);
	if (r < 0)
		return -1;
	if (now.segment == was->segment && now.place == was->place)
		return err_set(err, ERR_TEMP, "body %" PRIu64 ": its file is missing", was->body);
	return load(v, &now, offset, out, err);
}

static bool is_loaded(const struct body_cache *c, const struct body_place *p, uint64_t offset)
{
	return !p->damaged && c->body == p->body && offset >= c->start &&
		offset < c->start + c->bytes.n;
}

static int load_checked(struct view *v, const struct body_place *p, uint64_t offset,
	struct buf *out, struct err *err)
{
	struct err why = ERR_INIT;

	if (p->damaged)
		return err_set(err, ERR_DAMAGED, "body %" PRIu64 " is damaged on disk", p->body);
	if (load(v, p, offset, out, &why) == 0)
		return 0;
	if (why.kind == ERR_NOTFOUND)
		return load_moved(v, p, offset, out, err);
	*err = why;
	return -1;
}

static struct str loaded(const struct view *v, uint64_t offset)
{
	return str_from(buf_str(&v->cache->bytes), (size_t)(offset - v->cache->start));
}

int body_read(struct view *v, uint64_t body, uint64_t offset, struct str *bytes, struct err *err)
{
	struct body_cache *c = cache_of(v, err);
	struct body_place p;

	if (!c || body_find(v, body, &p, err) < 0)
		return -1;
	if (offset >= p.size)
		return err_set(err, ERR_LIMIT, "body %" PRIu64 " is shorter", body);
	if (!is_loaded(c, &p, offset) && load_checked(v, &p, offset, NULL, err) < 0)
		return -1;
	*bytes = loaded(v, offset);
	return 0;
}

/* Append at most `length` bytes of the body; returns how many, which is more than 0, or -1. */
static int64_t add_some(struct view *v, const struct body_place *p, uint64_t offset,
	uint32_t length, struct buf *out, struct err *err)
{
	struct body_cache *c = cache_of(v, err);
	struct str some;

	if (!c)
		return -1;
	if (!is_loaded(c, p, offset)) {
		const bool all = offset == 0 && length >= p->size && is_one_piece(p);

		if (load_checked(v, p, offset, all ? out : NULL, err) < 0)
			return -1;
		if (all)
			return (int64_t)p->size;
	}
	some = str_head(loaded(v, offset), length);
	buf_add(out, some);
	return (int64_t)some.n;
}

int body_read_message(struct view *v, struct str prefix, const struct body_place *p,
	uint64_t offset, uint32_t length, struct buf *out, uint64_t *size, struct err *err)
{
	struct str head = str_from(prefix, offset < prefix.n ? (size_t)offset : prefix.n);
	int64_t n;

	*size = prefix.n + p->size;
	head = str_head(head, length);
	buf_add(out, head);
	length -= (uint32_t)head.n;
	offset += head.n;
	while (length && offset >= prefix.n && offset < *size) {
		n = add_some(v, p, offset - prefix.n, length, out, err);
		if (n < 0)
			return -1;
		length -= (uint32_t)n;
		offset += (uint64_t)n;
	}
	return buf_ok(out) ? 0 : err_set(err, ERR_TEMP, "out of memory to read a message");
}
