/* Mail that was deleted comes back once, whole, and is counted. */
#include "store/store_help_test.h"
#include "store/undelete.h"

#include <inttypes.h>

#define ANN "ann@example.org"

static void must(struct store *s, int (*run)(struct txn *, void *, struct err *), void *arg)
{
	struct err err;

	if (change(s, run, arg, &err) < 0)
		fail_msg("%s", err.msg);
}

struct doing {
	uint64_t mailbox;
	const char *name;
	uint32_t first, last;
	uint32_t flags;
	struct undeleted done;
};

static bool ignore_flags(void *arg, uint32_t uid, uint32_t flags, struct str words, uint64_t modseq)
{
	(void)arg, (void)uid, (void)flags, (void)words, (void)modseq;
	return true;
}

static struct str range_of(const struct doing *d, struct buf *b)
{
	effect_uid_range_put(b, &(struct effect_uid_range){ d->first, d->last });
	return buf_str(b);
}

static int run_flags(struct txn *t, void *arg, struct err *err)
{
	struct range_list failed = RANGE_LIST;
	struct buf b = BUF(100);
	struct doing *d = arg;
	const struct entry_flags q = { .account = 1,
		.mailbox = d->mailbox,
		.ranges = range_of(d, &b),
		.op = ENTRY_ADD,
		.flags = d->flags,
		.keywords = STR("Work") };
	uint64_t modseq;
	uint32_t next;
	int r = entry_set_flags(t, &q, ignore_flags, NULL, &failed, &next, &modseq, err);

	range_list_free(&failed);
	buf_free(&b);
	return r;
}

static int run_expunge(struct txn *t, void *arg, struct err *err)
{
	struct range_list gone = RANGE_LIST;
	struct buf b = BUF(100);
	struct doing *d = arg;
	uint64_t modseq;
	int r = entry_expunge(t, 1, d->mailbox, range_of(d, &b), true, &gone, &modseq, err);

	range_list_free(&gone);
	buf_free(&b);
	return r;
}

static int run_undelete(struct txn *t, void *arg, struct err *err)
{
	struct buf b = BUF(100);
	struct doing *d = arg;
	int r = undelete(t, 1, d->mailbox, range_of(d, &b), &d->done, err);

	buf_free(&b);
	return r;
}

static int run_move(struct txn *t, void *arg, struct err *err)
{
	struct range_list from = RANGE_LIST, to = RANGE_LIST;
	struct buf b = BUF(100);
	struct doing *d = arg;
	const struct entry_copy q = { 1, d->mailbox, range_of(d, &b), 5, true };
	uint64_t modseq;
	int r = entry_copy(t, &q, &from, &to, &modseq, err);

	range_list_free(&from);
	range_list_free(&to);
	buf_free(&b);
	return r;
}

static int run_delete_box(struct txn *t, void *name, struct err *err)
{
	return mailbox_delete(t, 1, str_c(name), err);
}

static int run_rename_inbox(struct txn *t, void *name, struct err *err)
{
	return mailbox_rename(t, 1, STR("INBOX"), str_c(name), err);
}

static int run_domain_quota(struct txn *t, void *arg, struct err *err)
{
	return directory_domain_quota(t, STR("example.org"), *(uint64_t *)arg, 1 << 20, err);
}

static int run_remove(struct txn *t, void *arg, struct err *err)
{
	return directory_account_remove(t, STR(ANN), arg, err);
}

static int run_restore(struct txn *t, void *arg, struct err *err)
{
	return directory_account_restore(t, STR("Ann@Example.ORG"), arg, err);
}

static int look_counters(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg,
		       "SELECT"
		       " (SELECT count(*) FROM email e WHERE links <>"
		       "  (SELECT count(*) FROM entry x WHERE x.account = e.account AND x.email = "
		       "e.id)"
		       "  + (SELECT count(*) FROM ghost x WHERE x.account = e.account AND x.email "
		       "= e.id))"
		       " + (SELECT count(*) FROM mailbox m WHERE messages <> (SELECT count(*) FROM "
		       "entry e"
		       "  WHERE e.account = m.account AND e.mailbox = m.id)"
		       "  OR bytes <> (SELECT coalesce(sum(size), 0) FROM entry e"
		       "  WHERE e.account = m.account AND e.mailbox = m.id)"
		       "  OR unseen <> (SELECT count(*) FROM entry e WHERE e.account = m.account"
		       "  AND e.mailbox = m.id AND (flags & 1) = 0))"
		       " + (SELECT count(*) FROM account a WHERE (messages, bytes) <>"
		       "  (SELECT coalesce(sum(m.messages), 0), coalesce(sum(m.bytes), 0) FROM "
		       "mailbox m"
		       "  WHERE m.account = a.id AND m.removed = 0))"
		       " + (SELECT count(*) FROM domain d WHERE quota_bytes <> 0 AND (messages, "
		       "bytes) <>"
		       "  (SELECT coalesce(sum(a.messages), 0), coalesce(sum(a.bytes), 0) FROM "
		       "account a"
		       "  WHERE a.charged = d.id))",
		       DB_NOARGS, err) < 0
		? -1
		: 0;
}

/* Every counter is what it counts. */
static void assert_counted(struct store *s)
{
	int64_t wrong = -1;
	struct err err;

	if (look(s, look_counters, &wrong, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(wrong, 0);
}

static void assert_box(struct store *s, const char *name, const char *text)
{
	struct box_test b;

	box(s, ANN, name, &b);
	assert_string_equal(b.text, text);
}

static bool count_row(void *arg, const struct undelete_row *row)
{
	struct doing *d = arg;

	assert_true(row->facts.n > 0);
	d->done.messages++;
	d->done.next = row->uid;
	return true;
}

static int look_deleted(struct view *v, void *arg, struct err *err)
{
	struct doing *d = arg;
	const struct undelete_query q = { 1, d->mailbox, d->first, 0, INT64_MAX };

	d->done = (struct undeleted){ 0 };
	return undelete_list(v, &q, count_row, d, err);
}

static uint64_t deleted_in(struct store *s, uint64_t mailbox)
{
	struct doing d = { .mailbox = mailbox };
	struct err err;

	if (look(s, look_deleted, &d, &err) < 0)
		fail_msg("%s", err.msg);
	return d.done.messages;
}

static void what_was_expunged_comes_back_once(void **state)
{
	struct store *s = open_store(state);
	struct doing d = {
		.mailbox = 1, .first = 1, .last = 2, .flags = STORE_SEEN | STORE_DELETED
	};
	uint64_t quota = 5;

	add_account(s, ANN);
	must(s, run_domain_quota, &quota);
	for (uint64_t i = 1; i <= 3; i++)
		must_mail(s, i, ANN, i == 1 ? "one" : i == 2 ? "two" : "three");
	must(s, run_flags, &d);
	must(s, run_expunge, &d);
	assert_box(s, "INBOX", "3:0::three ");
	assert_int_equal(deleted_in(s, 1), 2);
	d.first = 0;
	d.last = 1;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 1);
	assert_box(s, "INBOX", "3:0::three 4:1:Work:one ");
	d.last = UINT32_MAX;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 1);
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 0);
	assert_box(s, "INBOX", "3:0::three 4:1:Work:one 5:1:Work:two ");
	assert_int_equal(deleted_in(s, 1), 0);
	assert_counted(s);
	store_close(&s);
}

static void what_was_moved_is_not_deleted(void **state)
{
	struct store *s = open_store(state);
	struct doing d = { .mailbox = 1, .first = 1, .last = 1 };

	add_account(s, ANN);
	must_mail(s, 1, ANN, "one");
	must(s, run_move, &d);
	must_mail(s, 2, ANN, "two");
	must(s, run_rename_inbox, (char[]){ "Old" });
	assert_int_equal(deleted_in(s, 1), 0);
	d.last = UINT32_MAX;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 0);
	store_close(&s);
}

static void a_deleted_mailbox_comes_back_by_its_name(void **state)
{
	struct store *s = open_store(state);
	struct doing d = { .mailbox = 7, .first = 1, .last = 1 };
	uint64_t quota = 5;

	add_account(s, ANN);
	must(s, run_domain_quota, &quota);
	must_mail(s, 1, ANN, "one");
	must_mail(s, 2, ANN, "two");
	must(s, run_rename_inbox, (char[]){ "Work/New" });
	must(s, run_expunge, &d);
	must(s, run_delete_box, (char[]){ "Work/New" });
	assert_counted(s);
	assert_int_equal(deleted_in(s, 7), 2);
	d.last = UINT32_MAX;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 2);
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 0);
	assert_box(s, "Work/New", "1:0::one 2:0::two ");
	assert_counted(s);
	store_close(&s);
}

static void no_more_comes_back_than_there_is_room_for(void **state)
{
	struct store *s = open_store(state);
	struct doing d = { .mailbox = 1, .first = 1, .last = 2 };
	uint64_t quota = 2;
	struct err err;

	add_account(s, ANN);
	must_mail(s, 1, ANN, "one");
	must_mail(s, 2, ANN, "two");
	must(s, run_expunge, &d);
	must_mail(s, 3, ANN, "three");
	must(s, run_domain_quota, &quota);
	assert_int_equal(change(s, run_undelete, &d, &err), -1);
	assert_int_equal(err.kind, ERR_QUOTA);
	assert_box(s, "INBOX", "3:0::three ");
	assert_counted(s);
	store_close(&s);
}

static void a_step_brings_back_so_many_and_says_where_to_go_on(void **state)
{
	struct store *s = open_store(state);
	struct doing d = { .mailbox = 1, .first = 1, .last = UINT32_MAX };

	add_account(s, ANN);
	for (uint64_t i = 1; i <= UNDELETE_STEP + 5; i++)
		must_mail(s, i, ANN, "x");
	must(s, run_expunge, &d);
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, UNDELETE_STEP);
	assert_int_equal(d.done.next, UNDELETE_STEP + 1);
	d.first = d.done.next;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 5);
	assert_int_equal(d.done.next, 0);
	assert_counted(s);
	store_close(&s);
}

static void a_removed_account_comes_back_with_its_mail(void **state)
{
	struct store *s = open_store(state);
	uint64_t account = 0, quota = 5;
	struct err err;

	add_account(s, ANN);
	must(s, run_domain_quota, &quota);
	must_mail(s, 1, ANN, "one");
	assert_int_equal(change(s, run_restore, &account, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	must(s, run_remove, &account);
	assert_counted(s);
	account = 0;
	must(s, run_restore, &account);
	assert_int_equal(account, 1);
	assert_box(s, "INBOX", "1:0::one ");
	must_mail(s, 2, ANN, "two");
	assert_box(s, "INBOX", "1:0::one 2:0::two ");
	assert_counted(s);
	/* When the login has a new owner, it is theirs. */
	must(s, run_remove, &account);
	add_account(s, ANN);
	assert_int_equal(change(s, run_restore, &account, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_box(s, "INBOX", "");
	store_close(&s);
}

static void who_was_never_here_does_not_come_back(void **state)
{
	struct store *s = open_store(state);
	uint64_t account;
	struct err err;

	add_account(s, "bob@example.org");
	assert_int_equal(change(s, run_restore, &account, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	store_close(&s);
}

static void what_is_going_for_good_does_not_come_back(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .retention = -60 };
	struct store *s = open_store_with(test_dir(state), &o);
	uint64_t account;
	struct err err;

	add_account(s, ANN);
	must(s, run_remove, &account);
	assert_int_equal(change(s, run_restore, &account, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	store_close(&s);
}

static void the_log_alone_brings_back_the_same(void **state)
{
	struct buf first;
	struct store *s = open_store(state);
	struct doing d = { .mailbox = 1, .first = 1, .last = 1, .flags = STORE_DELETED };
	int dir = test_dir(state);
	uint64_t account, quota = 9;

	add_account(s, ANN);
	must(s, run_domain_quota, &quota);
	must_mail(s, 1, ANN, "one");
	must_mail(s, 2, ANN, "two");
	must(s, run_flags, &d);
	must(s, run_expunge, &d);
	must(s, run_undelete, &d);
	must(s, run_rename_inbox, (char[]){ "Work" });
	must(s, run_delete_box, (char[]){ "Work" });
	d.mailbox = 7;
	d.last = 9;
	must(s, run_undelete, &d);
	assert_int_equal(d.done.messages, 2);
	must(s, run_remove, &account);
	must(s, run_restore, &account);
	store_close(&s);
	show_index(dir, "index.db", &first);
	drop_index(dir);
	s = open_store(state);
	assert_counted(s);
	store_close(&s);
	must_show(dir, &first);
	buf_free(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_expunged_comes_back_once),
		TEST(what_was_moved_is_not_deleted),
		TEST(a_deleted_mailbox_comes_back_by_its_name),
		TEST(no_more_comes_back_than_there_is_room_for),
		TEST(a_step_brings_back_so_many_and_says_where_to_go_on),
		TEST(a_removed_account_comes_back_with_its_mail),
		TEST(who_was_never_here_does_not_come_back),
		TEST(what_is_going_for_good_does_not_come_back),
		TEST_EMBEDDED(the_log_alone_brings_back_the_same),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
