#include "store/fsck.h"
#include "base/clock.h"
#include "db/sqlite.h"
#include "store/compact.h"
#include "store/fsck_private.h"
#include "store/io.h"
#include "store/log_private.h"
#include "store/store_private.h"
#include "store/trace.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEXT = 800, RESERVE = 64 << 20 };

void fsck_say(struct fsck *f, const char *check, enum fsck_severity severity, bool repaired,
	const char *fmt, ...)
{
	struct fsck_finding finding = {
		.check = check, .severity = severity, .repaired = repaired
	};
	char text[TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	for (char *p = text; *p; p++)
		if (is_ctl(*p)) /* names are what others have chosen */
			*p = '?';
	finding.text = text;
	f->out->wrong += severity != FSCK_NOTE;
	f->out->lost += severity == FSCK_LOST;
	f->out->repaired += severity != FSCK_NOTE && repaired;
	if (f->o->found)
		f->o->found(f->o->arg, &finding);
}

void fsck_url(const struct fsck *f, char url[FSCK_URL], const char *name)
{
	if (f->o->path)
		snprintf(url, FSCK_URL, "sqlite:%s/%s", f->o->path, name);
	else
		snprintf(url, FSCK_URL, "sqlite:/proc/self/fd/%d/%s", f->dir, name);
}

/* Reading only: version and position. -1: it cannot be used. */
static int open_index(struct fsck *f, struct err *err)
{
	struct counters next;
	char url[FSCK_URL];
	int64_t version;

	fsck_url(f, url, "index.db");
	if (db_open(&f->db, url, DB_READ, err) < 0 || index_version(f->db, &version, err) < 0)
		return -1;
	if (version == INDEX_VERSION)
		return index_position(f->db, &f->at, &next, err);
	return err_set(err, ERR_PERM,
		version > INDEX_VERSION ? "it is of a newer version of this program"
					: "it is of an older version; start the server once, or use"
					  " --rebuild");
}

/* Damage of the log before this position does not matter any more. */
static int find_safe(struct fsck *f, struct err *err)
{
	struct snapshot kept[SNAPSHOTS_KEPT];
	int n = snapshot_list(f->dir, kept, SNAPSHOTS_KEPT, err);

	for (int i = 0; i < n; i++) {
		if (i == 0 || kept[i].sequence < f->safe_sequence)
			f->safe_sequence = kept[i].sequence;
		if (i == 0 || kept[i].segment < f->safe_segment)
			f->safe_segment = kept[i].segment;
	}
	return n < 0 ? -1 : 0;
}

static int check_all(struct fsck *f, struct err *err)
{
	struct err why = ERR_INIT;
	int r;

	if (open_index(f, &why) < 0) {
		fsck_say(
			f, "index.open", FSCK_WRONG, false, "index.db cannot be used: %s", why.msg);
		f->out->index_unusable = true;
	} else {
		f->out->index_unusable = !fsck_index_is_whole(f);
	}
	r = fsck_check_log(f, err);
	if (r == 0 && !f->out->index_unusable &&
		(fsck_check_index(f, false, err) < 0 || fsck_check_bodies(f, err) < 0))
		r = -1;
	db_close(&f->db);
	return r;
}

/* ---- repair ---- */

/* The main file takes all of the write-ahead log. */
static int end_index(struct store *s, struct err *err)
{
	uint32_t left = 0;

	if (db_sqlite_checkpoint(s->index, DB_TRUNCATE, &left, err) < 0)
		return -1;
	if (left)
		return err_set(err, ERR_TEMP, "somebody else reads index.db");
	db_close(&s->index);
	return 0;
}

/* From here on the log before it is not needed to make the index anew. */
static int make_snapshot(struct fsck *f, struct store *s, bool alone, struct err *err)
{
	struct snapshot made, kept[16];
	int n, fd, r;

	fd = io_open(f->dir, "index.db", O_RDONLY, err);
	if (fd < 0)
		return -1;
	r = snapshot_copy(f->dir, fd, s->at.segment, s->at.sequence, &made, err);
	close(fd);
	n = r == 0 && alone ? snapshot_list(f->dir, kept, 16, err) : r;
	for (int i = 0; i < n; i++)
		if (strcmp(kept[i].name, made.name) != 0 &&
			io_remove(f->dir, kept[i].name, err) < 0)
			return -1;
	return n < 0 ? -1 : 0;
}

int fsck_uidvalidity(struct db *db, uint32_t *out, struct err *err)
{
	const int64_t now = clock_wall();
	int64_t last = 0;

	if (db_int(db, &last, "SELECT max(next_uidvalidity) FROM account", DB_NOARGS, err) < 0)
		return -1;
	*out = (uint32_t)(last > now ? last : now);
	return 0;
}

static int give_uidvalidity(struct txn *t, struct store_job *job, struct err *err)
{
	struct effect_uidvalidity_given e;

	(void)job;
	return fsck_uidvalidity(t->view.db, &e.uidvalidity, err) < 0
		? -1
		: emit_uidvalidity_given(t, &e, err);
}

int store_new_uidvalidity(struct store *s, struct err *err)
{
	struct store_job job = { .write = give_uidvalidity };
	int r = store_run(s, &job, err);

	store_job_free(&job);
	return r;
}

/* The index is open and follows the log to its end, in a transaction. The trace goes on behind what
 * was lost; it does so before the index, because whoever begins again once the index stands there
 * does not know of a loss any more. */
static int put_right(struct fsck *f, struct store *s, uint64_t losses, struct err *err)
{
	f->db = s->index;
	f->keep_unnamed = losses || f->o->rebuild;
	if (fsck_check_index(f, true, err) < 0 || fsck_check_bodies(f, err) < 0 ||
		(losses && trace_skip(s, &s->at, err) < 0) || db_commit(s->index, err) < 0) {
		db_rollback(s->index);
		return -1;
	}
	if (end_index(s, err) < 0 || (f->o->rebuild && fsck_put_in_place(f, err) < 0))
		return -1;
	return make_snapshot(f, s, losses != 0, err);
}

static int repair(struct fsck *f, struct store *s, uint64_t *losses, struct err *err)
{
	struct err why = ERR_INIT;

	if (f->o->rebuild)
		return fsck_rebuild(f, s, losses, err);
	if (open_index(f, &why) < 0 || !fsck_index_is_whole(f)) {
		if (why.kind != ERR_NONE)
			fsck_say(f, "index.open", FSCK_WRONG, false, "index.db cannot be used: %s",
				why.msg);
		f->out->index_unusable = true;
		db_close(&f->db);
		return 1;
	}
	db_close(&f->db);
	if (index_open(s, err) < 0)
		return -1;
	f->db = s->index;
	return fsck_salvage(f, s, losses, err);
}

static int repair_all(struct fsck *f, struct err *err)
{
	uint64_t losses = 0;
	struct store *s;
	int r;

	if (store_open_alone(f->dir, f->o->path, &s, err) < 0)
		return -1;
	r = repair(f, s, &losses, err);
	if (r == 0)
		r = put_right(f, s, losses, err);
	store_close(&s);
	return r < 0 ? -1 : 0;
}

int fsck_run(int dir, const struct fsck_options *o, struct fsck_result *out, struct err *err)
{
	struct fsck f = { .dir = dir, .o = o, .out = out };
	struct store *lock;
	int r;

	*out = (struct fsck_result){ 0 };
	if (find_safe(&f, err) < 0)
		return -1;
	if (o->repair || o->rebuild)
		return repair_all(&f, err);
	if (store_open_alone(dir, o->path, &lock, err) < 0)
		return -1;
	r = check_all(&f, err);
	store_close(&lock);
	return r;
}

/* New segments are as large as those that are there. */
static uint64_t segment_bytes(int dir)
{
	struct err ignored = ERR_INIT;
	DIR *d = io_list(dir, "log", &ignored);
	struct dirent *e;
	struct stat st;
	uint64_t least = 0;

	while (d && io_next(d, "log", &e, &ignored) == 1)
		if (slog_segment_number(str_c(e->d_name)) &&
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			(!least || (uint64_t)st.st_size < least))
			least = (uint64_t)st.st_size;
	if (d)
		closedir(d);
	return least;
}

/* Opening applies what is in the log. */
static int open_whole(int dir, const char *path, struct store **out, struct err *err)
{
	const struct store_options o = {
		.path = path, .reserve_bytes = RESERVE, .segment_bytes = segment_bytes(dir)
	};
	struct store_figures figures;

	if (store_open(dir, &o, out, err) < 0)
		return -1;
	store_figures(*out, &figures);
	if (!figures.read_only)
		return 0;
	store_close(out);
	return err_set(err, ERR_PERM, "%s", figures.alarm);
}

static int rewrite(int dir, const char *path, bool squeezed, uint64_t *changed, struct err *err)
{
	struct compact_report done = { 0 };
	struct store *s;
	int r;

	if (open_whole(dir, path, &s, err) < 0)
		return -1;
	r = store_rewrite(s, squeezed, &done, err);
	*changed = done.moved;
	if (r == 0) /* the files that were theirs */
		r = store_compact(s, &done, err);
	store_close(&s);
	return r;
}

/* Older snapshots would keep what the messages were. */
static int remove_old(int dir, const char *path, struct err *err)
{
	const struct fsck_options o = { .path = path };
	struct fsck_result ignored = { 0 };
	struct fsck f = { .dir = dir, .o = &o, .out = &ignored };
	struct compact_report done;
	struct store *s;
	int r = -1;

	if (store_open_alone(dir, path, &s, err) < 0)
		return -1;
	if (index_open(s, err) == 0 && end_index(s, err) == 0)
		r = make_snapshot(&f, s, true, err);
	store_close(&s);
	if (r < 0 || open_whole(dir, path, &s, err) < 0)
		return -1;
	r = store_compact(s, &done, err);
	store_close(&s);
	return r;
}

int fsck_rewrite(int dir, const char *path, bool squeezed, uint64_t *changed, struct err *err)
{
	if (rewrite(dir, path, squeezed, changed, err) < 0)
		return -1;
	/* Also when nothing is left to change: the last time may have been killed before this. */
	return remove_old(dir, path, err);
}

int fsck_go_back(int dir, const char *path, int64_t to, struct err *err)
{
	const struct fsck_options o = { .path = path };
	struct fsck_result ignored = { 0 };
	struct fsck f = { .dir = dir, .o = &o, .out = &ignored };
	struct store *s = NULL;
	int r = -1;

	if (to == INDEX_VERSION)
		return 0;
	if (open_whole(dir, path, &s, err) < 0)
		return -1;
	store_close(&s);
	if (store_open_alone(dir, path, &s, err) < 0)
		return -1;
	if (index_open(s, err) == 0 && end_index(s, err) == 0 &&
		make_snapshot(&f, s, false, err) == 0 && index_open(s, err) == 0 &&
		index_go_back(s->index, to, err) == 0)
		r = end_index(s, err) < 0 ? -1
					  : make_snapshot(&f, s, false,
						    err); /* one that the version before can use */
	store_close(&s);
	return r;
}

int fsck_online(int dir, const struct fsck_options *o, struct fsck_result *out, struct err *err)
{
	struct fsck f = { .dir = dir, .o = o, .out = out };
	int r = -1;

	*out = (struct fsck_result){ 0 };
	if (open_index(&f, err) == 0)
		r = fsck_check_index(&f, false, err);
	else
		err_wrap(err, "index.db");
	db_close(&f.db);
	return r;
}
