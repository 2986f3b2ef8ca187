#include "store/queue.h"
#include "store/store_help_test.h"

#include <time.h>

/* A request for leases, and what was given as text: "message:domain[address/attempts ...] ". */
struct ask {
	uint64_t holder;
	uint32_t max;
	const char *busy;
	char text[400];
	uint64_t lease[8], rcpt[8];
	size_t leases;
	int64_t next_due, now;
	struct delivery_options options; /* of the last one given */
	int64_t rrvs;
	uint8_t rrvs_mode;
	bool delivered;
	char why[100];
};

static int do_lease(struct txn *t, void *arg, struct err *err)
{
	struct ask *a = arg;
	struct arena arena = ARENA(16 << 20);
	struct str busy[1] = { str_c(a->busy) };
	struct queue_lease_query q = { .holder = a->holder,
		.max = a->max ? a->max : 10,
		.busy = busy,
		.busy_count = a->busy ? 1 : 0,
		.room = 60000 };
	struct queue_lease *l = NULL;
	int r = queue_lease(t, &q, &arena, &l, &a->next_due, err);

	a->text[0] = '\0';
	a->leases = 0;
	a->now = t->now;
	for (; l; l = l->next) {
		struct buf b = BUF(400);

		a->options = l->options;
		a->rrvs = l->rcpts[0].rrvs;
		a->rrvs_mode = l->rcpts[0].rrvs_mode;
		a->delivered = l->rcpts[0].delivered;
		str_z(l->rcpts[0].failed, a->why, sizeof a->why);

		buf_addf(&b, "%s%llu:%.*s[", a->text, (unsigned long long)l->message,
			(int)l->domain.n, l->domain.p);
		for (size_t i = 0; i < l->rcpt_count; i++)
			buf_addf(&b, "%s%.*s/%u%s", i ? " " : "", (int)l->rcpts[i].address.n,
				l->rcpts[i].address.p, l->rcpts[i].attempts,
				l->rcpts[i].failed.n ? "!" : "");
		buf_addz(&b, "] ");
		str_z(buf_str(&b), a->text, sizeof a->text);
		buf_free(&b);
		if (a->leases < 8) {
			a->rcpt[a->leases] = l->rcpts[0].id;
			a->lease[a->leases++] = l->id;
		}
	}
	arena_free(&arena);
	return r;
}

static void lease(struct store *s, struct ask *a)
{
	struct err err;

	if (change(s, do_lease, a, &err) < 0)
		fail_msg("%s", err.msg);
}

struct tell {
	uint64_t holder, lease, rcpt;
	uint8_t state;
	uint32_t retry_after;
	const char *report;
	uint64_t report_id;
};

static int do_result(struct txn *t, void *arg, struct err *err)
{
	struct tell *a = arg;
	const struct queue_result r = { .rcpt = a->rcpt,
		.state = a->state,
		.retry_after = a->retry_after,
		.code = 451,
		.status = STR("4.4.1"),
		.text = STR("said so"),
		.remote = STR("mx.example") };
	const struct queue_report report = { .wanted = a->report != NULL,
		.id = a->report_id,
		.body = { .size = a->report ? strlen(a->report) : 0 } };

	return queue_results(t, a->holder, a->lease, &r, 1, &report, err);
}

static enum err_kind tell(struct store *s, struct tell *a)
{
	struct err err;

	return change_with_body(s, do_result, a, str_c(a->report), &err) < 0 ? err.kind : ERR_NONE;
}

static int do_gone(struct txn *t, void *arg, struct err *err)
{
	return queue_holder_gone(t, *(uint64_t *)arg, err);
}

static int ask_figures(struct view *v, void *arg, struct err *err)
{
	return queue_figures(v, arg, err);
}

static uint64_t queued(struct store *s)
{
	struct queue_figures f;
	struct err err;

	assert_int_equal(look(s, ask_figures, &f, &err), 0);
	return f.queued;
}

static void recipients_of_one_domain_go_together(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };

	must_mail(s, 7, "x@a.example y@b.example z@a.example", "hello");
	must_mail(s, 8, "w@a.example", "hello");
	lease(s, &a);
	assert_non_null(strstr(a.text, "7:a.example[z@a.example/0 x@a.example/0] "));
	assert_non_null(strstr(a.text, "7:b.example[y@b.example/0] "));
	assert_non_null(strstr(a.text, "8:a.example[w@a.example/0] "));
	lease(s, &a); /* all taken */
	assert_string_equal(a.text, "");
	/* On PostgreSQL a domain that somebody works for is looked at again after a minute. */
	assert_true(a.next_due == QUEUE_NEVER || (test_url && a.next_due >= a.now + 60));
	store_close(&s);
}

static void a_busy_domain_waits(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1, .busy = "a.example" };

	must_mail(s, 7, "x@a.example y@b.example", "hello");
	lease(s, &a);
	assert_string_equal(a.text, "7:b.example[y@b.example/0] ");
	a.busy = NULL;
	lease(s, &a);
	assert_string_equal(a.text, "7:a.example[x@a.example/0] ");
	store_close(&s);
}

static void no_more_than_wanted_is_given(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1, .max = 2 };

	for (uint64_t i = 1; i <= 3; i++)
		must_mail(s, i, "x@a.example", "hello");
	lease(s, &a);
	assert_int_equal(a.leases, 2);
	assert_true(a.next_due <= a.now);
	lease(s, &a);
	assert_int_equal(a.leases, 1);
	store_close(&s);
}

static void what_is_delivered_is_gone_for_good(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct tell t = { .holder = 1, .state = STORE_DELIVERED };

	must_mail(s, 7, "x@a.example", "hello");
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	assert_int_equal(queued(s), 0);
	assert_int_equal(tell(s, &t), ERR_NOTFOUND);
	store_close(&s);
	s = open_store(state);
	lease(s, &a);
	assert_string_equal(a.text, "");
	store_close(&s);
}

static void what_is_deferred_comes_back_when_it_is_due(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct tell t = { .holder = 1, .state = STORE_DEFERRED, .retry_after = 3600 };

	must_mail(s, 7, "x@a.example", "hello");
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	for (int i = 0; i < 2; i++) {
		lease(s, &a);
		assert_string_equal(a.text, "");
		assert_in_range(a.next_due, a.now + 3590, a.now + 3600);
		store_close(&s);
		s = open_store(state);
	}
	store_close(&s);
}

static void a_retry_at_once_counts_the_attempt(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct tell t = { .holder = 1, .state = STORE_DEFERRED };

	must_mail(s, 7, "x@a.example", "hello");
	for (int i = 0; i < 3; i++) {
		lease(s, &a);
		t.lease = a.lease[0];
		t.rcpt = a.rcpt[0];
		assert_int_equal(tell(s, &t), ERR_NONE);
	}
	lease(s, &a);
	assert_string_equal(a.text, "7:a.example[x@a.example/3] ");
	store_close(&s);
}

static void a_lease_ends_with_its_holder(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 }, b = { .holder = 2 };
	struct tell t = { .holder = 2, .state = STORE_DELIVERED };
	struct err err;

	must_mail(s, 7, "x@a.example", "hello");
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_DENIED); /* another's */
	assert_int_equal(change(s, do_gone, &a.holder, &err), 0);
	t.holder = 1;
	assert_int_equal(tell(s, &t), ERR_NOTFOUND);
	lease(s, &b);
	assert_string_equal(b.text, "7:a.example[x@a.example/0] ");
	t = (struct tell){
		.holder = 2, .lease = b.lease[0], .rcpt = 999, .state = STORE_DELIVERED
	};
	assert_int_equal(tell(s, &t), ERR_DENIED); /* not in the lease */
	store_close(&s);
}

static void a_report_reaches_a_sender_here_with_the_end_of_the_message(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = { .id = 7,
		.sender = "ann@example.org",
		.to = "x@a.example",
		.body = "hello",
		.anywhere = true };
	struct ask a = { .holder = 1 };
	struct tell t = {
		.holder = 1, .state = STORE_FAILED, .report = "it failed", .report_id = 70
	};
	struct box_test b;
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(mail(s, &m, &err), 0);
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	assert_int_equal(queued(s), 0);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::it failed ");
	store_close(&s);
}

static void a_report_to_a_sender_elsewhere_is_queued_and_causes_none(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct tell t = {
		.holder = 1, .state = STORE_FAILED, .report = "it failed", .report_id = 70
	};

	must_mail(s, 7, "x@a.example", "hello");
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	lease(s, &a);
	assert_string_equal(a.text, "70:example.net[them@example.net/0] ");
	t = (struct tell){ .holder = 1,
		.lease = a.lease[0],
		.rcpt = a.rcpt[0],
		.state = STORE_FAILED,
		.report = "the report failed",
		.report_id = 71 };
	assert_int_equal(tell(s, &t), ERR_NONE);
	assert_int_equal(queued(s), 0);
	store_close(&s);
}

struct op {
	uint64_t message;
	enum queue_op op;
	uint32_t changed;
};

static int do_op(struct txn *t, void *arg, struct err *err)
{
	struct op *o = arg;

	return queue_change(t, o->message, 0, o->op, &o->changed, err);
}

static uint32_t op(struct store *s, uint64_t message, enum queue_op what)
{
	struct op o = { message, what, 0 };
	struct err err;

	assert_int_equal(change(s, do_op, &o, &err), 0);
	return o.changed;
}

static void the_operator_holds_releases_and_drops(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct op o = { 99, QUEUE_OP_DROP, 0 };
	struct err err;

	must_mail(s, 7, "x@a.example y@b.example", "hello");
	must_mail(s, 8, "z@c.example", "hello");
	assert_int_equal(op(s, 7, QUEUE_OP_HOLD), 2);
	lease(s, &a);
	assert_string_equal(a.text, "8:c.example[z@c.example/0] ");
	assert_int_equal(op(s, 0, QUEUE_OP_RETRY), 1);
	assert_int_equal(op(s, 0, QUEUE_OP_RELEASE), 2);
	lease(s, &a);
	assert_int_equal(a.leases, 2);
	assert_int_equal(op(s, 7, QUEUE_OP_DROP), 2);
	assert_int_equal(queued(s), 1);
	assert_int_equal(change(s, do_op, &o, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	store_close(&s);
}

static void a_hold_while_it_is_tried_stays(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct tell t = { .holder = 1, .state = STORE_DEFERRED };

	must_mail(s, 7, "x@a.example", "hello");
	lease(s, &a);
	assert_int_equal(op(s, 0, QUEUE_OP_HOLD), 1);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	lease(s, &a);
	assert_string_equal(a.text, "");
	store_close(&s);
}

struct read {
	uint64_t message;
	struct buf out;
};

static int ask_read(struct view *v, void *arg, struct err *err)
{
	struct read *q = arg;
	uint64_t size;

	return queue_read(v, q->message, 0, 1000, &q->out, &size, err);
}

static void a_queued_message_is_sent_as_it_was_accepted(void **state)
{
	struct store *s = open_store(state);
	struct read q = { 7, BUF(2000) };
	struct err err;

	must_mail(s, 7, "x@a.example", "Subject: x\r\n\r\nhello\r\n");
	assert_int_equal(look(s, ask_read, &q, &err), 0);
	assert_true(str_eq(buf_str(&q.out), STR("Received: by us\r\nSubject: x\r\n\r\nhello\r\n")));
	buf_free(&q.out);
	store_close(&s);
}

static void mail_with(struct store *s, uint64_t id, const char *to,
	const struct delivery_options *o, int64_t rrvs)
{
	struct mail_test m = { .id = id,
		.sender = "them@example.net",
		.to = to,
		.body = "hello",
		.anywhere = true,
		.options = *o,
		.rrvs = rrvs };
	struct err err;

	if (mail(s, &m, &err) < 0)
		fail_msg("mail to %s: %s", to, err.msg);
}

static void a_held_message_is_not_given_before_its_time(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	const int64_t then = (int64_t)time(NULL) + 3600;

	mail_with(s, 7, "x@a.example",
		&(struct delivery_options){ .hold_until = then * 1000000000 - 1 }, 0);
	mail_with(s, 8, "y@b.example", &(struct delivery_options){ .hold_until = 1 }, 0);
	lease(s, &a);
	assert_string_equal(a.text, "8:b.example[y@b.example/0] ");
	assert_true(a.next_due == then || (test_url && a.next_due == a.now + 60));
	store_close(&s);
}

static int make_due(struct txn *t, void *arg, struct err *err)
{
	uint32_t changed;

	(void)arg;
	return queue_change(t, 0, 0, QUEUE_OP_RETRY, &changed, err);
}

static int hold_and_release(struct txn *t, void *arg, struct err *err)
{
	uint32_t changed;

	(void)arg;
	if (queue_change(t, 0, 0, QUEUE_OP_HOLD, &changed, err) < 0)
		return -1;
	return queue_change(t, 0, 0, QUEUE_OP_RELEASE, &changed, err);
}

/* RFC 4865 4: a mailbox here is no exception. */
static void a_held_message_for_a_mailbox_here_waits_as_well(void **state)
{
	const struct delivery_options held = { .hold_until =
						       ((int64_t)time(NULL) + 3600) * 1000000000 };
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct box_test b;
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "all@example.org", "ann@example.org bob@example.org x@a.example");
	mail_with(s, 7, "all@example.org ann@example.org", &held, 0);
	lease(s, &a);
	assert_string_equal(a.text, "");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "");
	store_close(&s);
	s = open_store(state);
	/* The operator does not want to wait. */
	assert_int_equal(change(s, hold_and_release, NULL, &err), 0);
	lease(s, &a);
	assert_string_equal(a.text, "7:a.example[x@a.example/0] ");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::hello ");
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::hello ");
	assert_int_equal(queued(s), 1);
	store_close(&s);
}

static int remove_ann(struct txn *t, void *arg, struct err *err)
{
	return directory_account_remove(t, STR("ann@example.org"), arg, err);
}

static void a_mailbox_that_is_gone_when_its_time_comes_is_reported(void **state)
{
	const struct delivery_options held = { .hold_until =
						       ((int64_t)time(NULL) + 3600) * 1000000000 };
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	uint64_t account;
	struct err err;

	add_account(s, "ann@example.org");
	mail_with(s, 7, "ann@example.org", &held, 0);
	assert_int_equal(change(s, remove_ann, &account, &err), 0);
	assert_int_equal(change(s, make_due, NULL, &err), 0);
	lease(s, &a);
	assert_string_equal(a.text, "7:example.org[ann@example.org/0!] ");
	store_close(&s);
}

static int fill_ann(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_account_quota(t, STR("ann@example.org"), 1, 0, err);
}

/* Not: tried every ten minutes for ever. */
static void a_mailbox_that_stays_full_when_its_time_comes_is_reported(void **state)
{
	const struct delivery_options held = { .hold_until =
						       ((int64_t)time(NULL) + 3600) * 1000000000 };
	const struct store_options o = { .segment_bytes = 1 << 20, .quota_grace = -1 };
	struct store *s = open_store_with(test_dir(state), &o);
	struct ask a = { .holder = 1 };
	struct err err;

	add_account(s, "ann@example.org");
	mail_with(s, 7, "ann@example.org", &held, 0);
	must_mail(s, 6, "ann@example.org", "fills it");
	assert_int_equal(change(s, fill_ann, NULL, &err), 0);
	assert_int_equal(change(s, make_due, NULL, &err), 0);
	lease(s, &a);
	assert_string_equal(a.text, "7:example.org[ann@example.org/0!] ");
	assert_string_equal(a.why, "5.2.2 the mailbox is full");
	store_close(&s);
}

/* An error would have it tried, and perhaps delivered to others, again and again. */
static void a_report_to_a_mailbox_that_is_full_does_not_keep_the_message(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = { .id = 7,
		.sender = "ann@example.org",
		.to = "x@a.example",
		.body = "hello",
		.anywhere = true };
	struct ask a = { .holder = 1 };
	struct tell t = {
		.holder = 1, .state = STORE_FAILED, .report = "it failed", .report_id = 70
	};
	struct err err;

	add_account(s, "ann@example.org");
	must_mail(s, 6, "ann@example.org", "fills it");
	assert_int_equal(change(s, fill_ann, NULL, &err), 0);
	assert_int_equal(mail(s, &m, &err), 0);
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	assert_int_equal(queued(s), 0);
	store_close(&s);
}

/* Contradictory, as only a broken index is. */
static int break_inbox(struct txn *t, void *arg, struct err *err)
{
	struct directory_login who;
	struct mailbox m;

	if (directory_login(&t->view, str_c(arg), &who, err) < 0 ||
		mailbox_find(&t->view, who.account, STR("INBOX"), &m, err) < 0)
		return -1;
	return emit_mailbox_removed(t,
		&(struct effect_mailbox_removed){ who.account, m.id, m.modseq + 1, t->now }, err);
}

static int make_due_in_order(struct txn *t, void *arg, struct err *err)
{
	queue_expect(t->leases, 0);
	return make_due(t, arg, err);
}

static void a_lease_that_fails_forgets_nothing_that_is_due(void **state)
{
	const struct delivery_options held = { .hold_until =
						       ((int64_t)time(NULL) + 3600) * 1000000000 };
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct box_test b;
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@second.example");
	mail_with(s, 7, "ann@example.org", &held, 0);
	mail_with(s, 8, "bob@second.example", &held, 0);
	assert_int_equal(change(s, break_inbox, (void *)(uintptr_t) "bob@second.example", &err), 0);
	assert_int_equal(change(s, make_due_in_order, NULL, &err), 0);
	assert_int_equal(change(s, do_lease, &a, &err), -1);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "");
	assert_int_equal(op(s, 8, QUEUE_OP_DROP), 1);
	lease(s, &a);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::hello ");
	assert_int_equal(queued(s), 0);
	store_close(&s);
}

static void half_a_report_is_none(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = { .id = 7,
		.sender = "ann@example.org",
		.to = "x@a.example",
		.body = "hello",
		.anywhere = true };
	struct ask a = { .holder = 1 };
	struct tell t = {
		.holder = 1, .state = STORE_FAILED, .report = "it failed", .report_id = 70
	};
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(change(s, break_inbox, (void *)(uintptr_t) "ann@example.org", &err), 0);
	lease(s, &a);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NOTFOUND);
	assert_int_equal(queued(s), 1);
	store_close(&s);
}

static void what_is_urgent_goes_first(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };

	mail_with(s, 1, "x@a.example", &(struct delivery_options){ .priority = -9 }, 0);
	mail_with(s, 2, "x@a.example", &(struct delivery_options){ 0 }, 0);
	mail_with(s, 3, "x@a.example", &(struct delivery_options){ .priority = 4 }, 0);
	mail_with(s, 4, "x@a.example", &(struct delivery_options){ .priority = 9 }, 0);
	lease(s, &a);
	assert_string_equal(a.text,
		"4:a.example[x@a.example/0] 3:a.example[x@a.example/0] "
		"2:a.example[x@a.example/0] 1:a.example[x@a.example/0] ");
	store_close(&s);
}

static void what_waits_longest_is_not_starved(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1, .max = 1 };
	bool met = false;

	mail_with(s, 1, "x@a.example", &(struct delivery_options){ .priority = -9 }, 0);
	for (uint64_t i = 2; i < 12; i++)
		mail_with(s, i, "x@a.example", &(struct delivery_options){ .priority = 9 }, 0);
	for (int i = 0; i < 8 && !met; i++) {
		lease(s, &a);
		met = str_starts(str_c(a.text), STR("1:"));
	}
	assert_true(met);
	store_close(&s);
}

/* RFC 3461 5.2.3 */
static void who_wants_to_hear_of_a_delivery_here_is_told_of_it(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	struct mail_test m = { .id = 7,
		.sender = "joe@far.example",
		.to = "ann@example.org",
		.body = "hello",
		.notify = 2 };
	struct tell t = { .holder = 1,
		.state = STORE_DELIVERED,
		.report = "Subject: delivered\r\n\r\nit is\r\n",
		.report_id = 70 };
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(m.local, 1);
	assert_int_equal(m.queued, 0);
	lease(s, &a);
	assert_string_equal(a.text, "7:example.org[ann@example.org/0] ");
	assert_true(a.delivered);
	t.lease = a.lease[0];
	t.rcpt = a.rcpt[0];
	assert_int_equal(tell(s, &t), ERR_NONE);
	lease(s, &a);
	assert_string_equal(a.text, "70:far.example[joe@far.example/0] ");
	m.id = 8;
	m.sender = "";
	assert_int_equal(mail(s, &m, &err), 0);
	lease(s, &a);
	assert_string_equal(a.text, "");
	store_close(&s);
}

static void what_a_message_asks_for_comes_with_its_lease(void **state)
{
	struct store *s = open_store(state);
	struct ask a = { .holder = 1 };
	const struct delivery_options o = { .body_type = 2,
		.hold_until = 5,
		.deliver_by = INT64_C(1893456000000000001),
		.by_mode = 6,
		.priority = -3,
		.require_tls = true };

	mail_with(s, 7, "x@a.example", &o, 1234567891);
	store_close(&s);
	s = open_store(state);
	lease(s, &a);
	assert_string_equal(a.text, "7:a.example[x@a.example/0] ");
	assert_int_equal(a.options.body_type, 2);
	assert_int_equal(a.options.hold_until, 5);
	assert_true(a.options.deliver_by == o.deliver_by);
	assert_int_equal(a.options.by_mode, 6);
	assert_int_equal(a.options.priority, -3);
	assert_true(a.options.require_tls);
	assert_int_equal(a.rrvs, 1234567891);
	assert_int_equal(a.rrvs_mode, 1);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(recipients_of_one_domain_go_together),
		TEST(a_busy_domain_waits),
		TEST(no_more_than_wanted_is_given),
		TEST(what_is_delivered_is_gone_for_good),
		TEST(what_is_deferred_comes_back_when_it_is_due),
		TEST(a_retry_at_once_counts_the_attempt),
		TEST(a_lease_ends_with_its_holder),
		TEST(a_report_reaches_a_sender_here_with_the_end_of_the_message),
		TEST(a_report_to_a_sender_elsewhere_is_queued_and_causes_none),
		TEST(the_operator_holds_releases_and_drops),
		TEST(a_hold_while_it_is_tried_stays),
		TEST(a_queued_message_is_sent_as_it_was_accepted),
		TEST(a_held_message_is_not_given_before_its_time),
		TEST(a_held_message_for_a_mailbox_here_waits_as_well),
		TEST(a_mailbox_that_is_gone_when_its_time_comes_is_reported),
		TEST(a_report_to_a_mailbox_that_is_full_does_not_keep_the_message),
		TEST(half_a_report_is_none),
		TEST(a_mailbox_that_stays_full_when_its_time_comes_is_reported),
		TEST(a_lease_that_fails_forgets_nothing_that_is_due),
		TEST(what_is_urgent_goes_first),
		TEST(what_waits_longest_is_not_starved),
		TEST(who_wants_to_hear_of_a_delivery_here_is_told_of_it),
		TEST(what_a_message_asks_for_comes_with_its_lease),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
