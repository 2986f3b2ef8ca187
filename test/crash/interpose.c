/* Debian gives each of these functions a second name for 64-bit offsets; with this neither becomes
 * the other. */
#undef _FILE_OFFSET_BITS

#include "interpose.h"
#include "names.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Declared by Debian's headers only in some settings. */
struct dirent64 *readdir64(DIR *d);
int fcntl64(int fd, int command, ...);
int fstatvfs64(int fd, struct statvfs64 *st);

static struct fault plan;
static struct interposed *out;
static atomic_bool armed, broken;
static atomic_uint threads = 1;
static _Thread_local unsigned me, paused;

void interpose_arm(const struct fault *f, struct interposed *o)
{
	plan = *f;
	out = o;
	atomic_store(&armed, true);
}

void interpose_disarm(void)
{
	atomic_store(&armed, false);
}

void interpose_pause(bool on)
{
	paused += on ? 1 : -1u;
}

static bool counts(void)
{
	return atomic_load_explicit(&armed, memory_order_relaxed) && paused == 0 &&
		me < INTERPOSE_THREADS;
}

static bool needs_space(enum family f)
{
	return f == ON_WRITE || f == ON_OPEN || f == ON_MKDIR || f == ON_TRUNCATE || f == ON_RENAME;
}

static bool goes_on(enum family f)
{
	return atomic_load(&broken) &&
		(f == plan.family || (plan.number == ENOSPC && needs_space(f)));
}

/* Count a call. Is it the one? */
static bool is_it(enum family f)
{
	if (!counts())
		return false;
	if (++out->calls[me][f] == plan.k && f == plan.family && me == plan.thread) {
		out->hits++;
		if (plan.how == HOW_ALWAYS)
			atomic_store(&broken, true);
		return true;
	}
	return goes_on(f);
}

_Noreturn static void end_now(void)
{
	syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
	for (;;)
		syscall(SYS_pause);
}

static void step(void)
{
	if (is_it(ON_STEP) && plan.how == HOW_KILL)
		end_now();
}

static bool fails(enum family f)
{
	if (!is_it(f))
		return false;
	errno = plan.number;
	return true;
}

/* ---- bytes ---- */

/* How many bytes of a read or write happen; -1: it fails. *last: then the process ends. */
static ssize_t length(enum family f, size_t n, bool *last)
{
	*last = false;
	if (!is_it(f))
		return (ssize_t)n;
	*last = plan.how == HOW_TORN;
	if (plan.how == HOW_SHORT || plan.how == HOW_TORN)
		return (ssize_t)(n > 1 ? n / 2 : n);
	errno = plan.number;
	return -1;
}

ssize_t pwrite64(int fd, const void *p, size_t n, off64_t at)
{
	ssize_t want;
	bool last;

	step();
	want = length(ON_WRITE, n, &last);
	if (want >= 0)
		want = syscall(SYS_pwrite64, fd, p, (size_t)want, at);
	if (last)
		end_now();
	return want;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	return pwrite64(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t want;
	bool last;

	step();
	want = length(ON_WRITE, n, &last);
	if (want >= 0)
		want = syscall(SYS_write, fd, p, (size_t)want);
	if (last)
		end_now();
	return want;
}

ssize_t copy_file_range(int in, off64_t *in_at, int to, off64_t *to_at, size_t n, unsigned flags)
{
	ssize_t want;
	bool last;

	step();
	want = length(ON_WRITE, n, &last);
	if (want >= 0)
		want = syscall(SYS_copy_file_range, in, in_at, to, to_at, (size_t)want, flags);
	if (last)
		end_now();
	return want;
}

ssize_t pread64(int fd, void *p, size_t n, off64_t at)
{
	bool last;
	ssize_t want = length(ON_READ, n, &last);

	return want < 0 ? -1 : syscall(SYS_pread64, fd, p, (size_t)want, at);
}

ssize_t pread(int fd, void *p, size_t n, off_t at)
{
	return pread64(fd, p, n, at);
}

ssize_t read(int fd, void *p, size_t n)
{
	bool last;
	ssize_t want = length(ON_READ, n, &last);

	return want < 0 ? -1 : syscall(SYS_read, fd, p, (size_t)want);
}

int ftruncate64(int fd, off64_t size)
{
	step();
	return fails(ON_TRUNCATE) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

int ftruncate(int fd, off_t size)
{
	return ftruncate64(fd, size);
}

int fsync(int fd)
{
	step();
	return fails(ON_FLUSH) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	step();
	return fails(ON_FLUSH) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

void *mmap64(void *at, size_t n, int prot, int flags, int fd, off64_t offset)
{
	return fails(ON_MAP) ? MAP_FAILED
			     : (void *)syscall(SYS_mmap, at, n, prot, flags, fd, offset);
}

void *mmap(void *at, size_t n, int prot, int flags, int fd, off_t offset)
{
	return mmap64(at, n, prot, flags, fd, offset);
}

/* ---- names ---- */

int name_open(int at, const char *path, int flags, mode_t mode)
{
	if (flags & O_CREAT)
		step();
	return fails(ON_OPEN) ? -1 : (int)syscall(SYS_openat, at, path, flags, mode);
}

int name_mkdir(int at, const char *path, mode_t mode)
{
	step();
	return fails(ON_MKDIR) ? -1 : (int)syscall(SYS_mkdirat, at, path, mode);
}

int name_link(int from_dir, const char *from, int dir, const char *path, int flags)
{
	step();
	return fails(ON_RENAME) ? -1 : (int)syscall(SYS_linkat, from_dir, from, dir, path, flags);
}

int name_unlink(int at, const char *path, int flags)
{
	step();
	return fails(ON_UNLINK) ? -1 : (int)syscall(SYS_unlinkat, at, path, flags);
}

int name_rename(int from_dir, const char *from, int dir, const char *path, unsigned flags)
{
	step();
	return fails(ON_RENAME) ? -1
				: (int)syscall(SYS_renameat2, from_dir, from, dir, path, flags);
}

/* ---- the rest ---- */

#define REAL(type, name, ...)                                                                      \
	static type (*real)(__VA_ARGS__);                                                          \
	if (!real) {                                                                               \
		paused++;                                                                          \
		*(void **)&real = dlsym(RTLD_NEXT, name);                                          \
		paused--;                                                                          \
	}

int fstat64(int fd, struct stat64 *st)
{
	REAL(int, "fstat64", int, struct stat64 *)
	return fails(ON_STAT) ? -1 : real(fd, st);
}

int fstat(int fd, struct stat *st)
{
	return fstat64(fd, (struct stat64 *)st);
}

int fstatat64(int dir, const char *path, struct stat64 *st, int flags)
{
	REAL(int, "fstatat64", int, const char *, struct stat64 *, int)
	return fails(ON_STAT) ? -1 : real(dir, path, st, flags);
}

int fstatat(int dir, const char *path, struct stat *st, int flags)
{
	return fstatat64(dir, path, (struct stat64 *)st, flags);
}

int stat64(const char *path, struct stat64 *st)
{
	return fstatat64(AT_FDCWD, path, st, 0);
}

int fstatvfs64(int fd, struct statvfs64 *st)
{
	REAL(int, "fstatvfs64", int, struct statvfs64 *)
	return fails(ON_STAT) ? -1 : real(fd, st);
}

int faccessat(int dir, const char *path, int mode, int flags)
{
	REAL(int, "faccessat", int, const char *, int, int)
	return fails(ON_STAT) ? -1 : real(dir, path, mode, flags);
}

struct dirent64 *readdir64(DIR *d)
{
	REAL(struct dirent64 *, "readdir64", DIR *)
	return fails(ON_LIST) ? NULL : real(d);
}

int flock(int fd, int operation)
{
	return fails(ON_LOCK) ? -1 : (int)syscall(SYS_flock, fd, operation);
}

int fcntl64(int fd, int command, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, command);
	arg = va_arg(ap, void *);
	va_end(ap);
	if ((command == F_SETLK || command == F_OFD_SETLK) && fails(ON_LOCK))
		return -1;
	return (int)syscall(SYS_fcntl, fd, command, arg);
}

ssize_t getrandom(void *p, size_t n, unsigned flags)
{
	return fails(ON_RANDOM) ? -1 : syscall(SYS_getrandom, p, n, flags);
}

struct start {
	void *(*run)(void *);
	void *arg;
	unsigned number;
};

static void *start_thread(void *arg)
{
	const struct start *s = arg;

	me = s->number;
	return s->run(s->arg);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	static struct start starts[256];
	unsigned n = atomic_fetch_add(&threads, 1);
	REAL(int, "pthread_create", pthread_t *, const pthread_attr_t *, void *(*)(void *), void *)

	if (n >= 256)
		abort();
	starts[n] = (struct start){ run, arg, n };
	if (fails(ON_THREAD))
		return plan.number;
	return real(thread, attr, start_thread, &starts[n]);
}

int sqlite3_step(sqlite3_stmt *st)
{
	REAL(int, "sqlite3_step", sqlite3_stmt *)
	const char *sql = sqlite3_sql(st);
	bool commit = sql && strcmp(sql, "COMMIT") == 0;
	int r;

	if (commit)
		step();
	r = real(st);
	if (commit)
		step();
	return r;
}

/* ---- memory ---- */

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void __libc_free(void *p);

static void note_block(const void *p, int by)
{
	if (p && atomic_load_explicit(&armed, memory_order_relaxed))
		__atomic_add_fetch(&out->allocated, by, __ATOMIC_RELAXED);
}

void *malloc(size_t n)
{
	void *p = fails(ON_ALLOC) ? NULL : __libc_malloc(n);

	note_block(p, 1);
	return p;
}

void *calloc(size_t n, size_t size)
{
	void *p = fails(ON_ALLOC) ? NULL : __libc_calloc(n, size);

	note_block(p, 1);
	return p;
}

void *realloc(void *old, size_t n)
{
	void *p = fails(ON_ALLOC) ? NULL : __libc_realloc(old, n);

	if (!old)
		note_block(p, 1);
	return p;
}

void free(void *p)
{
	note_block(p, -1);
	__libc_free(p);
}
