/* db_private.h - what an engine supplies. Everything else is written once, in db.c.
 *
 * An engine embeds struct db as the first member of its own connection. struct rows is one prepared
 * statement and, while it runs, its result; the engine hangs what it needs on `state`.
 */
#ifndef DB_DB_PRIVATE_H
#define DB_DB_PRIVATE_H

#include "db/db.h"

enum {
	DB_PARAMS = 64,  /* most parameters of a statement */
	DB_SETS = 128,   /* prepared statements are kept in a set-associative table: */
	DB_WAYS = 4,     /* at most 512 a connection, the least used of a set gives way */
	DB_SQL = 1 << 16 /* longest statement */
};

struct db_engine {
	const char *scheme;
	int (*open)(struct db **db, const char *url, enum db_mode mode, struct err *err);
	void (*close)(struct db *db); /* frees the connection; statements are forgotten already */
	/* Make rows->state and rows->params from rows->sql. */
	int (*prepare)(struct rows *r, struct err *err);
	void (*forget)(struct rows *r); /* free rows->state */
	int (*start)(struct rows *r, const struct db_val *v, struct err *err);
	int (*next)(struct rows *r, struct err *err); /* 1, 0, -1; not called again after 0 or -1 */
	struct db_val (*get)(const struct rows *r, int column);
	void (*end)(struct rows *r); /* result no longer needed; may set db->changes */
	bool (*in_transaction)(const struct db *db);
	void (*settle)(struct db *db); /* wait for what was deferred; NULL: nothing ever is */
	int (*wait)(struct db *db, int stop, int64_t until, db_note_fn *fn, void *arg,
		struct err *err); /* NULL: has no notes */
	const char *begin[2];     /* the statement that begins a transaction, by mode */
};

struct rows {
	struct db *db;
	const char *key; /* address of the caller's text: only compared */
	char *sql;       /* own copy */
	void *state;
	size_t params;
	uint64_t used; /* tick of the last use */
	bool busy, done, kept;
	bool lazy; /* nobody looks at its rows, and something follows: may be deferred */
};

struct db {
	const struct db_engine *engine;
	enum db_mode mode;
	bool conflict; /* of the transaction, or of the last statement outside of one */
	int64_t limit; /* db_limit() */
	bool defer;    /* db_defer() */
	void (*lost)(void *arg, const struct err *why);
	void *lost_arg;
	int64_t changes;
	uint64_t tick;
	struct rows *kept[DB_SETS][DB_WAYS];
};

extern const struct db_engine db_sqlite;

/* What the PostgreSQL module exports: the only symbol, of type struct db_engine. */
#define DB_POSTGRES_SYMBOL "eilpost_db_postgres"
const struct db_engine *db_postgres_load(struct err *err);

#endif
