/* Checkpoints: what the write-ahead log of the index holds goes into its main file. The thread
 * does most of it while the writer goes on; the writer does the small rest between two batches, so
 * that the write-ahead log starts anew. */
#include "base/log.h"
#include "db/sqlite.h"
#include "store/store_private.h"

enum { WANTED = 16 << 20, URGENT = 64 << 20, RECORDS = 20000 };

static void *make_checkpoints(void *arg)
{
	struct store *s = arg;
	struct checkpointer *c = &s->checkpointer;
	struct err err = ERR_INIT;
	struct db *db = NULL;
	uint32_t left;
	char url[STORE_URL];

	index_url(s, url, "index.db");
	if (db_open(&db, url, DB_WRITE, &err) < 0)
		log_event(LOG_ERROR, "store.checkpoint", L_ERR(&err));
	pthread_mutex_lock(&c->lock);
	while (!c->stop) {
		if (!c->wanted) {
			pthread_cond_wait(&c->cond, &c->lock);
			continue;
		}
		pthread_mutex_unlock(&c->lock);
		if (db && db_sqlite_checkpoint(db, DB_PASSIVE, &left, &err) < 0)
			log_event(LOG_WARN, "store.checkpoint", L_ERR(&err));
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

	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->cond, NULL);
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

/* Everything that is committed goes into the main file now. */
static void finish(struct store *s)
{
	struct err err = ERR_INIT;
	uint32_t left;

	atomic_store(&s->checkpointer.rest, false);
	s->records_since_checkpoint = 0;
	if (db_sqlite_checkpoint(s->index, DB_PASSIVE, &left, &err) < 0)
		log_event(LOG_WARN, "store.checkpoint", L_ERR(&err));
}

void checkpoint_consider(struct store *s)
{
	struct checkpointer *c = &s->checkpointer;
	uint64_t wal = db_sqlite_wal_bytes(s->index);

	if (atomic_load(&c->rest)) {
		finish(s);
		return;
	}
	if (wal < WANTED && s->records_since_checkpoint < RECORDS)
		return;
	if (!c->running || wal > URGENT) {
		finish(s);
		return;
	}
	pthread_mutex_lock(&c->lock);
	c->wanted = true;
	pthread_cond_signal(&c->cond);
	pthread_mutex_unlock(&c->lock);
}
