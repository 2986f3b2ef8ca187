/* backup.h - a data directory, copied while the server goes on, and brought back.
 *
 * A backup folder holds several backups. Segments of the log and blobs never change, so they are
 * there once (log/NUMBER-SALT-SIZE.seg, blob/ab/cdef...); each backup has a folder of its own,
 * named after the second in which it was made (its id), with the index (a snapshot), the beginning
 * of the segment that was being written, and a manifest: every file that belongs to it, with size
 * and CRC-32C, and a sum over all of that. The manifest comes last, by rename, so a backup is whole
 * or not there. The sealing key is not in it.
 *
 * Every file is read again from the disk before it counts. Nothing here needs the store to be open;
 * whoever calls sees to it that no segment and no blob goes meanwhile (store_hold()).
 */
#ifndef STORE_BACKUP_H
#define STORE_BACKUP_H

#include "store/fsck.h"

struct store;

enum { BACKUP_NAME = 80, BACKUP_KEEP = 7 };

/* Everything that was answered before is in front of this place of the log. */
struct backup_mark {
	char snapshot[BACKUP_NAME]; /* "snapshot/....db" below the data directory */
	uint64_t segment, offset, sequence;
	/* Asked when all is copied, before it counts: -1 when something may have gone meanwhile.
	 * NULL: nothing can. */
	int (*held)(void *arg, struct err *err);
	void *arg;
};

struct backup_result {
	uint64_t files, copied, bytes; /* files of this backup; those that were new; their bytes */
	uint64_t removed;              /* files that no kept backup needs any more */
	uint64_t differ;         /* to be copied anew, but the store's are not what was saved; */
	char first[BACKUP_NAME]; /* the first of them: what the backup has is kept */
	uint64_t id;
};

/* Snapshot and mark of an open store that nobody else runs jobs for; store_hold() it before. */
int backup_prepare(struct store *s, struct backup_mark *out, struct err *err);

/* Make a backup of `data` in `to` (empty, or a backup folder) and keep the newest `keep`. */
int backup_make(int data, int to, const struct backup_mark *mark, unsigned keep,
	struct backup_result *out, struct err *err);

struct backup_row {
	uint64_t id; /* also when it was made: seconds since 1970 */
	uint64_t sequence, files, bytes;
};
/* The newest first; how many. */
int backup_list(int from, struct backup_row *out, size_t max, struct err *err);

/* Bring a backup (id 0: the newest) into an empty directory, or one where that was begun
 * before. Afterwards the queue is held, and all folders have a new UIDVALIDITY, because what
 * happened after the backup is forgotten. Until all of that is done store_open() refuses. */
int backup_restore(int from, uint64_t id, int data, const char *path, struct backup_result *out,
	struct err *err);

/* Read every file of it and compare (what is not right is marked, so that the next backup copies it
 * anew); then put it together below `from` and check it with fsck. What
 * is wrong is told. */
int backup_verify(int from, uint64_t id, const struct fsck_options *told, struct fsck_result *out,
	struct err *err);

/* The same files under a name below `from` (hard links), to look into: for one account. Remove it
 * afterwards. */
int backup_open(int from, uint64_t id, const char *name, struct err *err);
void backup_drop(int from, const char *name);

#endif
