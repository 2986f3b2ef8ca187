/* Bodies that nobody reads rot unseen: here each is read once in a while, so that it is known, told
 * by `eilpost status`, while a backup still has it. A little in each round of the compactor's
 * thread, with pauses; what is wrong is marked by the reading itself (body.h), and what cannot be
 * read at all is counted, because it may be there again. */
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "store/blob_private.h"
#include "store/body.h"
#include "store/compact_private.h"
#include "store/io.h"

#include <fcntl.h>
#include <unistd.h>

enum {
	ROUND = 8 << 20, /* bytes; every ten seconds */
	EACH = 4096,     /* a body costs as much as so many more */
	SHARE = 3,       /* the pause after each is so many times what it took */
	EVERY = 86400    /* once through all of them is enough for a day */
};

/* A store that is started every day must not begin with the same ones each time. */
static int begin(struct round *r, struct err *err)
{
	int64_t last = 0;

	if (db_int(r->view.db, &last, "SELECT max(id) FROM body", DB_NOARGS, err) < 0)
		return -1;
	r->scrub.next = r->hurry ? 0 : hash_u64(0) % ((uint64_t)last + 1);
	r->scrub.whole = r->scrub.next == 0;
	r->scrub.begun = true;
	return 0;
}

/* The next one. 1, 0 there is none behind, -1. */
static int find(struct round *r, uint64_t *size, struct err *err)
{
	struct rows *rows;
	int got;

	if (db_query(r->view.db, &rows,
		    "SELECT id, size FROM body WHERE id > $1 AND damaged = 0 ORDER BY id LIMIT 1",
		    DB_ARGS(DB_I((int64_t)r->scrub.next)), err) < 0)
		return -1;
	got = rows_next(rows, err);
	if (got == 1) {
		r->scrub.next = (uint64_t)rows_int(rows, 0);
		*size = (uint64_t)rows_int(rows, 1);
	}
	rows_free(&rows);
	return got;
}

/* What the kernel has in memory proves nothing about the disk. Of the log a segment at once, or
 * each body would cost what is read ahead for it. */
static void forget_pages(struct round *r)
{
	struct err ignored = ERR_INIT;
	struct body_place p;
	char name[BLOB_PATH];
	int fd;

	if (body_find(&r->view, r->scrub.next, &p, &ignored) < 0 ||
		(!p.blob[0] && p.segment == r->scrub.segment))
		return;
	if (p.blob[0]) {
		fd = blob_open(r->s->dir, str_c(p.blob), name, &ignored);
	} else {
		r->scrub.segment = p.segment;
		slog_segment_name(name, p.segment, ".seg");
		fd = io_open(r->s->dir, name, O_RDONLY, &ignored);
	}
	if (fd < 0)
		return;
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static void note_unread(struct round *r, const struct err *why)
{
	struct compactor *c = &r->s->compactor;

	log_event(LOG_WARN, "store.unread", L_U64("body", r->scrub.next), L_ERR(why));
	r->scrub.unread++;
	if (r->scrub.unread > atomic_load(&c->unread_count))
		atomic_store(&c->unread_count, r->scrub.unread);
}

static int read_all(struct round *r, uint64_t size, struct err *err)
{
	struct err why = ERR_INIT;
	struct str bytes = STR("");

	for (uint64_t at = 0; at < size && why.kind == ERR_NONE; at += bytes.n) {
		const int64_t began = clock_mono();

		if (body_read(&r->view, r->scrub.next, at, &bytes, &why) == 0 && !r->hurry &&
			!compact_pause(r, SHARE * (clock_mono() - began)))
			return err_set(err, ERR_CANCELED, "the store is closing");
	}
	/* Else it was right, or is marked now, or has gone meanwhile. */
	if (why.kind == ERR_TEMP)
		note_unread(r, &why);
	return 0;
}

static void end(struct round *r)
{
	if (r->scrub.whole) {
		r->scrub.due = clock_after(EVERY * CLOCK_SEC);
		atomic_store(&r->s->compactor.unread_count, r->scrub.unread);
	}
	r->scrub.unread = 0;
	r->scrub.segment = 0;
	r->scrub.next = 0;
	r->scrub.whole = true;
}

int compact_scrub(struct round *r, struct err *err)
{
	uint64_t bytes = 0, size = 0;
	int got = 1;

	if (clock_mono() < r->scrub.due)
		return 0;
	if (!r->scrub.begun && begin(r, err) < 0)
		return -1;
	body_cache_free(&r->view.cache); /* what was read before proves nothing */
	while (got == 1 && (r->hurry || bytes < ROUND)) {
		got = find(r, &size, err);
		if (got == 1)
			forget_pages(r);
		if (got == 1 && read_all(r, size, err) < 0)
			got = -1;
		bytes += size + EACH;
	}
	if (got == 0)
		end(r);
	return got < 0 ? err_wrap(err, "scrub") : 0;
}
