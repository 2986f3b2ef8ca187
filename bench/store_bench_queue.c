/* The queue, and mail that goes, at scale. */
#include "base/clock.h"
#include "bench/store_bench.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/queue.h"

#include <stdio.h>
#include <string.h>

enum { LEASES = 64, HOLDER = 7 };

unsigned long bench_memory(const char *name)
{
	FILE *f = fopen("/proc/self/status", "re");
	unsigned long kib = 0;
	char line[200];

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			sscanf(line + strlen(name), " %lu", &kib);
	if (f)
		fclose(f);
	return kib;
}

static struct {
	uint64_t id[LEASES], rcpt[LEASES][QUEUE_LEASE_RCPTS];
	size_t n, rcpts[LEASES];
} given;

static int take_leases(struct txn *t, struct store_job *job, struct err *err)
{
	const struct queue_lease_query q = { .holder = HOLDER, .max = LEASES, .room = 60000 };
	struct arena arena = ARENA(16 << 20);
	struct queue_lease *l;
	int64_t next;
	int r = queue_lease(t, &q, &arena, &l, &next, err);

	(void)job;
	for (given.n = 0; r == 0 && l; l = l->next, given.n++) {
		given.id[given.n] = l->id;
		given.rcpts[given.n] = l->rcpt_count;
		for (size_t i = 0; i < l->rcpt_count; i++)
			given.rcpt[given.n][i] = l->rcpts[i].id;
	}
	arena_free(&arena);
	return r;
}

/* Half is delivered, half put off. */
static int give_results(struct txn *t, struct store_job *job, struct err *err)
{
	static struct queue_result results[QUEUE_LEASE_RCPTS];
	struct queue_report none = { 0 };

	(void)job;
	for (size_t i = 0; i < given.n; i++) {
		for (size_t k = 0; k < given.rcpts[i]; k++)
			results[k] = (struct queue_result){ .rcpt = given.rcpt[i][k],
				.state = i % 2 ? STORE_DELIVERED : STORE_DEFERRED,
				.retry_after = 900,
				.code = 250,
				.status = STR("2.0.0"),
				.text = STR("ok, queued as 1234567890"),
				.remote = STR("mx.example.com[192.0.2.7]") };
		if (queue_results(t, HOLDER, given.id[i], results, given.rcpts[i], &none, err) < 0)
			return -1;
		queue_lease_ended(t->leases, given.id[i]);
	}
	return 0;
}

/* One after the other, as couriers do, with the longest job of each kind. */
static void work(struct bench *b, unsigned rounds)
{
	int64_t lease = 0, result = 0, longest = 0, longest_result = 0, took;
	size_t n = 0;

	for (unsigned i = 0; i < rounds; i++) {
		took = bench_job(b, take_leases);
		lease += took;
		longest = took > longest ? took : longest;
		if (given.n == 0)
			break;
		n += given.n;
		took = bench_job(b, give_results);
		result += took;
		longest_result = took > longest_result ? took : longest_result;
	}
	if (n)
		printf("lease_us %.2f\nlease_longest_ms %.2f\nresult_us %.2f\nresult_longest_ms "
		       "%.2f\nleases %zu\n",
			(double)lease / 1e3 / (double)n, (double)longest / 1e6,
			(double)result / 1e3 / (double)n, (double)longest_result / 1e6, n);
}

static int nothing(struct txn *t, struct store_job *job, struct err *err)
{
	(void)t, (void)job, (void)err;
	return 0;
}

void bench_queue(struct bench *b, int argc, char **argv)
{
	uint64_t messages = (uint64_t)bench_argument(argc, argv, "messages", 1000000);
	int64_t begin, cpu = bench_cpu_of(b->s->writer);
	char path[200];

	b->domains = (uint64_t)bench_argument(argc, argv, "domains", 1);
	bench_deliver(b, messages, 256, 1000);
	printf("queue_us %.2f\n",
		(double)(bench_cpu_of(b->s->writer) - cpu) / 1e3 / (double)messages);
	printf("before_restart_kib %lu\n", bench_memory("RssAnon:"));
	snprintf(path, sizeof path, "%s", b->path);
	bench_close(b);
	begin = clock_mono();
	bench_open(b, path);
	bench_job(b, nothing);
	printf("accepting_ms %.1f\n", (double)(clock_mono() - begin) / 1e6);
	bench_job(b, take_leases);
	printf("leased_ms %.1f\nrestarted_kib %lu\n", (double)(clock_mono() - begin) / 1e6,
		bench_memory("RssAnon:"));
	bench_job(b, give_results);
	work(b, (unsigned)bench_argument(argc, argv, "rounds", 300));
	printf("after_kib %lu\n", bench_memory("RssAnon:"));
}

/* ---- mail that goes ---- */

static uint64_t account = 1, inbox = 1;
static size_t gone;

static int expunge(struct txn *t, struct store_job *job, struct err *err)
{
	struct range_list out = RANGE_LIST;
	uint64_t modseq;
	int r = entry_expunge(t, account, inbox, STR(""), true, &out, &modseq, err);

	(void)job;
	gone = out.n;
	range_list_free(&out);
	return r;
}

static int remove_account(struct txn *t, struct store_job *job, struct err *err)
{
	uint64_t removed;

	(void)job;
	return directory_account_remove(t, STR("user0@example.org"), &removed, err);
}

static int purge_step(struct txn *t, struct store_job *job, struct err *err)
{
	size_t before = t->effects.n;
	int r;

	/* As if the time had passed. */
	t->now += STORE_RETENTION + 1;
	t->apply.next->calls_turned = t->now;
	r = housekeeping_run(t, job, err);
	gone = t->effects.n - before;
	return r;
}

static void purge_all(struct bench *b)
{
	int64_t longest = 0, sum = 0, took;
	unsigned steps = 0;

	do {
		took = bench_job(b, purge_step);
		longest = took > longest ? took : longest;
		sum += took;
		steps++;
	} while (gone);
	printf("purge_steps %u\npurge_ms %.1f\npurge_longest_ms %.2f\n", steps, (double)sum / 1e6,
		(double)longest / 1e6);
}

void bench_purge(struct bench *b, int argc, char **argv)
{
	uint64_t messages = (uint64_t)bench_argument(argc, argv, "messages", 100000);
	int64_t longest = 0, sum = 0, took;
	unsigned calls = 0;

	b->s->housekeeping = clock_mono() + 86400 * CLOCK_SEC;
	bench_accounts(b, "user", 1);
	bench_deliver(b, messages, 256, 1000);
	do {
		took = bench_job(b, expunge);
		longest = took > longest ? took : longest;
		sum += took;
		calls++;
	} while (gone);
	printf("expunge_calls %u\nexpunge_ms %.1f\nexpunge_longest_ms %.2f\n", calls - 1,
		(double)sum / 1e6, (double)longest / 1e6);
	bench_deliver(b, messages, 256, 1000);
	printf("remove_ms %.2f\n", (double)bench_job(b, remove_account) / 1e6);
	purge_all(b);
	printf("rss_kib %lu\n", bench_memory("RssAnon:"));
}
