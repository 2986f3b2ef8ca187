/* What the log makes of bytes that are there and should not be, and of its own limits. */
#include "base/crc32c.h"
#include "store/io.h"
#include "store/log_private.h"
#include "store/store_test.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

enum { SEGMENT = 256 << 10 };

static const struct slog_position start;

static int count_up(void *arg, const struct slog_record *r, struct err *err)
{
	(void)r, (void)err;
	++*(int *)arg;
	return 0;
}

static int refuse(void *arg, const struct slog_record *r, struct err *err)
{
	(void)arg, (void)r;
	return err_set(err, ERR_TEMP, "not this one");
}

static struct slog *open_at(int dir, const struct slog_position *from, int *count, uint64_t bytes)
{
	const struct slog_options o = { .segment_bytes = bytes };
	struct err err = ERR_INIT;
	struct slog *l;

	*count = 0;
	if (slog_open(&l, dir, &o, from, count_up, count, &err) < 0)
		fail_msg("%s", err.msg);
	return l;
}

static struct slog_position commit(struct slog *l, size_t body, size_t records)
{
	struct buf b = BUF(8 << 20);
	struct slog_position after;
	struct err err = ERR_INIT;

	memset(buf_room(&b, body + 1), 'b', body);
	buf_grew(&b, body);
	assert_int_equal(slog_batch_begin(l, body * records, &err), 0);
	for (size_t i = 0; i < records; i++)
		assert_int_equal(slog_batch_add(l, 7, buf_str(&b), STR("x"), &err), 0);
	assert_int_equal(slog_batch_commit(l, &after, &err), 0);
	buf_free(&b);
	return after;
}

static void write_at(int dir, uint64_t segment, uint64_t at, struct str bytes)
{
	char name[SLOG_NAME];
	struct err err = ERR_INIT;
	int fd;

	slog_segment_name(name, segment, ".seg");
	fd = io_open(dir, name, O_RDWR, &err);
	assert_int_equal(io_write(fd, name, at, bytes, &err), 0);
	close(fd);
}

static uint32_t salt_of(int dir, uint64_t segment)
{
	struct slog_segment s;
	char name[SLOG_NAME];
	struct err err = ERR_INIT;
	int fd;

	slog_segment_name(name, segment, ".seg");
	fd = io_open(dir, name, O_RDWR, &err);
	assert_int_equal(slog_segment_read(fd, segment, &s, &err), 0);
	close(fd);
	return s.salt;
}

/* A valid head with these sizes, whatever follows. */
static void put_head(char head[SLOG_RECORD_HEAD], uint32_t salt, uint32_t length, uint32_t body)
{
	const struct slog_record r = { .sequence = 99, .batch = 99 };
	uint32_t n = htole32(length), b = htole32(body), sum;

	slog_record_put(head, &r);
	memcpy(head + 8, &n, 4);
	memcpy(head + 12, &b, 4);
	sum = htole32(crc32c(salt, head, 44));
	memcpy(head + 44, &sum, 4);
}

static void the_head_of_a_segment_is_whole_or_none(void **state)
{
	const struct slog_segment s = { .number = 3, .salt = 5 };
	struct slog_segment got;
	char head[SLOG_SEGMENT_HEAD];

	(void)state;
	slog_segment_put(head, &s);
	assert_true(slog_segment_parse(str_make(head, sizeof head), &got));
	assert_false(slog_segment_parse(str_make(head, sizeof head - 1), &got));
	for (size_t i = 0; i < sizeof head; i++) {
		head[i] ^= 4;
		assert_false(slog_segment_parse(str_make(head, sizeof head), &got));
		head[i] ^= 4;
	}
}

static void the_sizes_of_a_record_are_believed_when_they_agree(void **state)
{
	char bytes[SLOG_RECORD_HEAD + 40] = "";
	struct slog_record r;
	size_t body, effects;

	(void)state;
	put_head(bytes, 5, 10, 0);
	assert_int_equal(slog_record_length(str_make(bytes, sizeof bytes), 5), 0);
	assert_int_equal(slog_record_sizes(bytes, &body, &effects), 0);
	put_head(bytes, 5, SLOG_RECORD_HEAD + 8, 9);
	assert_int_equal(slog_record_sizes(bytes, &body, &effects), 0);
	assert_int_equal(slog_record_parse(str_make(bytes, sizeof bytes), 5, &r), 0);
	put_head(bytes, 5, sizeof bytes + 1, 0);
	assert_int_equal(slog_record_parse(str_make(bytes, sizeof bytes), 5, &r), 0);
}

/* A head that promises more than its file holds, and one that promises more than a batch may be. */
static void a_record_that_would_be_too_long_is_a_torn_tail(void **state)
{
	const int dir = test_dir(state);
	char head[SLOG_RECORD_HEAD];
	struct slog_position last;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	last = commit(l, 10, 1);
	slog_close(&l);
	for (int large = 0; large < 2; large++) {
		uint32_t n = large ? (256u << 20) + 64 : SEGMENT;

		put_head(head, salt_of(dir, 1), n, 8);
		write_at(dir, 1, last.offset, str_make(head, sizeof head));
		if (large) /* sparse */
			write_at(dir, 1, UINT64_C(300) << 20, STR("\0\0\0\0\0\0\0\0"));
		l = open_at(dir, &start, &count, SEGMENT);
		assert_null(slog_damage(l));
		assert_int_equal(count, 1);
		slog_close(&l);
	}
}

/* One that follows in the chain of checksums and not in number. */
static void a_record_out_of_order_ends_the_chain(void **state)
{
	const struct {
		uint64_t sequence, batch;
		bool newer;
	} odd[] = { { 9, 2, false }, { 2, 3, false }, { 2, 2, true }, { 2, 1, true } };

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		char record[SLOG_RECORD_HEAD + 8] = "", name[8];
		const struct slog_record r = { .sequence = odd[i].sequence,
			.batch = odd[i].batch,
			.effects = STR("12345678") };
		struct slog_position last;
		struct slog *l;
		int count, dir;

		snprintf(name, sizeof name, "%zu", i);
		assert_int_equal(mkdirat(test_dir(state), name, 0700), 0);
		dir = openat(test_dir(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		l = open_at(dir, &start, &count, SEGMENT);
		last = commit(l, 10, 1);
		slog_close(&l);
		slog_record_put(record, &r);
		if (odd[i].newer)
			record[4] = SLOG_VERSION + 1;
		memcpy(record + SLOG_RECORD_HEAD, "12345678", 8);
		slog_record_seal(record, salt_of(dir, 1), last.checksum, true);
		write_at(dir, 1, odd[i].batch == 1 ? last.offset : slog_round(last.offset, 512),
			str_make(record, sizeof record));
		l = open_at(dir, &start, &count, SEGMENT);
		assert_int_equal(count, 1);
		/* A later version wrote it: only when it may be of the batch before is that unsure.
		 */
		if (odd[i].newer) {
			assert_non_null(strstr(slog_damage(l), "newer version"));
			assert_int_equal(slog_is_unsure(l), odd[i].batch == 1);
		}
		slog_close(&l);
		close(dir);
	}
}

static void an_index_that_names_another_record_is_damage(void **state)
{
	const int dir = test_dir(state);
	struct slog_position last, at;
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	last = commit(l, 10, 1);
	slog_close(&l);
	for (int i = 0; i < 4; i++) {
		at = last;
		at.sequence += i == 0;
		at.checksum += i == 1;
		at.offset += i == 2 ? 8 : 0;
		at.segment += i == 3 ? 90 : 0;
		l = open_at(dir, &at, &count, SEGMENT);
		assert_non_null(slog_damage(l));
		assert_int_equal(slog_batch_begin(l, 1, &err), -1);
		slog_close(&l);
	}
	/* Reading along from a segment that is not there finds nothing. */
	assert_int_equal(slog_follow(dir, &at, 100, 10, count_up, &count, &err), 0);
	at = start;
	assert_int_equal(slog_follow(dir, &at, 2, 10, refuse, NULL, &err), -1);
}

static void a_replay_that_fails_fails_the_opening(void **state)
{
	const struct slog_options o = { .segment_bytes = SEGMENT };
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(test_dir(state), &start, &count, SEGMENT);
	commit(l, 10, 1);
	slog_close(&l);
	assert_int_equal(slog_open(&l, test_dir(state), &o, &start, refuse, NULL, &err), -1);
	assert_null(l);
	assert_non_null(strstr(err.msg, "record 1"));
}

static void a_gap_between_segments_is_damage(void **state)
{
	const int dir = test_dir(state);
	struct slog_position first;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	first = commit(l, 100000, 1);
	while (l->at.segment < 3)
		commit(l, 100000, 1);
	slog_close(&l);
	write_at(dir, 1, first.last + SLOG_RECORD_HEAD + 5, STR("!"));
	l = open_at(dir, &start, &count, SEGMENT);
	assert_int_equal(count, 0);
	assert_non_null(strstr(slog_damage(l), "follows later"));
	slog_close(&l);
}

/* The end of the last record is where the next batch begins: no padding to look behind. */
static void a_record_may_end_where_the_next_batch_begins(void **state)
{
	const int dir = test_dir(state);
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	/* Begun twice, in a segment that is new. */
	assert_int_equal(slog_batch_begin(l, 10, &err), 0);
	assert_int_equal(slog_batch_begin(l, 10, &err), 0);
	assert_int_equal(commit(l, SLOG_ALIGN - SLOG_RECORD_HEAD - 1, 1).offset % SLOG_ALIGN, 0);
	slog_close(&l);
	l = open_at(dir, &start, &count, SEGMENT);
	assert_int_equal(count, 1);
	commit(l, 10, 1);
	slog_close(&l);
	l = open_at(dir, &start, &count, SEGMENT);
	assert_int_equal(count, 2);
	slog_close(&l);
}

/* In a segment of the usual size: what is behind the end becomes zero for a while, and as far as
 * something is there; also when nothing was replayed. */
static void dirt_behind_the_end_is_wiped(void **state)
{
	const int dir = test_dir(state);
	const uint64_t far = UINT64_C(20) << 20;
	struct slog_position last;
	struct err err = ERR_INIT;
	char name[SLOG_NAME], byte;
	struct slog *l;
	int count, fd;

	l = open_at(dir, &start, &count, 0);
	last = commit(l, 10, 1);
	slog_close(&l);
	for (int known = 0; known < 2; known++) {
		write_at(dir, 1, last.offset + 1000, STR("torn"));
		if (known)
			write_at(dir, 1, far, STR("torn"));
		l = open_at(dir, known ? &last : &start, &count, 0);
		assert_null(slog_damage(l));
		assert_int_equal(count, !known);
		slog_close(&l);
		slog_segment_name(name, 1, ".seg");
		fd = io_open(dir, name, O_RDONLY, &err);
		for (int i = 0; i < 4; i++) {
			assert_int_equal(
				io_read(fd, name, last.offset + 1000 + (uint64_t)i, &byte, 1, &err),
				0);
			assert_int_equal(byte, 0);
			assert_int_equal(io_read(fd, name, far + (uint64_t)i, &byte, 1, &err), 0);
			assert_int_equal(byte, 0);
		}
		close(fd);
	}
}

static void a_batch_has_its_limits(void **state)
{
	struct slog_position after;
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(test_dir(state), &start, &count, SEGMENT);
	commit(l, 5 << 20, 1); /* larger than what is kept in memory, and than a segment */
	commit(l, 10, 3);
	assert_int_equal(slog_batch_begin(l, 10, &err), 0);
	assert_true(slog_batch_fits(l, 1 << 30)); /* the first always does */
	assert_int_equal(slog_batch_add(l, 7, STR("body"), STR("x"), &err), 0);
	assert_true(slog_batch_fits(l, 1000));
	assert_false(slog_batch_fits(l, SEGMENT));
	l->capacity = UINT64_C(1) << 40;
	assert_false(slog_batch_fits(l, SLOG_BATCH_MAX));
	assert_int_equal(slog_batch_each(l, refuse, NULL, &err), -1);
	assert_int_equal(slog_batch_commit(l, &after, &err), 0);
	slog_close(&l);
	assert_null(l);
	slog_close(&l);
}

static int no_segment(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)to, (void)offset, (void)data;
	return op == *(enum io_op *)arg && strstr(name, ".new") ? ENOSPC : 0;
}

/* T118, T125. Neither the helper thread nor the writer can make the next segment: what comes is
 * refused, and taken when it works again. */
static void without_the_next_segment_a_batch_is_refused(void **state)
{
	const int dir = test_dir(state);
	enum io_op op = IO_CREATE;
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	slog_ahead_stop(&l->ahead); /* and so the writer is alone with it */
	close(slog_ahead_take(
		&(struct slog_ahead){ .dir = dir, .bytes = SEGMENT, .ready = -1 }, 70, &err));
	slog_ahead_start(&l->ahead, dir, SEGMENT, 0);
	io_watch(no_segment, &op);
	slog_ahead_want(&l->ahead, 2);
	assert_int_equal(slog_batch_begin(l, SEGMENT - 1000, &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	io_watch(NULL, NULL);
	commit(l, SEGMENT - 1000, 1);
	l->ahead.spare = UINT64_C(1) << 60;
	slog_ahead_want(&l->ahead, 0);
	assert_int_equal(slog_batch_begin(l, SEGMENT - 1000, &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	slog_close(&l);
}

static void a_damaged_head_of_a_segment_is_damage(void **state)
{
	const int dir = test_dir(state);
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	slog_close(&l);
	write_at(dir, 1, 20, STR("\7"));
	l = open_at(dir, &start, &count, SEGMENT);
	assert_non_null(slog_damage(l));
	slog_close(&l);
}

static void a_segment_under_another_name_is_damage(void **state)
{
	const int dir = test_dir(state);
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	slog_close(&l);
	assert_int_equal(renameat(dir, "log/0000000001.seg", dir, "log/0000000007.seg"), 0);
	unlinkat(dir, "log/0000000002.seg", 0);
	l = open_at(dir, &start, &count, SEGMENT);
	assert_non_null(slog_damage(l));
	slog_close(&l);
}

/* A recovery removes the segments behind the end, and the process is killed between two of them. */
static void a_missing_segment_behind_the_end_is_no_damage(void **state)
{
	const int dir = test_dir(state);
	struct slog_ahead a = { .dir = dir, .bytes = SEGMENT, .ready = -1 };
	struct err err = ERR_INIT;
	struct slog *l;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	slog_close(&l);
	unlinkat(dir, "log/0000000002.seg", 0);
	close(slog_segment_make(&a, 3, &err));
	l = open_at(dir, &start, &count, SEGMENT);
	assert_null(slog_damage(l));
	commit(l, SEGMENT, 1);
	slog_close(&l);
	l = open_at(dir, &start, &count, SEGMENT);
	assert_int_equal(count, 2);
	slog_close(&l);
}

/* Whatever the order in which the folder lists them. */
static void segments_are_found_in_any_order(void **state)
{
	const int dir = test_dir(state);
	struct slog_ahead a = { .dir = dir, .bytes = 4096, .ready = -1 };
	struct err err = ERR_INIT;
	const uint64_t order[] = { 4, 2, 6, 1, 3, 5 };
	struct slog *l;
	int count;

	assert_int_equal(mkdirat(dir, "log", 0700), 0);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		close(slog_segment_make(&a, order[i], &err));
	l = open_at(dir, &start, &count, SEGMENT);
	assert_null(slog_damage(l));
	assert_int_equal(l->at.segment, 0);
	slog_close(&l);
}

/* Two segments that want the same place in the table of open files. */
static void open_files_make_room_for_each_other(void **state)
{
	const int dir = test_dir(state);
	struct slog_ahead a = { .dir = dir, .bytes = 4096, .ready = -1 };
	struct slog_file *slot;
	struct err err = ERR_INIT;
	struct slog *l;
	char byte;
	int count;

	l = open_at(dir, &start, &count, SEGMENT);
	commit(l, 10, 1);
	close(slog_segment_make(&a, 1 + SLOG_FILES, &err));
	slot = &l->files[1 % SLOG_FILES];
	for (int i = 0; i < 3; i++) {
		assert_int_equal(slog_read(l, 1, 0, &byte, 1, &err), 0);
		assert_int_equal(slot->segment, 1);
		assert_int_equal(slog_read(l, 1 + SLOG_FILES, 0, &byte, 1, &err), 0);
		assert_int_equal(slot->segment, 1 + SLOG_FILES);
	}
	slot->users = 1; /* somebody reads */
	assert_int_equal(slog_read(l, 1, 0, &byte, 1, &err), 0);
	assert_int_equal(slog_read(l, 1 + SLOG_FILES, 0, &byte, 1, &err), 0);
	assert_int_equal(slot->segment, 1 + SLOG_FILES);
	slot->users = 0;
	slog_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_head_of_a_segment_is_whole_or_none),
		TEST(the_sizes_of_a_record_are_believed_when_they_agree),
		TEST(a_record_that_would_be_too_long_is_a_torn_tail),
		TEST(a_record_out_of_order_ends_the_chain),
		TEST(an_index_that_names_another_record_is_damage),
		TEST(a_replay_that_fails_fails_the_opening),
		TEST(a_gap_between_segments_is_damage),
		TEST(a_record_may_end_where_the_next_batch_begins),
		TEST(dirt_behind_the_end_is_wiped),
		TEST(a_batch_has_its_limits),
		TEST(without_the_next_segment_a_batch_is_refused),
		TEST(a_damaged_head_of_a_segment_is_damage),
		TEST(a_segment_under_another_name_is_damage),
		TEST(a_missing_segment_behind_the_end_is_no_damage),
		TEST(segments_are_found_in_any_order),
		TEST(open_files_make_room_for_each_other),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
