/* Recovery: what the index may know while the disk cannot be believed yet, and every way in which
 * opening the log can fail. */
#include "store/effect.h"
#include "store/io.h"
#include "store/log.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#include <errno.h>
#include <string.h>

enum { SEGMENT = 1 << 20 };

/* What of it fails: the n-th of its kind on names that begin so. */
struct failing {
	enum io_op op;
	const char *name;
	int after, error; /* so many are let through first */
	int seen;
};

static int fail_some(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	struct failing *f = arg;

	(void)to, (void)offset, (void)data;
	if (op != f->op || !str_starts(str_c(name), str_c(f->name)))
		return 0;
	return f->seen++ < f->after ? 0 : f->error;
}

static int ignore(void *arg, const struct slog_record *r, struct err *err)
{
	(void)r, (void)err;
	++*(int *)arg;
	return 0;
}

static struct slog *must_open_log(int dir, const struct slog_position *from)
{
	const struct slog_options o = { .segment_bytes = SEGMENT };
	struct err err = ERR_INIT;
	struct slog *l;
	int count = 0;

	if (slog_open(&l, dir, &o, from, ignore, &count, &err) < 0)
		fail_msg("%s", err.msg);
	return l;
}

static const struct slog_position start;

/* One batch of so many records, each of which makes a domain. */
static struct slog_position put_domains(struct slog *l, uint64_t first, uint64_t n)
{
	struct slog_position after;
	struct err err = ERR_INIT;
	char name[40];

	assert_int_equal(slog_batch_begin(l, 1000, &err), 0);
	for (uint64_t i = first; i < first + n; i++) {
		struct buf effects = BUF(1000);

		snprintf(name, sizeof name, "d%llu.example", (unsigned long long)i);
		effect_domain_put_put(&effects,
			&(struct effect_domain_put){ i, str_c(name), STORE_DOMAIN_LOCAL });
		assert_int_equal(slog_batch_add(l, 7, STR(""), buf_str(&effects), &err), 0);
		buf_free(&effects);
	}
	assert_int_equal(slog_batch_commit(l, &after, &err), 0);
	return after;
}

/* The sequence that index.db would have if the power went out now. */
static uint64_t known_to_the_index(struct store *s)
{
	struct err err = ERR_INIT;
	struct view v;
	int64_t n = 0;

	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(db_int(v.db, &n, "SELECT sequence FROM log_position", DB_NOARGS, &err), 1);
	view_close(&v);
	return (uint64_t)n;
}

/* T119. The end of the log may be in the page cache and not on the disk until recovery has written
 * and flushed it again. An index that knew of it would be ahead of the log after a power cut, and
 * the store read-only for ever. */
static void an_index_never_knows_what_the_disk_may_not_have(void **state)
{
	static const char zeros[512];
	const struct store_options o = { .segment_bytes = SEGMENT };
	struct failing flush = { .op = IO_FLUSH, .name = "log/", .error = EIO };
	struct slog *l = must_open_log(test_dir(state), &start);
	struct slog_position first = put_domains(l, 1, 950), last = put_domains(l, 951, 150);
	struct err err = ERR_INIT;
	struct store_figures f;
	struct store *s;
	int fd;

#ifdef NO_FLUSH
	skip();
#endif
	slog_close(&l);
	io_watch(fail_some, &flush);
	s = open_store_with(test_dir(state), &o);
	io_watch(NULL, NULL);
	store_figures(s, &f);
	assert_true(f.read_only);
	assert_non_null(strstr(f.alarm, "cannot be repaired"));
	assert_true(known_to_the_index(s) <= first.sequence);
	store_close(&s);

	/* The power cut: the disk does not have the last batch. */
	fd = io_open(test_dir(state), "log/0000000001.seg", O_RDWR, &err);
	for (uint64_t at = first.offset; at < last.offset; at += sizeof zeros)
		io_write(fd, "x", at, str_make(zeros, sizeof zeros), &err);
	close(fd);
	s = open_store_with(test_dir(state), &o);
	store_figures(s, &f);
	assert_false(f.read_only);
	/* The store may have written a record of its own by now. */
	assert_in_range(known_to_the_index(s), first.sequence, first.sequence + 1);
	add_account(s, "ann@example.org");
	store_close(&s);
}

/* The same when nothing fails but the replay is long: what it commits on its way must be safe. */
static void a_long_replay_commits_no_batch_that_may_be_torn(void **state)
{
	const struct store_options o = { .segment_bytes = SEGMENT };
	struct slog *l = must_open_log(test_dir(state), &start);
	struct slog_position first = put_domains(l, 1, 1500);
	struct failing write = { .op = IO_WRITE, .name = "log/0000000001.seg", .error = EIO };
	struct store *s;

	put_domains(l, 1501, 800);
	slog_close(&l);
	io_watch(fail_some, &write);
	s = open_store_with(test_dir(state), &o);
	io_watch(NULL, NULL);
	assert_int_equal(known_to_the_index(s), first.sequence);
	store_close(&s);
}

/* A segment is renamed, its folder not yet flushed, the process killed: the next one uses it, and
 * so must flush the folder first. */
static void a_segment_that_was_made_before_is_made_safe_before_it_is_used(void **state)
{
	struct failing folder = { .op = IO_FLUSH_DIR, .name = "log", .error = EIO };
	struct slog *l = must_open_log(test_dir(state), &start);
	struct slog_position last = put_domains(l, 1, 1);

#ifdef NO_FLUSH
	skip();
#endif
	slog_close(&l); /* the second segment is there */
	io_watch(fail_some, &folder);
	l = must_open_log(test_dir(state), &last);
	io_watch(NULL, NULL);
	assert_true(folder.seen > 0);
	assert_non_null(slog_damage(l));
	slog_close(&l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_index_never_knows_what_the_disk_may_not_have),
		TEST(a_long_replay_commits_no_batch_that_may_be_torn),
		TEST(a_segment_that_was_made_before_is_made_safe_before_it_is_used),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
