/* record.c - a library for LD_PRELOAD that writes down, in order, what a program does to the files
 * below one directory (record.h).
 *
 * It stands in for the calls of libc that change or flush files, makes the system call itself, and
 * notes what happened. SQLite's shared memory (names that end in -shm) is not durable and left out.
 * What is changed in a way that no image can be made of (a writable shared mapping, copying within
 * the kernel) is noted as such, and makes the proof fail. When the recording cannot be written the
 * program is aborted: half a recording proves nothing.
 */
/* Both names of each call are defined here, so neither may become the other. */
#undef _FILE_OFFSET_BITS

#include "record.h"
#include "names.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int out = -1;
enum { PATH_SIZE = 1024 };

static char watched[PATH_MAX];
static size_t watched_n;
static _Atomic uint64_t flushes;

__attribute__((constructor)) static void start(void)
{
	const char *log = getenv(RECORD_LOG), *dir = getenv(RECORD_DIR);
	void *first;
	int fd;

	if (!log || !dir || !realpath(dir, watched))
		return;
	watched_n = strlen(watched);
	fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC, 0);
	if (fd < 0)
		abort();
	/* High up, out of the way of programs that expect their own numbers. */
	out = (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, 700);
	syscall(SYS_close, fd);
	if (out < 0)
		abort();
	backtrace(&first, 1); /* loads what it needs now */
}

static void note(
	enum record_kind kind, uint64_t inode, uint64_t a, uint64_t b, const void *p, size_t n)
{
	struct record_head h = { RECORD_MAGIC, kind, inode, a, b, n };
	struct iovec v[2] = { { &h, sizeof h }, { (void *)(uintptr_t)p, n } };
	int saved = errno;

	if (syscall(SYS_writev, out, v, 2) != (ssize_t)(sizeof h + n))
		abort();
	errno = saved;
}

static bool is_watched(const char *path, size_t n)
{
	return n >= watched_n && memcmp(path, watched, watched_n) == 0 &&
		(n == watched_n || path[watched_n] == '/') &&
		!(n > 4 && memcmp(path + n - 4, "-shm", 4) == 0);
}

/* Is this a file or directory that is watched? Its inode then, else 0. */
static uint64_t inode_of(int fd)
{
	char link[40], path[PATH_SIZE];
	struct stat st;
	ssize_t n;

	if (out < 0 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)))
		return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path);
	return n > 0 && is_watched(path, (size_t)n) ? st.st_ino : 0;
}

/* Where a name stands: its directory's inode (0: not watched) and its last part. */
struct place {
	uint64_t dir;
	const char *name;
};

static struct place place_of(int at, const char *path)
{
	const char *slash = strrchr(path, '/');
	struct place p = { 0, slash ? slash + 1 : path };
	char parent[PATH_SIZE] = ".";
	size_t n = strlen(p.name);
	int fd, saved = errno;

	if (out < 0 || (n > 4 && strcmp(p.name + n - 4, "-shm") == 0))
		return p;
	if (slash && (size_t)(slash - path) + 1 < sizeof parent)
		snprintf(parent, sizeof parent, "%.*s", (int)(slash - path) + 1, path);
	fd = (int)syscall(SYS_openat, at, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd >= 0) {
		p.dir = inode_of(fd);
		syscall(SYS_close, fd);
	}
	errno = saved;
	return p;
}

static void note_name(enum record_kind kind, uint64_t inode, struct place p)
{
	if (p.dir)
		note(kind, inode, p.dir, 0, p.name, strlen(p.name));
}

static void note_odd(int fd, const char *what)
{
	uint64_t inode = inode_of(fd);

	if (inode)
		note(RECORD_ODD, inode, 0, 0, what, strlen(what));
}

/* ---- bytes ---- */

static void note_bytes(uint64_t inode, uint64_t offset, const char *p, size_t n)
{
	if (n >= 4096 && p[0] == 0 && memcmp(p, p + 1, n - 1) == 0)
		note(RECORD_ZEROS, inode, offset, n, NULL, 0);
	else
		note(RECORD_WRITE, inode, offset, 0, p, n);
}

static void note_vector(int fd, const struct iovec *v, int count, off_t offset, ssize_t n)
{
	uint64_t inode = n > 0 ? inode_of(fd) : 0;

	if (!inode)
		return;
	if (offset < 0)
		offset = lseek(fd, 0, SEEK_CUR) - n;
	for (int i = 0; i < count && n > 0; i++) {
		size_t part = (size_t)n < v[i].iov_len ? (size_t)n : v[i].iov_len;

		if (part)
			note_bytes(inode, (uint64_t)offset, v[i].iov_base, part);
		offset += (off_t)part;
		n -= (ssize_t)part;
	}
}

static ssize_t write_vector(int fd, const struct iovec *v, int count, off_t offset)
{
	ssize_t n;

	if (offset < 0)
		n = syscall(SYS_writev, fd, v, count);
	else
		n = syscall(SYS_pwritev, fd, v, count, offset, 0);
	note_vector(fd, v, count, offset, n);
	return n;
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = { (void *)(uintptr_t)p, n };
	ssize_t r = syscall(SYS_write, fd, p, n);

	note_vector(fd, &v, 1, -1, r);
	return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	struct iovec v = { (void *)(uintptr_t)p, n };
	ssize_t r = syscall(SYS_pwrite64, fd, p, n, offset);

	note_vector(fd, &v, 1, offset, r);
	return r;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t offset)
{
	return pwrite(fd, p, n, offset);
}

ssize_t writev(int fd, const struct iovec *v, int count)
{
	return write_vector(fd, v, count, -1);
}

ssize_t pwritev(int fd, const struct iovec *v, int count, off_t offset)
{
	return write_vector(fd, v, count, offset);
}

ssize_t pwritev64(int fd, const struct iovec *v, int count, off64_t offset)
{
	return write_vector(fd, v, count, offset);
}

int ftruncate(int fd, off_t size)
{
	int r = (int)syscall(SYS_ftruncate, fd, size);
	uint64_t inode = r == 0 ? inode_of(fd) : 0;

	if (inode)
		note(RECORD_TRUNCATE, inode, (uint64_t)size, 0, NULL, 0);
	return r;
}

int ftruncate64(int fd, off64_t size)
{
	return ftruncate(fd, size);
}

int fallocate(int fd, int mode, off_t offset, off_t n)
{
	int r = (int)syscall(SYS_fallocate, fd, mode, offset, n);

	if (r == 0)
		note_odd(fd, "fallocate");
	return r;
}

int posix_fallocate(int fd, off_t offset, off_t n)
{
	return fallocate(fd, 0, offset, n) < 0 ? errno : 0;
}

ssize_t copy_file_range(int in, off64_t *in_at, int to, off64_t *to_at, size_t n, unsigned flags)
{
	errno = EXDEV; /* the caller then reads and writes */
	return -1;
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	if (fd >= 0 && (prot & PROT_WRITE) && (flags & MAP_SHARED))
		note_odd(fd, "mmap");
	return (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
	return mmap(at, n, prot, flags, fd, offset);
}

/* ---- names ---- */

int name_open(int at, const char *path, int flags, mode_t mode)
{
	struct place p = { 0, NULL };
	bool was_there = true;
	struct stat st;
	int fd;

	if (flags & O_CREAT) {
		p = place_of(at, path);
		was_there = p.dir == 0 || fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW) == 0;
	}
	fd = (int)syscall(SYS_openat, at, path, flags, mode);
	if (fd < 0)
		return fd;
	if (!was_there && fstat(fd, &st) == 0)
		note_name(RECORD_CREATE, st.st_ino, p);
	else if ((flags & O_TRUNC) && (flags & O_ACCMODE) != O_RDONLY && inode_of(fd))
		note(RECORD_TRUNCATE, inode_of(fd), 0, 0, NULL, 0);
	return fd;
}

int name_mkdir(int dir, const char *path, mode_t mode)
{
	int r = (int)syscall(SYS_mkdirat, dir, path, mode);
	struct stat st;

	if (r == 0 && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note_name(RECORD_MKDIR, st.st_ino, place_of(dir, path));
	return r;
}

int name_link(int from_dir, const char *from, int dir, const char *path, int flags)
{
	int r = (int)syscall(SYS_linkat, from_dir, from, dir, path, flags);
	struct stat st;

	if (r == 0 && fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		note_name(RECORD_LINK, st.st_ino, place_of(dir, path));
	return r;
}

int name_unlink(int dir, const char *path, int flags)
{
	struct place p = place_of(dir, path);
	int r = (int)syscall(SYS_unlinkat, dir, path, flags);

	if (r == 0)
		note_name(RECORD_UNLINK, 0, p);
	return r;
}

int name_rename(int from_dir, const char *from, int dir, const char *path, unsigned flags)
{
	struct place old = place_of(from_dir, from), new = place_of(dir, path);
	char names[2 * (NAME_MAX + 1)];
	int r = (int)syscall(SYS_renameat2, from_dir, from, dir, path, flags), n;
	struct stat st;

	if (r < 0 || (!old.dir && !new.dir))
		return r;
	if (!old.dir || !new.dir || flags || fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		note(RECORD_ODD, 0, 0, 0, "rename", 6);
		return r;
	}
	n = snprintf(names, sizeof names, "%s%c%s", old.name, 0, new.name);
	note(RECORD_RENAME, st.st_ino, old.dir, new.dir, names, (size_t)n);
	return r;
}

/* ---- flushes ---- */

enum { FRAMES = 12, SITE = 600 };

/* From where the flush was asked for, innermost first: "MODULE+OFFSET ...", without this library.
 */
static size_t call_site(char site[SITE])
{
	void *frames[FRAMES];
	int count = backtrace(frames, FRAMES);
	const char *self = NULL;
	size_t n = 0;
	Dl_info info;

	for (int i = 0; i < count && n + 80 < SITE; i++) {
		if (!dladdr(frames[i], &info) || !info.dli_fname)
			continue;
		if (i == 0)
			self = info.dli_fname;
		if (info.dli_fname == self)
			continue;
		n += (size_t)snprintf(site + n, SITE - n, "%.60s+%lx ",
			strrchr(info.dli_fname, '/') ? strrchr(info.dli_fname, '/') + 1
						     : info.dli_fname,
			(unsigned long)((char *)frames[i] - (char *)info.dli_fbase));
	}
	return n < SITE ? n : SITE - 1;
}

static bool is_named(int fd, const char *suffix, size_t n)
{
	char link[40], path[PATH_SIZE];
	ssize_t size;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	size = readlink(link, path, sizeof path);
	return size > (ssize_t)n && memcmp(path + size - n, suffix, n) == 0;
}

/* For a process that is to end between a change and its flush: a little later, when other threads
 * have flushed the log a few times. */
static void end_at_flush(int fd)
{
	static _Atomic long met, segments;
	const char *kill_at = getenv(RECORD_KILL), *colon = kill_at ? strchr(kill_at, ':') : NULL;
	long before = atomic_load(&segments);

	if (!colon)
		return;
	atomic_fetch_add(&segments, is_named(fd, ".seg", 4));
	if (!is_named(fd, kill_at, (size_t)(colon - kill_at)) ||
		atomic_fetch_add(&met, 1) + 1 != atol(colon + 1))
		return;
	for (int i = 0; i < 200 && atomic_load(&segments) < before + 5; i++)
		usleep(1000);
	raise(SIGKILL);
}

/* A disk that takes its time with some flushes, so that more happens meanwhile. */
static void be_slow(int fd)
{
	const char *slow = getenv(RECORD_SLOW);

	if (slow && is_named(fd, slow, strlen(slow)))
		usleep(20000);
}

static int flush_noted(int fd, long number)
{
	/* Several processes may write into one recording. */
	uint64_t inode = inode_of(fd),
		 id = (uint64_t)getpid() << 32 | (inode ? atomic_fetch_add(&flushes, 1) : 0);
	char site[SITE];
	int r;

	if (inode) {
		note(RECORD_FLUSH_BEGIN, inode, id, 0, site, call_site(site));
		end_at_flush(fd);
		be_slow(fd);
	}
	r = (int)syscall(number, fd);
	if (inode)
		note(RECORD_FLUSH_END, inode, id, r == 0 ? 0 : 1, NULL, 0);
	return r;
}

int fsync(int fd)
{
	return flush_noted(fd, SYS_fsync);
}

int fdatasync(int fd)
{
	return flush_noted(fd, SYS_fdatasync);
}
