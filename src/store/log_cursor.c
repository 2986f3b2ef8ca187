/* Walking the chain, for recovery and for those who read along behind the writer. */
#include "store/io.h"
#include "store/log_private.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { WINDOW = 1 << 20, GLANCE = 2048 };

void slog_cursor_init(struct slog_cursor *c, int dir, const struct slog_position *at)
{
	*c = (struct slog_cursor){
		.dir = dir, .fd = -1, .window = BUF(SLOG_BATCH_MAX), .ahead = WINDOW, .at = *at
	};
}

void slog_cursor_free(struct slog_cursor *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	c->segment = 0;
	buf_free(&c->window);
}

int slog_cursor_open(struct slog_cursor *c, uint64_t segment, struct err *err)
{
	struct slog_segment head = { 0 };
	struct err why = ERR_INIT;
	char name[SLOG_NAME];

	if (c->segment == segment)
		return 1;
	if (c->fd >= 0)
		close(c->fd);
	c->segment = 0;
	buf_clear(&c->window);
	slog_segment_name(name, segment, ".seg");
	c->fd = io_open(c->dir, name, O_RDONLY, &why);
	if (c->fd < 0 && why.kind == ERR_NOTFOUND)
		return 0;
	if (c->fd < 0 || io_size(c->fd, name, &c->size, &why) < 0 ||
		slog_segment_read(c->fd, segment, &head, &why) < 0) {
		*err = why;
		return -1;
	}
	c->segment = segment;
	c->salt = head.salt;
	return 1;
}

int slog_cursor_bytes(
	struct slog_cursor *c, uint64_t offset, size_t n, struct str *out, struct err *err)
{
	uint64_t left = offset < c->size ? c->size - offset : 0;
	char name[SLOG_NAME], *room;
	size_t want;

	if (n > left)
		n = (size_t)left;
	if (offset < c->start || offset + n > c->start + c->window.n) {
		want = n > c->ahead ? n : left < c->ahead ? (size_t)left : c->ahead;
		buf_clear(&c->window);
		room = buf_room(&c->window, want);
		if (!room)
			return err_set(err, ERR_TEMP, "out of memory to read the log");
		slog_segment_name(name, c->segment, ".seg");
		if (io_read(c->fd, name, offset, room, want, err) < 0)
			return -1;
		buf_grew(&c->window, want);
		c->start = offset;
	}
	*out = str_head(str_from(buf_str(&c->window), (size_t)(offset - c->start)), n);
	return 0;
}

static int read_effects(struct slog_cursor *c, uint64_t offset, size_t body, size_t effects,
	struct slog_record *r, struct err *err)
{
	if (slog_cursor_bytes(c, offset + SLOG_RECORD_HEAD + body, effects, &r->effects, err) < 0)
		return -1;
	r->body = STR("");
	return 1;
}

static int read_all(
	struct slog_cursor *c, uint64_t offset, size_t n, struct slog_record *r, struct err *err)
{
	struct str bytes;

	if (slog_cursor_bytes(c, offset, n, &bytes, err) < 0)
		return -1;
	return slog_record_parse(bytes, c->salt, r) != 0;
}

int slog_cursor_record(
	struct slog_cursor *c, uint64_t offset, struct slog_record *r, struct err *err)
{
	size_t n, body, effects;
	struct str head;
	int got;

	if (slog_cursor_bytes(c, offset, SLOG_RECORD_HEAD, &head, err) < 0)
		return -1;
	n = slog_record_head(head, c->salt, r, &body, &effects);
	if (n == 0 || SLOG_RECORD_HEAD + body + effects > c->size - offset || n > SLOG_BATCH_MAX)
		return 0;
	got = c->effects_only ? read_effects(c, offset, body, effects, r, err)
			      : read_all(c, offset, SLOG_RECORD_HEAD + body + effects, r, err);
	if (got != 1)
		return got;
	r->segment = c->segment;
	r->offset = offset;
	r->after.segment = c->segment;
	r->after.last = offset;
	r->after.offset = offset + n;
	return 1;
}

static int follows_at(
	struct slog_cursor *c, uint64_t offset, struct slog_record *r, struct err *err)
{
	int got = slog_cursor_record(c, offset, r, err);

	if (got != 1)
		return got;
	if (c->at.offset == 0) /* the first that is kept */
		return offset == SLOG_SEGMENT_HEAD;
	return r->previous == c->at.checksum && r->sequence == c->at.sequence + 1 &&
		(r->batch == c->at.batch || r->batch == c->at.batch + 1);
}

int slog_cursor_next(struct slog_cursor *c, struct slog_record *r, struct err *err)
{
	const uint64_t here = c->at.offset, batch = slog_round(here, SLOG_ALIGN);
	int got = 0;

	if (here) {
		got = slog_cursor_open(c, c->at.segment, err);
		if (got == 1)
			got = follows_at(c, here, r, err);
		if (got == 0 && c->segment && batch != here)
			got = follows_at(c, batch, r, err);
	}
	if (got == 0) {
		got = slog_cursor_open(c, c->at.segment + 1, err);
		if (got == 1)
			got = follows_at(c, SLOG_SEGMENT_HEAD, r, err);
	}
	if (got == 1)
		c->at = r->after;
	return got;
}

int slog_cursor_check(struct slog_cursor *c, struct err *err)
{
	struct slog_record r;
	int got;

	if (c->at.offset == 0) /* fsck: the log begins anew with the next segment */
		return 1;
	got = slog_cursor_open(c, c->at.segment, err);
	if (got == 1)
		got = slog_cursor_record(c, c->at.last, &r, err);
	if (got != 1)
		return got;
	return r.sequence == c->at.sequence && r.after.checksum == c->at.checksum &&
		r.after.offset == c->at.offset;
}

int slog_follow(int dir, struct slog_position *at, uint64_t until, size_t max, slog_replay_fn *fn,
	void *arg, struct err *err)
{
	struct slog_cursor c;
	struct slog_record r;
	int got = 1, count = 0;

	slog_cursor_init(&c, dir, at);
	c.effects_only = true;
	c.ahead = GLANCE;
	while (got == 1 && (size_t)count < max && c.at.sequence < until) {
		got = slog_cursor_next(&c, &r, err);
		if (got == 1 && fn(arg, &r, err) < 0)
			got = -1;
		if (got == 1) {
			*at = r.after;
			count++;
		}
	}
	slog_cursor_free(&c);
	return got < 0 ? -1 : count;
}
