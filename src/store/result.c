/* What became of the recipients of a lease. */
#include "store/names.h"
#include "store/queue_private.h"

#include <stdio.h>
#include <string.h>

#define ID(x) DB_I((int64_t)(x))

enum { TRACE_TEXT = 600 };

static int trace_result(struct txn *t, uint64_t message, const struct queue_result *r,
	const char *event, struct str address, struct err *err)
{
	struct buf text = BUF(TRACE_TEXT);
	int got;

	buf_add(&text, r->remote.n ? r->remote : STR("-"));
	if (r->code)
		buf_addf(&text, " %u", r->code);
	if (r->status.n) {
		buf_addc(&text, ' ');
		buf_add(&text, r->status);
	}
	buf_addc(&text, ' ');
	buf_add(&text, str_head(r->text, text.max - text.n));
	got = emit_trace(t,
		&(struct effect_trace){ message, t->now, str_c(event), address, buf_str(&text) },
		err);
	buf_free(&text);
	return got;
}

static bool holds(const struct lease *l, uint64_t rcpt)
{
	for (size_t i = 0; i < l->rcpt_count; i++)
		if (l->rcpts[i] == rcpt)
			return true;
	return false;
}

/* The recipient's address and what it had. 1, 0 it is gone (dropped by the operator), -1. */
static int read_rcpt(struct txn *t, uint64_t id, struct buf *address, int64_t *attempts,
	uint8_t *state, int64_t *next, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT address, attempts, state, next FROM queue_rcpt WHERE id = $1",
		    DB_ARGS(ID(id)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		buf_clear(address);
		buf_add(address, rows_str(r, 0));
		*attempts = rows_int(r, 1);
		*state = (uint8_t)rows_int(r, 2);
		*next = rows_int(r, 3);
	}
	rows_free(&r);
	return got;
}

static int result_one(
	struct txn *t, const struct lease *l, const struct queue_result *r, struct err *err)
{
	struct buf address = BUF(1024);
	struct effect_queue_state now = { .id = r->rcpt,
		.code = r->code,
		.status = r->status,
		.reply = r->text,
		.remote = r->remote,
		.delay_told = r->delay_told };
	int64_t attempts = 0, next = 0;
	uint8_t state = 0;
	int got = read_rcpt(t, r->rcpt, &address, &attempts, &state, &next, err);

	if (got != 1 || r->state == STORE_RELEASED)
		goto out;
	if (r->state == STORE_DEFERRED) {
		/* An operator's hold while it was tried stays. */
		now.state = state == STORE_HELD ? STORE_HELD : STORE_DEFERRED;
		now.next = state == STORE_HELD ? QUEUE_NEVER : t->now + r->retry_after;
		now.attempts = (uint32_t)attempts + 1;
		got = trace_result(t, l->message, r, "deferred", buf_str(&address), err);
		if (got == 0)
			got = emit_queue_state(t, &now, err);
		queue_expect(t->leases, now.next);
		goto out;
	}
	got = trace_result(t, l->message, r, r->state == STORE_DELIVERED ? "sent" : "failed",
		buf_str(&address), err);
	if (got == 0)
		got = emit_queue_done(
			t, &(struct effect_queue_done){ r->rcpt, l->message, r->state }, err);
out:
	buf_free(&address);
	return got < 0 ? -1 : 0;
}

/* Who the report goes to. 1, 0 nobody (RFC 5321 6.1: a report causes none), -1. RFC 8689 5: the
 * report on a message that must have TLS must have it, too. */
static int read_sender(
	struct txn *t, uint64_t message, struct buf *sender, bool *require_tls, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r, "SELECT sender, options FROM queue_message WHERE id = $1",
		    DB_ARGS(ID(message)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		struct str options = rows_str(r, 1);
		struct effect_queue_options_row row;

		buf_add(sender, rows_str(r, 0));
		*require_tls = effect_queue_options_row_next(&options, &row) && row.require_tls;
	}
	rows_free(&r);
	return got == 1 ? sender->n > 0 : got;
}

/* The sender has gone, too, or takes no mail. What is tried and fails later is dropped the same
 * way: were it an error, the message would be tried again, and again delivered to others. */
static bool nobody_there(const struct err *why)
{
	return why->kind == ERR_NOTFOUND || why->kind == ERR_PERM || why->kind == ERR_DISABLED ||
		why->kind == ERR_QUOTA || why->kind == ERR_QUOTA_LONG || why->kind == ERR_EXPANSION;
}

static int put_report(
	struct txn *t, uint64_t about, const struct queue_report *report, struct err *err)
{
	struct buf sender = BUF(1024);
	struct err why = ERR_INIT;
	struct delivery_rcpt rcpt = { 0 };
	struct delivery d = { .id = report->id,
		.anywhere = true,
		.any_sender = true,
		.flags = report->flags,
		.how = STR("the mail system"),
		.body = report->body,
		.rcpts = &rcpt,
		.rcpt_count = 1 };
	uint32_t local, queued;
	size_t before;
	int got = read_sender(t, about, &sender, &d.options.require_tls, err);

	rcpt.address = buf_str(&sender);
	before = t->effects.n;
	if (got == 1 && delivery_accept(t, &d, &local, &queued, &why) < 0) {
		got = t->effects.n == before && nobody_there(&why) ? 0 : -1;
		if (got == 0)
			got = emit_trace(t,
				&(struct effect_trace){ about, t->now, STR("no report"),
					rcpt.address, str_c(why.msg) },
				err);
		else
			*err = why;
	}
	buf_free(&sender);
	return got < 0 ? -1 : 0;
}

int queue_results(struct txn *t, uint64_t holder, uint64_t lease, const struct queue_result *r,
	size_t n, const struct queue_report *report, struct err *err)
{
	struct lease *l = lease_find(t, lease, holder, err);

	if (!l)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!holds(l, r[i].rcpt))
			return err_set(err, ERR_DENIED, "a recipient that is not in the lease");
	/* The report first: the last result takes the message along. */
	if (report->wanted && put_report(t, l->message, report, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (result_one(t, l, &r[i], err) < 0)
			return -1;
	return lease_finish(t, l, err);
}
