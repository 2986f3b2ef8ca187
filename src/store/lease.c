/* What is due, and who works on it. */
#include "base/map.h"
#include "store/names.h"
#include "store/queue_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ID(x) DB_I((int64_t)(x))

enum {
	DOMAINS_MAX = 2000000,
	LOADED = 256,      /* domains at a time */
	LEASE_ROOM = 4096, /* no further lease in less */
	RCPT_ROOM = 2048,  /* no further recipient in less */
	LEASE_FIXED = 128,
	RCPT_FIXED = 64,
	AGE_TURNS = 8,
	RELEASES_MAX = 50 /* of one call */
};

/* The domain's place in the schedule, made when it is new. NULL: out of memory, or too many. */
static struct queue_domain *domain_of(struct leases *l, struct str name)
{
	struct queue_domain *d = map_get(&l->domains, name);

	if (d)
		return d;
	d = calloc(1, sizeof *d + name.n);
	if (!d)
		return NULL;
	d->name_n = name.n;
	if (name.n)
		memcpy(d->name, name.p, name.n);
	if (map_put(&l->domains, str_make(d->name, d->name_n), d))
		return d;
	free(d);
	return NULL;
}

static struct str name_of(const struct queue_domain *d)
{
	return str_make(d->name, d->name_n);
}

static void expect(struct leases *l, struct queue_domain *d, int64_t when)
{
	if (d->due.pos && when < d->due.at)
		heap_move(&l->due, &d->due, when);
	else if (d->due.pos == 0 && heap_add(&l->due, &d->due, when) < 0)
		queue_expect(l, when); /* no memory now: the table will tell again */
}

void queue_expect(struct leases *l, int64_t when)
{
	if (when > l->read_next)
		return;
	l->read_next = when - 1;
	buf_clear(&l->read_domain);
}

/* Forget a domain of which the table, read on, will tell in time. */
static void release(struct leases *l, struct queue_domain *d)
{
	if (d->leases || (d->due.pos && d->due.at <= l->read_next))
		return;
	if (d->due.pos)
		heap_remove(&l->due, &d->due);
	map_del(&l->domains, name_of(d));
	free(d);
}

int leases_new(struct leases **out, struct err *err)
{
	struct leases *l = calloc(1, sizeof *l);

	*out = l;
	if (!l)
		return err_set(err, ERR_TEMP, "out of memory for leases");
	l->by_id = MAP(2 * QUEUE_LEASES_MAX);
	l->rcpts = MAP(2 * QUEUE_LEASES_MAX * QUEUE_LEASE_RCPTS);
	l->domains = MAP(DOMAINS_MAX);
	l->read_next = INT64_MIN;
	l->read_domain = BUF(1024);
	/* So that a result which comes late, after a restart, meets no other lease. */
	if (getrandom(&l->next, sizeof l->next, 0) != sizeof l->next)
		return err_sys(err, "draw random bytes for", "leases");
	return 0;
}

static void end(struct leases *l, struct lease *lease)
{
	map_del_u64(&l->by_id, lease->id);
	for (size_t i = 0; i < lease->rcpt_count; i++)
		map_del_u64(&l->rcpts, lease->rcpts[i]);
	lease->domain->leases--;
	/* What it leaves undone is due again. */
	expect(l, lease->domain, 0);
	free(lease);
}

void queue_lease_ended(struct leases *l, uint64_t id)
{
	struct lease *lease = id ? map_get_u64(&l->by_id, id) : NULL;

	if (lease)
		end(l, lease);
}

void leases_free(struct leases **out)
{
	struct leases *l = *out;
	void *each;
	size_t pos = 0;

	*out = NULL;
	if (!l)
		return;
	while ((each = map_next(&l->by_id, &pos)))
		free(each);
	pos = 0;
	while ((each = map_next(&l->domains, &pos)))
		free(each);
	free(l->found);
	map_free(&l->by_id);
	map_free(&l->rcpts);
	map_free(&l->domains);
	heap_free(&l->due);
	buf_free(&l->read_domain);
	free(l);
}

void leases_share(struct leases *l, uint64_t node)
{
	l->shared = true;
	l->node = node;
}

int queue_holder_gone(struct txn *t, uint64_t holder, struct err *err)
{
	struct lease *lease;
	size_t pos = 0;

	if (t->leases->shared)
		return lease_rows_holder_gone(t, holder, err);
	while ((lease = map_next(&t->leases->by_id, &pos)))
		if (lease->holder == holder)
			end(t->leases, lease);
	return 0;
}

struct lease *lease_find(struct txn *t, uint64_t id, uint64_t holder, struct err *err)
{
	struct lease *lease;

	if (t->leases->shared)
		return lease_rows_find(t, id, holder, err);
	lease = map_get_u64(&t->leases->by_id, id);
	if (lease && lease->holder == holder)
		return lease;
	if (lease)
		err_set(err, ERR_DENIED, "not your lease");
	else
		err_set(err, ERR_NOTFOUND, "this lease has ended");
	return NULL;
}

int lease_finish(struct txn *t, struct lease *lease, struct err *err)
{
	if (t->leases->shared)
		return lease_rows_end(t, lease, err);
	t->ended_lease = lease->id;
	return 0;
}

/* --- choosing ------------------------------------------------------------------------------- */

struct choice {
	struct txn *t;
	const struct queue_lease_query *q;
	struct arena *arena;
	struct queue_lease *first, **end;
	uint32_t given, released;
	size_t room;
	bool more; /* something due is left over */
};

static bool is_busy(const struct choice *c, struct str domain)
{
	for (size_t i = 0; i < c->q->busy_count; i++)
		if (str_eq(c->q->busy[i], domain))
			return true;
	return false;
}

static bool is_leased(const struct choice *c, uint64_t rcpt)
{
	return map_get_u64(&c->t->leases->rcpts, rcpt) != NULL;
}

/* A recipient that may be given. */
struct first {
	uint64_t rcpt, message;
	int64_t next;
	uint8_t state;
};

/* The first due recipient of this priority in the domain that nobody works on: among one more than
 * are worked on there is one. 1, 0, -1. */
static int first_of_priority(
	struct choice *c, struct str domain, int64_t priority, struct first *f, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(c->t->view.db, &r,
		    "SELECT id, message, next, state FROM queue_rcpt WHERE domain = $1 AND "
		    "priority = $2 AND next <= $3 ORDER BY next LIMIT $4",
		    DB_ARGS(DB_T(domain), DB_I(priority), DB_I(c->t->now),
			    DB_I((int64_t)c->t->leases->rcpts.n + 1)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1 && is_leased(c, (uint64_t)rows_int(r, 0)))
		;
	if (got == 1)
		*f = (struct first){ (uint64_t)rows_int(r, 0), (uint64_t)rows_int(r, 1),
			rows_int(r, 2), (uint8_t)rows_int(r, 3) };
	rows_free(&r);
	return got;
}

/* The next lower priority that the domain has: one step in the index. 1, 0, -1. */
static int lower_priority(struct choice *c, struct str domain, int64_t *priority, struct err *err)
{
	return db_int(c->t->view.db, priority,
		"SELECT max(priority) FROM queue_rcpt WHERE domain = $1 AND priority < $2",
		DB_ARGS(DB_T(domain), DB_I(*priority)), err);
}

/* RFC 6710 4.1: what is more urgent goes first; but one of eight goes to what has waited longest,
 * so that nothing waits for ever. 1, 0, -1. */
static int first_free(struct choice *c, struct str domain, struct first *best, struct err *err)
{
	bool oldest = ++c->t->leases->turn % AGE_TURNS == 0;
	int64_t priority = PRIORITY_ZERO + 1;
	struct first f;
	int found = 0, got = 0, more;

	while ((oldest || found == 0) && got >= 0 &&
		(more = lower_priority(c, domain, &priority, err)) != 0) {
		got = more < 0 ? -1 : first_of_priority(c, domain, priority, &f, err);
		if (got == 1 && (!found || f.next <= best->next))
			*best = f;
		found |= got == 1;
	}
	return got < 0 ? -1 : found;
}

static void unpack_options(struct str packed, struct delivery_options *o)
{
	struct effect_queue_options_row row;

	if (effect_queue_options_row_next(&packed, &row))
		*o = (struct delivery_options){ .body_type = row.body_type,
			.hold_until = row.hold_until,
			.deliver_by = row.deliver_by,
			.by_mode = row.by_mode,
			.priority = (int8_t)(row.priority - PRIORITY_ZERO),
			.require_tls = row.require_tls };
}

static bool keep_str(struct choice *c, struct rows *r, int column, struct str *out)
{
	return arena_str(c->arena, rows_str(r, column), out);
}

static int read_message(struct choice *c, struct queue_lease *l, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(c->t->view.db, &r,
		    "SELECT sender, arrived, size, flags, envid, ret, body, prefix, options FROM "
		    "queue_message"
		    " WHERE id = $1",
		    DB_ARGS(ID(l->message)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		l->arrived = rows_int(r, 1);
		l->size = (uint64_t)rows_int(r, 2);
		l->flags = (uint32_t)rows_int(r, 3);
		l->ret = (uint8_t)rows_int(r, 5);
		l->body = (uint64_t)rows_int(r, 6);
		unpack_options(rows_str(r, 8), &l->options);
		if (!keep_str(c, r, 0, &l->sender) || !keep_str(c, r, 4, &l->envid) ||
			!keep_str(c, r, 7, &l->prefix))
			got = err_set(err, ERR_TEMP, "out of memory for a lease");
	} else if (got == 0) {
		err_set(err, ERR_PERM, "a queued recipient has no message");
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

static int read_rcpts(struct choice *c, struct queue_lease *l, struct err *err)
{
	struct rows *r;
	int got = 0;

	if (db_query(c->t->view.db, &r,
		    "SELECT id, address, orcpt, notify, attempts, delay_told, state, rrvs, "
		    "reply FROM queue_rcpt"
		    " WHERE message = $1 AND domain = $2 AND next <= $3 AND state <> $4"
		    " ORDER BY next, id LIMIT $5",
		    DB_ARGS(ID(l->message), DB_T(l->domain), DB_I(c->t->now), DB_I(STORE_HOME),
			    DB_I((int64_t)c->t->leases->rcpts.n + QUEUE_LEASE_RCPTS)),
		    err) < 0)
		return -1;
	while (l->rcpt_count < QUEUE_LEASE_RCPTS && (l->rcpt_count == 0 || c->room > RCPT_ROOM) &&
		(got = rows_next(r, err)) == 1) {
		struct queue_rcpt *to = &l->rcpts[l->rcpt_count];

		if (is_leased(c, (uint64_t)rows_int(r, 0)))
			continue;
		*to = (struct queue_rcpt){
			.id = (uint64_t)rows_int(r, 0),
			.notify = (uint8_t)rows_int(r, 3),
			.attempts = (uint32_t)rows_int(r, 4),
			.delay_told = rows_int(r, 5) != 0,
			.rrvs = rows_int(r, 7) / 2,
			.rrvs_mode = rows_int(r, 7) & 1,
			.delivered = rows_int(r, 6) == STORE_DELIVERED,
		};
		if (!keep_str(c, r, 1, &to->address) || !keep_str(c, r, 2, &to->orcpt) ||
			(rows_int(r, 6) == STORE_FAILED && !keep_str(c, r, 8, &to->failed))) {
			got = err_set(err, ERR_TEMP, "out of memory for a lease");
			break;
		}
		/* Queued by a version that knew one reason only. */
		if (rows_int(r, 6) == STORE_FAILED && to->failed.n == 0)
			to->failed = STR("no such user here any more");
		l->rcpt_count++;
		c->room -= RCPT_FIXED + to->address.n + to->orcpt.n + to->failed.n;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int remember(
	struct choice *c, struct queue_lease *l, struct queue_domain *d, struct err *err)
{
	struct leases *all = c->t->leases;
	struct lease *lease;

	l->id = ++all->next;
	if (all->shared)
		return lease_rows_put(c->t, l, c->q->holder, err);
	lease = calloc(1, sizeof *lease + l->rcpt_count * sizeof lease->rcpts[0]);
	if (!lease)
		return err_set(err, ERR_TEMP, "out of memory for a lease");
	*lease = (struct lease){
		.id = l->id, .holder = c->q->holder, .message = l->message, .domain = d
	};
	d->leases++;
	for (size_t i = 0; i < l->rcpt_count; i++) {
		if (!map_put_u64(&all->rcpts, l->rcpts[i].id, lease))
			goto fail;
		lease->rcpts[lease->rcpt_count++] = l->rcpts[i].id;
	}
	if (map_put_u64(&all->by_id, l->id, lease))
		return 0;
fail:
	end(all, lease);
	return err_set(err, ERR_TEMP, "too many leases");
}

static int give(struct choice *c, struct queue_domain *d, uint64_t message, struct err *err)
{
	struct queue_lease *l = arena_alloc(c->arena, sizeof *l);

	if (!l || !arena_str(c->arena, name_of(d), &l->domain))
		return err_set(err, ERR_TEMP, "out of memory for a lease");
	l->message = message;
	if (read_message(c, l, err) < 0 || read_rcpts(c, l, err) < 0 || remember(c, l, d, err) < 0)
		return -1;
	*c->end = l;
	c->end = &l->next;
	c->given++;
	c->room -= LEASE_FIXED + l->sender.n + l->envid.n + l->domain.n;
	return 0;
}

/* Give what is due in this domain. What waited for a mailbox here is put there; after that has
 * failed it is given, to be reported. 1: there may be more of it. */
static int serve_domain(struct choice *c, struct queue_domain *d, struct err *err)
{
	struct first due = { 0 };
	int got = 1, r = 0;

	while (r == 0 && c->given < c->q->max && c->released < RELEASES_MAX &&
		c->room > LEASE_ROOM && (got = first_free(c, name_of(d), &due, err)) == 1) {
		if (due.state == STORE_HOME) {
			c->released++;
			r = delivery_release(c->t, due.rcpt, err);
		} else {
			r = give(c, d, due.message, err);
		}
	}
	return r < 0 ? -1 : got;
}

/* When something of this domain comes due that is not now. */
static int later(struct choice *c, const struct queue_domain *d, int64_t *when, struct err *err)
{
	int64_t priority = PRIORITY_ZERO + 1, next;
	int got;

	*when = QUEUE_NEVER;
	while ((got = lower_priority(c, name_of(d), &priority, err)) == 1) {
		got = db_int(c->t->view.db, &next,
			"SELECT next FROM queue_rcpt WHERE domain = $1 AND priority = $2 AND next "
			"> $3 ORDER BY next LIMIT 1",
			DB_ARGS(DB_T(name_of(d)), DB_I(priority), DB_I(c->t->now)), err);
		if (got == 1 && next < *when)
			*when = next;
		if (got < 0)
			return -1;
	}
	return got;
}

/* The first domain of the schedule, when it is due. d->aside: not now. */
static int choose_domain(struct choice *c, struct queue_domain *d, struct err *err)
{
	struct leases *l = c->t->leases;
	int64_t when;
	int got;

	d->aside = is_busy(c, name_of(d));
	if (d->aside)
		return 0;
	if (l->shared && lease_rows_of_domain(c->t, name_of(d), err) < 0)
		return -1;
	got = serve_domain(c, d, err);
	if (got == 1) {
		d->aside = true; /* max is reached: the rest is for the next call */
		c->more = true;
		return 0;
	}
	if (got < 0)
		return -1;
	/* What is leased stays due in the table, so that does not tell of the rest. */
	if (d->leases && later(c, d, &when, err) < 0)
		return -1;
	if (d->leases && when != QUEUE_NEVER)
		expect(l, d, when);
	return 0;
}

#define DUE "SELECT domain, next FROM queue_domain WHERE (next, domain) > ($1, $2) AND next <= $3"
#define DUE_ORDER " ORDER BY next, domain LIMIT $4"

/* Read on in the table of domains. How many are due; -1. */
static int load(struct choice *c, struct err *err)
{
	struct leases *l = c->t->leases;
	struct queue_domain *d = NULL, *last = NULL;
	struct rows *r;
	int got, n = 0;

	if (db_query(c->t->view.db, &r, l->shared ? DUE LEASE_ROWS_FREE DUE_ORDER : DUE DUE_ORDER,
		    DB_ARGS(DB_I(l->read_next), DB_T(buf_str(&l->read_domain)), DB_I(c->t->now),
			    DB_I(LOADED)),
		    err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		d = domain_of(l, rows_str(r, 0));
		if (!d)
			break;
		last = d;
		l->read_next = rows_int(r, 1);
		expect(l, d, l->read_next);
		n++;
	}
	rows_free(&r);
	if (last) {
		buf_clear(&l->read_domain);
		buf_add(&l->read_domain, name_of(last));
	}
	if (got == 1)
		return err_set(err, ERR_TEMP, "out of memory for the queue");
	return got < 0 ? -1 : n;
}

/* The first domain that is due, out of the heap. 1, 0 there is none, -1. */
static int next_domain(struct choice *c, struct queue_domain **d, struct err *err)
{
	struct leases *l = c->t->leases;
	struct heap_item *top = heap_min(&l->due);
	int got = 1;

	if (!top || top->at > c->t->now) {
		got = load(c, err);
		top = heap_min(&l->due);
	}
	if (got <= 0)
		return got;
	*d = heap_owner(top, struct queue_domain, due);
	heap_remove(&l->due, top);
	return 1;
}

/* When something may become due that is not now: of what is at hand, and of what is not. */
static int when_next(struct choice *c, int64_t *when, struct err *err)
{
	struct leases *l = c->t->leases;
	struct heap_item *top = heap_min(&l->due);
	int64_t next = QUEUE_NEVER;

	if (l->shared)
		return lease_rows_when_next(c->t, when, err);
	if (db_int(c->t->view.db, &next,
		    "SELECT next FROM queue_domain WHERE (next, domain) > ($1, $2)"
		    " ORDER BY next, domain LIMIT 1",
		    DB_ARGS(DB_I(l->read_next), DB_T(buf_str(&l->read_domain))), err) < 0)
		return -1;
	*when = top && top->at < next ? top->at : next;
	return 0;
}

/* Leases that could not be told of must not stay. */
static void take_back(struct choice *c)
{
	for (struct queue_lease *l = c->first; l; l = l->next)
		queue_lease_ended(c->t->leases, l->id);
}

/* Other nodes have changed the table since the last call. */
static void forget(struct leases *l)
{
	struct queue_domain *d;
	size_t pos = 0;

	l->read_next = INT64_MIN;
	buf_clear(&l->read_domain);
	while ((d = map_next(&l->domains, &pos))) {
		heap_remove(&l->due, &d->due);
		map_del(&l->domains, name_of(d));
		free(d);
	}
}

int queue_lease(struct txn *t, const struct queue_lease_query *q, struct arena *arena,
	struct queue_lease **out, int64_t *next_due, struct err *err)
{
	struct choice c = { .t = t, .q = q, .arena = arena, .room = q->room };
	struct queue_domain *seen = NULL, *d;
	int r = 0, got = 1;

	/* What became of them could not be written down, and they would be tried again. */
	if (t->refused.kind != ERR_NONE) {
		*err = t->refused;
		return -1;
	}
	c.end = &c.first;
	if (t->leases->shared)
		forget(t->leases);
	while (r == 0 && !c.more && (got = next_domain(&c, &d, err)) == 1) {
		r = choose_domain(&c, d, err);
		if (!d->seen) { /* what waited for a mailbox here can be due again at once */
			d->seen = true;
			d->next = seen;
			seen = d;
		}
	}
	if (got < 0 || (r == 0 && when_next(&c, next_due, err) < 0))
		r = -1;
	if (c.more)
		*next_due = t->now;
	if (*next_due != QUEUE_NEVER)
		*next_due += t->ahead;
	while ((d = seen)) {
		seen = d->next;
		d->seen = false;
		/* After a failure all that was done is undone, so all of them are due as before. */
		if (d->aside || r < 0)
			expect(t->leases, d, t->now);
		else
			release(t->leases, d);
	}
	if (r < 0)
		take_back(&c);
	*out = c.first;
	return r;
}
