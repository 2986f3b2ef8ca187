/* drive.c - work for a store that is being recorded: threads that deliver, append, flag, move,
 * expunge, queue and send on (work.c), and say in the recording what was promised and when.
 *
 *	drive DIR RECORDING RUN SEED JOBS KILL [ID...]
 *
 * KILL is not 0: the program kills itself after that many answers, and another one can go on with
 * the same directory; it hands over once more the deliveries ID that were not answered. (The seed
 * has to be the same, as the messages are made from it.)
 */
#include "db/sqlite.h"
#include "record.h"
#include "store/compact.h"
#include "store/snapshot.h"
#include "work.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { THREADS = 6 };

static struct {
	int marks;
	struct db *index; /* thread 0's, for checkpoints */
	unsigned jobs;
	uint64_t kill_after;
	_Atomic uint64_t answers;
} self;

static void put_mark(const char *line)
{
	struct record_head h = { RECORD_MAGIC, RECORD_MARK, 0, 0, 0, strlen(line) };
	struct iovec v[2] = { { &h, sizeof h }, { (void *)(uintptr_t)line, h.length } };

	if (self.marks >= 0 && writev(self.marks, v, 2) != (ssize_t)(sizeof h + h.length))
		abort();
}

static void ask(const struct worker *w, const char *state)
{
	char line[WORK_STATE + 300];

	snprintf(line, sizeof line, "{\"id\":\"%s\",\"digest\":\"%s\",\"ask\":\"%s\"}", w->id,
		w->digest, state);
	put_mark(line);
}

static void answered(const struct worker *w, int r, const char *what, const struct err *err)
{
	char line[CRASH_ID + 40];

	if (r < 0)
		crash_die(what, err);
	snprintf(line, sizeof line, "{\"id\":\"%s\",\"answered\":1}", w->id);
	put_mark(line);
	if (atomic_fetch_add(&self.answers, 1) + 1 == self.kill_after)
		raise(SIGKILL);
}

static size_t draw_size(struct worker *w)
{
	uint64_t at = work_draw(w, 100);

	if (w->passing)
		return 100000 + work_draw(w, 100000);
	if (at < 70)
		return 200 + work_draw(w, 6000);
	if (at < 90)
		return 6000 + work_draw(w, 60000);
	if (at < 96)
		return 60000 + work_draw(w, 150000);
	return (256 << 10) + 1 + work_draw(w, WORK_LARGEST - (256 << 10));
}

/* The store's own checkpoints are too far apart for a short recording. */
static void checkpoint(void)
{
	struct err err = ERR_INIT;
	uint32_t left;

	if (db_sqlite_checkpoint(self.index, DB_PASSIVE, &left, &err) < 0 && err.kind != ERR_TEMP)
		crash_die("checkpoint", &err);
}

static void snapshot(void)
{
	struct err err = ERR_INIT;
	struct snapshot made;
	char line[80];

	if (store_snapshot(work_site.store, &made, &err) == 0) {
		snprintf(line, sizeof line, "{\"snapshot\":%llu}",
			(unsigned long long)made.sequence);
		put_mark(line);
	} else if (err.kind != ERR_TEMP) {
		crash_die("snapshot", &err);
	}
}

static void compact(void)
{
	struct err err = ERR_INIT;
	struct compact_report done;

	if (store_compact(work_site.store, &done, &err) < 0 && err.kind != ERR_TEMP)
		crash_die("compact", &err);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < self.jobs; i++) {
		if (w->number == 0 && i % 10 == 5)
			checkpoint();
		if (w->number == 1 && i % 20 == 15)
			snapshot();
		if (w->number == 2 && i % 12 == 11)
			compact();
		w->passing = w->number == 3;
		if (!w->passing && (i + w->number) % 4)
			work_deliver(w);
		else
			work_append(w);
	}
	work_end(w);
	return NULL;
}

static void open_all(const char *dir, const char *recording)
{
	/* What is expunged may be purged and compacted at once. */
	const struct store_options o = {
		.segment_bytes = CRASH_SEGMENT, .thread_keys = 20, .retention = -5
	};
	struct err err = ERR_INIT;
	char url[80];

	work_site.dir = crash_directory(dir);
	work_site.inline_max = 256 << 10;
	work_site.size = draw_size;
	work_site.ask = ask;
	work_site.outcome = answered;
	self.marks = open(recording, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (self.marks < 0)
		perror(recording);
	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", work_site.dir);
	if (store_open(work_site.dir, &o, &work_site.store, &err) < 0 || work_begin(&err) < 0 ||
		db_open(&self.index, url, DB_WRITE, &err) < 0)
		crash_die("open", &err);
	put_mark("{\"ready\":1}");
}

static struct worker new_worker(unsigned number)
{
	return (struct worker){ .number = number, .body = BUF(WORK_LARGEST + 4096) };
}

/* RUN-THREAD-MESSAGEd, of the run before. */
static void hand_over_again(const char *const *ids, int count)
{
	const char *run = work_site.run;
	struct worker w = new_worker(0);
	char before[CRASH_ID];
	unsigned message;

	for (int i = 0; i < count; i++) {
		if (sscanf(ids[i], "%63[^-]-%u-%ud", before, &w.number, &message) != 3)
			abort();
		work_site.run = before;
		work_deliver_again(&w, message);
	}
	work_site.run = run;
	work_end(&w);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	pthread_t threads[THREADS];

	if (argc < 7) {
		fprintf(stderr, "usage: drive DIR RECORDING RUN SEED JOBS KILL [ID...]\n");
		return 64;
	}
	work_site.run = argv[3];
	work_site.seed = strtoull(argv[4], NULL, 10);
	self.jobs = (unsigned)strtoul(argv[5], NULL, 10);
	self.kill_after = strtoull(argv[6], NULL, 10);
	open_all(argv[1], argv[2]);
	hand_over_again((const char *const *)argv + 7, argc - 7);
	for (unsigned i = 0; i < THREADS; i++) {
		workers[i] = new_worker(i);
		if (pthread_create(&threads[i], NULL, work, &workers[i]) != 0)
			abort();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	db_close(&self.index);
	store_close(&work_site.store);
	return 0;
}
