/* fsck: nothing is said of a store that is whole; whatever is broken is found, and what has one
 * right answer is put right; the index made anew is the index that was there. */
#include "store/fsck_test.h"

#include <errno.h>

/* ---- what is whole ---- */

static void of_a_store_that_is_whole_nothing_is_said(void **state)
{
	struct buf before;
	int dir = test_dir(state);
	struct findings all;

	fill_and_close(state);
	show_index(dir, "index.db", &before);
	all = run_fsck(dir, false, false);
	assert_string_equal(all.checks, "");
	assert_int_equal(all.r.wrong, 0);
	assert_true(all.r.records > 10 && all.r.bodies > 7);
	must_show(dir, &before);
	all = run_fsck(dir, true, false);
	assert_int_equal(all.r.wrong, 0);
	must_show(dir, &before);
	buf_free(&before);
}

static void who_has_the_lock_is_not_disturbed(void **state)
{
	struct store *s = open_store(state);
	const struct fsck_options o = { .repair = true };
	struct fsck_result r;
	struct err err = ERR_INIT;

	fill(s);
	assert_int_equal(fsck_run(test_dir(state), &o, &r, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	add_account(s, "d@example.org"); /* and with it all that came before is committed */
	assert_int_equal(fsck_online(test_dir(state), &(struct fsck_options){ 0 }, &r, &err), 0);
	assert_int_equal(r.wrong, 0);
	add_account(s, "e@example.org");
	store_close(&s);
	is_clean(test_dir(state));
}

/* ---- what is broken ---- */

static const struct broken {
	const char *check, *sql;
	bool other; /* what was there does not come back, but all fits again */
} broken[] = {
	{ "mailbox.counters", "UPDATE mailbox SET messages = messages + 1, unseen = 77;\n" },
	{ "mailbox.counters", "UPDATE mailbox SET bytes = 0, deleted = 3 WHERE id = 1;\n" },
	{ "account.counters", "UPDATE account SET messages = 5, bytes = bytes - 1;\n" },
	{ "domain.counters", "UPDATE domain SET messages = 0, bytes = 7;\n" },
	{ "account.charged", "UPDATE account SET charged = 77 WHERE id = 2;\n", true },
	{ "sending.known", "INSERT INTO sending VALUES (1, 0, 0, 0, 0, 0, 0, 0, 9);\n", true },
	{ "mailbox.uidnext", "UPDATE mailbox SET uidnext = 1 WHERE account = 1 AND id = 1;\n" },
	{ "account.modseq", "UPDATE account SET modseq = 1;\n", true },
	{ "account.next", "UPDATE account SET next_email = 1, next_mailbox = 1;\n" },
	{ "account.next", "UPDATE account SET next_uidvalidity = 1;\n" },
	{ "next",
		"UPDATE log_position SET next_domain = 1, next_account = 1, next_address = 1,"
		" next_body = 1, next_rcpt = 1;\n" },
	{ "email.links", "UPDATE email SET links = links + 3;\n" },
	{ "email.links",
		"INSERT INTO email SELECT account, 77, thread, body, size, received, 1,"
		" created, prefix FROM email WHERE account = 1 AND id = 1;\n" },
	{ "body.links", "UPDATE body SET links = 9;\n" },
	{ "body.links",
		"INSERT INTO body SELECT 77, segment, place, blob, size, checksum, 1, facts,"
		" carried, damaged, stored FROM body WHERE id = 1;\n",
		true },
	{ "queue.waiting", "UPDATE queue_message SET waiting = 7;\n" },
	{ "queue.domain", "UPDATE queue_domain SET next = 1;\n" },
	{ "queue.domain", "INSERT INTO queue_domain VALUES ('gone.example', 1);\n" },
	{ "queue.message", "UPDATE queue_rcpt SET message = 99 WHERE domain = 'far.example';\n",
		true },
	{ "queue.body", "UPDATE queue_message SET body = 99;\n", true },
	{ "email.body", "DELETE FROM body WHERE id = 1;\n", true },
	{ "entry.body",
		"DELETE FROM email WHERE account = 1;\n"
		"DELETE FROM body WHERE id = 1;\n",
		true },
	{ "entry.email", "DELETE FROM email WHERE account = 1 AND id = 1;\n", true },
	{ "entry.copies", "UPDATE entry SET body = 3, size = 9 WHERE account = 1 AND uid = 1;\n" },
	{ "email.size", "UPDATE email SET size = 1;\n" },
	{ "ghost.email", "UPDATE ghost SET email = 99;\n", true },
	{ "entry.account", "DELETE FROM account WHERE id = 2;\n", true },
	{ "entry.account", /* and there is one of the name that it would get */
		"UPDATE account SET login = 'recovered-2@localhost' WHERE id = 1;\n"
		"DELETE FROM address WHERE account <> 0;\n"
		"DELETE FROM account WHERE id = 2;\n",
		true },
	{ "entry.mailbox", "DELETE FROM mailbox WHERE account = 1 AND id = 1;\n", true },
	{ "entry.mailbox",
		"UPDATE mailbox SET name = 'Recovered-1' WHERE account = 1 AND id = 2;\n"
		"UPDATE mailbox SET name = 'Recovered-1-1' WHERE account = 1 AND id = 3;\n"
		"DELETE FROM mailbox WHERE account = 1 AND id = 1;\n",
		true },
	{ "account.address", "DELETE FROM address WHERE account = 2;\n", true },
	{ "address.domain", "DELETE FROM domain;\n", true },
	{ "alias.target", "DELETE FROM alias_target;\n", true },
	{ "ghost.mailbox", "UPDATE ghost SET mailbox = 99;\n", true },
	{ "mailbox.account", "UPDATE mailbox SET account = 99 WHERE id = 3 AND account = 1;\n",
		true },
	{ "address.account", "UPDATE address SET account = 99 WHERE account = 0;\n", true },
	{ "address.domain", "UPDATE address SET domain = 99 WHERE account = 0;\n", true },
	{ "address.flags", "UPDATE address SET flags = 1;\n", true },
	{ "alias.address", "UPDATE alias_target SET address = 99;\n", true },
	{ "account.orphans", "UPDATE identity SET account = 99 WHERE account = 1 AND id = 1;\n",
		true },
	{ "account.orphans",
		"INSERT INTO sending VALUES (99, 0, 0, 0, 0, 0, 0, 0, 1);\n"
		"INSERT INTO correspondent VALUES (99, 7, 0);\n",
		true },
	{ "segment.counters", "UPDATE segment SET bytes = bytes + 1, bodies = 0;\n" },
	{ "body.marked", "UPDATE body SET damaged = 7;\n" },
	{ "segment.counters", "INSERT INTO segment VALUES (99, 10, 1);\n" },
};

static void put_right(int dir, const struct broken *b, const struct buf *before)
{
	struct findings all;

	sql(dir, b->sql);
	all = run_fsck(dir, false, false);
	if (!strstr(all.checks, b->check) || all.r.wrong == 0 || all.r.repaired)
		fail_msg("%s: found%s", b->check, all.checks);
	all = run_fsck(dir, true, false);
	if (all.r.wrong != all.r.repaired || all.r.wrong == 0)
		fail_msg("%s: not put right%s", b->check, all.checks);
	is_clean(dir);
	if (!b->other)
		must_show(dir, before);
}

static void what_is_broken_is_found_and_put_right(void **state)
{
	int dir = test_dir(state);
	struct buf before;

	fill_and_close(state);
	show_index(dir, "index.db", &before);
	copy_file(dir, "index.db", "whole");
	for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
		put_right(dir, &broken[i], &before);
		drop_index(dir);
		copy_file(dir, "whole", "index.db");
	}
	buf_free(&before);
}

static void broken_and_put_right(int dir, const char *text)
{
	sql(dir, text);
	run_fsck(dir, true, false);
	is_clean(dir);
}

/* Mail goes on to come to who had it, under the name that the password is known by. */
static void lost_rows_of_the_directory_come_back_from_the_others(void **state)
{
	static const char *const losses[] = { "DELETE FROM account WHERE id = 2;\n",
		"DELETE FROM domain;\n", "DELETE FROM address WHERE account = 2;\n" };
	int dir = test_dir(state);
	struct box_test b;
	struct store *s;

	fill_and_close(state);
	copy_file(dir, "index.db", "whole");
	for (unsigned i = 0; i < sizeof losses / sizeof *losses; i++) {
		broken_and_put_right(dir, losses[i]);
		s = open_store(state);
		must_mail(s, 400 + i, "bob@example.org", "to the account");
		must_mail(s, 500 + i, "all@example.org", "to the alias");
		box(s, "bob@example.org", "INBOX", &b);
		assert_non_null(strstr(b.text, "1:0::hello "));
		assert_non_null(strstr(b.text, ":to the account "));
		assert_non_null(strstr(b.text, ":to the alias "));
		store_close(&s);
	}
}

static int remove_bob(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_remove(t, STR("bob@example.org"), &account, err);
}

static int restore_bob(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	(void)arg;
	return directory_account_restore(t, STR("bob@example.org"), &account, err);
}

/* What nobody sees is no alarm, but it comes back right. */
static void an_account_that_is_removed_counts_right_when_it_comes_back(void **state)
{
	int dir = test_dir(state);
	struct err err = ERR_INIT;
	struct store *s;

	fill_and_close(state);
	s = open_store(state);
	assert_int_equal(change(s, remove_bob, NULL, &err), 0);
	store_close(&s);
	sql(dir,
		"UPDATE mailbox SET messages = 70, bytes = 1 WHERE account = 2;\n"
		"UPDATE account SET messages = 70, bytes = 2 WHERE id = 2;\n");
	is_clean(dir);
	run_fsck(dir, true, false);
	s = open_store(state);
	assert_int_equal(change(s, restore_bob, NULL, &err), 0);
	store_close(&s);
	is_clean(dir);
}

/* ---- bodies ---- */

struct where {
	uint64_t segment, place;
};

static struct where body_place(int dir, const char *which)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t segment = 0, place = 0;
	char url[100], text[200];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	snprintf(text, sizeof text, "SELECT segment FROM body WHERE %s", which);
	assert_int_equal(db_int(db, &segment, text, DB_NOARGS, &err), 1);
	snprintf(text, sizeof text, "SELECT place FROM body WHERE %s", which);
	assert_int_equal(db_int(db, &place, text, DB_NOARGS, &err), 1);
	db_close(&db);
	return (struct where){ (uint64_t)segment, (uint64_t)place };
}

static struct where last_record(int dir)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t segment = 0, place = 0;
	char url[100];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	db_int(db, &segment, "SELECT segment FROM log_position", DB_NOARGS, &err);
	db_int(db, &place, "SELECT last_offset + 60 FROM log_position", DB_NOARGS, &err);
	db_close(&db);
	return (struct where){ (uint64_t)segment, (uint64_t)place };
}

static void flip(int dir, struct where w)
{
	char name[40], c;
	int fd;

	snprintf(name, sizeof name, "log/%010llu.seg", (unsigned long long)w.segment);
	fd = openat(dir, name, O_RDWR);
	assert_int_equal(pread(fd, &c, 1, (off_t)w.place), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, (off_t)w.place), 1);
	close(fd);
}

/* T122 */
static void a_body_that_has_rotted_is_named(void **state)
{
	int dir = test_dir(state);
	struct findings all;

	fill_and_close(state);
	flip(dir, body_place(dir, "id = 3"));
	all = run_fsck(dir, false, false);
	assert_non_null(strstr(all.checks, "body.damage"));
	assert_non_null(strstr(all.checks, "log.damage"));
	assert_int_equal(all.r.lost, 1);
	all = run_fsck(dir, true, false);
	assert_int_equal(all.r.lost, 1);
	assert_true(all.r.wrong > all.r.repaired); /* the bytes do not come back */
}

/* ---- made anew ---- */

/* T128 */
static void made_anew_from_the_log_it_is_the_same(void **state)
{
	int dir = test_dir(state);
	struct buf before;
	struct findings all;

	fill_and_close(state);
	show_index(dir, "index.db", &before);
	drop_index(dir);
	all = run_fsck(dir, false, false);
	assert_true(all.r.index_unusable);
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, 0);
	must_show(dir, &before);
	buf_free(&before);
}

static void damage(int dir, const char *name)
{
	char junk[512];
	int fd = openat(dir, name, O_WRONLY);

	memset(junk, 'j', sizeof junk);
	assert_int_equal(pwrite(fd, junk, sizeof junk, 4096), sizeof junk);
	assert_int_equal(pwrite(fd, junk, sizeof junk, 4096L * 3), sizeof junk);
	close(fd);
}

/* A damaged index, and then a damaged snapshot, too. */
static void made_anew_from_a_snapshot_it_is_the_same(void **state)
{
	int dir = test_dir(state);
	struct snapshot one, two;
	struct findings all;
	struct buf before;

	fill_and_close(state);
	snapshot_and_more(state, &one, "a later");
	snapshot_and_more(state, &two, "b later");
	show_index(dir, "index.db", &before);
	damage(dir, "index.db");
	all = run_fsck(dir, true, false);
	assert_true(all.r.index_unusable && all.r.repaired == 0);
	copy_file(dir, one.name, "one");
	copy_file(dir, two.name, "two");
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, 0);
	must_show(dir, &before);
	assert_int_equal(faccessat(dir, "index.db.broken", F_OK, 0), 0);

	drop_snapshots(dir);
	copy_file(dir, "one", one.name);
	copy_file(dir, "two", two.name);
	damage(dir, two.name);
	damage(dir, "index.db");
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, 0);
	must_show(dir, &before);
	is_clean(dir);
	buf_free(&before);
}

/* ---- a damaged log ---- */

/* An index that is older than a damaged record: what a start finds after the disk has lost a
 * sector. */
static void damage_the_middle(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct where lost;

	fill(s);
	store_close(&s);
	copy_file(dir, "index.db", "older");
	s = open_store(state);
	must_mail(s, 201, "ann@example.org", "before");
	must_mail(s, 202, "ann@example.org", "lost!");
	must_mail(s, 203, "bob@example.org", "after");
	must_mail(s, 204, "ann@example.org", "last");
	store_close(&s);
	lost = body_place(dir, "size = 5 AND id > 8");
	drop_index(dir);
	copy_file(dir, "older", "index.db");
	flip(dir, lost);
}

static void a_damaged_log_is_passed_over(void **state)
{
	int dir = test_dir(state);
	struct findings all;
	struct box_test b;
	uint32_t validity;
	struct store *s;
	struct err err;
	struct mail_test m = {
		.id = 300, .sender = "x@y.example", .to = "ann@example.org", .body = "no"
	};

	damage_the_middle(state);
	s = open_store(state);
	assert_int_equal(mail(s, &m, &err), -1); /* read-only */
	box(s, "bob@example.org", "INBOX", &b);
	validity = b.m.uidvalidity;
	store_close(&s);
	all = run_fsck(dir, false, false);
	assert_non_null(strstr(all.checks, "log.damage"));
	assert_int_equal(all.r.repaired, 0);
	all = run_fsck(dir, true, false);
	assert_int_equal(all.r.wrong, all.r.repaired);
	assert_null(strstr(all.checks, "rebuild.missing")); /* one loss is told once */
	is_clean(dir);
	s = open_store(state);
	box(s, "ann@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":before "));
	assert_null(strstr(b.text, "lost!"));
	assert_non_null(strstr(b.text, ":last "));
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":after "));
	assert_true(b.m.uidvalidity > validity);
	assert_int_equal(mail(s, &m, &err), 0);
	store_close(&s);
	is_clean(dir);
	all = run_fsck(dir, false, true); /* and again from the snapshot that was made */
	assert_int_equal(all.r.wrong, 0);
}

static int fail_log(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)to, (void)offset, (void)data;
	return op == IO_WRITE && str_starts(str_c(name), STR("log/")) ? EIO : 0;
}

/* Whether the second try sees what the first one has passed over or not. */
static void a_repair_that_broke_off_gives_new_uidvalidities_too(void **state)
{
	const struct fsck_options o = { .repair = true };
	int dir = test_dir(state);
	struct fsck_result r;
	struct where lost;
	struct box_test b;
	uint32_t validity;
	struct store *s;
	struct err err = ERR_INIT;

	fill_and_close(state);
	copy_file(dir, "index.db", "older");
	s = open_store(state);
	box(s, "bob@example.org", "INBOX", &b);
	validity = b.m.uidvalidity;
	must_mail(s, 201, "ann@example.org", "lost!");
	for (uint64_t i = 300; i < 1400; i++)
		must_mail(s, i, "z@far.example", "later");
	store_close(&s);
	lost = body_place(dir, "size = 5 AND id = (SELECT min(id) FROM body WHERE id > 8)");
	drop_index(dir);
	copy_file(dir, "older", "index.db");
	flip(dir, lost);
	io_watch(fail_log, NULL); /* most is applied, and then the log cannot be written */
	assert_int_equal(fsck_run(dir, &o, &r, &err), -1);
	io_watch(NULL, NULL);
	err = ERR_INIT;
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	s = open_store(state);
	box(s, "bob@example.org", "INBOX", &b);
	assert_true(b.m.uidvalidity > validity);
	store_close(&s);
}

/* The disk has lost what it said was flushed: the index is ahead of the log. */
static void an_index_ahead_of_the_log_goes_on(void **state)
{
	int dir = test_dir(state);
	struct findings all;
	struct where lost;
	struct box_test b;
	struct err err = ERR_INIT;
	struct store *s;

	struct snapshot ahead[2];

	fill_and_close(state);
	snapshot_and_more(state, &ahead[0], "kept");
	snapshot_and_more(state, &ahead[0], "lost!");
	s = open_store(state);
	must_snapshot(s, &ahead[0]);
	add_account(s, "eve@example.org"); /* and this with what was lost */
	must_snapshot(s, &ahead[1]);
	store_close(&s);
	lost = body_place(dir, "id = (SELECT max(id) FROM body)");
	flip(dir, lost);
	flip(dir, last_record(dir));
	all = run_fsck(dir, false, false);
	assert_non_null(strstr(all.checks, "log.position"));
	run_fsck(dir, true, false);
	assert_int_equal(snapshot_list(dir, ahead, 2, &err), 1);
	s = open_store(state);
	must_mail(s, 203, "bob@example.org", "new");
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":new "));
	store_close(&s);
	all = run_fsck(dir, false, false);
	assert_string_equal(all.checks, " body.damage"); /* of the one that is lost */
	drop_index(dir); /* and the snapshot that was made is one to begin from */
	all = run_fsck(dir, false, true);
	assert_string_equal(all.checks, " body.damage");
}

static int copy_error;
static int fail_first_copy(void *arg, enum io_op op, const char *name, const char *to,
	uint64_t offset, struct str data)
{
	int error = copy_error;

	(void)arg, (void)to, (void)offset, (void)data;
	if (op != IO_WRITE || strncmp(name, "index.db.", 9) != 0)
		return 0;
	copy_error = 0;
	return error;
}

/* The newest is on a sector that the disk does not give, say: the next one does. Without space
 * there is none for any. */
static void a_snapshot_that_cannot_be_copied_is_passed_over(void **state)
{
	const struct fsck_options o = { .rebuild = true };
	int dir = test_dir(state);
	struct err err = ERR_INIT;
	struct snapshot made;
	struct fsck_result r;
	struct buf before;

	fill_and_close(state);
	snapshot_and_more(state, &made, "kept");
	snapshot_and_more(state, &made, "more");
	show_index(dir, "index.db", &before);
	drop_index(dir);
	io_watch(fail_first_copy, NULL);
	copy_error = ENOSPC;
	assert_int_equal(fsck_run(dir, &o, &r, &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	copy_error = EIO;
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	io_watch(NULL, NULL);
	assert_int_equal(copy_error, 0);
	assert_int_equal(r.wrong, 0);
	must_show(dir, &before);
	buf_free(&before);
}

static int calls, failing;
static int fail_nth(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)op, (void)name, (void)to, (void)offset, (void)data;
	return ++calls == failing ? EIO : 0;
}

/* Whatever step fails, or is the last one before the power goes: done again, it is all right. */
static void made_anew_again_after_any_failed_step(void **state)
{
	const struct fsck_options o = { .rebuild = true };
	int dir = test_dir(state);
	struct fsck_result r;
	struct snapshot made;
	struct buf before;
	struct err err;

	fill_and_close(state);
	snapshot_and_more(state, &made, "a later");
	show_index(dir, "index.db", &before);
	failing = calls = 1;
	for (bool more = true; more; failing++) {
		damage(dir, "index.db");
		err = ERR_INIT;
		calls = 0;
		io_watch(fail_nth, NULL);
		(void)fsck_run(dir, &o, &r, &err);
		more = calls >= failing;
		io_watch(NULL, NULL);
		assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
		assert_int_equal(r.wrong, 0);
		must_show(dir, &before);
	}
	assert_true(failing > 10);
	buf_free(&before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_a_store_that_is_whole_nothing_is_said),
		TEST(who_has_the_lock_is_not_disturbed),
		TEST(what_is_broken_is_found_and_put_right),
		TEST(lost_rows_of_the_directory_come_back_from_the_others),
		TEST(an_account_that_is_removed_counts_right_when_it_comes_back),
		TEST(a_body_that_has_rotted_is_named),
		TEST(made_anew_from_the_log_it_is_the_same),
		TEST(made_anew_from_a_snapshot_it_is_the_same),
		TEST(a_snapshot_that_cannot_be_copied_is_passed_over),
		TEST(made_anew_again_after_any_failed_step),
		TEST(a_damaged_log_is_passed_over),
		TEST(a_repair_that_broke_off_gives_new_uidvalidities_too),
		TEST(an_index_ahead_of_the_log_goes_on),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
