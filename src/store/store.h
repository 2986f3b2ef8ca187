/* store.h - the store as a library: open a data directory, run jobs, close it.
 *
 * A job is a function with its arguments. Writing jobs run one after the other on the writer's
 * thread, in batches: what a batch has changed is durable (one write and one flush of the log)
 * before any of its jobs is finished. Reading jobs run on a few threads with a view of their own;
 * each sees one moment of the index. The functions that jobs call stand in directory.h, mailbox.h,
 * entry.h, delivery.h, queue.h, trace.h; they take a `struct txn` (writing) or a `struct view`.
 *
 * Finished jobs wait in a list until store_finished() takes them; `woken` tells when there are any.
 * Errors after which nobody knows what is on the disk (a failed flush, a failed commit) are fatal:
 * the callback is told, the job's batch is never finished, and the process must end. A log that is
 * damaged, or a disk that takes no more, leaves a store that reads but does not write
 * (store_alarm()).
 *
 * Only one process at a time has a data directory open: store_open() takes a lock on it.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "db/db.h"
#include "store/apply.h"

struct store;
struct txn;
struct address_map;
struct body_cache;

enum { STORE_NO_SUBADDRESS = 127 }; /* no local part has it */

struct store_options {
	/* A PostgreSQL database (postgres://...) that has everything instead of the folder, of
	 * which only `lock` is used then; NULL: none. */
	const char *url;
	/* The same folder as SQLite, which takes no descriptor, shall name it; NULL:
	 * /proc/self/fd/N. */
	const char *path;
	uint64_t segment_bytes; /* 0: 64 MiB */
	uint64_t reserve_bytes; /* intake needs this much free space; 0: none */
	int64_t retention;      /* seconds that expunged mail stays; 0: 14 days */
	unsigned readers;       /* threads; 0: 2 */
	uint64_t wal_bytes;     /* limit of the index's write-ahead log; 0: 64 MiB */
	int64_t wal_patience;   /* ns for which writing waits at it for readers; 0: 5 s */
	size_t thread_keys;     /* so many new ones are sorted (thread_key.h); 0: 65,536 */
	char subaddress;        /* what stands between user and tag; 0: '+' */
	int64_t quota_grace;    /* seconds for which a full account's mail may be tried again; 0: 5
				   days,    -1: none */
	bool compress;          /* bodies are squeezed where it pays (squeeze.h); not with `url` */
	bool standby;           /* with `url`: intake needs a synchronous standby of the database */
	int64_t cap_messages, cap_recipients; /* a day and account, to elsewhere; 0: no cap */
	bool restoring; /* a backup that is being brought back is opened, which is else refused */
	const struct address_map *map; /* further addresses (address_map.h); NULL: none */
	/* Finished jobs are waiting. Called from any thread; must not wait. NULL: store_run() only.
	 */
	void (*woken)(void *arg);
	/* With `url`: what another node has committed, or has died with. Called from any thread;
	 * must not wait, and `changes` is gone when it returns. NULL: nobody is waiting. */
	void (*changed)(void *arg, const struct changes *changes);
	/* Called once, from any thread; must end the process. NULL: abort(). */
	void (*fatal)(void *arg, const struct err *why);
	void *arg;
};

/* With `url`: open the connections that store_open() and one view_open() will take, for who closes
 * a sandbox in between. ERR_TEMP: the database does not answer. */
int store_connect(const struct store_options *o, struct err *err);
/* dir stays the caller's and must stay open. ERR_EXISTS: another process has it. */
int store_open(int dir, const struct store_options *o, struct store **out, struct err *err);
void store_close(struct store **s); /* finishes what was submitted; NULL is fine */

/* A connection for reading. One thread at a time. */
struct view {
	struct store *store;
	struct db *db;
	struct body_cache *cache; /* body.h */
};
int view_open(struct store *s, struct view *v, struct err *err);
void view_close(struct view *v);

struct store_job {
	struct store_job *next; /* the store's, until it is finished */
	/* NULL; the store's own jobs: called on one of its threads instead of handing the job out.
	 */
	void (*done)(struct store_job *job);
	/* One of the two. `write` may run again after a failed attempt, so it starts anew. */
	int (*write)(struct txn *t, struct store_job *job, struct err *err);
	int (*read)(struct view *v, struct store_job *job, struct err *err);
	struct str body; /* write: bytes for txn_body() to put into the log */
	bool intake;     /* write: new mail, refused when space is short */
	/* write: durable when it is finished, but the index may be committed a little later,
	 * together with other jobs' changes. Jobs see it all the same; a view that is used outside
	 * of a job (view_open()) may not yet. */
	bool lazy;

	/* A write that can be repeated: within ten minutes the same call (not 0) of the same kind
	 * and owner gets the answer of the first, and nothing is done. */
	uint64_t call, owner;
	uint32_t kind;
	struct buf answer;

	/* The outcome. */
	int result;
	struct err err;
	bool repeated;
	struct changes changes;
};

void store_submit(struct store *s, struct store_job *job);
struct store_job *store_finished(struct store *s); /* all, in the order they finished */
int store_run(struct store *s, struct store_job *job, struct err *err); /* and wait; any thread */
void store_job_free(struct store_job *job); /* what hangs on it, not itself */

/* Is what PostgreSQL has committed on another machine, too? None is named; it is; one is named but
 * is not there, and commits wait for it; we may not look. */
enum store_standby {
	STORE_STANDBY_NONE,
	STORE_STANDBY_THERE,
	STORE_STANDBY_MISSING,
	STORE_STANDBY_UNSEEN
};

/* clock_mono() until which leases (queue.h) hold for certain; INT64_MAX: as long as the process
 * lives. Any thread. */
int64_t store_leases_end(struct store *s);

struct store_figures {
	uint64_t commits, batches;
	uint64_t free_bytes, log_bytes; /* 0 where there is no log of ours */
	bool read_only;
	enum store_standby standby; /* with `url` */
	unsigned stuck_segments;    /* of the log: dead in part, and not to be compacted */
	unsigned unread;            /* bodies that the disk did not give when last asked */
	char alarm[240];            /* "" when all is well */
};
void store_figures(struct store *s, struct store_figures *f); /* any thread */
/* With `url`: of the whole database on its server's disk; else 0. */
int store_database_bytes(struct view *v, uint64_t *bytes, struct err *err);
bool store_has_room(struct store *s); /* above the reserve; any thread */
/* Does the index lack what lazy jobs have done? Then ask by a job. Any thread. */
bool store_is_behind(struct store *s);
/* The same, with a message of so many bytes added. */
bool store_has_room_for(struct store *s, uint64_t bytes);

#endif
