/* New mail into mailboxes: at once, when its time has come, or by APPEND. */
#include "base/crc32c.h"
#include "store/delivery_private.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/thread_key.h"

enum { PREFIX_MAX = 8192, HELD_AGAIN = 600 };

int delivery_trace(struct txn *t, uint64_t message, const char *event, struct str address,
	struct str text, struct err *err)
{
	return emit_trace(
		t, &(struct effect_trace){ message, t->now, str_c(event), address, text }, err);
}

bool delivery_is_for_owner(const struct delivery *d, const struct destination *to)
{
	return to->owner.n && d->sender.n;
}

int delivery_put_body(
	struct txn *t, const struct delivery_body *b, uint32_t links, uint64_t *id, struct err *err)
{
	uint32_t sum = b->checksum;

	*id = t->apply.next->body;
	if (b->blob.n == 0) {
		if (!b->stored)
			sum = crc32c(0, t->body.p, t->body.n);
		txn_use_body(t);
	}
	if (emit_body(t, &(struct effect_body){ *id, b->size, sum, links, b->blob, b->facts },
		    err) < 0)
		return -1;
	return b->stored
		? emit_body_stored(t, &(struct effect_body_stored){ *id, b->stored, STR("") }, err)
		: 0;
}

/* A new email and its first entry. `row` has flags, keywords and received. */
static int put_email(struct txn *t, uint64_t account, struct str login, const struct mailbox *m,
	struct str name, struct str prefix, const struct delivery_body *b, uint64_t body,
	struct effect_entry_row *row, struct err *err)
{
	struct account_state s;
	struct effect_email e;

	if (account_state(&t->view, account, &s, err) < 0 ||
		thread_find(t, account, b->refs, s.next_email, &row->thread, err) < 0)
		return -1;
	row->uid = m->uidnext;
	row->email = s.next_email;
	row->body = body;
	row->size = prefix.n + b->size;
	row->prefix_size = (uint32_t)prefix.n;
	row->saved = t->now;
	e = (struct effect_email){ .account = account,
		.login = login,
		.id = row->email,
		.thread = row->thread,
		.body = body,
		.size = row->size,
		.received = row->received,
		.prefix = prefix,
		.links = 1,
		.modseq = s.modseq + 1 };
	if (emit_email(t, &e, err) < 0 ||
		directory_use(t, s.charged, 1, (int64_t)row->size, err) < 0)
		return -1;
	return entry_add(t, account, m->id, name, row, s.modseq + 1, err);
}

int delivery_into_mailbox(struct txn *t, const struct delivery *d, uint64_t body,
	const struct destination *to, struct err *err)
{
	struct effect_entry_row row = { .received = t->now, .keywords = STR("") };
	struct buf prefix = BUF(PREFIX_MAX);
	struct mailbox inbox;
	int r = -1;

	/* RFC 5321 4.4: at the end of its way a message gets a Return-Path. */
	buf_add(&prefix, STR("Return-Path: <"));
	buf_add(&prefix, delivery_is_for_owner(d, to) ? to->owner : d->sender);
	buf_add(&prefix, STR(">\r\nDelivered-To: "));
	buf_add(&prefix, to->delivered_to);
	buf_add(&prefix, STR("\r\n"));
	/* RFC 9228 3: an alias was a delivery, too, and an earlier one. */
	if (to->asked.n) {
		buf_add(&prefix, STR("Delivered-To: "));
		buf_add(&prefix, to->asked);
		buf_add(&prefix, STR("\r\n"));
	}
	buf_add(&prefix, d->prefix);
	if (!buf_ok(&prefix))
		err_set(err, ERR_TEMP, "out of memory for a delivery");
	else if (mailbox_find(&t->view, to->account, STR("INBOX"), &inbox, err) == 0 &&
		put_email(t, to->account, to->address, &inbox, STR("INBOX"), buf_str(&prefix),
			&d->body, body, &row, err) == 0)
		r = delivery_trace(t, d->id, "delivered", to->address, STR("INBOX"), err);
	buf_free(&prefix);
	return r;
}

/* ---- what was held ---- */

struct held {
	struct delivery d;
	struct arena arena;
	struct err why; /* it was not delivered */
	uint64_t message, body;
	uint8_t notify;
	struct str address;
};

static int read_held(struct txn *t, uint64_t rcpt, struct held *q, struct err *err)
{
	struct delivery *d = &q->d;
	struct effect_queue_options_row o;
	struct str packed;
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT m.id, m.sender, m.prefix, m.size, m.body, m.options, q.address, "
		    "q.notify"
		    " FROM queue_rcpt q JOIN queue_message m ON m.id = q.message WHERE q.id = $1",
		    DB_ARGS(DB_I((int64_t)rcpt)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		packed = rows_str(r, 5);
		*d = (struct delivery){ .id = (uint64_t)rows_int(r, 0) };
		q->message = d->id;
		q->notify = (uint8_t)rows_int(r, 7);
		q->body = (uint64_t)rows_int(r, 4);
		if (!arena_str(&q->arena, rows_str(r, 1), &d->sender) ||
			!arena_str(&q->arena, rows_str(r, 2), &d->prefix) ||
			!arena_str(&q->arena, rows_str(r, 6), &q->address) ||
			(effect_queue_options_row_next(&packed, &o) &&
				!arena_str(&q->arena, o.refs, &d->body.refs)))
			got = err_set(err, ERR_TEMP, "out of memory for a delivery");
		d->body.size = (uint64_t)rows_int(r, 3) - d->prefix.n;
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND, "no such recipient in the queue");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

enum held_outcome { HELD_GONE, HELD_DELIVERED, HELD_LATER };

static int outcome_of(const struct err *why)
{
	bool gone = why->kind == ERR_NOTFOUND || why->kind == ERR_DENIED ||
		why->kind == ERR_DISABLED || why->kind == ERR_QUOTA_LONG || why->kind == ERR_PERM;

	return gone ? HELD_GONE : HELD_LATER;
}

/* An outcome, or -1. */
static int deliver_held(struct txn *t, struct held *q, struct err *err)
{
	struct directory_rcpt found = { 0 };
	struct destination *to = NULL;
	int outcome = HELD_GONE;

	if (directory_rcpt(&t->view, q->address, false, q->d.prefix.n + q->d.body.size, &found,
		    &q->why) < 0 ||
		directory_expand(&t->view, found.target, q->address, &q->arena, &to, &q->why) < 0)
		return (int)outcome_of(&q->why);
	for (; to; to = to->next) {
		if (!to->account)
			continue;
		if (emit_body_shared(t, &(struct effect_body_shared){ q->body }, err) < 0 ||
			delivery_into_mailbox(t, &q->d, q->body, to, err) < 0)
			return -1;
		outcome = HELD_DELIVERED;
	}
	return outcome;
}

/* What its report will say; nothing: that there is no such user any more. */
static void say_gone(const struct err *why, struct buf *text)
{
	if (why->kind == ERR_QUOTA_LONG)
		buf_addf(text, "5.2.2 %s", why->msg);
	else if (why->kind == ERR_DISABLED)
		buf_addf(text, "5.2.1 %s", why->msg);
}

int delivery_release(struct txn *t, uint64_t rcpt, struct err *err)
{
	struct effect_queue_state now = { .id = rcpt, .state = STORE_FAILED, .next = t->now };
	struct held q = { .arena = ARENA(1 << 20), .why = ERR_INIT };
	struct buf text = BUF(sizeof q.why.msg + 8);
	int r = read_held(t, rcpt, &q, err);

	if (r == 0)
		r = deliver_held(t, &q, err);
	if (r == HELD_GONE)
		say_gone(&q.why, &text);
	now.reply = buf_str(&text);
	if (r == HELD_LATER) {
		now.state = STORE_HOME;
		now.next += HELD_AGAIN;
	}
	if (r == HELD_DELIVERED)
		now.state = STORE_DELIVERED;
	if (r == HELD_DELIVERED && !(q.d.sender.n && q.notify & STORE_NOTIFY_SUCCESS))
		r = emit_queue_done(
			t, &(struct effect_queue_done){ rcpt, q.message, STORE_DELIVERED }, err);
	else if (r >= 0)
		r = emit_queue_state(t, &now, err);
	buf_free(&text);
	arena_free(&q.arena);
	return r;
}

int delivery_append(struct txn *t, const struct delivery_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err)
{
	struct effect_entry_row row = { .received = a->received ? a->received : t->now,
		.flags = a->flags & STORE_FLAGS,
		.keywords = a->keywords };
	struct directory_login who;
	struct account_state s;
	struct mailbox m;
	uint64_t body;

	if (directory_account(&t->view, a->account, &who, err) < 0 ||
		mailbox_find(&t->view, a->account, a->mailbox, &m, err) < 0 ||
		account_state(&t->view, a->account, &s, err) < 0 ||
		(s.limited &&
			directory_has_room(&t->view, a->account, 1, a->body.size, NULL, err) < 0) ||
		mailbox_note_keywords(t, a->account, m.id, a->keywords, err) < 0 ||
		delivery_put_body(t, &a->body, 1, &body, err) < 0 ||
		put_email(t, a->account, str_c(who.login), &m, a->mailbox, STR(""), &a->body, body,
			&row, err) < 0)
		return -1;
	*uidvalidity = m.uidvalidity;
	*uid = row.uid;
	return 0;
}
