/* Every call that a request of the queue makes fails in turn. It fails as a whole or not at all:
 * the index stays as it was, and the store goes on. */
#include "store/fail_test.h"
#include "store/queue_private.h"
#include "store/sending.h"
#include "store/store_help_test.h"

#include <time.h>

typedef int request_fn(struct txn *t, void *arg, struct err *err);

struct attempt {
	request_fn *fn;
	void *arg;
	long n;
	int result;
	bool hit;
	bool fresh; /* with a connection that has prepared nothing */
};

/* Always undone, so that each attempt begins with the same. */
static int attempt(struct txn *t, void *arg, struct err *err)
{
	struct attempt *a = arg;
	struct db *usual = t->view.db;
	struct view v;

	if (a->fresh) {
		if (view_open(t->view.store, &v, err) < 0)
			return -1;
		t->view.db = v.db;
	}
	buf_free(&t->effects);
	fail_nth(a->n);
	a->result = a->fn(t, a->arg, err);
	a->hit = fail_hit();
	t->view.db = usual;
	if (a->fresh)
		view_close(&v);
	if (queue_holder_gone(t, 2, err) < 0)
		return -1;
	return err_set(err, ERR_CANCELED, "only tried");
}

static void each_call_fails(struct store *s, int dir, const char *what, struct attempt a)
{
	struct buf before = BUF(1 << 22), after = BUF(1 << 22);
	struct err err;

	dump_index(dir, "index.db", &before);
	a.hit = true;
	for (a.n = FAIL_POSSIBLE ? 1 : 1L << 30; a.hit; a.n++) {
		assert_int_equal(change(s, attempt, &a, &err), -1);
		assert_int_equal(err.kind, ERR_CANCELED);
		if (!a.hit && a.result < 0 && !a.fresh)
			fail_msg("%s fails by itself", what);
		buf_clear(&after);
		dump_index(dir, "index.db", &after);
		if (!str_eq(buf_str(&before), buf_str(&after)))
			fail_msg("%s has left something behind (%ld)", what, a.n);
	}
	buf_free(&before);
	buf_free(&after);
}

static void every_call_fails(struct store *s, int dir, const char *what, request_fn *fn, void *arg)
{
	each_call_fails(s, dir, what, (struct attempt){ .fn = fn, .arg = arg });
	each_call_fails(s, dir, what, (struct attempt){ .fn = fn, .arg = arg, .fresh = true });
}

/* --- requests --- */

static int leases(struct txn *t, void *arg, struct err *err)
{
	const struct queue_lease_query q = {
		.holder = *(uint64_t *)arg, .max = 10, .room = 1 << 20
	};
	struct arena arena = ARENA(1 << 20);
	struct queue_lease *found = NULL;
	int64_t due;
	int r = queue_lease(t, &q, &arena, &found, &due, err);

	arena_free(&arena);
	return r;
}

static int start(struct txn *t, void *arg, struct err *err)
{
	struct leases *l;
	int r = leases_new(&l, err);

	(void)arg;
	leases_free(&l);
	return r;
}

/* With nothing known yet. */
static int first_leases(struct txn *t, void *arg, struct err *err)
{
	struct leases *usual = t->leases;
	int r = leases_new(&t->leases, err);

	if (r == 0)
		r = leases(t, arg, err);
	leases_free(&t->leases);
	t->leases = usual;
	return r;
}

static bool list_row(void *arg, const struct queue_row *row)
{
	(void)row;
	return ++*(int *)arg < 3;
}

static int list(struct txn *t, void *arg, struct err *err)
{
	int rows = 0;

	(void)arg;
	return queue_list(&t->view, 0, list_row, &rows, err);
}

static int figures(struct txn *t, void *arg, struct err *err)
{
	return queue_figures(&t->view, arg, err);
}

static int read_one(struct txn *t, void *arg, struct err *err)
{
	struct buf out = BUF(1000);
	uint64_t size;
	int r = queue_read(&t->view, *(uint64_t *)arg, 0, 100, &out, &size, err);

	buf_free(&out);
	return r;
}

static int operate(struct txn *t, void *arg, struct err *err)
{
	uint32_t changed;

	return queue_change(t, 0, 0, *(const enum queue_op *)arg, &changed, err);
}

struct given {
	uint64_t lease, rcpts[QUEUE_LEASE_RCPTS];
	size_t n;
};

static int take_one(struct txn *t, void *arg, struct err *err)
{
	const struct queue_lease_query q = { .holder = 1, .max = 1, .room = 1 << 20 };
	struct arena arena = ARENA(1 << 20);
	struct queue_lease *found = NULL;
	struct given *g = arg;
	int64_t due;
	int r = queue_lease(t, &q, &arena, &found, &due, err);

	g->lease = found ? found->id : 0;
	g->n = found ? found->rcpt_count : 0;
	for (size_t i = 0; i < g->n; i++)
		g->rcpts[i] = found->rcpts[i].id;
	arena_free(&arena);
	return r;
}

/* One of each kind, and a report. */
static int results(struct txn *t, void *arg, struct err *err)
{
	const uint8_t states[] = { STORE_DEFERRED, STORE_FAILED, STORE_DELIVERED, STORE_RELEASED };
	const struct queue_report report = {
		.wanted = true, .id = 500, .body = { .size = t->body.n }
	};
	struct queue_result r[4] = { 0 };
	const struct given *g = arg;

	for (size_t i = 0; i < 4; i++)
		r[i] = (struct queue_result){ .rcpt = g->rcpts[i],
			.state = states[i],
			.retry_after = 60,
			.code = 400 + (uint32_t)i,
			.status = i % 2 ? STR("") : STR("4.0.0"),
			.text = STR("said so"),
			.remote = STR("mx.far.example") };
	return queue_results(t, 1, g->lease, r, 4, &report, err);
}

/* One alone, without a report: its line of the trace is the first that is emitted. */
static int one_result(struct txn *t, void *arg, struct err *err)
{
	const struct queue_report none = { 0 };
	const struct given *g = arg;
	const struct queue_result r = { .rcpt = g->rcpts[0],
		.state = g->n ? STORE_DEFERRED : STORE_DELIVERED };

	return queue_results(t, 1, g->lease, &r, 1, &none, err);
}

/* As mail over a cap is. */
static int freeze(struct txn *t, void *arg, struct err *err)
{
	const struct given *g = arg;

	return emit_queue_state(t,
		&(struct effect_queue_state){ .id = g->rcpts[1],
			.state = STORE_HELD,
			.next = QUEUE_NEVER,
			.reply = STR(SENDING_FROZEN "because") },
		err);
}

/* --- */

static void mail_for(struct store *s, uint64_t id, const char *to, struct delivery_options o)
{
	struct mail_test m = { .id = id,
		.sender = "them@example.net",
		.to = to,
		.body = "hello",
		.anywhere = true,
		.options = o };
	struct err err;

	if (mail(s, &m, &err) < 0)
		fail_msg("%s", err.msg);
}

static struct store *with_a_queue(void **state, struct given *g)
{
	const struct delivery_options later = { .hold_until =
							((int64_t)time(NULL) + 3600) * 1000000000 };
	struct store *s = open_store(state);
	struct err err;

	add_account(s, "ann@example.org");
	mail_for(s, 11, "a@far.example b@far.example c@far.example d@far.example e@far.example",
		(struct delivery_options){ .priority = 3, .require_tls = true });
	assert_int_equal(change(s, take_one, g, &err), 0);
	assert_int_equal(g->n, 5);
	mail_for(s, 12, "x@a.example y@b.example", (struct delivery_options){ .priority = -3 });
	mail_for(s, 13, "z@a.example", (struct delivery_options){ 0 });
	mail_for(s, 14, "ann@example.org", later);
	return s;
}

static void a_request_of_the_queue_fails_as_a_whole(void **state)
{
	struct given g;
	struct store *s = with_a_queue(state, &g);
	const int dir = test_dir(state);
	struct queue_figures f;
	enum queue_op op;
	uint64_t holder = 2, message = 12;
	struct err err;

	every_call_fails(s, dir, "start", start, NULL);
	every_call_fails(s, dir, "list", list, NULL);
	every_call_fails(s, dir, "figures", figures, &f);
	every_call_fails(s, dir, "read", read_one, &message);
	every_call_fails(s, dir, "lease", leases, &holder);
	every_call_fails(s, dir, "first lease", first_leases, &holder);
	every_call_fails(s, dir, "results", results, &g);
	every_call_fails(s, dir, "deferred", one_result, &g);
	g.n = 0;
	every_call_fails(s, dir, "delivered", one_result, &g);
	for (op = QUEUE_OP_RETRY; op <= QUEUE_OP_DROP; op++)
		every_call_fails(s, dir, "change", operate, &op);
	/* Mail for here is due now, so a lease delivers it. */
	op = QUEUE_OP_RETRY;
	assert_int_equal(change(s, operate, &op, &err), 0);
	every_call_fails(s, dir, "lease at home", leases, &holder);
	op = QUEUE_OP_HOLD;
	assert_int_equal(change(s, operate, &op, &err), 0);
	op = QUEUE_OP_RELEASE;
	every_call_fails(s, dir, "release", operate, &op);
	assert_int_equal(change(s, freeze, &g, &err), 0);
	every_call_fails(s, dir, "release frozen", operate, &op);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_request_of_the_queue_fails_as_a_whole),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
