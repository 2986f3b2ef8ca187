/* Reading the queue, and what the operator does with it. Leases: lease.c; results: result.c. */
#include "store/queue.h"
#include "store/body.h"
#include "store/names.h"
#include "store/sending.h"

#include <inttypes.h>

#define ID(x) DB_I((int64_t)(x))

int queue_read(struct view *v, uint64_t message, uint64_t offset, uint32_t length, struct buf *out,
	uint64_t *size, struct err *err)
{
	struct buf prefix = BUF(1 << 20);
	struct body_place p = { 0 };
	struct rows *r;
	int got = -1, result = -1;

	if (db_query(v->db, &r,
		    "SELECT m.prefix, " BODY_PLACE
		    " FROM queue_message m JOIN body b ON b.id = m.body WHERE m.id = $1",
		    DB_ARGS(ID(message)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		buf_add(&prefix, rows_str(r, 0));
		p = body_place_of(r, 1);
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND, "no such message in the queue");
	}
	rows_free(&r);
	if (got == 1)
		result = body_read_message(v, buf_str(&prefix), &p, offset, length, out, size, err);
	buf_free(&prefix);
	return result;
}

/* PostgreSQL sends all of what it is asked for: so not more than that at a time. */
enum { AT_A_TIME = 500 };

/* 0 the end, 1 the callback has enough, 2 there may be more, after *after. */
static int list_some(struct view *v, uint64_t *after, queue_row_fn *fn, void *arg, struct err *err)
{
	unsigned n = 0;
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT q.message, q.id, m.size, m.arrived, q.next, m.sender, q.address, "
		    "q.reply,"
		    " q.state, q.attempts FROM queue_rcpt q JOIN queue_message m ON m.id = "
		    "q.message"
		    " WHERE q.id > $1 ORDER BY q.id LIMIT $2",
		    DB_ARGS(ID(*after), DB_I(AT_A_TIME)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct queue_row row = { .message = (uint64_t)rows_int(r, 0),
			.rcpt = (uint64_t)rows_int(r, 1),
			.size = (uint64_t)rows_int(r, 2),
			.arrived = rows_int(r, 3),
			.next = rows_int(r, 4),
			.sender = rows_str(r, 5),
			.address = rows_str(r, 6),
			.text = rows_str(r, 7),
			.state = (uint8_t)rows_int(r, 8),
			.attempts = (uint32_t)rows_int(r, 9) };

		n++;
		*after = row.rcpt;
		if (!fn(arg, &row))
			break;
	}
	rows_free(&r);
	return got == 0 && n == AT_A_TIME ? 2 : got;
}

int queue_list(struct view *v, uint64_t after, queue_row_fn *fn, void *arg, struct err *err)
{
	int got;

	do
		got = list_some(v, &after, fn, arg, err);
	while (got == 2);
	return got < 0 ? -1 : 0;
}

int queue_figures(struct view *v, struct queue_figures *f, struct err *err)
{
	int64_t queued = 0, held = 0, oldest = 0;

	if (db_int(v->db, &queued, "SELECT count(*) FROM queue_rcpt", DB_NOARGS, err) < 0 ||
		/* A literal, so that the index of those is used. */
		db_int(v->db, &held, "SELECT count(*) FROM queue_rcpt WHERE state = 5", DB_NOARGS,
			err) < 0 ||
		db_int(v->db, &oldest, "SELECT min(arrived) FROM queue_message", DB_NOARGS, err) <
			0)
		return -1;
	*f = (struct queue_figures){ (uint64_t)queued, (uint64_t)held, oldest };
	return 0;
}

_Static_assert(STORE_HELD == 5, "as the statements and the index say");

/* A recipient as the operator finds it. */
struct found {
	uint64_t id, message;
	struct str domain;
	uint8_t state;
	struct effect_queue_state now;
};

/* What waits for a mailbox here must not be sent to ourselves. */
static int state_when_released(struct txn *t, struct str domain, uint8_t *state, struct err *err)
{
	int64_t kind = 0;

	if (db_int(t->view.db, &kind, "SELECT kind FROM domain WHERE name = $1",
		    DB_ARGS(DB_T(domain)), err) < 0)
		return -1;
	*state = kind == STORE_DOMAIN_LOCAL ? STORE_HOME : STORE_DEFERRED;
	return 0;
}

/* Somebody has looked at it: it is what its account wants. */
static int release_frozen(struct txn *t, struct found *f, struct err *err)
{
	struct buf address = BUF(1024);
	uint64_t account = 0;
	struct rows *r;
	int got;

	if (!str_starts(f->now.reply, STR(SENDING_FROZEN)))
		return 0;
	f->now.reply = STR("");
	if (db_query(t->view.db, &r,
		    "SELECT m.account, q.address FROM queue_rcpt q, queue_message m"
		    " WHERE q.id = $1 AND m.id = q.message",
		    DB_ARGS(ID(f->id)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		account = (uint64_t)rows_int(r, 0);
		buf_add(&address, rows_str(r, 1));
	}
	rows_free(&r);
	if (got == 1)
		got = sending_know(t, account, buf_str(&address), err);
	buf_free(&address);
	return got;
}

static int change_one(struct txn *t, struct found *f, enum queue_op op, struct err *err)
{
	const char *event = "retry";

	f->now.next = t->now;
	switch (op) {
	case QUEUE_OP_RETRY:
		break;
	case QUEUE_OP_HOLD:
		f->now.next = QUEUE_NEVER;
		f->now.state = STORE_HELD;
		event = "held";
		break;
	case QUEUE_OP_RELEASE:
		if (state_when_released(t, f->domain, &f->now.state, err) < 0 ||
			release_frozen(t, f, err) < 0)
			return -1;
		event = "released";
		break;
	case QUEUE_OP_DROP:
		event = "dropped";
		break;
	}
	if (emit_trace(t,
		    &(struct effect_trace){
			    f->message, t->now, str_c(event), STR(""), STR("by the operator") },
		    err) < 0)
		return -1;
	if (op == QUEUE_OP_DROP)
		return emit_queue_done(
			t, &(struct effect_queue_done){ f->id, f->message, STORE_DROPPED }, err);
	queue_expect(t->leases, f->now.next);
	return emit_queue_state(t, &f->now, err);
}

/* One message by its index; or all of the queue, once from left to right. */
#define FIND                                                                                       \
	"SELECT id, message, state, attempts, code, delay_told, status, reply, remote, domain"     \
	" FROM queue_rcpt WHERE id > $1 AND ($3 = 0 OR state = $3) AND state <> $4"                \
	" AND ($5 = 0 OR state NOT IN (1, 3)) AND ($6 = 0 OR $6 ="                                 \
	" (SELECT m.account FROM queue_message m WHERE m.id = queue_rcpt.message))"
#define ORDER " ORDER BY id LIMIT 1"

/* The next recipient that the operation concerns, after `f->id`. 1, 0, -1. The texts live in
 * `text`. */
static int find_next(struct txn *t, uint64_t message, uint64_t account, enum queue_op op,
	struct found *f, struct buf *text, struct err *err)
{
	/* What is held stays held when all are to be tried again, and only held ones are released.
	 * What is only to be reported (delivered, failed) is not held. */
	const int64_t only = op == QUEUE_OP_RELEASE ? STORE_HELD : 0;
	const int64_t not = op == QUEUE_OP_HOLD || op == QUEUE_OP_RETRY ? STORE_HELD : 0;
	size_t status, reply, remote;
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    message ? FIND " AND message = $2" ORDER : FIND " AND $2 = 0" ORDER,
		    DB_ARGS(ID(f->id), ID(message), DB_I(only), DB_I(not ),
			    DB_I(op == QUEUE_OP_HOLD), ID(account)),
		    err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		f->id = (uint64_t)rows_int(r, 0);
		f->message = (uint64_t)rows_int(r, 1);
		f->now = (struct effect_queue_state){ .id = f->id,
			.state = (uint8_t)rows_int(r, 2),
			.attempts = (uint32_t)rows_int(r, 3),
			.code = (uint32_t)rows_int(r, 4),
			.delay_told = (uint8_t)rows_int(r, 5) };
		buf_clear(text);
		buf_add(text, rows_str(r, 6));
		status = text->n;
		buf_add(text, rows_str(r, 7));
		reply = text->n - status;
		buf_add(text, rows_str(r, 8));
		remote = text->n - status - reply;
		buf_add(text, rows_str(r, 9));
		f->now.status = str_head(buf_str(text), status);
		f->now.reply = str_head(str_from(buf_str(text), status), reply);
		f->now.remote = str_head(str_from(buf_str(text), status + reply), remote);
		f->domain = str_from(buf_str(text), status + reply + remote);
	}
	rows_free(&r);
	return got;
}

int queue_change_some(struct txn *t, uint64_t message, uint64_t account, enum queue_op op,
	uint32_t most, uint64_t *after, uint32_t *changed, struct err *err)
{
	struct buf text = BUF(1 << 16);
	struct found f = { .id = *after };
	int64_t there = 0;
	int got = 1;

	*changed = 0;
	if (message && *after == 0 &&
		db_int(t->view.db, &there, "SELECT id FROM queue_message WHERE id = $1",
			DB_ARGS(ID(message)), err) < 1)
		return err_set(err, ERR_NOTFOUND, "no such message in the queue");
	while (got == 1 && *changed < most) {
		got = find_next(t, message, account, op, &f, &text, err);
		if (got == 1 && change_one(t, &f, op, err) < 0)
			got = -1;
		*changed += got == 1;
	}
	*after = got == 1 ? f.id : 0;
	buf_free(&text);
	return got < 0 ? -1 : 0;
}

int queue_change(struct txn *t, uint64_t message, uint64_t account, enum queue_op op,
	uint32_t *changed, struct err *err)
{
	uint64_t after = 0;

	return queue_change_some(t, message, account, op, UINT32_MAX, &after, changed, err);
}
