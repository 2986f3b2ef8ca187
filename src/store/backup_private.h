/* backup_private.h - what the files of backup share. */
#ifndef STORE_BACKUP_PRIVATE_H
#define STORE_BACKUP_PRIVATE_H

#include "store/backup.h"

enum backup_kind { BACKUP_INDEX = 'i', BACKUP_TAIL = 't', BACKUP_SEGMENT = 's', BACKUP_BLOB = 'b' };

struct backup_item {
	char kind;
	uint64_t number; /* of a segment */
	uint64_t size;
	uint32_t sum;           /* CRC-32C */
	char name[BACKUP_NAME]; /* below the backup folder */
};

struct manifest {
	uint64_t sequence;
	struct backup_item *v;
	size_t n, cap;
};

int manifest_add(struct manifest *m, const struct backup_item *item, struct err *err);
int manifest_write(int dir, const char *path, const struct manifest *m, struct err *err);
/* ERR_PROTO: it is damaged or of another version. */
int manifest_read(int dir, const char *path, struct manifest *m, struct err *err);
void manifest_free(struct manifest *m);
/* By name; `n` sorted items. */
void manifest_sort(struct manifest *m);
const struct backup_item *manifest_find(const struct manifest *m, const char *name);

/* Of the backups of a folder, the newest first. */
int backup_ids(int from, uint64_t *v, size_t max, struct err *err);
void backup_manifest_name(char name[BACKUP_NAME], uint64_t id);
int backup_load(int from, uint64_t id, struct manifest *m, struct err *err);

/* Beside a file that backups share: it is known not to be what was saved. */
enum { BACKUP_MARK = BACKUP_NAME + 8 };
void backup_mark_name(char mark[BACKUP_MARK], const char *name);

/* Copy `size` bytes to a file, flushed and read again before it gets its name; *sum of all of them.
 * ERR_DAMAGED: it is not *must, if that is given; nothing has changed. */
int backup_copy(int from, const char *from_name, int to, const char *name, uint64_t size,
	const uint32_t *must, uint32_t *sum, struct err *err);
int backup_sum(int dir, const char *name, uint64_t *size, uint32_t *sum, struct err *err);

#endif
