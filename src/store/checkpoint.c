/* Checkpoints: what the write-ahead log of the index holds goes into its main file. The thread
 * does most of it while the writer goes on; the writer does the small rest between two batches, so
 * that the write-ahead log starts anew. */
#include "base/clock.h"
#include "base/log.h"
#include "db/sqlite.h"
#include "store/blob.h"
#include "store/store_private.h"

enum { RECORDS = 20000, SWEEP_SECONDS = 86400, GRACE_MS = 500, TRY_MS = 20 };

/* Of the limit: from here on the thread is wanted; from here on the writer does all of it; and from
 * here on no batch begins, so that the last one has room. */
#define WANTED(limit) ((limit) / 4)
#define URGENT(limit) ((limit) / 2)
#define NO_MORE(limit) ((limit) / 4 * 3)
/* A large index takes long to copy: so often the limit may come in meanwhile. */
#define WHILE_COPYING 8

static void wait_until(struct checkpointer *c, int64_t when)
{
	const struct timespec until = { .tv_sec = (time_t)(when / CLOCK_SEC),
		.tv_nsec = (long)(when % CLOCK_SEC) };

	pthread_cond_timedwait(&c->cond, &c->lock, &until);
}

/* Blobs that no record came to name, at the start and once a day. */
static void sweep(struct store *s)
{
	struct err err = ERR_INIT;
	struct view v;
	int removed;

	if (view_open(s, &v, &err) < 0) {
		log_event(LOG_WARN, "store.sweep", L_ERR(&err));
		return;
	}
	removed = blob_sweep(&v, &err);
	view_close(&v);
	if (removed > 0)
		log_event(LOG_INFO, "store.sweep", L_I64("removed", removed));
}

static void copy_most(struct store *s, struct db *db)
{
	struct err err = ERR_INIT;
	uint32_t left;

	if (!db || !snapshot_main_file_try(s))
		return;
	if (db_sqlite_checkpoint(db, DB_PASSIVE, &left, &err) < 0)
		log_event(LOG_WARN, "store.checkpoint", L_ERR(&err));
	snapshot_main_file_end(s);
}

static void *make_checkpoints(void *arg)
{
	struct store *s = arg;
	struct checkpointer *c = &s->checkpointer;
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t next_sweep = 0;
	char url[STORE_URL];

	index_url(s, url, "index.db");
	if (db_open(&db, url, DB_WRITE, &err) < 0)
		log_event(LOG_ERROR, "store.checkpoint", L_ERR(&err));
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (clock_mono() >= next_sweep) {
			next_sweep = clock_after(SWEEP_SECONDS * CLOCK_SEC);
			pthread_mutex_unlock(&c->lock);
			sweep(s);
			pthread_mutex_lock(&c->lock);
			continue;
		}
		if (!c->wanted && (!db || clock_mono() < s->snapshots.due)) {
			wait_until(c,
				db && s->snapshots.due < next_sweep ? s->snapshots.due
								    : next_sweep);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		copy_most(s, db);
		if (db)
			snapshot_consider(s, db);
		pthread_mutex_lock(&c->lock);
		c->wanted = false;
		atomic_store(&c->rest, true);
	}
	pthread_mutex_unlock(&c->lock);
	db_close(&db);
	return NULL;
}

void checkpoint_start(struct store *s)
{
	struct checkpointer *c = &s->checkpointer;

	pthread_condattr_t a;

	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, &a);
	pthread_condattr_destroy(&a);
	/* Without the thread the writer does all of it. */
	c->running = pthread_create(&c->thread, NULL, make_checkpoints, s) == 0;
}

void checkpoint_stop(struct store *s)
{
	struct checkpointer *c = &s->checkpointer;

	if (!c->running)
		return;
	pthread_mutex_lock(&c->lock);
	c->stop = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
	pthread_join(c->thread, NULL);
	pthread_cond_destroy(&c->cond);
	pthread_mutex_destroy(&c->lock);
}

void checkpoint_finish(struct store *s)
{
	struct err err = ERR_INIT;
	uint32_t left;

	if (!snapshot_main_file_try(s))
		return;
	atomic_store(&s->checkpointer.rest, false);
	s->records_since_checkpoint = 0;
	if (db_sqlite_checkpoint(s->index, DB_PASSIVE, &left, &err) < 0)
		log_event(LOG_WARN, "store.checkpoint", L_ERR(&err));
	snapshot_main_file_end(s);
}

void checkpoint_consider(struct store *s)
{
	struct checkpointer *c = &s->checkpointer;
	uint64_t wal = db_sqlite_wal_bytes(s->index);

	if (atomic_load(&c->rest)) {
		checkpoint_finish(s);
		return;
	}
	if (wal < WANTED(s->options.wal_bytes) && s->records_since_checkpoint < RECORDS)
		return;
	if (!c->running || wal > URGENT(s->options.wal_bytes)) {
		checkpoint_finish(s);
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->wanted = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}

/* Everything into the main file, and nobody left who reads the write-ahead log: it starts anew. */
static bool restart(struct store *s, struct err *err)
{
	uint32_t left = 1;

	if (!snapshot_main_file_try(s))
		return false;
	if (db_sqlite_checkpoint(s->index, DB_RESTART, &left, err) < 0)
		left = 1;
	snapshot_main_file_end(s);
	return left == 0;
}

/* Nobody begins to read meanwhile, and those who do not end by themselves are interrupted. */
static bool wait_for_restart(struct store *s, struct err *err)
{
	const struct timespec moment = { .tv_nsec = TRY_MS * CLOCK_MSEC };
	const int64_t until = clock_after(s->options.wal_patience);
	bool done;

	readers_pause(s, clock_after(GRACE_MS * CLOCK_MSEC), until);
	while (!(done = restart(s, err)) && clock_mono() < until)
		nanosleep(&moment, NULL);
	readers_resume(s);
	return done;
}

int checkpoint_make_room(struct store *s, struct err *err)
{
	const uint64_t wal = db_sqlite_wal_bytes(s->index), most = NO_MORE(s->options.wal_bytes);
	struct err why = ERR_INIT;

	if (wal < most || (atomic_load(&s->snapshots.copying) && wal < most * WHILE_COPYING) ||
		restart(s, &why))
		return 0;
	/* Waiting has not helped a moment ago: now it is the readers' turn. */
	if (clock_mono() >= s->wait_again) {
		if (wait_for_restart(s, &why))
			return 0;
		log_event(LOG_WARN, "store.wal", L_ERR(&why));
		s->wait_again = clock_after(s->options.wal_patience);
	}
	return err_set(err, ERR_TEMP, "somebody reads an old moment of the index");
}
