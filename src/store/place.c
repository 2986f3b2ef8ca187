/* The bytes of a body where they lie: in a record of the log or a blob, as they are or squeezed. */
#include "store/engine.h"
#include "store/squeeze.h"
#include "store/store_private.h"

static int read_squeezed(
	struct view *v, const struct body_place *p, char *room, size_t n, struct err *err)
{
	struct buf squeezed = BUF(n);
	char *there;
	int r;

	if (n != p->size || p->stored > n)
		return 1;
	there = buf_room(&squeezed, (size_t)p->stored);
	if (!there)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	r = slog_read(v->store->log, p->segment, p->place, there, (size_t)p->stored, err);
	if (r == 0)
		r = squeeze_undo(str_make(there, (size_t)p->stored), room, n, err);
	buf_free(&squeezed);
	return r;
}

int place_read(struct view *v, const struct body_place *p, uint64_t offset, char *room, size_t n,
	struct err *err)
{
	struct store *s = v->store;

	if (p->blob[0] && p->stored)
		return blob_read_squeezed(
			s->dir, str_c(p->blob), p->size, p->stored, offset, room, n, err);
	if (p->blob[0])
		return blob_read(s->dir, str_c(p->blob), offset, room, n, err);
	if (p->stored)
		return read_squeezed(v, p, room, n, err);
	return slog_read(s->log, p->segment, p->place + offset, room, n, err);
}

int place_sums(struct view *v, const struct body_place *p, struct buf *sums, struct err *err)
{
	return p->blob[0] ? blob_sums(v->store->dir, str_c(p->blob), p->size, p->stored,
				    p->checksum, sums, err)
			  : 0;
}
