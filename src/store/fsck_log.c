/* Reading the log whatever state it is in. Each segment is read as a whole; what cannot be read
 * counts as zeros, and is told. */
#include "store/effect.h"
#include "store/fsck_private.h"
#include "store/io.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };
#define SEGMENT_MAX (UINT64_C(2) << 30)

struct numbers {
	uint64_t *v;
	size_t n, cap;
};

static int add_number(struct numbers *l, uint64_t number, struct err *err)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		uint64_t *v = reallocarray(l->v, cap, sizeof *v);

		if (!v)
			return err_set(err, ERR_TEMP, "out of memory to list the log");
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = number;
	return 0;
}

static int ascending(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int list_segments(int dir, uint64_t from, struct numbers *l, struct err *err)
{
	struct err why = ERR_INIT;
	DIR *d = io_list(dir, "log", &why);
	struct dirent *e;
	int got = 0, r = 0;

	if (!d && why.kind == ERR_NOTFOUND)
		return 0;
	while (d && r == 0 && (got = io_next(d, "log", &e, &why)) == 1) {
		const uint64_t n = slog_segment_number(str_c(e->d_name));

		if (n && n >= from)
			r = add_number(l, n, err);
	}
	if (d)
		closedir(d);
	if (!d || got < 0) {
		*err = why;
		return -1;
	}
	if (l->n)
		qsort(l->v, l->n, sizeof *l->v, ascending);
	return r;
}

static int tell_gap(struct log_walk *w, uint64_t segment, uint64_t from, uint64_t to,
	uint64_t before, bool is_tail, const char *what, struct err *err)
{
	const struct log_gap g = { segment, from, to, w->last.sequence, before, is_tail, 0, what };

	return w->gap(w->arg, &g, err);
}

/* Files that lack before the one that the record is in. */
static int tell_absent(struct log_walk *w, const struct slog_record *r, struct err *err)
{
	const struct log_gap g = { .segment = r->segment - w->absent,
		.after = w->last.sequence,
		.before = r->sequence,
		.absent = w->absent,
		.what = "is not there" };

	w->absent = 0;
	return g.before > g.after + 1 ? w->gap(w->arg, &g, err) : 0;
}

void log_absent_text(char text[LOG_ABSENT], const struct log_gap *g)
{
	if (g->absent == 1)
		snprintf(text, LOG_ABSENT, "log/%010" PRIu64 ".seg is not there", g->segment);
	else
		snprintf(text, LOG_ABSENT,
			"log/%010" PRIu64 ".seg to log/%010" PRIu64 ".seg are not there",
			g->segment, g->segment + g->absent - 1);
}

/* A piece that the disk does not give is zeros. */
static int read_pieces(struct log_walk *w, int fd, uint64_t number, uint64_t size, struct err *err)
{
	char name[SLOG_NAME], *p;
	struct err why;

	slog_segment_name(name, number, ".seg");
	buf_clear(&w->bytes);
	p = buf_room(&w->bytes, (size_t)size);
	if (!p)
		return err_set(err, ERR_TEMP, "out of memory to read %s", name);
	for (uint64_t at = 0; at < size; at += PIECE) {
		size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;

		if (io_read(fd, name, at, p + at, n, &why) == 0)
			continue;
		memset(p + at, 0, n);
		if (tell_gap(w, number, at, at + n, 0, false, "cannot be read", err) < 0)
			return -1;
	}
	buf_grew(&w->bytes, (size_t)size);
	return 0;
}

static int read_segment(
	struct log_walk *w, uint64_t number, struct slog_segment *head, struct err *err)
{
	char name[SLOG_NAME];
	uint64_t size = 0;
	int fd, r = -1;

	slog_segment_name(name, number, ".seg");
	fd = io_open(w->dir, name, O_RDONLY, err);
	if (fd < 0)
		return -1;
	if (io_size(fd, name, &size, err) == 0)
		r = size > SEGMENT_MAX ? err_set(err, ERR_LIMIT, "%s is too large", name)
				       : read_pieces(w, fd, number, size, err);
	close(fd);
	if (r < 0)
		return -1;
	if (slog_segment_parse(buf_str(&w->bytes), head) && head->number == number)
		return 1;
	return tell_gap(w, number, 0, size, 0, false,
		"has no valid head, so nothing in it can be read", err);
}

/* The record at an offset, when there is a valid one. */
static bool record_at(const struct log_walk *w, uint64_t number, uint32_t salt, uint64_t at,
	struct slog_record *r)
{
	size_t n;

	if (at >= w->bytes.n)
		return false;
	n = slog_record_parse(str_from(buf_str(&w->bytes), (size_t)at), salt, r);
	if (n == 0)
		return false;
	r->segment = number;
	r->offset = at;
	r->after.segment = number;
	r->after.last = at;
	r->after.offset = at + n;
	return true;
}

/* The next valid record from an offset on. *dirty: there is something else before it (or, without
 * one, before the end). */
static bool find_record(const struct log_walk *w, uint64_t number, uint32_t salt, uint64_t at,
	bool *dirty, struct slog_record *r)
{
	uint64_t word;

	*dirty = false;
	for (; at + 8 <= w->bytes.n; at += 8) {
		memcpy(&word, w->bytes.p + at, 8);
		if (word == 0)
			continue;
		if (record_at(w, number, salt, at, r))
			return true;
		*dirty = true;
	}
	return false;
}

/* Does the record continue what came before it? A segment that is not there between them was
 * removed when nothing in it was needed any more. */
static bool continues(const struct log_walk *w, const struct slog_record *r)
{
	if (w->last.sequence == 0 || r->segment > w->last_number + 1)
		return true;
	return r->sequence == w->last.sequence + 1 && r->previous == w->last.checksum;
}

static int take_record(
	struct log_walk *w, const struct slog_record *r, uint64_t from, bool dirty, struct err *err)
{
	if (!continues(w, r)) {
		if (r->sequence <= w->last.sequence) /* an older one that was left behind */
			return 0;
		if (tell_gap(w, r->segment, from, r->offset, r->sequence, false,
			    dirty ? "is damaged" : "lacks records", err) < 0)
			return -1;
	}
	if (w->absent && tell_absent(w, r, err) < 0)
		return -1;
	w->last = r->after;
	w->last_number = r->segment;
	w->records++;
	return w->record(w->arg, r, err);
}

static int walk_segment(struct log_walk *w, uint64_t number, bool is_last, struct err *err)
{
	uint64_t at = SLOG_SEGMENT_HEAD;
	struct slog_segment head = { 0 };
	struct slog_record r;
	bool dirty = false;
	int got = read_segment(w, number, &head, err);

	if (got <= 0)
		return got;
	while (find_record(w, number, head.salt, at, &dirty, &r)) {
		if (take_record(w, &r, at, dirty, err) < 0)
			return -1;
		at = r.after.offset;
	}
	if (!dirty)
		return 0;
	return tell_gap(w, number, at, w->bytes.n, 0, is_last,
		is_last ? "ends in something that is no record" : "is damaged", err);
}

/* The last segment with anything in it: empty ones may follow. */
int log_walk(struct log_walk *w, struct err *err)
{
	struct numbers l = { 0 };
	uint64_t before = w->from ? w->from - 1 : 0;
	int r = list_segments(w->dir, w->from, &l, err);

	w->bytes = BUF(SEGMENT_MAX);
	w->highest = l.n ? l.v[l.n - 1] : 0;
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		w->segments++;
		w->absent = l.v[i] - before - 1;
		before = l.v[i];
		r = walk_segment(w, l.v[i], i + 2 >= l.n, err);
	}
	buf_free(&w->bytes);
	free(l.v);
	return r;
}

/* ---- the check ---- */

struct check {
	struct fsck *f;
	bool found_position;
};

static bool is_position(const struct slog_position *at, const struct slog_record *r)
{
	return r->segment == at->segment && r->offset == at->last && r->sequence == at->sequence &&
		r->after.checksum == at->checksum;
}

static int check_record(void *arg, const struct slog_record *r, struct err *err)
{
	struct check *c = arg;
	struct str effects = r->effects, fields;
	uint16_t number;

	(void)err;
	c->found_position |= is_position(&c->f->at, r);
	if (r->version > SLOG_VERSION)
		fsck_say(c->f, "log.version", FSCK_WRONG, false,
			"record %" PRIu64 " was written by a newer version of this program",
			r->sequence);
	while (effect_next(&effects, &number, &fields))
		if (!effect_name(number))
			fsck_say(c->f, "log.version", FSCK_WRONG, false,
				"record %" PRIu64
				" says something (%u) that only a newer version understands",
				r->sequence, number);
	if (effects.n)
		fsck_say(c->f, "log.record", FSCK_WRONG, false,
			"record %" PRIu64 " is whole, but what it says is malformed", r->sequence);
	return 0;
}

/* What lies before every snapshot may have gone. */
static void check_absent(struct fsck *f, const struct log_gap *g)
{
	char text[LOG_ABSENT];

	if (f->safe_sequence && g->before <= f->safe_sequence + 1)
		return;
	log_absent_text(text, g);
	fsck_say(f, "log.absent", FSCK_WRONG, false, "%s: the records from %" PRIu64 " to %" PRIu64,
		text, g->after + 1, g->before - 1);
}

/* What lies before every snapshot is not needed to make the index anew. */
static bool is_past(const struct fsck *f, const struct log_gap *g)
{
	return g->segment < f->safe_segment ||
		(f->safe_sequence && g->before && g->before <= f->safe_sequence);
}

static int check_gap(void *arg, const struct log_gap *g, struct err *err)
{
	struct check *c = arg;
	const bool past = is_past(c->f, g), tail = g->is_tail && !past;
	char around[100] = "";

	(void)err;
	if (g->absent) {
		check_absent(c->f, g);
		return 0;
	}
	if (g->before)
		snprintf(around, sizeof around, ", between the records %" PRIu64 " and %" PRIu64,
			g->after, g->before);
	fsck_say(c->f, tail ? "log.tail" : "log.damage", tail || past ? FSCK_NOTE : FSCK_WRONG,
		false, "log/%010" PRIu64 ".seg %s (bytes %" PRIu64 " to %" PRIu64 "%s)%s",
		g->segment, g->what, g->from, g->to, around,
		past           ? "; the snapshots of the index are later"
			: tail ? ": a batch that nobody was told of; the next start clears it away"
			       : "");
	return 0;
}

int fsck_check_log(struct fsck *f, struct err *err)
{
	struct check c = { .f = f, .found_position = f->at.offset == 0 };
	struct log_walk w = { .dir = f->dir, .record = check_record, .gap = check_gap, .arg = &c };

	if (log_walk(&w, err) < 0)
		return -1;
	f->out->segments = w.segments;
	f->out->records = w.records;
	if (!c.found_position)
		fsck_say(f, "log.position", FSCK_WRONG, false,
			"record %" PRIu64
			", the last that the index knows, is not in log/%010" PRIu64 ".seg",
			f->at.sequence, f->at.segment);
	else if (w.last.sequence > f->at.sequence)
		fsck_say(f, "log.ahead", FSCK_NOTE, false,
			"the last %" PRIu64
			" records of the log are not in the index yet; the next start applies them",
			w.last.sequence - f->at.sequence);
	return 0;
}
