/* Reading bodies, from any thread: a few segments stay open. */
#include "store/io.h"
#include "store/log_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

/* A descriptor of a segment: from the table, else opened now and put there if its place is free
 * to take. *slot is NULL when the caller must close it. */
static int borrow(struct slog *l, uint64_t segment, struct slog_file **slot, struct err *err)
{
	struct slog_file *f = &l->files[segment % SLOG_FILES];
	char name[SLOG_NAME];
	int fd = -1;

	slog_segment_name(name, segment, ".seg");
	pthread_mutex_lock(&l->files_lock);
	if (f->segment != segment && f->users == 0) {
		if (f->segment)
			close(f->fd);
		f->fd = io_open(l->dir, name, O_RDONLY, err);
		f->segment = f->fd >= 0 ? segment : 0;
		f->gone = false;
		fd = f->fd;
	} else if (f->segment == segment) {
		fd = f->fd;
	}
	*slot = fd >= 0 ? f : NULL;
	if (*slot)
		f->users++;
	else if (f->segment) /* another one, in use */
		fd = io_open(l->dir, name, O_RDONLY, err);
	pthread_mutex_unlock(&l->files_lock);
	return fd;
}

static void close_if_gone(struct slog_file *f)
{
	if (!f->gone || f->users)
		return;
	close(f->fd);
	*f = (struct slog_file){ 0 };
}

void slog_forget(struct slog *l, uint64_t segment)
{
	struct slog_file *f = &l->files[segment % SLOG_FILES];

	pthread_mutex_lock(&l->files_lock);
	if (f->segment == segment) {
		f->gone = true;
		close_if_gone(f);
	}
	pthread_mutex_unlock(&l->files_lock);
}

int slog_next_segment(int dir, uint64_t after, uint64_t *number, struct err *err)
{
	DIR *d = io_list(dir, "log", err);
	struct dirent *e;
	int got = -1;

	*number = 0;
	while (d && (got = io_next(d, "log", &e, err)) == 1) {
		uint64_t n = slog_segment_number(str_c(e->d_name));

		if (n > after && (*number == 0 || n < *number))
			*number = n;
	}
	if (d)
		closedir(d);
	return got < 0 ? -1 : *number != 0;
}

int slog_read(struct slog *l, uint64_t segment, uint64_t offset, char *p, size_t n, struct err *err)
{
	struct slog_file *slot = NULL;
	int fd = borrow(l, segment, &slot, err), r;

	if (fd < 0)
		return -1;
	r = io_read(fd, "log", offset, p, n, err);
	if (r < 0)
		err_wrap(err, "segment %" PRIu64, segment);
	if (slot) {
		pthread_mutex_lock(&l->files_lock);
		slot->users--;
		close_if_gone(slot);
		pthread_mutex_unlock(&l->files_lock);
	} else {
		close(fd);
	}
	return r;
}

uint64_t slog_bytes(const struct slog *l)
{
	struct err ignored = ERR_INIT;
	DIR *d = io_list(l->dir, "log", &ignored);
	struct dirent *e;
	struct stat st;
	uint64_t sum = 0;

	if (!d)
		return 0;
	while (io_next(d, "log", &e, &ignored) == 1)
		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			S_ISREG(st.st_mode))
			sum += (uint64_t)st.st_size;
	closedir(d);
	return sum;
}
