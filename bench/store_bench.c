/* store_bench - what one delivery costs the store, without network and without fronts.
 *
 * usage: store_bench [DIR [MESSAGES [BATCH [SIZE [ACCOUNTS]]]]]
 *
 * Keeps BATCH deliveries of SIZE bytes in hand at any time, to ACCOUNTS mailboxes in turn, and
 * prints messages a second, CPU per message of the writer's thread and of the whole process. DIR
 * must be empty; without one a folder under /tmp is made and removed.
 */
#include "base/clock.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/store_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MAX = 512 };

struct one {
	struct store_job job; /* first */
	uint64_t id;
	char to[64];
};

static char *text;
static size_t size = 10240;
static uint64_t target[1000];

static int64_t cpu_of(pthread_t thread)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) == 0)
		clock_gettime(clock, &t);
	return t.tv_sec * CLOCK_SEC + t.tv_nsec;
}

static int64_t cpu_of_all(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * CLOCK_SEC + t.tv_nsec;
}

static void die(const struct err *err)
{
	fprintf(stderr, "store_bench: %s\n", err->msg);
	exit(1);
}

static int deliver(struct txn *t, struct store_job *job, struct err *err)
{
	static const char facts[1200] = "facts";
	const struct one *o = (const struct one *)job;
	const uint64_t refs[2] = { o->id * 0x9e3779b97f4a7c15u, 0 };
	const struct delivery_rcpt rcpt = { .target = target[o->id % 1000],
		.address = str_c(o->to) };
	const struct delivery d = { .id = o->id,
		.any_sender = true,
		.sender = STR("sender@example.net"),
		.prefix = STR("Received: from bench.example.net (bench.example.net [192.0.2.1])\r\n"
			      "\tby mail.example.org with ESMTPS id 0123456789abc;\r\n"
			      "\tMon, 23 Nov 2026 00:00:00 +0000\r\n"),
		.how = STR("bench.example.net[192.0.2.1] ESMTPS"),
		.body = { .size = size,
			.facts = str_make(facts, sizeof facts),
			.refs = str_make(refs, sizeof refs) },
		.rcpts = &rcpt,
		.rcpt_count = 1 };
	uint32_t local, queued;

	if (delivery_accept(t, &d, &local, &queued, err) < 0)
		return -1;
	buf_addf(&job->answer, "%08u", local);
	return 0;
}

static int add_accounts(struct txn *t, struct store_job *job, struct err *err)
{
	struct directory_rcpt found;
	unsigned n = (unsigned)job->owner;
	uint64_t account;
	char login[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(login, sizeof login, "user%u@example.org", i);
		if (directory_account_add(t, str_c(login), STR("User"), &account, err) < 0 ||
			directory_rcpt(&t->view, str_c(login), false, 0, &found, err) < 0)
			return -1;
		for (unsigned k = i; k < 1000; k += n)
			target[k] = found.target;
	}
	return 0;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static bool ready;

static void woken(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	ready = true;
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
}

static struct store_job *wait_finished(struct store *s)
{
	struct store_job *jobs;

	pthread_mutex_lock(&lock);
	while (!ready)
		pthread_cond_wait(&some, &lock);
	ready = false;
	pthread_mutex_unlock(&lock);
	jobs = store_finished(s);
	return jobs;
}

static void submit(struct store *s, struct one *o, uint64_t id)
{
	o->job.write = deliver;
	o->job.lazy = true; /* as the store role does */
	o->job.body = str_make(text, size);
	o->job.answer.max = 64;
	o->id = o->job.call = id;
	snprintf(o->to, sizeof o->to, "user@example.org");
	store_submit(s, &o->job);
}

static void run(struct store *s, uint64_t messages, unsigned batch)
{
	static struct one all[BATCH_MAX];
	uint64_t sent = 0, done = 0;

	while (sent < batch)
		submit(s, &all[sent], sent + 1), sent++;
	while (done < messages) {
		for (struct store_job *j = wait_finished(s); j;) {
			struct store_job *next = j->next;

			if (j->result < 0)
				die(&j->err);
			done++;
			if (sent < messages)
				submit(s, (struct one *)j, ++sent);
			j = next;
		}
	}
}

static void report(struct store *s, uint64_t messages, int64_t wall, int64_t writer, int64_t all)
{
	struct store_figures f;

	store_figures(s, &f);
	printf("%.0f messages/s, writer %.1f us CPU each, process %.1f us, %.1f messages a flush\n",
		(double)messages * 1e9 / (double)wall, (double)writer / 1e3 / (double)messages,
		(double)all / 1e3 / (double)messages, (double)f.commits / (double)f.batches);
}

int main(int argc, char **argv)
{
	char tmp[] = "/tmp/eilpost-bench-XXXXXX", command[100];
	const char *path = argc > 1 && *argv[1] ? argv[1] : mkdtemp(tmp);
	uint64_t messages = argc > 2 ? strtoull(argv[2], NULL, 10) : 50000;
	unsigned batch = argc > 3 ? (unsigned)atoi(argv[3]) : 32;
	const struct store_options o = { .woken = woken };
	struct store_job accounts = { .write = add_accounts,
		.owner = argc > 5 ? strtoull(argv[5], NULL, 10) : 100 };
	int64_t wall, writer, all;
	struct err err = ERR_INIT;
	struct store *s;
	int dir = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (argc > 4)
		size = strtoull(argv[4], NULL, 10);
	text = malloc(size);
	if (dir < 0 || !text || batch == 0 || batch > BATCH_MAX || accounts.owner > 1000) {
		fprintf(stderr,
			"usage: store_bench [DIR [MESSAGES [BATCH(1-512) [SIZE [ACCOUNTS]]]]]\n");
		return 64;
	}
	memset(text, 'x', size);
	if (store_open(dir, &o, &s, &err) < 0)
		die(&err);
	store_submit(s, &accounts);
	if (wait_finished(s)->result < 0)
		die(&accounts.err);
	wall = clock_mono();
	writer = cpu_of(s->writer);
	all = cpu_of_all();
	run(s, messages, batch);
	report(s, messages, clock_mono() - wall, cpu_of(s->writer) - writer, cpu_of_all() - all);
	store_close(&s);
	if (path == tmp) {
		snprintf(command, sizeof command, "rm -rf %s", tmp);
		return system(command) == 0 ? 0 : 1;
	}
	return 0;
}
