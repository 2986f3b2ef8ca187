#include "store/names.h"
#include "store/schema.h"
#include "store/store_private.h"

#include <stdio.h>

void index_url(const struct store *s, char url[STORE_URL], const char *name)
{
	if (s->options.path)
		snprintf(url, STORE_URL, "sqlite:%s/%s", s->options.path, name);
	else
		snprintf(url, STORE_URL, "sqlite:/proc/self/fd/%d/%s", s->dir, name);
}

/* Each makes its version out of the one before. */
static const char *const versions[] = { schema_0001_index, schema_0002_index, schema_0003_index,
	schema_0004_index, schema_0005_index, schema_0006_index };
_Static_assert(sizeof versions / sizeof *versions == INDEX_VERSION, "a step is missing");
#define INDEX_LOCK 0x6569c0deL /* a number of ours for pg_advisory_xact_lock() */

static bool is_postgres(const struct db *db)
{
	return str_eq(str_c(db_engine_name(db)), STR("postgres"));
}

int index_version(struct db *db, int64_t *version, struct err *err)
{
	int64_t tables = 0;

	*version = 0;
	if (db_int(db, &tables,
		    is_postgres(db) ? "SELECT count(*) FROM pg_tables"
				      " WHERE schemaname = current_schema()"
				      " AND tablename IN ('log_position', 'index_version')"
				    : "SELECT count(*) FROM sqlite_master"
				      " WHERE name IN ('log_position', 'index_version')",
		    DB_NOARGS, err) < 0)
		return -1;
	if (tables < 2) {
		*version = tables;
		return 0;
	}
	return db_int(db, version, "SELECT version FROM index_version", DB_NOARGS, err) < 0 ? -1
											    : 0;
}

static int make_steps(struct db *db, int64_t from, struct err *err)
{
	for (int64_t v = from; v < INDEX_VERSION; v++)
		if (db_script(db, str_c(versions[v]), err) < 0)
			return -1;
	/* PostgreSQL has the trace, too; on SQLite it has a file of its own. */
	if (from == 0 && is_postgres(db) && db_script(db, str_c(schema_0001_trace), err) < 0)
		return -1;
	return db_exec(
		db, "UPDATE index_version SET version = $1", DB_ARGS(DB_I(INDEX_VERSION)), err);
}

/* Two nodes that start at once: one makes the tables, the other finds them made. */
static int lock_tables(struct db *db, struct err *err)
{
	if (!is_postgres(db))
		return 0;
	return db_exec(db, "SELECT pg_advisory_xact_lock($1)", DB_ARGS(DB_I(INDEX_LOCK)), err);
}

/* All steps in one transaction: after a crash it is the old version or the new. */
int index_tables(struct db *db, struct err *err)
{
	int64_t version = 0;
	int r = index_version(db, &version, err);

	if (r < 0 || version == INDEX_VERSION)
		return r;
	r = db_begin(db, err);
	if (r == 0)
		r = lock_tables(db, err) < 0 ? -1 : index_version(db, &version, err);
	if (r == 0 && version > INDEX_VERSION)
		r = err_set(err, ERR_PERM, "the index is of a newer version of this program");
	if (r == 0 && version < INDEX_VERSION)
		r = make_steps(db, version, err);
	if (r == 0 && db_commit(db, err) == 0)
		return 0;
	db_rollback(db);
	return err_wrap(err, "make the tables of the index");
}

void index_counters(const struct rows *r, int first, struct counters *n)
{
	*n = (struct counters){ .domain = (uint64_t)rows_int(r, first),
		.account = (uint64_t)rows_int(r, first + 1),
		.address = (uint64_t)rows_int(r, first + 2),
		.body = (uint64_t)rows_int(r, first + 3),
		.rcpt = (uint64_t)rows_int(r, first + 4),
		.calls = rows_int(r, first + 5) != 0,
		.calls_turned = rows_int(r, first + 6) };
}

/* The step back from each version, to the one before. */
static const char *const steps_back[] = { NULL, NULL, NULL, NULL, NULL, schema_0006_down };
_Static_assert(sizeof steps_back / sizeof *steps_back == INDEX_VERSION, "a step back is missing");

int index_go_back(struct db *db, int64_t to, struct err *err)
{
	if (to != INDEX_VERSION - 1)
		return err_set(err, ERR_PERM,
			"index.db has format %d, and this program goes back to %d only",
			INDEX_VERSION, INDEX_VERSION - 1);
	if (db_begin(db, err) < 0)
		return -1;
	if (db_script(db, str_c(steps_back[INDEX_VERSION - 1]), err) == 0 &&
		db_exec(db, "UPDATE index_version SET version = $1", DB_ARGS(DB_I(to)), err) == 0 &&
		db_commit(db, err) == 0)
		return 0;
	db_rollback(db);
	return err_wrap(err, "go back to format %d", INDEX_VERSION - 1);
}

int index_position(struct db *db, struct slog_position *p, struct counters *n, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(db, &r,
		    "SELECT segment, next_offset, last_offset, sequence, batch, checksum,"
		    " " INDEX_COUNTERS " FROM log_position",
		    DB_NOARGS, err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		*p = (struct slog_position){ .segment = (uint64_t)rows_int(r, 0),
			.offset = (uint64_t)rows_int(r, 1),
			.last = (uint64_t)rows_int(r, 2),
			.sequence = (uint64_t)rows_int(r, 3),
			.batch = (uint64_t)rows_int(r, 4),
			.checksum = (uint32_t)rows_int(r, 5) };
		index_counters(r, 6, n);
	} else if (got == 0) {
		err_set(err, ERR_PERM, "index.db holds no position of the log");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

int index_read(struct store *s, struct err *err)
{
	return index_position(s->index, &s->at, &s->next, err);
}

static int refuse_newer(int64_t version, struct err *err)
{
	if (version <= INDEX_VERSION)
		return 0;
	return err_set(err, ERR_PERM,
		"index.db has format %lld, and this program knows none after %d: a newer"
		" version was here (its `eilpost fsck --to-format %d` goes back)",
		(long long)version, INDEX_VERSION, INDEX_VERSION);
}

/* Looked at before anything is opened for writing: nothing of a newer one is touched. One whose
 * making was broken off by a kill only a writer can read, so not being able to says nothing. */
static int look_first(const char *url, struct err *err)
{
	struct err ignored = ERR_INIT;
	struct db *db = NULL;
	int64_t version = 0;

	if (db_open(&db, url, DB_READ, &ignored) == 0)
		index_version(db, &version, &ignored);
	db_close(&db);
	return refuse_newer(version, err);
}

static int open_file(struct store *s, const char *name, int64_t *version, struct err *err)
{
	char url[STORE_URL];

	index_url(s, url, name);
	return look_first(url, err) < 0 || db_open(&s->index, url, DB_WRITE, err) < 0 ||
			index_version(s->index, version, err) < 0 || refuse_newer(*version, err) < 0
		? -1
		: 0;
}

int index_open(struct store *s, struct err *err)
{
	int64_t version;

	if (open_file(s, "index.db", &version, err) < 0)
		return -1;
	if (version > 0 && version < INDEX_VERSION && snapshot_before_upgrade(s, err) < 0)
		return -1;
	if (index_tables(s->index, err) < 0)
		return -1;
	return index_read(s, err);
}

int index_open_new(struct store *s, struct err *err)
{
	int64_t version;

	if (open_file(s, INDEX_NEW, &version, err) < 0 || index_tables(s->index, err) < 0)
		return -1;
	return index_read(s, err);
}

int index_save(struct store *s, const struct slog_position *at, struct err *err)
{
	const struct counters *n = &s->next;

	if (space_save(&s->space, s->index, err) < 0)
		return -1;
	s->at = *at;
	return db_exec(s->index,
		"UPDATE log_position SET segment = $1, next_offset = $2, last_offset = $3,"
		" sequence = $4, batch = $5, checksum = $6, next_domain = $7, next_account = $8,"
		" next_address = $9, next_body = $10, next_rcpt = $11, calls = $12,"
		" calls_turned = $13",
		DB_ARGS(DB_I((int64_t)at->segment), DB_I((int64_t)at->offset),
			DB_I((int64_t)at->last), DB_I((int64_t)at->sequence),
			DB_I((int64_t)at->batch), DB_I(at->checksum), DB_I((int64_t)n->domain),
			DB_I((int64_t)n->account), DB_I((int64_t)n->address),
			DB_I((int64_t)n->body), DB_I((int64_t)n->rcpt), DB_I(n->calls),
			DB_I(n->calls_turned)),
		err);
}
