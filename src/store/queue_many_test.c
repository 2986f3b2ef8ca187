/* A queue that is larger than what is kept of it in memory. */
#include "store/queue_private.h"
#include "store/store_help_test.h"

#include <stdio.h>
#include <stdlib.h>

enum { DOMAINS = 700, GIVEN = 50 };

struct many {
	unsigned domains; /* to queue */
	uint32_t max;
	uint64_t lease[GIVEN], rcpt[GIVEN];
	char domain[GIVEN][32];
	size_t given, kept;
	int64_t next_due, now;
	uint8_t state;
	bool seen[DOMAINS];
};

/* One message for many domains. */
static int queue_many(struct txn *t, void *arg, struct err *err)
{
	static struct delivery_rcpt rcpts[DOMAINS];
	static char address[DOMAINS][40];
	const struct many *m = arg;
	struct delivery d = { .id = 1,
		.any_sender = true,
		.anywhere = true,
		.body = { .size = t->body.n, .facts = STR("facts") },
		.rcpts = rcpts,
		.rcpt_count = m->domains };
	uint32_t local, queued;

	for (unsigned i = 0; i < m->domains; i++) {
		snprintf(address[i], sizeof address[i], "x@d%u.example", i);
		rcpts[i].address = str_c(address[i]);
	}
	return delivery_accept(t, &d, &local, &queued, err);
}

static int take(struct txn *t, void *arg, struct err *err)
{
	struct many *m = arg;
	const struct queue_lease_query q = { .holder = 1, .max = m->max, .room = 60000 };
	struct arena arena = ARENA(4 << 20);
	struct queue_lease *l;
	int r = queue_lease(t, &q, &arena, &l, &m->next_due, err);

	m->now = t->now;
	m->kept = t->leases->domains.n;
	for (m->given = 0; r == 0 && l; l = l->next, m->given++) {
		m->lease[m->given] = l->id;
		m->rcpt[m->given] = l->rcpts[0].id;
		str_z(l->domain, m->domain[m->given], sizeof m->domain[0]);
	}
	arena_free(&arena);
	return r;
}

static int tell(struct txn *t, void *arg, struct err *err)
{
	const struct queue_report none = { 0 };
	struct many *m = arg;

	for (size_t i = 0; i < m->given; i++) {
		const struct queue_result r = { .rcpt = m->rcpt[i],
			.state = m->state,
			.retry_after = 600,
			.status = STR(""),
			.text = STR(""),
			.remote = STR("") };

		if (queue_results(t, 1, m->lease[i], &r, 1, &none, err) < 0)
			return -1;
		queue_lease_ended(t->leases, m->lease[i]);
	}
	return 0;
}

static void must(struct store *s, int (*run)(struct txn *, void *, struct err *), struct many *m)
{
	struct err err;

	if (change_with_body(s, run, m, STR("hello"), &err) < 0)
		fail_msg("%s", err.msg);
}

/* Take and tell until nothing is due. How many were given. */
static size_t work(struct store *s, struct many *m)
{
	size_t all = 0;

	do {
		must(s, take, m);
		/* What is loaded, and no more. */
		assert_true(m->kept <= 256 + m->given);
		for (size_t i = 0; i < m->given; i++) {
			unsigned n = (unsigned)atoi(m->domain[i] + 1);

			assert_true(n < DOMAINS && !m->seen[n]);
			m->seen[n] = true;
		}
		all += m->given;
		must(s, tell, m);
	} while (m->given);
	return all;
}

static void each_of_many_domains_is_given_once(void **state)
{
	static struct many m;
	struct store *s = open_store(state);

	m = (struct many){ .domains = DOMAINS, .max = GIVEN, .state = STORE_DEFERRED };
	must(s, queue_many, &m);
	assert_schedule(s);
	assert_int_equal(work(s, &m), DOMAINS);
	assert_int_equal(m.kept, 0);
	assert_schedule(s);
	/* And it is known when they come back. */
	assert_true(m.next_due > m.now && m.next_due <= m.now + 600);
	store_close(&s);
}

/* T112 */
static void a_restart_loads_nothing_and_forgets_nothing(void **state)
{
	static struct many m;
	struct store *s = open_store(state);

	m = (struct many){ .domains = DOMAINS, .max = GIVEN, .state = STORE_DELIVERED };
	must(s, queue_many, &m);
	must(s, take, &m);
	assert_int_equal(m.given, GIVEN);
	store_close(&s);
	s = open_store(state);
	assert_int_equal(work(s, &m), DOMAINS);
	assert_schedule(s);
	assert_true(m.next_due == QUEUE_NEVER);
	store_close(&s);
}

static int retry_all(struct txn *t, void *changed, struct err *err)
{
	return queue_change(t, 0, 0, QUEUE_OP_RETRY, changed, err);
}

static int leave(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return queue_holder_gone(t, 1, err);
}

/* What comes while much is waiting, or was held, is not behind the place read so far. */
static void what_comes_due_later_is_found(void **state)
{
	static struct many m;
	struct store *s = open_store(state);
	uint32_t changed;
	struct err err;

	m = (struct many){ .domains = 300, .max = GIVEN, .state = STORE_DEFERRED };
	must(s, queue_many, &m);
	must(s, take, &m);
	must_mail(s, 2, "y@first.example", "hello");
	must(s, leave, &m);
	memset(m.seen, 0, sizeof m.seen);
	m.max = 40;
	for (;;) {
		must(s, take, &m);
		if (m.given == 0)
			break;
		for (size_t i = 0; i < m.given; i++)
			m.seen[strcmp(m.domain[i], "first.example") == 0
					? 600
					: (size_t)atoi(m.domain[i] + 1)] = true;
		must(s, tell, &m);
	}
	assert_true(m.seen[0] && m.seen[299] && m.seen[600]);
	if (change(s, retry_all, &changed, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(changed, 301);
	assert_schedule(s);
	must(s, take, &m);
	assert_int_equal(m.given, 40);
	store_close(&s);
}

struct listed {
	size_t rows, enough;
	uint64_t last;
};

static bool list_row(void *arg, const struct queue_row *row)
{
	struct listed *l = arg;

	assert_true(row->rcpt > l->last);
	l->last = row->rcpt;
	return ++l->rows < l->enough;
}

static int list_all(struct view *v, void *arg, struct err *err)
{
	return queue_list(v, 0, list_row, arg, err);
}

static void a_long_queue_is_listed_to_its_end(void **state)
{
	static struct many m;
	struct store *s = open_store(state);
	struct listed all = { .enough = SIZE_MAX }, some = { .enough = 600 };
	struct err err;

	m = (struct many){ .domains = DOMAINS };
	must(s, queue_many, &m);
	assert_int_equal(look(s, list_all, &all, &err), 0);
	assert_int_equal(all.rows, DOMAINS);
	assert_int_equal(look(s, list_all, &some, &err), 0);
	assert_int_equal(some.rows, 600);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_of_many_domains_is_given_once),
		TEST_EMBEDDED(a_restart_loads_nothing_and_forgets_nothing),
		TEST(what_comes_due_later_is_found),
		TEST(a_long_queue_is_listed_to_its_end),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
