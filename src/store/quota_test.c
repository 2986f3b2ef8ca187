/* Quotas, and that the counters under them are exact whatever happens to the mail. */
#include "store/store_help_test.h"

#include <inttypes.h>

static uint32_t seed = 1;

static uint32_t random_below(uint32_t n)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 16) % n;
}

static const char *const logins[] = { "ann@example.org", "bob@example.org", "carl@second.example" };
static const char *const boxes[] = { "INBOX", "Archive", "Extra" };

static int quotas(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_domain_quota(t, STR("example.org"), 1 << 20, 1 << 30, err) < 0 ||
			directory_account_quota(t, STR("ann@example.org"), 1 << 20, 0, err) < 0
		? -1
		: 0;
}

struct step {
	uint64_t id;
};

static int random_copy(struct txn *t, uint64_t account, const struct mailbox *from,
	const struct mailbox *to, bool move, struct err *err)
{
	struct range_list a = RANGE_LIST, b = RANGE_LIST;
	struct buf ranges = BUF(100);
	uint32_t first = 1 + random_below(from->uidnext);
	struct entry_copy q = {
		.account = account, .mailbox = from->id, .target = to->id, .move = move
	};
	uint64_t modseq;
	int r;

	effect_uid_range_put(&ranges, &(struct effect_uid_range){ first, first + 2 });
	q.ranges = buf_str(&ranges);
	r = entry_copy(t, &q, &a, &b, &modseq, err);
	range_list_free(&a);
	range_list_free(&b);
	buf_free(&ranges);
	return r;
}

static int random_expunge(struct txn *t, uint64_t account, const struct mailbox *m, struct err *err)
{
	struct range_list out = RANGE_LIST;
	struct buf ranges = BUF(100);
	uint32_t first = 1 + random_below(m->uidnext);
	uint64_t modseq;
	int r;

	effect_uid_range_put(&ranges, &(struct effect_uid_range){ first, first + 1 });
	r = entry_expunge(t, account, m->id, buf_str(&ranges), true, &out, &modseq, err);
	range_list_free(&out);
	buf_free(&ranges);
	return r;
}

/* One change of somebody's mail. */
static int step(struct txn *t, void *arg, struct err *err)
{
	struct step *s = arg;
	struct directory_login who;
	struct err why = ERR_INIT;
	struct mailbox from, to;
	uint64_t id;

	if (directory_login(&t->view, str_c(logins[random_below(3)]), &who, err) < 0)
		return -1;
	if (mailbox_find(&t->view, who.account, str_c(boxes[2]), &to, &why) < 0)
		return mailbox_create(t, who.account, str_c(boxes[2]), 0, &id, err);
	if (mailbox_find(&t->view, who.account, str_c(boxes[random_below(3)]), &from, err) < 0 ||
		mailbox_find(&t->view, who.account, str_c(boxes[random_below(3)]), &to, err) < 0)
		return -1;
	switch (random_below(8)) {
	case 0:
		return mailbox_delete(t, who.account, STR("Extra"), err);
	case 1:
		return from.id == to.id ? 0 : random_copy(t, who.account, &from, &to, true, err);
	case 2:
	case 3:
		return random_copy(t, who.account, &from, &to, false, err);
	case 4:
		return random_expunge(t, who.account, &from, err);
	case 5: {
		struct delivery_append a = { .account = who.account,
			.mailbox = str_c(boxes[random_below(3)]),
			.keywords = STR(""),
			.body = { .size = t->body.n, .facts = STR("facts") } };
		uint32_t uidvalidity, uid;

		return delivery_append(t, &a, &uidvalidity, &uid, err);
	}
	default: {
		struct mail_test m = { .id = ++s->id,
			.sender = "them@example.net",
			.to = "ann@example.org bob@example.org carl@second.example",
			.body = "0123456789" };

		return run_mail(t, &m, err);
	}
	}
}

static int64_t number(struct view *v, const char *sql, const char *arg)
{
	struct err err = ERR_INIT;
	int64_t n = 0;

	if (db_int(v->db, &n, sql, DB_ARGS(DB_T(str_c(arg))), &err) < 0)
		fail_msg("%s", err.msg);
	return n;
}

static int check(struct view *v, void *arg, struct err *err)
{
	(void)arg, (void)err;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			number(v, "SELECT messages FROM account WHERE login = $1", logins[i]),
			number(v,
				"SELECT count(*) FROM entry e JOIN account a ON a.id = e.account"
				" JOIN mailbox m ON m.account = e.account AND m.id = e.mailbox"
				" WHERE a.login = $1 AND m.removed = 0",
				logins[i]));
		assert_int_equal(number(v, "SELECT bytes FROM account WHERE login = $1", logins[i]),
			number(v,
				"SELECT sum(e.size) FROM entry e JOIN account a ON a.id = e.account"
				" JOIN mailbox m ON m.account = e.account AND m.id = e.mailbox"
				" WHERE a.login = $1 AND m.removed = 0",
				logins[i]));
	}
	assert_int_equal(number(v, "SELECT messages FROM domain WHERE name = $1", "example.org"),
		number(v, "SELECT sum(messages) FROM account WHERE login LIKE '%@' || $1",
			"example.org"));
	assert_int_equal(number(v, "SELECT bytes FROM domain WHERE name = $1", "example.org"),
		number(v, "SELECT sum(bytes) FROM account WHERE login LIKE '%@' || $1",
			"example.org"));
	return 0;
}

static int remove_bob(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_remove(t, STR("bob@example.org"), &account, err);
}

static void the_counters_are_exact_after_whatever_happens(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .retention = 1 };
	struct store *s = open_store_with(test_dir(state), &o);
	struct buf live;
	struct step st = { 0 };
	struct err err;

	for (int i = 0; i < 3; i++)
		add_account(s, logins[i]);
	assert_int_equal(change(s, quotas, NULL, &err), 0);
	for (int i = 0; i < 600; i++) {
		if (change_with_body(s, step, &st, STR("0123456789"), &err) < 0)
			fail_msg("step %d: %s", i, err.msg);
		if (i % 20 == 0)
			assert_int_equal(look(s, check, NULL, &err), 0);
	}
	assert_int_equal(change(s, remove_bob, NULL, &err), 0);
	add_account(s, "bob@example.org");
	must_mail(s, 9999, "bob@example.org", "0123456789");
	assert_int_equal(look(s, check, NULL, &err), 0);
	store_close(&s);
	show_index(test_dir(state), "index.db", &live);
	drop_index(test_dir(state));
	s = open_store_with(test_dir(state), &(struct store_options){ .segment_bytes = 1 << 20 });
	assert_int_equal(look(s, check, NULL, &err), 0);
	store_close(&s);
	assert_true(live.n > 10000);
	must_show(test_dir(state), &live);
	buf_free(&live);
}

/* --- limits --- */

static int set_quota(struct txn *t, void *arg, struct err *err)
{
	const uint64_t *q = arg;

	return directory_account_quota(t, STR("ann@example.org"), q[0], q[1], err);
}

static void quota(struct store *s, uint64_t messages, uint64_t bytes)
{
	uint64_t q[2] = { messages, bytes };
	struct err err;

	assert_int_equal(change(s, set_quota, q, &err), 0);
}

struct question {
	const char *address;
	uint64_t size;
	struct directory_rcpt found;
};

static int ask(struct view *v, void *arg, struct err *err)
{
	struct question *q = arg;

	return directory_rcpt(v, str_c(q->address), false, q->size, &q->found, err);
}

static enum err_kind rcpt(struct store *s, const char *address, uint64_t size, bool *newly_full)
{
	struct question q = { .address = address, .size = size };
	struct err err;
	enum err_kind kind = look(s, ask, &q, &err) < 0 ? err.kind : ERR_NONE;

	if (newly_full)
		*newly_full = q.found.newly_full;
	return kind;
}

static void a_mailbox_that_is_full_takes_no_more(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = {
		.id = 9, .sender = "x@y.example", .to = "ann@example.org", .body = "12345678"
	};
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "info@example.org", "ann@example.org");
	add_alias(s, "all@example.org", "ann@example.org bob@example.org");
	quota(s, 0, 1000);
	assert_int_equal(rcpt(s, "ann@example.org", 1000, NULL), ERR_NONE);
	assert_int_equal(rcpt(s, "ann@example.org", 1001, NULL), ERR_QUOTA);
	quota(s, 2, 0);
	must_mail(s, 1, "ann@example.org", "one");
	must_mail(s, 2, "info@example.org", "two");
	assert_int_equal(rcpt(s, "ann+x@example.org", 0, NULL), ERR_QUOTA);
	assert_int_equal(rcpt(s, "info@example.org", 0, NULL), ERR_QUOTA);
	assert_int_equal(rcpt(s, "all@example.org", 0, NULL), ERR_NONE);
	assert_int_equal(mail(s, &m, &err), -1);
	assert_int_equal(err.kind, ERR_QUOTA);
	m.to = "all@example.org";
	assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(m.local, 1);
	assert_int_equal(m.queued, 1); /* for the report */
	quota(s, 0, 0);
	assert_int_equal(rcpt(s, "ann@example.org", UINT64_C(1) << 40, NULL), ERR_NONE);
	store_close(&s);
}

static int note(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_note_full(t, STR("ann@example.org"), 0, err);
}

static int64_t full_since(struct store *s);

static int ask_full_since(struct view *v, void *arg, struct err *err)
{
	(void)err;
	*(int64_t *)arg =
		number(v, "SELECT full_since FROM account WHERE login = $1", "ann@example.org");
	return 0;
}

static int64_t full_since(struct store *s)
{
	struct err err;
	int64_t t = -1;

	assert_int_equal(look(s, ask_full_since, &t, &err), 0);
	return t;
}

static int long_ago(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return emit_account_full(t, &(struct effect_account_full){ 1, t->now - 6 * 86400 }, err);
}

static void after_the_grace_there_is_no_more_hope(void **state)
{
	struct store *s = open_store(state);
	bool newly = false;
	struct err err;

	add_account(s, "ann@example.org");
	quota(s, 1, 0);
	must_mail(s, 1, "ann@example.org", "one");
	assert_int_equal(rcpt(s, "ann@example.org", 0, &newly), ERR_QUOTA);
	assert_true(newly);
	assert_int_equal(change(s, note, NULL, &err), 0);
	assert_true(full_since(s) > 0);
	assert_int_equal(rcpt(s, "ann@example.org", 0, &newly), ERR_QUOTA);
	assert_false(newly);
	assert_int_equal(change(s, long_ago, NULL, &err), 0);
	assert_int_equal(rcpt(s, "ann@example.org", 0, &newly), ERR_QUOTA_LONG);
	quota(s, 2, 0);
	assert_int_equal(rcpt(s, "ann@example.org", 0, &newly), ERR_NONE);
	must_mail(s, 2, "ann@example.org", "two");
	assert_int_equal(rcpt(s, "ann@example.org", 0, &newly), ERR_QUOTA);
	assert_true(newly);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_EMBEDDED(the_counters_are_exact_after_whatever_happens),
		TEST(a_mailbox_that_is_full_takes_no_more),
		TEST(after_the_grace_there_is_no_more_hope),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
