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
#include "scenario.h"

#include "db/db.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATH = 300 };

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

static const char *directory;

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
	struct message messages[SCENARIO_MESSAGES];
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
	else if (WIFEXITED(status) && WEXITSTATUS(status) != 0 &&
		WEXITSTATUS(status) != SCENARIO_FATAL)
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
			scenario_run(path, f);
		scenario_verify(path);
	}
	return end_of(child);
}

static void count_run(const struct place *p, int status, struct tally *t)
{
	size_t v = (size_t)(p->variant - variants);

	t->runs[v]++;
	if (shared->did.hits == 0)
		t->missed[v]++;
	else if (WIFEXITED(status) && WEXITSTATUS(status) == SCENARIO_FATAL)
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
	if (scenario_verbose)
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
	if (!scenario_verbose)
		remove_folder(path);
}

/* ---- which there are ---- */

/* Without faults: how many calls each thread makes, and what is left over. */
static void measure(struct start *s)
{
	static const struct fault none;
	char path[PATH];

	snprintf(path, sizeof path, "%s/measure", directory);
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
		snprintf(starts[i].path, sizeof starts[i].path, "%s/%s", directory, starts[i].name);
		mkdir(starts[i].path, 0700);
	}
	memset(shared, 0, sizeof *shared);
	child = fork();
	if (child == 0)
		scenario_make_used(used->path);
	if (end_of(child) != 0) {
		printf("FAILED: no store can be made: %s\n", shared->why);
		exit(1);
	}
	memcpy(used->messages, shared->messages, sizeof used->messages);
	used->count = shared->count;
	for (unsigned i = 0; i < STARTS; i++)
		measure(&starts[i]);
}

enum class { STEPS, CALLS, ALLOCATIONS };

struct taking {
	enum class class;
	uint64_t count, all, offset, seen, taken;
	unsigned jobs, job;
};

static enum class class_of(const struct variant *v) {
	if (v->how == HOW_KILL || v->how == HOW_TORN) return STEPS;
	return v->family == ON_ALLOC ? ALLOCATIONS : CALLS;
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

			if (class_of(p.variant) != t->class)
				continue;
			for (p.thread = 0; p.thread < INTERPOSE_THREADS; p.thread++)
				for (p.k = 1; p.k <= start->calls[p.thread][p.variant->family];
					p.k++)
					if (take(t) && fn)
						fn(&p, path, tally);
		}
}

static void report(const struct tally *sum, uint64_t all)
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
	printf("     %llu of %llu places\n", (unsigned long long)runs, (unsigned long long)all);
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

static void add_up(struct tally *sum, const struct tally *t)
{
	for (unsigned v = 0; v < VARIANTS; v++) {
		sum->runs[v] += t->runs[v];
		sum->missed[v] += t->missed[v];
		sum->fatal[v] += t->fatal[v];
		sum->refused[v] += t->refused[v];
	}
	sum->bad += t->bad;
}

/* Run `count` places of a class in several processes. Gives how many there are. */
static uint64_t run_class(
	enum class class, uint64_t count, uint64_t seed, unsigned jobs, struct tally *sum)
{
	struct taking t = { .class = class, .count = count, .jobs = jobs };
	struct tally *tallies = share(jobs * sizeof *tallies);
	char path[PATH];

	each_place(&t, NULL, NULL, NULL);
	t.all = t.seen;
	t.offset = seed % t.all;
	for (t.job = 0; t.job < jobs; t.job++) {
		t.seen = t.taken = 0;
		fflush(stdout);
		if (fork() == 0) {
			shared = share(sizeof *shared);
			snprintf(path, sizeof path, "%s/job%u", directory, t.job);
			each_place(&t, run_place, path, &tallies[t.job]);
			exit(0);
		}
	}
	for (unsigned i = 0; i < jobs; i++)
		sum->bad += end_of(-1) != 0;
	for (unsigned i = 0; i < jobs; i++)
		add_up(sum, &tallies[i]);
	return t.all;
}

/* Of faults the larger part are system calls, as long as there are so many. */
static int run_all(bool steps, uint64_t count, uint64_t seed, unsigned jobs)
{
	struct tally sum = { 0 };
	uint64_t all, most = count / 5 * 3;

	if (steps) {
		all = run_class(STEPS, count, seed, jobs, &sum);
	} else {
		all = run_class(CALLS, most, seed, jobs, &sum);
		all += run_class(ALLOCATIONS, count - (all < most ? all : most), seed, jobs, &sum);
	}
	report(&sum, all);
	return sum.bad != 0;
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
	scenario_verbose = true;
	snprintf(path, sizeof path, "%s/again", directory);
	run_place(&p, path, &tally);
	printf("%d passed, %d failed\n", tally.bad == 0, tally.bad != 0);
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
	if (argc != 5 && argc != 7) {
		fprintf(stderr,
			"usage: faults DIR SQL steps|faults COUNT SEED JOBS\n"
			"       faults DIR SQL again PLACE\n");
		return 64;
	}
	directory = argv[1];
	scenario_rules = argv[2];
	shared = share(sizeof *shared);
	warm_up();
	make_starts();
	if (argc == 5)
		return again(argv[4]);
	return run_all(strcmp(argv[3], "steps") == 0, strtoull(argv[4], NULL, 10),
		strtoull(argv[5], NULL, 10), (unsigned)strtoul(argv[6], NULL, 10));
}
