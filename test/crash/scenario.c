#include "scenario.h"
#include "listing.h"

#include "base/log.h"
#include "db/sqlite.h"
#include "store/compact.h"
#include "store/snapshot.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SEGMENT = 80 << 10, SECONDS = 120, PATH = 300 };

struct shared *shared;
const char *scenario_rules;
bool scenario_verbose;

void problem(const char *fmt, ...)
{
	size_t n = strlen(shared->talk);
	va_list ap;

	va_start(ap, fmt);
	if (n + 2 < SCENARIO_TALK) {
		if (n)
			shared->talk[n++] = '\n';
		vsnprintf(shared->talk + n, SCENARIO_TALK - n, fmt, ap);
	}
	va_end(ap);
}

/* ---- the ledger ---- */

static struct message *message_of(struct str id)
{
	for (size_t i = 0; i < shared->count; i++)
		if (str_eq(id, str_c(shared->messages[i].id)))
			return &shared->messages[i];
	return NULL;
}

static void ask(const struct worker *w, const char *state)
{
	struct message *m = message_of(str_c(w->id));

	if (!m) {
		if (shared->count == SCENARIO_MESSAGES)
			abort();
		m = &shared->messages[shared->count];
		*m = (struct message){ 0 };
		snprintf(m->id, sizeof m->id, "%s", w->id);
		snprintf(m->digest, sizeof m->digest, "%s", w->digest);
		shared->count++;
	}
	snprintf(m->asked, sizeof m->asked, "%s", state);
	m->open = true;
}

static void outcome(const struct worker *w, int r, const char *what, const struct err *err)
{
	struct message *m = message_of(str_c(w->id));

	if (r == 0)
		snprintf(m->answered, sizeof m->answered, "%s", m->asked);
	else
		snprintf(shared->why, sizeof shared->why, "%s: %.200s", what, err->msg);
	if (r < 0 && err->kind == ERR_NONE)
		problem("%s: %s failed without a word", w->id, what);
	m->open = false;
}

/* ---- a store at work ---- */

static size_t draw_size(struct worker *w)
{
	return 100 + work_draw(w, 1500);
}

static void quiet(void *arg, enum log_level level, struct str line)
{
	if (scenario_verbose)
		fprintf(stderr, "    " STR_F "\n", STR_A(line));
}

_Noreturn static void fatal(void *arg, const struct err *why)
{
	snprintf(shared->why, sizeof shared->why, "fatal: %.200s", why->msg);
	_exit(SCENARIO_FATAL);
}

static int open_store(void)
{
	const struct store_options o = { .segment_bytes = SEGMENT,
		.thread_keys = 3,
		.retention = -5,
		.fatal = fatal,
		.readers = 1 };
	struct err err = ERR_INIT;
	int r = store_open(work_site.dir, &o, &work_site.store, &err);

	if (r == 0)
		r = work_begin(&err);
	if (r < 0)
		snprintf(shared->why, sizeof shared->why, "open: %.200s", err.msg);
	if (r < 0 && err.kind == ERR_NONE)
		problem("open failed without a word");
	return r;
}

/* The store's own checkpoints are too far apart for a short run. */
static void checkpoint(void)
{
	struct db *db = NULL;
	struct err err = ERR_INIT;
	uint32_t left;
	char url[80];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", work_site.dir);
	if (db_open(&db, url, DB_WRITE, &err) == 0)
		db_sqlite_checkpoint(db, DB_PASSIVE, &left, &err);
	db_close(&db);
}

static void work_a_while(const char *name, unsigned rounds)
{
	struct worker w = { .body = BUF(WORK_LARGEST) };
	struct compact_report compacted;
	struct snapshot snapshot;
	struct err err = ERR_INIT;

	work_site.run = name;
	for (unsigned i = 0; i < rounds; i++) {
		work_deliver(&w);
		work_append(&w);
		if (i == 1)
			work_burst(&w);
		if (i == 2)
			checkpoint();
		if (i == 1 || i == 3)
			store_compact(work_site.store, &compacted, &err);
		if (i == 3)
			store_snapshot(work_site.store, &snapshot, &err);
	}
	work_end(&w);
}

static void begin(const char *path)
{
	alarm(SECONDS);
	log_capture(quiet, NULL);
	work_site = (struct work_site){ .dir = crash_directory(path),
		.seed = 1,
		.inline_max = 1000,
		.size = draw_size,
		.ask = ask,
		.outcome = outcome,
		.pause = interpose_pause };
}

static void run_twice(void)
{
	if (open_store() == 0)
		work_a_while("a", 4);
	store_close(&work_site.store);
	if (open_store() == 0)
		work_a_while("b", 2);
	store_close(&work_site.store);
}

static int count_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

_Noreturn void scenario_run(const char *path, const struct fault *f)
{
	begin(path);
	interpose_arm(f, &shared->did);
	run_twice();
	interpose_disarm();
	shared->descriptors = count_descriptors();
	shared->closed = true;
	_exit(0);
}

/* Where the second scenario begins: a store that was killed when its log was ahead of its index. */
_Noreturn void scenario_make_used(const char *path)
{
	struct worker w = { .body = BUF(WORK_LARGEST) };

	begin(path);
	if (open_store() < 0)
		_exit(1);
	work_a_while("t", 3);
	store_close(&work_site.store);
	if (open_store() < 0)
		_exit(1);
	work_site.run = "u";
	for (int i = 0; i < 3; i++)
		work_deliver(&w);
	_exit(0);
}

/* ---- afterwards ---- */

static void found(void *arg, const struct listed *l)
{
	char(*states)[WORK_STATE] = arg;
	struct message *m = l->place && l->digest ? message_of(l->id) : NULL;
	size_t i, n;

	if (!l->place || str_eq(l->id, STR("probe")))
		return;
	if (!l->digest) {
		problem("%s %u cannot be read: %s", l->place, l->uid, l->why);
	} else if (!m) {
		problem(STR_F ": a message that nobody sent, in %s", STR_A(l->id), l->place);
	} else {
		i = (size_t)(m - shared->messages);
		n = strlen(states[i]);
		if (strcmp(m->digest, l->digest) != 0)
			problem("%s: altered", m->id);
		snprintf(states[i] + n, WORK_STATE - n, "%s%s", n ? " " : "", l->place);
	}
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The places of a state in order, so that states can be compared. */
static void sort_state(const char *state, char out[WORK_STATE])
{
	char copy[WORK_STATE], *words[8], *rest;
	size_t n = 0;

	snprintf(copy, sizeof copy, "%s", state);
	for (char *p = strtok_r(copy, " ", &rest); p && n < 8; p = strtok_r(NULL, " ", &rest))
		words[n++] = p;
	qsort(words, n, sizeof *words, by_name);
	out[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(out + strlen(out), WORK_STATE - strlen(out), "%s%s", i ? " " : "",
			words[i]);
}

static bool same(const char *a, const char *b)
{
	char x[WORK_STATE], y[WORK_STATE];

	sort_state(a, x);
	sort_state(b, y);
	return strcmp(x, y) == 0;
}

static void compare(char (*states)[WORK_STATE])
{
	for (size_t i = 0; i < shared->count; i++) {
		const struct message *m = &shared->messages[i];

		if (same(states[i], m->answered) || (m->open && same(states[i], m->asked)))
			continue;
		problem("%s: %sfound in [%s], answered was [%s]%s%s%s", m->id,
			states[i][0] ? "" : "LOST: ", states[i], m->answered,
			m->open ? ", asked for [" : "", m->open ? m->asked : "",
			m->open ? "]" : "");
	}
}

static void check_rules(sqlite3 *db)
{
	static char text[8000];
	char *at, *end;
	int fd = open(scenario_rules, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	sqlite3_stmt *st;

	if (n < 0)
		problem("%s cannot be read", scenario_rules);
	text[n > 0 ? n : 0] = '\0';
	at = strstr(text, "\n\n"); /* behind the head */
	for (; at && (end = strchr(at, ';')); at = end + 1) {
		*end = '\0';
		if (sqlite3_prepare_v2(db, at, -1, &st, NULL) != SQLITE_OK)
			problem("rule: %s: %s", sqlite3_errmsg(db), at);
		else if (sqlite3_step(st) != SQLITE_DONE)
			problem("wrong: %.*s: %s", (int)strcspn(strstr(at, "-- ") + 3, "\n"),
				strstr(at, "-- ") + 3, (const char *)sqlite3_column_text(st, 0));
		sqlite3_finalize(st);
	}
}

static void check_index(const char *path)
{
	char file[PATH + 20];
	sqlite3_stmt *st = NULL;
	sqlite3 *db = NULL;

	snprintf(file, sizeof file, "%s/index.db", path);
	if (sqlite3_open(file, &db) != SQLITE_OK ||
		sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &st, NULL) != SQLITE_OK ||
		sqlite3_step(st) != SQLITE_ROW ||
		strcmp((const char *)sqlite3_column_text(st, 0), "ok") != 0)
		problem("the index: %s", sqlite3_errmsg(db));
	sqlite3_finalize(st);
	check_rules(db);
	sqlite3_close(db);
}

/* Open it without faults; everything must be there, and new mail must go in. */
_Noreturn void scenario_verify(const char *path)
{
	static char states[SCENARIO_MESSAGES][WORK_STATE];
	struct store_figures f;
	struct err err = ERR_INIT;

	begin(path);
	if (open_store() < 0) {
		problem("does not open: %s", shared->why);
		_exit(0);
	}
	store_figures(work_site.store, &f);
	if (f.read_only)
		problem("%s", f.alarm);
	else if (listing_probe(work_site.store, &err) < 0)
		problem("takes no new mail: %s", err.msg);
	if (listing(work_site.store, found, states, &err) < 0)
		problem("list: %s", err.msg);
	compare(states);
	store_close(&work_site.store);
	check_index(path);
	_exit(0);
}
