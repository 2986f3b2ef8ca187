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
	schema_0004_index };
_Static_assert(sizeof versions / sizeof *versions == INDEX_VERSION, "a step is missing");

int index_version(struct db *db, int64_t *version, struct err *err)
{
	int64_t tables = 0;

	*version = 0;
	if (db_int(db, &tables,
		    "SELECT count(*) FROM sqlite_master"
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

/* All steps in one transaction: after a crash it is the old version or the new. */
static int bring_up_to_date(struct db *db, int64_t from, struct err *err)
{
	int r = db_begin(db, err);

	for (int64_t v = from; r == 0 && v < INDEX_VERSION; v++)
		r = db_script(db, str_c(versions[v]), err);
	if (r == 0)
		r = db_exec(db, "UPDATE index_version SET version = $1",
			DB_ARGS(DB_I(INDEX_VERSION)), err);
	if (r == 0 && db_commit(db, err) == 0)
		return 0;
	db_rollback(db);
	return err_wrap(err, "make the tables of index.db");
}

int index_position(struct db *db, struct slog_position *p, struct counters *n, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(db, &r,
		    "SELECT segment, next_offset, last_offset, sequence, batch, checksum,"
		    " next_domain, next_account, next_address, next_body, next_rcpt, calls,"
		    " calls_turned FROM log_position",
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
		*n = (struct counters){ .domain = (uint64_t)rows_int(r, 6),
			.account = (uint64_t)rows_int(r, 7),
			.address = (uint64_t)rows_int(r, 8),
			.body = (uint64_t)rows_int(r, 9),
			.rcpt = (uint64_t)rows_int(r, 10),
			.calls = rows_int(r, 11) != 0,
			.calls_turned = rows_int(r, 12) };
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

/* Looked at before anything is opened for writing: nothing of a newer one is touched. */
static int refuse_newer(const char *url, struct err *err)
{
	struct err why = ERR_INIT;
	struct db *db = NULL;
	int64_t version = 0;
	int r = db_open(&db, url, DB_READ, &why);

	if (r == 0)
		r = index_version(db, &version, &why);
	db_close(&db);
	if (r < 0 && why.kind == ERR_NOTFOUND)
		return 0;
	if (r == 0 && version > INDEX_VERSION)
		return err_set(err, ERR_PERM,
			"index.db has format %lld, and this program knows none after %d: a newer"
			" version was here (its `eilpost fsck --to-format %d` goes back)",
			(long long)version, INDEX_VERSION, INDEX_VERSION);
	if (r < 0)
		*err = why;
	return r;
}

int index_open(struct store *s, struct err *err)
{
	char url[STORE_URL];
	int64_t version;

	index_url(s, url, "index.db");
	if (refuse_newer(url, err) < 0 || db_open(&s->index, url, DB_WRITE, err) < 0 ||
		index_version(s->index, &version, err) < 0)
		return -1;
	if (version > 0 && version < INDEX_VERSION && snapshot_before_upgrade(s, err) < 0)
		return -1;
	if (version < INDEX_VERSION && bring_up_to_date(s->index, version, err) < 0)
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
