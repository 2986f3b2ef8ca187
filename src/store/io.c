#include "store/io.h"
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { INODES = 8 }; /* a few more files than the store makes at once */

static io_watch_fn *watch;
static void *watch_arg;

void io_watch(io_watch_fn *fn, void *arg)
{
	watch = fn;
	watch_arg = arg;
}

static int told(enum io_op op, const char *name, const char *to, uint64_t offset, struct str data)
{
	if (watch)
		errno = watch(watch_arg, op, name, to, offset, data);
	return watch && errno ? -1 : 0;
}

/* Never a wait for who may be at the other end of a pipe: names in data/ are the store's, and root
 * reads them, too. */
int io_open(int dir, const char *name, int flags, struct err *err)
{
	int fd = -1;

	if (!(flags & O_CREAT) || told(IO_CREATE, name, NULL, 0, STR("")) == 0)
		fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (fd < 0 && errno == ENOENT)
		return err_set(err, ERR_NOTFOUND, "open %s: no such file", name);
	return fd < 0 ? err_sys(err, "open", name) : fd;
}

int io_write(int fd, const char *name, uint64_t offset, struct str data, struct err *err)
{
	if (told(IO_WRITE, name, NULL, offset, data) < 0)
		return err_sys(err, "write", name);
	while (data.n) {
		ssize_t n = pwrite(fd, data.p, data.n, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return err_sys(err, "write", name);
		data = str_from(data, (size_t)n);
		offset += (uint64_t)n;
	}
	return 0;
}

int io_flush(int fd, const char *name, struct err *err)
{
#ifdef NO_FLUSH
	(void)fd, (void)name, (void)err;
	return 0;
#else
	if (told(IO_FLUSH, name, NULL, 0, STR("")) < 0 || fdatasync(fd) < 0)
		return err_sys(err, "flush", name);
	return 0;
#endif
}

int io_flush_dir(int dir, const char *name, struct err *err)
{
#ifdef NO_FLUSH
	(void)dir, (void)name, (void)err;
	return 0;
#else
	int r = -1, fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || told(IO_FLUSH_DIR, name, NULL, 0, STR("")) < 0 || fsync(fd) < 0)
		err_sys(err, "flush directory", name);
	else
		r = 0;
	if (fd >= 0)
		close(fd);
	return r;
#endif
}

int io_rename(int dir, const char *from, const char *to, struct err *err)
{
	if (told(IO_RENAME, from, to, 0, STR("")) < 0 || renameat(dir, from, dir, to) < 0)
		return err_sys(err, "rename to", to);
	return 0;
}

int io_link(int dir, const char *from, const char *to, struct err *err)
{
	if (told(IO_LINK, from, to, 0, STR("")) < 0 ||
		(linkat(dir, from, dir, to, 0) < 0 && errno != EEXIST))
		return err_sys(err, "link to", to);
	return 0;
}

int io_remove(int dir, const char *name, struct err *err)
{
	if (told(IO_REMOVE, name, NULL, 0, STR("")) < 0 ||
		(unlinkat(dir, name, 0) < 0 && errno != ENOENT))
		return err_sys(err, "remove", name);
	return 0;
}

int io_mkdir(int dir, const char *name, struct err *err)
{
	if (faccessat(dir, name, F_OK, 0) == 0)
		return 0;
	if (told(IO_MKDIR, name, NULL, 0, STR("")) < 0 ||
		(mkdirat(dir, name, 0700) < 0 && errno != EEXIST))
		return err_sys(err, "make directory", name);
	return 0;
}

DIR *io_list(int dir, const char *name, struct err *err)
{
	int fd = io_open(dir, name, O_RDONLY | O_DIRECTORY, err);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;

	if (fd >= 0 && !d) {
		err_sys(err, "list", name);
		close(fd);
	}
	return d;
}

int io_next(DIR *d, const char *name, struct dirent **out, struct err *err)
{
	errno = 0;
	*out = readdir(d);
	if (!*out && errno)
		return err_sys(err, "list", name);
	return *out != NULL;
}

int io_read(int fd, const char *name, uint64_t offset, char *p, size_t n, struct err *err)
{
	while (n) {
		ssize_t got = pread(fd, p, n, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "read", name);
		if (got == 0)
			return err_set(err, ERR_NOTFOUND, "read %s: ends before byte %llu", name,
				(unsigned long long)offset);
		p += got;
		n -= (size_t)got;
		offset += (uint64_t)got;
	}
	return 0;
}

/* 1: this file system, or this kernel, does not. */
static int copy_in_kernel(int from, int to, const char *name, uint64_t size, struct err *err)
{
	loff_t in = 0, out = 0;

	while ((uint64_t)out < size) {
		ssize_t n = copy_file_range(from, &in, to, &out, (size_t)(size - (uint64_t)out), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EIO))
			return err_sys(err, "write", name);
		if (n <= 0)
			return 1;
	}
	return 0;
}

int io_copy(
	int from, const char *from_name, int to, const char *name, uint64_t size, struct err *err)
{
	enum { PIECE = 1 << 18 };
	int r = watch ? 1 : copy_in_kernel(from, to, name, size, err);
	char *piece = r == 1 ? malloc(PIECE) : NULL;

	if (r == 1 && !piece)
		return err_set(err, ERR_TEMP, "out of memory to copy %s", from_name);

	for (uint64_t at = 0; r == 1 && at < size;) {
		size_t n = size - at < PIECE ? (size_t)(size - at) : PIECE;

		if (io_read(from, from_name, at, piece, n, err) < 0 ||
			io_write(to, name, at, str_make(piece, n), err) < 0)
			r = -1;
		at += n;
	}
	free(piece);
	return r < 0 ? -1 : 0;
}

int io_size(int fd, const char *name, uint64_t *size, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "stat", name);
	*size = (uint64_t)st.st_size;
	return 0;
}

uint64_t io_free_bytes(int dir)
{
	struct statvfs st;

	if (told(IO_SPACE, "", NULL, 0, STR("")) < 0 || fstatvfs(dir, &st) < 0)
		return 0;
	return (uint64_t)st.f_bavail * (uint64_t)st.f_frsize;
}

bool io_may_create(int dir)
{
	struct statvfs st;

	/* Without a fixed number of inodes f_files is 0. */
	return fstatvfs(dir, &st) == 0 && (st.f_files == 0 || st.f_favail >= INODES);
}
