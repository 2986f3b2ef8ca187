#include "store/io.h"
#include "store/log.h"
#include "store/store_test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>

enum { SEGMENT = 256 << 10 };

struct seen {
	char text[1024];
	struct slog_position at;
	int records;
};

static int collect(void *arg, const struct slog_record *r, struct err *err)
{
	struct seen *s = arg;

	(void)err;
	snprintf(s->text + strlen(s->text), sizeof s->text - strlen(s->text), "%.*s/%.*s ",
		r->body.n < 20 ? (int)r->body.n : 5, r->body.p, (int)r->effects.n, r->effects.p);
	s->at = r->after;
	s->records++;
	return 0;
}

static struct slog *must_open(int dir, const struct slog_position *from, struct seen *seen)
{
	const struct slog_options o = { .segment_bytes = SEGMENT };
	struct err err = ERR_INIT;
	struct slog *l = NULL;

	*seen = (struct seen){ 0 };
	if (slog_open(&l, dir, &o, from, collect, seen, &err) < 0)
		fail_msg("%s", err.msg);
	return l;
}

static const struct slog_position start;

/* Commit the bodies as one batch. */
static struct slog_position commit(struct slog *l, int n, const char *const *bodies)
{
	struct slog_position after;
	struct err err = ERR_INIT;

	if (slog_batch_begin(l, 1000, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < n; i++)
		assert_int_equal(slog_batch_add(l, 7, str_c(bodies[i]), STR("x"), &err), 0);
	if (slog_batch_commit(l, &after, &err) < 0)
		fail_msg("%s", err.msg);
	return after;
}

#define COMMIT(l, ...)                                                                             \
	commit(l, sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *),                   \
		(const char *const[]){ __VA_ARGS__ })

static void what_was_committed_is_there_after_opening_again(void **state)
{
	int dir = test_dir(state);
	struct seen seen;
	struct slog *l = must_open(dir, &start, &seen);
	struct slog_position second;

	COMMIT(l, "one", "two");
	second = COMMIT(l, "three");
	COMMIT(l, "four");
	slog_close(&l);
	l = must_open(dir, &start, &seen);
	assert_string_equal(seen.text, "one/x two/x three/x four/x ");
	slog_close(&l);
	l = must_open(dir, &second, &seen);
	assert_string_equal(seen.text, "four/x ");
	COMMIT(l, "five");
	slog_close(&l);
	l = must_open(dir, &second, &seen);
	assert_string_equal(seen.text, "four/x five/x ");
	slog_close(&l);
}

static void bodies_are_found_at_their_place(void **state)
{
	int dir = test_dir(state);
	struct seen seen;
	struct slog *l = must_open(dir, &start, &seen);
	struct slog_position after;
	uint64_t segment, offset;
	struct err err = ERR_INIT;
	char got[6] = "";

	COMMIT(l, "before");
	assert_int_equal(slog_batch_begin(l, 10, &err), 0);
	assert_int_equal(slog_batch_add(l, 0, STR("first"), STR("effects"), &err), 0);
	slog_body_place(l, &segment, &offset);
	assert_int_equal(slog_batch_add(l, 0, STR("hello"), STR(""), &err), 0);
	assert_int_equal(slog_batch_commit(l, &after, &err), 0);
	assert_int_equal(slog_read(l, segment, offset, got, 5, &err), 0);
	assert_string_equal(got, "hello");
	assert_int_equal(slog_read(l, 99, offset, got, 5, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	slog_close(&l);
}

static void segments_follow_one_another(void **state)
{
	int dir = test_dir(state);
	static char big[20000];
	struct seen seen;
	struct slog *l = must_open(dir, &start, &seen);
	struct slog_position middle = { 0 }, at = start;
	struct err err = ERR_INIT;

	memset(big, 'b', sizeof big - 1);
	for (int i = 0; i < 40; i++) {
		struct slog_position after = COMMIT(l, big);

		if (i == 5)
			middle = after;
	}
	slog_close(&l);
	l = must_open(dir, &start, &seen);
	assert_int_equal(seen.records, 40);
	assert_true(seen.at.segment > 3);
	slog_close(&l);
	l = must_open(dir, &middle, &seen);
	assert_int_equal(seen.records, 34);
	slog_close(&l);
	memset(&seen, 0, sizeof seen);
	assert_int_equal(slog_follow(dir, &at, 40, 5, collect, &seen, &err), 5);
	assert_int_equal(slog_follow(dir, &at, 40, 100, collect, &seen, &err), 35);
	assert_int_equal(slog_follow(dir, &at, 40, 100, collect, &seen, &err), 0);
}

static void a_record_larger_than_a_segment_is_kept(void **state)
{
	int dir = test_dir(state);
	static char huge[3 * SEGMENT];
	struct seen seen;
	struct slog *l = must_open(dir, &start, &seen);

	memset(huge, 'h', sizeof huge - 1);
	COMMIT(l, "one", huge, "two");
	COMMIT(l, "three");
	slog_close(&l);
	l = must_open(dir, &start, &seen);
	assert_string_equal(seen.text, "one/x hhhhh/x two/x three/x ");
	slog_close(&l);
}

/* The last batch is cut at every byte: what came before is kept, nothing of it is believed that is
 * not whole, and the log can be written on. */
static void a_torn_last_batch_is_cut_wherever_it_tore(void **state)
{
	struct slog_position first, last;
	struct seen seen;
	int dir = test_dir(state), fd;
	struct slog *l = must_open(dir, &start, &seen);
	static char whole[SEGMENT];
	struct err err = ERR_INIT;

	first = COMMIT(l, "kept");
	last = COMMIT(l, "alpha", "beta", "gamma");
	slog_close(&l);
	fd = io_open(dir, "log/0000000001.seg", O_RDWR, &err);
	assert_int_equal(io_read(fd, "x", 0, whole, SEGMENT, &err), 0);
	for (uint64_t cut = first.offset; cut < last.offset; cut++) {
		static const char zeros[1000];

		assert_int_equal(io_write(fd, "x", 0, str_make(whole, SEGMENT), &err), 0);
		assert_int_equal(
			io_write(fd, "x", cut, str_make(zeros, (size_t)(last.offset - cut)), &err),
			0);
		l = must_open(dir, &start, &seen);
		assert_null(slog_damage(l));
		assert_true(strncmp(seen.text, "kept/x ", 7) == 0);
		/* The last bytes may be padding, which is zero anyway. */
		assert_true(seen.records < 4 || cut > last.offset - 8);
		COMMIT(l, "more");
		slog_close(&l);
		l = must_open(dir, &start, &seen);
		assert_non_null(strstr(seen.text, "more/x "));
		slog_close(&l);
	}
	close(fd);
}

static void a_flipped_byte_is_damage_when_later_mail_follows(void **state)
{
	struct slog_position first, second, last;
	struct seen seen;
	int dir = test_dir(state), fd, damaged = 0;
	struct slog *l = must_open(dir, &start, &seen);
	static char whole[SEGMENT], now[SEGMENT];
	struct err err = ERR_INIT;

	first = COMMIT(l, "kept");
	second = COMMIT(l, "hit", "also hit");
	last = COMMIT(l, "later");
	slog_close(&l);
	fd = io_open(dir, "log/0000000001.seg", O_RDWR, &err);
	assert_int_equal(io_read(fd, "x", 0, whole, SEGMENT, &err), 0);
	for (uint64_t at = first.offset; at < second.offset; at += 3) {
		char flipped = (char)(whole[at] ^ 0x10);

		assert_int_equal(io_write(fd, "x", at, str_make(&flipped, 1), &err), 0);
		memcpy(now, whole, SEGMENT);
		now[at] = flipped;
		l = must_open(dir, &start, &seen);
		if (slog_damage(l)) {
			damaged++;
			assert_int_equal(slog_batch_begin(l, 10, &err), -1);
			assert_int_equal(io_read(fd, "x", 0, whole, SEGMENT, &err), 0);
			assert_memory_equal(whole, now, SEGMENT); /* nothing was cut */
		} else { /* between batches, or padding: nothing that matters */
			assert_int_equal(seen.records, 4);
		}
		slog_close(&l);
		now[at] = whole[at] = (char)(flipped ^ 0x10);
		assert_int_equal(io_write(fd, "x", at, str_make(&whole[at], 1), &err), 0);
	}
	assert_true(damaged > 30);
	assert_true(last.offset > second.offset);
	close(fd);
}

static void a_flipped_byte_in_the_last_batch_is_a_torn_tail(void **state)
{
	struct seen seen;
	int dir = test_dir(state), fd;
	struct slog *l = must_open(dir, &start, &seen);
	struct slog_position last;
	struct err err = ERR_INIT;

	COMMIT(l, "kept");
	last = COMMIT(l, "torn", "whole, but of the same batch");
	slog_close(&l);
	fd = io_open(dir, "log/0000000001.seg", O_RDWR, &err);
	assert_int_equal(io_write(fd, "x", SLOG_SEGMENT_HEAD + SLOG_ALIGN + 57, STR("!"), &err), 0);
	close(fd);
	l = must_open(dir, &start, &seen);
	assert_null(slog_damage(l));
	assert_string_equal(seen.text, "kept/x ");
	COMMIT(l, "new");
	slog_close(&l);
	l = must_open(dir, &start, &seen);
	assert_string_equal(seen.text, "kept/x new/x ");
	slog_close(&l);
	(void)last;
}

static void the_log_may_not_end_before_the_index(void **state)
{
	static const char zeros[SEGMENT];
	struct seen seen;
	int dir = test_dir(state), fd;
	struct slog *l = must_open(dir, &start, &seen);
	struct slog_position last;
	struct err err = ERR_INIT;

	COMMIT(l, "one");
	last = COMMIT(l, "two");
	slog_close(&l);
	fd = io_open(dir, "log/0000000001.seg", O_RDWR, &err);
	io_write(fd, "x", last.last, str_make(zeros, 50), &err);
	close(fd);
	l = must_open(dir, &last, &seen);
	assert_non_null(slog_damage(l));
	slog_close(&l);
}

static int no_flush(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)name, (void)to, (void)offset, (void)data;
	return op == IO_FLUSH && atomic_load((atomic_bool *)arg) ? EIO : 0;
}

static void a_failed_flush_commits_nothing(void **state)
{
	struct seen seen;
	int dir = test_dir(state);
	struct slog *l;
	struct slog_position after;
	struct err err = ERR_INIT;
	atomic_bool failing = false;

#ifdef NO_FLUSH
	skip();
#endif
	io_watch(no_flush, &failing);
	l = must_open(dir, &start, &seen);
	COMMIT(l, "one");
	assert_int_equal(slog_batch_begin(l, 10, &err), 0);
	assert_int_equal(slog_batch_add(l, 0, STR("two"), STR("x"), &err), 0);
	failing = true;
	assert_int_equal(slog_batch_commit(l, &after, &err), -1);
	slog_close(&l);
	/* Still failing: the log cannot be trusted, so it is read-only. */
	l = must_open(dir, &start, &seen);
	assert_non_null(slog_damage(l));
	slog_close(&l);
	failing = false;
	l = must_open(dir, &start, &seen);
	assert_null(slog_damage(l));
	slog_close(&l);
	io_watch(NULL, NULL);
}

static void foreign_bytes_are_no_record(void **state)
{
	static const char *const odd[] = { "", "ELR1", "ELR1\1\0\0\0\377\377\377\377", "EILPSEG1" };
	struct slog_record r;
	char bytes[200];

	(void)state;
	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		memset(bytes, 0, sizeof bytes);
		memcpy(bytes, odd[i], strlen(odd[i]));
		assert_int_equal(slog_record_parse(str_make(bytes, sizeof bytes), 5, &r), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_there_after_opening_again),
		TEST(bodies_are_found_at_their_place),
		TEST(segments_follow_one_another),
		TEST(a_record_larger_than_a_segment_is_kept),
		TEST(a_torn_last_batch_is_cut_wherever_it_tore),
		TEST(a_flipped_byte_is_damage_when_later_mail_follows),
		TEST(a_flipped_byte_in_the_last_batch_is_a_torn_tail),
		TEST(the_log_may_not_end_before_the_index),
		TEST(a_failed_flush_commits_nothing),
		TEST(foreign_bytes_are_no_record),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
