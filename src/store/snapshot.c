#include "store/snapshot.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite.h"
#include "store/io.h"
#include "store/store_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	EVERY = 86400,
	AGAIN = 3600,       /* after a failure */
	GROWN_SEGMENTS = 8, /* the log has grown much: by this, and by */
	GROWN_INDEXES = 4,  /* so many times the size of the index */
	LISTED = 16,        /* more than this are never there */
	CHECKPOINT_TRIES = 50,
};
#define NEW_NAME "snapshot/new"

/* ---- the folder ---- */

static bool parse_name(const char *file, struct snapshot *out)
{
	struct str segment, rest, sequence, suffix;

	return str_cut(str_c(file), '-', &segment, &rest) &&
		str_cut(rest, '.', &sequence, &suffix) && str_eq(suffix, STR("db")) &&
		str_u64(segment, INT64_MAX, &out->segment) &&
		str_u64(sequence, INT64_MAX, &out->sequence);
}

static void make_name(struct snapshot *s)
{
	snprintf(s->name, sizeof s->name, "snapshot/%010" PRIu64 "-%020" PRIu64 ".db", s->segment,
		s->sequence);
}

/* By time: after a log was passed over whose end was lost, a newer one has a lower number. */
static int newer_first(const void *a, const void *b)
{
	const struct snapshot *x = a, *y = b;

	if (x->made != y->made)
		return x->made < y->made ? 1 : -1;
	return x->sequence < y->sequence ? 1 : x->sequence > y->sequence ? -1 : 0;
}

int snapshot_list(int dir, struct snapshot *out, size_t max, struct err *err)
{
	const int64_t latest = (clock_wall() + 1) * CLOCK_SEC;
	DIR *d = io_list(dir, "snapshot", err);
	struct snapshot all[LISTED] = { 0 };
	struct dirent *e;
	struct stat st;
	size_t n = 0;
	int got = 0;

	if (!d)
		return err->kind == ERR_NOTFOUND ? 0 : -1;
	while (n < LISTED && (got = io_next(d, "snapshot", &e, err)) == 1) {
		if (!parse_name(e->d_name, &all[n]) ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		make_name(&all[n]);
		all[n].made = st.st_mtim.tv_sec * CLOCK_SEC + st.st_mtim.tv_nsec;
		if (all[n].made > latest) /* the clock was wrong then */
			all[n].made = 0;
		n++;
	}
	closedir(d);
	if (got < 0)
		return -1;
	qsort(all, n, sizeof *all, newer_first);
	if (n > max)
		n = max;
	memcpy(out, all, n * sizeof *all);
	return (int)n;
}

static int copy_to(int dir, int main_file, const struct snapshot *s, struct err *err)
{
	int r = -1, fd = io_open(dir, NEW_NAME, O_RDWR | O_CREAT | O_TRUNC, err);
	uint64_t size;

	if (fd < 0)
		return -1;
	if (io_size(main_file, "index.db", &size, err) == 0 &&
		io_copy(main_file, "index.db", fd, NEW_NAME, size, err) == 0 &&
		io_flush(fd, NEW_NAME, err) == 0 && io_rename(dir, NEW_NAME, s->name, err) == 0 &&
		io_flush_dir(dir, "snapshot", err) == 0)
		r = 0;
	close(fd);
	return r;
}

/* Only when the new one is safe do older ones go. */
static int drop_old(int dir, struct err *err)
{
	struct snapshot all[LISTED];
	int n = snapshot_list(dir, all, LISTED, err);

	for (int i = SNAPSHOTS_KEPT; i < n; i++)
		if (io_remove(dir, all[i].name, err) < 0)
			return -1;
	if (n > SNAPSHOTS_KEPT) /* or one comes back, and its segments do not */
		return io_flush_dir(dir, "snapshot", err);
	return n < 0 ? -1 : 0;
}

int snapshot_copy(int dir, int main_file, uint64_t segment, uint64_t sequence, struct snapshot *out,
	struct err *err)
{
	*out = (struct snapshot){
		.segment = segment, .sequence = sequence, .made = clock_wall() * CLOCK_SEC
	};
	make_name(out);
	if (io_mkdir(dir, "snapshot", err) < 0 || io_flush_dir(dir, ".", err) < 0 ||
		copy_to(dir, main_file, out, err) < 0) {
		struct err ignored = ERR_INIT;

		io_remove(dir, NEW_NAME, &ignored);
		return err_wrap(err, "make a snapshot of the index");
	}
	return drop_old(dir, err);
}

/* ---- an open store ---- */

static void take_note(struct snapshots *n, const struct snapshot *kept, int count)
{
	uint64_t held = UINT64_MAX;

	for (int i = 0; i < count; i++)
		if (kept[i].segment < held)
			held = kept[i].segment;
	pthread_mutex_lock(&n->lock);
	n->newest = count > 0 ? kept[0] : (struct snapshot){ 0 };
	atomic_store(&n->held, held);
	pthread_mutex_unlock(&n->lock);
}

int snapshot_start(struct store *s, struct err *err)
{
	struct snapshots *n = &s->snapshots;
	struct snapshot kept[SNAPSHOTS_KEPT];
	int64_t now = clock_wall(), age;
	int count;

	if (io_mkdir(s->dir, "snapshot", err) < 0 || io_remove(s->dir, NEW_NAME, err) < 0)
		return -1;
	if (n->fd < 0)
		n->fd = io_open(s->dir, "index.db", O_RDONLY, err);
	count = snapshot_list(s->dir, kept, SNAPSHOTS_KEPT, err);
	if (n->fd < 0 || count < 0)
		return -1;
	take_note(n, kept, count);
	age = count ? now - kept[0].made / CLOCK_SEC : 0;
	n->due = clock_after((age < EVERY ? EVERY - age : 0) * CLOCK_SEC);
	return 0;
}

void snapshot_init(struct store *s)
{
	s->snapshots.fd = -1;
	pthread_mutex_init(&s->snapshots.lock, NULL);
	pthread_mutex_init(&s->snapshots.main_file, NULL);
	pthread_mutex_init(&s->snapshots.removal, NULL);
	atomic_store(&s->snapshots.held, UINT64_MAX);
}

/* After SQLite has closed the file: a process that closes any descriptor of it loses its locks. */
void snapshot_stop(struct store *s)
{
	if (s->snapshots.fd >= 0)
		close(s->snapshots.fd);
	pthread_mutex_destroy(&s->snapshots.main_file);
	pthread_mutex_destroy(&s->snapshots.removal);
	pthread_mutex_destroy(&s->snapshots.lock);
}

uint64_t store_held_from(struct store *s)
{
	return atomic_load(&s->snapshots.holds) ? 0 : atomic_load(&s->snapshots.held);
}

void store_hold(struct store *s)
{
	/* Not while a file goes. */
	pthread_mutex_lock(&s->snapshots.removal);
	atomic_fetch_add(&s->snapshots.holds, 1);
	pthread_mutex_unlock(&s->snapshots.removal);
}

bool snapshot_removal_begin(struct store *s, uint64_t segment)
{
	pthread_mutex_lock(&s->snapshots.removal);
	if (segment < store_held_from(s))
		return true;
	pthread_mutex_unlock(&s->snapshots.removal);
	return false;
}

void snapshot_removal_end(struct store *s)
{
	pthread_mutex_unlock(&s->snapshots.removal);
}

void store_unhold(struct store *s)
{
	atomic_fetch_sub(&s->snapshots.holds, 1);
}

/* Until the main file is one moment of the index: only a checkpoint that copied everything makes it
 * so. Readers of an earlier moment are in the way; they are short. */
static int checkpoint_all(struct db *db, struct err *err)
{
	const struct timespec moment = { .tv_nsec = 20 * CLOCK_MSEC };
	uint32_t left = 1;

	for (int i = 0; left && i < CHECKPOINT_TRIES; i++) {
		if (db_sqlite_checkpoint(db, DB_PASSIVE, &left, err) < 0)
			return -1;
		if (left)
			nanosleep(&moment, NULL);
	}
	return left ? err_set(err, ERR_TEMP, "somebody reads an old moment of the index") : 0;
}

/* What the last commit says, which is at most what the main file holds later: so it is read first.
 */
static int read_position(struct db *db, uint64_t *segment, uint64_t *sequence, struct err *err)
{
	int64_t a = 0, b = 0;

	if (db_int(db, &a, "SELECT segment FROM log_position", DB_NOARGS, err) < 0 ||
		db_int(db, &b, "SELECT sequence FROM log_position", DB_NOARGS, err) < 0)
		return -1;
	*segment = (uint64_t)a;
	*sequence = (uint64_t)b;
	return 0;
}

/* The copy must not take what the reserve is for: the writer, who goes on meanwhile, would run out
 * of space in the middle of a transaction. */
static int have_space(struct store *s, struct err *err)
{
	const uint64_t reserve = s->options.reserve_bytes;
	uint64_t size, there;

	if (reserve == 0)
		return 0;
	if (io_size(s->snapshots.fd, "index.db", &size, err) < 0)
		return -1;
	there = io_free_bytes(s->dir);
	if (there >= reserve && there - reserve >= size)
		return 0;
	return err_set(err, ERR_FULL, "no space for a snapshot of the index");
}

static int make_held(struct store *s, struct db *db, struct snapshot *out, struct err *err)
{
	struct snapshots *n = &s->snapshots;
	struct snapshot kept[SNAPSHOTS_KEPT];
	uint64_t segment, sequence;
	int count, r = -1;

	pthread_mutex_lock(&n->main_file);
	atomic_store(&n->copying, true);
	if (read_position(db, &segment, &sequence, err) == 0 && checkpoint_all(db, err) == 0 &&
		have_space(s, err) == 0 &&
		snapshot_copy(s->dir, n->fd, segment, sequence, out, err) == 0)
		r = 0;
	atomic_store(&n->copying, false);
	pthread_mutex_unlock(&n->main_file);
	count = snapshot_list(s->dir, kept, SNAPSHOTS_KEPT, err);
	if (r < 0 || count < 0)
		return -1;
	take_note(n, kept, count);
	return 0;
}

/* From the moment that its position is read nothing goes from the log behind it. */
static int make(struct store *s, struct db *db, struct snapshot *out, struct err *err)
{
	int r;

	store_hold(s);
	r = make_held(s, db, out, err);
	store_unhold(s);
	return r;
}

int store_snapshot(struct store *s, struct snapshot *out, struct err *err)
{
	char url[STORE_URL];
	struct db *db = NULL;
	int r = -1;

	if (s->options.url)
		return err_set(err, ERR_PERM,
			"the store is a PostgreSQL database: its own tools (pg_dump, pg_basebackup)"
			" back it up");
	index_url(s, url, "index.db");
	if (db_open(&db, url, DB_WRITE, err) == 0)
		r = make(s, db, out, err);
	db_close(&db);
	return r;
}

/* Nobody else has the index open yet. The descriptor stays: closing it would end SQLite's locks. */
int snapshot_before_upgrade(struct store *s, struct err *err)
{
	struct snapshots *n = &s->snapshots;
	uint64_t segment, sequence;
	struct snapshot made;

	if (n->fd < 0)
		n->fd = io_open(s->dir, "index.db", O_RDONLY, err);
	if (n->fd < 0 || read_position(s->index, &segment, &sequence, err) < 0 ||
		checkpoint_all(s->index, err) < 0 ||
		snapshot_copy(s->dir, n->fd, segment, sequence, &made, err) < 0)
		return err_wrap(err, "before the upgrade");
	log_event(LOG_INFO, "store.upgrade", L_Z("snapshot", made.name));
	return 0;
}

void store_mark(const struct txn *t, uint64_t *segment, uint64_t *offset, uint64_t *sequence)
{
	const struct slog_position *at = &t->view.store->at;

	*segment = at->segment;
	*offset = at->offset;
	*sequence = at->sequence;
}

static struct snapshot newest(struct snapshots *n)
{
	struct snapshot found;

	pthread_mutex_lock(&n->lock);
	found = n->newest;
	pthread_mutex_unlock(&n->lock);
	return found;
}

/* Has the log grown so much that it is time? */
static bool has_grown(struct store *s, uint64_t segment)
{
	struct snapshots *n = &s->snapshots;
	const uint64_t bytes = s->options.segment_bytes ? s->options.segment_bytes : 64 << 20;
	const uint64_t last = newest(n).segment, since = segment > last ? segment - last : 0;
	struct err ignored = ERR_INIT;
	uint64_t size = 0;

	return since >= GROWN_SEGMENTS && io_size(n->fd, "index.db", &size, &ignored) == 0 &&
		since * bytes >= GROWN_INDEXES * size;
}

static void put_off(struct snapshots *n, const struct err *why)
{
	n->due = n->retry = clock_after(AGAIN * CLOCK_SEC);
	log_event(LOG_WARN, "store.snapshot", L_ERR(why));
}

void snapshot_consider(struct store *s, struct db *db)
{
	struct snapshots *n = &s->snapshots;
	const int64_t now = clock_mono();
	struct err err = ERR_INIT;
	uint64_t segment, sequence;
	struct snapshot made;

	if (now < n->retry)
		return;
	if (read_position(db, &segment, &sequence, &err) < 0) {
		put_off(n, &err);
		return;
	}
	if (now < n->due && !has_grown(s, segment))
		return;
	n->due = clock_after(EVERY * CLOCK_SEC);
	if (sequence == newest(n).sequence)
		return;
	if (make(s, db, &made, &err) == 0)
		log_event(LOG_INFO, "store.snapshot", L_Z("made", made.name));
	else
		put_off(n, &err);
}

bool snapshot_main_file_try(struct store *s)
{
	return pthread_mutex_trylock(&s->snapshots.main_file) == 0;
}

void snapshot_main_file_end(struct store *s)
{
	pthread_mutex_unlock(&s->snapshots.main_file);
}
