/* faults.c - a store whose system calls and allocations fail, or which ends, at every place in
 *turn.
 *
 *	faults DIR SQL steps|faults COUNT SEED JOBS
 *	faults DIR SQL again SCENARIO:FAMILY:VARIANT:THREAD:K
 *
 * A scenario runs in a child process, in a directory of its own below DIR: it opens a store, puts
 * it to work (work.c) and closes it, twice. One call is made to fail (interpose.h), or the process
 * ends there. A second child then opens the store without faults, and compares what it holds with
 * what was answered, and the index with the rules in SQL (invariants.sql). What must hold:
 *
 *   - the process ended by itself, without a signal (the plan's own apart), or as the store does it
 *     when it cannot go on, with FATAL;
 *   - what was answered is there, once, whole; what was refused is not; what was asked for when
 *     the process ended is there or not;
 *   - memory and descriptors are all given back when the store was closed.
 *
 * A run without faults says which calls there are, by thread and family; each is a place, and
 * each place has the variants of its family. Of all these COUNT are taken, at equal distances.
 */
#include "interpose.h"
#include "listing.h"
#include "work.h"

#include "base/log.h"
#include "db/sqlite.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MESSAGES = 200, SEGMENT = 80 << 10, FATAL = 77, SECONDS = 120, PATH = 300, TALK = 8000 };

static const struct variant {
	const char *family_name, *name;
	enum family family;
	enum how how;
	int number;
} variants[] = {
	{ "step", "kill", ON_STEP, HOW_KILL, 0 },
	{ "write", "torn", ON_WRITE, HOW_TORN, 0 },
	{ "write", "EIO", ON_WRITE, HOW_ONCE, EIO },
	{ "write", "ENOSPC", ON_WRITE, HOW_ONCE, ENOSPC },
	{ "write", "EDQUOT", ON_WRITE, HOW_ONCE, EDQUOT },
	{ "write", "EINTR", ON_WRITE, HOW_ONCE, EINTR },
	{ "write", "short", ON_WRITE, HOW_SHORT, 0 },
	{ "write", "EIO-always", ON_WRITE, HOW_ALWAYS, EIO },
	{ "write", "ENOSPC-always", ON_WRITE, HOW_ALWAYS, ENOSPC },
	{ "read", "EIO", ON_READ, HOW_ONCE, EIO },
	{ "read", "EINTR", ON_READ, HOW_ONCE, EINTR },
	{ "read", "short", ON_READ, HOW_SHORT, 0 },
	{ "read", "EIO-always", ON_READ, HOW_ALWAYS, EIO },
	{ "flush", "EIO", ON_FLUSH, HOW_ONCE, EIO },
	{ "flush", "ENOSPC", ON_FLUSH, HOW_ONCE, ENOSPC },
	{ "flush", "EIO-always", ON_FLUSH, HOW_ALWAYS, EIO },
	{ "open", "EMFILE", ON_OPEN, HOW_ONCE, EMFILE },
	{ "open", "ENOSPC", ON_OPEN, HOW_ONCE, ENOSPC },
	{ "open", "EINTR", ON_OPEN, HOW_ONCE, EINTR },
	{ "open", "EMFILE-always", ON_OPEN, HOW_ALWAYS, EMFILE },
	{ "rename", "EIO", ON_RENAME, HOW_ONCE, EIO },
	{ "rename", "ENOSPC", ON_RENAME, HOW_ONCE, ENOSPC },
	{ "unlink", "EIO", ON_UNLINK, HOW_ONCE, EIO },
	{ "mkdir", "ENOSPC", ON_MKDIR, HOW_ONCE, ENOSPC },
	{ "truncate", "EIO", ON_TRUNCATE, HOW_ONCE, EIO },
	{ "stat", "EIO", ON_STAT, HOW_ONCE, EIO },
	{ "lock", "ENOLCK", ON_LOCK, HOW_ONCE, ENOLCK },
	{ "lock", "EINTR", ON_LOCK, HOW_ONCE, EINTR },
	{ "mmap", "ENOMEM", ON_MAP, HOW_ONCE, ENOMEM },
	{ "random", "EINTR", ON_RANDOM, HOW_ONCE, EINTR },
	{ "clone", "EAGAIN", ON_THREAD, HOW_ONCE, EAGAIN },
	{ "readdir", "EIO", ON_LIST, HOW_ONCE, EIO },
	{ "alloc", "ENOMEM", ON_ALLOC, HOW_ONCE, ENOMEM },
	{ "alloc", "ENOMEM-always", ON_ALLOC, HOW_ALWAYS, ENOMEM },
};
enum { VARIANTS = sizeof variants / sizeof *variants };

struct message {
	char id[CRASH_ID], digest[CRASH_HEX];
	char answered[WORK_STATE], asked[WORK_STATE];
	bool open; /* asked for and not answered */
	bool seen;
};

/* Between the processes of one run. */
static struct shared {
	struct interposed did;
	struct message messages[MESSAGES];
	size_t count;
	bool closed; /* the store, and everything is given back */
	int descriptors;
	char why[240], talk[TALK];
} * shared;

static struct {
	const char *directory, *sql;
	bool verbose;
} self;

__attribute__((format(printf, 1, 2))) static void problem(const char *fmt, ...)
{
	size_t n = strlen(shared->talk);
	va_list ap;

	va_start(ap, fmt);
	if (n + 2 < TALK) {
		if (n)
			shared->talk[n++] = '\n';
		vsnprintf(shared->talk + n, TALK - n, fmt, ap);
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
		if (shared->count == MESSAGES)
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
	if (self.verbose)
		fprintf(stderr, "    " STR_F "\n", STR_A(line));
}

_Noreturn static void fatal(void *arg, const struct err *why)
{
	snprintf(shared->why, sizeof shared->why, "fatal: %.200s", why->msg);
	_exit(FATAL);
}

static int open_store(void)
{
	const struct store_options o = {
		.segment_bytes = SEGMENT, .retention = -5, .fatal = fatal, .readers = 1
	};
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

	work_site.run = name;
	for (unsigned i = 0; i < rounds; i++) {
		work_deliver(&w);
		work_append(&w);
		if (i == 1)
			work_burst(&w);
		if (i == 2)
			checkpoint();
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

_Noreturn static void scenario(const char *path, const struct fault *f)
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
_Noreturn static void make_used(const char *path)
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
	int fd = open(self.sql, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	sqlite3_stmt *st;

	if (n < 0)
		problem("%s cannot be read", self.sql);
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
_Noreturn static void verify(const char *path)
{
	static char states[MESSAGES][WORK_STATE];
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

/* ---- directories ---- */

static void copy_file(int from, int to, const char *name)
{
	static char piece[1 << 16];
	int in = openat(from, name, O_RDONLY | O_CLOEXEC);
	int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ssize_t n;

	while ((n = read(in, piece, sizeof piece)) > 0)
		if (write(out, piece, (size_t)n) != n)
			n = -2;
	if (n < 0) {
		perror(name);
		exit(1);
	}
	close(in);
	close(out);
}

static int open_folder(int at, const char *name)
{
	return openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* Copy what is in `from`, which is closed, to `to`; without `to` remove it. */
static void walk(int from, int to)
{
	DIR *d = fdopendir(from);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		bool folder = e->d_type == DT_DIR;
		int inner = -1;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (folder && to >= 0) {
			mkdirat(to, e->d_name, 0700);
			inner = open_folder(to, e->d_name);
		}
		if (folder)
			walk(open_folder(from, e->d_name), inner);
		else if (to >= 0)
			copy_file(from, to, e->d_name);
		if (inner >= 0)
			close(inner);
		if (to < 0)
			unlinkat(from, e->d_name, folder ? AT_REMOVEDIR : 0);
	}
	closedir(d);
}

static void remove_folder(const char *path)
{
	walk(crash_directory(path), -1);
	rmdir(path);
}

static void copy_folder(const char *from, const char *path)
{
	int to;

	mkdir(path, 0700);
	to = crash_directory(path);
	walk(crash_directory(from), to);
	close(to);
}

/* ---- runs ---- */

/* Where a scenario begins, and what was promised until then. */
struct start {
	const char *name;
	char path[PATH];
	struct message messages[MESSAGES];
	size_t count;
	uint64_t calls[INTERPOSE_THREADS][FAMILIES];
	int64_t allocated; /* blocks that a run without faults leaves */
	int descriptors;
};
static struct start starts[] = { { .name = "new" }, { .name = "used" } };
enum { STARTS = sizeof starts / sizeof *starts };

struct place {
	const struct start *start;
	const struct variant *variant;
	unsigned thread;
	uint64_t k;
};

struct tally {
	uint64_t runs[VARIANTS], missed[VARIANTS], fatal[VARIANTS], refused[VARIANTS], bad;
};

static int end_of(pid_t child)
{
	int status = -1;

	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

static void print_place(const struct place *p)
{
	printf("%s:%s:%s:%u:%llu", p->start->name, p->variant->family_name, p->variant->name,
		p->thread, (unsigned long long)p->k);
}

/* How the scenario ended. */
static void check_end(const struct place *p, int status)
{
	bool by_plan = p->variant->how == HOW_KILL || p->variant->how == HOW_TORN;

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		problem("hangs");
	else if (WIFSIGNALED(status) && !(by_plan && WTERMSIG(status) == SIGKILL))
		problem("ended by signal %d", WTERMSIG(status));
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != FATAL)
		problem("ended with code %d", WEXITSTATUS(status));
	if (!shared->closed)
		return;
	if (shared->did.allocated > p->start->allocated)
		problem("%lld blocks of memory are not given back",
			(long long)(shared->did.allocated - p->start->allocated));
	if (shared->descriptors > p->start->descriptors)
		problem("%d descriptors are not given back",
			shared->descriptors - p->start->descriptors);
}

static int run_child(const char *path, const struct fault *f)
{
	pid_t child = fork();

	if (child == 0) {
		if (f)
			scenario(path, f);
		verify(path);
	}
	return end_of(child);
}

static void count_run(const struct place *p, int status, struct tally *t)
{
	size_t v = (size_t)(p->variant - variants);

	t->runs[v]++;
	if (shared->did.hits == 0)
		t->missed[v]++;
	else if (WIFEXITED(status) && WEXITSTATUS(status) == FATAL)
		t->fatal[v]++;
	else if (shared->why[0])
		t->refused[v]++;
}

static void run_place(const struct place *p, const char *path, struct tally *t)
{
	const struct fault f = { .family = p->variant->family,
		.how = p->variant->how,
		.number = p->variant->number,
		.thread = p->thread,
		.k = p->k };
	int status;

	memset(shared, 0, sizeof *shared);
	memcpy(shared->messages, p->start->messages, sizeof shared->messages);
	shared->count = p->start->count;
	copy_folder(p->start->path, path);
	status = run_child(path, &f);
	check_end(p, status);
	count_run(p, status, t);
	if (self.verbose)
		fprintf(stderr, "    ended with %x, %s\n", (unsigned)status, shared->why);
	status = run_child(path, NULL);
	if (status != 0)
		problem("the check ended with %x", (unsigned)status);
	if (shared->talk[0]) {
		t->bad++;
		printf("FAILED: ");
		print_place(p);
		printf(" (%s)\n%s\n", shared->why, shared->talk);
		fflush(stdout);
	}
	if (!self.verbose)
		remove_folder(path);
}

/* ---- which there are ---- */

/* Without faults: how many calls each thread makes, and what is left over. */
static void measure(struct start *s)
{
	static const struct fault none;
	char path[PATH];

	snprintf(path, sizeof path, "%s/measure", self.directory);
	for (int i = 0; i < 3; i++) {
		memset(shared, 0, sizeof *shared);
		memcpy(shared->messages, s->messages, sizeof s->messages);
		shared->count = s->count;
		copy_folder(s->path, path);
		if (run_child(path, &none) != 0 || shared->why[0] || shared->talk[0]) {
			printf("FAILED: without faults: %s %s\n", shared->why, shared->talk);
			exit(1);
		}
		remove_folder(path);
		for (unsigned t = 0; t < INTERPOSE_THREADS; t++)
			for (unsigned f = 0; f < FAMILIES; f++)
				if (shared->did.calls[t][f] > s->calls[t][f])
					s->calls[t][f] = shared->did.calls[t][f];
		if (i == 0 || shared->did.allocated > s->allocated)
			s->allocated = shared->did.allocated;
		s->descriptors = shared->descriptors;
	}
}

static void make_starts(void)
{
	struct start *used = &starts[1];
	pid_t child;

	for (unsigned i = 0; i < STARTS; i++) {
		snprintf(starts[i].path, sizeof starts[i].path, "%s/%s", self.directory,
			starts[i].name);
		mkdir(starts[i].path, 0700);
	}
	memset(shared, 0, sizeof *shared);
	child = fork();
	if (child == 0)
		make_used(used->path);
	if (end_of(child) != 0) {
		printf("FAILED: no store can be made: %s\n", shared->why);
		exit(1);
	}
	memcpy(used->messages, shared->messages, sizeof used->messages);
	used->count = shared->count;
	for (unsigned i = 0; i < STARTS; i++)
		measure(&starts[i]);
}

struct taking {
	bool steps; /* or faults */
	uint64_t count, all, offset, seen, taken;
	unsigned jobs, job;
};

static bool is_wanted(const struct taking *t, const struct variant *v)
{
	return t->steps == (v->how == HOW_KILL || v->how == HOW_TORN);
}

/* One of every all/count. */
static bool take(struct taking *t)
{
	uint64_t at = t->seen++ + t->offset;

	if (t->count < t->all && at * t->count / t->all == (at + 1) * t->count / t->all)
		return false;
	return t->taken++ % t->jobs == t->job;
}

static void each_place(struct taking *t,
	void (*fn)(const struct place *p, const char *path, struct tally *tally), const char *path,
	struct tally *tally)
{
	for (unsigned s = 0; s < STARTS; s++)
		for (unsigned v = 0; v < VARIANTS; v++) {
			const struct start *start = &starts[s];
			struct place p = { .start = start, .variant = &variants[v] };

			if (!is_wanted(t, p.variant))
				continue;
			for (p.thread = 0; p.thread < INTERPOSE_THREADS; p.thread++)
				for (p.k = 1; p.k <= start->calls[p.thread][p.variant->family];
					p.k++)
					if (take(t) && fn)
						fn(&p, path, tally);
		}
}

static void report(const struct taking *t, const struct tally *sum)
{
	uint64_t runs = 0;

	for (unsigned v = 0; v < VARIANTS; v++) {
		runs += sum->runs[v];
		if (sum->runs[v])
			printf("     %-9s %-14s %6llu: %llu refused something, %llu ended the "
			       "process, %llu not reached\n",
				variants[v].family_name, variants[v].name,
				(unsigned long long)sum->runs[v],
				(unsigned long long)sum->refused[v],
				(unsigned long long)sum->fatal[v],
				(unsigned long long)sum->missed[v]);
	}
	printf("     %llu of %llu places\n", (unsigned long long)runs, (unsigned long long)t->all);
	printf("%llu passed, %llu failed\n", (unsigned long long)(runs - sum->bad),
		(unsigned long long)sum->bad);
}

static void *share(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

static int run_all(struct taking t)
{
	struct tally *tallies = share(t.jobs * sizeof *tallies), sum = { 0 };
	char path[PATH];
	int bad = 0;

	each_place(&t, NULL, NULL, NULL);
	t.all = t.seen;
	t.offset %= t.all;
	for (t.job = 0; t.job < t.jobs; t.job++) {
		t.seen = t.taken = 0;
		fflush(stdout);
		if (fork() == 0) {
			shared = share(sizeof *shared);
			snprintf(path, sizeof path, "%s/job%u", self.directory, t.job);
			each_place(&t, run_place, path, &tallies[t.job]);
			exit(0);
		}
	}
	for (unsigned i = 0; i < t.jobs; i++)
		bad |= end_of(-1);
	for (unsigned i = 0; i < t.jobs; i++) {
		for (unsigned v = 0; v < VARIANTS; v++) {
			sum.runs[v] += tallies[i].runs[v];
			sum.missed[v] += tallies[i].missed[v];
			sum.fatal[v] += tallies[i].fatal[v];
			sum.refused[v] += tallies[i].refused[v];
		}
		sum.bad += tallies[i].bad;
	}
	report(&t, &sum);
	return bad || sum.bad;
}

/* A failure names its place. */
static int again(char *name)
{
	struct tally tally = { 0 };
	struct place p = { 0 };
	char start[20], family[20], variant[20], path[PATH];
	unsigned long long k;

	if (sscanf(name, "%19[^:]:%19[^:]:%19[^:]:%u:%llu", start, family, variant, &p.thread,
		    &k) != 5)
		return 64;
	p.k = k;
	for (unsigned i = 0; i < STARTS; i++)
		if (strcmp(starts[i].name, start) == 0)
			p.start = &starts[i];
	for (unsigned i = 0; i < VARIANTS; i++)
		if (strcmp(variants[i].family_name, family) == 0 &&
			strcmp(variants[i].name, variant) == 0)
			p.variant = &variants[i];
	if (!p.start || !p.variant)
		return 64;
	self.verbose = true;
	snprintf(path, sizeof path, "%s/again", self.directory);
	run_place(&p, path, &tally);
	return tally.bad != 0;
}

/* What libraries set up once must not be set up in a child. */
static void warm_up(void)
{
	char hex[CRASH_HEX];
	struct db *db = NULL;
	struct err err = ERR_INIT;

	crash_digest(STR("x"), hex);
	db_open(&db, "sqlite::memory:", DB_WRITE, &err);
	db_close(&db);
}

int main(int argc, char **argv)
{
	struct taking t = { .jobs = 2 };

	if (argc != 5 && argc != 7) {
		fprintf(stderr,
			"usage: faults DIR SQL steps|faults COUNT SEED JOBS\n"
			"       faults DIR SQL again PLACE\n");
		return 64;
	}
	self.directory = argv[1];
	self.sql = argv[2];
	shared = share(sizeof *shared);
	warm_up();
	make_starts();
	if (argc == 5)
		return again(argv[4]);
	t.steps = strcmp(argv[3], "steps") == 0;
	t.count = strtoull(argv[4], NULL, 10);
	t.offset = strtoull(argv[5], NULL, 10);
	t.jobs = (unsigned)strtoul(argv[6], NULL, 10);
	return run_all(t);
}
