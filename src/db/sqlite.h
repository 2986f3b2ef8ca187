/* sqlite.h - what only the SQLite engine has: the write-ahead log and its checkpoints.
 *
 * All of these need a connection whose db_engine_name() is "sqlite". Automatic checkpoints are off.
 */
#ifndef DB_SQLITE_H
#define DB_SQLITE_H

#include "db/db.h"

enum db_checkpoint {
	DB_PASSIVE, /* as much as possible without waiting for anybody */
	DB_RESTART, /* wait up to 100 ms for readers, so that the next write starts the WAL anew */
	DB_TRUNCATE /* the same, and the WAL file is cut to nothing */
};

/* Copy the WAL into the main file and flush both. *left is how many pages could not be copied
 * (readers or a writer in the way), or 1 when all were but readers keep the WAL from starting anew:
 * 0 means that the main file has everything committed before the call. ERR_TEMP when another
 * checkpoint runs. Not inside a transaction. */
int db_sqlite_checkpoint(struct db *db, enum db_checkpoint how, uint32_t *left, struct err *err);

/* From any thread: the statement that runs on this connection fails with ERR_TEMP. The connection
 * must not be closed meanwhile. */
void db_sqlite_interrupt(struct db *db);

/* Size of the WAL in bytes after the last commit of this connection, 0 when a
 * checkpoint has made it start anew since. */
uint64_t db_sqlite_wal_bytes(const struct db *db);

#endif
