#include "role/front_body.h"

#include "base/clock.h"
#include "role/front_login.h"
#include "role/front_private.h"

#include <stdlib.h>

enum {
	PIECE = 60 * 1024, /* of store_txn_body and store_txn_rcpts */
	KEPT_MAX =
		256 * 1024,  /* a body up to this waits here for its commit, and can be repeated */
	KEPT_ALL = 64 << 20, /* of all bodies of the process; past it bodies stream at once */
	AHEAD = 256 * 1024,  /* what the store takes without having given credit */
	RCPTS_MAX = 4 << 20, /* encoded recipients */
	CREDIT_SECONDS = 60  /* the store is stuck if it takes nothing for so long */
};

struct front_body {
	struct front *front;
	struct front_login *login;
	uint32_t txn;
	uint64_t generation; /* of the store's channel that has heard of txn; 0: none */
	uint64_t size;
	bool streaming; /* pieces have been sent; `kept` holds only the next one */
	int64_t credit;
	struct signal wake;
	struct buf kept, rcpts;
	struct err failed; /* the store has refused the transaction, or went away in the middle */
};

int front_body_new(
	struct front *f, struct front_login *login, struct front_body **b, struct err *err)
{
	*b = calloc(1, sizeof **b);
	if (!*b)
		return err_set(err, ERR_TEMP, "out of memory");
	**b = (struct front_body){
		.front = f, .login = login, .kept = BUF(KEPT_MAX), .rcpts = BUF(RCPTS_MAX)
	};
	return 0;
}

uint64_t front_body_size(const struct front_body *b)
{
	return b->size;
}

static void keep_less(struct front_body *b, size_t n)
{
	buf_drop(&b->kept, n);
	b->front->kept -= n;
}

/* ---- pieces ---- */

static int begin_txn(struct front_body *b, uint64_t generation)
{
	if (b->generation && b->streaming)
		map_del_u64(&b->front->bodies, b->txn);
	b->txn = ++b->front->txn_next;
	b->generation = generation;
	b->credit = AHEAD;
	return !b->streaming || map_put_u64(&b->front->bodies, b->txn, b) ? 0 : -1;
}

static int send_piece(struct front_body *b, struct channel *ch, struct str data, struct err *err)
{
	struct store_txn_body m = { .txn = b->txn, .data = data };

	b->credit -= (int64_t)data.n;
	return store_txn_body_send(ch, &m, err);
}

/* Wait until the store has room; gives its channel, NULL with why. */
static struct channel *wait_credit(struct front_body *b, size_t n, struct err *err)
{
	int64_t deadline = clock_after(CREDIT_SECONDS * CLOCK_SEC);
	struct channel *ch;

	for (;;) {
		if (b->failed.kind != ERR_NONE) {
			*err = b->failed;
			return NULL;
		}
		ch = link_channel(b->front->store, b->generation);
		if (!ch) {
			err_set(&b->failed, ERR_TEMP,
				"the store went away in the middle of a message");
			*err = b->failed;
			return NULL;
		}
		if (b->credit >= (int64_t)n)
			return ch;
		if (task_wait(-1, 0, &b->wake, deadline, err) < 0)
			return NULL;
	}
}

static int send_ahead(struct front_body *b, size_t n, struct err *err)
{
	struct channel *ch = wait_credit(b, n, err);

	if (!ch || send_piece(b, ch, str_head(buf_str(&b->kept), n), err) < 0)
		return -1;
	keep_less(b, n);
	return 0;
}

static int start_streaming(struct front_body *b, struct err *err)
{
	struct channel *ch;
	uint32_t handle;

	if (!b->login)
		ch = link_wait(b->front->store, NEVER, err);
	else if (front_handle(b->login, &ch, &handle, err) < 0)
		ch = NULL;
	if (!ch)
		return -1;
	b->streaming = true;
	if (begin_txn(b, link_generation(b->front->store)) < 0)
		return err_set(err, ERR_TEMP, "too many messages at once");
	return 0;
}

int front_body_add(struct front_body *b, struct str data, struct err *err)
{
	b->size += data.n;
	while (data.n) {
		bool full = b->front->kept >= KEPT_ALL && b->kept.n >= PIECE;
		struct str head = str_head(data, KEPT_MAX - b->kept.n);

		if (head.n && !full) {
			buf_add(&b->kept, head);
			if (!buf_ok(&b->kept))
				return err_set(err, ERR_TEMP, "out of memory");
			b->front->kept += head.n;
			data = str_from(data, head.n);
		} else if (!b->streaming && start_streaming(b, err) < 0) {
			return -1;
		}
		while (b->streaming && b->kept.n >= PIECE)
			if (send_ahead(b, PIECE, err) < 0)
				return -1;
	}
	return 0;
}

int front_body_rcpt(struct front_body *b, const struct store_rcpt_item *rcpt, struct err *err)
{
	store_rcpt_item_put(&b->rcpts, rcpt);
	return buf_ok(&b->rcpts) ? 0 : err_set(err, ERR_LIMIT, "too many recipients");
}

/* ---- the commit ---- */

static int send_rcpts(struct front_body *b, struct channel *ch, struct err *err)
{
	struct str rest = buf_str(&b->rcpts), begin = rest, before;
	struct store_rcpt_item item;
	int r = 0;

	while (r == 0 && rest.n) {
		struct store_txn_rcpts m = { .txn = b->txn };

		before = rest;
		store_rcpt_item_next(&rest, &item);
		if ((size_t)(rest.p - begin.p) > PIECE) {
			m.rcpts = str_head(begin, (size_t)(before.p - begin.p));
			r = store_txn_rcpts_send(ch, &m, err);
			begin = before;
		}
	}
	if (r == 0 && begin.n) {
		struct store_txn_rcpts m = { .txn = b->txn, .rcpts = begin };

		r = store_txn_rcpts_send(ch, &m, err);
	}
	return r;
}

/* What the store must know before the commit. A kept body is sent whole, again for each new
 * channel. A streamed one only on the channel it began on: on another the commit alone is repeated,
 * in case it happened. */
static int send_txn(struct front_body *b, struct channel *ch, struct err *err)
{
	uint64_t generation = link_generation(b->front->store);
	struct str rest;

	if (b->streaming && generation != b->generation)
		return 0;
	while (b->streaming && b->kept.n)
		if (send_ahead(b, b->kept.n < PIECE ? b->kept.n : PIECE, err) < 0)
			return -1;
	if (!b->streaming && begin_txn(b, generation) < 0)
		return err_set(err, ERR_TEMP, "too many messages at once");
	for (rest = buf_str(&b->kept); rest.n; rest = str_from(rest, PIECE))
		if (send_piece(b, ch, str_head(rest, PIECE), err) < 0)
			return -1;
	return send_rcpts(b, ch, err);
}

/* One attempt's preparation. False: this attempt is over, t->result and err say how. */
static bool prepare(struct front_body *b, struct front_try *t, uint32_t *txn, struct err *err)
{
	t->result = send_txn(b, t->ch, err);
	*txn = b->txn;
	return t->result == 0;
}

/* After a commit there is no transaction to abort. */
static int committed(struct front_body *b, int result)
{
	if (result == 0) {
		if (b->streaming)
			map_del_u64(&b->front->bodies, b->txn);
		b->streaming = false;
		b->generation = 0;
	}
	return result;
}

int front_body_deliver(struct front_body *b, struct store_deliver_req *q,
	struct store_deliver_rep *a, struct reply *hold, struct err *err)
{
	struct front_try t = { 0 };

	q->size = b->size;
	if (!q->call)
		q->call = front_call_id(b->front);
	while (front_try(&t, b->front, b->login, &q->handle, err))
		if (prepare(b, &t, &q->txn, err))
			t.result = store_deliver(t.ch, q, t.deadline, a, hold, err);
	return committed(b, t.result);
}

int front_body_append(struct front_body *b, struct store_append_req *q, struct store_append_rep *a,
	struct reply *hold, struct err *err)
{
	struct front_try t = { 0 };

	q->size = b->size;
	if (!q->call)
		q->call = front_call_id(b->front);
	while (front_try(&t, b->front, b->login, &q->handle, err))
		if (prepare(b, &t, &q->txn, err))
			t.result = store_append(t.ch, q, t.deadline, a, hold, err);
	return committed(b, t.result);
}

void front_body_free(struct front_body **at)
{
	struct front_body *b = *at;
	struct store_txn_abort m;
	struct err err = ERR_INIT;
	struct channel *ch;

	if (!b)
		return;
	ch = b->generation ? link_channel(b->front->store, b->generation) : NULL;
	m.txn = b->txn;
	if (ch)
		(void)store_txn_abort_send(ch, &m, &err);
	if (b->streaming)
		map_del_u64(&b->front->bodies, b->txn);
	b->front->kept -= b->kept.n;
	buf_free(&b->kept);
	buf_free(&b->rcpts);
	free(b);
	*at = NULL;
}

/* ---- what the store tells by itself ---- */

static void on_credit(struct front *f, struct str body)
{
	struct store_txn_credit m;
	struct front_body *b;
	struct err err = ERR_INIT;

	if (store_txn_credit_get(body, &m, &err) < 0)
		return;
	b = map_get_u64(&f->bodies, m.txn);
	if (!b)
		return;
	b->credit += m.bytes;
	signal_raise(&b->wake);
}

static void on_failed(struct front *f, struct str body)
{
	struct store_txn_failed m;
	struct front_body *b;
	struct err err = ERR_INIT;

	if (store_txn_failed_get(body, &m, &err) < 0)
		return;
	b = map_get_u64(&f->bodies, m.txn);
	if (!b)
		return;
	err_set(&b->failed, m.kind && m.kind < ERR_KINDS ? (enum err_kind)m.kind : ERR_TEMP, STR_F,
		STR_A(m.why));
	signal_raise(&b->wake);
}

void front_body_message(struct front *f, const struct request *req)
{
	if (req->type == MSG_store_txn_credit)
		on_credit(f, req->body);
	else if (req->type == MSG_store_txn_failed)
		on_failed(f, req->body);
}

void front_body_store_down(struct front *f)
{
	struct front_body *b;
	size_t pos = 0;

	while ((b = map_next(&f->bodies, &pos)))
		signal_raise(&b->wake);
}
