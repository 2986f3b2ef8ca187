/* Who gets a message, and what of it goes into the queue. Into mailboxes: delivery_mailbox.c. */
#include "base/clock.h"
#include "base/map.h"
#include "mail/address.h"
#include "mail/queue_id.h"
#include "store/delivery_private.h"
#include "store/directory.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/sending.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum { DESTINATIONS_MAX = 70000, TRACE_TEXT = 600 };

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
	if (delivery_is_for_owner(h->d, d))
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
	queue_expect(h->t->leases, e.next);
	if (state == STORE_DELIVERED)
		return 0;
	return delivery_trace(h->t, h->d->id, held ? "held" : "queued", q->d.address,
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
	if (delivery_trace(h->t, h->d->id, "list", l->owner, str_c(id), err) < 0 ||
		emit_queue_put(h->t, &e, err) < 0)
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
	r = delivery_trace(h->t, h->d->id, "accepted", h->d->sender, buf_str(&text), err);
	for (size_t i = 0; r == 0 && i < h->d->note_count; i++)
		r = delivery_trace(h->t, h->d->id, "rejected", h->d->notes[i].address,
			h->d->notes[i].text, err);
	buf_free(&text);
	return r;
}

static int hand_out(struct handout *h, struct err *err)
{
	if (take_sending(h, err) < 0 ||
		delivery_put_body(h->t, &h->d->body, links_of(h), &h->body, err) < 0 ||
		trace_arrival(h, err) < 0)
		return -1;
	for (struct destination *to = h->local; to; to = to->next)
		if (delivery_into_mailbox(h->t, h->d, h->body, to, err) < 0)
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
