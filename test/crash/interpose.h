/* interpose.h - system calls and allocations that fail, and steps at which the process ends.
 *
 * interpose.c takes the place of the C library's functions in the program that it is linked into,
 * for SQLite as well. Each thread counts its calls by family; a plan names one of them. Threads are
 * numbered as they are started, 0 being the first. Until interpose_arm(), and on a thread that
 * is paused, every call goes through uncounted.
 */
#ifndef CRASH_INTERPOSE_H
#define CRASH_INTERPOSE_H

#include <stdbool.h>
#include <stdint.h>

enum family {
	ON_WRITE,
	ON_READ,
	ON_FLUSH,
	ON_OPEN,
	ON_RENAME,
	ON_UNLINK,
	ON_MKDIR,
	ON_TRUNCATE,
	ON_STAT,
	ON_LOCK,
	ON_MAP,
	ON_RANDOM,
	ON_THREAD,
	ON_LIST,
	ON_ALLOC,
	ON_STEP, /* all that change files, and a commit of SQLite before and after */
	FAMILIES
};

enum how {
	HOW_ONCE,   /* fails with `number` */
	HOW_ALWAYS, /* from then on, in every thread; ENOSPC for all that needs space */
	HOW_SHORT,  /* half of what was asked for */
	HOW_KILL,   /* the process ends before it */
	HOW_TORN    /* a write: the process ends in the middle */
};

enum { INTERPOSE_THREADS = 24 };

struct fault {
	enum family family;
	enum how how;
	int number; /* errno */
	unsigned thread;
	uint64_t k; /* the k-th call from 1 on; 0: none */
};

/* What has happened; may lie in memory that is shared with who watches. */
struct interposed {
	uint64_t calls[INTERPOSE_THREADS][FAMILIES];
	uint64_t hits;
	int64_t allocated; /* blocks that are not freed */
};

void interpose_arm(const struct fault *f, struct interposed *out);
void interpose_disarm(void);
void interpose_pause(bool on);

#endif
