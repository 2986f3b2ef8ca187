/* T130: a wall clock that jumps, ahead or back, gives nothing up before its time. */
#include "base/clock.h"
#include "store/store_help_test.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ANN "ann@example.org"

enum { YEARS = 20 * 365 * 86400, RETENTION = 14 * 86400 };

static int64_t jumped;

/* In place of the C library's, for everything here. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	const int r = (int)syscall(SYS_clock_gettime, id, ts);

	if (id == CLOCK_REALTIME)
		ts->tv_sec += jumped;
	return r;
}

static int expunge_first(struct txn *t, void *arg, struct err *err)
{
	struct range_list gone = RANGE_LIST;
	struct buf one = BUF(100);
	uint64_t modseq;
	int r;

	effect_uid_range_put(&one, &(struct effect_uid_range){ 1, 1 });
	r = entry_expunge(t, 1, *(uint64_t *)arg, buf_str(&one), true, &gone, &modseq, err);
	range_list_free(&gone);
	buf_free(&one);
	return r;
}

static int count_ghosts(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg, "SELECT count(*) FROM ghost", DB_NOARGS, err) == 1 ? 0 : -1;
}

static int64_t ghosts(struct store *s)
{
	struct err err;
	int64_t n = -1;

	if (look(s, count_ghosts, &n, &err) < 0)
		fail_msg("%s", err.msg);
	return n;
}

static struct store *with_mail(void **state, struct box_test *b)
{
	struct store *s = open_store_with(test_dir(state),
		&(struct store_options){ .segment_bytes = 1 << 20, .retention = RETENTION });

	add_account(s, ANN);
	must_mail(s, 1, ANN, "hello");
	box(s, ANN, "INBOX", b);
	return s;
}

static void what_was_deleted_stays_when_the_clock_jumps_ahead(void **state)
{
	struct box_test b;
	struct store *s = with_mail(state, &b);
	struct err err;

	assert_int_equal(change(s, expunge_first, &b.m.id, &err), 0);
	jumped = YEARS;
	tidy_store(s);
	assert_int_equal(ghosts(s), 1);
	jumped = 0;
	tidy_store(s);
	assert_int_equal(ghosts(s), 1);
	store_close(&s);
}

static void what_was_deleted_while_the_clock_was_behind_stays_as_long(void **state)
{
	struct box_test b;
	struct store *s = with_mail(state, &b);
	struct err err;

	jumped = -YEARS;
	assert_int_equal(change(s, expunge_first, &b.m.id, &err), 0);
	jumped = 0;
	tidy_store(s);
	assert_int_equal(ghosts(s), 1);
	store_close(&s);
}

/* What really is old goes. */
static void what_is_old_enough_goes(void **state)
{
	struct store_options o = { .segment_bytes = 1 << 20, .retention = -5 };
	struct box_test b;
	struct store *s = with_mail(state, &b);
	struct err err;

	assert_int_equal(change(s, expunge_first, &b.m.id, &err), 0);
	store_close(&s);
	s = open_store_with(test_dir(state), &o);
	tidy_store(s);
	assert_int_equal(ghosts(s), 0);
	store_close(&s);
}

static void the_earlier_and_the_later_time(void **state)
{
	const int64_t now = clock_wall();

	(void)state;
	jumped = YEARS;
	assert_in_range(clock_wall_earlier(), now - 1, now + 3600);
	assert_in_range(clock_wall_later(), now + YEARS, now + YEARS + 3600);
	jumped = -YEARS;
	assert_in_range(clock_wall_earlier(), now - YEARS, now - YEARS + 3600);
	assert_in_range(clock_wall_later(), now - 1, now + 3600);
	jumped = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_deleted_stays_when_the_clock_jumps_ahead),
		TEST(what_was_deleted_while_the_clock_was_behind_stays_as_long),
		TEST(what_is_old_enough_goes),
		TEST(the_earlier_and_the_later_time),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
