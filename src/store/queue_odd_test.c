/* The limits of leases and results, and what the queue makes of what should not be there. */
#include "store/queue_private.h"
#include "store/store_help_test.h"

#include <time.h>

struct ask {
	size_t arena, room;
	uint32_t max;
	size_t leases, rcpts;
	uint64_t lease, rcpt, message;
	int64_t now, next_due;
};

static int do_lease(struct txn *t, void *arg, struct err *err)
{
	struct ask *a = arg;
	const struct queue_lease_query q = { .holder = 1, .max = a->max, .room = a->room };
	struct arena arena = ARENA(a->arena);
	struct queue_lease *found = NULL;
	int r = queue_lease(t, &q, &arena, &found, &a->next_due, err);

	a->leases = a->rcpts = 0;
	a->now = t->now;
	for (; found; found = found->next) {
		a->leases++;
		a->rcpts += found->rcpt_count;
		a->lease = found->id;
		a->rcpt = found->rcpts[0].id;
		a->message = found->message;
	}
	arena_free(&arena);
	return r;
}

static struct ask lease(struct store *s, size_t room, uint32_t max)
{
	struct ask a = { .arena = 16 << 20, .room = room, .max = max };
	struct err err;

	if (change(s, do_lease, &a, &err) < 0)
		fail_msg("%s", err.msg);
	return a;
}

static int everybody_goes(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return queue_holder_gone(t, 1, err);
}

static void give_back(struct store *s)
{
	struct err err;

	assert_int_equal(change(s, everybody_goes, NULL, &err), 0);
}

struct many {
	uint64_t id;
	const char *domain;
	int n, priority;
	int64_t next;
};

/* A message for u0@DOMAIN, u1@DOMAIN, ... as effects. */
static int put_many(struct txn *t, void *arg, struct err *err)
{
	const struct many *m = arg;
	char address[60];

	if (emit_body(t, &(struct effect_body){ .id = m->id, .links = 1 }, err) < 0 ||
		emit_queue_put(t,
			&(struct effect_queue_put){ .id = m->id,
				.sender = STR("them@example.net"),
				.body = m->id,
				.rcpts = (uint32_t)m->n,
				.arrived = t->now },
			err) < 0)
		return -1;
	for (int i = 0; i < m->n; i++) {
		snprintf(address, sizeof address, "u%d@%s", i, m->domain);
		if (emit_queue_rcpt(t,
			    &(struct effect_queue_rcpt){ .id = m->id * 1000 + (uint64_t)i,
				    .message = m->id,
				    .domain = str_c(m->domain),
				    .address = str_c(address),
				    .state = STORE_DEFERRED,
				    .next = m->next ? m->next : t->now },
			    err) < 0)
			return -1;
	}
	return 0;
}

static void put(struct store *s, struct many m)
{
	struct err err;

	if (change(s, put_many, &m, &err) < 0)
		fail_msg("%s", err.msg);
}

static void a_lease_has_at_most_a_hundred_recipients(void **state)
{
	struct store *s = open_store(state);
	struct ask a;

	put(s, (struct many){ .id = 1, .domain = "a.example", .n = 130 });
	a = lease(s, 1 << 20, 1);
	assert_int_equal(a.rcpts, 100);
	a = lease(s, 1 << 20, 10);
	assert_int_equal(a.rcpts, 30);
	store_close(&s);
}

/* So many as there is room for in the answer, but at least one. */
static void leases_fit_into_the_room_for_them(void **state)
{
	struct store *s = open_store(state);
	struct ask a;

	put(s, (struct many){ .id = 1, .domain = "a.example", .n = 60 });
	put(s, (struct many){ .id = 2, .domain = "a.example", .n = 1 });
	put(s, (struct many){ .id = 3, .domain = "", .n = 1 });
	for (size_t room = 4097; room < 12000; room += 500) {
		a = lease(s, room, 10);
		assert_in_range(a.rcpts, 1, 62);
		give_back(s);
	}
	assert_int_equal(lease(s, 1 << 20, 10).rcpts, 62);
	store_close(&s);
}

/* However little memory there is for the answer: all or an error, and then all again. */
static void an_answer_without_memory_is_an_error(void **state)
{
	struct store *s = open_store(state);
	struct err err;
	size_t n = 0;
	int r;

	put(s, (struct many){ .id = 1, .domain = "a.example", .n = 2 });
	do {
		struct ask a = { .arena = n, .room = 1 << 20, .max = 1 };

		r = change(s, do_lease, &a, &err);
		n += 8;
	} while (r < 0 && n < 100000);
	assert_int_equal(r, 0);
	assert_true(n > 100);
	store_close(&s);
}

static int lonely(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return emit_queue_rcpt(t,
		&(struct effect_queue_rcpt){ .id = 77,
			.message = 99,
			.domain = STR("b.example"),
			.address = STR("x@b.example"),
			.state = STORE_DEFERRED,
			.next = t->now },
		err);
}

static void a_recipient_without_a_message_is_an_error(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .arena = 1 << 20, .room = 1 << 20, .max = 1 };
	struct err err;

	assert_int_equal(change(s, lonely, NULL, &err), 0);
	assert_int_equal(change(s, do_lease, &a, &err), -1);
	assert_non_null(strstr(err.msg, "has no message"));
	store_close(&s);
}

static int bad_options(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return apply_queue_options(&t->apply, &(struct effect_queue_options){ 1, STR("odd") }, err);
}

static int read_nothing(struct view *v, void *arg, struct err *err)
{
	struct buf out = BUF(100);

	return queue_read(v, 4711, 0, 10, &out, arg, err);
}

static void what_is_not_there_is_an_error(void **state)
{
	struct store *s = open_store(state);
	uint64_t size;
	struct err err;

	assert_int_equal(change(s, bad_options, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_PROTO);
	assert_int_equal(look(s, read_nothing, &size, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	store_close(&s);
}

/* One in eight goes by age alone, and the urgent may be the older one. */
static void the_oldest_may_be_the_most_urgent(void **state)
{
	struct store *s = open_store(state);
	const int64_t now = (int64_t)time(NULL);
	struct mail_test m = { .sender = "", .body = "b", .to = "x@a.example", .anywhere = true };
	struct ask a;
	struct err err;

	put(s, (struct many){ .id = 5, .domain = "a.example", .n = 1, .next = now - 1000 });
	m.id = 6;
	m.options.priority = -4;
	assert_int_equal(mail(s, &m, &err), 0);
	for (int i = 0; i < 20; i++) {
		a = lease(s, 1 << 20, 1);
		assert_int_equal(a.message, 5);
		give_back(s);
	}
	/* What comes later, of two priorities: the sooner of them. */
	put(s, (struct many){ .id = 7, .domain = "c.example", .n = 1, .next = now + 2000 });
	a = lease(s, 1 << 20, 10);
	assert_int_equal(a.leases, 2);
	assert_in_range(a.next_due, now + 1000, now + 2000);
	store_close(&s);
}

static int let_go(struct txn *t, void *arg, struct err *err)
{
	uint32_t changed;

	(void)arg;
	return queue_change(t, 0, 0, QUEUE_OP_RETRY, &changed, err);
}

struct some {
	uint64_t message, after;
	enum queue_op op;
	uint32_t most, changed;
};

static int change_some(struct txn *t, void *arg, struct err *err)
{
	struct some *q = arg;

	return queue_change_some(t, q->message, 0, q->op, q->most, &q->after, &q->changed, err);
}

static void must_change(struct store *s, struct some *q, uint32_t changed, bool more)
{
	struct err err;

	if (change(s, change_some, q, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(q->changed, changed);
	assert_int_equal(q->after != 0, more);
}

/* Who changes the whole queue holds up nobody for long. */
static void the_operator_changes_a_part_at_a_time(void **state)
{
	struct store *s = open_store(state);
	struct some hold = { .op = QUEUE_OP_HOLD, .most = 10 };
	struct some drop = { .message = 7, .op = QUEUE_OP_DROP, .most = 25 };
	struct some release = { .op = QUEUE_OP_RELEASE, .most = 10 };
	const int64_t now = (int64_t)time(NULL);

	put(s, (struct many){ .id = 7, .domain = "c.example", .n = 25, .next = now });
	must_change(s, &hold, 10, true);
	put(s, (struct many){ .id = 8, .domain = "d.example", .n = 1, .next = now });
	must_change(s, &hold, 10, true);
	must_change(s, &hold, 6, false);
	assert_int_equal(lease(s, 1 << 20, 10).leases, 0);
	must_change(s, &drop, 25, true); /* there might be more */
	must_change(s, &drop, 0, false);
	must_change(s, &release, 1, false);
	assert_int_equal(lease(s, 1 << 20, 10).leases, 1);
	store_close(&s);
}

/* Many held messages for mailboxes here come due at once: not all in one batch. */
static void mail_for_here_is_delivered_a_part_at_a_time(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = { .sender = "",
		.body = "b",
		.to = "ann@example.org",
		.options = { .hold_until = ((int64_t)time(NULL) + 3600) * 1000000000 } };
	struct box_test b;
	struct ask a;
	struct err err;

	add_account(s, "ann@example.org");
	for (m.id = 1; m.id <= 60; m.id++)
		assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(change(s, let_go, NULL, &err), 0);
	a = lease(s, 1 << 20, 10);
	box(s, "ann@example.org", "INBOX", &b);
	assert_int_equal(b.m.messages, 50);
	assert_true(a.next_due <= a.now); /* come again */
	lease(s, 1 << 20, 10);
	box(s, "ann@example.org", "INBOX", &b);
	assert_int_equal(b.m.messages, 60);
	store_close(&s);
}

static int fail_with_report(struct txn *t, void *arg, struct err *err)
{
	const struct ask *a = arg;
	const struct queue_result r = { .rcpt = a->rcpt, .state = STORE_FAILED };
	const struct queue_report report = {
		.wanted = true, .id = 900, .body = { .size = t->body.n }
	};

	return queue_results(t, 1, a->lease, &r, 1, &report, err);
}

static int count_queued(struct view *v, void *arg, struct err *err)
{
	return queue_figures(v, arg, err);
}

static int disable(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_enable(t, STR("ann@example.org"), false, &account, err);
}

static int fill(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_account_quota(t, STR("ann@example.org"), 0, 1, err);
}

static int go_round(struct txn *t, void *arg, struct err *err)
{
	char from[40], to[40];

	(void)arg;
	for (int i = 0; i < 14; i++) {
		struct str target;

		snprintf(from, sizeof from, "deep%d@example.org", i);
		snprintf(to, sizeof to, i < 13 ? "deep%d@example.org" : "ann@example.org", i + 1);
		target = str_c(to);
		if (directory_alias_put(t, str_c(from), STR(""), &target, 1, err) < 0)
			return -1;
	}
	return 0;
}

/* The message ends, though nobody takes the report on it. */
static void a_report_that_nobody_takes_keeps_nothing(void **state)
{
	int (*const why[])(struct txn *, void *, struct err *) = { disable, fill, go_round };
	const struct store_options o = { .segment_bytes = 1 << 20, .quota_grace = -1 };

	for (size_t i = 0; i < sizeof why / sizeof *why; i++) {
		struct mail_test m = { .id = 1,
			.sender = why[i] == go_round ? "deep0@example.org" : "ann@example.org",
			.to = "x@far.example",
			.body = "b",
			.anywhere = true };
		struct queue_figures f;
		struct store *s;
		struct err err;
		struct ask a;
		char name[8];
		int dir;

		snprintf(name, sizeof name, "%zu", i);
		assert_int_equal(mkdirat(test_dir(state), name, 0700), 0);
		dir = openat(test_dir(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		s = open_store_with(dir, &o);
		add_account(s, "ann@example.org");
		assert_int_equal(mail(s, &m, &err), 0);
		a = lease(s, 1 << 20, 1);
		if (change(s, why[i], NULL, &err) < 0)
			fail_msg("%s", err.msg);
		if (change_with_body(s, fail_with_report, &a, STR("report"), &err) < 0)
			fail_msg("%zu: %s", i, err.msg);
		assert_int_equal(look(s, count_queued, &f, &err), 0);
		assert_int_equal(f.queued, 0);
		store_close(&s);
		close(dir);
	}
}

struct listed {
	uint64_t last;
	unsigned n, stop_at;
};

static bool count_row(void *arg, const struct queue_row *row)
{
	struct listed *l = arg;

	assert_true(row->rcpt > l->last);
	l->last = row->rcpt;
	return ++l->n != l->stop_at;
}

static int list_queue(struct view *v, void *arg, struct err *err)
{
	return queue_list(v, 0, count_row, arg, err);
}

/* It is read in parts, which nobody notices. */
static void a_long_queue_is_listed_once_and_whole(void **state)
{
	struct store *s = open_store(state);
	struct listed l = { 0 };
	struct err err;

	for (uint64_t id = 1; id <= 3; id++)
		put(s, (struct many){ .id = id, .domain = "a.example", .n = 400 });
	assert_int_equal(look(s, list_queue, &l, &err), 0);
	assert_int_equal(l.n, 1200);
	l = (struct listed){ .stop_at = 700 };
	assert_int_equal(look(s, list_queue, &l, &err), 0);
	assert_int_equal(l.n, 700);
	/* Without a database that others share, leases hold as long as the process lives. */
	assert_true(store_leases_end(s) == INT64_MAX);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_lease_has_at_most_a_hundred_recipients),
		TEST(leases_fit_into_the_room_for_them),
		TEST(an_answer_without_memory_is_an_error),
		TEST(a_recipient_without_a_message_is_an_error),
		TEST(what_is_not_there_is_an_error),
		TEST(the_oldest_may_be_the_most_urgent),
		TEST(the_operator_changes_a_part_at_a_time),
		TEST(mail_for_here_is_delivered_a_part_at_a_time),
		TEST(a_report_that_nobody_takes_keeps_nothing),
		TEST(a_long_queue_is_listed_once_and_whole),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
