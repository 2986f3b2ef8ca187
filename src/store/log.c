/* The writer's side of the log: batches and segments. Recovery is in log_recover.c, reading in
 * log_read.c. */
#include "store/log.h"
#include "store/io.h"
#include "store/log_private.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int slog_open(struct slog **out, int dir, const struct slog_options *o,
	const struct slog_position *from, slog_replay_fn *replay, void *arg, struct err *err)
{
	struct slog *l = calloc(1, sizeof *l);

	*out = NULL;
	if (!l)
		return err_set(err, ERR_TEMP, "out of memory for the log");
	l->dir = dir;
	l->fd = -1;
	l->segment_bytes = o->segment_bytes ? o->segment_bytes : SLOG_SEGMENT_BYTES;
	l->batch = BUF(SLOG_BATCH_MAX);
	pthread_mutex_init(&l->files_lock, NULL);
	slog_ahead_start(&l->ahead, dir, l->segment_bytes, o->spare_bytes);
	if (io_mkdir(dir, "log", err) < 0 || slog_recover(l, from, replay, arg, err) < 0) {
		slog_close(&l);
		return -1;
	}
	if (!slog_damage(l))
		slog_ahead_want(&l->ahead, l->at.segment + 1);
	*out = l;
	return 0;
}

void slog_close(struct slog **out)
{
	struct slog *l = *out;

	*out = NULL;
	if (!l)
		return;
	slog_ahead_stop(&l->ahead);
	for (size_t i = 0; i < SLOG_FILES; i++)
		if (l->files[i].segment)
			close(l->files[i].fd);
	if (l->fd >= 0)
		close(l->fd);
	pthread_mutex_destroy(&l->files_lock);
	buf_free(&l->batch);
	free(l);
}

const char *slog_damage(const struct slog *l)
{
	return l->damage[0] ? l->damage : NULL;
}

bool slog_is_unsure(const struct slog *l)
{
	return l->unsure;
}

/* Go on in the next segment. */
static int rotate(struct slog *l, struct err *err)
{
	uint64_t number = l->at.segment + 1;
	char name[SLOG_NAME];
	struct slog_segment head;
	int fd = slog_ahead_take(&l->ahead, number, err);

	if (fd < 0)
		return -1;
	slog_segment_name(name, number, ".seg");
	if (io_size(fd, name, &l->capacity, err) < 0 ||
		slog_segment_read(fd, number, &head, err) < 0) {
		close(fd);
		return -1;
	}
	if (l->fd >= 0)
		close(l->fd);
	l->fd = fd;
	l->at.segment = number;
	l->at.offset = SLOG_SEGMENT_HEAD;
	l->salt = head.salt;
	slog_ahead_want(&l->ahead, number + 1);
	return 0;
}

int slog_batch_begin(struct slog *l, size_t expected, struct err *err)
{
	uint64_t start = slog_round(l->at.offset, SLOG_ALIGN);

	if (l->damage[0])
		return err_set(err, ERR_TEMP, "the store is read-only: %.180s", l->damage);
	slog_batch_drop(l);
	/* What does not fit at all makes its own segment longer. */
	if (l->fd < 0 ||
		(start > SLOG_SEGMENT_HEAD && start + expected + SLOG_SLACK > l->capacity)) {
		if (rotate(l, err) < 0)
			return -1;
		start = SLOG_SEGMENT_HEAD;
	}
	l->batch_start = start;
	return 0;
}

bool slog_batch_fits(const struct slog *l, size_t expected)
{
	uint64_t end = l->batch_start + l->batch.n;

	return l->count == 0 ||
		(end + expected + SLOG_SLACK <= l->capacity &&
			l->batch.n + expected + SLOG_SLACK < SLOG_BATCH_MAX);
}

void slog_body_place(const struct slog *l, uint64_t *segment, uint64_t *offset)
{
	*segment = l->at.segment;
	*offset = l->batch_start + l->batch.n + SLOG_RECORD_HEAD;
}

int slog_batch_add(
	struct slog *l, int64_t time, struct str body, struct str effects, struct err *err)
{
	const struct slog_record r = { .sequence = l->at.sequence + l->count + 1,
		.batch = l->at.batch + 1,
		.time = time,
		.body = body,
		.effects = effects };
	size_t start = l->batch.n;
	char head[SLOG_RECORD_HEAD];
	static const char zeros[8];

	slog_record_put(head, &r);
	buf_add(&l->batch, str_make(head, sizeof head));
	buf_add(&l->batch, body);
	buf_add(&l->batch, effects);
	buf_add(&l->batch, str_make(zeros, (size_t)(slog_round(l->batch.n, 8) - l->batch.n)));
	if (!buf_ok(&l->batch)) {
		buf_cut(&l->batch, start); /* half a record must not be written behind the others */
		return err_set(err, ERR_TEMP, "out of memory for a batch of the log");
	}
	l->last = start;
	l->count++;
	return 0;
}

/* Chain and checksum, record after record. */
static uint32_t seal(struct slog *l)
{
	size_t at = 0;
	uint32_t previous = l->at.checksum;

	for (uint64_t i = 0; i < l->count; i++) {
		char *record = l->batch.p + at;
		uint32_t length;

		memcpy(&length, record + 8, sizeof length);
		length = le32toh(length);
		previous = slog_record_seal(record, l->salt, previous, i + 1 == l->count);
		at += (size_t)slog_round(length, 8);
	}
	return previous;
}

/* The zeros behind the batch are there already, but not in memory: writing them again up to the end
 * of the page spares the kernel reading that page from the disk first. */
static void fill_page(struct slog *l)
{
	static const char zeros[SLOG_PAGE];
	uint64_t end = l->batch_start + l->batch.n, to = slog_round(end, SLOG_PAGE);

	if (to <= l->capacity)
		buf_add(&l->batch, str_make(zeros, (size_t)(to - end)));
}

int slog_batch_commit(struct slog *l, struct slog_position *after, struct err *err)
{
	char name[SLOG_NAME];
	int r = -1;

	if (l->count == 0) {
		*after = l->at;
		slog_batch_drop(l);
		return 0;
	}
	slog_segment_name(name, l->at.segment, ".seg");
	*after = l->at;
	after->checksum = seal(l);
	after->sequence += l->count;
	after->batch++;
	after->last = l->batch_start + l->last;
	after->offset = l->batch_start + l->batch.n;
	fill_page(l);
	if (io_write(l->fd, name, l->batch_start, buf_str(&l->batch), err) < 0 ||
		io_flush(l->fd, name, err) < 0)
		goto out;
	l->at = *after;
	if (l->at.offset > l->capacity)
		l->capacity = l->at.offset;
	r = 0;
out:
	slog_batch_drop(l);
	return r;
}

int slog_batch_each(struct slog *l, slog_replay_fn *fn, void *arg, struct err *err)
{
	struct str rest = buf_str(&l->batch);
	size_t body, effects, n;
	struct slog_record r;

	for (uint64_t i = 0; i < l->count; i++, rest = str_from(rest, n)) {
		n = slog_record_sizes(rest.p, &body, &effects);
		r = (struct slog_record){ .segment = l->at.segment,
			.offset = l->batch_start + (uint64_t)(rest.p - l->batch.p),
			.effects = str_make(rest.p + SLOG_RECORD_HEAD + body, effects) };
		if (fn(arg, &r, err) < 0)
			return -1;
	}
	return 0;
}

void slog_batch_drop(struct slog *l)
{
	buf_clear(&l->batch);
	if (l->batch.cap > (4u << 20))
		buf_free(&l->batch);
	l->count = 0;
	l->last = 0;
}
