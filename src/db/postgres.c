/* The PostgreSQL engine, a module of its own (load.c). Results are fetched whole, so that
 * statements may run while others' rows are read, as on SQLite. */
#include "base/clock.h"
#include "base/utf8.h"
#include "db/db_private.h"

#include <errno.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* Types by their number in pg_type.dat, which never change. */
enum oid {
	OID_BOOL = 16,
	OID_BYTEA = 17,
	OID_CHAR = 18,
	OID_NAME = 19,
	OID_INT8 = 20,
	OID_INT2 = 21,
	OID_INT4 = 23,
	OID_TEXT = 25,
	OID_OID = 26,
	OID_FLOAT8 = 701,
	OID_UNKNOWN = 705,
	OID_BPCHAR = 1042,
	OID_VARCHAR = 1043,
	OID_NUMERIC = 1700
};

enum {
	INT_TEXT = 24, /* bytes for any 64-bit integer in decimal */
	AHEAD_MOST = 64
};

/* For what opening a connection asks, and for parting with statements. */
static const int64_t small_talk = 10 * CLOCK_SEC;

struct pg_db {
	struct db db;
	PGconn *c;
	unsigned statements; /* for their names */
	bool unconfirmed;    /* by the standby: the last COMMIT */
	bool late;           /* an answer did not come in time */
	unsigned ahead;      /* statements sent without waiting for their answers (db_defer()) */
	struct err owed;     /* what one of them has met while nobody waited */
};

struct pg_stmt {
	char name[16];
	bool prepared;
	PGresult *result;
	int row;
};

static PGconn *conn_of(const struct db *db)
{
	return ((const struct pg_db *)db)->c;
}

/* Codes: appendix A of the PostgreSQL manual. */
static enum err_kind kind_of(const char *code)
{
	struct str s = str_c(code);

	if (str_eq(s, STR("23505")))
		return ERR_EXISTS;
	if (str_starts(s, STR("40")) || str_eq(s, STR("55P03")) || str_eq(s, STR("57014")))
		return ERR_TEMP;
	if (str_starts(s, STR("08")) || str_starts(s, STR("57P")))
		return ERR_CLOSED;
	if (str_eq(s, STR("53100")))
		return ERR_FULL;
	/* No room, a failing disk, damage: no answer to what was asked. */
	return str_starts(s, STR("53")) || str_starts(s, STR("58")) || str_starts(s, STR("XX"))
		? ERR_TEMP
		: ERR_PERM;
}

static bool is_conflict(const char *code)
{
	struct str s = str_c(code);

	return str_eq(s, STR("40001")) || str_eq(s, STR("40P01")) || str_eq(s, STR("55P03"));
}

/* The first line of what the server said; libpq ends it with a newline. */
static struct str first_line(const char *s)
{
	struct str all = str_c(s);

	return str_trim(str_head(all, str_find(all, '\n')));
}

static void lose(struct db *db, const struct err *why)
{
	void (*fn)(void *arg, const struct err *why) = db->lost;

	db->lost = NULL;
	if (fn)
		fn(db->lost_arg, why);
}

static int fail(struct db *db, const PGresult *result, const char *sql, struct err *err)
{
	PGconn *c = conn_of(db);
	const char *code = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
	const char *said = result ? PQresultErrorMessage(result) : PQerrorMessage(c);
	enum err_kind kind = code ? kind_of(code) : ERR_PERM;

	if (((struct pg_db *)db)->late)
		said = "the server has stopped answering";
	if (PQstatus(c) != CONNECTION_OK)
		kind = ERR_CLOSED;
	/* What follows in the same transaction fails for another reason: the conflict stays. */
	db->conflict |= code && is_conflict(code);
	err_set(err, kind, "postgres: " STR_F " (in: %.60s)", STR_A(first_line(said)), sql);
	if (PQstatus(c) != CONNECTION_OK)
		lose(db, err);
	return -1;
}

/* T172: that somebody has ended a commit's waiting for the standby comes as a warning, known by
 * where the server says it, for words are translated. Any other warning is none of ours. */
static void notice(void *arg, const PGresult *said)
{
	const char *file = PQresultErrorField(said, PG_DIAG_SOURCE_FILE);
	struct pg_db *p = arg;

	if (file && strcmp(file, "syncrep.c") == 0)
		p->unconfirmed = true;
}

static void pg_close(struct db *db)
{
	PQfinish(conn_of(db));
	free(db);
}

/* ---- answers, and when they do not come ---- */

/* 0: not within that time, by clock_mono(). */
static int poll_until(struct pollfd *p, nfds_t n, int64_t until)
{
	int64_t left = (until - clock_mono()) / CLOCK_MSEC + 1;
	int got = poll(p, n, left < 0 ? 0 : (left > INT32_MAX ? INT32_MAX : (int)left));

	return got || clock_mono() < until ? 1 : 0;
}

/* Until the answer to what was sent is here, or will never be. A server that was stopped, or a
 * network that drops everything, looks like one that is slow; when the time is up the connection is
 * cut, so that nothing that comes later is taken for the answer to something else. */
static void await(struct pg_db *p, int64_t until)
{
	int unsent;

	while ((unsent = PQflush(p->c)) == 1 || (unsent == 0 && PQisBusy(p->c))) {
		struct pollfd f = { .fd = PQsocket(p->c),
			.events = unsent ? POLLIN | POLLOUT : POLLIN };

		if (!poll_until(&f, 1, until)) {
			p->late = true;
			shutdown(PQsocket(p->c), SHUT_RDWR);
		}
		if (!PQconsumeInput(p->c))
			return;
	}
}

/* The last result of what was sent; NULL when it could not be sent. */
static PGresult *answer(struct pg_db *p, int sent, int64_t limit)
{
	const int64_t until = limit ? clock_after(limit) : INT64_MAX;
	PGresult *last = NULL, *next = NULL;

	while (sent && (await(p, until), (next = PQgetResult(p->c)))) {
		PQclear(last);
		last = next;
		if (PQstatus(p->c) != CONNECTION_OK)
			break;
	}
	return last;
}

static bool has_worked(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

static void note_changes(struct db *db, PGresult *result)
{
	struct str said = str_c(PQcmdStatus(result));

	if (str_starts(said, STR("INSERT")) || str_starts(said, STR("UPDATE")) ||
		str_starts(said, STR("DELETE")))
		db->changes = strtoll(PQcmdTuples(result), NULL, 10);
}

/* All answers that are outstanding: the first that says no, else the last. Each statement ends with
 * a synchronisation of its own, so between any two the server knows the transaction to be idle, and
 * ends it when nothing follows. */
static PGresult *collect(struct pg_db *p, int64_t limit)
{
	const int64_t until = limit ? clock_after(limit) : INT64_MAX;
	PGresult *kept = NULL, *next;

	while (p->ahead && PQstatus(p->c) == CONNECTION_OK) {
		await(p, until);
		next = PQgetResult(p->c);
		if (PQresultStatus(next) == PGRES_PIPELINE_SYNC)
			p->ahead--;
		if (!next || PQresultStatus(next) == PGRES_PIPELINE_SYNC ||
			(kept && !has_worked(kept))) {
			PQclear(next);
			continue;
		}
		PQclear(kept);
		kept = next;
		note_changes(&p->db, kept);
	}
	/* An answer is missing, maybe that of a COMMIT: those before it do not stand for it. */
	if (p->ahead && has_worked(kept)) {
		PQclear(kept);
		kept = NULL;
	}
	p->ahead = 0;
	(void)PQexitPipelineMode(p->c);
	return kept;
}

/* Nothing is outstanding any more. Who asks next is told what has failed. */
static void settle(struct pg_db *p)
{
	PGresult *result;

	if (!p->ahead)
		return;
	result = collect(p, p->db.limit);
	if (!has_worked(result) && p->owed.kind == ERR_NONE)
		fail(&p->db, result, "statements sent ahead", &p->owed);
	PQclear(result);
}

static int run(struct pg_db *p, const char *sql, struct err *err)
{
	PGresult *result = answer(p, PQsendQuery(p->c, sql), small_talk);
	int r = 0;

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		r = fail(&p->db, result, sql, err);
	PQclear(result);
	return r;
}

/* A lock that never comes must not hold a thread for ever, nor a client that was stopped, or cannot
 * be reached any more, the locks of all: the server ends a transaction in which nothing happens. No
 * statement_timeout: it would also end a commit that waits for a standby, whose outcome would then
 * be unknown. T170: a commit is durable, and on the synchronous standby if there is one, whatever
 * the server's own setting says. */
#define SETTINGS                                                                                   \
	"SET lock_timeout = '10s'; SET synchronous_commit = on;"                                   \
	" SET standard_conforming_strings = on; SET tcp_keepalives_idle = 10;"                     \
	" SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"                          \
	" SET tcp_user_timeout = 30000"

static int set_up(struct pg_db *p, enum db_mode mode, struct err *err)
{
	if (run(p, SETTINGS, err) < 0)
		return -1;
	if (PQserverVersion(p->c) < 150000)
		return err_set(err, ERR_PERM, "postgres: version 15 or later is needed");
	return run(p,
		mode == DB_READ ? "SET default_transaction_read_only = on"
				: "SET idle_in_transaction_session_timeout = '10s'",
		err);
}

static int pg_open(struct db **db, const char *url, enum db_mode mode, struct err *err)
{
	/* What comes before dbname is only a default for what the URL does not say. A server whose
	 * machine is gone says nothing: the kernel then ends the connection within half a minute.
	 */
	const char *const names[] = { "connect_timeout", "application_name", "gssencmode",
		"target_session_attrs", "keepalives_idle", "keepalives_interval",
		"keepalives_count", "tcp_user_timeout", "dbname", "client_encoding", NULL };
	const char *const values[] = { "10", "eilpost", "disable", "read-write", "10", "5", "3",
		"30000", url, "UTF8", NULL };
	struct pg_db *p = calloc(1, sizeof *p);

	if (!p)
		return err_set(err, ERR_TEMP, "out of memory for a database");
	p->c = PQconnectdbParams(names, values, 1);
	if (PQstatus(p->c) != CONNECTION_OK) {
		err_set(err, ERR_TEMP, "postgres: " STR_F, STR_A(first_line(PQerrorMessage(p->c))));
		goto out;
	}
	PQsetNoticeReceiver(p->c, notice, p);
	if (PQsetnonblocking(p->c, 1) < 0) {
		fail(&p->db, NULL, "open", err);
		goto out;
	}
	if (set_up(p, mode, err) < 0)
		goto out;
	*db = &p->db;
	return 0;
out:
	pg_close(&p->db);
	return -1;
}

/* The highest $n outside of quotes: the server prepares only when the types are known. */
static size_t count_parameters(const char *sql)
{
	size_t most = 0;
	char quote = 0;

	for (; *sql; sql++) {
		if (quote || *sql == '\'' || *sql == '"') {
			if (!quote)
				quote = *sql;
			else if (*sql == quote)
				quote = 0;
		} else if (*sql == '$' && is_digit(sql[1])) {
			size_t n = strtoul(sql + 1, NULL, 10);

			most = n > most ? n : most;
		}
	}
	return most;
}

static int pg_prepare(struct rows *r, struct err *err)
{
	struct pg_db *p = (struct pg_db *)r->db;
	struct pg_stmt *s = calloc(1, sizeof *s);

	if (!s)
		return err_set(err, ERR_TEMP, "out of memory for a statement");
	r->state = s;
	snprintf(s->name, sizeof s->name, "s%u", ++p->statements);
	r->params = count_parameters(r->sql);
	if (r->params > DB_PARAMS)
		return err_set(
			err, ERR_PERM, "parameters are $1 to $%d (in: %.60s)", DB_PARAMS, r->sql);
	return 0;
}

/* Types are said for what has one: `$1 + 1` would be 32 bits wide otherwise. */
static int prepare_now(struct rows *r, const struct db_val *v, struct err *err)
{
	static const Oid types[] = {
		[DB_NULL] = 0, [DB_INT] = OID_INT8, [DB_TEXT] = OID_TEXT, [DB_BYTES] = OID_BYTEA
	};
	struct pg_db *p = (struct pg_db *)r->db;
	struct pg_stmt *s = r->state;
	Oid oids[DB_PARAMS];
	PGresult *result;
	int got = 0;

	for (size_t i = 0; i < r->params; i++)
		oids[i] = types[v[i].type];
	result =
		answer(p, PQsendPrepare(p->c, s->name, r->sql, (int)r->params, oids), r->db->limit);
	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		got = fail(r->db, result, r->sql, err);
	else
		s->prepared = true;
	PQclear(result);
	return got;
}

static void pg_forget(struct rows *r)
{
	struct pg_db *p = (struct pg_db *)r->db;
	struct pg_stmt *s = r->state;
	char sql[32];

	settle(p);
	if (s->prepared) {
		snprintf(sql, sizeof sql, "DEALLOCATE %s", s->name);
		PQclear(answer(p, PQsendQuery(p->c, sql), small_talk));
	}
	PQclear(s->result);
	free(s);
	r->state = NULL;
}

/* The server takes no text that is not UTF-8; what others have said may be anything. false: out of
 * memory. */
static bool clean_text(struct buf *room, struct str *text)
{
	const size_t before = room->n;

	utf8_clean(room, *text);
	if (!buf_ok(room))
		return false;
	*text = str_from(buf_str(room), before);
	return true;
}

static size_t dirty_bytes(const struct db_val *v, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		if (v[i].type == DB_TEXT && !utf8_valid(v[i].s))
			sum += v[i].s.n;
	return sum;
}

/* Integers go as text, which fits whatever width the server wants; the rest as raw bytes. `room`
 * does not move any more. */
static int put(struct rows *r, const struct db_val *v, struct buf *room)
{
	struct pg_db *p = (struct pg_db *)r->db;
	const char *values[DB_PARAMS];
	int lengths[DB_PARAMS], formats[DB_PARAMS];
	char ints[DB_PARAMS][INT_TEXT];

	for (size_t i = 0; i < r->params; i++) {
		struct str s = v[i].s;

		values[i] = NULL;
		lengths[i] = 0;
		formats[i] = v[i].type != DB_INT;
		if (v[i].type == DB_TEXT && room->cap && !utf8_valid(s) && !clean_text(room, &s))
			return 0;
		if (v[i].type == DB_INT) {
			snprintf(ints[i], INT_TEXT, "%" PRId64, v[i].i);
			values[i] = ints[i];
		} else if (v[i].type != DB_NULL) {
			values[i] = s.n ? s.p : "";
			lengths[i] = (int)s.n;
		}
	}
	return PQsendQueryPrepared(p->c, ((struct pg_stmt *)r->state)->name, (int)r->params, values,
		lengths, formats, 1);
}

static int send_clean(struct rows *r, const struct db_val *v)
{
	/* A byte becomes three at most. */
	const size_t most = 3 * dirty_bytes(v, r->params);
	struct buf room = BUF(most);
	int sent = 0;

	if (most == 0 || buf_room(&room, most))
		sent = put(r, v, &room);
	buf_free(&room);
	return sent;
}

/* COMMIT after a failed statement rolls back and calls that a success. T172: so it does when
 * somebody has ended its waiting for the standby, and it may yet be lost. */
static int check_commit(struct rows *r, struct err *err)
{
	const struct pg_stmt *s = r->state;

	if (strcmp(PQcmdStatus(s->result), "ROLLBACK") == 0)
		return err_set(
			err, ERR_PERM, "postgres: not committed, a statement before had failed");
	if (!((struct pg_db *)r->db)->unconfirmed)
		return 0;
	err_set(err, ERR_CLOSED, "postgres: a commit was not confirmed by the standby");
	lose(r->db, err);
	return -1;
}

static bool begins(const struct rows *r, struct str word)
{
	return str_starts(str_c(r->sql), word);
}

/* Only where something must follow that waits. */
static bool may_go_ahead(const struct rows *r)
{
	return r->lazy && r->db->defer &&
		(r->db->engine->in_transaction(r->db) || begins(r, STR("BEGIN")));
}

/* Going back works whatever has failed, so it is not sent behind what may. */
static int say_what_is_owed(struct rows *r, struct err *err)
{
	struct pg_db *p = (struct pg_db *)r->db;
	const struct err owed = p->owed;

	p->owed = ERR_INIT;
	if (owed.kind == ERR_NONE || begins(r, STR("ROLLBACK")))
		return 0;
	*err = owed;
	return -1;
}

static int send_ahead(struct rows *r, const struct db_val *v, struct err *err)
{
	struct pg_db *p = (struct pg_db *)r->db;

	if (!p->ahead && !PQenterPipelineMode(p->c))
		return fail(r->db, NULL, r->sql, err);
	if (!send_clean(r, v) || !PQpipelineSync(p->c))
		return fail(r->db, NULL, r->sql, err);
	p->ahead++;
	return 0;
}

static int execute(struct rows *r, const struct db_val *v, struct err *err)
{
	struct pg_db *p = (struct pg_db *)r->db;
	struct pg_stmt *s = r->state;

	if (p->ahead)
		s->result = send_ahead(r, v, err) < 0 ? NULL : collect(p, r->db->limit);
	else
		s->result = answer(p, send_clean(r, v), r->db->limit);
	if (!has_worked(s->result))
		return fail(r->db, s->result, r->sql, err);
	note_changes(r->db, s->result);
	return strcmp(r->sql, "COMMIT") == 0 ? check_commit(r, err) : 0;
}

static int pg_start(struct rows *r, const struct db_val *v, struct err *err)
{
	struct pg_db *p = (struct pg_db *)r->db;
	struct pg_stmt *s = r->state;

	for (size_t i = 0; i < r->params; i++)
		if (v[i].s.n > INT32_MAX)
			return err_set(err, ERR_LIMIT, "a value is too large (in: %.60s)", r->sql);
	s->row = -1;
	p->unconfirmed = false;
	if (!s->prepared || p->ahead >= AHEAD_MOST || begins(r, STR("ROLLBACK")))
		settle(p);
	if (say_what_is_owed(r, err) < 0 || (!s->prepared && prepare_now(r, v, err) < 0))
		return -1;
	return may_go_ahead(r) ? send_ahead(r, v, err) : execute(r, v, err);
}

static void pg_settle(struct db *db)
{
	settle((struct pg_db *)db);
}

static int pg_next(struct rows *r, struct err *err)
{
	struct pg_stmt *s = r->state;

	(void)err;
	return ++s->row < PQntuples(s->result) ? 1 : 0;
}

static uint64_t big_endian(const char *p, int n)
{
	uint64_t v = 0;

	for (int i = 0; i < n; i++)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

static int64_t clamp(double d)
{
	if (d >= 0x1p63)
		return INT64_MAX;
	return d < -0x1p63 || d != d ? INT64_MIN : (int64_t)d;
}

static int64_t from_double(const char *p)
{
	uint64_t bits = big_endian(p, 8);
	double d;

	memcpy(&d, &bits, sizeof d);
	return clamp(d);
}

/* sum() of 64-bit integers is a numeric: how many digits, the weight of the first, the sign, the
 * scale, then digits of base 10,000. What is left of the point is taken; too large stays at the
 * end. */
static int64_t from_numeric(const char *p, int n)
{
	int digits, weight;
	bool negative;
	uint64_t v = 0;

	if (n < 8)
		return 0;
	digits = (int)big_endian(p, 2);
	weight = (int16_t)big_endian(p + 2, 2);
	negative = big_endian(p + 4, 2) == 0x4000;
	if (weight > 4)
		return negative ? INT64_MIN : INT64_MAX;
	for (int i = 0; i <= weight; i++) {
		uint64_t digit = i < digits && 10 + 2 * i <= n ? big_endian(p + 8 + 2 * i, 2) : 0;

		if (v > ((uint64_t)INT64_MAX - digit) / 10000)
			return negative ? INT64_MIN : INT64_MAX;
		v = v * 10000 + digit;
	}
	return negative ? -(int64_t)v : (int64_t)v;
}

static struct db_val decode(enum oid type, const char *p, int n)
{
	switch (type) {
	case OID_BOOL:
		return DB_I(*p != 0);
	case OID_INT2:
		return DB_I((int16_t)big_endian(p, 2));
	case OID_INT4:
		return DB_I((int32_t)big_endian(p, 4));
	case OID_OID:
		return DB_I((int64_t)big_endian(p, 4));
	case OID_INT8:
		return DB_I((int64_t)big_endian(p, 8));
	case OID_FLOAT8:
		return DB_I(from_double(p));
	case OID_NUMERIC:
		return DB_I(from_numeric(p, n));
	case OID_CHAR:
	case OID_NAME:
	case OID_TEXT:
	case OID_UNKNOWN:
	case OID_BPCHAR:
	case OID_VARCHAR:
		return DB_T(str_make(p, (size_t)n));
	case OID_BYTEA:
		break;
	}
	return DB_B(str_make(p, (size_t)n));
}

static struct db_val pg_get(const struct rows *r, int column)
{
	const struct pg_stmt *s = r->state;

	if (column < 0 || column >= PQnfields(s->result) || s->row < 0 ||
		s->row >= PQntuples(s->result) || PQgetisnull(s->result, s->row, column))
		return DB_NIL;
	return decode((enum oid)PQftype(s->result, column), PQgetvalue(s->result, s->row, column),
		PQgetlength(s->result, s->row, column));
}

static void pg_end(struct rows *r)
{
	struct pg_stmt *s = r->state;

	PQclear(s->result);
	s->result = NULL;
}

static bool pg_in_transaction(const struct db *db)
{
	PGTransactionStatusType t = PQtransactionStatus(conn_of(db));

	return t == PQTRANS_INTRANS || t == PQTRANS_INERROR || t == PQTRANS_ACTIVE;
}

/* Give the notes that have come to fn: how many. -1: the server is gone. */
static int take_notes(struct db *db, db_note_fn *fn, void *arg, struct err *err)
{
	PGconn *c = conn_of(db);
	PGnotify *n;
	int count = 0;

	if (!PQconsumeInput(c))
		return fail(db, NULL, "LISTEN", err);
	while ((n = PQnotifies(c))) {
		fn(arg, str_c(n->extra));
		PQfreemem(n);
		count++;
	}
	return count;
}

/* Something can be read, and it is not `stop`. */
static bool more_may_come(struct db *db, int stop, int64_t until)
{
	struct pollfd p[2] = { { .fd = PQsocket(conn_of(db)), .events = POLLIN },
		{ .fd = stop, .events = POLLIN } };

	return poll_until(p, 2, until) && !p[1].revents;
}

static int pg_wait(
	struct db *db, int stop, int64_t until, db_note_fn *fn, void *arg, struct err *err)
{
	int got;

	do
		got = take_notes(db, fn, arg, err);
	while (got == 0 && more_may_come(db, stop, until));
	return got < 0 ? -1 : got > 0;
}

extern const struct db_engine eilpost_db_postgres;

__attribute__((visibility("default"))) const struct db_engine eilpost_db_postgres = {
	.scheme = "postgres",
	.open = pg_open,
	.close = pg_close,
	.prepare = pg_prepare,
	.forget = pg_forget,
	.start = pg_start,
	.next = pg_next,
	.get = pg_get,
	.end = pg_end,
	.in_transaction = pg_in_transaction,
	.settle = pg_settle,
	.wait = pg_wait,
	.begin = { [DB_WRITE] = "BEGIN ISOLATION LEVEL READ COMMITTED",
		[DB_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" },
};
