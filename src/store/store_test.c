#include "store/io.h"
#include "store/schema.h"
#include "store/store_help_test.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

static void mail_for_a_mailbox_is_there_when_the_request_is_done(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "hello");
	must_mail(s, 2, "ANN@Example.ORG", "again");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::hello 2:0::again ");
	assert_int_equal(b.m.messages, 2);
	assert_int_equal(b.m.unseen, 2);
	assert_int_equal(b.m.uidnext, 3);
	store_close(&s);
	s = open_store(state);
	box(s, "ann@example.org", "inbox", &b);
	assert_string_equal(b.text, "1:0::hello 2:0::again ");
	store_close(&s);
}

static void an_account_comes_with_its_mailboxes(void **state)
{
	static const char *const names[] = { "INBOX", "Drafts", "Sent", "Junk", "Trash",
		"Archive" };
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		box(s, "ann@example.org", names[i], &b);
	store_close(&s);
}

static void must_mail_wanting(struct store *s, uint64_t id, const char *to)
{
	struct mail_test m = { .id = id,
		.sender = "them@example.net",
		.to = to,
		.body = "x",
		.anywhere = true,
		.options = { .body_type = 2,
			.hold_until = INT64_C(2000000000000000001),
			.priority = 5 },
		.rrvs = 1400000001 };
	struct err err;

	assert_int_equal(mail(s, &m, &err), 0);
}

/* The index thrown away, and made again from the log: the same, row for row. */
static void replay_gives_the_same_index(void **state)
{
	struct store *s = open_store(state);
	struct buf live;
	int dir = test_dir(state);

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "all@example.org", "ann@example.org bob@example.org carl@elsewhere.example");
	must_mail(s, 1, "ann@example.org", "one");
	must_mail(s, 2, "all@example.org", "two");
	must_mail(s, 3, "x@elsewhere.example", "three");
	must_mail_wanting(s, 4, "x@elsewhere.example");
	store_close(&s);
	show_index(dir, "index.db", &live);
	drop_index(dir);
	s = open_store(state);
	store_close(&s);
	assert_true(live.n > 1000);
	must_show(dir, &live);
	buf_free(&live);
}

/* The tables as version 1 made them, empty, and a log to be read into them. */
static void an_index_of_the_first_version_is_brought_up_to_date(void **state)
{
	struct store *s = open_store(state);
	struct buf live;
	struct err err = ERR_INIT;
	int dir = test_dir(state);
	struct db *db = NULL;
	char url[100];

	must_mail(s, 3, "x@elsewhere.example", "three");
	must_mail_wanting(s, 4, "x@elsewhere.example");
	store_close(&s);
	show_index(dir, "index.db", &live);
	drop_index(dir);
	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	assert_int_equal(db_open(&db, url, DB_WRITE, &err), 0);
	assert_int_equal(db_script(db, str_c(schema_0001_index), &err), 0);
	db_close(&db);
	s = open_store(state);
	store_close(&s);
	must_show(dir, &live);
	buf_free(&live);
}

static void an_index_of_a_later_version_is_left_alone(void **state)
{
	struct store *s = open_store(state);
	const struct store_options o = { 0 };
	struct err err = ERR_INIT;
	struct db *db = NULL;
	char url[100];

	store_close(&s);
	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", test_dir(state));
	assert_int_equal(db_open(&db, url, DB_WRITE, &err), 0);
	assert_int_equal(db_exec(db, "UPDATE index_version SET version = 999", DB_NOARGS, &err), 0);
	db_close(&db);
	assert_int_equal(store_open(test_dir(state), &o, &s, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
}

static void a_second_process_cannot_open_it(void **state)
{
	const struct store_options o = { 0 };
	struct store *s = open_store(state), *second = NULL;
	struct err err = ERR_INIT;
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(store_open(test_dir(state), &o, &second, &err) == -1 && err.kind == ERR_EXISTS
				? 0
				: 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	store_close(&s);
}

static int run_call(struct txn *t, struct store_job *job, struct err *err)
{
	uint64_t id;

	if (mailbox_create(t, 1, STR("made"), 0, &id, err) < 0)
		return -1;
	buf_addf(&job->answer, "made %d", (int)id);
	return 0;
}

static void the_same_call_gets_the_same_answer_also_after_a_restart(void **state)
{
	struct store *s = open_store(state);
	struct err err = ERR_INIT;

	add_account(s, "ann@example.org");
	for (int i = 0; i < 4; i++) {
		struct store_job job = {
			.write = run_call, .call = 77, .kind = 5, .owner = 1, .answer = BUF(100)
		};

		if (i == 2) {
			store_close(&s);
			s = open_store(state);
		}
		assert_int_equal(store_run(s, &job, &err), 0);
		assert_true(str_eq(buf_str(&job.answer), STR("made 7")));
		assert_int_equal(job.repeated, i > 0);
		store_job_free(&job);
	}
	struct store_job other = {
		.write = run_call, .call = 77, .kind = 5, .owner = 2, .answer = BUF(100)
	};
	assert_int_equal(store_run(s, &other, &err), -1);
	assert_int_equal(err.kind, ERR_PROTO);
	store_job_free(&other);
	store_close(&s);
}

static int run_half(struct txn *t, void *arg, struct err *err)
{
	uint64_t id;

	(void)arg;
	if (mailbox_create(t, 1, STR("half"), 0, &id, err) < 0)
		return -1;
	return err_set(err, ERR_PERM, "and then it failed");
}

static void a_failed_request_leaves_nothing_behind(void **state)
{
	struct store *s = open_store(state);
	struct buf before = BUF(1 << 20), after = BUF(1 << 20);
	struct err err;

	add_account(s, "ann@example.org");
	dump_index(test_dir(state), "index.db", &before);
	assert_int_equal(change(s, run_half, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	dump_index(test_dir(state), "index.db", &after);
	assert_true(str_eq(buf_str(&before), buf_str(&after)));
	buf_free(&before);
	buf_free(&after);
	store_close(&s);
}

static void new_mail_is_refused_below_the_reserve_and_the_rest_goes_on(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20,
		.reserve_bytes = UINT64_C(1) << 60 };
	struct store *s = open_store_with(test_dir(state), &o);
	struct request_test r = { .job = { .write = run_request, .intake = true },
		.run = run_account,
		.arg = (void *)(uintptr_t) "bob@example.org" };
	struct store_figures f;
	struct err err;

	add_account(s, "ann@example.org");
	assert_false(store_has_room(s));
	assert_int_equal(store_run(s, &r.job, &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	store_figures(s, &f);
	assert_non_null(strstr(f.alarm, "disk nearly full"));
	store_job_free(&r.job);
	store_close(&s);
}

static void died(void *arg, const struct err *why)
{
	(void)arg, (void)why;
	_exit(42);
}

static int nothing_is_free(void *arg, enum io_op op, const char *name, const char *to,
	uint64_t offset, struct str data)
{
	(void)name, (void)to, (void)offset, (void)data;
	return op == IO_SPACE && atomic_load((atomic_bool *)arg) ? ENOSPC : 0;
}

static int run_only_look(struct txn *t, void *arg, struct err *err)
{
	return db_int(t->view.db, arg, "SELECT count(*) FROM account", DB_NOARGS, err) < 0 ? -1 : 0;
}

static int run_lease(struct txn *t, void *arg, struct err *err)
{
	const struct queue_lease_query q = { .holder = 1, .max = 1, .room = 1 << 20 };
	struct queue_lease *found;
	int64_t due;
	struct arena arena = ARENA(1 << 20);
	int r = queue_lease(t, &q, &arena, &found, &due, err);

	(void)arg;
	arena_free(&arena);
	return r;
}

/* T118. Not even what frees space is written then, because SQLite would have to stop in the middle;
 * what only reads goes on, and nothing is given to a courier whose results could not be kept. */
static void with_nothing_free_the_store_reads_and_waits(void **state)
{
	const struct store_options o = {
		.segment_bytes = 1 << 20, .reserve_bytes = 1 << 20, .fatal = died
	};
	struct store *s = open_store_with(test_dir(state), &o);
	atomic_bool full = true;
	int64_t accounts = 0;
	struct err err;

	add_account(s, "ann@example.org");
	io_watch(nothing_is_free, &full);
	assert_int_equal(change(s, run_account, (void *)(uintptr_t) "bob@example.org", &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	assert_int_equal(change(s, run_only_look, &accounts, &err), 0);
	assert_int_equal(accounts, 1);
	assert_int_equal(change(s, run_lease, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
	assert_false(store_has_room(s));
	full = false;
	add_account(s, "bob@example.org");
	assert_true(store_has_room(s));
	assert_int_equal(change(s, run_lease, NULL, &err), 0);
	store_close(&s);
	io_watch(NULL, NULL);
}

static int flush_fails(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)name, (void)to, (void)offset, (void)data;
	return op == IO_FLUSH && atomic_load((atomic_bool *)arg) ? EIO : 0;
}

static void add_account_refused(struct store *s)
{
	struct err err;

	assert_int_equal(change(s, run_account, (void *)(uintptr_t) "x@example.org", &err), -1);
	assert_int_equal(err.kind, ERR_FULL);
}

/* What is announced as large is measured against what is free. */
static void a_large_message_needs_room_of_its_own(void **state)
{
	struct store_options o = { .segment_bytes = 1 << 20, .readers = 99 };
	struct store *s = open_store_with(test_dir(state), &o);
	const uint64_t huge = UINT64_C(1) << 50;
	atomic_bool full = true;

	assert_true(store_has_room_for(s, huge)); /* no reserve: nothing is measured */
	store_close(&s);
	o.reserve_bytes = 1 << 20;
	s = open_store_with(test_dir(state), &o);
	assert_true(store_has_room_for(s, 1000));
	assert_true(store_has_room_for(s, 2 << 20));
	assert_false(store_has_room_for(s, huge));
	io_watch(nothing_is_free, &full);
	assert_false(store_has_room_for(s, 2 << 20)); /* since a moment ago */
	add_account_refused(s);
	assert_false(store_has_room_for(s, 1000));
	io_watch(NULL, NULL);
	store_close(&s);
}

static void wake(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

/* As the role does it: woken once, and all that is finished is taken. */
static void finished_jobs_wake_their_owner(void **state)
{
	atomic_int woken = 0;
	const struct store_options o = { .segment_bytes = 1 << 20, .woken = wake, .arg = &woken };
	struct store *s = open_store_with(test_dir(state), &o);
	struct request_test r[3];
	struct store_job *done;
	int got = 0;

	for (int i = 0; i < 3; i++) {
		r[i] = (struct request_test){ .job = { .write = run_request },
			.run = run_account,
			.arg = (void *)(uintptr_t)(i == 0 ? "a@example.org"
					: i == 1          ? "b@example.org"
							  : "c@example.org") };
		store_submit(s, &r[i].job);
	}
	while (got < 3 || woken == 0) { /* here it may be taken before anybody was woken */
		for (done = store_finished(s); done; done = done->next)
			got++;
		sched_yield();
	}
	assert_in_range(woken, 1, 3);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(r[i].job.result, 0);
		store_job_free(&r[i].job);
	}
	store_close(&s);
}

/* Nobody is told of the end: then it is an abort. */
static void a_store_whose_owner_cannot_be_told_aborts(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20 };
	atomic_bool failing = true;
	struct store *s;
	struct err err;
	int status;
	pid_t pid;

#ifdef NO_FLUSH
	skip();
#endif
	pid = fork();
	if (pid == 0) {
		signal(SIGABRT, SIG_DFL);
		s = open_store_with(test_dir(state), &o);
		/* There is a segment: that one cannot be made would only be refused. */
		add_account(s, "bob@example.org");
		io_watch(flush_fails, &failing);
		(void)change(s, run_account, (void *)(uintptr_t) "ann@example.org", &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* Nothing is answered, and what was written is taken back by the next start, or kept; both are
 * allowed, for nobody was told. */
static void a_failed_flush_ends_the_process_unanswered(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .fatal = died };
	atomic_bool failing = false;
	struct store *s;
	struct box_test b;
	int status;
	pid_t pid;

#ifdef NO_FLUSH
	skip();
#endif
	pid = fork();
	if (pid == 0) {
		io_watch(flush_fails, &failing);
		s = open_store_with(test_dir(state), &o);
		add_account(s, "ann@example.org");
		must_mail(s, 1, "ann@example.org", "kept");
		failing = true;
		must_mail(s, 2, "ann@example.org", "never answered");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	s = open_store(state);
	box(s, "ann@example.org", "INBOX", &b);
	assert_int_equal(strncmp(b.text, "1:0::kept ", 10), 0);
	must_mail(s, 3, "ann@example.org", "goes on");
	store_close(&s);
}

static void mail_lazily(struct store *s, uint64_t id, const char *body)
{
	struct mail_test m = {
		.id = id, .sender = "them@example.net", .to = "ann@example.org", .body = body
	};
	struct request_test r = {
		.job = { .write = run_request, .body = str_c(body), .lazy = true },
		.run = run_mail,
		.arg = &m
	};
	struct err err = ERR_INIT;

	if (store_run(s, &r.job, &err) < 0)
		fail_msg("%s", err.msg);
	store_job_free(&r.job);
}

static void a_reader_sees_what_a_lazy_job_has_done(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;
	char want[400] = "";

	add_account(s, "ann@example.org");
	for (uint64_t i = 1; i <= 20; i++) {
		size_t n = strlen(want);

		mail_lazily(s, i, "hello");
		snprintf(want + n, sizeof want - n, "%d:0::hello ", (int)i);
		box(s, "ann@example.org", "INBOX", &b);
		assert_string_equal(b.text, want);
	}
	assert_false(store_is_behind(s));
	store_close(&s);
}

/* Requests that fail after they have changed something, among others of the same batch and after
 * batches that the index has not been committed for. */
static void a_failed_request_takes_nothing_else_with_it(void **state)
{
	enum { ROUNDS = 15 };
	struct store *s = open_store(state);
	static struct request_test mail[ROUNDS], half[ROUNDS];
	static struct mail_test m[ROUNDS];
	struct buf live;
	int dir = test_dir(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	mail_lazily(s, 100, "before");
	for (int i = 0; i < ROUNDS; i++) {
		m[i] = (struct mail_test){
			.id = (uint64_t)i + 1, .sender = "", .to = "ann@example.org", .body = "x"
		};
		mail[i] = (struct request_test){
			.job = { .write = run_request, .body = STR("x"), .lazy = true },
			.run = run_mail,
			.arg = &m[i]
		};
		half[i] =
			(struct request_test){ .job = { .write = run_request, .lazy = i % 2 == 0 },
				.run = run_half };
		store_submit(s, &mail[i].job);
		store_submit(s, &half[i].job);
	}
	mail_lazily(s, 101, "after");
	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(mail[i].job.result, 0);
		assert_int_equal(half[i].job.result, -1);
		store_job_free(&mail[i].job);
		store_job_free(&half[i].job);
	}
	box(s, "ann@example.org", "INBOX", &b);
	assert_int_equal(b.m.messages, ROUNDS + 2);
	assert_int_equal(b.m.uidnext, ROUNDS + 3);
	assert_space(s);
	(void)store_finished(s);
	store_close(&s);
	show_index(dir, "index.db", &live);
	if (!test_url)
		drop_index(dir);
	s = open_store(state);
	store_close(&s);
	assert_null(strstr(live.p, "half"));
	must_show(dir, &live);
	buf_free(&live);
}

/* The index may be behind at that moment: the log has it. */
static void a_lazy_job_that_was_finished_survives_the_end_of_the_process(void **state)
{
	struct store *s;
	struct box_test b;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		s = open_store(state);
		add_account(s, "ann@example.org");
		mail_lazily(s, 1, "one");
		mail_lazily(s, 2, "two");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	s = open_store(state);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::one 2:0::two ");
	must_mail(s, 3, "ann@example.org", "goes on");
	store_close(&s);
}

static int run_nothing(struct txn *t, void *arg, struct err *err)
{
	(void)t, (void)arg, (void)err;
	return 0;
}

/* Its body would not have fit into the segment, so the next one was begun for nothing. */
static void a_segment_that_was_begun_for_nothing_is_no_damage(void **state)
{
	static char large[1000 << 10];
	struct store *s = open_store(state);
	struct store_figures f;
	struct box_test b;
	struct err err;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "one");
	assert_int_equal(
		change_with_body(s, run_nothing, NULL, str_make(large, sizeof large), &err), 0);
	store_close(&s);
	s = open_store(state);
	store_figures(s, &f);
	assert_false(f.read_only);
	must_mail(s, 2, "ann@example.org", "two");
	store_close(&s);
	s = open_store(state);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::one 2:0::two ");
	store_close(&s);
}

/* SQLite may do that for want of memory or disk. The job makes light of it and goes on. */
static int run_rolled_back(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	db_rollback(t->view.db);
	(void)emit_domain_put(t, &(struct effect_domain_put){ 99, STR("stray.example"), 1 }, err);
	*err = ERR_INIT;
	return 0;
}

static void an_index_that_was_rolled_back_ends_the_process_and_is_made_again(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20, .fatal = died };
	struct buf live = BUF(1 << 22);
	struct store *s;
	struct box_test b;
	struct err err;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		s = open_store_with(test_dir(state), &o);
		add_account(s, "ann@example.org");
		mail_lazily(s, 1, "answered");
		(void)change(s, run_rolled_back, NULL, &err);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	s = open_store(state);
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::answered ");
	store_close(&s);
	dump_index(test_dir(state), "index.db", &live);
	buf_addc(&live, '\0');
	assert_null(strstr(live.p, "stray"));
	buf_free(&live);
}

static void a_damaged_log_is_read_and_not_written(void **state)
{
	struct store *s = open_store(state);
	struct err err = ERR_INIT;
	struct store_figures f;
	struct box_test b;
	int fd, dir = test_dir(state);
	char zeros[64] = "";

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "readable");
	store_close(&s);
	/* The last record that the index knows is gone. */
	fd = io_open(dir, "log/0000000001.seg", O_RDWR, &err);
	for (uint64_t at = 0; at < 1 << 20; at += 512) {
		char mark[4];

		if (io_read(fd, "x", at, mark, 4, &err) == 0 && memcmp(mark, "ELR1", 4) == 0)
			assert_int_equal(io_write(fd, "x", at, str_make(zeros, 40), &err), 0);
	}
	close(fd);
	s = open_store(state);
	store_figures(s, &f);
	assert_true(f.read_only);
	assert_non_null(strstr(f.alarm, "log/0000000001.seg"));
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::readable ");
	assert_int_equal(change(s, run_account, (void *)(uintptr_t) "bob@example.org", &err), -1);
	assert_int_equal(err.kind, ERR_TEMP);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mail_for_a_mailbox_is_there_when_the_request_is_done),
		TEST(an_account_comes_with_its_mailboxes),
		TEST_EMBEDDED(replay_gives_the_same_index),
		TEST_EMBEDDED(an_index_of_the_first_version_is_brought_up_to_date),
		TEST_EMBEDDED(an_index_of_a_later_version_is_left_alone),
		TEST(a_second_process_cannot_open_it),
		TEST(the_same_call_gets_the_same_answer_also_after_a_restart),
		TEST(a_failed_request_leaves_nothing_behind),
		TEST_EMBEDDED(new_mail_is_refused_below_the_reserve_and_the_rest_goes_on),
		TEST_EMBEDDED(a_large_message_needs_room_of_its_own),
		TEST_EMBEDDED(finished_jobs_wake_their_owner),
		TEST_EMBEDDED(a_store_whose_owner_cannot_be_told_aborts),
		TEST_EMBEDDED(with_nothing_free_the_store_reads_and_waits),
		TEST_EMBEDDED(a_failed_flush_ends_the_process_unanswered),
		TEST(a_reader_sees_what_a_lazy_job_has_done),
		TEST(a_failed_request_takes_nothing_else_with_it),
		TEST_EMBEDDED(a_lazy_job_that_was_finished_survives_the_end_of_the_process),
		TEST_EMBEDDED(a_segment_that_was_begun_for_nothing_is_no_damage),
		TEST_EMBEDDED(an_index_that_was_rolled_back_ends_the_process_and_is_made_again),
		TEST_EMBEDDED(a_damaged_log_is_read_and_not_written),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
