#include "db/db_private.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static int open_new(struct db **db, const char *url, enum db_mode mode, struct err *err)
{
	const struct db_engine *engine = NULL;
	struct str u = str_c(url), scheme, rest;

	*db = NULL;
	if (!str_cut(u, ':', &scheme, &rest))
		return err_set(err, ERR_PERM,
			"database '%s': expected sqlite:PATH or postgres://...", url);
	if (str_eq(scheme, STR("sqlite")))
		engine = &db_sqlite;
	else if (str_eq(scheme, STR("postgres")) || str_eq(scheme, STR("postgresql")))
		engine = db_postgres_load(err);
	else
		return err_set(err, ERR_PERM,
			"database '" STR_F ":': no such engine, there are sqlite and postgres",
			STR_A(scheme));
	if (!engine || engine->open(db, url, mode, err) < 0)
		return -1;
	(*db)->engine = engine;
	(*db)->mode = mode;
	return 0;
}

/* ---- opened ahead ---- */

enum { AHEAD_MAX = 32 };
static struct ahead {
	char *url;
	struct db *db; /* NULL: this place is free */
} ahead[AHEAD_MAX];
static pthread_mutex_t ahead_lock = PTHREAD_MUTEX_INITIALIZER;

static struct db *take_ahead(const char *url, enum db_mode mode)
{
	struct db *db = NULL;

	pthread_mutex_lock(&ahead_lock);
	for (size_t i = 0; i < AHEAD_MAX && !db; i++) {
		struct ahead *a = &ahead[i];

		if (!a->db || a->db->mode != mode || strcmp(a->url, url) != 0)
			continue;
		db = a->db;
		free(a->url);
		*a = (struct ahead){ 0 };
	}
	pthread_mutex_unlock(&ahead_lock);
	return db;
}

/* Takes over db, unless it fails. */
static int keep_ahead(const char *url, struct db *db, struct err *err)
{
	struct ahead new = { .url = strdup(url), .db = db };
	size_t i = 0;

	if (!new.url)
		return err_set(err, ERR_TEMP, "out of memory for a database");
	pthread_mutex_lock(&ahead_lock);
	while (i < AHEAD_MAX && ahead[i].db)
		i++;
	if (i < AHEAD_MAX)
		ahead[i] = new;
	pthread_mutex_unlock(&ahead_lock);
	if (i < AHEAD_MAX)
		return 0;
	free(new.url);
	return err_set(err, ERR_LIMIT, "more than %d connections opened ahead", AHEAD_MAX);
}

int db_ahead(const char *url, enum db_mode mode, unsigned n, struct err *err)
{
	for (unsigned i = 0; i < n; i++) {
		struct db *db;

		if (open_new(&db, url, mode, err) < 0)
			return -1;
		if (keep_ahead(url, db, err) < 0) {
			db_close(&db);
			return -1;
		}
	}
	return 0;
}

int db_open(struct db **db, const char *url, enum db_mode mode, struct err *err)
{
	*db = take_ahead(url, mode);
	return *db ? 0 : open_new(db, url, mode, err);
}

static void forget(struct rows *r)
{
	if (!r)
		return;
	if (r->state)
		r->db->engine->forget(r);
	free(r->sql);
	free(r);
}

void db_close(struct db **db)
{
	struct db *d = *db;

	*db = NULL;
	if (!d)
		return;
	for (size_t i = 0; i < DB_SETS; i++)
		for (size_t k = 0; k < DB_WAYS; k++)
			forget(d->kept[i][k]);
	d->engine->close(d);
}

const char *db_engine_name(const struct db *db)
{
	return db->engine->scheme;
}

static int prepare(struct db *db, const char *sql, struct rows **out, struct err *err)
{
	struct rows *r = calloc(1, sizeof *r);
	size_t n = strnlen(sql, DB_SQL);

	if (!r)
		goto no_memory;
	*r = (struct rows){ .db = db, .key = sql };
	if (n == DB_SQL) {
		forget(r);
		return err_set(err, ERR_LIMIT, "statement is longer than %d bytes", DB_SQL);
	}
	r->sql = strdup(sql);
	if (!r->sql)
		goto no_memory;
	if (db->engine->prepare(r, err) < 0) {
		forget(r);
		return -1;
	}
	*out = r;
	return 0;
no_memory:
	forget(r);
	return err_set(err, ERR_TEMP, "out of memory for a statement");
}

static size_t set_of(const char *sql)
{
	uint64_t h = (uint64_t)(uintptr_t)sql * UINT64_C(0x9e3779b97f4a7c15);

	return (size_t)(h >> 32) % DB_SETS;
}

/* The statement for this text: one prepared before and not in use, else a new one, which takes the
 * place of the set's least used. When the whole set is in use it is not kept. */
static struct rows *statement(struct db *db, const char *sql, struct err *err)
{
	struct rows **set = db->kept[set_of(sql)], **place = NULL;
	struct rows *r = NULL;

	for (size_t i = 0; i < DB_WAYS; i++) {
		struct rows *k = set[i];

		if (k && k->busy)
			continue;
		/* The address alone may be a buffer that was used again. */
		if (k && k->key == sql && strcmp(k->sql, sql) == 0)
			return k;
		if (!place || !k || (*place && k->used < (*place)->used))
			place = &set[i];
	}
	if (prepare(db, sql, &r, err) < 0)
		return NULL;
	if (place) {
		forget(*place);
		*place = r;
		r->kept = true;
	}
	return r;
}

/* PostgreSQL has no NUL in text, so nobody may rely on it. */
static bool texts_are_plain(const struct db_val *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].type == DB_TEXT && str_find(v[i].s, '\0') != v[i].s.n)
			return false;
	return true;
}

static int start(struct db *db, struct rows **rows, const char *sql, const struct db_val *v,
	size_t n, bool lazy, struct err *err)
{
	struct rows *r;

	*rows = NULL;
	if (!db_in_transaction(db))
		db->conflict = false;
	if (!texts_are_plain(v, n))
		return err_set(err, ERR_PERM, "a text value contains a NUL byte (in: %.60s)", sql);
	r = statement(db, sql, err);
	if (!r)
		return -1;
	r->busy = true;
	r->done = false;
	r->lazy = lazy;
	r->used = ++db->tick;
	*rows = r;
	if (n != r->params)
		err_set(err, ERR_PERM, "statement takes %zu values, got %zu (in: %.60s)", r->params,
			n, sql);
	else if (db->engine->start(r, v, err) == 0)
		return 0;
	rows_free(rows);
	return -1;
}

int db_query(struct db *db, struct rows **rows, const char *sql, const struct db_val *v, size_t n,
	struct err *err)
{
	return start(db, rows, sql, v, n, false, err);
}

int rows_next(struct rows *r, struct err *err)
{
	int got;

	if (r->done)
		return 0;
	got = r->db->engine->next(r, err);
	if (got != 1)
		r->done = true;
	return got;
}

struct db_val rows_get(const struct rows *r, int column)
{
	return r->db->engine->get(r, column);
}

int64_t rows_int(const struct rows *r, int column)
{
	struct db_val v = rows_get(r, column);

	return v.type == DB_INT ? v.i : 0;
}

struct str rows_str(const struct rows *r, int column)
{
	struct db_val v = rows_get(r, column);

	return v.type == DB_TEXT || v.type == DB_BYTES ? v.s : STR("");
}

void rows_free(struct rows **rows)
{
	struct rows *r = *rows;

	*rows = NULL;
	if (!r)
		return;
	r->db->engine->end(r);
	r->busy = false;
	if (!r->kept)
		forget(r);
}

static int exec(struct db *db, const char *sql, const struct db_val *v, size_t n, bool lazy,
	struct err *err)
{
	struct rows *r;
	int got = -1;

	if (start(db, &r, sql, v, n, lazy, err) < 0)
		return -1;
	do
		got = rows_next(r, err);
	while (got == 1);
	rows_free(&r);
	return got;
}

int db_exec(struct db *db, const char *sql, const struct db_val *v, size_t n, struct err *err)
{
	return exec(db, sql, v, n, true, err);
}

/* Its outcome is known. */
static int exec_now(struct db *db, const char *sql, struct err *err)
{
	return exec(db, sql, DB_NOARGS, false, err);
}

int db_int(struct db *db, int64_t *out, const char *sql, const struct db_val *v, size_t n,
	struct err *err)
{
	struct db_val first;
	struct rows *r;
	int got = -1;

	if (db_query(db, &r, sql, v, n, err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		first = rows_get(r, 0);
		if (first.type == DB_INT)
			*out = first.i;
		else if (first.type == DB_NULL)
			got = 0;
		else
			got = err_set(err, ERR_PERM, "expected an integer (in: %.60s)", sql);
	}
	rows_free(&r);
	return got;
}

int64_t db_changes(struct db *db)
{
	if (db->engine->settle)
		db->engine->settle(db);
	return db->changes;
}

bool db_conflict(const struct db *db)
{
	return db->conflict;
}

int db_begin(struct db *db, struct err *err)
{
	return db_exec(db, db->engine->begin[db->mode], DB_NOARGS, err);
}

int db_commit(struct db *db, struct err *err)
{
	return exec_now(db, "COMMIT", err);
}

void db_rollback(struct db *db)
{
	struct err ignored = ERR_INIT;

	if (db_in_transaction(db))
		exec_now(db, "ROLLBACK", &ignored);
}

bool db_in_transaction(const struct db *db)
{
	return db->engine->in_transaction(db);
}

/* One name for all: both engines take the innermost savepoint of that name. */
int db_save(struct db *db, struct err *err)
{
	return db_exec(db, "SAVEPOINT s", DB_NOARGS, err);
}

int db_keep(struct db *db, struct err *err)
{
	return exec_now(db, "RELEASE SAVEPOINT s", err);
}

int db_undo(struct db *db, struct err *err)
{
	return exec_now(db, "ROLLBACK TO SAVEPOINT s", err) < 0 ? -1 : db_keep(db, err);
}

void db_limit(struct db *db, int64_t limit)
{
	db->limit = limit;
}

void db_defer(struct db *db, bool defer)
{
	db->defer = defer;
}

void db_on_lost(struct db *db, void (*fn)(void *arg, const struct err *why), void *arg)
{
	db->lost = fn;
	db->lost_arg = arg;
}

int db_wait(struct db *db, int stop, int64_t until, db_note_fn *fn, void *arg, struct err *err)
{
	if (!db->engine->wait)
		return err_set(err, ERR_PERM, "%s has no notes", db->engine->scheme);
	return db->engine->wait(db, stop, until, fn, arg, err);
}

/* The part of a line that this engine runs: comments and the other engine's words fall away. */
static struct str script_line(const struct db *db, struct str line)
{
	struct str word;

	if (!str_starts(line, STR("--")))
		return line;
	line = str_from(line, 2);
	word = str_word(&line, ' ');
	return str_eq(word, str_c(db->engine->scheme)) ? line : STR("");
}

/* Scripts run once: their statements are not kept. */
static int run_once(struct db *db, struct buf *sql, struct err *err)
{
	struct rows *r = NULL;
	int got = -1;

	buf_addc(sql, '\0');
	if (!buf_ok(sql))
		return err_set(
			err, ERR_LIMIT, "statement of a script is longer than %d bytes", DB_SQL);
	if (prepare(db, sql->p, &r, err) < 0)
		return -1;
	if (r->params)
		err_set(err, ERR_PERM, "a script has no parameters (in: %.60s)", sql->p);
	else if (db->engine->start(r, NULL, err) == 0)
		do
			got = db->engine->next(r, err);
		while (got == 1);
	rows_free(&r);
	buf_clear(sql);
	return got;
}

int db_script(struct db *db, struct str sql, struct err *err)
{
	struct buf one = BUF(DB_SQL);
	struct str line;
	int r = 0;

	while (r == 0 && sql.n) {
		line = str_trim(script_line(db, str_word(&sql, '\n')));
		if (line.n == 0)
			continue;
		buf_add(&one, line);
		buf_addc(&one, '\n');
		if (line.p[line.n - 1] != ';')
			continue;
		buf_cut(&one, one.n - 2); /* the engines take one statement without its ';' */
		r = run_once(db, &one, err);
	}
	if (r == 0 && one.n)
		r = err_set(err, ERR_PERM,
			"script ends inside a statement: no ';' at the end of its last line");
	buf_free(&one);
	return r;
}
