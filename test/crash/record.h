/* record.h - the form of a recording: what a process did to the files below one directory.
 *
 * The file is a row of entries, each a head and `length` bytes, appended with one write each, so
 * the order of the file is the order of events. A change is written down after it has happened and
 * before the call returns; a flush has two entries, and covers what was written down before its
 * first one. Files and directories are named by their inode numbers. images.py reads this.
 */
#ifndef CRASH_RECORD_H
#define CRASH_RECORD_H

#include <stdint.h>

#define RECORD_MAGIC 0x31434552u /* "REC1" */

/* The environment of a recorded program: the recording, and the directory that is watched. */
#define RECORD_LOG "CRASH_RECORD"
#define RECORD_DIR "CRASH_DIR"
/* "SUFFIX:N": the process kills itself instead of the n-th flush of what has a name like this. */
#define RECORD_KILL "CRASH_KILL"
/* "SUFFIX": flushes of what has such a name take long. */
#define RECORD_SLOW "CRASH_SLOW"

enum record_kind {
	RECORD_WRITE = 1,   /* a: offset; the bytes follow */
	RECORD_ZEROS,       /* a: offset, b: how many zeros were written */
	RECORD_TRUNCATE,    /* a: the size from now on */
	RECORD_CREATE,      /* a: the directory; the name follows */
	RECORD_MKDIR,       /* a: the directory; the name follows */
	RECORD_LINK,        /* a: the directory; the name follows */
	RECORD_UNLINK,      /* a: the directory; the name follows; no inode */
	RECORD_RENAME,      /* a, b: the directories; old name, NUL, new name follow */
	RECORD_FLUSH_BEGIN, /* a: number of the flush; from where it was asked for follows */
	RECORD_FLUSH_END,   /* a: number of the flush, b: 0 when it succeeded */
	RECORD_MARK,        /* a line of the driver, in JSON, follows */
	RECORD_ODD          /* a change that images.py has no model of; its name follows */
};

struct record_head {
	uint32_t magic, kind;
	uint64_t inode, a, b;
	uint64_t length;
};

#endif
