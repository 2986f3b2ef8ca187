/* Squeezed bodies: the same mail in less room, through everything that reads records. */
#include "store/squeeze_test.h"
#include "base/crc32c.h"
#include "store/backup.h"
#include "store/body.h"
#include "store/compact.h"
#include "store/fail_test.h"
#include "store/fsck_test.h"
#include "store/squeeze.h"

enum { SMALL = 24, LARGE = 4, ALL = SMALL + LARGE, LARGE_SIZE = 600 << 10 };

static bool pays(unsigned number)
{
	return number % 4 != 3;
}

/* ---- a store ---- */

struct letter {
	unsigned number;
	size_t size;
	uint64_t stored;
	uint32_t checksum;
	struct blob_writer blob;
};

static size_t size_of(unsigned number)
{
	return number % ALL >= SMALL ? LARGE_SIZE - number * 1000 : 600 + number % ALL * 1500;
}

static int deliver(struct txn *t, void *arg, struct err *err)
{
	struct letter *l = arg;
	const struct delivery_rcpt rcpt = { .address = l->number < ALL ? STR("ann@example.org")
								       : STR("bob@example.org") };
	const struct delivery d = { .id = l->number + 1,
		.any_sender = true,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.body = { .size = l->size,
			.stored = l->stored,
			.blob = str_c(l->blob.name),
			.checksum = l->checksum,
			.facts = STR("facts") } };
	uint32_t x, y;

	return delivery_accept(t, &d, &x, &y, err);
}

static void put_blob(struct store *s, struct letter *l, struct str bytes, bool squeezed)
{
	struct err err;

	assert_int_equal(blob_begin(s, &l->blob, &err), 0);
	for (; bytes.n; bytes = str_from(bytes, 70000))
		assert_int_equal(blob_add(&l->blob, str_head(bytes, 70000), &err), 0);
	if (squeezed)
		blob_squeeze(&l->blob);
	assert_int_equal(blob_commit(&l->blob, &err), 0);
	l->stored = l->blob.stored;
	l->checksum = l->blob.checksum;
}

/* As the role does it. */
static void send(struct store *s, unsigned number, bool squeezed)
{
	struct letter l = { .number = number, .size = size_of(number), .blob = { .fd = -1 } };
	static char bytes[LARGE_SIZE];
	struct str body = str_make(bytes, l.size);
	struct buf out = BUF(LARGE_SIZE);
	struct err err;

	make(number, bytes, l.size);
	if (l.size > DELIVERY_INLINE) {
		put_blob(s, &l, body, squeezed);
		body = STR("");
	} else if (squeezed && squeeze(body, &out)) {
		l.checksum = crc32c(0, body.p, body.n);
		body = buf_str(&out);
		l.stored = body.n;
	}
	if (change_with_body(s, deliver, &l, body, &err) < 0)
		fail_msg("%s", err.msg);
	blob_end(&l.blob);
	buf_free(&out);
}

static struct store *open_small(int dir)
{
	const struct store_options o = { .segment_bytes = 128 << 10, .retention = -10 };

	return open_store_with(dir, &o);
}

/* Ann's, and between hers Bob's, which nobody needs. */
static struct store *store_with_mail(int dir, bool squeezed)
{
	struct store *s = open_small(dir);

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	for (unsigned i = 0; i < ALL; i++) {
		send(s, i, squeezed);
		send(s, ALL + i % SMALL, squeezed);
		send(s, ALL + SMALL - 1 - i % SMALL, squeezed);
	}
	return s;
}

static uint64_t paying(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ALL; i++)
		n += (uint64_t)pays(i) + pays(i % SMALL) + pays(SMALL - 1 - i % SMALL);
	return n;
}

struct place_asked {
	unsigned number;
	struct body_place place;
};

static int find_place(struct view *v, void *arg, struct err *err)
{
	struct place_asked *q = arg;
	int64_t body = 0;

	if (db_int(v->db, &body,
		    "SELECT body FROM entry WHERE account = 1 AND mailbox = 1 AND uid = $1",
		    DB_ARGS(DB_I(q->number + 1)), err) < 0)
		return -1;
	return body_find(v, (uint64_t)body, &q->place, err);
}

static struct body_place place_of(struct store *s, unsigned number)
{
	struct place_asked q = { .number = number };
	struct err err;

	if (look(s, find_place, &q, &err) < 0)
		fail_msg("%s", err.msg);
	return q.place;
}

struct reading {
	unsigned number;
	uint64_t offset;
	uint32_t length;
};

static int read_some(struct view *v, void *arg, struct err *err)
{
	struct reading *q = arg;
	struct buf out = BUF(1 << 20);
	const size_t prefix = strlen("Return-Path: <>\r\nDelivered-To: ann@example.org\r\n");
	const uint64_t left = size_of(q->number) - q->offset;
	uint64_t size;
	int r = entry_read(v, 1, 1, q->number + 1, prefix + q->offset, q->length, &out, &size, err);

	for (size_t i = 0; r == 0 && i < out.n; i++)
		assert_int_equal(out.p[i], byte_of(q->number, q->offset + i));
	if (r == 0) {
		assert_int_equal(out.n, left < q->length ? left : q->length);
		assert_int_equal(size, prefix + size_of(q->number)); /* of the plain bytes */
	}
	buf_free(&out);
	return r;
}

static int try_read(
	struct store *s, unsigned number, uint64_t offset, uint32_t length, struct err *err)
{
	struct reading q = { number, offset, length };

	return look(s, read_some, &q, err);
}

/* Those that pay are squeezed, or none is; all of them are right, in any piece. */
static void assert_all_right(struct store *s, bool squeezed)
{
	struct err err;

	for (unsigned i = 0; i < ALL; i++) {
		const struct body_place p = place_of(s, i);

		assert_int_equal(p.stored != 0, squeezed && pays(i));
		assert_true(p.stored <= p.size - p.size / 8);
		for (uint64_t at = size_of(i); at > 0;) {
			at = at > 90001 ? at - 90001 : 0;
			if (try_read(s, i, at, 90001, &err) < 0)
				fail_msg("%u at %llu: %s", i, (unsigned long long)at, err.msg);
		}
	}
	assert_space(s);
}

static void every_byte_comes_back_in_any_piece(void **state)
{
	struct store *s = store_with_mail(test_dir(state), true);

	assert_all_right(s, true);
	store_close(&s);
	is_clean(test_dir(state));
}

static uint64_t bytes_of(struct store *s)
{
	int64_t n = 0;
	struct err err = ERR_INIT;

	assert_int_equal(
		db_int(s->reader_views[0].db, &n,
			"SELECT sum(CASE WHEN stored <> 0 THEN stored ELSE size END) FROM body",
			DB_NOARGS, &err),
		1);
	return (uint64_t)n;
}

static void what_is_there_already_changes_its_form_and_back(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, false);
	const uint64_t before = bytes_of(s);
	struct err err = ERR_INIT;
	uint64_t changed;

	assert_all_right(s, false);
	store_close(&s);
	if (fsck_rewrite(dir, NULL, true, &changed, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(changed, paying());
	is_clean(dir);
	s = open_small(dir);
	assert_all_right(s, true);
	assert_true(bytes_of(s) < before - before / 8);
	store_close(&s);
	/* What is squeezed is so already, and what does not pay is asked again. */
	assert_int_equal(fsck_rewrite(dir, NULL, true, &changed, &err), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(fsck_rewrite(dir, NULL, false, &changed, &err), 0);
	assert_int_equal(changed, paying());
	s = open_small(dir);
	assert_all_right(s, false);
	assert_int_equal(bytes_of(s), before);
	store_close(&s);
	is_clean(dir);
}

/* The second time nothing is left to change, and what they were goes all the same. */
static void what_they_were_goes_when_the_first_time_was_cut_short(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, false);
	struct compact_report done;
	struct err err = ERR_INIT;
	struct snapshot made[4];
	uint64_t changed;

	assert_int_equal(store_snapshot(s, made, &err), 0);
	send(s, ALL, true); /* to Bob */
	assert_int_equal(store_snapshot(s, made, &err), 0);
	assert_int_equal(store_rewrite(s, true, &done, &err), 0);
	assert_int_equal(done.moved, paying());
	store_close(&s);
	assert_int_equal(snapshot_list(dir, made, 4, &err), 2);
	assert_int_equal(fsck_rewrite(dir, NULL, true, &changed, &err), 0);
	assert_int_equal(changed, 0);
	assert_int_equal(snapshot_list(dir, made, 4, &err), 1); /* the others held the log */
	s = open_small(dir);
	assert_all_right(s, true);
	store_close(&s);
}

static int open_file(int dir, const struct body_place *p)
{
	char path[80];
	int fd;

	if (p->blob[0])
		snprintf(path, sizeof path, "blob/%.2s/%s", p->blob, p->blob + 2);
	else
		snprintf(path, sizeof path, "log/%010llu.seg", (unsigned long long)p->segment);
	fd = openat(dir, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void spoil(int dir, const struct body_place *p, uint64_t at)
{
	int fd = open_file(dir, p);
	char c[4];

	assert_int_equal(pread(fd, c, sizeof c, (off_t)at), sizeof c);
	for (size_t i = 0; i < sizeof c; i++)
		c[i] = (char)~c[i];
	assert_int_equal(pwrite(fd, c, sizeof c, (off_t)at), sizeof c);
	close(fd);
}

/* What is not there at the moment. */
static void move_blob(int dir, const struct body_place *p, const char *elsewhere, bool away)
{
	char name[80];

	snprintf(name, sizeof name, "blob/%.2s/%s", p->blob, p->blob + 2);
	assert_int_equal(renameat(dir, away ? name : elsewhere, dir, away ? elsewhere : name), 0);
}

static int run_purge(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return housekeeping_run(t, NULL, err);
}

static int run_expunge(struct txn *t, void *arg, struct err *err)
{
	struct range_list uids = RANGE_LIST, out = RANGE_LIST;
	uint64_t modseq;
	int r;

	(void)arg;
	range_list_add_range(&uids, 1, 2 * ALL);
	r = entry_expunge(t, 2, 1, range_list_end(&uids), true, &out, &modseq, err);
	range_list_free(&uids);
	range_list_free(&out);
	return r;
}

static struct compact_report expunge_and_compact(struct store *s)
{
	struct compact_report done = { 0 };
	struct err err = ERR_INIT;

	if (change(s, run_expunge, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 3; i++)
		assert_int_equal(change(s, run_purge, NULL, &err), 0);
	if (store_compact(s, &done, &err) < 0)
		fail_msg("%s", err.msg);
	return done;
}

static void compaction_leaves_them_squeezed_and_a_rebuild_knows(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, true);
	struct compact_report done;
	struct buf before;

	done = expunge_and_compact(s);
	assert_true(done.moved > 0);
	assert_all_right(s, true);
	store_close(&s);
	is_clean(dir);
	show_index(dir, "index.db", &before);
	/* From a snapshot and the log: row for row. */
	run_fsck(dir, false, true);
	must_show(dir, &before);
	/* From what the records say alone. */
	drop_index(dir);
	drop_snapshots(dir);
	run_fsck(dir, false, true);
	is_clean(dir);
	s = open_small(dir);
	assert_all_right(s, true);
	store_close(&s);
	buf_free(&before);
}

static void a_replay_of_the_whole_log_gives_the_same_index(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, true);
	struct buf before;

	store_close(&s);
	show_index(dir, "index.db", &before);
	drop_index(dir);
	s = open_small(dir);
	assert_all_right(s, true);
	store_close(&s);
	must_show(dir, &before);
	buf_free(&before);
}

/* With the setting on, what compaction copies is squeezed. */
static void compaction_squeezes_what_it_copies(void **state)
{
	const int dir = test_dir(state);
	const struct store_options on = {
		.segment_bytes = 128 << 10, .retention = -10, .compress = true
	};
	struct store *s = store_with_mail(dir, false);
	unsigned squeezed = 0;

	store_close(&s);
	s = open_store_with(dir, &on);
	assert_true(expunge_and_compact(s).moved > 0);
	for (unsigned i = 0; i < ALL; i++) {
		struct err err;

		assert_true(pays(i) || place_of(s, i).stored == 0);
		squeezed += place_of(s, i).stored != 0;
		assert_int_equal(try_read(s, i, 0, 1 << 20, &err), 0);
	}
	assert_true(squeezed > 0);
	assert_space(s);
	store_close(&s);
	is_clean(dir);
}

/* One that cannot be read stays where it is, and only that one. */
static void a_missing_file_holds_up_nothing_else(void **state)
{
	const int dir = test_dir(state);
	const struct store_options on = {
		.segment_bytes = 128 << 10, .retention = -10, .compress = true
	};
	struct store *s = store_with_mail(dir, false);
	const struct body_place gone = place_of(s, SMALL);
	struct err err = ERR_INIT;
	uint64_t changed;

	store_close(&s);
	move_blob(dir, &gone, "elsewhere", true);
	s = open_store_with(dir, &on);
	assert_true(expunge_and_compact(s).segments > 0);
	assert_true(place_of(s, SMALL + 1).stored > 0); /* beside it */
	assert_int_equal(place_of(s, SMALL).segment, gone.segment);
	assert_true(s->compactor.stuck.n > 0);
	store_close(&s);
	if (fsck_rewrite(dir, NULL, true, &changed, &err) < 0)
		fail_msg("%s", err.msg);
	s = open_small(dir);
	for (unsigned i = 0; i < ALL; i++)
		assert_true((place_of(s, i).stored != 0) == (pays(i) && i != SMALL));
	store_close(&s);
}

/* Nothing is free; new files are counted. */
static int nothing_is_free(void *arg, enum io_op op, const char *name, const char *to,
	uint64_t offset, struct str data)
{
	(void)to, (void)offset, (void)data;
	atomic_fetch_add((atomic_uint *)arg, op == IO_CREATE && strncmp(name, "blob/", 5) == 0);
	return op == IO_SPACE ? ENOSPC : 0;
}

/* T118: compaction gives space back; it does not take the last of it for another form. */
static void on_a_full_disk_files_keep_their_form(void **state)
{
	const int dir = test_dir(state);
	const struct store_options on = { .segment_bytes = 128 << 10,
		.retention = -10,
		.compress = true,
		.reserve_bytes = UINT64_C(1) << 60 };
	struct store *s = store_with_mail(dir, false);
	struct body_place before[LARGE], after;
	atomic_uint files = 0;
	struct err err;
	uint64_t changed;

	for (unsigned i = 0; i < LARGE; i++)
		before[i] = place_of(s, SMALL + i);
	store_close(&s);
	s = open_store_with(dir, &on);
	assert_true(expunge_and_compact(s).segments > 0);
	for (unsigned i = 0; i < LARGE; i++) {
		after = place_of(s, SMALL + i);
		assert_true(after.segment > before[i].segment); /* its record has moved */
		assert_string_equal(after.blob, before[i].blob);
		assert_int_equal(after.stored, 0);
	}
	store_close(&s);
	io_watch(nothing_is_free, &files);
	assert_int_equal(fsck_rewrite(dir, NULL, true, &changed, &err), -1);
	io_watch(NULL, NULL);
	assert_int_equal(err.kind, ERR_FULL);
	assert_int_equal(files, 0);
	s = open_small(dir);
	for (unsigned i = 0; i < ALL; i++)
		assert_int_equal(try_read(s, i, 0, 1 << 20, &err), 0);
	store_close(&s);
}

static int no_second_file(void *arg, enum io_op op, const char *name, const char *to,
	uint64_t offset, struct str data)
{
	(void)arg, (void)to, (void)offset, (void)data;
	return op == IO_CREATE && strstr(name, ".z") ? EIO : 0;
}

static void what_cannot_be_squeezed_is_taken_as_it_came(void **state)
{
	struct store *s = store_with_mail(test_dir(state), true);

	io_watch(no_second_file, NULL);
	send(s, ALL + SMALL, true); /* to Bob */
	io_watch(NULL, NULL);
	store_close(&s);
	is_clean(test_dir(state));
}

static void a_backup_has_them_and_is_verified(void **state)
{
	const int dir = test_dir(state);
	int data, to, other;
	struct backup_mark mark = { 0 };
	struct backup_result r = { 0 };
	const struct fsck_options o = { 0 };
	struct fsck_result found;
	struct err err = ERR_INIT;
	struct store *s;

	mkdirat(dir, "data", 0700), mkdirat(dir, "backup", 0700), mkdirat(dir, "other", 0700);
	data = openat(dir, "data", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	to = openat(dir, "backup", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	other = openat(dir, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	s = store_with_mail(data, true);
	store_hold(s);
	if (backup_prepare(s, &mark, &err) < 0 || backup_make(data, to, &mark, 2, &r, &err) < 0)
		fail_msg("%s", err.msg);
	store_unhold(s);
	store_close(&s);
	if (backup_verify(to, 0, &o, &found, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(found.wrong, 0);
	assert_int_equal(found.bodies, 3 * ALL);
	if (backup_restore(to, 0, other, NULL, &r, &err) < 0)
		fail_msg("%s", err.msg);
	s = open_small(other);
	assert_all_right(s, true);
	store_close(&s);
	close(data), close(to), close(other);
}

/* ---- what a disk does ---- */

/* T122: as with any other body, and fsck says the same. */
static void a_rotten_one_is_refused_and_marked(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, true);
	struct err err;
	unsigned spoilt = 0;

	for (unsigned i = 0; i < ALL; i += 2) {
		const struct body_place p = place_of(s, i);

		if (!p.stored)
			continue;
		spoil(dir, &p, (p.blob[0] ? 0 : p.place) + p.stored * (i + 1) / (ALL + 2));
		spoilt++;
	}
	assert_true(spoilt > SMALL / 3 + 1);
	for (unsigned i = 0; i < ALL; i++) {
		const bool right = i % 2 || !pays(i);

		assert_int_equal(try_read(s, i, 0, 1 << 20, &err), right ? 0 : -1);
		if (!right)
			assert_int_equal(err.kind, ERR_DAMAGED);
	}
	assert_int_equal(damaged_bodies(s), spoilt);
	for (unsigned i = 0; i < ALL; i += 2) /* known by now, whatever part is asked for */
		if (pays(i))
			assert_int_equal(try_read(s, i, size_of(i) - 1, 1, &err), -1);
	store_close(&s);
	assert_int_equal(run_fsck(dir, false, false).r.lost, spoilt);
}

/* The index says where and how long: what does not fit is damaged, and nothing is made room for
 * that is larger than the message. */
static void an_index_that_lies_is_no_way_around_the_checksum(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, true);
	struct err err;

	store_close(&s);
	sql(dir,
		"UPDATE body SET stored = 1000000000000 WHERE id = (SELECT body FROM entry WHERE "
		"account = 1 AND uid = 1);\n"
		"UPDATE body SET stored = stored - 1 WHERE id = (SELECT body FROM entry WHERE "
		"account = 1 AND uid = 2);\n"
		"UPDATE body SET stored = 0 WHERE id = (SELECT body FROM entry WHERE account = 1 "
		"AND uid = 3);\n"
		"UPDATE body SET size = size + 1 WHERE id = (SELECT body FROM entry WHERE account "
		"= 1 AND uid = 5);\n"
		"UPDATE body SET stored = stored - 4 WHERE blob IS NOT NULL AND stored <> 0;\n");
	s = open_small(dir);
	for (unsigned i = 0; i < ALL; i++) {
		const bool lie = i < 3 || i == 4 || (i >= SMALL && pays(i));

		if (try_read(s, i, 0, 1 << 20, &err) != (lie ? -1 : 0))
			fail_msg("%u: %s", i, err.msg);
		assert_true(!lie || err.kind == ERR_DAMAGED);
	}
	store_close(&s);
}

/* The sums of the pieces can be made anew from them, the lengths cannot. */
static void a_blob_that_has_lost_its_table_is_checked_all_the_same(void **state)
{
	const int dir = test_dir(state);
	struct store *s = store_with_mail(dir, true);
	const struct body_place sums = place_of(s, SMALL), lengths = place_of(s, SMALL + 1);
	struct err err;

	spoil(dir, &sums, sums.stored + 4 * 3);
	assert_int_equal(try_read(s, SMALL, 300000, 61440, &err), 0);
	spoil(dir, &lengths, lengths.stored + 4);
	assert_int_equal(try_read(s, SMALL + 1, 300000, 1, &err), -1);
	assert_int_equal(err.kind, ERR_DAMAGED);
	assert_int_equal(damaged_bodies(s), 1);
	store_close(&s);
}

/* Neither memory that is short nor a read that fails says anything about the bytes. */
static void what_cannot_be_read_now_is_not_called_damaged(void **state)
{
	struct store *s = store_with_mail(test_dir(state), true);
	const unsigned numbers[] = { 2, SMALL };
	struct err err = ERR_INIT;
	struct str bytes;
	struct view v;
	unsigned hits = 0;

	for (size_t i = 0; i < 2; i++) {
		const uint64_t body = place_of(s, numbers[i]).body;
		bool hit = true;
		int r;

		for (long n = 1; hit; n++) {
			assert_int_equal(view_open(s, &v, &err), 0);
			fail_nth(n);
			r = body_read(&v, body, 0, &bytes, &err);
			hit = fail_hit();
			hits += hit;
			assert_true(r == 0 || err.kind != ERR_DAMAGED);
			if (r == 0)
				assert_int_equal(bytes.p[0], byte_of(numbers[i], 0));
			view_close(&v);
		}
	}
	assert_true(!FAIL_POSSIBLE || hits > 8);
	assert_int_equal(damaged_bodies(s), 0);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_byte_comes_back_in_any_piece),
		TEST(what_is_there_already_changes_its_form_and_back),
		TEST(what_they_were_goes_when_the_first_time_was_cut_short),
		TEST(compaction_leaves_them_squeezed_and_a_rebuild_knows),
		TEST(a_replay_of_the_whole_log_gives_the_same_index),
		TEST(compaction_squeezes_what_it_copies),
		TEST(a_missing_file_holds_up_nothing_else),
		TEST(on_a_full_disk_files_keep_their_form),
		TEST(what_cannot_be_squeezed_is_taken_as_it_came),
		TEST(a_backup_has_them_and_is_verified),
		TEST(a_rotten_one_is_refused_and_marked),
		TEST(an_index_that_lies_is_no_way_around_the_checksum),
		TEST(a_blob_that_has_lost_its_table_is_checked_all_the_same),
		TEST(what_cannot_be_read_now_is_not_called_damaged),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
