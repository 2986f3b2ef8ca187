/* store_bench.h - what the measurements of the store share. */
#ifndef BENCH_STORE_BENCH_H
#define BENCH_STORE_BENCH_H

#include "store/delivery.h"
#include "store/store_private.h"

enum { BENCH_TARGETS = 1000, BENCH_SHAPES = 64 };

/* One store in a folder of its own. */
struct bench {
	struct store *s;
	int dir;
	char path[200];
	uint64_t target[BENCH_TARGETS]; /* where mail goes in turn */
	uint64_t id;                    /* of the last message */
	uint64_t domains; /* mail for elsewhere goes to so many; 0: all of it is for here */
};

_Noreturn void bench_die(const struct err *err);
int64_t bench_cpu_of(pthread_t thread);
double bench_argument(int argc, char **argv, const char *name, double standard);

void bench_open(struct bench *b, const char *path);
void bench_close(struct bench *b);
/* Accounts named PREFIX0, ... become the targets. */
void bench_accounts(struct bench *b, const char *prefix, unsigned n);
/* Keep `batch` deliveries of about `size` bytes in hand until `messages` are done. */
void bench_deliver(struct bench *b, uint64_t messages, unsigned batch, size_t size);
/* One writing job, to its end; how long it took on the writer's thread, in ns of CPU. */
int64_t bench_job(
	struct bench *b, int (*run)(struct txn *t, struct store_job *job, struct err *err));

/* KiB of this process, by a name of /proc/self/status. */
unsigned long bench_memory(const char *name);

/* store_bench_queue.c */
void bench_queue(struct bench *b, int argc, char **argv);
void bench_purge(struct bench *b, int argc, char **argv);
/* store_bench_large.c */
void bench_folder(struct bench *b, int argc, char **argv);
void bench_slow(struct bench *b, int argc, char **argv);

#endif
