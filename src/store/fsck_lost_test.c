/* fsck when parts of the log are gone for good: what is lost is told, all else comes back. */
#include "store/backup.h"
#include "store/blob.h"
#include "store/compact.h"
#include "store/fsck_test.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE = 300 << 10 };

/* So much that the log reaches that segment. */
static void mail_up_to(struct store *s, uint64_t id, uint64_t segment)
{
	static char large[200 << 10];

	memset(large, 'x', sizeof large - 1);
	while (s->at.segment < segment)
		must_mail(s, id++, "ann@example.org", large);
}

static void lose_segments(int dir, unsigned from)
{
	for (unsigned n = from; n < from + 5; n++) {
		char name[40];

		snprintf(name, sizeof name, "log/%010u.seg", n);
		(void)unlinkat(dir, name, 0);
	}
}

static void flip(int dir, const char *name, int64_t at)
{
	int fd = openat(dir, name, O_RDWR);
	char c;

	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 1;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static int64_t ask_index(int dir, const char *question)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	int64_t answer = 0;
	char url[100];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	assert_int_equal(db_open(&db, url, DB_READ, &err), 0);
	assert_int_equal(db_int(db, &answer, question, DB_NOARGS, &err), 1);
	db_close(&db);
	return answer;
}

/* The index stands in a segment that is not there: it goes on behind what is left. */
static void a_log_that_has_lost_its_last_segment_goes_on(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;
	struct box_test b;

	fill(s);
	mail_up_to(s, 300, 2);
	store_close(&s);
	lose_segments(dir, 2);
	all = run_fsck(dir, true, false);
	assert_non_null(strstr(all.checks, "log.position"));
	s = open_store(state);
	must_mail(s, 203, "bob@example.org", "new");
	store_close(&s);
	s = open_store(state);
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":new "));
	store_close(&s);
}

/* The record at which the snapshot stands is lost: it knows accounts and folders all the same. */
static void a_snapshot_that_the_log_has_lost_is_better_than_none(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct snapshot made;
	struct findings all;
	struct box_test b;

	add_account(s, "ann@example.org");
	add_account(s, "cid@example.org");
	add_alias(s, "c@example.org", "cid@example.org");
	store_close(&s);
	snapshot_and_more(state, &made, "a later");
	s = open_store(state);
	mail_up_to(s, 300, 2);
	must_mail(s, 400, "c@example.org", "to an alias");
	store_close(&s);
	drop_index(dir);
	assert_int_equal(unlinkat(dir, "log/0000000001.seg", 0), 0);
	all = run_fsck(dir, false, true);
	assert_null(strstr(all.checks, "rebuild.account"));
	assert_non_null(strstr(all.checks, "rebuild.missing"));
	s = open_store(state);
	must_mail(s, 401, "c@example.org", "and on");
	box(s, "cid@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::to an alias 2:0::and on ");
	store_close(&s);
}

/* A folder that somebody has forgotten to mount, maybe: it is said, and nothing is changed for it.
 */
static void of_a_log_that_is_gone_nothing_is_made_up(void **state)
{
	int dir = test_dir(state);
	struct findings all;
	struct buf before;

	fill_and_close(state);
	show_index(dir, "index.db", &before);
	lose_segments(dir, 1);
	all = run_fsck(dir, true, false);
	assert_non_null(strstr(all.checks, "log.position"));
	assert_int_equal(all.r.repaired, 0);
	must_show(dir, &before);
	buf_free(&before);
}

/* Bob's mail by its uid: how many bytes, 0 when it is lost. */
static uint64_t bobs(struct store *s, uint32_t uid)
{
	struct buf text = BUF(1 << 20);
	struct err err = ERR_INIT;
	uint64_t size = 0;

	if (entry_read(&s->reader_views[0], 2, 1, uid, 0, 200, &text, &size, &err) < 0) {
		assert_int_equal(err.kind, ERR_DAMAGED);
		size = 0;
	}
	buf_free(&text);
	return size;
}

static struct mailbox bobs_inbox(struct store *s)
{
	struct err err = ERR_INIT;
	struct mailbox m;

	assert_int_equal(mailbox_find(&s->reader_views[0], 2, STR("INBOX"), &m, &err), 0);
	return m;
}

static int deliver_file(struct txn *t, void *arg, struct err *err)
{
	const struct blob_writer *blob = arg;
	const struct delivery_rcpt rcpt = { .address = STR("bob@example.org") };
	const struct delivery d = { .id = 300,
		.any_sender = true,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.body = { .size = LARGE, .blob = str_c(blob->name), .checksum = blob->checksum } };
	uint32_t x, y;

	return delivery_accept(t, &d, &x, &y, err);
}

static char large_file[64], large_kept[64];

/* In a file of its own, which is old. */
static void large_mail_for_bob(struct store *s)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

	static char bytes[LARGE];
	struct blob_writer blob;
	struct err err;

	memset(bytes, 'y', sizeof bytes);
	if (blob_begin(s, &blob, &err) < 0 ||
		blob_add(&blob, str_make(bytes, sizeof bytes), &err) < 0 ||
		blob_commit(&blob, &err) < 0 || change(s, deliver_file, &blob, &err) < 0)
		fail_msg("%s", err.msg);
	snprintf(large_file, sizeof large_file, "blob/%.2s/%.30s", blob.name, blob.name + 2);
	snprintf(large_kept, sizeof large_kept, "blob.lost/%.32s", blob.name);
	assert_int_equal(utimensat(s->dir, large_file, old, 0), 0);
	blob_end(&blob);
}

static bool is_there(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

/* What the server does at its start and once a day. */
static void sweep(void **state)
{
	struct store *s = open_store(state);
	struct err err = ERR_INIT;

	blob_sweep(&s->reader_views[0], &err);
	store_close(&s);
}

/* The file of large mail is as long as it was. */
static void large_mail_is_kept(void **state)
{
	int dir = test_dir(state);
	struct stat st;

	for (int i = 0; i < 2; i++) {
		sweep(state);
		assert_false(is_there(dir, large_file));
		assert_int_equal(fstatat(dir, large_kept, &st, 0), 0);
		assert_true(st.st_size >= LARGE);
	}
}

/* A snapshot is all there is, and it is older than large mail, whose file is there: nobody knows
 * whose it is, but it is somebody's. */
static void large_mail_that_nothing_names_any_more_is_kept(void **state)
{
	const struct fsck_options o = { .rebuild = true, .new_log = true };
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct err err = ERR_INIT;
	struct snapshot made;
	struct fsck_result r;

	fill(s);
	must_snapshot(s, &made);
	large_mail_for_bob(s);
	store_close(&s);
	lose_segments(dir, 1);
	drop_index(dir);
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	large_mail_is_kept(state);
}

static void large_mail_whose_record_is_damaged_is_kept(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;

	fill(s);
	store_close(&s);
	copy_file(dir, "index.db", "older");
	s = open_store(state);
	large_mail_for_bob(s);
	must_mail(s, 400, "bob@example.org", "later");
	store_close(&s);
	flip(dir, "log/0000000001.seg",
		ask_index(dir, "SELECT place - 20 FROM body WHERE blob IS NOT NULL"));
	drop_index(dir);
	copy_file(dir, "older", "index.db");
	all = run_fsck(dir, true, false);
	assert_non_null(strstr(all.checks, "log.damage"));
	large_mail_is_kept(state);
	is_clean(dir);
}

/* Nothing is lost: it is what somebody began and did not end. */
static void what_nobody_came_to_name_goes(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);

	fill(s);
	large_mail_for_bob(s);
	assert_int_equal(
		renameat(dir, large_file, dir, "blob/ab/0000000000000000000000000000ff"), 0);
	store_close(&s);
	run_fsck(dir, true, false);
	sweep(state);
	assert_false(is_there(dir, "blob/ab/0000000000000000000000000000ff"));
	assert_false(is_there(dir, "blob.lost"));
}

/* It is lost for good, and so is the index: what a snapshot knows stays, mail in files of its own
 * can be read, what is lost is said to be lost, and new mail comes. */
static void with_nothing_but_a_snapshot_the_store_goes_on(void **state)
{
	const struct fsck_options o = { .rebuild = true, .new_log = true };
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct err err = ERR_INIT;
	struct fsck_result r;
	struct snapshot made;
	uint32_t validity;

	fill(s);
	large_mail_for_bob(s);
	validity = bobs_inbox(s).uidvalidity;
	must_snapshot(s, &made);
	must_mail(s, 301, "bob@example.org", "later");
	store_close(&s);
	lose_segments(dir, 1);
	drop_index(dir);
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	for (uint64_t round = 0; round < 2; round++) {
		s = open_store(state);
		must_mail(s, 400 + round, "all@example.org", "and on"); /* an alias */
		assert_int_equal(bobs_inbox(s).messages, 5 + round);
		assert_true(bobs_inbox(s).uidvalidity > validity);
		assert_int_equal(bobs(s, 1), 0);
		assert_true(bobs(s, 4) >= LARGE);
		assert_true(bobs(s, 5) > 0);
		store_close(&s);
	}
	drop_index(dir);
	drop_snapshots(dir); /* the new log is one to begin from by itself */
	assert_true(run_fsck(dir, false, true).r.records > 0);
}

/* Also when nothing but the index is older than its first record. */
static void a_new_log_is_begun_once(void **state)
{
	const struct fsck_options o = { .repair = true, .new_log = true };
	int dir = test_dir(state);
	struct err err = ERR_INIT;
	struct fsck_result r;
	struct findings all;
	struct store *s;

	fill_and_close(state);
	lose_segments(dir, 1);
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0);
	assert_true(r.lost > 0 && !r.index_unusable);
	all = run_fsck(dir, true, false); /* no record yet: nothing is missed */
	assert_null(strstr(all.checks, "log."));
	copy_file(dir, "index.db", "older");
	s = open_store(state);
	must_mail(s, 400, "bob@example.org", "new");
	store_close(&s);
	drop_index(dir);
	copy_file(dir, "older", "index.db");
	s = open_store(state);
	must_mail(s, 401, "bob@example.org", "newer");
	store_close(&s);
	assert_int_equal(fsck_run(dir, &o, &r, &err), 0); /* there is a log: it stays */
	s = open_store(state);
	assert_int_equal(bobs_inbox(s).messages, 5);
	assert_true(bobs(s, 4) > 0 && bobs(s, 5) > 0);
	store_close(&s);
}

/* ---- a head is damaged ---- */

static bool is_read_only(void **state)
{
	struct store *s = open_store(state);
	struct store_figures f;

	store_figures(s, &f);
	store_close(&s);
	return f.read_only;
}

/* It can be written to, and what bob had and gets is there; his UIDVALIDITY. */
static uint32_t goes_on(void **state, uint64_t id, const char *had)
{
	struct store *s = open_store(state);
	struct box_test b;

	must_mail(s, id, "bob@example.org", "and on");
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, had));
	assert_non_null(strstr(b.text, ":and on "));
	store_close(&s);
	return b.m.uidvalidity;
}

/* Nobody can tell it from a torn tail but the index, and what lies behind it is the only copy. */
static void the_body_behind_a_damaged_last_head_stays(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;

	fill(s);
	must_mail(s, 600, "bob@example.org", "only copy");
	store_close(&s);
	flip(dir, "log/0000000001.seg",
		ask_index(dir, "SELECT place - 20 FROM body ORDER BY id DESC LIMIT 1"));
	assert_true(is_read_only(state));
	all = run_fsck(dir, true, false);
	assert_non_null(strstr(all.checks, "log.position"));
	assert_false(is_read_only(state));
	is_clean(dir);
	goes_on(state, 601, ":only copy ");
	goes_on(state, 602, ":only copy ");
	is_clean(dir);
	drop_index(dir); /* and the snapshot that was made is one to begin from */
	run_fsck(dir, false, true);
	goes_on(state, 603, ":only copy ");
	is_clean(dir);
}

/* All of it, as one who has to bring it back would find it. */
static void back_up_and_verify(void **state, uint64_t id, const char *had)
{
	int dir = test_dir(state), to, other;
	struct store *s = open_store(state);
	struct backup_mark mark = { 0 };
	struct backup_result r = { 0 };
	struct err err = ERR_INIT;
	struct box_test b;

	assert_int_equal(mkdirat(dir, "backup", 0700), 0);
	assert_int_equal(mkdirat(dir, "other", 0700), 0);
	to = openat(dir, "backup", O_RDONLY | O_DIRECTORY);
	other = openat(dir, "other", O_RDONLY | O_DIRECTORY);
	if (backup_prepare(s, &mark, &err) < 0 || backup_make(dir, to, &mark, 2, &r, &err) < 0)
		fail_msg("%s", err.msg);
	must_mail(s, id, "bob@example.org", "later");
	store_close(&s);
	if (backup_restore(to, 0, other, NULL, &r, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(run_fsck(other, false, false).r.lost, 0);
	s = open_store_with(other, &(struct store_options){ .segment_bytes = 1 << 20 });
	must_mail(s, id, "bob@example.org", "and on");
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, had));
	store_close(&s);
	close(to), close(other);
}

/* Bodies are read without it. One repair is enough. */
static void a_damaged_head_of_the_last_segment_is_left_behind(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;
	uint32_t validity;
	char name[40];

	fill(s);
	mail_up_to(s, 300, 2);
	must_mail(s, 600, "bob@example.org", "in two");
	store_close(&s);
	flip(dir, "log/0000000002.seg", 16);
	assert_true(is_read_only(state));
	run_fsck(dir, true, false);
	assert_false(is_read_only(state));
	is_clean(dir);
	back_up_and_verify(state, 601, ":in two ");
	validity = goes_on(state, 602, ":in two ");
	all = run_fsck(dir, true, false);
	assert_string_equal(all.checks, "");
	assert_int_equal(goes_on(state, 603, ":in two "), validity);
	is_clean(dir);
	snprintf(name, sizeof name, "log/%010u.seg",
		(unsigned)ask_index(dir, "SELECT segment FROM log_position"));
	flip(dir, name, 16); /* and that of the one that was begun */
	run_fsck(dir, true, false);
	goes_on(state, 604, ":in two ");
	is_clean(dir);
}

/* Without an index nothing in it can be told apart, and it may be all that there is of some mail:
 * what has no mail in it goes, but its second name does not. */
static void a_segment_that_nothing_can_read_is_kept(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct compact_report done = { 0 };
	struct err err = ERR_INIT;
	struct snapshot made;
	struct stat st;

	fill(s);
	must_snapshot(s, &made);
	mail_up_to(s, 300, 2);
	must_mail(s, 600, "bob@example.org", "in two");
	store_close(&s);
	flip(dir, "log/0000000002.seg", 16);
	drop_index(dir);
	run_fsck(dir, false, true);
	s = open_store(state);
	assert_int_equal(store_compact(s, &done, &err), 0);
	store_close(&s);
	assert_int_equal(fstatat(dir, "log.lost/0000000002.seg", &st, 0), 0);
	assert_int_equal(st.st_size, 1 << 20);
}

/* The one that waits for the next records: nothing is in it. */
static void a_damaged_head_of_the_next_segment_is_left_behind(void **state)
{
	int dir = test_dir(state), fd;
	struct findings all;

	fill_and_close(state);
	for (int round = 0; round < 2; round++) {
		fd = openat(dir, round ? "log/0000000004.seg" : "log/0000000002.seg",
			O_RDWR | O_CREAT, 0600);
		assert_int_equal(pwrite(fd, "XXXX", 4, 16), 4);
		close(fd);
		assert_true(is_read_only(state));
		run_fsck(dir, true, false);
		assert_false(is_read_only(state));
		all = run_fsck(dir, true, false); /* before there is any record */
		assert_string_equal(all.checks, "");
	}
	goes_on(state, 601, ":hello ");
	is_clean(dir);
}

/* The first segments are gone, and there is no snapshot: mail comes back by the names in it. */
static void mail_comes_back_by_the_names_it_carries(void **state)
{
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;
	struct box_test b;

	fill(s);
	mail_up_to(s, 300, 2);
	must_mail(s, 400, "bob@example.org", "here I am");
	store_close(&s);
	drop_index(dir);
	drop_snapshots(dir);
	assert_int_equal(unlinkat(dir, "log/0000000001.seg", 0), 0);
	s = open_store(state); /* nothing is made up by a start */
	assert_int_equal(
		mail(s, &(struct mail_test){ .id = 1, .sender = "", .to = "a@b.c", .body = "" },
			&(struct err){ 0 }),
		-1);
	store_close(&s);
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, all.r.repaired);
	assert_non_null(strstr(all.checks, "rebuild.account"));
	is_clean(dir);
	s = open_store(state);
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "4:0::here I am ");
	assert_true(b.m.uidvalidity > 1000000);
	must_mail(s, 401, "bob@example.org", "and on");
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "4:0::here I am 5:0::and on ");
	store_close(&s);
	is_clean(dir);
}

/* A segment between others is gone: what it held is missed, and what follows is taken by the names
 * that it carries. */
static char said[2000];
static void hear(void *arg, const struct fsck_finding *f)
{
	(void)arg;
	snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", f->text);
}

static void a_segment_that_is_missing_in_the_middle_is_missed(void **state)
{
	const struct fsck_options o = { .found = hear };
	int dir = test_dir(state);
	struct store *s = open_store(state);
	struct findings all;
	struct box_test b;
	uint32_t validity;

	fill(s);
	mail_up_to(s, 300, 2);
	add_account(s, "cid@example.org");
	mail_up_to(s, 400, 3);
	must_mail(s, 500, "cid@example.org", "here I am");
	must_mail(s, 501, "bob@example.org", "and I");
	box(s, "bob@example.org", "INBOX", &b);
	validity = b.m.uidvalidity;
	store_close(&s);
	drop_index(dir);
	drop_snapshots(dir);
	assert_int_equal(unlinkat(dir, "log/0000000002.seg", 0), 0);
	said[0] = '\0';
	assert_int_equal(fsck_run(dir, &o, &all.r, &(struct err){ 0 }), 0);
	assert_non_null(strstr(said, "log/0000000002.seg is not there: the records from"));
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, all.r.repaired);
	assert_non_null(strstr(all.checks, "rebuild.account"));
	is_clean(dir);
	s = open_store(state);
	box(s, "cid@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":here I am "));
	box(s, "bob@example.org", "INBOX", &b);
	assert_non_null(strstr(b.text, ":and I "));
	assert_true(b.m.uidvalidity > validity);
	store_close(&s);
}

static int expunge_most(struct txn *t, void *arg, struct err *err)
{
	struct range_list doomed = RANGE_LIST, gone = RANGE_LIST;
	uint64_t modseq;
	int r;

	(void)arg;
	for (uint32_t uid = 1; uid <= 60; uid++)
		if (uid % 5)
			range_list_add(&doomed, uid);
	r = entry_expunge(t, 1, 1, range_list_end(&doomed), true, &gone, &modseq, err);
	range_list_free(&doomed);
	range_list_free(&gone);
	return r;
}

static int purge(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return housekeeping_run(t, NULL, err);
}

/* Most of it is dead, and what lives has moved: its first records are gone, and so is the index. */
static void compacted_mail_comes_back_by_the_names_it_carries(void **state)
{
	const struct store_options o = { .segment_bytes = 128 << 10, .retention = -10 };
	struct store *s = open_store_with(test_dir(state), &o);
	struct compact_report done = { 0 };
	int dir = test_dir(state);
	static char body[9000];
	struct findings all;
	char kept[64];
	struct err err;

	add_account(s, "ann@example.org");
	for (unsigned i = 1; i <= 60; i++) {
		snprintf(body, sizeof body, "mail %u.", i);
		memset(body + strlen(body), 'x', sizeof body - 1 - strlen(body));
		must_mail(s, 100 + i, "ann@example.org", body);
	}
	if (change(s, expunge_most, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 3; i++)
		assert_int_equal(change(s, purge, NULL, &err), 0);
	assert_int_equal(store_compact(s, &done, &err), 0);
	assert_true(done.moved > 3 && done.segments > 2);
	store_close(&s);
	is_clean(dir);
	drop_index(dir);
	drop_snapshots(dir);
	assert_int_not_equal(faccessat(dir, "log/0000000001.seg", F_OK, 0), 0);
	all = run_fsck(dir, false, true);
	assert_int_equal(all.r.wrong, all.r.repaired);
	is_clean(dir);
	s = open_store(state);
	for (uint32_t uid = 5; uid <= 60; uid += 5) {
		struct buf text = BUF(1 << 14);
		uint64_t size;

		assert_int_equal(
			entry_read(&s->txn.view, 1, 1, uid, 0, 9500, &text, &size, &err), 0);
		snprintf(kept, sizeof kept, "mail %u.", uid);
		assert_true(str_search(buf_str(&text), str_c(kept)) < text.n);
		buf_free(&text);
	}
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_log_that_has_lost_its_last_segment_goes_on),
		TEST(of_a_log_that_is_gone_nothing_is_made_up),
		TEST(a_snapshot_that_the_log_has_lost_is_better_than_none),
		TEST(with_nothing_but_a_snapshot_the_store_goes_on),
		TEST(a_new_log_is_begun_once),
		TEST(large_mail_that_nothing_names_any_more_is_kept),
		TEST(large_mail_whose_record_is_damaged_is_kept),
		TEST(what_nobody_came_to_name_goes),
		TEST(the_body_behind_a_damaged_last_head_stays),
		TEST(a_damaged_head_of_the_last_segment_is_left_behind),
		TEST(a_damaged_head_of_the_next_segment_is_left_behind),
		TEST(a_segment_that_nothing_can_read_is_kept),
		TEST(mail_comes_back_by_the_names_it_carries),
		TEST(compacted_mail_comes_back_by_the_names_it_carries),
		TEST(a_segment_that_is_missing_in_the_middle_is_missed),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
