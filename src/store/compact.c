#include "store/compact.h"
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite.h"
#include "store/blob.h"
#include "store/compact_private.h"
#include "store/io.h"
#include "store/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

enum {
	EVERY_SECONDS = 10,
	AFTER_FAILURE = 60,
	FILES_AT_ONCE = 256,
	CHECKPOINT_TRIES = 20,
	STUCK_SECONDS = 3600,
	STUCK_MAX = 100000
};

/* ---- what may go ---- */

struct dead {
	uint64_t limit; /* segments below it are needed for no replay */
	uint64_t segments[FILES_AT_ONCE];
	size_t count;
	struct buf blobs; /* names, each with a newline */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* In the moment that the view has open. */
static int find_limit(struct round *r, uint64_t *limit, struct err *err)
{
	int64_t at = 0;

	if (db_int(r->view.db, &at, "SELECT segment FROM log_position", DB_NOARGS, err) < 0)
		return -1;
	*limit = least((uint64_t)at, least(follower_needs(r->s), store_held_from(r->s)));
	return 0;
}

static int add_if_dead(struct round *r, uint64_t segment, struct dead *d, struct err *err)
{
	int64_t bodies;
	int got = db_int(r->view.db, &bodies, "SELECT bodies FROM segment WHERE number = $1",
		DB_ARGS(DB_I((int64_t)segment)), err);

	if (got == 0)
		d->segments[d->count++] = segment;
	return got < 0 ? -1 : 0;
}

static int find_segments(struct round *r, struct dead *d, struct err *err)
{
	DIR *dir = io_list(r->s->dir, "log", err);
	struct dirent *e;
	int got = 0, result = dir ? 0 : -1;

	while (result == 0 && d->count < FILES_AT_ONCE &&
		(got = io_next(dir, "log", &e, err)) == 1) {
		uint64_t n = slog_segment_number(str_c(e->d_name));

		if (n && n < d->limit)
			result = add_if_dead(r, n, d, err);
	}
	if (dir)
		closedir(dir);
	return got < 0 ? -1 : result;
}

static void find_blobs(struct round *r, struct dead *d)
{
	struct buf names;
	struct str rest, name;
	char z[BLOB_NAME];

	space_take_blobs(&r->s->space, &names);
	for (rest = buf_str(&names); rest.n;) {
		if (!str_cut(rest, '\n', &name, &rest) || !str_z(name, z, sizeof z) ||
			blob_is_named(&r->view, z))
			continue;
		buf_add(&d->blobs, name);
		buf_addc(&d->blobs, '\n');
	}
	buf_free(&names);
}

static int find_dead(struct round *r, struct dead *d, struct err *err)
{
	int result = -1;

	*d = (struct dead){ .blobs = BUF(2 * SPACE_BLOBS) };
	if (db_begin(r->view.db, err) < 0)
		return -1;
	if (find_limit(r, &d->limit, err) == 0 && find_segments(r, d, err) == 0) {
		if (d->limit) /* 0: a backup is being made */
			find_blobs(r, d);
		result = 0;
	}
	db_rollback(r->view.db);
	return result;
}

/* ---- removing ---- */

/* The main file of the index holds everything that was committed before. 1; 0 somebody is in the
 * way; -1. */
static int checkpoint(struct round *r, struct err *err)
{
	uint32_t left = 1;
	int result = 0;

	for (int i = 0; result == 0 && left && i < CHECKPOINT_TRIES; i++) {
		if (i && !compact_pause(r, 20 * CLOCK_MSEC))
			return 0;
		if (!snapshot_main_file_try(r->s))
			continue;
		result = db_sqlite_checkpoint(r->db, DB_PASSIVE, &left, err);
		snapshot_main_file_end(r->s);
	}
	if (result < 0)
		return err->kind == ERR_TEMP ? 0 : -1;
	return left == 0;
}

static int remove_segment(struct round *r, uint64_t segment, struct err *err)
{
	char name[SLOG_NAME];

	slog_segment_name(name, segment, ".seg");
	if (!snapshot_removal_begin(r->s, segment))
		return 0;
	if (io_remove(r->s->dir, name, err) < 0) {
		snapshot_removal_end(r->s);
		return -1;
	}
	snapshot_removal_end(r->s);
	slog_forget(r->s->log, segment);
	r->done.segments++;
	return 0;
}

static int remove_blob(struct round *r, struct str name, struct err *err)
{
	int result = 0;

	if (!snapshot_removal_begin(r->s, 0))
		return 0; /* the sweep finds it */
	result = blob_remove(r->s->dir, name, err);
	snapshot_removal_end(r->s);
	r->done.blobs += result == 0;
	return result;
}

/* Before the first segment goes there is a snapshot, so that the index can always be made anew with
 * all that stood in it. A full disk is no reason to keep what is dead. */
static int have_snapshot(struct round *r, struct err *err)
{
	struct err why = ERR_INIT;
	struct snapshot made;

	if (store_held_from(r->s) != UINT64_MAX || store_snapshot(r->s, &made, &why) == 0 ||
		why.kind == ERR_FULL)
		return 0;
	*err = why;
	return -1;
}

static int remove_all(struct round *r, const struct dead *d, struct err *err)
{
	struct str rest = buf_str(&d->blobs), name;

	if (d->count && have_snapshot(r, err) < 0)
		return -1;
	for (size_t i = 0; i < d->count; i++)
		if (remove_segment(r, d->segments[i], err) < 0)
			return -1;
	while (rest.n && str_cut(rest, '\n', &name, &rest))
		if (remove_blob(r, name, err) < 0)
			return -1;
	return 0;
}

/* 1: nothing dead is left that could go; 0: it has to wait. */
static int remove_dead(struct round *r, struct err *err)
{
	struct dead d;
	int got = find_dead(r, &d, err);

	if (got == 0)
		got = d.count || d.blobs.n ? checkpoint(r, err) : 1;
	if (got == 1 && remove_all(r, &d, err) < 0)
		got = -1;
	if (got == 0)
		space_give_blobs(&r->s->space, buf_str(&d.blobs));
	buf_free(&d.blobs);
	return got;
}

/* ---- choosing ---- */

static bool is_half_dead(const struct store *s, uint64_t segment, uint64_t live)
{
	char name[SLOG_NAME];
	struct stat st;

	slog_segment_name(name, segment, ".seg");
	/* Less slack: what it leaves at its end is no reason, or it would be copied again and
	 * again. */
	return fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > SLOG_SLACK &&
		live <= (uint64_t)(st.st_size - SLOG_SLACK) / 2;
}

/* The one with the least to copy. 1, 0 none is worth it, -1. */
static int choose(struct round *r, uint64_t *segment, struct err *err)
{
	struct rows *rows;
	uint64_t limit;
	int got, found = 0;

	if (find_limit(r, &limit, err) < 0 ||
		db_query(r->view.db, &rows,
			"SELECT number, bytes FROM segment WHERE number < $1 ORDER BY bytes",
			DB_ARGS(DB_I((int64_t)least(limit, INT64_MAX))), err) < 0)
		return -1;
	while (!found && (got = rows_next(rows, err)) != 0) {
		if (got < 0)
			break;
		*segment = (uint64_t)rows_int(rows, 0);
		found = !map_get_u64(&r->s->compactor.stuck, *segment) &&
			is_half_dead(r->s, *segment, (uint64_t)rows_int(rows, 1));
	}
	rows_free(&rows);
	return got < 0 ? -1 : found;
}

/* Something in it cannot be read, or nobody knows where it is: it stays where it is. */
static int note_if_stuck(struct round *r, uint64_t segment, struct err *err)
{
	struct compactor *c = &r->s->compactor;
	int64_t bodies;
	int got = db_int(r->view.db, &bodies, "SELECT bodies FROM segment WHERE number = $1",
		DB_ARGS(DB_I((int64_t)segment)), err);

	if (got != 1)
		return got;
	log_event(LOG_WARN, "store.stuck", L_U64("segment", segment), L_I64("bodies", bodies));
	if (map_put_u64(&c->stuck, segment, c))
		return 0;
	return err_set(err, ERR_TEMP, "too many segments that cannot be emptied");
}

/* Whatever was in the way may be gone. */
static void forget_stuck(struct compactor *c)
{
	if (clock_mono() < c->stuck_until)
		return;
	map_free(&c->stuck);
	c->stuck_until = clock_after(STUCK_SECONDS * CLOCK_SEC);
}

/* Whatever is wrong with one segment: the others, of everybody, are done all the same. */
static int copy_segment(struct round *r, uint64_t segment, struct err *err)
{
	struct err why = ERR_INIT;

	if (compact_segment(r, segment, &why) == 0)
		return 0;
	if (why.kind == ERR_CANCELED || why.kind == ERR_FULL) {
		*err = why;
		return -1;
	}
	log_event(LOG_WARN, "store.compact", L_U64("segment", segment), L_ERR(&why));
	return 0;
}

/* 1: there is more to do. */
static int one_segment(struct round *r, struct err *err)
{
	uint64_t segment;
	int got = remove_dead(r, err);

	/* What is dead has to go first, or the disk would hold more and more. */
	if (got == 1)
		got = choose(r, &segment, err);
	if (got != 1)
		return got;
	if (copy_segment(r, segment, err) < 0 || note_if_stuck(r, segment, err) < 0)
		return -1;
	return 1;
}

static void round_end(struct round *r)
{
	if (r->view.db)
		view_close(&r->view);
	db_close(&r->db);
}

static int round_begin(struct store *s, struct round *r, bool hurry, struct err *err)
{
	char url[STORE_URL];

	*r = (struct round){ .s = s, .hurry = hurry };
	index_url(s, url, "index.db");
	if (view_open(s, &r->view, err) == 0 && db_open(&r->db, url, DB_WRITE, err) == 0)
		return 0;
	round_end(r);
	return -1;
}

static int run(struct round *r, struct err *err)
{
	struct compactor *c = &r->s->compactor;
	int got = 1;

	pthread_mutex_lock(&c->busy);
	forget_stuck(c);
	while (got == 1 && (r->hurry || compact_pause(r, 0)))
		got = one_segment(r, err);
	atomic_store(&c->stuck_count, (unsigned)c->stuck.n);
	pthread_mutex_unlock(&c->busy);
	return got < 0 ? -1 : 0;
}

int store_compact(struct store *s, struct compact_report *done, struct err *err)
{
	struct round r;
	int result;

	if (round_begin(s, &r, true, err) < 0)
		return -1;
	follower_catch_up(s);
	result = run(&r, err);
	*done = r.done;
	round_end(&r);
	return result;
}

int store_scrub(struct store *s, struct err *err)
{
	struct round r;
	int result;

	if (round_begin(s, &r, true, err) < 0)
		return -1;
	result = compact_scrub(&r, err);
	round_end(&r);
	return result;
}

/* ---- all of it in another form ---- */

/* The next after `segment`. 1, 0, -1. */
static int next_to_rewrite(struct round *r, uint64_t last, uint64_t *segment, struct err *err)
{
	int64_t found = 0;

	if (db_int(r->view.db, &found,
		    r->form == ALL_SQUEEZED ? "SELECT min(segment) FROM body WHERE segment > $1"
					      " AND segment <= $2 AND stored = 0 AND damaged = 0"
					    : "SELECT min(segment) FROM body WHERE segment > $1"
					      " AND segment <= $2 AND stored <> 0 AND damaged = 0",
		    DB_ARGS(DB_I((int64_t)*segment), DB_I((int64_t)last)), err) < 0)
		return -1;
	*segment = (uint64_t)found;
	return found != 0;
}

static int rewrite(struct round *r, struct err *err)
{
	uint64_t segment = 0;
	int64_t last = 0;
	int got = db_int(r->view.db, &last, "SELECT segment FROM log_position", DB_NOARGS, err);

	while (got == 1) {
		got = next_to_rewrite(r, (uint64_t)last, &segment, err);
		if (got == 1 && copy_segment(r, segment, err) < 0)
			got = -1;
	}
	return got;
}

int store_rewrite(struct store *s, bool squeezed, struct compact_report *done, struct err *err)
{
	struct round r;
	int result;

	if (round_begin(s, &r, true, err) < 0)
		return -1;
	r.form = squeezed ? ALL_SQUEEZED : ALL_PLAIN;
	pthread_mutex_lock(&s->compactor.busy);
	result = rewrite(&r, err);
	pthread_mutex_unlock(&s->compactor.busy);
	*done = r.done;
	round_end(&r);
	return result;
}

/* ---- the thread ---- */

bool compact_pause(struct round *r, int64_t ns)
{
	struct compactor *c = &r->s->compactor;
	const int64_t at = clock_after(ns);
	const struct timespec until = { .tv_sec = (time_t)(at / CLOCK_SEC),
		.tv_nsec = (long)(at % CLOCK_SEC) };
	bool stop;

	pthread_mutex_lock(&c->lock);
	while (!c->stop && clock_mono() < at)
		pthread_cond_timedwait(&c->cond, &c->lock, &until);
	stop = c->stop;
	pthread_mutex_unlock(&c->lock);
	return !stop;
}

static void tell(const struct compact_report *done)
{
	if (done->moved || done->segments || done->blobs)
		log_event(LOG_INFO, "store.compact", L_U64("moved", done->moved),
			L_U64("segments", done->segments), L_U64("blobs", done->blobs));
}

static void *compact(void *arg)
{
	struct store *s = arg;
	int64_t pause = EVERY_SECONDS;
	struct round r = { .s = s };

	while (compact_pause(&r, pause * CLOCK_SEC)) {
		struct err err = ERR_INIT;

		r.done = (struct compact_report){ 0 };
		pause = (r.db || round_begin(s, &r, false, &err) == 0) && run(&r, &err) == 0 &&
				compact_scrub(&r, &err) == 0
			? EVERY_SECONDS
			: AFTER_FAILURE;
		if (pause == AFTER_FAILURE && err.kind != ERR_CANCELED)
			log_event(LOG_WARN, "store.compact", L_ERR(&err));
		tell(&r.done);
	}
	round_end(&r);
	return NULL;
}

void compact_init(struct store *s)
{
	struct compactor *c = &s->compactor;
	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_mutex_init(&c->busy, NULL);
	c->stuck = MAP(STUCK_MAX);
	pthread_cond_init(&c->cond, &a);
	pthread_condattr_destroy(&a);
}

/* Without the thread what is dead stays until the next start. */
void compact_start(struct store *s)
{
	struct compactor *c = &s->compactor;

	if (!slog_damage(s->log))
		c->running = pthread_create(&c->thread, NULL, compact, s) == 0;
}

void compact_stop(struct store *s)
{
	struct compactor *c = &s->compactor;

	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_broadcast(&c->cond);
	pthread_mutex_unlock(&c->lock);
	if (c->running)
		pthread_join(c->thread, NULL);
	c->running = false;
}

void compact_end(struct store *s)
{
	pthread_cond_destroy(&s->compactor.cond);
	pthread_mutex_destroy(&s->compactor.busy);
	pthread_mutex_destroy(&s->compactor.lock);
	map_free(&s->compactor.stuck);
}
