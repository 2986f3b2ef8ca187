/* What an account may send a day, and what happens to more. */
#include "store/sending.h"
#include "store/store_help_test.h"

static struct store *open_capped(void **state, int64_t messages, int64_t recipients)
{
	const struct store_options o = {
		.segment_bytes = 1 << 20, .cap_messages = messages, .cap_recipients = recipients
	};

	return open_store_with(test_dir(state), &o);
}

struct submission {
	uint64_t id;
	const char *to;
	uint64_t frozen;
	bool tell;
	char why[SENDING_WHY];
};

static int run_submission(struct txn *t, void *arg, struct err *err)
{
	struct submission *s = arg;
	struct delivery_rcpt rcpts[16] = { 0 };
	struct delivery d = { .id = s->id,
		.account = 1,
		.sender = STR("ann@example.org"),
		.anywhere = true,
		.rcpts = rcpts,
		.body = { .size = t->body.n, .facts = STR("facts") } };
	struct str rest = str_c(s->to);
	uint32_t local, queued;
	int r;

	while (rest.n)
		rcpts[d.rcpt_count++].address = str_word(&rest, ' ');
	r = delivery_accept(t, &d, &local, &queued, err);
	s->frozen = t->frozen;
	s->tell = t->frozen_tell;
	snprintf(s->why, sizeof s->why, "%s", t->frozen ? t->frozen_why : "");
	return r;
}

/* True: it went through. */
static bool submit(struct store *s, const char *to)
{
	static uint64_t id;
	struct submission m = { .id = ++id, .to = to };
	struct err err;

	if (change_with_body(s, run_submission, &m, STR("hello"), &err) < 0)
		fail_msg("%s: %s", to, err.msg);
	return !m.frozen;
}

static int count_held(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg, "SELECT count(*) FROM queue_rcpt WHERE state = 5", DB_NOARGS,
		       err) < 0
		? -1
		: 0;
}

static int64_t held(struct store *s)
{
	struct err err;
	int64_t n = -1;

	assert_int_equal(look(s, count_held, &n, &err), 0);
	return n;
}

static void only_whom_one_never_wrote_to_is_new(void **state)
{
	struct store *s = open_capped(state, 0, 3);

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	assert_true(submit(s, "a@far.example b@far.example bob@example.org"));
	assert_true(submit(s, "A@far.example b@far.example"));
	assert_true(submit(s, "c@far.example"));
	assert_false(submit(s, "d@far.example"));
	assert_false(submit(s, "a@far.example d@far.example"));
	assert_true(submit(s, "a@far.example b@far.example c@far.example"));
	assert_true(submit(s, "bob@example.org"));
	assert_int_equal(held(s), 3);
	store_close(&s);
	/* Also after a restart, and from the log alone. */
	unlinkat(test_dir(state), "index.db", 0);
	unlinkat(test_dir(state), "index.db-wal", 0);
	s = open_capped(state, 0, 3);
	assert_true(submit(s, "a@far.example"));
	assert_false(submit(s, "e@far.example"));
	assert_int_equal(held(s), 4);
	store_close(&s);
}

static int set_caps(struct txn *t, void *arg, struct err *err)
{
	const int64_t *c = arg;

	return directory_account_caps(t, STR("ann@example.org"), c[0], c[1], err);
}

static void caps(struct store *s, int64_t messages, int64_t recipients)
{
	int64_t c[2] = { messages, recipients };
	struct err err;

	assert_int_equal(change(s, set_caps, c, &err), 0);
}

static void messages_are_counted_and_an_account_may_have_its_own_cap(void **state)
{
	struct store *s = open_capped(state, 2, 0);

	add_account(s, "ann@example.org");
	assert_true(submit(s, "a@far.example"));
	assert_true(submit(s, "a@far.example"));
	assert_false(submit(s, "a@far.example"));
	caps(s, 3, 0);
	assert_true(submit(s, "a@far.example"));
	assert_false(submit(s, "a@far.example"));
	caps(s, -1, 0);
	assert_true(submit(s, "a@far.example"));
	caps(s, 0, 0);
	assert_false(submit(s, "a@far.example"));
	store_close(&s);
}

static void where_a_list_leads_is_not_counted(void **state)
{
	struct store *s = open_capped(state, 0, 1);

	add_account(s, "ann@example.org");
	add_alias(s, "list@example.org", "a@far.example b@far.example c@far.example");
	assert_true(submit(s, "list@example.org"));
	assert_true(submit(s, "x@far.example"));
	assert_false(submit(s, "y@far.example"));
	store_close(&s);
}

static int yesterday(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return emit_sending(t,
		&(struct effect_sending){ .account = 1,
			.day = t->now / 86400 - 2,
			.messages = 1000,
			.recipients = 1000 },
		err);
}

static void what_was_sent_before_yesterday_is_over(void **state)
{
	struct store *s = open_capped(state, 5, 5);
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(change(s, yesterday, NULL, &err), 0);
	assert_true(submit(s, "a@far.example"));
	store_close(&s);
}

static int release(struct txn *t, void *arg, struct err *err)
{
	return queue_change(t, 0, *(uint64_t *)arg, QUEUE_OP_RELEASE, &(uint32_t){ 0 }, err);
}

static void what_is_released_goes_and_is_known(void **state)
{
	struct store *s = open_capped(state, 0, 1);
	uint64_t nobody = 2, ann = 1;
	struct err err;

	add_account(s, "ann@example.org");
	assert_true(submit(s, "a@far.example"));
	assert_false(submit(s, "b@far.example"));
	assert_int_equal(change(s, release, &nobody, &err), 0);
	assert_int_equal(held(s), 1);
	assert_int_equal(change(s, release, &ann, &err), 0);
	assert_int_equal(held(s), 0);
	assert_true(submit(s, "b@far.example"));
	store_close(&s);
}

static int told(struct txn *t, void *arg, struct err *err)
{
	return sending_told(t, 1, arg, err);
}

static bool add_one(void *arg, uint64_t account)
{
	*(uint64_t *)arg += account;
	return true;
}

static int untold(struct view *v, void *arg, struct err *err)
{
	return sending_untold(v, add_one, arg, err);
}

static void the_owner_is_told_once_a_day(void **state)
{
	struct store *s = open_capped(state, 1, 0);
	struct submission m = { .id = 1000, .to = "a@far.example" };
	uint64_t waiting = 0;
	struct err err;
	bool due = false;

	add_account(s, "ann@example.org");
	assert_true(submit(s, "a@far.example"));
	assert_int_equal(change_with_body(s, run_submission, &m, STR("x"), &err), 0);
	assert_true(m.frozen == 1 && m.tell);
	assert_string_equal(m.why, "frozen: over its cap of 1 messages a day");
	assert_int_equal(look(s, untold, &waiting, &err), 0);
	assert_int_equal(waiting, 1);
	assert_int_equal(change(s, told, &due, &err), 0);
	assert_true(due);
	assert_int_equal(change(s, told, &due, &err), 0);
	assert_false(due);
	m.id = 1001;
	assert_int_equal(change_with_body(s, run_submission, &m, STR("x"), &err), 0);
	assert_true(m.frozen == 1 && !m.tell);
	waiting = 0;
	assert_int_equal(look(s, untold, &waiting, &err), 0);
	assert_int_equal(waiting, 0);
	store_close(&s);
}

static int know_many(struct txn *t, void *arg, struct err *err)
{
	char address[40];

	(void)arg;
	for (int i = 0; i < SENDING_KNOWN + 1; i++) {
		snprintf(address, sizeof address, "%d@far.example", i);
		t->now++; /* each a little later than the one before */
		if (sending_know(t, 1, str_c(address), err) < 0)
			return -1;
	}
	return 0;
}

static int count_known(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg, "SELECT count(*) FROM correspondent", DB_NOARGS, err) < 0 ? -1
											    : 0;
}

static void the_oldest_are_forgotten_when_there_are_too_many(void **state)
{
	struct store *s = open_capped(state, 0, 1);
	struct err err;
	int64_t n = 0;

	add_account(s, "ann@example.org");
	assert_int_equal(change(s, know_many, NULL, &err), 0);
	assert_int_equal(look(s, count_known, &n, &err), 0);
	assert_int_equal(n, SENDING_KNOWN - SENDING_KNOWN / 4);
	assert_true(submit(s, "20000@far.example"));
	assert_true(submit(s, "0@far.example"));  /* new again */
	assert_false(submit(s, "1@far.example")); /* and so is this */
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(only_whom_one_never_wrote_to_is_new),
		TEST(messages_are_counted_and_an_account_may_have_its_own_cap),
		TEST(where_a_list_leads_is_not_counted),
		TEST(what_was_sent_before_yesterday_is_over),
		TEST(what_is_released_goes_and_is_known),
		TEST(the_owner_is_told_once_a_day),
		TEST_EMBEDDED(the_oldest_are_forgotten_when_there_are_too_many),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
