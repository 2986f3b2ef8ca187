/* A server, or a node, that stops without a word. */
#include "base/clock.h"
#include "store/shared_test.h"

static int64_t backend_of(struct store *s)
{
	struct err err = ERR_INIT;
	int64_t pid = 0;

	if (db_int(s->index, &pid, "SELECT pg_backend_pid()", DB_NOARGS, &err) < 0)
		fail_msg("%s", err.msg);
	return pid;
}

static int run_stop(struct txn *t, void *arg, struct err *err)
{
	const int64_t pid = backend_of(t->view.store);

	(void)err;
	db_limit(t->view.db, CLOCK_SEC);
	kill((pid_t)pid, SIGSTOP);
	*(int64_t *)arg = pid;
	return mailbox_create(t, 1, STR("late"), 0, &(uint64_t){ 0 }, err);
}

/* The same as with a connection that is lost: no answer, and who asks again is told what is. */
static void a_server_that_stops_ends_the_process_unanswered(void **state)
{
	struct nodes *n = open_two(state);
	int64_t pid = 0;
	struct request_test r = { .job = { .write = run_request }, .run = run_stop, .arg = &pid };

	add_account(n->one, "ann@example.org");
	store_submit(n->one, &r.job);
	wait_for(&n->ears_one, &n->ears_one.died);
	assert_null(store_finished(n->one));
	kill((pid_t)pid, SIGCONT);
	must_mail(n->two, 1, "ann@example.org", "the lock is free");
	assert_int_equal(number("SELECT count(*) FROM mailbox WHERE name = 'late'"), 0);
	close_two(n);
	store_job_free(&r.job);
}

/* The listening thread has nobody to wait for but the server. */
static void a_server_that_is_silent_is_noticed_without_anything_to_do(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);
	int64_t pid =
		number("SELECT pid FROM pg_stat_activity"
		       " WHERE query LIKE '%pg_stat_replication%' AND pid <> pg_backend_pid()");

	kill((pid_t)pid, SIGSTOP);
	wait_for(&e, &e.died);
	kill((pid_t)pid, SIGCONT);
	store_close(&s);
}

static int run_sleep(struct txn *t, void *arg, struct err *err)
{
	struct ears *other = arg;

	/* As if the whole process were stopped here, with the lock of all nodes. */
	wait_for(other, &other->queue);
	return mailbox_create(t, 1, STR("late"), 0, &(uint64_t){ 0 }, err);
}

static void a_node_that_stops_within_a_batch_holds_nobody_for_long(void **state)
{
	struct nodes *n = open_two(state);
	struct ears woken = EARS;
	struct request_test r = {
		.job = { .write = run_request }, .run = run_sleep, .arg = &woken
	};

	add_account(n->one, "ann@example.org");
	store_submit(n->one, &r.job);
	while (number("SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in "
		      "transaction'") == 0)
		;
	must_mail(n->two, 1, "ann@example.org", "hello");
	hear(&woken, &(struct changes){ .queue = true });
	wait_for(&n->ears_one, &n->ears_one.died);
	assert_null(store_finished(n->one));
	assert_int_equal(number("SELECT count(*) FROM mailbox WHERE name = 'late'"), 0);
	close_two(n);
	store_job_free(&r.job);
}

static int mail_once(struct store *s, uint64_t id)
{
	struct mail_test m = { .id = id,
		.sender = "them@example.net",
		.to = "ann@example.org",
		.body = "body",
		.anywhere = true };
	struct err err;

	return change_with_body(s, run_mail, &m, STR("body"), &err) == 0 ? ERR_NONE : (int)err.kind;
}

/* Whichever statement is the first that finds no room; here that which every batch ends with. */
static void a_database_without_room_refuses_and_goes_on_when_it_has_some(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);
	struct err err = ERR_INIT;
	struct db *db = NULL;

	add_account(s, "ann@example.org");
	if (db_open(&db, server.url, DB_WRITE, &err) < 0 ||
		db_exec(db,
			"CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
			" RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END $$",
			DB_NOARGS, &err) < 0 ||
		db_exec(db,
			"CREATE TRIGGER f BEFORE UPDATE ON log_position EXECUTE FUNCTION "
			"full_disk()",
			DB_NOARGS, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(mail_once(s, 1), ERR_FULL);
	assert_int_equal(number("SELECT count(*) FROM entry"), 0);
	assert_int_equal(db_exec(db, "DROP FUNCTION full_disk() CASCADE", DB_NOARGS, &err), 0);
	db_close(&db);
	assert_int_equal(mail_once(s, 1), ERR_NONE);
	assert_int_equal(number("SELECT count(*) FROM entry"), 1);
	assert_false(e.died);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_server_that_stops_ends_the_process_unanswered),
		TEST(a_server_that_is_silent_is_noticed_without_anything_to_do),
		TEST(a_database_without_room_refuses_and_goes_on_when_it_has_some),
		TEST(a_node_that_stops_within_a_batch_holds_nobody_for_long),
	};

	return run_shared(tests);
}
