/* Mail on its way in: bodies in credited pieces, recipients, and the commits that take them.
 *
 * A body of up to 256 KiB stays in memory and goes into the log with its record. A larger one is
 * written to a blob by a task of its own while it comes; credit is given as it is written. With
 * store.compress both are squeezed by a worker, so neither the loop nor the writer pays for it. */
#include "base/crc32c.h"
#include "base/log.h"
#include "role/store_private.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/squeeze.h"
#include "store/trace.h"

#include <stdlib.h>

_Static_assert((int)RCPT_DELIVERED == (int)STORE_DELIVERED &&
		(int)RCPT_DEFERRED == (int)STORE_DEFERRED &&
		(int)RCPT_FAILED == (int)STORE_FAILED &&
		(int)RCPT_RELEASED == (int)STORE_RELEASED && (int)RCPT_HELD == (int)STORE_HELD,
	"states of recipients are passed through");
_Static_assert((int)FLAG_SEEN == (int)STORE_SEEN && (int)FLAG_ANSWERED == (int)STORE_ANSWERED &&
		(int)FLAG_FLAGGED == (int)STORE_FLAGGED &&
		(int)FLAG_DELETED == (int)STORE_DELETED && (int)FLAG_DRAFT == (int)STORE_DRAFT,
	"flags are passed through");

enum { NOTES_MAX = 60, NOTE_TEXT = 1000 };
enum { PIECE_MAX = 61440, RCPTS_BYTES = 16 << 20 };
#define RRVS_MAX (INT64_C(1) << 40)

static void malformed(struct request *req, const struct err *why)
{
	channel_violation(req->ch, why->msg);
	if (msg_info(req->type)->answered)
		request_fail(&req, why);
	else
		request_free(&req);
}

/* ---- bodies ---- */

void store_intake_free(struct intake *in)
{
	in->peer->s->buffered -= in->data.n;
	in->peer->s->listed -= in->rcpts.n;
	blob_end(&in->blob);
	buf_free(&in->data);
	buf_free(&in->rcpts);
	free(in);
}

static struct intake *intake_get(struct peer *p, uint32_t txn)
{
	struct intake *in = map_get_u64(&p->intakes, txn);

	if (in)
		return in;
	in = calloc(1, sizeof *in);
	if (!in)
		return NULL;
	*in = (struct intake){ .peer = p,
		.txn = txn,
		.data = BUF(2 * STORE_BUFFERED),
		.rcpts = BUF(RCPTS_BYTES),
		.blob = { .fd = -1 } };
	if (map_put_u64(&p->intakes, txn, in))
		return in;
	free(in);
	return NULL;
}

/* Nobody will commit it. Its task, if it runs, frees it when it sees that. */
static void intake_drop(struct intake *in)
{
	map_del_u64(&in->peer->intakes, in->txn);
	if (!in->busy) {
		store_intake_free(in);
		return;
	}
	in->aborted = true;
	signal_raise(&in->wake);
}

void store_intakes_of_peer_end(struct peer *p)
{
	struct intake *in;
	size_t pos = 0;

	while ((in = map_next(&p->intakes, &pos)))
		intake_drop(in);
}

static void intake_fail(struct intake *in, const struct err *why)
{
	const struct store_txn_failed m = {
		.txn = in->txn, .kind = (uint8_t)why->kind, .why = str_c(why->msg)
	};
	struct err ignored = ERR_INIT;

	if (in->failed.kind != ERR_NONE)
		return;
	in->failed = *why;
	in->peer->s->buffered -= in->data.n;
	buf_free(&in->data);
	if (in->peer->ch && !in->commit)
		(void)store_txn_failed_send(in->peer->ch, &m, &ignored);
}

static void give_credit(struct intake *in, size_t bytes)
{
	const struct store_txn_credit m = { .txn = in->txn, .bytes = (uint32_t)bytes };
	struct err ignored = ERR_INIT;

	if (in->peer->ch && !in->aborted)
		(void)store_txn_credit_send(in->peer->ch, &m, &ignored);
}

/* ---- blobs: a task for each ---- */

struct piece {
	struct blob_writer *blob;
	struct buf data;
	struct store *store;
	bool last, squeezes;
};

static int write_piece(void *arg, struct err *err)
{
	struct piece *p = arg;

	if (!p->blob->begun && blob_begin(p->store, p->blob, err) < 0)
		return -1;
	if (p->data.n && blob_add(p->blob, buf_str(&p->data), err) < 0)
		return -1;
	if (!p->last)
		return 0;
	if (p->squeezes)
		blob_squeeze(p->blob);
	return blob_commit(p->blob, err);
}

/* Write what has come, without holding up what comes meanwhile. */
static void write_some(struct intake *in, struct piece *p)
{
	struct err err = ERR_INIT;
	size_t n = in->data.n;

	p->data = in->data;
	in->data = BUF(2 * STORE_BUFFERED);
	if (in->failed.kind == ERR_NONE && task_offload(write_piece, p, &err) < 0)
		intake_fail(in, &err);
	in->peer->s->buffered -= n;
	buf_free(&p->data);
	if (in->failed.kind == ERR_NONE)
		give_credit(in, n);
}

static void submit_commit(struct intake *in)
{
	struct work *w = in->commit;

	in->commit = NULL;
	if (in->failed.kind != ERR_NONE) {
		struct err why = in->failed;

		store_work_fail(w, &why); /* frees in */
		return;
	}
	store_work_submit(w);
}

static void blob_task(void *arg)
{
	struct intake *in = arg;
	struct peer *peer = in->peer;
	struct piece p = {
		.blob = &in->blob, .store = in->peer->s->store, .squeezes = in->peer->s->squeezes
	};
	struct err err = ERR_INIT;

	while (!in->aborted && !p.last) {
		if (in->data.n || in->commit) {
			p.last = in->commit != NULL;
			write_some(in, &p);
		} else if (task_wait(-1, 0, &in->wake, NEVER, &err) < 0) {
			intake_fail(in, &err);
			break;
		}
	}
	in->busy = false;
	if (in->commit)
		submit_commit(in);
	else if (in->aborted)
		store_intake_free(in);
	store_peer_release(peer);
}

static void become_blob(struct intake *in)
{
	struct err err = ERR_INIT;

	in->is_blob = true;
	if (task_spawn(in->peer->s->role->group, "blob", blob_task, in, &err) < 0) {
		intake_fail(in, &err);
		return;
	}
	in->busy = true;
	in->peer->works++; /* the task needs it */
}

/* ---- bodies for the log ---- */

struct squeezing {
	struct str plain;
	uint32_t checksum;
	struct buf squeezed;
};

static int squeeze_body(void *arg, struct err *err)
{
	struct squeezing *q = arg;

	(void)err;
	q->checksum = crc32c(0, q->plain.p, q->plain.n);
	(void)squeeze(q->plain, &q->squeezed);
	return 0;
}

static void submit_inline(struct intake *in)
{
	in->commit->job.body = buf_str(&in->data);
	submit_commit(in);
}

/* A failure is no reason not to take it: it stays as it came. */
static void squeeze_task(void *arg)
{
	struct intake *in = arg;
	struct peer *peer = in->peer;
	struct squeezing q = { .plain = buf_str(&in->data), .squeezed = BUF(in->data.n) };
	struct err ignored = ERR_INIT;

	if (task_offload(squeeze_body, &q, &ignored) == 0 && q.squeezed.n) {
		peer->s->buffered -= in->data.n - q.squeezed.n;
		buf_free(&in->data);
		in->data = q.squeezed;
		in->stored = in->data.n;
		in->checksum = q.checksum;
	} else {
		buf_free(&q.squeezed);
	}
	submit_inline(in);
	store_peer_release(peer);
}

/* Not a report of the courier: what it says of its lease must not wait, or the end of its channel,
 * which gives the lease back, would come first. */
static void squeeze_first(struct intake *in)
{
	struct store_role *s = in->peer->s;
	struct err ignored = ERR_INIT;

	if (!s->squeezes || in->peer->who == WHO_COURIER || in->data.n < SQUEEZE_LEAST ||
		in->failed.kind != ERR_NONE ||
		task_spawn(s->role->group, "squeeze", squeeze_task, in, &ignored) < 0)
		submit_inline(in);
	else
		in->peer->works++; /* the task needs it */
}

/* ---- what comes ahead of a commit ---- */

static void add_body(struct intake *in, struct str data)
{
	struct store_role *s = in->peer->s;
	struct err err = ERR_INIT;

	in->received += data.n;
	if (in->failed.kind != ERR_NONE)
		return;
	if (!store_has_room(s->store) && in->peer->who != WHO_COURIER) {
		err_set(&err, ERR_FULL, "disk nearly full: no new mail is taken");
	} else if (s->buffered + data.n > STORE_BUFFERED) {
		err_set(&err, ERR_TEMP, "too much mail at once");
	} else {
		buf_add(&in->data, data);
		if (!buf_ok(&in->data))
			err_set(&err, ERR_TEMP, "out of memory for a message");
	}
	if (err.kind != ERR_NONE) {
		intake_fail(in, &err);
		return;
	}
	s->buffered += data.n;
	if (!in->is_blob && in->received > DELIVERY_INLINE)
		become_blob(in);
	if (in->is_blob) {
		signal_raise(&in->wake);
	} else if (!in->credit_given && in->received > STORE_AHEAD - PIECE_MAX) {
		/* So that a larger body shows itself. */
		in->credit_given = true;
		give_credit(in, 2 * PIECE_MAX);
	}
}

void store_on_body(struct peer *p, struct request *req)
{
	struct store_txn_body m;
	struct err err = ERR_INIT;
	struct intake *in;

	if (store_txn_body_get(req->body, &m, &err) < 0) {
		malformed(req, &err);
		return;
	}
	in = intake_get(p, m.txn);
	if (in)
		add_body(in, m.data);
	request_free(&req);
}

static void add_rcpts(struct intake *in, struct str rcpts)
{
	struct store_role *s = in->peer->s;
	const size_t before = in->rcpts.n;
	struct err err = ERR_INIT;

	if (in->failed.kind != ERR_NONE)
		return;
	if (s->listed + rcpts.n > STORE_LISTED) {
		err_set(&err, ERR_TEMP, "too many recipients at once");
		intake_fail(in, &err);
		return;
	}
	buf_add(&in->rcpts, rcpts);
	s->listed += in->rcpts.n - before;
	if (in->peer->who == WHO_SUBMIT)
		store_greylist_wrote(s, rcpts);
	if (!buf_ok(&in->rcpts)) {
		err_set(&err, ERR_LIMIT, "too many recipients");
		intake_fail(in, &err);
	}
}

void store_on_rcpts(struct peer *p, struct request *req)
{
	struct store_txn_rcpts m;
	struct err err = ERR_INIT;
	struct intake *in;

	if (store_txn_rcpts_get(req->body, &m, &err) < 0) {
		malformed(req, &err);
		return;
	}
	in = intake_get(p, m.txn);
	if (in)
		add_rcpts(in, m.rcpts);
	request_free(&req);
}

void store_on_abort(struct peer *p, struct request *req)
{
	struct store_txn_abort m;
	struct err err = ERR_INIT;
	struct intake *in;

	if (store_txn_abort_get(req->body, &m, &err) < 0) {
		malformed(req, &err);
		return;
	}
	in = map_get_u64(&p->intakes, m.txn);
	if (in)
		intake_drop(in);
	request_free(&req);
}

/* ---- commits ---- */

/* The transaction becomes the work's; the work goes out now or when its blob is safe. */
static void commit(struct work *w, uint32_t txn)
{
	struct intake *in = intake_get(w->peer, txn);
	struct err err = ERR_INIT;

	if (!in) {
		err_set(&err, ERR_TEMP, "too many messages at once");
		store_work_fail(w, &err);
		return;
	}
	map_del_u64(&w->peer->intakes, txn);
	w->intake = in;
	w->job.intake = w->peer->who != WHO_COURIER; /* results may use the reserve */
	in->commit = w;
	if (in->busy) {
		signal_raise(&in->wake);
		return;
	}
	if (in->is_blob)
		submit_commit(in);
	else
		squeeze_first(in);
}

/* The body as it is now. A commit that is repeated after a restart comes without one: then only
 * the answer to the first can be given, and that was looked for before. */
static int body_of(struct work *w, uint64_t size, struct str facts, struct str refs,
	struct delivery_body *b, struct err *err)
{
	struct intake *in = w->intake;

	*b = (struct delivery_body){ .size = size, .facts = facts, .refs = refs };
	if (in->received == 0 && size)
		return err_set(err, ERR_TEMP, "the message has to be sent again");
	if (in->received != size)
		return err_set(err, ERR_PERM, "the message is incomplete");
	if (in->is_blob) {
		b->blob = str_c(in->blob.name);
		b->checksum = in->blob.checksum;
		b->stored = in->blob.stored;
	} else if (in->stored) {
		b->checksum = in->checksum;
		b->stored = in->stored;
	}
	return 0;
}

static int read_rcpts(struct intake *in, struct delivery_rcpt **out, size_t *count, struct err *err)
{
	struct str seq = buf_str(&in->rcpts);
	struct store_rcpt_item item;
	size_t n = 0;

	while (store_rcpt_item_next(&seq, &item)) {
		if (item.rrvs < 0 || item.rrvs > RRVS_MAX || item.rrvs_mode > RRVS_REJECT)
			return err_set(err, ERR_PERM, "a recipient with an impossible time");
		n++;
	}
	*out = calloc(n ? n : 1, sizeof **out);
	if (!*out)
		return err_set(err, ERR_TEMP, "out of memory for recipients");
	seq = buf_str(&in->rcpts);
	for (*count = 0; store_rcpt_item_next(&seq, &item); (*count)++)
		(*out)[*count] =
			(struct delivery_rcpt){ store_target_open(item.address, item.target),
				item.address, item.orcpt, item.notify, item.rrvs, item.rrvs_mode };
	return 0;
}

/* What only those who have logged in may ask for is decided here, by the class of the
 * channel; and what a number can mean, too. */
static bool options_allowed(uint32_t who, const struct store_deliver_req *q)
{
	if (who == WHO_MX && (q->hold_until || q->priority != PRIORITY_NORMAL))
		return false;
	return q->body_type <= BODY_BINARYMIME && q->priority <= PRIORITY_TOP &&
		q->by_mode <= (BY_NOTIFY | BY_TRACE) && q->hold_until >= 0 && q->deliver_by >= 0;
}

static struct delivery_options options_of(const struct store_deliver_req *q)
{
	return (struct delivery_options){ .body_type = q->body_type,
		.hold_until = q->hold_until,
		.deliver_by = q->deliver_by,
		.by_mode = q->by_mode,
		.priority = (int8_t)(q->priority - PRIORITY_NORMAL),
		.require_tls = q->require_tls != 0 };
}

static void say_how(struct buf *how, const struct store_deliver_req *q)
{
	buf_add(how, q->helo);
	buf_addc(how, '[');
	buf_add(how, q->peer);
	buf_addz(how, "] ");
	buf_add(how, q->proto);
	if (q->tls.n) {
		buf_addc(how, ' ');
		buf_add(how, q->tls);
	}
	if (q->how.n) {
		buf_addz(how, ", ");
		buf_add(how, q->how);
	}
}

/* Whom the client named in vain. */
static void read_notes(struct str seq, struct delivery_note *out, size_t *n)
{
	struct store_note note;

	*n = 0;
	while (*n < NOTES_MAX && store_note_next(&seq, &note))
		if (note.kind == NOTE_REJECTED)
			out[(*n)++] = (struct delivery_note){ note.address, note.text };
}

/* What a front says of mail that it refused is its word: it cannot be mistaken for what the store
 * itself writes down. */
void store_on_refused(struct peer *p, struct request *req)
{
	static const char *const events[] = { [NOTE_NAMED] = "named",
		[NOTE_REJECTED] = "rejected",
		[NOTE_REFUSED] = "refused",
		[NOTE_BROKEN_OFF] = "broken off" };
	struct store_refused m;
	struct store_note note;
	struct err err = ERR_INIT;
	struct buf text = BUF(NOTE_TEXT);

	if (store_refused_get(req->body, &m, &err) < 0) {
		malformed(req, &err);
		return;
	}
	while (store_note_next(&m.notes, &note)) {
		if (note.kind < NOTE_NAMED || note.kind > NOTE_BROKEN_OFF)
			continue;
		buf_clear(&text);
		buf_add(&text, note.text);
		if (note.kind >= NOTE_REFUSED)
			buf_addf(&text, ", from " STR_F, STR_A(m.how));
		(void)trace_note(p->s->store, m.call, str_c(events[note.kind]), note.address,
			buf_str(&text));
	}
	buf_free(&text);
	request_free(&req);
}

/* The operator may send as any address of this server. */
static int operator_sender(struct view *v, struct str sender, struct err *err)
{
	int local = sender.n ? directory_is_local(v, sender, err) : 1;

	if (local == 0)
		return err_set(err, ERR_DENIED, "the sender is not an address of this server");
	return local < 0 ? -1 : 0;
}

static void note_frozen(struct work *w, const struct txn *t)
{
	w->touched = t->frozen;
	if (!t->frozen)
		return;
	w->tell = t->frozen_tell;
	buf_free(&w->text); /* of a failed attempt */
	w->text = BUF(sizeof t->frozen_why);
	buf_add(&w->text, str_c(t->frozen_why));
	buf_addc(&w->text, '\0');
	w->after = store_alarm_frozen;
}

static void add_gone(void *arg, size_t rcpt, const struct err *why)
{
	store_gone_item_put(arg,
		&(struct store_gone_item){ (uint32_t)rcpt, (uint8_t)why->kind, str_c(why->msg) });
}

static int do_deliver(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	struct delivery_rcpt *rcpts = NULL;
	struct store_deliver_rep a = { 0 };
	struct delivery_note notes[NOTES_MAX];
	struct buf how = BUF(1000), gone = BUF(MSG_MAX / 2);
	struct delivery d;
	int r = -1;
	ASKED(store_deliver, q);

	d = (struct delivery){ .id = q.call,
		.account = w->account,
		.sender = q.sender,
		.anywhere = w->peer->who != WHO_MX,
		.any_sender = w->peer->who != WHO_SUBMIT,
		.flags = q.flags & ~(uint32_t)DELIVER_PER_RCPT,
		.refuse = q.flags & DELIVER_PER_RCPT ? add_gone : NULL,
		.refuse_arg = &gone,
		.envid = q.envid,
		.ret = q.ret,
		.options = options_of(&q),
		.prefix = q.prefix };
	say_how(&how, &q);
	d.how = buf_str(&how);
	d.notes = notes;
	read_notes(q.notes, notes, &d.note_count);
	if (body_of(w, q.size, q.facts, q.refs, &d.body, err) < 0 ||
		read_rcpts(w->intake, &rcpts, &d.rcpt_count, err) < 0)
		goto out;
	d.rcpts = rcpts;
	if (w->peer->who == WHO_OPERATOR && operator_sender(&t->view, q.sender, err) < 0)
		goto out;
	if (delivery_accept(t, &d, &a.local, &a.queued, err) < 0)
		goto out;
	note_frozen(w, t);
	a.gone = buf_str(&gone);
	if (!buf_ok(&gone)) {
		err_set(err, ERR_LIMIT, "too many recipients cannot be delivered to");
		goto out;
	}
	store_deliver_rep_put(&job->answer, &a);
	r = store_role_fits(job, err);
out:
	buf_free(&how);
	buf_free(&gone);
	free(rcpts);
	return r;
}

/* NULL: the request has been answered. */
static struct work *begin(struct peer *p, struct request *req, uint64_t call,
	int (*write)(struct txn *t, struct store_job *job, struct err *err))
{
	struct err err = ERR_INIT;
	struct work *w = store_work_new(p, req, &err);

	if (!w) {
		request_fail(&req, &err);
		return NULL;
	}
	w->job.call = call;
	w->job.write = write;
	return w;
}

static bool authorise(struct work *w, uint32_t number, uint32_t scope)
{
	struct handle *h = store_handle(w->peer, number);
	struct err err = ERR_INIT;

	if (h && (h->scopes & scope)) {
		w->account = w->job.owner = h->account;
		return true;
	}
	err_set(&err, ERR_DENIED, "the login has ended");
	store_work_fail(w, &err);
	return false;
}

void store_on_deliver(struct peer *p, struct request *req)
{
	struct store_deliver_req q;
	struct err err = ERR_INIT;
	struct work *w;

	if (store_deliver_req_get(req->body, &q, &err) < 0 ||
		(p->who == WHO_MX && q.handle &&
			err_set(&err, ERR_PROTO, "a handle on an mx channel")) ||
		(!options_allowed(p->who, &q) &&
			err_set(&err, ERR_PROTO, "options that are not this channel's"))) {
		malformed(req, &err);
		return;
	}
	w = begin(p, req, q.call, do_deliver);
	if (!w || (p->who == WHO_SUBMIT && !authorise(w, q.handle, SCOPE_SUBMIT)))
		return;
	w->job.lazy = true;
	commit(w, q.txn);
}

static int do_append(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	struct delivery_append d;
	uint32_t uidvalidity, uid;
	ASKED(store_append, q);

	d = (struct delivery_append){ .account = w->account,
		.mailbox = q.name,
		.flags = q.flags,
		.keywords = q.keywords,
		.received = q.received };
	if (body_of(w, q.size, q.facts, q.refs, &d.body, err) < 0 ||
		delivery_append(t, &d, &uidvalidity, &uid, err) < 0)
		return -1;
	return ANSWER(store_append, .uidvalidity = uidvalidity, .uid = uid);
}

void store_on_append(struct peer *p, struct request *req)
{
	struct store_append_req q;
	struct err err = ERR_INIT;
	struct work *w;

	if (store_append_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	w = begin(p, req, q.call, do_append);
	if (w && authorise(w, q.handle, SCOPE_MAIL))
		commit(w, q.txn);
}

/* ---- results of the courier, maybe with a report ---- */

static int do_result(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	struct queue_report report = { .wanted = w->intake != NULL };
	struct queue_result *results;
	struct store_result_item item;
	size_t n = 0;
	int r = -1;
	ASKED(store_result, q);

	results = calloc(QUEUE_LEASE_RCPTS, sizeof *results);
	if (!results)
		return err_set(err, ERR_TEMP, "out of memory for results");
	while (store_result_item_next(&q.results, &item)) {
		if (n == QUEUE_LEASE_RCPTS) {
			err_set(err, ERR_LIMIT, "more results than a lease has recipients");
			goto out;
		}
		results[n++] = (struct queue_result){ item.rcpt, item.state, item.retry_after,
			item.code, item.status, item.text, item.remote, item.delay_told != 0 };
	}
	report.id = q.call;
	report.flags = q.flags;
	if (report.wanted && body_of(w, q.size, q.facts, q.refs, &report.body, err) < 0)
		goto out;
	if (queue_results(t, w->peer->id, q.lease, results, n, &report, err) == 0)
		r = ANSWER(store_result, .ok = 1);
out:
	free(results);
	return r;
}

static void after_result(struct work *w)
{
	struct store_result_req q;
	struct err err = ERR_INIT;

	if (w->job.result == 0 && w->peer->ch && store_result_req_get(w->req->body, &q, &err) == 0)
		free(map_del_u64(&w->peer->leases, q.lease));
}

void store_on_result(struct peer *p, struct request *req)
{
	struct store_result_req q;
	struct err err = ERR_INIT;
	struct work *w;

	if (store_result_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	w = begin(p, req, q.call, do_result);
	if (!w)
		return;
	w->after = after_result;
	if (!q.txn) {
		store_work_submit(w);
		return;
	}
	commit(w, q.txn);
}
