/* What was decided once is not decided again: an index that is made anew from the log, under other
 * settings, is the index that was there, row for row. */
#include "store/sending.h"
#include "store/store_help_test.h"

#include <time.h>

static struct store *open_with_caps(void **state, int64_t messages, int64_t recipients)
{
	const struct store_options o = { .segment_bytes = 1 << 20,
		.quota_grace = 1000,
		.cap_messages = messages,
		.cap_recipients = recipients };

	return open_store_with(test_dir(state), &o);
}

static void must(struct store *s, int (*run)(struct txn *, void *, struct err *), void *arg)
{
	struct err err;

	if (change_with_body(s, run, arg, STR("hello"), &err) < 0)
		fail_msg("%s", err.msg);
}

struct message {
	uint64_t id, account;
	const char *sender, *to;
	struct delivery_options options;
	uint8_t notify;
	bool tell; /* who is left out is told at once */
	unsigned left_out;
};

static void leave_out(void *arg, size_t rcpt, const struct err *why)
{
	(void)rcpt, (void)why;
	++*(unsigned *)arg;
}

static int run_message(struct txn *t, void *arg, struct err *err)
{
	struct message *m = arg;
	struct delivery_rcpt rcpts[8] = { 0 };
	struct delivery d = { .id = m->id,
		.account = m->account,
		.anywhere = true,
		.any_sender = m->account == 0,
		.sender = str_c(m->sender),
		.options = m->options,
		.prefix = STR("Received: by us\r\n"),
		.body = { .size = t->body.n, .facts = STR("facts"), .refs = STR("12345678") },
		.rcpts = rcpts,
		.refuse = m->tell ? leave_out : NULL,
		.refuse_arg = &m->left_out };
	struct str rest = str_c(m->to);
	uint32_t local, queued;

	for (; rest.n; d.rcpt_count++)
		rcpts[d.rcpt_count] = (struct delivery_rcpt){
			.address = str_word(&rest, ' '), .notify = m->notify, .rrvs = 1400000000
		};
	return delivery_accept(t, &d, &local, &queued, err);
}

static int set_limits(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_domain_quota(t, STR("example.org"), 1000, 1 << 20, err) < 0 ||
			directory_account_quota(t, STR("bob@example.org"), 1, 0, err) < 0 ||
			directory_account_caps(t, STR("bob@example.org"), -1, 7, err) < 0 ||
			directory_identity_add(
				t, STR("ann@example.org"), STR("a@other.example"), err) < 0
		? -1
		: 0;
}

static int note_full(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_note_full(t, STR("bob@example.org"), 1, err);
}

static int release_ann(struct txn *t, void *arg, struct err *err)
{
	return queue_change(t, 0, 1, QUEUE_OP_RELEASE, arg, err);
}

static int make_due(struct txn *t, void *arg, struct err *err)
{
	return queue_change(t, 0, 0, QUEUE_OP_RETRY, arg, err);
}

/* Takes all leases; every other recipient has failed, which is reported. */
static int send_all(struct txn *t, void *arg, struct err *err)
{
	const struct queue_lease_query q = { .holder = 1, .max = 100, .room = 60000 };
	struct arena arena = ARENA(16 << 20);
	uint64_t *id = arg;
	struct queue_lease *l;
	int64_t due;
	int r = queue_lease(t, &q, &arena, &l, &due, err);

	for (; r == 0 && l; l = l->next) {
		const bool failed = ++*id % 2;
		const struct queue_result one = { .rcpt = l->rcpts[0].id,
			.state = failed ? STORE_FAILED : STORE_DEFERRED,
			.retry_after = 60,
			.code = 450,
			.status = STR("4.0.0"),
			.text = STR("said so"),
			.remote = STR("mx.example") };
		const struct queue_report report = {
			.wanted = failed, .id = *id, .body = { .size = t->body.n }
		};

		r = queue_results(t, 1, l->id, &one, 1, &report, err);
	}
	arena_free(&arena);
	return r;
}

static int told(struct txn *t, void *arg, struct err *err)
{
	return sending_told(t, 1, arg, err);
}

static int disable_bob(struct txn *t, void *arg, struct err *err)
{
	return directory_account_enable(t, STR("bob@example.org"), false, arg, err);
}

static void live(struct store *s)
{
	const struct delivery_options later = {
		.hold_until = ((int64_t)time(NULL) + 3600) * 1000000000, .priority = 3
	};
	const struct delivery_options by = { .deliver_by = INT64_MAX, .by_mode = 1 };
	uint64_t account, id = 1000;
	uint32_t changed;
	bool due;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "all@example.org", "ann@example.org bob@example.org c@far.example");
	must(s, set_limits, NULL);
#define MESSAGE(...) must(s, run_message, &(struct message){ __VA_ARGS__ })
	MESSAGE(1, 0, "x@far.example", "ann@example.org bob@example.org", .notify = 2);
	MESSAGE(2, 0, "x@far.example", "ann@example.org bob@example.org");
	MESSAGE(3, 0, "x@far.example", "ann@example.org bob@example.org", .tell = true);
	must(s, note_full, NULL);
	MESSAGE(4, 1, "ann@example.org", "a@far.example b@far.example", by);
	MESSAGE(5, 1, "ann@example.org", "c@far.example ann@example.org");
	must(s, release_ann, &changed);
	assert_int_equal(changed, 1);
	MESSAGE(6, 1, "ann@example.org", "d@far.example");
	must(s, told, &due);
	MESSAGE(7, 0, "", "all@example.org", later);
	MESSAGE(8, 1, "ann@example.org", "ann@example.org", later, .notify = 2);
	must(s, make_due, &changed);
	must(s, send_all, &id);
	must(s, disable_bob, &account);
	must(s, make_due, &changed);
	must(s, send_all, &id);
}

static int check_links(struct view *v, void *arg, struct err *err)
{
	int64_t wrong = -1, all = 0;

	(void)arg;
	if (db_int(v->db, &all, "SELECT count(*) FROM body", DB_NOARGS, err) < 0 ||
		db_int(v->db, &wrong,
			"SELECT count(*) FROM body b WHERE links <>"
			" (SELECT count(*) FROM email e WHERE e.body = b.id) +"
			" (SELECT count(*) FROM queue_message m WHERE m.body = b.id)",
			DB_NOARGS, err) < 0)
		return -1;
	assert_true(all > 5);
	assert_int_equal(wrong, 0);
	return 0;
}

static int count_rows(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg,
		       "SELECT (SELECT count(*) FROM queue_rcpt WHERE state = 5) * 100"
		       " + (SELECT count(*) FROM correspondent) * 10"
		       " + (SELECT count(*) FROM account WHERE full_since > 0)",
		       DB_NOARGS, err) < 0
		? -1
		: 0;
}

static void what_was_decided_is_not_decided_again(void **state)
{
	struct buf first;
	struct store *s = open_with_caps(state, 0, 2);
	int dir = test_dir(state);
	int64_t rows = 0;
	struct err err;

	live(s);
	assert_int_equal(look(s, check_links, NULL, &err), 0);
	assert_space(s);
	assert_schedule(s);
	assert_int_equal(look(s, count_rows, &rows, &err), 0);
	assert_int_equal(rows, 131); /* frozen; known; full */
	store_close(&s);
	show_index(dir, "index.db", &first);
	drop_index(dir);
	s = open_with_caps(state, 1, 1);
	assert_int_equal(look(s, check_links, NULL, &err), 0);
	assert_space(s);
	assert_schedule(s);
	store_close(&s);
	must_show(dir, &first);
	buf_free(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_decided_is_not_decided_again),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
