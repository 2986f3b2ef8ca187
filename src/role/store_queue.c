/* The queue: leases for the courier, lists and figures for the operator, as jobs. */
#include "base/log.h"
#include "role/store_private.h"
#include "store/body.h"
#include "store/directory.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/sending.h"
#include "store/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)QUEUE_RETRY == (int)QUEUE_OP_RETRY && (int)QUEUE_HOLD == (int)QUEUE_OP_HOLD &&
		(int)QUEUE_RELEASE == (int)QUEUE_OP_RELEASE &&
		(int)QUEUE_DROP == (int)QUEUE_OP_DROP,
	"operations on the queue are passed through");

enum { BUSY_MAX = 200, CHANGES_MAX = 500 };

static void put_lease(struct buf *items, struct buf *rcpts, const struct queue_lease *l)
{
	struct store_lease_item item = { .lease = l->id,
		.message = l->message,
		.sender = l->sender,
		.arrived = l->arrived,
		.size = l->size,
		.flags = l->flags,
		.envid = l->envid,
		.ret = l->ret,
		.body_type = l->options.body_type,
		.hold_until = l->options.hold_until,
		.deliver_by = l->options.deliver_by,
		.by_mode = l->options.by_mode,
		.priority = (uint8_t)(l->options.priority + PRIORITY_NORMAL),
		.require_tls = l->options.require_tls,
		.domain = l->domain };

	buf_clear(rcpts);
	for (size_t i = 0; i < l->rcpt_count; i++) {
		const struct queue_rcpt *r = &l->rcpts[i];

		store_lease_rcpt_put(rcpts,
			&(struct store_lease_rcpt){ .rcpt = r->id,
				.address = r->address,
				.orcpt = r->orcpt,
				.notify = r->notify,
				.attempts = r->attempts,
				.delay_told = r->delay_told,
				.failed = r->failed,
				.delivered = r->delivered,
				.rrvs = r->rrvs,
				.rrvs_mode = r->rrvs_mode });
	}
	item.rcpts = buf_str(rcpts);
	store_lease_item_put(items, &item);
}

/* The loop's thread learns which message each lease is about. */
static void after_lease(struct work *w)
{
	struct store_lease_item item;
	struct store_lease_rep a;
	struct err err = ERR_INIT;

	if (w->job.result < 0 || !w->peer->ch ||
		store_lease_rep_get(buf_str(&w->job.answer), &a, &err) < 0)
		return;
	while (store_lease_item_next(&a.items, &item)) {
		struct lease_of_peer *l = malloc(sizeof *l);

		if (!l)
			break;
		*l = (struct lease_of_peer){ item.lease, item.message };
		if (!map_put_u64(&w->peer->leases, item.lease, l))
			free(l);
	}
	if (a.next_due < w->s->next_due)
		w->s->next_due = a.next_due;
}

int store_do_lease(struct txn *t, struct store_job *job, struct err *err)
{
	struct buf items = BUF(MSG_MAX), rcpts = BUF(MSG_MAX);
	struct arena arena = ARENA(16 << 20);
	struct str *busy;
	struct queue_lease_query lq = { .holder = work_of(job)->peer->id, .room = STORE_ITEMS };
	struct queue_lease *l;
	struct store_domain_item domain;
	int64_t next_due;
	int r = -1;
	ASKED(store_lease, q);

	work_of(job)->after = after_lease;
	lq.max = q.max;
	lq.busy = busy = arena_array(&arena, BUSY_MAX, sizeof *busy);
	while (busy && lq.busy_count < BUSY_MAX && store_domain_item_next(&q.busy, &domain))
		busy[lq.busy_count++] = domain.domain;
	if (queue_lease(t, &lq, &arena, &l, &next_due, err) == 0) {
		for (; l; l = l->next)
			put_lease(&items, &rcpts, l);
		r = ANSWER(store_lease, .items = buf_str(&items), .next_due = next_due,
			.until = store_leases_end(t->view.store));
	}
	buf_free(&items);
	buf_free(&rcpts);
	arena_free(&arena);
	return r;
}

static int read_lease_body(struct view *v, struct store_job *job, struct err *err)
{
	struct buf data = BUF(61440);
	uint64_t size;
	int r = -1;
	ASKED(store_lease_body, q);

	if (queue_read(v, work_of(job)->touched, q.offset, q.length > 61440 ? 61440 : q.length,
		    &data, &size, err) == 0)
		r = ANSWER(store_lease_body, .data = buf_str(&data), .size = size);
	buf_free(&data);
	return r;
}

void store_on_lease_body(struct peer *p, struct request *req)
{
	struct store_lease_body_req q;
	struct lease_of_peer *l;
	struct err err = ERR_INIT;
	struct work *w = NULL;

	if (store_lease_body_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
		request_fail(&req, &err);
		return;
	}
	l = map_get_u64(&p->leases, q.lease);
	if (l)
		w = store_work_new(p, req, &err);
	else
		err_set(&err, ERR_NOTFOUND, "this lease has ended");
	if (!w) {
		request_fail(&req, &err);
		return;
	}
	w->touched = l->message;
	w->job.read = read_lease_body;
	store_work_submit(w);
}

/* ---- the operator ---- */

static bool add_queue_row(void *arg, const struct queue_row *r)
{
	struct listing *l = arg;
	size_t before = l->items.n;

	store_queue_row_put(&l->items,
		&(struct store_queue_row){ .message = r->message,
			.rcpt = r->rcpt,
			.arrived = r->arrived,
			.size = r->size,
			.sender = r->sender,
			.address = r->address,
			.state = r->state,
			.attempts = r->attempts,
			.next = r->next,
			.text = r->text });
	return listing_fits(l, before);
}

int store_do_queue(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_queue, q);

	if (queue_list(v, q.after, add_queue_row, &l, err) == 0)
		r = ANSWER(store_queue, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

int store_do_queue_change(struct txn *t, struct store_job *job, struct err *err)
{
	struct directory_login who = { 0 };
	uint32_t changed;
	ASKED(store_queue_change, q);

	if (q.op < QUEUE_RETRY || q.op > QUEUE_DROP)
		return err_set(err, ERR_PERM, "no such operation on the queue");
	if (q.login.n && directory_login(&t->view, q.login, &who, err) < 0)
		return -1;
	if (queue_change_some(t, q.message, who.account, (enum queue_op)q.op, CHANGES_MAX, &q.after,
		    &changed, err) < 0)
		return -1;
	return ANSWER(store_queue_change, .changed = changed, .after = q.after);
}

/* What the operator should look at although the store works. */
static void add_alarms(struct store_figures *f, uint64_t damaged, uint64_t frozen)
{
	const unsigned unread = f->unread, stuck = f->stuck_segments;
	char *alarm = f->alarm;

	if (alarm[0])
		return;
	if (damaged)
		snprintf(alarm, 240,
			"%" PRIu64
			" message%s damaged on disk and not shown: `eilpost fsck` says which",
			damaged, damaged == 1 ? " is" : "s are");
	else if (unread)
		snprintf(alarm, 240,
			"%u message%s could not be read from the disk: `eilpost fsck` says which",
			unread, unread == 1 ? "" : "s");
	else if (stuck)
		snprintf(alarm, 240,
			"%u"
			" segment%s of the log cannot be compacted: `eilpost fsck` says why",
			stuck, stuck == 1 ? "" : "s");
	else if (frozen)
		snprintf(alarm, 240,
			"mail of %" PRIu64
			" account%s is frozen, being over its cap: `eilpost queue` shows it, "
			"`eilpost queue release ID|LOGIN` sends it",
			frozen, frozen == 1 ? "" : "s");
}

int store_do_status(struct view *v, struct store_job *job, struct err *err)
{
	struct directory_figures d;
	struct queue_figures queue;
	struct store_figures f;
	uint64_t frozen = 0, damaged = 0, database = 0;
	ASKED(store_status, q);

	if (directory_figures(v, &d, err) < 0 || queue_figures(v, &queue, err) < 0 ||
		(queue.held && sending_frozen_accounts(v, &frozen, err) < 0) ||
		body_count_damaged(v, &damaged, err) < 0 ||
		store_database_bytes(v, &database, err) < 0)
		return -1;
	store_figures(v->store, &f);
	add_alarms(&f, damaged, frozen);
	return ANSWER(store_status, .accounts = d.accounts, .domains = d.domains,
		.emails = d.emails, .queued = queue.queued, .held = queue.held,
		.oldest = queue.oldest, .free_bytes = f.free_bytes, .log_bytes = f.log_bytes,
		.database_bytes = database, .damaged = damaged, .stuck = f.stuck_segments,
		.commits = f.commits, .batches = f.batches, .read_only = f.read_only,
		.alarm = str_c(f.alarm));
}

static bool add_trace_row(void *arg, const struct trace_row *r)
{
	struct buf text = BUF(600);
	struct listing *l = arg;
	size_t before = l->items.n;

	buf_add(&text, r->address);
	if (r->address.n && r->text.n)
		buf_addz(&text, ": ");
	buf_add(&text, str_head(r->text, text.max - text.n));
	store_trace_row_put(&l->items,
		&(struct store_trace_row){ .position = r->position,
			.message = r->message,
			.time = r->time,
			.event = r->event,
			.text = buf_str(&text) });
	buf_free(&text);
	return listing_fits(l, before);
}

int store_do_trace(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_trace, q);

	if (trace_list(v, q.message, q.address, q.after, add_trace_row, &l, err) == 0)
		r = ANSWER(store_trace, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}
