/* The index made anew, beside the one that is there, which is set aside only when the new one is
 * whole: so whatever ends a rebuild, nothing is lost and it can be begun again. */
#include "store/fsck_private.h"
#include "store/io.h"
#include "store/snapshot.h"
#include "store/store_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ASIDE = 40 };

/* Where it stands must be a record of the log. */
static bool fits_the_log(struct fsck *f, const struct slog_position *at)
{
	struct err err = ERR_INIT;
	struct slog_cursor c;
	int got;

	slog_cursor_init(&c, f->dir, at);
	got = slog_cursor_check(&c, &err);
	slog_cursor_free(&c);
	return got == 1;
}

static bool is_usable(struct fsck *f, const struct snapshot *s, bool must_fit)
{
	struct err err = ERR_INIT;
	struct slog_position at;
	struct counters next;
	char url[FSCK_URL];
	int64_t version = 0;
	bool ok;

	fsck_url(f, url, INDEX_NEW);
	ok = db_open(&f->db, url, DB_READ, &err) == 0 && fsck_index_is_whole(f) &&
		index_version(f->db, &version, &err) == 0 && version > 0 &&
		version <= INDEX_VERSION && index_position(f->db, &at, &next, &err) == 0 &&
		(!must_fit || fits_the_log(f, &at));
	db_close(&f->db);
	if (!ok)
		fsck_say(f, "rebuild.snapshot", FSCK_NOTE, false, "%s cannot be used", s->name);
	return ok;
}

static int copy_snapshot(struct fsck *f, const struct snapshot *s, struct err *err)
{
	int from = io_open(f->dir, s->name, O_RDONLY, err), to = -1, r = -1;
	uint64_t size;

	if (from >= 0)
		to = io_open(f->dir, INDEX_NEW, O_RDWR | O_CREAT | O_TRUNC, err);
	if (to >= 0 && io_size(from, s->name, &size, err) == 0)
		r = io_copy(from, s->name, to, INDEX_NEW, size, err);
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	return r;
}

/* What a try that was broken off has left: nobody has used it yet. */
static int drop_new(struct fsck *f, struct err *err)
{
	static const char *const names[] = { INDEX_NEW, INDEX_NEW "-wal", INDEX_NEW "-shm" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (io_remove(f->dir, names[i], err) < 0)
			return -1;
	return 0;
}

/* 1: it is the new index now; 0: it cannot be; -1. */
static int try_snapshot(struct fsck *f, const struct snapshot *s, bool must_fit, struct err *err)
{
	struct err why = ERR_INIT;

	if (copy_snapshot(f, s, &why) < 0) {
		if (why.kind == ERR_FULL) { /* of any other, too */
			*err = why;
			return -1;
		}
		fsck_say(f, "rebuild.snapshot", FSCK_NOTE, false, "%s cannot be copied: %s",
			s->name, why.msg);
		return drop_new(f, err);
	}
	if (!is_usable(f, s, must_fit))
		return drop_new(f, err);
	fsck_say(f, "rebuild.snapshot", FSCK_NOTE, false, "begun from %s", s->name);
	return 1;
}

/* One that cannot be used is replaced by the next. If the log has lost the records of all of them,
 * what they know of accounts and folders is still better than the names that mail carries. */
static int start_from_snapshot(struct fsck *f, struct err *err)
{
	struct snapshot kept[SNAPSHOTS_KEPT];
	int got = 0, n = snapshot_list(f->dir, kept, SNAPSHOTS_KEPT, err);

	for (int i = 0; i < 2 * n && got == 0; i++)
		got = try_snapshot(f, &kept[i % n], i < n, err);
	return n < 0 || got < 0 ? -1 : 0;
}

int fsck_rebuild(struct fsck *f, struct store *s, uint64_t *losses, struct err *err)
{
	uint64_t wrong = f->out->wrong;

	if (drop_new(f, err) < 0 || start_from_snapshot(f, err) < 0)
		return -1;
	f->out->wrong = wrong; /* what was wrong with snapshots that are not used */
	if (index_open_new(s, err) < 0)
		return -1;
	f->db = s->index;
	return fsck_salvage(f, s, losses, err);
}

/* ---- in its place ---- */

static bool is_there(const struct fsck *f, const char *name)
{
	struct stat st;

	return fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Nobody knows yet whether one that was set aside before is needed: none is written over. *last:
 * the one before, "" without one. */
static void free_name(const struct fsck *f, char name[ASIDE], char last[ASIDE])
{
	last[0] = '\0';
	snprintf(name, ASIDE, "index.db.broken");
	for (unsigned n = 2; is_there(f, name); n++) {
		memcpy(last, name, ASIDE);
		snprintf(name, ASIDE, "index.db.broken.%u", n);
	}
}

/* Its write-ahead log would be taken for that of the new one. The main file goes first: without it
 * a start takes nothing for the index, and what a try that ended here has left belongs to the last
 * one that was set aside. */
static int set_aside(struct fsck *f, struct err *err)
{
	char name[ASIDE], last[ASIDE], wal[ASIDE + 4];
	const bool there = is_there(f, "index.db");

	free_name(f, name, last);
	if (there && io_rename(f->dir, "index.db", name, err) < 0)
		return -1;
	snprintf(wal, sizeof wal, "%s-wal", there || !last[0] ? name : last);
	if (is_there(f, "index.db-wal") && io_rename(f->dir, "index.db-wal", wal, err) < 0)
		return -1;
	if (there)
		fsck_say(f, "rebuild.aside", FSCK_NOTE, false,
			"the index that was there stays as %s", name);
	return io_remove(f->dir, "index.db-shm", err);
}

int fsck_put_in_place(struct fsck *f, struct err *err)
{
	int fd = io_open(f->dir, INDEX_NEW, O_RDWR, err), r = -1;

	if (fd < 0)
		return -1;
	if (io_flush(fd, INDEX_NEW, err) == 0 && set_aside(f, err) == 0 &&
		io_rename(f->dir, INDEX_NEW, "index.db", err) == 0)
		r = io_flush_dir(f->dir, ".", err);
	close(fd);
	return r;
}
