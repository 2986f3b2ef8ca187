/* Two nodes, one PostgreSQL database. */
#include "store/shared_test.h"
#include "store/apply_private.h"

#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>

static void mail_on_one_node_is_read_on_the_other(void **state)
{
	struct nodes *n = open_two(state);
	struct box_test b;

	add_account(n->one, "ann@example.org");
	must_mail(n->one, 1, "ann@example.org", "first");
	must_mail(n->two, 2, "ann@example.org", "second");
	box(n->one, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::first 2:0::second ");
	box(n->two, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::first 2:0::second ");
	close_two(n);
}

/* What IMAP IDLE on the other node waits for; a node does not tell itself. */
static void a_node_hears_what_the_other_has_committed(void **state)
{
	struct nodes *n = open_two(state);
	struct box_test b;

	add_account(n->one, "ann@example.org");
	must_mail(n->one, 1, "ann@example.org x@far.example", "hello");
	wait_for(&n->ears_two, &n->ears_two.queue);
	box(n->two, "ann@example.org", "INBOX", &b);
	assert_int_equal(n->ears_two.last.account, b.account);
	assert_int_equal(n->ears_two.last.mailbox, b.m.id);
	assert_int_equal(n->ears_two.last.modseq, b.m.modseq);
	assert_false(n->ears_two.lost);
	assert_false(n->ears_one.queue);
	close_two(n);
}

struct many_changes {
	unsigned n;
};

static int run_many(struct txn *t, void *arg, struct err *err)
{
	const struct many_changes *m = arg;
	uint64_t id;
	char name[40];

	for (unsigned i = 0; i < m->n; i++) {
		snprintf(name, sizeof name, "box%u", i);
		if (mailbox_create(t, 1, str_c(name), 0, &id, err) < 0)
			return -1;
	}
	return 0;
}

static void what_does_not_fit_a_note_comes_in_several(void **state)
{
	struct many_changes m = { 900 };
	struct nodes *n = open_two(state);
	struct err err;

	add_account(n->one, "ann@example.org");
	assert_int_equal(change(n->one, run_many, &m, &err), 0);
	must_mail(n->one, 1, "x@far.example", "the last note");
	wait_for(&n->ears_two, &n->ears_two.queue);
	assert_false(n->ears_two.lost);
	assert_int_equal(n->ears_two.last.mailbox, 6 + 900);
	close_two(n);
}

static int run_touch(struct txn *t, void *arg, struct err *err)
{
	const struct many_changes *m = arg;

	(void)err;
	for (unsigned i = 0; i < m->n; i++)
		apply_touch(&t->apply, 1, 1000000 + i, 1);
	apply_touch(&t->apply, 2, 0, 1);
	return 0;
}

/* T037: whatever is too much to say, whose sessions must end is said. */
static void a_flood_of_changes_hides_no_account(void **state)
{
	struct many_changes m = { 60000 };
	struct nodes *n = open_two(state);
	struct err err;

	assert_int_equal(change(n->one, run_touch, &m, &err), 0);
	wait_for(&n->ears_two, &n->ears_two.lost);
	assert_true(n->ears_two.account);
	close_two(n);
}

/* --- two writers --- */

enum { ROUNDS = 60 };

struct writing {
	struct store *s;
	uint64_t first;
};

static void *write_many(void *arg)
{
	struct writing *w = arg;

	for (uint64_t i = 0; i < ROUNDS; i++)
		must_mail(w->s, w->first + i, "ann@example.org x@far.example", "body");
	return NULL;
}

/* T177, T178. */
static void two_writers_at_once_keep_numbers_and_counters_exact(void **state)
{
	struct nodes *n = open_two(state);
	struct writing w[2] = { { n->one, 1000 }, { n->two, 2000 } };
	pthread_t threads[2];
	struct box_test b;

	add_account(n->one, "ann@example.org");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &w[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	box(n->two, "ann@example.org", "Drafts", &b);
	assert_int_equal(b.m.messages, 0);
	assert_int_equal(number("SELECT count(*) FROM entry WHERE mailbox = 1"), 2 * ROUNDS);
	assert_int_equal(number("SELECT max(uid) FROM entry WHERE mailbox = 1"), 2 * ROUNDS);
	assert_int_equal(number("SELECT uidnext FROM mailbox WHERE id = 1"), 2 * ROUNDS + 1);
	assert_int_equal(number("SELECT messages FROM mailbox WHERE id = 1"), 2 * ROUNDS);
	assert_int_equal(number("SELECT messages FROM account"), 2 * ROUNDS);
	assert_int_equal(number("SELECT count(*) - count(DISTINCT modseq) FROM entry"), 0);
	assert_int_equal(number("SELECT count(*) FROM queue_rcpt"), 2 * ROUNDS);
	assert_int_equal(number("SELECT count(*) FROM body b WHERE NOT EXISTS"
				" (SELECT 1 FROM body_piece p WHERE p.name = b.id::text)"),
		0);
	close_two(n);
}

/* --- leases --- */

struct ask {
	uint64_t holder, lease, rcpt;
	unsigned given;
	uint64_t messages[20];
};

static int do_lease(struct txn *t, void *arg, struct err *err)
{
	struct ask *a = arg;
	struct arena arena = ARENA(16 << 20);
	const struct queue_lease_query q = { .holder = a->holder, .max = 5, .room = 60000 };
	struct queue_lease *l = NULL;
	int64_t next;
	int r = queue_lease(t, &q, &arena, &l, &next, err);

	for (a->given = 0; l; l = l->next) {
		a->lease = l->id;
		a->rcpt = l->rcpts[0].id;
		a->messages[a->given++] = l->message;
	}
	arena_free(&arena);
	return r;
}

static unsigned lease(struct store *s, struct ask *a)
{
	struct err err;

	if (change(s, do_lease, a, &err) < 0)
		fail_msg("%s", err.msg);
	return a->given;
}

struct tell {
	uint64_t holder, lease, rcpt;
	uint8_t state;
};

static int do_result(struct txn *t, void *arg, struct err *err)
{
	struct tell *a = arg;
	const struct queue_result r = { .rcpt = a->rcpt,
		.state = a->state,
		.retry_after = 3600,
		/* What another server says may be no UTF-8. */
		.text = STR("r\xe9ponse"),
		.remote = STR("mx.example") };
	const struct queue_report none = { 0 };

	return queue_results(t, a->holder, a->lease, &r, 1, &none, err);
}

static enum err_kind tell(struct store *s, struct tell *a)
{
	struct err err;

	return change(s, do_result, a, &err) < 0 ? err.kind : ERR_NONE;
}

static void *take_leases(void *arg)
{
	struct writing *w = arg;
	struct ask a = { .holder = 1 };

	do
		for (unsigned i = lease(w->s, &a); i-- > 0;)
			w->first |= UINT64_C(1) << a.messages[i];
	while (a.given);
	return NULL;
}

/* T173: each recipient is given once, whoever asks. */
static void leases_are_given_to_one_node_only(void **state)
{
	struct nodes *n = open_two(state);
	struct writing w[2] = { { n->one, 0 }, { n->two, 0 } };
	pthread_t threads[2];

	for (uint64_t i = 0; i < 60; i++)
		must_mail(i % 2 ? n->one : n->two, i, i % 3 ? "x@a.example" : "y@b.example", "hi");
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_leases, &w[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true((w[0].first & w[1].first) == 0);
	assert_true((w[0].first | w[1].first) == (UINT64_C(1) << 60) - 1);
	close_two(n);
}

/* T173: the fence. Who was away for too long has nothing left. T175: by the database's clock. */
static void a_result_counts_only_under_the_lease_that_is_in_force(void **state)
{
	struct nodes *n = open_two(state);
	struct ask a = { .holder = 1 }, b = { .holder = 1 };
	struct tell late;

	must_mail(n->one, 7, "x@a.example", "hello");
	assert_int_equal(lease(n->one, &a), 1);
	assert_int_equal(lease(n->two, &b), 0);
	late = (struct tell){ 1, a.lease, a.rcpt, STORE_DELIVERED };
	/* Another node does not have it, nor another holder on the same. */
	assert_int_equal(tell(n->two, &late), ERR_NOTFOUND);
	late.holder = 2;
	assert_int_equal(tell(n->one, &late), ERR_DENIED);
	late.holder = 1;
	/* As if the first had been stopped for a minute: the second buries it. */
	n->ears_two.queue = false;
	number("UPDATE node SET until = 0 WHERE id = (SELECT node FROM lease) RETURNING 1");
	wait_for(&n->ears_two, &n->ears_two.queue);
	while (lease(n->two, &b) == 0)
		;
	assert_int_equal(b.messages[0], 7);
	assert_int_equal(tell(n->one, &late), ERR_NOTFOUND);
	assert_int_equal(number("SELECT count(*) FROM queue_rcpt"), 1);
	late = (struct tell){ 1, b.lease, b.rcpt, STORE_DEFERRED };
	assert_int_equal(tell(n->two, &late), ERR_NONE);
	late.state = STORE_DELIVERED;
	assert_int_equal(tell(n->two, &late), ERR_NOTFOUND);
	assert_int_equal(number("SELECT attempts FROM queue_rcpt"), 1);
	close_two(n);
}

static int do_gone(struct txn *t, void *arg, struct err *err)
{
	return queue_holder_gone(t, *(uint64_t *)arg, err);
}

/* The first has lost its courier: the second need not wait. */
static void what_a_holder_leaves_is_due_on_the_other_node(void **state)
{
	struct nodes *n = open_two(state);
	struct ask a = { .holder = 3 }, b = { .holder = 1 };
	uint64_t holder = 3;
	struct err err;

	must_mail(n->one, 7, "x@a.example", "hello");
	assert_int_equal(lease(n->one, &a), 1);
	assert_int_equal(lease(n->two, &b), 0);
	n->ears_two.queue = false;
	assert_int_equal(change(n->one, do_gone, &holder, &err), 0);
	wait_for(&n->ears_two, &n->ears_two.queue);
	assert_int_equal(lease(n->two, &b), 1);
	close_two(n);
}

/* --- a connection that is cut around COMMIT --- */

enum cut { CUT_NOT, CUT_BEFORE, CUT_AFTER };

/* A wire between the store and the server, in a folder of its own. */
struct wire {
	char folder[64], url[160];
	int listener;
	pthread_t thread;
	atomic_int cut;
};

struct strand {
	struct wire *w;
	int client, server;
};

/* The name of the prepared COMMIT, then its use, as the client sends them. */
static bool is_commit(struct strand *s, const char *p, size_t n, char name[16])
{
	const char *found = memmem(p, n, "COMMIT", 7);

	(void)s;
	if (found && found > p + 2) {
		const char *from = found - 2;

		while (from > p && *from)
			from--;
		/* The type of the message and its length come before the name. */
		from = memchr(from, 's', (size_t)(found - from));
		if (from)
			snprintf(name, 16, "%s", from);
		return false;
	}
	return name[0] && memmem(p, n, name, strlen(name) + 1) && memchr(p, 'B', n);
}

static bool pass(int from, int to, char *p, size_t *n)
{
	ssize_t got = read(from, p, 65536);

	*n = got > 0 ? (size_t)got : 0;
	return got > 0 && (to < 0 || write(to, p, *n) == got);
}

static void *carry(void *arg)
{
	struct strand *s = arg;
	static _Thread_local char bytes[65536];
	char name[16] = "";
	size_t n;
	bool up = true;

	while (up) {
		struct pollfd p[2] = { { .fd = s->client, .events = POLLIN },
			{ .fd = s->server, .events = POLLIN } };
		int cut = CUT_NOT;

		poll(p, 2, -1);
		if (p[0].revents) {
			up = pass(s->client, -1, bytes, &n);
			if (up && is_commit(s, bytes, n, name))
				cut = atomic_exchange(&s->w->cut, CUT_NOT);
			if (up && cut != CUT_BEFORE)
				up = write(s->server, bytes, n) == (ssize_t)n;
			/* Until the server has answered, which nobody hears. */
			if (up && cut == CUT_AFTER)
				(void)pass(s->server, -1, bytes, &n);
			up &= cut == CUT_NOT;
		}
		if (up && p[1].revents)
			up = pass(s->server, s->client, bytes, &n);
	}
	close(s->client);
	close(s->server);
	free(s);
	return NULL;
}

static struct sockaddr_un socket_in(const char *folder)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path, sizeof a.sun_path, "%.70s/.s.PGSQL.5432", folder);
	return a;
}

static void *accept_all(void *arg)
{
	const struct sockaddr_un to = socket_in(server.folder);
	struct wire *w = arg;
	pthread_t thread;
	int fd;

	while ((fd = accept(w->listener, NULL, NULL)) >= 0) {
		struct strand *s = calloc(1, sizeof *s);

		if (!s)
			abort();
		*s = (struct strand){ w, fd, socket(AF_UNIX, SOCK_STREAM, 0) };
		if (connect(s->server, (const struct sockaddr *)&to, sizeof to) < 0 ||
			pthread_create(&thread, NULL, carry, s) != 0)
			abort();
		pthread_detach(thread);
	}
	return NULL;
}

static void open_wire(struct wire *w)
{
	struct sockaddr_un at;

	*w = (struct wire){ .cut = CUT_NOT };
	snprintf(w->folder, sizeof w->folder, "/tmp/eilpost-wire-XXXXXX");
	assert_non_null(mkdtemp(w->folder));
	snprintf(w->url, sizeof w->url, "postgres:///postgres?host=%s&user=eilpost", w->folder);
	at = socket_in(w->folder);
	w->listener = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(w->listener, (struct sockaddr *)&at, sizeof at), 0);
	assert_int_equal(listen(w->listener, 20), 0);
	assert_int_equal(pthread_create(&w->thread, NULL, accept_all, w), 0);
}

static void close_wire(struct wire *w)
{
	struct sockaddr_un at = socket_in(w->folder);

	shutdown(w->listener, SHUT_RDWR);
	pthread_join(w->thread, NULL);
	close(w->listener);
	unlink(at.sun_path);
	rmdir(w->folder);
}

static struct request_test call_of(struct mail_test *m, uint64_t call)
{
	*m = (struct mail_test){ .id = call,
		.sender = "them@example.net",
		.to = "ann@example.org x@far.example",
		.body = "body",
		.anywhere = true };
	return (struct request_test){
		.job = { .write = run_request, .body = STR("body"), .call = call, .kind = 1 },
		.run = run_mail,
		.arg = m
	};
}

/* T171: nobody is answered; who asks again gets one message, whether it was there already or not.
 */
static void a_commit_of_unknown_outcome_is_neither_lost_nor_done_twice(void **state)
{
	enum { CUTS = 30 };
	struct nodes *n;
	struct wire w;
	struct mail_test m;
	struct err err;
	uint64_t nobody = 9;
	int there_already = 0;

	open_wire(&w);
	n = open_two(state);
	add_account(n->one, "ann@example.org");
	close_two(n);
	for (int i = 1; i <= CUTS; i++) {
		struct ears e = EARS;
		struct store *s = open_node(w.url, test_dir(state), &e);
		struct request_test first = call_of(&m, (uint64_t)i), again;

		/* What the store does for itself when it opens is over. */
		assert_int_equal(change(s, do_gone, &nobody, &err), 0);
		atomic_store(&w.cut, i % 2 ? CUT_AFTER : CUT_BEFORE);
		store_submit(s, &first.job);
		wait_for(&e, &e.died);
		assert_null(store_finished(s));
		store_close(&s);
		store_job_free(&first.job);

		s = open_node(server.url, test_dir(state), &e);
		again = call_of(&m, (uint64_t)i);
		assert_int_equal(store_run(s, &again.job, &err), 0);
		there_already += again.job.repeated;
		store_job_free(&again.job);
		store_close(&s);
		assert_int_equal(number("SELECT count(*) FROM entry"), i);
		assert_int_equal(number("SELECT count(*) FROM queue_rcpt"), i);
		assert_int_equal(number("SELECT uidnext FROM mailbox WHERE id = 1"), i + 1);
	}
	assert_true(there_already > 0 && there_already < CUTS);
	close_wire(&w);
}

/* --- a batch that meets a conflict --- */

enum { DEAD = 5 }; /* a node */

static struct db *hold_dead_node(void)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;

	(void)number("INSERT INTO node (id, until) VALUES (5, 0) RETURNING 1");
	if (db_open(&db, server.url, DB_WRITE, &err) < 0 ||
		db_exec(db, "SET deadlock_timeout = '1h'", DB_NOARGS, &err) < 0 ||
		db_exec(db, "SET lock_timeout = 0", DB_NOARGS, &err) < 0 ||
		db_begin(db, &err) < 0 ||
		db_exec(db, "SELECT id FROM node WHERE id = $1 FOR UPDATE", DB_ARGS(DB_I(DEAD)),
			&err) < 0)
		fail_msg("%s", err.msg);
	return db;
}

/* Each waits for the other, and the store is the one that gives way. */
static void take_from_living_nodes(struct db *db, int64_t seconds)
{
	struct err err = ERR_INIT;

	while (number("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'") == 0)
		;
	if (db_exec(db, "UPDATE node SET until = until - $1 WHERE id <> $2",
		    DB_ARGS(DB_I(seconds), DB_I(DEAD)), &err) < 0 ||
		db_commit(db, &err) < 0)
		fail_msg("%s", err.msg);
}

/* T174: what it has said of itself in the batch that was undone, it says again. */
static void a_batch_that_is_undone_has_renewed_nothing(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);
	struct db *db;

	store_close(&s); /* there are tables */
	db = hold_dead_node();
	/* Its first batch says that it lives and buries the dead one. */
	s = open_node(server.url, test_dir(state), &e);
	take_from_living_nodes(db, 40);
	db_close(&db);
	must_mail(s, 1, "x@far.example", "hello");
	assert_int_equal(number("SELECT count(*) FROM node"), 1);
	assert_true(number("SELECT until - " SHARED_NOW " FROM node") > 40);
	assert_false(e.died);
	store_close(&s);
}

static void leave_staged(unsigned n)
{
	struct err err = ERR_INIT;
	struct db *db;

	if (db_open(&db, server.url, DB_WRITE, &err) < 0 ||
		db_exec(db,
			"INSERT INTO body_staged (name, since)"
			" SELECT 'left' || i, 1000 FROM generate_series(1, $1) i",
			DB_ARGS(DB_I(n)), &err) < 0 ||
		db_exec(db,
			"INSERT INTO body_piece (name, start, data)"
			" SELECT 'left' || i, 0, 'x' FROM generate_series(1, $1) i",
			DB_ARGS(DB_I(n)), &err) < 0)
		fail_msg("%s", err.msg);
	db_close(&db);
}

/* However many uploads a crash has left, no statement takes long enough to end the node. */
static void what_no_message_came_for_is_swept_away_little_by_little(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);
	int64_t left;

	store_close(&s); /* there are tables */
	leave_staged(100);
	s = open_node(server.url, test_dir(state), &e);
	must_mail(s, 1, "x@far.example", "hello");
	left = number("SELECT count(*) FROM body_staged");
	assert_in_range(left, 1, 92);
	assert_int_equal(number("SELECT count(*) FROM body_piece WHERE name LIKE 'left%'"), left);
	store_close(&s);
}

/* --- and other ends --- */

/* Its leases are its couriers' until they have had the time to end. */
static void a_node_that_ends_in_peace_needs_no_burial(void **state)
{
	struct nodes *n = open_two(state);
	struct ask a = { .holder = 1 };

	must_mail(n->one, 7, "x@a.example", "hello");
	assert_int_equal(number("SELECT count(*) FROM node"), 2);
	assert_int_equal(lease(n->two, &a), 1);
	close_two(n);
	assert_int_equal(number("SELECT count(*) FROM node"), 1);
	assert_int_equal(number("SELECT count(*) FROM node, lease WHERE node = node.id"), 1);
}

static void a_lost_connection_ends_the_process_unanswered(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);

	(void)number("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
		     " WHERE application_name = 'eilpost' AND pid <> pg_backend_pid()");
	wait_for(&e, &e.died);
	store_close(&s);
}

static void tables_of_a_later_version_are_left_alone(void **state)
{
	struct ears e = EARS;
	struct store *s = open_node(server.url, test_dir(state), &e);

	(void)number("UPDATE index_version SET version = version + 1 RETURNING 1");
	wait_for(&e, &e.died);
	store_close(&s);
}

static void *open_and_close(void *arg)
{
	struct test_place *p = arg;
	struct ears e = EARS;
	struct store *s = open_node(server.url, p->fd, &e);

	store_close(&s);
	return NULL;
}

static void nodes_that_start_at_once_make_the_tables_once(void **state)
{
	pthread_t threads[3];
	void *places[3] = { *state };

	test_url = NULL; /* only folders */
	for (int i = 1; i < 3; i++)
		assert_int_equal(test_setup(&places[i]), 0);
	test_url = server.url;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, open_and_close, places[i]), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	for (int i = 1; i < 3; i++)
		test_teardown(&places[i]);
	assert_int_equal(number("SELECT count(*) FROM index_version"), 1);
	assert_int_equal(number("SELECT count(*) FROM log_position"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(mail_on_one_node_is_read_on_the_other),
		TEST(a_node_hears_what_the_other_has_committed),
		TEST(what_does_not_fit_a_note_comes_in_several),
		TEST(a_flood_of_changes_hides_no_account),
		TEST(two_writers_at_once_keep_numbers_and_counters_exact),
		TEST(leases_are_given_to_one_node_only),
		TEST(a_result_counts_only_under_the_lease_that_is_in_force),
		TEST(what_a_holder_leaves_is_due_on_the_other_node),
		TEST(a_commit_of_unknown_outcome_is_neither_lost_nor_done_twice),
		TEST(a_batch_that_is_undone_has_renewed_nothing),
		TEST(what_no_message_came_for_is_swept_away_little_by_little),
		TEST(a_node_that_ends_in_peace_needs_no_burial),
		TEST(a_lost_connection_ends_the_process_unanswered),
		TEST(tables_of_a_later_version_are_left_alone),
		TEST(nodes_that_start_at_once_make_the_tables_once),
	};

	return run_shared(tests);
}
