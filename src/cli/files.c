#include "cli/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES_MAX = 1 << 30, LINE_MAX_BYTES = 4000, BLOCK = 65536 };

static int fail(struct err *err, const char *name)
{
	const int no = errno;

	if (no == ENOENT)
		return err_set(err, ERR_NOTFOUND, "%.180s: there is no such file", name);
	if (no == ELOOP || no == ENOTDIR || no == ENXIO || no == EISDIR)
		return err_set(err, ERR_PERM, "%.180s: not a plain file or folder", name);
	errno = no;
	return err_sys(err, "open", name);
}

int files_open(int dir, const char *name, struct stat *st, struct err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return fail(err, name);
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	return err_set(err, ERR_PERM, "%.180s: not a plain file", name);
}

int files_open_dir(int dir, const char *name, struct err *err)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? fail(err, name) : fd;
}

bool files_is_dir(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

bool files_is_link_to_dir(int dir, const char *name)
{
	struct stat st;

	return !files_is_dir(dir, name) && fstatat(dir, name, &st, 0) == 0 && S_ISDIR(st.st_mode);
}

static int compare(const void *a, const void *b, void *names)
{
	const char *base = names;

	return strcmp(base + *(const uint32_t *)a, base + *(const uint32_t *)b);
}

static int index_names(struct files_list *l, struct err *err)
{
	size_t i = 0;

	l->at = calloc(l->n ? l->n : 1, sizeof *l->at);
	if (!l->at)
		return err_set(err, ERR_TEMP, "out of memory for the names in a folder");
	for (size_t at = 0; at < l->names.n; at += strlen(l->names.p + at) + 1)
		l->at[i++] = (uint32_t)at;
	qsort_r(l->at, l->n, sizeof *l->at, compare, l->names.p);
	return 0;
}

int files_list(int dir, struct files_list *l, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	int r;

	*l = (struct files_list){ .names = BUF(NAMES_MAX) };
	if (!d) {
		err_sys(err, "read", "a folder");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	while ((errno = 0, e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
			buf_add(&l->names, str_make(e->d_name, strlen(e->d_name) + 1));
			l->n++;
		}
	r = errno ? err_sys(err, "read", "a folder") : 0;
	closedir(d);
	if (r < 0)
		return -1;
	if (!buf_ok(&l->names))
		return err_set(err, ERR_LIMIT, "too many files in one folder");
	return index_names(l, err);
}

void files_list_free(struct files_list *l)
{
	buf_free(&l->names);
	free(l->at);
	*l = (struct files_list){ 0 };
}

/* All whole lines in `b`; the rest stays, unless it is too long to be one. */
static bool take_lines(struct buf *b, bool *skip, bool last, files_line_fn *fn, void *arg)
{
	struct str rest = buf_str(b);
	bool more = true;

	while (more && rest.n) {
		const size_t n = str_find(rest, '\n');

		if (n == rest.n && !last)
			break;
		if (!*skip && n < LINE_MAX_BYTES)
			more = fn(arg, str_head(rest, n + 1));
		*skip = false;
		rest = str_from(rest, n + 1);
	}
	if (rest.n >= LINE_MAX_BYTES) {
		*skip = true;
		rest = str_from(rest, rest.n);
	}
	buf_drop(b, b->n - rest.n);
	return more;
}

int files_lines(int fd, files_line_fn *fn, void *arg, struct err *err)
{
	struct buf b = BUF(BLOCK + LINE_MAX_BYTES);
	bool more = true, skip = false;
	ssize_t got = 1;

	while (more && got > 0) {
		char *room = buf_room(&b, BLOCK);

		if (!room) {
			err_set(err, ERR_TEMP, "out of memory");
			got = -1;
			break;
		}
		got = read(fd, room, BLOCK);
		if (got < 0)
			err_sys(err, "read", "a file");
		else
			buf_grew(&b, (size_t)got);
		if (got >= 0)
			more = take_lines(&b, &skip, got == 0, fn, arg);
	}
	buf_free(&b);
	close(fd);
	return got < 0 ? -1 : 0;
}
