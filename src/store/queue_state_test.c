/* Every row of the table of queue states in doc/store.md ("The queue"), walked three times: as it
 * is, with the store closed and opened again at every step, and with the index made again from the
 * log at every step. */
#include "base/clock.h"
#include "store/queue.h"
#include "store/store_help_test.h"

#include <sys/stat.h>
#include <time.h>

enum mode { AS_IT_IS, REOPENED, REBUILT, MODES };

/* What happens is one letter each. */
enum step {
	ACCEPT = 'a',        /* for somebody elsewhere */
	ACCEPT_LATER = 'A',  /* not before a time */
	ACCEPT_HERE = 'H',   /* not before a time, for ann */
	ACCEPT_NOTIFY = 'N', /* for ann, and the sender wants to hear of it */
	LEASE = 'L',
	DELIVERED = 'd',
	DEFERRED = 'f',
	FAILED = 'x', /* with a report */
	RELEASED = 'r',
	HOLDER_GONE = 'g',
	HOLD = 'h',
	RELEASE = 'l',
	RETRY = 'R',
	DROP = 'D',
	FILL = 'q',  /* ann's mailbox has no room */
	REMOVE = 'z' /* ann's account goes */
};

/* State of each recipient as "who:state/attempts/due", then what ann has. */
static const struct row {
	const char *what, *before, *from;
	const char *during; /* while it is leased; NULL: it is not */
	const char *lost;   /* a crash while it is leased leaves this; NULL: as before */
	char event;
	const char *to;
} table[] = {
	{ "accepted", "", "ann 0", NULL, NULL, ACCEPT, "x:waiting/0/now ann 0" },
	{ "accepted, to be held", "", "ann 0", NULL, NULL, ACCEPT_LATER,
		"x:waiting/0/later ann 0" },
	{ "accepted for a mailbox, to be held", "", "ann 0", NULL, NULL, ACCEPT_HERE,
		"ann:home/0/later ann 0" },
	{ "accepted for a mailbox, to be told", "", "ann 0", NULL, NULL, ACCEPT_NOTIFY,
		"ann:delivered/0/now ann 1" },
	{ "leased", "a", "x:waiting/0/now ann 0", NULL, NULL, LEASE, "x:waiting/0/now ann 0" },
	{ "result delivered", "a", "x:waiting/0/now ann 0", "", NULL, DELIVERED, "ann 0" },
	{ "result deferred", "a", "x:waiting/0/now ann 0", "", NULL, DEFERRED,
		"x:waiting/1/later ann 0" },
	{ "result failed", "a", "x:waiting/0/now ann 0", "", NULL, FAILED,
		"them:waiting/0/now ann 0" },
	{ "result released", "a", "x:waiting/0/now ann 0", "", NULL, RELEASED,
		"x:waiting/0/now ann 0" },
	{ "holder gone", "a", "x:waiting/0/now ann 0", "", NULL, HOLDER_GONE,
		"x:waiting/0/now ann 0" },
	{ "held while leased, deferred", "a", "x:waiting/0/now ann 0", "h", "x:held/0/never ann 0",
		DEFERRED, "x:held/1/never ann 0" },
	{ "held while leased, released", "a", "x:waiting/0/now ann 0", "h", "x:held/0/never ann 0",
		RELEASED, "x:held/0/never ann 0" },
	{ "held while leased, delivered", "a", "x:waiting/0/now ann 0", "h", "x:held/0/never ann 0",
		DELIVERED, "ann 0" },
	{ "dropped while leased, deferred", "a", "x:waiting/0/now ann 0", "D", "ann 0", DEFERRED,
		"ann 0" },
	{ "dropped while leased, delivered", "a", "x:waiting/0/now ann 0", "D", "ann 0", DELIVERED,
		"ann 0" },
	{ "retry", "aLf", "x:waiting/1/later ann 0", NULL, NULL, RETRY, "x:waiting/1/now ann 0" },
	{ "hold", "a", "x:waiting/0/now ann 0", NULL, NULL, HOLD, "x:held/0/never ann 0" },
	{ "drop", "a", "x:waiting/0/now ann 0", NULL, NULL, DROP, "ann 0" },
	{ "held: retry", "ah", "x:held/0/never ann 0", NULL, NULL, RETRY, "x:held/0/never ann 0" },
	{ "held: leased", "ah", "x:held/0/never ann 0", NULL, NULL, LEASE, "x:held/0/never ann 0" },
	{ "held: release", "ah", "x:held/0/never ann 0", NULL, NULL, RELEASE,
		"x:waiting/0/now ann 0" },
	{ "held: drop", "ah", "x:held/0/never ann 0", NULL, NULL, DROP, "ann 0" },
	{ "held: release, for a mailbox", "Hh", "ann:held/0/never ann 0", NULL, NULL, RELEASE,
		"ann:home/0/now ann 0" },
	{ "home: leased, not due", "H", "ann:home/0/later ann 0", NULL, NULL, LEASE,
		"ann:home/0/later ann 0" },
	{ "home: leased", "HR", "ann:home/0/now ann 0", NULL, NULL, LEASE, "ann 1" },
	{ "home: leased, full", "HqR", "ann:home/0/now ann 0", NULL, NULL, LEASE,
		"ann:home/0/later ann 0" },
	{ "home: leased, gone", "HRz", "ann:home/0/now", NULL, NULL, LEASE, "ann:failed/0/now" },
	{ "home: hold", "H", "ann:home/0/later ann 0", NULL, NULL, HOLD, "ann:held/0/never ann 0" },
	{ "home: drop", "H", "ann:home/0/later ann 0", NULL, NULL, DROP, "ann 0" },
	{ "failed: hold", "HRzL", "ann:failed/0/now", NULL, NULL, HOLD, "ann:failed/0/now" },
	{ "failed: result failed", "HRzL", "ann:failed/0/now", "", NULL, FAILED,
		"them:waiting/0/now" },
	{ "failed: drop", "HRzL", "ann:failed/0/now", NULL, NULL, DROP, "" },
	{ "delivered: hold", "N", "ann:delivered/0/now ann 1", NULL, NULL, HOLD,
		"ann:delivered/0/now ann 1" },
	{ "delivered: result delivered", "N", "ann:delivered/0/now ann 1", "", NULL, DELIVERED,
		"ann 1" },
	{ "delivered: result failed", "N", "ann:delivered/0/now ann 1", "", NULL, FAILED,
		"them:waiting/0/now ann 1" },
};

struct walk {
	int dir;
	struct store *s;
	uint64_t lease, rcpt, message;
	char now[200];
};

static const char *const words[] = { "?", "delivered", "waiting", "failed", "?", "held", "?",
	"home" };

static int look_queue(struct view *v, void *arg, struct err *err)
{
	struct walk *w = arg;
	struct buf out = BUF(sizeof w->now - 1);
	int64_t messages, alone, here, now = clock_wall();
	struct rows *r;

	if (db_query(v->db, &r, "SELECT address, state, attempts, next FROM queue_rcpt ORDER BY id",
		    DB_NOARGS, err) < 0)
		return -1;
	while (rows_next(r, err) == 1) {
		struct str local, domain;
		int64_t next = rows_int(r, 3);

		str_cut(rows_str(r, 0), '@', &local, &domain);
		buf_addf(&out, STR_F ":%s/%d/%s ", STR_A(local), words[rows_int(r, 1)],
			(int)rows_int(r, 2),
			next == QUEUE_NEVER ? "never" : (next <= now ? "now" : "later"));
	}
	rows_free(&r);
	/* The message lives as long as one of its recipients, and no body without either. */
	if (db_int(v->db, &messages, "SELECT count(*) FROM queue_message", DB_NOARGS, err) < 0 ||
		db_int(v->db, &alone, "SELECT count(DISTINCT message) FROM queue_rcpt", DB_NOARGS,
			err) < 0)
		return -1;
	assert_int_equal(messages, alone);
	if (db_int(v->db, &alone,
		    "SELECT count(*) FROM queue_message m WHERE waiting <> (SELECT count(*) FROM"
		    " queue_rcpt q WHERE q.message = m.id) OR NOT EXISTS (SELECT 1 FROM body b"
		    " WHERE b.id = m.body)",
		    DB_NOARGS, err) < 0)
		return -1;
	assert_int_equal(alone, 0);
	if (db_int(v->db, &here, "SELECT count(*) FROM account WHERE removed = 0", DB_NOARGS, err) <
		0)
		return -1;
	if (here) {
		if (db_int(v->db, &messages,
			    "SELECT count(*) FROM entry e, mailbox b WHERE b.account = e.account "
			    "AND"
			    " b.id = e.mailbox",
			    DB_NOARGS, err) < 0)
			return -1;
		buf_addf(&out, "ann %d", (int)messages);
	}
	while (out.n && out.p[out.n - 1] == ' ')
		buf_cut(&out, out.n - 1);
	str_z(buf_str(&out), w->now, sizeof w->now);
	buf_free(&out);
	return 0;
}

static void must_be(struct walk *w, const struct row *row, enum mode m, const char *want)
{
	struct err err;

	if (look(w->s, look_queue, w, &err) < 0)
		fail_msg("%s: %s", row->what, err.msg);
	if (strcmp(w->now, want) != 0)
		fail_msg("%s (%d): it is '%s', not '%s'", row->what, (int)m, w->now, want);
}

static int step_lease(struct txn *t, void *arg, struct err *err)
{
	const struct queue_lease_query q = { .holder = 1, .max = 1, .room = 1 << 20 };
	struct arena arena = ARENA(1 << 20);
	struct queue_lease *found = NULL;
	struct walk *w = arg;
	int64_t due;
	int r = queue_lease(t, &q, &arena, &found, &due, err);

	if (found) {
		w->lease = found->id;
		w->rcpt = found->rcpts[0].id;
	}
	arena_free(&arena);
	return r;
}

struct outcome {
	struct walk *w;
	uint8_t state;
};

static int step_result(struct txn *t, void *arg, struct err *err)
{
	const struct outcome *o = arg;
	const struct queue_result r = { .rcpt = o->w->rcpt, .state = o->state, .retry_after = 600 };
	const struct queue_report report = { .wanted = o->state == STORE_FAILED,
		.id = 1000 + o->w->message,
		.body = { .size = t->body.n } };

	return queue_results(t, 1, o->w->lease, &r, 1, &report, err);
}

static int step_gone(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return queue_holder_gone(t, 1, err);
}

static int step_change(struct txn *t, void *arg, struct err *err)
{
	uint32_t changed;

	return queue_change(t, 0, 0, *(const enum queue_op *)arg, &changed, err);
}

static int step_fill(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_account_quota(t, STR("ann@example.org"), 0, 1, err);
}

static int step_remove(struct txn *t, void *arg, struct err *err)
{
	return directory_account_remove(t, STR("ann@example.org"), arg, err);
}

struct hand_in {
	struct mail_test m;
	int64_t hold_until;
};

static int step_hand_in(struct txn *t, void *arg, struct err *err)
{
	struct hand_in *h = arg;
	struct directory_rcpt found;
	struct delivery_rcpt rcpt = { .address = str_c(h->m.to), .notify = h->m.notify };
	struct delivery d = { .id = h->m.id,
		.anywhere = true,
		.any_sender = true,
		.sender = STR("them@example.net"),
		.options = { .hold_until = h->hold_until },
		.body = { .size = t->body.n },
		.rcpts = &rcpt,
		.rcpt_count = 1 };

	if (directory_rcpt(&t->view, rcpt.address, true, 0, &found, err) < 0)
		return -1;
	rcpt.target = found.target;
	return delivery_accept(t, &d, &h->m.local, &h->m.queued, err);
}

static int accept(struct walk *w, enum step step, struct err *err)
{
	struct hand_in h = { .m = { .id = ++w->message, .to = "x@far.example" } };

	if (step == ACCEPT_HERE || step == ACCEPT_NOTIFY)
		h.m.to = "ann@example.org";
	if (step == ACCEPT_NOTIFY)
		h.m.notify = STORE_NOTIFY_SUCCESS;
	else if (step != ACCEPT)
		h.hold_until = ((int64_t)time(NULL) + 3600) * 1000000000;
	return change_with_body(w->s, step_hand_in, &h, STR("hello"), err);
}

static int result(struct walk *w, uint8_t state, struct err *err)
{
	struct outcome o = { w, state };

	return change_with_body(w->s, step_result, &o, STR("a report"), err);
}

static int operate(struct walk *w, enum queue_op op, struct err *err)
{
	return change(w->s, step_change, &op, err);
}

static int take(struct walk *w, enum step step, struct err *err)
{
	uint64_t account;

	switch (step) {
	case ACCEPT:
	case ACCEPT_LATER:
	case ACCEPT_HERE:
	case ACCEPT_NOTIFY:
		return accept(w, step, err);
	case LEASE:
		return change(w->s, step_lease, w, err);
	case DELIVERED:
		return result(w, STORE_DELIVERED, err);
	case DEFERRED:
		return result(w, STORE_DEFERRED, err);
	case FAILED:
		return result(w, STORE_FAILED, err);
	case RELEASED:
		return result(w, STORE_RELEASED, err);
	case HOLDER_GONE:
		return change(w->s, step_gone, NULL, err);
	case HOLD:
		return operate(w, QUEUE_OP_HOLD, err);
	case RELEASE:
		return operate(w, QUEUE_OP_RELEASE, err);
	case RETRY:
		return operate(w, QUEUE_OP_RETRY, err);
	case DROP:
		return operate(w, QUEUE_OP_DROP, err);
	case FILL:
		return change(w->s, step_fill, NULL, err);
	case REMOVE:
		return change(w->s, step_remove, &account, err);
	}
	return -1;
}

static void open_walk(struct walk *w)
{
	const struct store_options o = { .segment_bytes = 1 << 20 };

	w->s = open_store_with(w->dir, &o);
}

/* The process ends, and the next one begins. */
static void restart(struct walk *w, enum mode m)
{
	if (m == AS_IT_IS)
		return;
	store_close(&w->s);
	if (m == REBUILT) {
		assert_int_equal(unlinkat(w->dir, "index.db", 0), 0);
		unlinkat(w->dir, "index.db-wal", 0);
		unlinkat(w->dir, "index.db-shm", 0);
	}
	open_walk(w);
}

static void must_take(struct walk *w, const struct row *row, char step)
{
	struct err err;

	if (take(w, (enum step)step, &err) < 0)
		fail_msg("%s: step %c: %s", row->what, step, err.msg);
}

/* A lease, and what happens meanwhile; then the end of the process: the result comes too late. */
static void lose_the_lease(struct walk *w, const struct row *row, enum mode m)
{
	struct err err;

	must_take(w, row, LEASE);
	for (const char *p = row->during; *p; p++)
		must_take(w, row, *p);
	restart(w, m);
	must_be(w, row, m, row->lost ? row->lost : row->from);
	if (row->event != HOLDER_GONE) {
		assert_int_equal(take(w, (enum step)row->event, &err), -1);
		assert_int_equal(err.kind, ERR_NOTFOUND);
	}
	must_be(w, row, m, row->lost ? row->lost : row->from);
}

static void walk_row(struct walk *w, const struct row *row, enum mode m)
{
	open_walk(w);
	add_account(w->s, "ann@example.org");
	for (const char *p = row->before; *p; p++) {
		must_take(w, row, *p);
		/* A lease that the next step needs lives as long as the process. */
		if (p[0] != LEASE || !p[1])
			restart(w, m);
	}
	must_be(w, row, m, row->from);
	if (row->during && m != AS_IT_IS)
		lose_the_lease(w, row, m);
	if (!row->during || m == AS_IT_IS || !row->lost) {
		if (row->during)
			must_take(w, row, LEASE);
		for (const char *p = row->during ? row->during : ""; *p; p++)
			must_take(w, row, *p);
		must_take(w, row, row->event);
		must_be(w, row, m, row->to);
		restart(w, m);
		must_be(w, row, m, row->to);
	}
	store_close(&w->s);
}

static void every_row_of_the_table_holds_also_after_a_restart_at_each_step(void **state)
{
	char name[40];

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		for (int m = 0; m < MODES; m++) {
			struct walk w = { .message = 10 };

			snprintf(name, sizeof name, "%zu-%d", i, m);
			assert_int_equal(mkdirat(test_dir(state), name, 0700), 0);
			w.dir = openat(test_dir(state), name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			walk_row(&w, &table[i], (enum mode)m);
			close(w.dir);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_row_of_the_table_holds_also_after_a_restart_at_each_step),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
