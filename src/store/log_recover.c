/* What happens when the log is opened (doc/store.md, "Recovery"). */
#include "base/log.h"
#include "store/io.h"
#include "store/log_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { ZERO_AT_LEAST = 8 << 20, PIECE = 1 << 20 };

struct recovery {
	struct slog *l;
	struct slog_cursor c;
	uint64_t lowest, highest; /* segment files that are there; 0: none */
	uint64_t replayed;
	uint64_t batch_start; /* where the last replayed batch begins, in c.at.segment */
	bool batch_complete;  /* its last record was found */
	uint64_t dirty_end;   /* behind the last byte that is not zero after the end */
	bool from_start;      /* there is no position */
	bool next_is_clean;   /* the segment after the last is all zero: ready for use */
};

/* Nothing is cut: what is wrong and where, for people. */
static void damage(struct slog *l, uint64_t segment, uint64_t offset, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void damage(struct slog *l, uint64_t segment, uint64_t offset, const char *fmt, ...)
{
	char name[SLOG_NAME], what[120];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	slog_segment_name(name, segment, ".seg");
	snprintf(l->damage, sizeof l->damage, "%s at byte %" PRIu64 ": %s", name, offset, what);
	log_event(LOG_ERROR, "store.damage", L_Z("what", l->damage));
}

static int list_segments(struct recovery *v, int dir, struct err *err)
{
	DIR *d = io_list(dir, "log", err);
	struct dirent *e;
	int got;

	if (!d)
		return -1;
	while ((got = io_next(d, "log", &e, err)) == 1) {
		struct str digits, suffix;
		char name[SLOG_NAME];
		uint64_t n;

		if (!str_cut(str_c(e->d_name), '.', &digits, &suffix) ||
			!str_u64(digits, INT64_MAX, &n) || n == 0)
			continue;
		slog_segment_name(name, n, ".new");
		if (str_eq(suffix, STR("new")) && io_remove(dir, name, err) < 0)
			break;
		if (!str_eq(suffix, STR("seg")))
			continue;
		if (v->lowest == 0 || n < v->lowest)
			v->lowest = n;
		if (n > v->highest)
			v->highest = n;
	}
	closedir(d);
	return got ? -1 : 0;
}

/* Apply everything that follows in the chain. */
static int replay_all(struct recovery *v, slog_replay_fn *replay, void *arg, struct err *err)
{
	struct err why = ERR_INIT;
	struct slog_record r;
	uint64_t batch = 0;
	int got;

	while ((got = slog_cursor_next(&v->c, &r, &why)) == 1) {
		if (r.version > SLOG_VERSION) {
			damage(v->l, r.segment, r.offset,
				"written by a newer version (record %" PRIu64 ")", r.sequence);
			v->l->unsure = r.batch == batch;
			return 0;
		}
		if (v->from_start && !v->replayed && r.sequence != 1) {
			damage(v->l, r.segment, r.offset,
				"the log does not go back to its beginning, and there is no index:"
				" `eilpost fsck --rebuild` makes it anew from a snapshot");
			return 0;
		}
		if (replay(arg, &r, err) < 0)
			return err_wrap(err, "record %" PRIu64, r.sequence);
		if (r.batch != batch)
			v->batch_start = r.offset;
		batch = r.batch;
		v->batch_complete = r.ends_batch;
		v->replayed++;
	}
	if (got < 0)
		damage(v->l, v->c.at.segment, v->c.at.offset, "%.100s", why.msg);
	v->l->unsure = got < 0;
	return 0;
}

/* A piece of what lies behind the break: where is its last byte that is not zero, and is there a
 * valid record of a later batch than `broken`? 1, 0, -1. */
static int search_piece(
	struct recovery *v, uint64_t offset, size_t n, uint64_t broken, struct err *err)
{
	struct slog_record r;
	struct str piece;
	uint64_t word;
	int got;

	if (slog_cursor_bytes(&v->c, offset, n, &piece, err) < 0)
		return -1;
	for (size_t i = 0; i + 8 <= piece.n; i += 8) {
		memcpy(&word, piece.p + i, 8);
		if (word == 0)
			continue;
		v->dirty_end = offset + i + 8;
		if (memcmp(piece.p + i, "ELR1", 4) != 0)
			continue;
		got = slog_cursor_record(&v->c, offset + i, &r, err);
		if (got == 1 && r.batch > broken)
			damage(v->l, v->c.at.segment, v->c.at.offset,
				"damaged, and record %" PRIu64 " follows later", r.sequence);
		if (got < 0 || (got == 1 && r.batch > broken))
			return got;
		if (slog_cursor_bytes(&v->c, offset, n, &piece, err) < 0) /* the window moved */
			return -1;
	}
	return 0;
}

/* The batch that broke may have left records behind it; only a record of a later one was written in
 * the knowledge that the broken one is safe. */
static int search_segment(struct recovery *v, uint64_t segment, uint64_t offset, struct err *err)
{
	const uint64_t broken = v->batch_complete ? v->c.at.batch + 1 : v->c.at.batch;
	int got = slog_cursor_open(&v->c, segment, err);

	v->dirty_end = 0;
	if (got != 1)
		return got;
	for (got = 0; got == 0 && offset < v->c.size; offset += PIECE)
		got = search_piece(v, offset, PIECE, broken, err);
	return got;
}

/* 0: a torn tail at most. */
static int search_rest(struct recovery *v, struct err *err)
{
	int got;

	for (uint64_t n = v->highest; n > v->c.at.segment; n--) {
		got = search_segment(v, n, SLOG_SEGMENT_HEAD, err);
		if (got)
			return got;
		/* Not there: a recovery before this one was ended while it removed them. */
		v->next_is_clean =
			n == v->c.at.segment + 1 && v->c.segment == n && v->dirty_end == 0;
	}
	v->dirty_end = 0;
	return v->c.at.offset ? search_segment(v, v->c.at.segment, v->c.at.offset, err) : 0;
}

static int write_zeros(struct slog *l, const char *name, uint64_t at, uint64_t end, struct err *err)
{
	static const char zeros[PIECE];

	while (at < end) {
		size_t n = end - at < PIECE ? (size_t)(end - at) : PIECE;

		if (io_write(l->fd, name, at, str_make(zeros, n), err) < 0)
			return -1;
		at += n;
	}
	return 0;
}

/* After a failed flush the page cache shows what the disk may not have. So the last batch is
 * written once more in place, what follows becomes zero, and both are flushed. */
static int write_tail_again(struct recovery *v, const char *name, struct err *err)
{
	const struct slog_position *at = &v->c.at;
	uint64_t end = at->offset + ZERO_AT_LEAST;
	uint64_t from = v->batch_start;
	struct str tail;

	if (v->replayed) {
		/* The search has ended in this segment, so it is open. */
		if (slog_cursor_bytes(&v->c, from, (size_t)(at->offset - from), &tail, err) < 0 ||
			io_write(v->l->fd, name, from, tail, err) < 0)
			return -1;
	}
	if (end > v->l->capacity)
		end = v->l->capacity;
	if (end < v->dirty_end)
		end = v->dirty_end;
	if (write_zeros(v->l, name, at->offset, end, err) < 0)
		return -1;
	return io_flush(v->l->fd, name, err);
}

/* Segments behind the end hold nothing but the torn batch, or zeros. */
static int drop_later_segments(struct recovery *v, struct err *err)
{
	char name[SLOG_NAME];
	uint64_t first = v->c.at.segment + 1;

	if (v->next_is_clean) {
		slog_segment_name(name, first, ".seg");
		v->l->ahead.ready = io_open(v->l->dir, name, O_RDWR, err);
		if (v->l->ahead.ready < 0)
			return -1;
		first++;
	}
	for (uint64_t n = first; n <= v->highest; n++) {
		slog_segment_name(name, n, ".seg");
		if (io_remove(v->l->dir, name, err) < 0)
			return -1;
	}
	/* Also when nothing was removed: whoever made these segments may have been killed between a
	 * rename and its flush. */
	return io_flush_dir(v->l->dir, "log", err) < 0 ? -1 : 0;
}

static int repair(struct recovery *v, struct err *err)
{
	struct slog_segment head;
	char name[SLOG_NAME];

	if (v->c.at.offset) {
		slog_segment_name(name, v->c.at.segment, ".seg");
		v->l->fd = io_open(v->l->dir, name, O_RDWR, err);
		if (v->l->fd < 0 || io_size(v->l->fd, name, &v->l->capacity, err) < 0 ||
			slog_segment_read(v->l->fd, v->c.at.segment, &head, err) < 0)
			return -1;
		v->l->salt = head.salt;
		if ((v->replayed || v->dirty_end) && write_tail_again(v, name, err) < 0)
			return -1;
	}
	return drop_later_segments(v, err);
}

/* The index knows a position: it must be there. */
static void check_start(struct recovery *v, const struct slog_position *from)
{
	struct err why = ERR_INIT;
	int got;

	v->batch_complete = true;
	if (from->segment == 0) {
		v->from_start = true;
		v->c.at.segment = v->lowest ? v->lowest - 1 : 0;
		/* What has been compacted cannot be replayed from its beginning. */
		if (v->lowest > 1)
			damage(v->l, v->lowest, 0,
				"the index is empty, and the log no longer has its first records: "
				"`eilpost fsck`");
		return;
	}
	got = slog_cursor_check(&v->c, &why);
	if (got <= 0)
		damage(v->l, from->segment, from->last,
			"record %" PRIu64 ", the last that the index knows, is not there",
			from->sequence);
}

static void cannot(struct slog *l, const char *what, const struct err *why)
{
	snprintf(l->damage, sizeof l->damage, "the log cannot be %s: %.160s", what, why->msg);
	l->unsure = true;
}

int slog_recover(struct slog *l, const struct slog_position *from, slog_replay_fn *replay,
	void *arg, struct err *err)
{
	struct recovery v = { .l = l };
	struct err why = ERR_INIT;
	uint64_t dirty;
	int r = -1;

	slog_cursor_init(&v.c, l->dir, from);
	if (list_segments(&v, l->dir, err) < 0)
		goto out;
	check_start(&v, from);
	if (!l->damage[0] && replay_all(&v, replay, arg, err) < 0)
		goto out;
	r = 0;
	if (!l->damage[0] && search_rest(&v, &why) < 0)
		cannot(l, "read", &why);
	dirty = v.dirty_end;
	if (!l->damage[0] && repair(&v, &why) < 0)
		cannot(l, "repaired", &why);
	if (v.replayed || dirty)
		log_event(LOG_INFO, "store.recovered", L_U64("records", v.replayed),
			L_U64("torn", dirty > v.c.at.offset ? dirty - v.c.at.offset : 0));
out:
	l->at = v.c.at;
	slog_cursor_free(&v.c);
	return r;
}
