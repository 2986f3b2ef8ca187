/* db.h - run SQL on SQLite or PostgreSQL.
 *
 * One connection belongs to one thread at a time; calls block, so a task makes them through
 * task_offload or a thread of its own. Statements are SQL that both engines accept (SQLite 3.35,
 * PostgreSQL 15); parameters are written $1, $2 ... and are never spliced into the text. Values
 * are integers, text (UTF-8 without NUL) or bytes; times are integers.
 *
 * A statement is prepared once per connection and then found again by the address of its text,
 * so write it as a literal; text in a buffer works too. A call allocates nothing itself.
 *
 * Errors: ERR_EXISTS a unique key is taken already; ERR_FULL no space; ERR_TEMP busy, a failing or
 * damaged disk, or a conflict (db_conflict() says so: repeat the whole transaction); ERR_CLOSED the
 * server went away, and a commit that was under way may or may not have happened; ERR_NOTFOUND
 * (db_open, reading only) no such database; ERR_PERM everything else: wrong SQL, a check that
 * failed, a file that is no database.
 */
#ifndef DB_DB_H
#define DB_DB_H

#include "base/err.h"
#include "base/str.h"

struct db;
struct rows;

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BYTES };

struct db_val {
	enum db_type type;
	int64_t i;
	struct str s;
};

#define DB_I(x) ((struct db_val){ DB_INT, (x), { "", 0 } })
#define DB_T(x) ((struct db_val){ DB_TEXT, 0, (x) })
#define DB_B(x) ((struct db_val){ DB_BYTES, 0, (x) })
#define DB_NIL ((struct db_val){ DB_NULL, 0, { "", 0 } })
/* The values of a statement, in the order of their numbers. Their bytes must stay where they are
 * until the rows are freed. */
#define DB_ARGS(...)                                                                               \
	(const struct db_val[]){ __VA_ARGS__ },                                                    \
		sizeof((struct db_val[]){ __VA_ARGS__ }) / sizeof(struct db_val)
#define DB_NOARGS NULL, 0

enum db_mode {
	DB_WRITE, /* creates the database file when it is missing */
	DB_READ   /* changes fail; transactions see one moment of the data */
};

/* `url`: "sqlite:PATH", "sqlite::memory:" or "postgres://...". PostgreSQL needs its module, which
 * is loaded from the folder of the program or from LIBDIR the first time: open before a sandbox
 * closes. */
int db_open(struct db **db, const char *url, enum db_mode mode, struct err *err);
void db_close(struct db **db); /* free all rows before; NULL is fine */
/* Open `n` connections to a PostgreSQL database that the next db_open() of the same url and mode
 * take, for who cannot open any later. ERR_TEMP: the database does not answer. Any thread. */
int db_ahead(const char *url, enum db_mode mode, unsigned n, struct err *err);
const char *db_engine_name(const struct db *db); /* "sqlite", "postgres" */

/* Run a statement to its end; rows it gives are dropped. */
int db_exec(struct db *db, const char *sql, const struct db_val *v, size_t n, struct err *err);

/* Run a statement for its rows. The caller frees *rows before the transaction ends. */
int db_query(struct db *db, struct rows **rows, const char *sql, const struct db_val *v, size_t n,
	struct err *err);
int rows_next(struct rows *rows, struct err *err); /* 1 a row, 0 the end, -1 */
/* One value of the current row, columns from 0. Its bytes are valid until the next rows_next() or
 * rows_free(). A column that does not exist is DB_NULL; floating point is cut to an integer. */
struct db_val rows_get(const struct rows *rows, int column);
int64_t rows_int(const struct rows *rows, int column);    /* 0 when it is no integer */
struct str rows_str(const struct rows *rows, int column); /* text or bytes; empty when neither */
void rows_free(struct rows **rows);                       /* NULL is fine */

/* The first value of the first row, an integer: 1 found, 0 no row or NULL (*out is not touched),
 * -1. For counters (UPDATE ... RETURNING), ids, counts. */
int db_int(struct db *db, int64_t *out, const char *sql, const struct db_val *v, size_t n,
	struct err *err);

int64_t db_changes(struct db *db); /* rows changed by the last INSERT, UPDATE or DELETE */

/* Transactions do not nest; savepoints do. On a writing connection SQLite takes its write lock at
 * once. Reading connections see one moment until commit or rollback. After a statement has failed
 * inside a transaction only db_undo() or db_rollback() may follow (PostgreSQL refuses all else). */
int db_begin(struct db *db, struct err *err);
int db_commit(struct db *db, struct err *err);
void db_rollback(struct db *db); /* safe without a transaction and after a failed commit */
/* False after BEGIN has succeeded means: the engine rolled back by itself (disk full, I/O error).
 */
bool db_in_transaction(const struct db *db);

int db_save(struct db *db, struct err *err); /* set a savepoint */
int db_keep(struct db *db, struct err *err); /* drop the last one, keep what was done since */
int db_undo(struct db *db, struct err *err); /* go back to the last one and drop it */

/* A statement of this transaction, or the last one outside of any, has met a conflict with another
 * transaction: roll back and repeat all of it. */
bool db_conflict(const struct db *db);

/* PostgreSQL: how long one statement may take, in nanoseconds; 0, as at first: any time. A server
 * that has said nothing for that long is lost. A commit waits for the standby, too. */
void db_limit(struct db *db, int64_t limit);

/* PostgreSQL: from now on db_exec() and db_save() within a transaction do not wait for the server.
 * What fails then is told by the next call that does (db_query(), db_int(), db_keep(),
 * db_commit()), and what was sent after it in the transaction has failed as well. */
void db_defer(struct db *db, bool defer);

/* PostgreSQL: be told once, by whatever call notices it, that the server is gone or that it is not
 * known whether a commit has happened: this connection is of no use any more. */
void db_on_lost(struct db *db, void (*fn)(void *arg, const struct err *why), void *arg);

/* PostgreSQL: wait for notes of the channels that this connection listens to (LISTEN NAME), until
 * that time (clock_mono()) or until the descriptor `stop` can be read. 1: notes came, fn was called
 * for each; 0: none; -1. Not within a transaction. */
typedef void db_note_fn(void *arg, struct str text);
int db_wait(struct db *db, int stop, int64_t until, db_note_fn *fn, void *arg, struct err *err);

/* Run a schema file: statements without parameters, each ended by a ';' at the end of a line. What
 * follows "--sqlite" or "--postgres" at the start of a line is for that engine only. Not
 * atomic by itself: put it into a transaction. */
int db_script(struct db *db, struct str sql, struct err *err);

#endif
