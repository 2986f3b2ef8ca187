/* Every call that the log makes fails in turn, while it is opened, written, read and repaired.
 * Nothing that was committed may be lost by it, and the next opening without failures finds all of
 * it. */
#include "store/fail_test.h"
#include "store/io.h"
#include "store/log_private.h"
#include "store/store_test.h"

#include <string.h>

enum { SEGMENT = 64 << 10, BODY = 24000, RECORDS = 12 };

static const struct slog_options options = { .segment_bytes = SEGMENT };
static const struct slog_position start;

struct found {
	unsigned count;
	uint64_t last;
};

static int count_up(void *arg, const struct slog_record *r, struct err *err)
{
	struct found *f = arg;

	(void)err;
	f->count++;
	f->last = r->sequence;
	return 0;
}

/* One batch of two records. */
static int write_batch(struct slog *l, struct slog_position *after, struct err *err)
{
	static char body[BODY];

	if (slog_batch_begin(l, 2 * BODY, err) < 0 ||
		slog_batch_add(l, 1, str_make(body, BODY), STR("one"), err) < 0 ||
		slog_batch_add(l, 1, STR("small"), STR("two"), err) < 0)
		return -1;
	return slog_batch_commit(l, after, err);
}

static int read_all(struct slog *l, int dir, uint64_t until, struct err *err)
{
	struct slog_position at = start;
	struct found f = { 0 };
	char byte;

	for (uint64_t n = 1; n <= l->at.segment; n++)
		if (slog_read(l, n, SLOG_SEGMENT_HEAD + SLOG_RECORD_HEAD, &byte, 1, err) < 0)
			return -1;
	(void)slog_bytes(l);
	return slog_follow(dir, &at, until, SIZE_MAX, count_up, &f, err);
}

/* What was committed, also when it ends with an error. */
static int work(int dir, uint64_t *committed, struct err *err)
{
	struct found f = { 0 };
	struct slog_position after;
	struct slog *l;
	int r = -1;

	if (slog_open(&l, dir, &options, &start, count_up, &f, err) < 0)
		return -1;
	if (slog_damage(l)) {
		err_set(err, ERR_TEMP, "%s", slog_damage(l));
		goto out;
	}
	assert_true(f.last >= *committed);
	for (int i = 0; i < RECORDS / 2; i++) {
		if (write_batch(l, &after, err) < 0)
			goto out;
		*committed = after.sequence;
	}
	r = read_all(l, dir, *committed, err);
out:
	slog_close(&l);
	return r;
}

static void must_hold(int dir, uint64_t committed)
{
	struct err err = ERR_INIT;
	struct found f = { 0 };
	struct slog *l;

	if (slog_open(&l, dir, &options, &start, count_up, &f, &err) < 0)
		fail_msg("%s", err.msg);
	if (slog_damage(l))
		fail_msg("%s", slog_damage(l));
	assert_true(f.last >= committed);
	assert_int_equal(f.count, f.last);
	slog_close(&l);
}

/* How the log stands before. */
typedef void prepare_fn(int dir, uint64_t *committed);

static void nothing(int dir, uint64_t *committed)
{
	(void)dir, (void)committed;
}

static void some(int dir, uint64_t *committed)
{
	struct err err = ERR_INIT;

	assert_int_equal(work(dir, committed, &err) < 0, 0);
}

static void put(int dir, const char *name, uint64_t at, struct str bytes)
{
	struct err err = ERR_INIT;
	int fd = io_open(dir, name, O_RDWR | O_CREAT, &err);

	assert_int_equal(io_write(fd, name, at, bytes, &err), 0);
	close(fd);
}

/* Half a batch behind the last one, something in the next segment, one that was being made, and
 * what is none. */
static void torn(int dir, uint64_t *committed)
{
	char name[SLOG_NAME];
	struct found f = { 0 };
	struct err err = ERR_INIT;
	struct slog_position at;
	struct slog *l;

	some(dir, committed);
	assert_int_equal(slog_open(&l, dir, &options, &start, count_up, &f, &err), 0);
	at = l->at;
	slog_close(&l);
	slog_segment_name(name, at.segment, ".seg");
	put(dir, name, at.offset + 600, STR("ELR1 something torn"));
	close(slog_segment_make(
		&(struct slog_ahead){ .dir = dir, .bytes = SEGMENT }, at.segment + 1, &err));
	slog_segment_name(name, at.segment + 1, ".seg");
	put(dir, name, SLOG_SEGMENT_HEAD + 8, STR("torn, too"));
	put(dir, "log/0000000099.new", 0, STR("half"));
	put(dir, "log/0000000000.seg", 0, STR("no number"));
	put(dir, "log/README", 0, STR("no segment"));
}

/* A batch whose first record is torn and whose second is whole, and longer than what is read at
 * once. */
static void torn_before_a_large_one(int dir, uint64_t *committed)
{
	static char large[1200000];
	struct slog_position after;
	struct found f = { 0 };
	struct err err = ERR_INIT;
	struct slog *l;

	assert_int_equal(slog_open(&l, dir, &options, &start, count_up, &f, &err), 0);
	assert_int_equal(write_batch(l, &after, &err), 0);
	*committed = after.sequence;
	assert_int_equal(slog_batch_begin(l, sizeof large, &err), 0);
	assert_int_equal(slog_batch_add(l, 1, STR("small"), STR("x"), &err), 0);
	assert_int_equal(slog_batch_add(l, 1, str_make(large, sizeof large), STR("x"), &err), 0);
	assert_int_equal(slog_batch_commit(l, &after, &err), 0);
	slog_close(&l);
	put(dir, "log/0000000002.seg", SLOG_SEGMENT_HEAD + 60, STR("!"));
}

/* The same, whole. */
static void large(int dir, uint64_t *committed)
{
	struct err err = ERR_INIT;
	int fd;

	torn_before_a_large_one(dir, committed);
	fd = io_open(dir, "log/0000000002.seg", O_RDWR, &err);
	assert_int_equal(io_write(fd, "x", SLOG_SEGMENT_HEAD + 60, STR("l"), &err), 0);
	close(fd);
	*committed += 2;
}

static void every_call_fails_in_turn(void **state, prepare_fn *prepare)
{
	bool hit = true;

	for (long n = 1; hit && FAIL_POSSIBLE; n++) {
		uint64_t committed = 0;
		struct err err = ERR_INIT;
		char name[20];
		int dir;

		snprintf(name, sizeof name, "%ld", n);
		assert_int_equal(mkdirat(test_dir(state), name, 0700), 0);
		dir = openat(test_dir(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		prepare(dir, &committed);
		fail_nth(n);
		(void)work(dir, &committed, &err);
		hit = fail_hit();
		must_hold(dir, committed);
		close(dir);
	}
}

static void a_new_log(void **state)
{
	every_call_fails_in_turn(state, nothing);
}

static void a_log_with_records(void **state)
{
	every_call_fails_in_turn(state, some);
}

static void a_log_with_a_torn_tail(void **state)
{
	every_call_fails_in_turn(state, torn);
}

static void a_log_with_a_large_record(void **state)
{
	every_call_fails_in_turn(state, large);
}

static void a_log_that_is_torn_before_a_large_record(void **state)
{
	every_call_fails_in_turn(state, torn_before_a_large_one);
}

/* The writer makes its segments itself when the helper thread cannot. */
static void a_segment_is_made_or_not_there(void **state)
{
	struct slog_ahead a = { .dir = test_dir(state), .bytes = SEGMENT + 100, .ready = -1 };
	struct slog_segment head;
	struct err err = ERR_INIT;
	bool hit = true;
	char name[SLOG_NAME];

	assert_int_equal(mkdirat(test_dir(state), "log", 0700), 0);
	for (long n = 1; hit && FAIL_POSSIBLE; n++) {
		struct stat st;
		int fd;

		fail_nth(n);
		fd = slog_segment_make(&a, (uint64_t)n, &err);
		hit = fail_hit();
		slog_segment_name(name, (uint64_t)n, ".seg");
		if (fd >= 0) {
			assert_int_equal(slog_segment_read(fd, (uint64_t)n, &head, &err), 0);
			close(fd);
		} else {
			assert_true(hit);
		}
		if (fstatat(test_dir(state), name, &st, 0) == 0)
			assert_int_equal(st.st_size, SEGMENT + 100); /* never a short one */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_log),
		TEST(a_log_with_records),
		TEST(a_log_with_a_torn_tail),
		TEST(a_log_with_a_large_record),
		TEST(a_log_that_is_torn_before_a_large_record),
		TEST(a_segment_is_made_or_not_there),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
