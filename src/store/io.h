/* io.h - the one door through which the store's own files are changed: log and blobs.
 *
 * Every write, flush, rename and removal goes through here, so a test can watch the order in which
 * bytes reach the disk, rebuild what a power cut would have left, and make any step fail. Names are
 * paths below the data directory ("log/0000000001.seg"); `dir` is that directory. SQLite writes
 * its files itself. Errors: ERR_FULL without space, else ERR_TEMP. Thread-safe.
 */
#ifndef STORE_IO_H
#define STORE_IO_H

#include "base/err.h"
#include "base/str.h"

#include <dirent.h>

/* Open or create (mode 0600) below dir; never follows a symbolic link at the end. -1: error. */
int io_open(int dir, const char *name, int flags, struct err *err);
int io_write(int fd, const char *name, uint64_t offset, struct str data, struct err *err);
/* Returns only when what was written is on stable storage. A failure is final: the data may be lost
 * although a second flush would succeed. Does nothing in a build with -Dnoflush=true. */
int io_flush(int fd, const char *name, struct err *err);
int io_flush_dir(int dir, const char *name, struct err *err);
int io_rename(int dir, const char *from, const char *to, struct err *err);
/* A second name for the file; being there already is fine. */
int io_link(int dir, const char *from, const char *to, struct err *err);
int io_remove(int dir, const char *name, struct err *err);
int io_mkdir(int dir, const char *name, struct err *err); /* being there already is fine */

/* All of `size` bytes from one file to the start of another; without copying where the file system
 * can share them. */
int io_copy(
	int from, const char *from_name, int to, const char *name, uint64_t size, struct err *err);

/* The names in a folder below dir; NULL with an error (ERR_NOTFOUND: there is no such folder). The
 * next one: 1, 0 at the end, -1. closedir() ends it. */
DIR *io_list(int dir, const char *name, struct err *err);
int io_next(DIR *d, const char *name, struct dirent **out, struct err *err);

/* Fill exactly; ERR_NOTFOUND when the file ends before. */
int io_read(int fd, const char *name, uint64_t offset, char *p, size_t n, struct err *err);
int io_size(int fd, const char *name, uint64_t *size, struct err *err);
/* Bytes that an unprivileged process may still take on the file system of dir. */
uint64_t io_free_bytes(int dir);
/* Can files be made there? Some file systems run out of inodes before they run out of bytes. */
bool io_may_create(int dir);

enum io_op {
	IO_CREATE,
	IO_WRITE,
	IO_FLUSH,
	IO_FLUSH_DIR,
	IO_RENAME,
	IO_LINK,
	IO_REMOVE,
	IO_MKDIR,
	IO_SPACE /* how much is free? failing: nothing */
};

/* For tests: called before each change, from any thread. An errno value makes it fail, 0 lets it
 * happen. `to` is set for IO_RENAME and IO_LINK only. */
typedef int io_watch_fn(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data);
void io_watch(io_watch_fn *fn, void *arg);

#endif
