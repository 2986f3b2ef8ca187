/* thread_key.h - which thread a new email belongs to: that of the messages it names.
 *
 * An email has keys, hashes of the Message-IDs that it names, its own first. thread_key says for
 * each key of an account which thread it belongs to; what was said first stays.
 *
 * A hash lies anywhere: once an account is large, each key would cost a page of the index, read and
 * written. So on the embedded engine a new key goes to the end of `thread_new`, a table in the
 * order of coming, and into this memory, which always holds exactly the rows of that table. When
 * there are many they are sorted, and go to thread_key a few at each commit, neighbours together.
 * Nothing of that is in the log: after a crash the rows are in the one table or in the other. On
 * PostgreSQL, and where there is no such memory (replay, fsck), keys go to thread_key at once.
 *
 * All calls are the writer's.
 */
#ifndef STORE_THREAD_KEY_H
#define STORE_THREAD_KEY_H

#include "db/db.h"

struct txn;
struct thread_keys;

/* Read what is in thread_new. max: so many are sorted; 0: THREAD_KEYS_MAX. ERR_TEMP. */
enum { THREAD_KEYS_MAX = 65536 };
int thread_keys_open(struct thread_keys **k, struct db *db, size_t max, struct err *err);
void thread_keys_close(struct thread_keys **k); /* NULL is fine */
/* The same, after a rollback. */
int thread_keys_reload(struct thread_keys *k, struct db *db, struct err *err);

/* A key that no table has yet. k: NULL, straight into thread_key. */
int thread_keys_add(struct thread_keys *k, struct db *db, uint64_t account, uint64_t key,
	uint64_t thread, struct err *err);
/* The account is gone, with its rows. k: may be NULL. */
void thread_keys_forget(struct thread_keys *k, uint64_t account);
/* Before a commit: sort, or move on. It takes about as long as adding has taken since the last. */
int thread_keys_tend(struct thread_keys *k, struct db *db, struct err *err);

/* The thread of a new email: that of a message it refers to, else its own number. refs: keys of 8
 * bytes, its own Message-ID's first; 0 is none. The keys that are new are said to be of it. */
int thread_find(struct txn *t, uint64_t account, struct str refs, uint64_t email, uint64_t *thread,
	struct err *err);

#endif
