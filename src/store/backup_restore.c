/* Bringing a backup back, and looking whether it can be. */
#include "base/crc32c.h"
#include "store/backup_private.h"
#include "store/io.h"
#include "store/log_private.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct bringing {
	int from, to;
	bool link; /* instead of copying what nobody writes to */
	struct backup_result *out;
};

/* ---- files ---- */

static void place_of(const struct backup_item *item, char name[BACKUP_NAME])
{
	char segment[SLOG_NAME];

	if (item->kind == BACKUP_INDEX) {
		snprintf(name, BACKUP_NAME, "index.db");
	} else if (item->kind == BACKUP_BLOB) {
		snprintf(name, BACKUP_NAME, "%s", item->name);
	} else {
		slog_segment_name(segment, item->number, ".seg");
		snprintf(name, BACKUP_NAME, "%s", segment);
	}
}

static int bring_copy(
	struct bringing *b, const struct backup_item *item, const char *name, struct err *err)
{
	int fd = io_open(b->from, item->name, O_RDONLY, err), r;
	uint32_t sum;

	if (fd < 0)
		return -1;
	r = backup_copy(fd, item->name, b->to, name, item->size, &item->sum, &sum, err);
	close(fd);
	if (r < 0 && err->kind == ERR_DAMAGED)
		err_set(err, ERR_PERM, "%s is damaged in the backup", item->name);
	b->out->copied++;
	b->out->bytes += item->size;
	return r;
}

static int bring_one(struct bringing *b, const struct backup_item *item, struct err *err)
{
	char name[BACKUP_NAME], folder[16];

	place_of(item, name);
	if (item->kind == BACKUP_BLOB) {
		snprintf(folder, sizeof folder, "%.7s", name);
		if (io_mkdir(b->to, folder, err) < 0)
			return -1;
	}
	b->out->files++;
	if (b->link && item->kind != BACKUP_INDEX && item->kind != BACKUP_TAIL &&
		linkat(b->from, item->name, b->to, name, 0) == 0)
		return 0;
	return bring_copy(b, item, name, err);
}

static int flush_folders(int dir, struct err *err)
{
	char folder[16];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(folder, sizeof folder, "blob/%02x", i);
		if (faccessat(dir, folder, F_OK, 0) == 0 && io_flush_dir(dir, folder, err) < 0)
			return -1;
	}
	if (io_flush_dir(dir, "blob", err) < 0 || io_flush_dir(dir, "log", err) < 0)
		return -1;
	return io_flush_dir(dir, ".", err);
}

static int bring_all(struct bringing *b, const struct manifest *m, struct err *err)
{
	if (io_mkdir(b->to, "log", err) < 0 || io_mkdir(b->to, "blob", err) < 0)
		return -1;
	for (size_t i = 0; i < m->n; i++)
		if (bring_one(b, &m->v[i], err) < 0)
			return -1;
	return flush_folders(b->to, err);
}

static int load(int from, uint64_t id, struct manifest *m, struct err *err)
{
	uint64_t v[200];
	int n = backup_ids(from, v, 200, err);

	*m = (struct manifest){ 0 };
	if (n <= 0)
		return n < 0 ? -1 : err_set(err, ERR_NOTFOUND, "there is no backup in this folder");
	return backup_load(from, id ? id : v[0], m, err);
}

/* ---- a folder of our own that goes away ---- */

static void remove_tree(int dir, const char *name, int depth)
{
	int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) < 0 && depth > 0)
			remove_tree(dirfd(d), e->d_name, depth - 1);
	}
	if (d)
		closedir(d);
	unlinkat(dir, name, AT_REMOVEDIR);
}

void backup_drop(int from, const char *name)
{
	remove_tree(from, name, 3);
}

int backup_open(int from, uint64_t id, const char *name, struct err *err)
{
	struct backup_result ignored = { 0 };
	struct bringing b = { .from = from, .link = true, .out = &ignored };
	struct manifest m;
	int r = -1;

	if (load(from, id, &m, err) < 0)
		return -1;
	backup_drop(from, name);
	if (mkdirat(from, name, 0700) < 0)
		err_sys(err, "make directory", name);
	else
		b.to = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (b.to > 0) {
		r = bring_all(&b, &m, err);
		close(b.to);
	}
	manifest_free(&m);
	if (r < 0)
		backup_drop(from, name);
	return r;
}

/* ---- bringing it back ---- */

/* Only what a start without a store leaves behind, or an earlier try. */
static int check_empty(int data, struct err *err)
{
	static const char *const known[] = { ".", "..", "seal", "lock", "lost+found",
		STORE_RESTORING };
	int fd = openat(data, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *e;
	bool other = false, again = faccessat(data, STORE_RESTORING, F_OK, 0) == 0;

	if (!d)
		return err_sys(err, "list", "the data folder");
	while ((errno = 0, e = readdir(d))) {
		size_t i = 0;

		while (i < sizeof known / sizeof *known && strcmp(e->d_name, known[i]) != 0)
			i++;
		other |= i == sizeof known / sizeof *known;
	}
	if (errno) { /* what is in it would be removed */
		err_sys(err, "list", "the data folder");
		closedir(d);
		return -1;
	}
	closedir(d);
	return other && !again
		? err_set(err, ERR_EXISTS,
			  "the data folder is not empty: give another, or move it away")
		: 0;
}

static int begin(int data, struct err *err)
{
	static const char *const rests[] = { "index.db", "index.db-wal", "index.db-shm", "trace.db",
		"trace.db-wal", "trace.db-shm" };
	int fd;

	if (check_empty(data, err) < 0)
		return -1;
	fd = io_open(data, STORE_RESTORING, O_WRONLY | O_CREAT, err);
	if (fd < 0)
		return -1;
	close(fd);
	for (size_t i = 0; i < sizeof rests / sizeof *rests; i++)
		if (io_remove(data, rests[i], err) < 0)
			return -1;
	remove_tree(data, "log", 1);
	remove_tree(data, "snapshot", 1);
	return io_flush_dir(data, ".", err);
}

/* One that had failed was about to be reported, and has been by now. */
static int hold_failed(struct txn *t, struct err *err)
{
	int64_t id = 0;
	int got;

	while ((got = db_int(t->view.db, &id,
			"SELECT id FROM queue_rcpt WHERE state = $1 AND id > $2 ORDER BY id LIMIT "
			"1",
			DB_ARGS(DB_I(STORE_FAILED), DB_I(id)), err)) == 1)
		if (emit_queue_state(t,
			    &(struct effect_queue_state){ .id = (uint64_t)id,
				    .state = STORE_HELD,
				    .next = INT64_MAX,
				    .reply = STR("had failed when the backup was made") },
			    err) < 0)
			return -1;
	return got;
}

static int hold_all(struct txn *t, struct store_job *job, struct err *err)
{
	uint32_t changed;

	(void)job;
	return hold_failed(t, err) < 0 ? -1 : queue_change(t, 0, 0, QUEUE_OP_HOLD, &changed, err);
}

/* What it sent since would go out twice, and what it received has uids that were given out. */
static int make_ready(int data, const char *path, struct err *err)
{
	const struct store_options o = { .path = path, .restoring = true };
	struct store_job job = { .write = hold_all };
	struct store *s;
	int r;

	if (store_open(data, &o, &s, err) < 0)
		return -1;
	r = store_run(s, &job, err);
	store_job_free(&job);
	if (r == 0)
		r = store_new_uidvalidity(s, err);
	store_close(&s);
	return r;
}

int backup_restore(int from, uint64_t id, int data, const char *path, struct backup_result *out,
	struct err *err)
{
	struct bringing b = { .from = from, .to = data, .out = out };
	struct manifest m;
	int r = -1;

	*out = (struct backup_result){ 0 };
	if (load(from, id, &m, err) < 0)
		return -1;
	if (begin(data, err) == 0 && bring_all(&b, &m, err) == 0 &&
		make_ready(data, path, err) == 0 && io_remove(data, STORE_RESTORING, err) == 0)
		r = io_flush_dir(data, ".", err);
	manifest_free(&m);
	return r;
}

/* ---- is it whole? ---- */

static void tell(const struct fsck_options *told, struct fsck_result *out, const char *text)
{
	const struct fsck_finding f = { "backup.file", FSCK_LOST, false, text };

	out->wrong++;
	out->lost++;
	if (told->found)
		told->found(told->arg, &f);
}

/* What backups share is copied anew by the next one, as long as the store has exactly that: so the
 * mark does no harm to one that could not be read for now. */
static bool mark_rotten(int from, const struct backup_item *item)
{
	char mark[BACKUP_MARK];
	int fd;

	if (item->kind != BACKUP_SEGMENT && item->kind != BACKUP_BLOB)
		return false;
	backup_mark_name(mark, item->name);
	fd = openat(from, mark, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void verify_file(int from, const struct backup_item *item, const struct fsck_options *told,
	struct fsck_result *out)
{
	struct err err = ERR_INIT;
	uint64_t size = 0;
	uint32_t sum = 0;
	char text[400], mark[BACKUP_MARK];
	size_t n;

	if (backup_sum(from, item->name, &size, &sum, &err) < 0)
		snprintf(text, sizeof text, "%s", err.msg);
	else if (size != item->size || sum != item->sum)
		snprintf(text, sizeof text, "%s is not what was saved", item->name);
	else {
		backup_mark_name(mark, item->name);
		unlinkat(from, mark, 0);
		return;
	}
	n = strlen(text);
	if (mark_rotten(from, item))
		snprintf(text + n, sizeof text - n,
			"; the next backup copies it anew if the store has it whole");
	tell(told, out, text);
}

static int verify_whole(int from, uint64_t id, const struct fsck_options *told,
	struct fsck_result *out, struct err *err)
{
	struct fsck_options o = { .found = told->found, .arg = told->arg };
	struct fsck_result r;
	int dir, result = -1;

	if (backup_open(from, id, "verify", err) < 0)
		return -1;
	dir = openat(from, "verify", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir >= 0)
		result = fsck_run(dir, &o, &r, err);
	if (result == 0) {
		r.wrong += out->wrong;
		r.lost += out->lost;
		*out = r;
	}
	if (dir >= 0)
		close(dir);
	backup_drop(from, "verify");
	return result;
}

int backup_verify(int from, uint64_t id, const struct fsck_options *told, struct fsck_result *out,
	struct err *err)
{
	struct manifest m;

	*out = (struct fsck_result){ 0 };
	if (load(from, id, &m, err) < 0)
		return -1;
	for (size_t i = 0; i < m.n; i++)
		verify_file(from, &m.v[i], told, out);
	manifest_free(&m);
	/* Files that are not what was saved are told; what that means for mail, fsck says after a
	 * restore. */
	return out->wrong ? 0 : verify_whole(from, id, told, out, err);
}
