#include "store/body.h"
#include "base/crc32c.h"
#include "base/log.h"
#include "store/engine.h"
#include "store/store_private.h"

#include <inttypes.h>

static int find(struct view *v, uint64_t body, struct body_place *p, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT segment, place, size, checksum, blob FROM body WHERE id = $1",
		    DB_ARGS(DB_I((int64_t)body)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		*p = (struct body_place){ .body = body,
			.segment = (uint64_t)rows_int(r, 0),
			.place = (uint64_t)rows_int(r, 1),
			.size = (uint64_t)rows_int(r, 2),
			.checksum = (uint32_t)rows_int(r, 3) };
		str_z(rows_str(r, 4), p->blob, sizeof p->blob);
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND, "body %" PRIu64 " is gone", body);
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

static int read_body(struct view *v, const struct body_place *p, uint64_t offset, size_t n,
	struct buf *out, struct err *err)
{
	char *room = buf_room(out, n);

	if (!room)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	if (v->store->engine->body_read(v, p, offset, room, n, err) < 0)
		return -1;
	if (n == p->size && crc32c(0, room, n) != p->checksum) {
		log_event(LOG_ERROR, "store.rotten", L_U64("body", p->body));
		return err_set(err, ERR_PERM, "body %" PRIu64 " is damaged on disk", p->body);
	}
	buf_grew(out, n);
	return 0;
}

int body_read_message(struct view *v, struct str prefix, uint64_t body, uint64_t offset,
	uint32_t length, struct buf *out, uint64_t *size, struct err *err)
{
	struct str head = str_from(prefix, offset < prefix.n ? (size_t)offset : prefix.n);
	struct body_place p;
	uint64_t left;

	if (find(v, body, &p, err) < 0)
		return -1;
	*size = prefix.n + p.size;
	head = str_head(head, length);
	buf_add(out, head);
	length -= (uint32_t)head.n;
	offset += head.n;
	if (length == 0 || offset < prefix.n || offset >= *size)
		return 0;
	left = *size - offset;
	return read_body(v, &p, offset - prefix.n, left < length ? (size_t)left : length, out, err);
}
