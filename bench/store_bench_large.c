/* A folder with very many messages, and somebody who reads slowly while mail comes. */
#include "base/clock.h"
#include "bench/store_bench.h"
#include "store/entry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PAGE_BYTES = 60000 }; /* of an answer, as the role has it */

/* ---- a folder ---- */

struct page {
	size_t bytes, messages;
	uint32_t next;
	bool more;
};

static bool add_row(void *arg, const struct entry *e)
{
	struct page *p = arg;
	const size_t n = 64 + e->keywords.n + e->facts.n;

	p->more = p->bytes + n > PAGE_BYTES;
	if (p->more)
		return false;
	p->bytes += n;
	p->messages++;
	p->next = e->uid + 1;
	return true;
}

/* Page after page, each in a transaction of its own as each job is. */
static void list_all(struct view *v, bool facts, const char *name)
{
	struct entry_query q = { .account = 1, .mailbox = 1, .facts = facts };
	int64_t cpu = bench_cpu_of(pthread_self()), longest = 0, before;
	struct page p = { .more = true };
	struct err err = ERR_INIT;
	size_t messages = 0;

	while (p.more) {
		q.from = p.next;
		p = (struct page){ .next = p.next };
		before = clock_mono();
		if (db_begin(v->db, &err) < 0 || entry_list(v, &q, add_row, &p, &err) < 0)
			bench_die(&err);
		db_rollback(v->db);
		before = clock_mono() - before;
		longest = before > longest ? before : longest;
		messages += p.messages;
	}
	printf("%s_messages %zu\n%s_us %.2f\n%s_longest_ms %.2f\n", name, messages, name,
		(double)(bench_cpu_of(pthread_self()) - cpu) / 1e3 / (double)messages, name,
		(double)longest / 1e6);
}

static void list_uids(struct view *v)
{
	int64_t cpu = bench_cpu_of(pthread_self());
	struct range_list l = RANGE_LIST;
	struct err err = ERR_INIT;
	bool more;

	if (db_begin(v->db, &err) < 0 || entry_uids(v, 1, 1, 0, &l, &more, &err) < 0)
		bench_die(&err);
	db_rollback(v->db);
	range_list_free(&l);
	printf("uids_ms %.2f\n", (double)(bench_cpu_of(pthread_self()) - cpu) / 1e6);
}

void bench_folder(struct bench *b, int argc, char **argv)
{
	struct err err = ERR_INIT;
	struct view v;

	bench_accounts(b, "user", 1);
	bench_deliver(b, (uint64_t)bench_argument(argc, argv, "messages", 1000000), 256, 1000);
	bench_accounts(b, "other", 1); /* a job that is not lazy: the index has all of it */
	if (view_open(b->s, &v, &err) < 0)
		bench_die(&err);
	printf("before_kib %lu\n", bench_memory("RssAnon:"));
	list_uids(&v);
	list_all(&v, false, "flags");
	list_all(&v, true, "facts");
	printf("after_kib %lu\n", bench_memory("RssAnon:"));
	view_close(&v);
}

/* ---- a slow reader ---- */

struct slow {
	const struct bench *b;
	pthread_t thread;
	atomic_bool stop;
	int64_t stay; /* in one moment */
	off_t largest;
	unsigned moments;
};

static void watch(struct slow *r, int64_t until)
{
	const struct timespec rest = { .tv_nsec = 5 * CLOCK_MSEC };
	struct stat st;

	do {
		if (fstatat(r->b->dir, "index.db-wal", &st, 0) == 0 && st.st_size > r->largest)
			r->largest = st.st_size;
		nanosleep(&rest, NULL);
	} while (clock_mono() < until && !atomic_load(&r->stop));
}

/* Not of this process's readers: nobody can interrupt it. */
static void *read_slowly(void *arg)
{
	struct slow *r = arg;
	struct err err = ERR_INIT;
	char url[300];
	struct db *db;
	int64_t n;

	snprintf(url, sizeof url, "sqlite:%s/index.db", r->b->path);
	if (db_open(&db, url, DB_READ, &err) < 0)
		bench_die(&err);
	for (; !atomic_load(&r->stop); r->moments++) {
		if (db_begin(db, &err) < 0 ||
			db_int(db, &n, "SELECT count(*) FROM account", DB_NOARGS, &err) < 0)
			bench_die(&err);
		watch(r, clock_after(r->stay));
		db_rollback(db);
	}
	db_close(&db);
	return NULL;
}

void bench_slow(struct bench *b, int argc, char **argv)
{
	struct slow r = { .b = b,
		.stay = (int64_t)bench_argument(argc, argv, "stay_ms", 1500) * CLOCK_MSEC };

	bench_accounts(b, "user", 100);
	bench_deliver(b, 1000, 32, 10240);
	pthread_create(&r.thread, NULL, read_slowly, &r);
	bench_deliver(b, (uint64_t)bench_argument(argc, argv, "messages", 100000), 32, 10240);
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	printf("moments %u\nwal_mib %.1f\n", r.moments, (double)r.largest / (1 << 20));
}
