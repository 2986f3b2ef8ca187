/* store_private.h - the inside of an open store. */
#ifndef STORE_STORE_PRIVATE_H
#define STORE_STORE_PRIVATE_H

#include "base/map.h"
#include "store/log.h"
#include "store/snapshot.h"
#include "store/space.h"
#include "store/txn.h"

#include <pthread.h>
#include <stdatomic.h>

/* A file that is there while a backup is brought back. */
#define STORE_RESTORING "restoring"

enum {
	STORE_READERS_MAX = 8,
	STORE_WRITING = 4, /* connections for writing, to PostgreSQL */
	STORE_BATCH_JOBS = 512,
	STORE_CALL_SECONDS = 600,
	STORE_RETENTION = 14 * 86400,
	STORE_QUOTA_GRACE = 5 * 86400
};

struct job_list {
	struct store_job *first, **end;
};

/* A row of jobs and the threads that wait for them. */
struct job_queue {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct job_list jobs;
	bool stop;
	/* Of the readers: none begins while it is paused. */
	bool paused;
	unsigned running;
	pthread_cond_t idle;
};

struct checkpointer {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool running, stop, wanted;
	atomic_bool rest; /* it has done its part: the writer does the rest between two batches */
};

struct compactor { /* compact.c */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	pthread_mutex_t busy; /* one round at a time */
	bool running, stop;
	struct map stuck;         /* segments that could not be emptied */
	int64_t stuck_until;      /* clock_mono(): then they are tried again */
	atomic_uint stuck_count;  /* after the last round */
	atomic_uint unread_count; /* bodies, by the last time that all were read, or since */
};

struct snapshots {                 /* snapshot.c */
	pthread_mutex_t main_file; /* of index.db: held by who changes it (checkpoints) or copies it
				    */
	int fd;                    /* of it */
	atomic_bool copying;
	pthread_mutex_t lock;
	struct snapshot newest;
	atomic_uint_fast64_t held; /* segment of the oldest kept */
	atomic_uint holds;
	pthread_mutex_t removal; /* of one file */
	int64_t due, retry;      /* clock_mono() */
};

struct follower { /* trace.c */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool started, running, stop, failed;
	bool hurry;     /* somebody waits for it */
	uint64_t until; /* committed up to this sequence */
	struct db *db;
	struct slog_position at;
	struct buf notes; /* effects "trace" that are not in the log, waiting */
	bool writing_notes;
	uint64_t notes_written; /* since the ring was last cut */
};

struct store {
	int dir, lock_fd;
	struct store_options options;
	const struct engine *engine;
	struct slog *log;
	struct shared *shared; /* NULL: the embedded engine */
	struct db *index;      /* the writer's */
	struct counters next;
	struct slog_position at;
	struct slog_position saved; /* what the last commit of the index holds */
	struct counters saved_next;
	struct space space;              /* changed since then */
	struct thread_keys *thread_keys; /* NULL: with another engine */
	int64_t commit_by;  /* clock_mono() at which the open transaction of the index must end */
	atomic_bool behind; /* it holds changes that finished jobs have made */
	struct txn txn;
	struct job_queue writing, reading;
	pthread_t writer, readers[STORE_READERS_MAX];
	unsigned reader_count;
	bool writer_runs;
	atomic_bool failed; /* fatally: the writer does nothing more */
	struct view reader_views[STORE_READERS_MAX];

	pthread_mutex_t finished_lock;
	pthread_cond_t finished_cond; /* for store_run() */
	struct job_list finished;

	struct checkpointer checkpointer;
	struct snapshots snapshots;
	struct compactor compactor;
	struct follower follower;
	uint64_t records_since_checkpoint;
	int64_t wait_again;   /* clock_mono(): until then nobody waits for the write-ahead log */
	int64_t housekeeping; /* clock_mono() of the next round */
	bool much_to_do;      /* the last round has left something */
	char alarm[240];      /* set before threads start, then only read */
	atomic_bool has_room;
	atomic_uint_fast64_t commits, batches;
};

void job_list_init(struct job_list *l);
void job_list_add(struct job_list *l, struct store_job *job);

enum { STORE_URL = 1024 };
/* "sqlite:FOLDER/NAME". */
void index_url(const struct store *s, char url[STORE_URL], const char *name);
enum { INDEX_VERSION = 6 }; /* of the tables in index.db */
/* 0: there are no tables yet. */
int index_version(struct db *db, int64_t *version, struct err *err);
/* The tables as the version before knows them: one step. */
int index_go_back(struct db *db, int64_t to, struct err *err);
int index_position(struct db *db, struct slog_position *at, struct counters *next, struct err *err);
/* Open the index for writing and make its tables when it is new; read position and counters. */
int index_open(struct store *s, struct err *err);
#define INDEX_NEW "index.db.new" /* that of a rebuild, until it is whole */
int index_open_new(struct store *s, struct err *err);
/* Position and counters, as they are committed. */
int index_read(struct store *s, struct err *err);
/* Make the tables, or bring those of an older version up to date. */
int index_tables(struct db *db, struct err *err);
/* INDEX_COUNTERS of a row, from that column on. */
#define INDEX_COUNTERS                                                                             \
	"next_domain, next_account, next_address, next_body, next_rcpt, calls, calls_turned"
void index_counters(const struct rows *r, int first, struct counters *n);
int index_save(struct store *s, const struct slog_position *at, struct err *err);

/* Put a job into the readers' queue. */
void readers_add(struct store *s, struct store_job *job);
/* A job with `done`, which is then called unless the store fails. False: the store is closing, and
 * it is not.
 */
bool store_submit_own(struct store *s, struct store_job *job);
/* Give jobs back: a whole batch at once, so that their owner is woken once. */
void store_finish(struct store *s, struct job_list *jobs);
void store_fatal(struct store *s, const struct err *why);

int writer_start(struct store *s, struct err *err);
void writer_stop(struct store *s);
/* Jobs that the store gives itself: what has become old goes. writer's thread. */
int housekeeping_run(struct txn *t, struct store_job *job, struct err *err);

/* All mailboxes get a new UIDVALIDITY: uids may have been given out that are forgotten now. */
int store_new_uidvalidity(struct store *s, struct err *err);
/* The lock and nothing else, for fsck: index_open() and apply_record() may follow. */
int store_open_alone(int dir, const char *path, struct store **out, struct err *err);

int readers_start(struct store *s, struct err *err);
void readers_stop(struct store *s);
/* No job begins until they are resumed, and those that run may end by themselves until `grace`;
 * then they are interrupted (ERR_TEMP). False: one still runs at `until`. */
bool readers_pause(struct store *s, int64_t grace, int64_t until);
void readers_resume(struct store *s);

void checkpoint_start(struct store *s);
void checkpoint_stop(struct store *s);
/* Between two batches. */
void checkpoint_consider(struct store *s);
/* Before a batch: is there room in the write-ahead log? When there is none because somebody reads
 * an old moment of the index, that is waited for, a little; our own readers are interrupted.
 * ERR_TEMP: it reads on. */
int checkpoint_make_room(struct store *s, struct err *err);
/* All that is committed goes into the main file. */
void checkpoint_finish(struct store *s);

/* Segments with this number or a higher one are needed by snapshots and backups: they are never
 * removed. UINT64_MAX: none is; 0: all are, and blobs too. Any thread. */
uint64_t store_held_from(struct store *s);
void snapshot_init(struct store *s);
int snapshot_start(struct store *s, struct err *err); /* the index is open */
int snapshot_before_upgrade(struct store *s, struct err *err);
void snapshot_stop(struct store *s); /* after all connections to it are closed */
/* On the checkpoints' thread, with its connection: make one when it is due. */
void snapshot_consider(struct store *s, struct db *db);
/* Who makes a checkpoint must have this; false: a snapshot is being copied. */
bool snapshot_main_file_try(struct store *s);
void snapshot_main_file_end(struct store *s);

/* trace.db goes on from there: what lies before cannot be read along. No follower runs. */
int trace_skip(struct store *s, const struct slog_position *to, struct err *err);
/* Around the removal of a segment, or of a blob (0). False: it is held. */
bool snapshot_removal_begin(struct store *s, uint64_t segment);
void snapshot_removal_end(struct store *s);

void compact_init(struct store *s);
void compact_start(struct store *s);
void compact_stop(struct store *s); /* when the writer has stopped */
void compact_end(struct store *s);

int follower_start(struct store *s, struct err *err);
void follower_stop(struct store *s);
void follower_catch_up(struct store *s); /* wait until all is in trace.db, or 5 s */
/* It reads on from this segment. */
uint64_t follower_needs(struct store *s);
void follower_tell(struct store *s, uint64_t sequence);

#endif
