/* shared_test.h - two nodes on one PostgreSQL database, and what each of them hears. */
#ifndef STORE_SHARED_TEST_H
#define STORE_SHARED_TEST_H

#include "store/queue.h"
#include "store/shared.h"
#include "store/store_help_test.h"

static struct postgres server;

/* --- what a node hears, and how it ends --- */

struct ears {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct change last;
	bool queue, lost, account, died;
};

static inline void hear(void *arg, const struct changes *c)
{
	struct ears *e = arg;

	pthread_mutex_lock(&e->lock);
	if (c->n)
		e->last = c->v[c->n - 1];
	for (size_t i = 0; i < c->n; i++)
		e->account |= c->v[i].mailbox == 0;
	e->queue |= c->queue;
	e->lost |= c->lost;
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
}

static inline void die(void *arg, const struct err *why)
{
	struct ears *e = arg;

	(void)why;
	pthread_mutex_lock(&e->lock);
	e->died = true;
	pthread_cond_broadcast(&e->cond);
	pthread_mutex_unlock(&e->lock);
}

static inline void wait_for(struct ears *e, const bool *what)
{
	pthread_mutex_lock(&e->lock);
	while (!*what)
		pthread_cond_wait(&e->cond, &e->lock);
	pthread_mutex_unlock(&e->lock);
}

#define EARS                                                                                       \
	{                                                                                          \
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                \
	}

/* --- two of them --- */

struct nodes {
	struct test_place *a, *b;
	struct store *one, *two;
	struct ears ears_one, ears_two;
};

static inline struct store *open_node(const char *url, int dir, struct ears *e)
{
	const struct store_options o = { .url = url, .changed = hear, .fatal = die, .arg = e };
	struct err err = ERR_INIT;
	struct store *s = NULL;

	if (store_open(dir, &o, &s, &err) < 0)
		fail_msg("open: %s", err.msg);
	return s;
}

static inline struct nodes *open_two(void **state)
{
	static struct nodes n;
	void *second = NULL;

	n = (struct nodes){ .ears_one = EARS, .ears_two = EARS };
	n.a = *state;
	n.one = open_node(server.url, n.a->fd, &n.ears_one);
	test_url = NULL; /* only another folder */
	assert_int_equal(test_setup(&second), 0);
	test_url = server.url;
	n.b = second;
	n.two = open_node(server.url, n.b->fd, &n.ears_two);
	return &n;
}

static inline void close_two(struct nodes *n)
{
	void *second = n->b;

	store_close(&n->one);
	store_close(&n->two);
	test_teardown(&second);
}

static inline int64_t number(const char *sql)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t out = -1;

	if (db_open(&db, server.url, DB_WRITE, &err) < 0 ||
		db_int(db, &out, sql, DB_NOARGS, &err) < 0)
		fail_msg("%s", err.msg);
	db_close(&db);
	return out;
}

/* With a server of their own. */
#define run_shared(tests) run_shared_((tests), sizeof(tests) / sizeof *(tests))

static inline int run_shared_(const struct CMUnitTest *tests, size_t n)
{
	int failed = 1;

	log_capture(test_quiet, NULL);
	if (!postgres_find(&server)) {
		print_message("PostgreSQL is not installed: nothing was tried\n");
		return 0;
	}
	if (postgres_start(&server) < 0) {
		print_error("PostgreSQL does not start\n");
	} else {
		test_url = server.url;
		failed = _cmocka_run_group_tests("shared", tests, n, NULL, NULL);
	}
	postgres_stop(&server);
	return failed;
}

#endif
