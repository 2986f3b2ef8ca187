/* Files and folders that an export makes. */
#include "cli/export_private.h"

#include "port/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FLUSH = 256 << 10, OUT_MAX = 4 << 20 };

static int open_made(int dir, const char *name, struct err *err)
{
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST) {
		if (errno == ENAMETOOLONG || errno == EINVAL)
			return err_set(err, ERR_LIMIT, "its name is too long for a file");
		return err_sys(err, "make", name);
	}
	return files_open_dir(dir, name, err);
}

int export_dir(int dir, struct str name, const char *suffix, struct err *err)
{
	int fd = files_open_dir(dir, ".", err);

	while (fd >= 0 && name.n) {
		struct buf file = BUF(1000);
		int next = -1;

		if (!level_to_file(str_word(&name, '/'), &file)) {
			err_set(err, ERR_LIMIT, "its name is too long for a file");
		} else {
			buf_addz(&file, suffix);
			buf_addc(&file, '\0');
			next = open_made(fd, file.p, err);
		}
		buf_free(&file);
		close(fd);
		fd = next;
	}
	return fd;
}

int export_file_begin(struct export_file *f, int dir, const char *part, struct err *err)
{
	*f = (struct export_file){ .dir = dir, .fd = -1, .out = BUF(OUT_MAX) };
	snprintf(f->part, sizeof f->part, "%s", part);
	unlinkat(dir, part, 0); /* of a run that was broken off */
	f->fd = openat(dir, part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return f->fd < 0 ? err_sys(err, "make", part) : 0;
}

int export_file_flush(struct export_file *f, bool all, struct err *err)
{
	struct str rest = buf_str(&f->out);

	if (!buf_ok(&f->out))
		return err_set(err, ERR_TEMP, "out of memory");
	if (!all && rest.n < FLUSH)
		return 0;
	while (rest.n) {
		ssize_t n = write(f->fd, rest.p, rest.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "write", f->part);
		rest = str_from(rest, (size_t)n);
	}
	buf_clear(&f->out);
	return 0;
}

int export_file_end(struct export_file *f, int dir, const char *name, int64_t date, struct err *err)
{
	const struct timespec at = { .tv_sec = (time_t)date }, times[2] = { at, at };

	if (export_file_flush(f, true, err) < 0)
		return -1;
	if ((date && futimens(f->fd, times) < 0) || renameat(f->dir, f->part, dir, name) < 0)
		return err_sys(err, "name", name);
	f->part[0] = '\0';
	export_file_drop(f);
	return 0;
}

void export_file_drop(struct export_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	if (f->part[0] && f->fd >= 0)
		unlinkat(f->dir, f->part, 0);
	f->fd = -1;
	buf_free(&f->out);
}
