/* fail_test.h - on this thread, the n-th call that can fail does: system calls, allocations,
 * statements.
 *
 * fail_nth(n) arms it, fail_hit() disarms it and says whether a call has failed. What SQLite does
 * inside is one call here: it is tested by its makers. Under sanitizers, which need these functions
 * themselves, nothing fails, and FAIL_POSSIBLE is 0.
 */
#ifndef STORE_FAIL_TEST_H
#define STORE_FAIL_TEST_H

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FAIL_POSSIBLE 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FAIL_POSSIBLE 0
#endif
#endif
#ifndef FAIL_POSSIBLE
#define FAIL_POSSIBLE 1
#endif

static _Thread_local long fail_left;
static _Thread_local bool fail_was_hit;

static inline void fail_nth(long n)
{
	fail_was_hit = false;
	fail_left = n;
}

static inline bool fail_hit(void)
{
	fail_left = 0;
	return fail_was_hit;
}

#if FAIL_POSSIBLE

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);

static inline bool fails(int no)
{
	if (fail_left == 0 || --fail_left)
		return false;
	fail_was_hit = true;
	errno = no;
	return true;
}

void *malloc(size_t n)
{
	return fails(ENOMEM) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(ENOMEM) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	return fails(ENOMEM) ? NULL : __libc_realloc(p, n);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return fails(EIO) ? -1 : syscall(SYS_pread64, fd, p, n, at);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return fails(EIO) ? -1 : syscall(SYS_pwrite64, fd, p, n, at);
}

int fdatasync(int fd)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_fsync, fd);
}

int openat(int dir, const char *name, int flags, ...)
{
	return fails(EMFILE) ? -1 : (int)syscall(SYS_openat, dir, name, flags, 0600);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int unlinkat(int dir, const char *name, int flags)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_unlinkat, dir, name, flags);
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_mkdirat, dir, name, mode);
}

int fstat(int fd, struct stat *st)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_newfstatat, fd, "", st, AT_EMPTY_PATH);
}

int fstatat(int dir, const char *name, struct stat *st, int flags)
{
	return fails(EIO) ? -1 : (int)syscall(SYS_newfstatat, dir, name, st, flags);
}

int flock(int fd, int how)
{
	return fails(ENOLCK) ? -1 : (int)syscall(SYS_flock, fd, how);
}

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
	return fails(ENOSYS) ? -1 : syscall(SYS_getrandom, p, n, flags);
}

enum { SQLITE_BROKEN = 10 }; /* SQLITE_IOERR */
struct sqlite3;
struct sqlite3_stmt;
int sqlite3_step(struct sqlite3_stmt *st);
int sqlite3_exec(struct sqlite3 *h, const char *sql, int (*row)(void *, int, char **, char **),
	void *arg, char **why);
int sqlite3_open_v2(const char *name, struct sqlite3 **h, int flags, const char *vfs);
int sqlite3_wal_checkpoint_v2(struct sqlite3 *h, const char *db, int how, int *log, int *done);
int sqlite3_close_v2(struct sqlite3 *h);
int sqlite3_prepare_v2(
	struct sqlite3 *h, const char *sql, int n, struct sqlite3_stmt **st, const char **tail);
int sqlite3_prepare_v3(struct sqlite3 *h, const char *sql, int n, unsigned flags,
	struct sqlite3_stmt **st, const char **tail);

/* The next one of that name. */
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

DIR *fdopendir(int fd)
{
	return fails(EMFILE) ? NULL : REAL(fdopendir)(fd);
}

int pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*run)(void *), void *arg)
{
	return fails(EAGAIN) ? EAGAIN : REAL(pthread_create)(t, a, run, arg);
}

/* One call, whatever it does inside. */
#define ONE_CALL(call)                                                                             \
	{                                                                                          \
		long left;                                                                         \
		int r;                                                                             \
                                                                                                   \
		if (fails(EIO))                                                                    \
			return SQLITE_BROKEN;                                                      \
		left = fail_left;                                                                  \
		fail_left = 0;                                                                     \
		r = call;                                                                          \
		fail_left = left;                                                                  \
		return r;                                                                          \
	}

int sqlite3_step(struct sqlite3_stmt *st) ONE_CALL(REAL(sqlite3_step)(st))

	int sqlite3_prepare_v3(struct sqlite3 *h, const char *sql, int n, unsigned flags,
		struct sqlite3_stmt **st,
		const char **tail) ONE_CALL(REAL(sqlite3_prepare_v3)(h, sql, n, flags, st, tail))

		int sqlite3_prepare_v2(struct sqlite3 *h, const char *sql, int n,
			struct sqlite3_stmt **st,
			const char **tail) ONE_CALL(REAL(sqlite3_prepare_v2)(h, sql, n, st, tail))

			int sqlite3_exec(struct sqlite3 *h, const char *sql,
				int (*row)(void *, int, char **, char **), void *arg,
				char **why) ONE_CALL(REAL(sqlite3_exec)(h, sql, row, arg, why))

				int sqlite3_open_v2(const char *name, struct sqlite3 **h, int flags,
					const char *vfs) ONE_CALL(REAL(sqlite3_open_v2)(name, h,
					flags, vfs))

					int sqlite3_wal_checkpoint_v2(struct sqlite3 *h,
						const char *db, int how, int *log, int *done)
						ONE_CALL(REAL(sqlite3_wal_checkpoint_v2)(
							h, db, how, log, done))

							int sqlite3_close_v2(struct sqlite3 *h)
{
	long left = fail_left;
	int r;

	fail_left = 0;
	r = REAL(sqlite3_close_v2)(h);
	fail_left = left;
	return r;
}

#endif
#endif
