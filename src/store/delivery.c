#include "store/delivery.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "base/map.h"
#include "mail/address.h"
#include "mail/queue_id.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/sending.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { DESTINATIONS_MAX = 70000, PREFIX_MAX = 8192, TRACE_TEXT = 600, HELD_AGAIN = 600 };

/* A message while it is being handed out. */
struct handout {
	struct txn *t;
	const struct delivery *d;
	struct arena arena;
	struct map met; /* destinations, by address or account */
	struct destination *local, *elsewhere, *gone;
	struct destination *home;         /* here, but not before its time */
	struct destination *told;         /* delivered here, and the sender wants to hear of it */
	const struct delivery_rcpt *rcpt; /* whose destinations are being added */
	uint32_t locals, queued, tolds;   /* queued: with those who are only told of */
	struct list *lists;
	uint32_t listed; /* members of lists; not in `queued` */
	struct sending sending;
	uint64_t body;
	bool several; /* the recipient leads to more than one of them */
	unsigned refusals;
	struct err refused; /* why the first was */
};

/* What has to be known of a destination besides its address. */
struct queued {
	struct destination d;             /* first */
	const struct delivery_rcpt *rcpt; /* NULL: of a list */
	struct str why;                   /* it is in `gone` */
	bool direct;                      /* not by way of an alias */
};

/* What a list sends on: a message of its own in the queue (RFC 5321 3.9.2). */
struct list {
	struct list *next;
	uint64_t id;
	struct str owner;
	struct destination *members;
	uint32_t count;
};

static bool first_time(struct handout *h, const struct destination *d)
{
	struct str key = d->address;

	if (d->account)
		return !map_get_u64(&h->met, d->account) && map_put_u64(&h->met, d->account, h);
	return !map_get(&h->met, key) && map_put(&h->met, key, h);
}

static int add_queued(struct handout *h, struct destination **list, struct str address,
	struct str domain, struct err *err)
{
	struct queued *q = arena_alloc(&h->arena, sizeof *q);

	if (!q)
		return err_set(err, ERR_LIMIT, "too many recipients");
	*q = (struct queued){ .d = { .next = *list, .address = address, .domain = domain },
		.rcpt = h->rcpt,
		.direct = list == &h->elsewhere && str_eqi(address, h->rcpt->address) };
	*list = &q->d;
	h->queued++;
	return 0;
}

static struct str domain_of(struct str address)
{
	struct str local, domain = STR("");

	str_rcut(address, '@', &local, &domain);
	return domain;
}

/* A report has no sender and must cause none, so it keeps that on its way through a list. */
static bool has_owner(const struct handout *h, const struct destination *d)
{
	return d->owner.n && h->d->sender.n;
}

static int add_member(struct handout *h, const struct destination *d, struct err *err)
{
	struct queued *q = arena_alloc(&h->arena, sizeof *q);
	struct list *l = h->lists;

	while (l && !str_eq(l->owner, d->owner))
		l = l->next;
	if (!l) {
		l = arena_alloc(&h->arena, sizeof *l);
		if (!l)
			return err_set(err, ERR_LIMIT, "too many recipients");
		*l = (struct list){ .next = h->lists, .owner = d->owner };
		if (getrandom(&l->id, sizeof l->id, 0) != sizeof l->id)
			return err_sys(err, "draw random bytes for", "a queue id");
		h->lists = l;
	}
	if (!q)
		return err_set(err, ERR_LIMIT, "too many recipients");
	*q = (struct queued){
		.d = { .next = l->members, .address = d->address, .domain = d->domain }
	};
	l->members = &q->d;
	l->count++;
	h->listed++;
	return 0;
}

static int add_elsewhere(struct handout *h, const struct destination *d, struct err *err)
{
	if (has_owner(h, d))
		return add_member(h, d, err);
	return add_queued(h, &h->elsewhere, d->address, d->domain, err);
}

/* Accepted at RCPT and not to be delivered after all: it is owed a report. */
static int add_gone(struct handout *h, struct str address, struct str why, struct err *err)
{
	struct queued *q;

	if (add_queued(h, &h->gone, address, domain_of(address), err) < 0)
		return -1;
	q = (struct queued *)h->gone;
	return arena_str(&h->arena, why, &q->why)
		? 0
		: err_set(err, ERR_TEMP, "out of memory for a delivery");
}

/* Whoever handed it in hears it. Not if others get it by that address: they would get it twice. */
static bool told_at_once(struct handout *h, const struct err *why)
{
	bool told = h->d->refuse && !h->several;

	if (told)
		h->d->refuse(h->d->refuse_arg, (size_t)(h->rcpt - h->d->rcpts), why);
	return told;
}

/* There was room for it at RCPT, or it has been disabled since. */
static int add_refused(struct handout *h, const struct err *why, struct err *err)
{
	struct buf text = BUF(sizeof why->msg + 8);
	int r;

	if (why->kind != ERR_QUOTA && why->kind != ERR_QUOTA_LONG && why->kind != ERR_DISABLED) {
		*err = *why;
		return -1;
	}
	if (h->refusals++ == 0)
		h->refused = *why;
	buf_addf(&text, "%s %s", why->kind == ERR_DISABLED ? "5.2.1" : "5.2.2", why->msg);
	r = told_at_once(h, why) ? 0 : add_gone(h, h->rcpt->address, buf_str(&text), err);
	buf_free(&text);
	return r;
}

/* RFC 4865 4: not before that time, not even here. */
static bool is_held(const struct handout *h)
{
	return h->d->options.hold_until / CLOCK_SEC >= h->t->now;
}

static int add_mailbox(struct handout *h, struct destination *d, struct err *err)
{
	struct directory_room room;
	struct err why = ERR_INIT;
	struct str address;

	if (d->flags &&
		directory_destination_takes(
			&h->t->view, d, h->d->prefix.n + h->d->body.size, &room, &why) < 0) {
		if (why.kind == ERR_DISABLED && h->several)
			return 0;               /* the others of an alias get it */
		if (h->d->refuse && d->account) /* who names it once more is refused, too */
			map_del_u64(&h->met, d->account);
		return add_refused(h, &why, err);
	}
	if (is_held(h)) {
		address = d->delivered_to.n ? d->delivered_to : d->address;
		return add_queued(h, &h->home, address, domain_of(address), err);
	}
	if (d->indirect)
		d->asked = h->rcpt->address;
	d->next = h->local;
	h->local = d;
	h->locals++;
	return 0;
}

static int add_destinations(struct handout *h, struct destination *d, struct err *err)
{
	h->several = d && d->next;
	while (d) {
		struct destination *next = d->next;

		if (h->locals + h->queued + h->listed >= DESTINATIONS_MAX)
			return err_set(err, ERR_LIMIT, "too many recipients");
		/* One delivery per mailbox, however many ways lead to it. */
		if (first_time(h, d) &&
			(d->account ? add_mailbox(h, d, err) : add_elsewhere(h, d, err)) < 0)
			return -1;
		d = next;
	}
	return 0;
}

/* Somebody else's domain. */
static int add_foreign(struct handout *h, struct err *err)
{
	struct destination d = { 0 };
	struct buf text = BUF(ADDRESS_PATH_MAX + 64);
	struct address_store store;
	struct address a;
	int r = -1;

	if (address_mailbox(h->rcpt->address, ADDRESS_UTF8, &store, &a, err) < 0)
		return -1;
	address_print(&text, &a);
	if (!buf_ok(&text) || !arena_str(&h->arena, buf_str(&text), &d.address) ||
		!arena_str(&h->arena, a.domain, &d.domain))
		err_set(err, ERR_LIMIT, "too many recipients");
	else
		r = first_time(h, &d) ? add_queued(h, &h->elsewhere, d.address, d.domain, err) : 0;
	buf_free(&text);
	return r;
}

/* RFC 3461 5.2.3: asked for, and there is somebody to tell. The report is the courier's work. */
static int add_told(struct handout *h, struct err *err)
{
	if (!(h->rcpt->notify & STORE_NOTIFY_SUCCESS) || h->d->sender.n == 0)
		return 0;
	h->tolds++;
	return add_queued(h, &h->told, h->rcpt->address, domain_of(h->rcpt->address), err);
}

static bool leads_here(const struct destination *d)
{
	while (d && !d->account)
		d = d->next;
	return d;
}

static int add_all(struct handout *h, struct destination *where, struct err *err)
{
	const bool here = !is_held(h) && leads_here(where);
	const unsigned before = h->refusals;

	if (add_destinations(h, where, err) < 0)
		return -1;
	return here && h->refusals == before ? add_told(h, err) : 0;
}

static int add_rcpt(struct handout *h, struct err *err)
{
	struct directory_rcpt found = { .target = h->rcpt->target, .local = true };
	struct str gone = STR("no such user here any more");
	struct destination *where;
	struct err why = ERR_INIT;

	h->several = false;
	if (!found.target &&
		directory_rcpt(&h->t->view, h->rcpt->address, h->d->anywhere, 0, &found, &why) < 0)
		return add_refused(h, &why, err);
	if (!found.local)
		return add_foreign(h, err);
	if (directory_expand(
		    &h->t->view, found.target, h->rcpt->address, &h->arena, &where, &why) == 0)
		return add_all(h, where, err);
	if (why.kind == ERR_NOTFOUND)
		return told_at_once(h, &why) ? 0 : add_gone(h, h->rcpt->address, gone, err);
	*err = why;
	return -1;
}

static int check_sender(struct handout *h, struct err *err)
{
	struct address_store store;
	struct address a;

	if (h->d->sender.n == 0)
		return 0;
	if (address_mailbox(h->d->sender, ADDRESS_UTF8, &store, &a, err) < 0)
		return err_wrap(err, "sender");
	if (h->d->any_sender)
		return 0;
	return directory_sender(&h->t->view, h->d->account, h->d->sender, err);
}

static int put_body(
	struct txn *t, const struct delivery_body *b, uint32_t links, uint64_t *id, struct err *err)
{
	uint32_t sum = b->checksum;

	*id = t->apply.next->body;
	if (b->blob.n == 0) {
		sum = crc32c(0, t->body.p, t->body.n);
		txn_use_body(t);
	}
	return emit_body(
		t, &(struct effect_body){ *id, b->size, sum, links, b->blob, b->facts }, err);
}

int thread_find(struct txn *t, uint64_t account, struct str refs, uint64_t email, uint64_t *thread,
	struct err *err)
{
	int64_t found = 0;
	uint64_t key;
	int got = 0;

	for (struct str k = refs; k.n >= 8 && got == 0; k = str_from(k, 8)) {
		memcpy(&key, k.p, 8);
		if (key == 0)
			continue;
		got = db_int(t->view.db, &found,
			"SELECT thread FROM thread_key WHERE account = $1 AND key = $2",
			DB_ARGS(DB_I((int64_t)account), DB_I((int64_t)le64toh(key))), err);
	}
	*thread = got == 1 ? (uint64_t)found : email;
	if (got < 0 || refs.n < 8)
		return got < 0 ? -1 : 0;
	return emit_thread_keys(t, &(struct effect_thread_keys){ account, *thread, refs }, err);
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

static int trace(
	struct handout *h, const char *event, struct str address, struct str text, struct err *err)
{
	return emit_trace(h->t,
		&(struct effect_trace){ h->d->id, h->t->now, str_c(event), address, text }, err);
}

static int deliver_one(struct handout *h, const struct destination *to, struct err *err)
{
	struct effect_entry_row row = { .received = h->t->now, .keywords = STR("") };
	struct buf prefix = BUF(PREFIX_MAX);
	struct mailbox inbox;
	int r = -1;

	/* RFC 5321 4.4: at the end of its way a message gets a Return-Path. */
	buf_add(&prefix, STR("Return-Path: <"));
	buf_add(&prefix, has_owner(h, to) ? to->owner : h->d->sender);
	buf_add(&prefix, STR(">\r\nDelivered-To: "));
	buf_add(&prefix, to->delivered_to);
	buf_add(&prefix, STR("\r\n"));
	/* RFC 9228 3: an alias was a delivery, too, and an earlier one. */
	if (to->asked.n) {
		buf_add(&prefix, STR("Delivered-To: "));
		buf_add(&prefix, to->asked);
		buf_add(&prefix, STR("\r\n"));
	}
	buf_add(&prefix, h->d->prefix);
	if (!buf_ok(&prefix))
		err_set(err, ERR_TEMP, "out of memory for a delivery");
	else if (mailbox_find(&h->t->view, to->account, STR("INBOX"), &inbox, err) == 0 &&
		put_email(h->t, to->account, to->address, &inbox, STR("INBOX"), buf_str(&prefix),
			&h->d->body, h->body, &row, err) == 0)
		r = trace(h, "delivered", to->address, STR("INBOX"), err);
	buf_free(&prefix);
	return r;
}

/* When the queue may begin with it: at once, or when its sender wishes (RFC 4865 4). */
static int64_t first_time_due(const struct handout *h)
{
	int64_t hold = h->d->options.hold_until;
	int64_t second = hold / CLOCK_SEC + (hold % CLOCK_SEC > 0);

	return second > h->t->now ? second : h->t->now;
}

static int say_why(
	struct handout *h, const struct effect_queue_rcpt *e, struct str why, struct err *err)
{
	const struct effect_queue_state state = { .id = e->id,
		.state = e->state,
		.next = e->next,
		.status = STR(""),
		.reply = why,
		.remote = STR("") };

	return why.n ? emit_queue_state(h->t, &state, err) : 0;
}

static int queue_one(
	struct handout *h, uint64_t message, const struct queued *q, uint8_t state, struct err *err)
{
	const bool held = state == STORE_HELD;
	const struct effect_queue_rcpt e = { .id = h->t->apply.next->rcpt,
		.message = message,
		.domain = q->d.domain,
		.address = q->d.address,
		.orcpt = q->rcpt ? q->rcpt->orcpt : STR(""),
		.notify = q->rcpt ? q->rcpt->notify : 0,
		.state = state,
		.next = held ? QUEUE_NEVER : first_time_due(h) };
	const struct effect_queue_rrvs rrvs = { e.id, q->rcpt ? q->rcpt->rrvs : 0,
		q->rcpt ? q->rcpt->rrvs_mode : 0 };
	const struct str why = held ? str_c(h->sending.why) : q->why;

	if (emit_queue_rcpt(h->t, &e, err) < 0 || say_why(h, &e, why, err) < 0 ||
		(rrvs.rrvs && q->direct && emit_queue_rrvs(h->t, &rrvs, err) < 0))
		return -1;
	queue_expect(h->t->leases, e.domain, e.next);
	if (state == STORE_DELIVERED)
		return 0;
	return trace(h, held ? "held" : "queued", q->d.address,
		why.n || !h->d->options.hold_until ? why : STR("held, as its sender wishes"), err);
}

static int put_options(struct handout *h, struct err *err)
{
	const struct delivery_options *o = &h->d->options;
	const struct effect_queue_options_row row = { .body_type = o->body_type,
		.hold_until = o->hold_until,
		.deliver_by = o->deliver_by,
		.by_mode = o->by_mode,
		.priority = (uint8_t)(o->priority + PRIORITY_ZERO),
		.require_tls = o->require_tls,
		.refs = h->home ? h->d->body.refs : STR("") };
	struct buf packed = BUF(512);
	int r;

	/* That a message is 8BITMIME its flags say already. */
	if (o->body_type < 2 && !o->hold_until && !o->deliver_by && !o->priority && !o->require_tls)
		return 0;
	effect_queue_options_row_put(&packed, &row);
	r = buf_ok(&packed)
		? emit_queue_options(
			  h->t, &(struct effect_queue_options){ h->d->id, buf_str(&packed) }, err)
		: err_set(err, ERR_TEMP, "out of memory for a delivery");
	buf_free(&packed);
	return r;
}

static int queue_all(struct handout *h, uint64_t message, struct destination *list, uint8_t state,
	struct err *err)
{
	for (struct destination *q = list; q; q = q->next)
		if (queue_one(h, message, (const struct queued *)q, state, err) < 0)
			return -1;
	return 0;
}

static uint8_t state_of(const struct handout *h)
{
	return h->sending.frozen ? STORE_HELD : STORE_DEFERRED;
}

static int put_queue(struct handout *h, struct err *err)
{
	const struct delivery *d = h->d;
	const struct effect_queue_put e = { .rcpts = h->queued,
		.id = d->id,
		.account = d->account,
		.sender = d->sender,
		.arrived = h->t->now,
		.size = d->prefix.n + d->body.size,
		.flags = d->flags,
		.envid = d->envid,
		.ret = d->ret,
		.body = h->body,
		.prefix = d->prefix };

	if (emit_queue_put(h->t, &e, err) < 0 ||
		queue_all(h, d->id, h->elsewhere, state_of(h), err) < 0 ||
		queue_all(h, d->id, h->home, STORE_HOME, err) < 0 ||
		queue_all(h, d->id, h->gone, STORE_FAILED, err) < 0 ||
		queue_all(h, d->id, h->told, STORE_DELIVERED, err) < 0)
		return -1;
	return put_options(h, err);
}

/* Neither the sender's ENVID nor what it wants to be told belongs to a list (RFC 3461 5.2.7.3). */
static int put_list(struct handout *h, const struct list *l, struct err *err)
{
	const struct delivery *d = h->d;
	const struct effect_queue_put e = { .rcpts = l->count,
		.id = l->id,
		.account = d->account,
		.sender = l->owner,
		.arrived = h->t->now,
		.size = d->prefix.n + d->body.size,
		.flags = d->flags,
		.envid = STR(""),
		.body = h->body,
		.prefix = d->prefix };
	char id[QUEUE_ID_SIZE];

	queue_id_print(l->id, id);
	if (trace(h, "list", l->owner, str_c(id), err) < 0 || emit_queue_put(h->t, &e, err) < 0)
		return -1;
	return queue_all(h, l->id, l->members, state_of(h), err);
}

static int put_lists(struct handout *h, struct err *err)
{
	for (const struct list *l = h->lists; l; l = l->next)
		if (put_list(h, l, err) < 0)
			return -1;
	return 0;
}

static uint32_t links_of(const struct handout *h)
{
	uint32_t n = h->locals + (h->queued ? 1 : 0);

	for (const struct list *l = h->lists; l; l = l->next)
		n++;
	return n;
}

/* Who submits may not send without end. Where an alias leads its maker has decided, so only those
 * count that were named. */
static int take_sending(struct handout *h, struct err *err)
{
	struct sending *s = &h->sending;
	struct str *addresses;

	s->account = h->d->account;
	if (!s->account || (!h->elsewhere && !h->lists))
		return 0;
	addresses = arena_array(&h->arena, h->queued + 1, sizeof *addresses);
	if (!addresses)
		return err_set(err, ERR_LIMIT, "too many recipients");
	for (const struct destination *d = h->elsewhere; d; d = d->next)
		if (((const struct queued *)d)->direct)
			addresses[s->count++] = d->address;
	s->addresses = addresses;
	if (sending_take(h->t, s, err) < 0)
		return -1;
	if (s->frozen) {
		h->t->frozen = s->account;
		h->t->frozen_tell = s->tell;
		snprintf(h->t->frozen_why, sizeof h->t->frozen_why, "%s", s->why);
	}
	return 0;
}

static int trace_arrival(struct handout *h, struct err *err)
{
	struct buf text = BUF(TRACE_TEXT);
	int r;

	buf_addf(&text, "%" PRIu64 " bytes, %u here, %u to send", h->d->prefix.n + h->d->body.size,
		h->locals, h->queued - h->tolds + h->listed);
	buf_add(&text, STR(", from "));
	buf_add(&text, str_head(h->d->how, 400));
	r = trace(h, "accepted", h->d->sender, buf_str(&text), err);
	for (size_t i = 0; r == 0 && i < h->d->note_count; i++)
		r = trace(h, "rejected", h->d->notes[i].address, h->d->notes[i].text, err);
	buf_free(&text);
	return r;
}

static int hand_out(struct handout *h, struct err *err)
{
	if (take_sending(h, err) < 0 ||
		put_body(h->t, &h->d->body, links_of(h), &h->body, err) < 0 ||
		trace_arrival(h, err) < 0)
		return -1;
	for (struct destination *to = h->local; to; to = to->next)
		if (deliver_one(h, to, err) < 0)
			return -1;
	if (h->queued && put_queue(h, err) < 0)
		return -1;
	return put_lists(h, err);
}

int delivery_accept(
	struct txn *t, const struct delivery *d, uint32_t *local, uint32_t *queued, struct err *err)
{
	struct handout h = {
		.t = t, .d = d, .arena = ARENA(64 << 20), .met = MAP(2 * DESTINATIONS_MAX)
	};
	int r = -1;

	if (d->rcpt_count > DELIVERY_RCPTS) {
		err_set(err, ERR_LIMIT, "more than %d recipients", DELIVERY_RCPTS);
		goto out;
	}
	if (d->prefix.n && !str_endsi(d->prefix, STR("\r\n"))) {
		err_set(err, ERR_PERM, "the prefix does not end a line");
		goto out;
	}
	if (check_sender(&h, err) < 0)
		goto out;
	for (size_t i = 0; i < d->rcpt_count; i++) {
		h.rcpt = &d->rcpts[i];
		if (add_rcpt(&h, err) < 0)
			goto out;
	}
	if (h.refusals && !h.local && !h.home && !h.elsewhere && !h.lists) {
		*err = h.refused;
		goto out;
	}
	if (h.locals + h.queued + h.listed == 0 ||
		(h.gone && !h.local && !h.home && !h.elsewhere && !h.lists)) {
		err_set(err, ERR_NOTFOUND, "no such user here");
		goto out;
	}
	r = hand_out(&h, err);
	*local = h.locals;
	*queued = h.queued - h.tolds + h.listed;
out:
	map_free(&h.met);
	arena_free(&h.arena);
	return r;
}

/* ---- what was held ---- */

struct held {
	uint64_t message;
	uint8_t notify;
	struct str address;
};

static int read_held(
	struct handout *h, struct delivery *d, uint64_t rcpt, struct held *q, struct err *err)
{
	struct effect_queue_options_row o;
	struct str packed;
	struct rows *r;
	int got;

	if (db_query(h->t->view.db, &r,
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
		h->body = (uint64_t)rows_int(r, 4);
		if (!arena_str(&h->arena, rows_str(r, 1), &d->sender) ||
			!arena_str(&h->arena, rows_str(r, 2), &d->prefix) ||
			!arena_str(&h->arena, rows_str(r, 6), &q->address) ||
			(effect_queue_options_row_next(&packed, &o) &&
				!arena_str(&h->arena, o.refs, &d->body.refs)))
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
		why->kind == ERR_DISABLED || why->kind == ERR_PERM;

	return gone ? HELD_GONE : HELD_LATER;
}

/* An outcome, or -1. */
static int deliver_held(struct handout *h, struct str address, struct err *err)
{
	struct directory_rcpt found = { 0 };
	struct destination *to = NULL;
	struct err why = ERR_INIT;
	int outcome = HELD_GONE;

	if (directory_rcpt(&h->t->view, address, false, 0, &found, &why) < 0 ||
		directory_expand(&h->t->view, found.target, address, &h->arena, &to, &why) < 0)
		return (int)outcome_of(&why);
	for (; to; to = to->next) {
		if (!to->account)
			continue;
		if (emit_body_shared(h->t, &(struct effect_body_shared){ h->body }, err) < 0 ||
			deliver_one(h, to, err) < 0)
			return -1;
		outcome = HELD_DELIVERED;
	}
	return outcome;
}

int delivery_release(struct txn *t, uint64_t rcpt, struct err *err)
{
	struct delivery d;
	struct handout h = { .t = t, .d = &d, .arena = ARENA(1 << 20) };
	struct effect_queue_state now = { .id = rcpt, .state = STORE_FAILED, .next = t->now };
	struct held q;
	int r = read_held(&h, &d, rcpt, &q, err);

	if (r == 0)
		r = deliver_held(&h, q.address, err);
	if (r == HELD_LATER) {
		now.state = STORE_HOME;
		now.next += HELD_AGAIN;
	}
	if (r == HELD_DELIVERED)
		now.state = STORE_DELIVERED;
	if (r == HELD_DELIVERED && !(d.sender.n && q.notify & STORE_NOTIFY_SUCCESS))
		r = emit_queue_done(
			t, &(struct effect_queue_done){ rcpt, q.message, STORE_DELIVERED }, err);
	else if (r >= 0)
		r = emit_queue_state(t, &now, err);
	arena_free(&h.arena);
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
		put_body(t, &a->body, 1, &body, err) < 0 ||
		put_email(t, a->account, str_c(who.login), &m, a->mailbox, STR(""), &a->body, body,
			&row, err) < 0)
		return -1;
	*uidvalidity = m.uidvalidity;
	*uid = row.uid;
	return 0;
}
