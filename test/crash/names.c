/* Both names of a call are defined here, so neither may become the other. */
#undef _FILE_OFFSET_BITS

#define _GNU_SOURCE 1
#include "names.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Debian's headers declare these only in some settings; callers were compiled against them. */
int open64(const char *path, int flags, ...);
int openat64(int dir, const char *path, int flags, ...);
/* What the C library calls for `open` with constant flags (it checks that no mode is missing). */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int dir, const char *path, int flags);
int __openat64_2(int dir, const char *path, int flags);

#define OPEN_MODE(flags)                                                                           \
	mode_t mode = 0;                                                                           \
	if ((flags) & (O_CREAT | O_TMPFILE)) {                                                     \
		va_list ap;                                                                        \
		va_start(ap, flags);                                                               \
		mode = va_arg(ap, mode_t);                                                         \
		va_end(ap);                                                                        \
	}

int open(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return name_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return name_open(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return name_open(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
	OPEN_MODE(flags)
	return name_open(dir, path, flags, mode);
}

int __open_2(const char *path, int flags)
{
	return name_open(AT_FDCWD, path, flags, 0);
}

int __open64_2(const char *path, int flags)
{
	return name_open(AT_FDCWD, path, flags, 0);
}

int __openat_2(int dir, const char *path, int flags)
{
	return name_open(dir, path, flags, 0);
}

int __openat64_2(int dir, const char *path, int flags)
{
	return name_open(dir, path, flags, 0);
}

int creat(const char *path, mode_t mode)
{
	return name_open(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, mode);
}

int mkdir(const char *path, mode_t mode)
{
	return name_mkdir(AT_FDCWD, path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	return name_mkdir(dir, path, mode);
}

int link(const char *from, const char *path)
{
	return name_link(AT_FDCWD, from, AT_FDCWD, path, 0);
}

int linkat(int from_dir, const char *from, int dir, const char *path, int flags)
{
	return name_link(from_dir, from, dir, path, flags);
}

int unlink(const char *path)
{
	return name_unlink(AT_FDCWD, path, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	return name_unlink(dir, path, flags);
}

int rmdir(const char *path)
{
	return name_unlink(AT_FDCWD, path, AT_REMOVEDIR);
}

int rename(const char *from, const char *path)
{
	return name_rename(AT_FDCWD, from, AT_FDCWD, path, 0);
}

int renameat(int from_dir, const char *from, int dir, const char *path)
{
	return name_rename(from_dir, from, dir, path, 0);
}

int renameat2(int from_dir, const char *from, int dir, const char *path, unsigned flags)
{
	return name_rename(from_dir, from, dir, path, flags);
}
