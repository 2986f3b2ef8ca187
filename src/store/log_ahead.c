/* The helper thread that makes the next segment while the current one fills. */
#include "base/clock.h"
#include "base/log.h"
#include "store/io.h"
#include "store/log_private.h"

#include <fcntl.h>
#include <sys/random.h>
#include <unistd.h>

enum { PIECE = 1 << 20 };

static int write_zeros(int fd, const char *name, uint64_t at, uint64_t end, struct err *err)
{
	static _Alignas(SLOG_PAGE) const char zeros[PIECE];

	for (; at < end; at += PIECE) {
		uint64_t left = end - at;

		if (io_write(fd, name, at, str_make(zeros, left < PIECE ? (size_t)left : PIECE),
			    err) < 0)
			return -1;
	}
	return 0;
}

/* Past the page cache where the file system can: nobody reads these zeros, and 64 MiB of them
 * copied and written back cost more than all of a message's other work on the log. */
static int fill(int dir, int fd, const char *name, uint64_t bytes, struct err *err)
{
	uint64_t whole = bytes / SLOG_PAGE * SLOG_PAGE;
	struct err unable = ERR_INIT;
	int r, direct = io_open(dir, name, O_WRONLY | O_DIRECT, &unable);

	if (direct < 0)
		return write_zeros(fd, name, 0, bytes, err);
	r = write_zeros(direct, name, 0, whole, err);
	close(direct);
	return r < 0 ? -1 : write_zeros(fd, name, whole, bytes, err);
}

static int write_head(int fd, const char *name, uint64_t number, struct err *err)
{
	struct slog_segment s = { .number = number, .created = clock_wall_us() };
	char head[SLOG_SEGMENT_HEAD];

	if (getrandom(&s.salt, sizeof s.salt, 0) != sizeof s.salt)
		return err_sys(err, "draw random bytes for", name);
	slog_segment_put(head, &s);
	return io_write(fd, name, 0, str_make(head, sizeof head), err);
}

int slog_segment_read(int fd, uint64_t number, struct slog_segment *s, struct err *err)
{
	char name[SLOG_NAME], head[SLOG_SEGMENT_HEAD];

	slog_segment_name(name, number, ".seg");
	if (io_read(fd, name, 0, head, sizeof head, err) < 0)
		return -1;
	if (!slog_segment_parse(str_make(head, sizeof head), s) || s->number != number)
		return err_set(err, ERR_PROTO, "%s: its head is damaged", name);
	return 0;
}

int slog_segment_make(const struct slog_ahead *a, uint64_t number, struct err *err)
{
	const int dir = a->dir;
	char name[SLOG_NAME], tmp[SLOG_NAME];
	struct err ignored = ERR_INIT;
	int fd;

	if (a->spare && io_free_bytes(dir) < a->bytes + a->spare)
		return err_set(err, ERR_FULL, "no space for the next segment of the log");
	slog_segment_name(name, number, ".seg");
	slog_segment_name(tmp, number, ".new");
	fd = io_open(dir, tmp, O_RDWR | O_CREAT | O_TRUNC, err);
	if (fd < 0)
		return -1;
	/* Written in full before it gets its name: a segment file is never short. */
	if (fill(dir, fd, tmp, a->bytes, err) < 0 || write_head(fd, tmp, number, err) < 0 ||
		io_flush(fd, tmp, err) < 0 || io_rename(dir, tmp, name, err) < 0)
		goto fail;
	if (io_flush_dir(dir, "log", err) == 0)
		return fd;
fail:
	close(fd);
	io_remove(dir, tmp, &ignored);
	return -1;
}

static void *make_segments(void *arg)
{
	struct slog_ahead *a = arg;
	struct err err = ERR_INIT;
	int fd;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		uint64_t number = a->wanted;

		if (a->stop)
			break;
		if (number == 0 || a->ready >= 0) {
			pthread_cond_wait(&a->cond, &a->lock);
			continue;
		}
		pthread_mutex_unlock(&a->lock);
		fd = slog_segment_make(a, number, &err);
		pthread_mutex_lock(&a->lock);
		a->ready = fd;
		if (fd < 0) {
			log_event(LOG_WARN, "store.segment", L_U64("number", number), L_ERR(&err));
			a->wanted = 0; /* the writer tries itself when it comes to that */
		}
		pthread_cond_broadcast(&a->cond);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

void slog_ahead_start(struct slog_ahead *a, int dir, uint64_t bytes, uint64_t spare)
{
	*a = (struct slog_ahead){ .dir = dir, .bytes = bytes, .spare = spare, .ready = -1 };
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->cond, NULL);
	/* Without the thread the writer makes its segments itself. */
	a->running = pthread_create(&a->thread, NULL, make_segments, a) == 0;
}

void slog_ahead_want(struct slog_ahead *a, uint64_t number)
{
	pthread_mutex_lock(&a->lock);
	a->wanted = a->running ? number : 0;
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
}

int slog_ahead_take(struct slog_ahead *a, uint64_t number, struct err *err)
{
	int fd = -1;

	pthread_mutex_lock(&a->lock);
	while (a->wanted == number && a->ready < 0)
		pthread_cond_wait(&a->cond, &a->lock);
	if (a->wanted == number) {
		fd = a->ready;
		a->ready = -1;
		a->wanted = 0;
	}
	pthread_mutex_unlock(&a->lock);
	return fd >= 0 ? fd : slog_segment_make(a, number, err);
}

void slog_ahead_stop(struct slog_ahead *a)
{
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->cond);
	pthread_mutex_unlock(&a->lock);
	if (a->running)
		pthread_join(a->thread, NULL);
	if (a->ready >= 0)
		close(a->ready);
	pthread_cond_destroy(&a->cond);
	pthread_mutex_destroy(&a->lock);
}
