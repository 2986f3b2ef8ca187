/* The SQLite engine. WAL, no flush at commit: the store's log is what survives a power cut, the
 * database only has to be consistent, which synchronous=NORMAL gives. */
#include "db/sqlite.h"
#include "db/db_private.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAGE = 4096, BUSY_MS = 2000, CHECKPOINT_MS = 100 };

struct sqlite_db {
	struct db db;
	sqlite3 *h;
	int wal_pages;
};

struct sqlite_stmt {
	sqlite3_stmt *st;
	int place[DB_PARAMS]; /* SQLite's index of $1, $2, ...; 0: not in the statement */
};

static sqlite3 *handle(const struct db *db)
{
	return ((const struct sqlite_db *)db)->h;
}

static enum err_kind kind_of(sqlite3 *h, int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return ERR_EXISTS;
	}
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERR_FULL;
	case SQLITE_IOERR:
		return sqlite3_system_errno(h) == ENOSPC || sqlite3_system_errno(h) == EDQUOT
			? ERR_FULL
			: ERR_TEMP;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_NOMEM:
	case SQLITE_INTERRUPT:
	case SQLITE_PROTOCOL:
	case SQLITE_CORRUPT: /* no answer to what was asked: nobody must take it for a "no" */
		return ERR_TEMP;
	case SQLITE_CANTOPEN:
		return sqlite3_system_errno(h) == ENOENT ? ERR_NOTFOUND : ERR_TEMP;
	}
	return ERR_PERM;
}

static int fail(struct db *db, const char *sql, struct err *err)
{
	sqlite3 *h = handle(db);
	int code = sqlite3_extended_errcode(h);

	db->conflict = (code & 0xff) == SQLITE_BUSY || (code & 0xff) == SQLITE_LOCKED;
	return err_set(err, kind_of(h, code), "sqlite: %s (in: %.60s)", sqlite3_errmsg(h), sql);
}

static void set_up_library(void)
{
	/* Statistics cost a global lock at every allocation. */
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int note_wal(void *arg, sqlite3 *h, const char *name, int pages)
{
	(void)h;
	(void)name;
	((struct sqlite_db *)arg)->wal_pages = pages;
	return SQLITE_OK;
}

static int run(struct sqlite_db *s, const char *sql, struct err *err)
{
	if (sqlite3_exec(s->h, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(&s->db, sql, err);
	return 0;
}

/* A file system without shared memory makes SQLite stay with a rollback journal and say so only in
 * the result. */
static int use_wal(struct sqlite_db *s, struct err *err)
{
	static const char sql[] = "PRAGMA journal_mode=WAL";
	sqlite3_stmt *st = NULL;
	struct str got;
	int r = -1;

	if (sqlite3_prepare_v2(s->h, sql, -1, &st, NULL) != SQLITE_OK ||
		sqlite3_step(st) != SQLITE_ROW) {
		fail(&s->db, sql, err);
		goto out;
	}
	got = str_c((const char *)sqlite3_column_text(st, 0));
	if (str_eq(got, STR("wal")) || str_eq(got, STR("memory")))
		r = 0;
	else
		err_set(err, ERR_PERM, "sqlite: no write-ahead log here, journal is '" STR_F "'",
			STR_A(got));
out:
	sqlite3_finalize(st);
	return r;
}

static int harden(struct sqlite_db *s, enum db_mode mode, struct err *err)
{
	int ok = SQLITE_OK;

	sqlite3_extended_result_codes(s->h, 1);
	sqlite3_busy_timeout(s->h, BUSY_MS);
	ok |= sqlite3_db_config(s->h, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* "x" is a name and never text, as on PostgreSQL. */
	ok |= sqlite3_db_config(s->h, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	ok |= sqlite3_db_config(s->h, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
	if (ok != SQLITE_OK)
		return err_set(err, ERR_PERM, "sqlite: this library is too old");
	if (run(s,
		    "PRAGMA trusted_schema=OFF; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;"
		    "PRAGMA foreign_keys=OFF; PRAGMA wal_autocheckpoint=0; PRAGMA "
		    "synchronous=NORMAL;"
		    "PRAGMA secure_delete=FAST; PRAGMA cell_size_check=ON",
		    err) < 0)
		return -1;
	if (mode == DB_READ)
		return run(s, "PRAGMA query_only=ON", err);
	if (run(s, "PRAGMA cache_size=-8192; PRAGMA page_size=4096", err) < 0 ||
		use_wal(s, err) < 0)
		return -1;
	sqlite3_wal_hook(s->h, note_wal, s);
	return 0;
}

/* SQLite would create a file that others may read. One that is there already is not opened here:
 * closing it would end the locks that this process has on it (POSIX). */
static int create_private(const char *path, struct err *err)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST)
		return 0;
	if (fd < 0)
		return err_sys(err, "open", path);
	close(fd);
	return 0;
}

static void sqlite_close(struct db *db)
{
	sqlite3_close_v2(handle(db));
	free(db);
}

static int sqlite_open(struct db **db, const char *url, enum db_mode mode, struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	const char *path = url + strlen("sqlite:");
	int flags = SQLITE_OPEN_NOMUTEX |
		(mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
	struct sqlite_db *s;

	pthread_once(&once, set_up_library);
	if (*path == '\0')
		return err_set(err, ERR_PERM, "database 'sqlite:': the path is missing");
	if (mode == DB_WRITE && strcmp(path, ":memory:") != 0 && create_private(path, err) < 0)
		return -1;
	s = calloc(1, sizeof *s);
	if (!s)
		return err_set(err, ERR_TEMP, "out of memory for a database");
	if (sqlite3_open_v2(path, &s->h, flags, NULL) != SQLITE_OK) {
		fail(&s->db, path, err);
		goto out;
	}
	if (harden(s, mode, err) < 0) {
		err_wrap(err, "database %s", path);
		goto out;
	}
	*db = &s->db;
	return 0;
out:
	sqlite_close(&s->db);
	return -1;
}

/* SQLite numbers parameters by their first appearance, so $2 before $1 would be swapped: go by
 * name. */
static int map_parameters(struct rows *r, struct sqlite_stmt *s, struct err *err)
{
	int count = sqlite3_bind_parameter_count(s->st);

	for (int i = 1; i <= count; i++) {
		struct str name = str_c(sqlite3_bind_parameter_name(s->st, i));
		uint64_t number = 0;

		if (!str_take(&name, STR("$")) || !str_u64(name, DB_PARAMS, &number) || number == 0)
			return err_set(err, ERR_PERM, "parameters are $1 to $%d (in: %.60s)",
				DB_PARAMS, r->sql);
		s->place[number - 1] = i;
		if (number > r->params)
			r->params = number;
	}
	return 0;
}

static bool is_blank(const char *s)
{
	return str_trim(str_c(s)).n == 0;
}

static int sqlite_prepare(struct rows *r, struct err *err)
{
	struct sqlite_stmt *s = calloc(1, sizeof *s);
	const char *tail = NULL;

	if (!s)
		return err_set(err, ERR_TEMP, "out of memory for a statement");
	r->state = s; /* released by forget() in every case */
	if (sqlite3_prepare_v3(handle(r->db), r->sql, -1, SQLITE_PREPARE_PERSISTENT, &s->st,
		    &tail) != SQLITE_OK)
		return fail(r->db, r->sql, err);
	if (!s->st || !is_blank(tail))
		return err_set(err, ERR_PERM, "expected one statement (in: %.60s)", r->sql);
	return map_parameters(r, s, err);
}

static void sqlite_forget(struct rows *r)
{
	struct sqlite_stmt *s = r->state;

	sqlite3_finalize(s->st);
	free(s);
	r->state = NULL;
}

static int bind_value(sqlite3_stmt *st, int at, const struct db_val *v)
{
	const char *p = v->s.n ? v->s.p : "";

	switch (v->type) {
	case DB_INT:
		return sqlite3_bind_int64(st, at, v->i);
	case DB_TEXT:
		return sqlite3_bind_text64(st, at, p, v->s.n, SQLITE_STATIC, SQLITE_UTF8);
	case DB_BYTES:
		return sqlite3_bind_blob64(st, at, p, v->s.n, SQLITE_STATIC);
	case DB_NULL:
		break;
	}
	return sqlite3_bind_null(st, at);
}

static int sqlite_start(struct rows *r, const struct db_val *v, struct err *err)
{
	struct sqlite_stmt *s = r->state;

	for (size_t i = 0; i < r->params; i++)
		if (s->place[i] && bind_value(s->st, s->place[i], &v[i]) != SQLITE_OK)
			return fail(r->db, r->sql, err);
	return 0;
}

static int sqlite_next(struct rows *r, struct err *err)
{
	struct sqlite_stmt *s = r->state;

	switch (sqlite3_step(s->st)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	}
	return fail(r->db, r->sql, err);
}

static struct db_val sqlite_get(const struct rows *r, int column)
{
	sqlite3_stmt *st = ((struct sqlite_stmt *)r->state)->st;
	const void *p;

	switch (sqlite3_column_type(st, column)) {
	case SQLITE_INTEGER:
	case SQLITE_FLOAT:
		return DB_I(sqlite3_column_int64(st, column));
	case SQLITE_TEXT:
		p = sqlite3_column_text(st, column);
		return DB_T(str_make(p, (size_t)sqlite3_column_bytes(st, column)));
	case SQLITE_BLOB:
		p = sqlite3_column_blob(st, column);
		return DB_B(str_make(p, (size_t)sqlite3_column_bytes(st, column)));
	}
	return DB_NIL;
}

static void sqlite_end(struct rows *r)
{
	sqlite3_stmt *st = ((struct sqlite_stmt *)r->state)->st;

	sqlite3_reset(st); /* repeats the error of the last step, which was reported */
	if (!sqlite3_stmt_readonly(st))
		r->db->changes = sqlite3_changes(handle(r->db));
}

static bool sqlite_in_transaction(const struct db *db)
{
	return !sqlite3_get_autocommit(handle(db));
}

const struct db_engine db_sqlite = {
	.scheme = "sqlite",
	.open = sqlite_open,
	.close = sqlite_close,
	.prepare = sqlite_prepare,
	.forget = sqlite_forget,
	.start = sqlite_start,
	.next = sqlite_next,
	.get = sqlite_get,
	.end = sqlite_end,
	.in_transaction = sqlite_in_transaction,
	.begin = { [DB_WRITE] = "BEGIN IMMEDIATE", [DB_READ] = "BEGIN" },
};

int db_sqlite_checkpoint(struct db *db, enum db_checkpoint how, uint32_t *left, struct err *err)
{
	static const int modes[] = { SQLITE_CHECKPOINT_PASSIVE, SQLITE_CHECKPOINT_RESTART,
		SQLITE_CHECKPOINT_TRUNCATE };
	int all = 0, done = 0, code;

	sqlite3_busy_timeout(handle(db), CHECKPOINT_MS); /* the writer makes some of these */
	code = sqlite3_wal_checkpoint_v2(handle(db), NULL, modes[how], &all, &done);
	sqlite3_busy_timeout(handle(db), BUSY_MS);
	/* BUSY with counts: a reader or writer was in the way, and what could be copied was. */
	if (code != SQLITE_OK && (code != SQLITE_BUSY || all < 0))
		return fail(db, "checkpoint", err);
	*left = all > done ? (uint32_t)(all - done) : 0;
	if (code == SQLITE_BUSY && how != DB_PASSIVE && *left == 0)
		*left = 1;
	if (how != DB_PASSIVE && *left == 0)
		((struct sqlite_db *)db)->wal_pages = 0;
	return 0;
}

void db_sqlite_interrupt(struct db *db)
{
	sqlite3_interrupt(handle(db));
}

uint64_t db_sqlite_wal_bytes(const struct db *db)
{
	return (uint64_t)((const struct sqlite_db *)db)->wal_pages * (PAGE + 24);
}
