/* The courier role: start, leasing due jobs, and destinations. */
#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/crypto.h"
#include "crypto/tls.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CA_MAX = 1 << 20,
	CA_PIECE = 1 << 16,
	UNPROVEN_SESSIONS = 2,
	LEASE_SECONDS = 60,
	FORGET_SECONDS = 900,
	SWEEP_SECONDS = 10
};

static struct courier self;

/* ---- destinations ---- */

static struct route from_conf(const struct conf_route *r)
{
	static const enum route_tls tls[] = { [CONF_OPPORTUNISTIC] = ROUTE_TLS_MAY,
		[CONF_STARTTLS] = ROUTE_TLS_REQUIRE,
		[CONF_TLS] = ROUTE_TLS_IMPLICIT,
		[CONF_LMTP] = ROUTE_TLS_MAY };

	return (struct route){ .kind = ROUTE_HOST,
		.host = r->host,
		.port = r->port,
		.tls = tls[r->security],
		.lmtp = r->security == CONF_LMTP,
		.login = r->user.n > 0 };
}

static int choose_route(
	const struct courier *c, struct str domain, struct route *r, struct err *err)
{
	const struct conf_route *explicit = conf_route_find(c->conf, domain);
	const struct conf_route *smarthost = conf_route(c->conf, CONF_SMARTHOST, 0);
	struct route one, all;

	if (explicit)
		one = from_conf(explicit);
	if (smarthost)
		all = from_conf(smarthost);
	return route_choose(explicit ? &one : NULL, smarthost ? &all : NULL, domain, r, err);
}

static struct str dest_key(const struct dest *d)
{
	return str_make(d->key, d->key_n);
}

/* Route names are the domain, or "smarthost": all that goes there is one destination; and another
 * one what must go over TLS. */
static struct dest *find_dest(struct courier *c, const struct route *r, bool require_tls)
{
	char key[sizeof((struct dest *)0)->key];
	int n = snprintf(key, sizeof key, STR_F "%s", STR_A(r->name), require_tls ? " TLS" : "");
	struct dest *d = map_get(&c->dests, str_make(key, (size_t)n));

	if (d || (size_t)n >= sizeof key || !(d = calloc(1, sizeof *d)))
		return d;
	d->c = c;
	d->last = &d->first;
	d->most = c->per_dest;
	d->route = *r;
	memcpy(d->key, key, (size_t)n);
	d->key_n = (size_t)n;
	d->require_tls = require_tls;
	if (require_tls && r->tls == ROUTE_TLS_MAY)
		d->route.tls = ROUTE_TLS_REQUIRE;
	d->route.name = str_make(d->key, r->name.n);
	/* What pointed into the job's domain must point into the key, which lives as long. */
	if (r->kind == ROUTE_MX)
		d->route.host = d->route.name;
	else if (!r->trusted)
		d->route.host.p = d->key + (r->host.p - r->name.p);
	if (map_put(&c->dests, dest_key(d), d))
		return d;
	free(d);
	return NULL;
}

static void enqueue(struct dest *d, struct job *j)
{
	j->dest = d;
	j->next = NULL;
	*d->last = j;
	d->last = &j->next;
	d->queued++;
}

void dest_put_back(struct dest *d, struct job *j)
{
	j->next = d->first;
	if (!d->first)
		d->last = &j->next;
	d->first = j;
	d->queued++;
}

struct job *dest_take(struct dest *d)
{
	struct job *j;

	while ((j = d->first)) {
		d->first = j->next;
		if (!d->first)
			d->last = &d->first;
		d->queued--;
		if (!job_is_void(j)) {
			j->busy = true;
			return j;
		}
		/* The store will lease it anew; one that holds it still is told that it may. */
		if (link_channel(d->c->store, j->generation)) {
			j->busy = true;
			job_settle(
				j, RCPT_RELEASED, 0, "4.0.0", STR("its lease has ended"), STR(""));
			job_finish(j);
		} else {
			job_free(&j);
		}
	}
	return NULL;
}

/* How long a destination that nobody answers at is left alone: less than the first retry, so that a
 * retry is always a real attempt. */
static int64_t down_time(const struct courier *c)
{
	int64_t seconds = c->schedule.first / 2;

	return clock_after((seconds < 60 ? seconds : 60) * CLOCK_SEC);
}

static void settle_one(struct dest *d, struct job *j)
{
	job_settle(j, d->down.state, d->down.code, d->down.status, str_c(d->down_text),
		str_c(d->down_remote));
	job_finish(j);
}

void dest_settle_all(struct dest *d, uint8_t state, uint32_t code, const char *status,
	struct str text, struct str remote)
{
	struct job *j;

	d->down_until = down_time(d->c);
	d->down = (struct outcome){ .state = state, .code = code };
	d->proven = false;
	str_z(str_c(status), d->down.status, sizeof d->down.status);
	str_z(str_head(text, TEXT_MAX), d->down_text, sizeof d->down_text);
	str_z(str_head(remote, TEXT_MAX), d->down_remote, sizeof d->down_remote);
	while ((j = dest_take(d)))
		settle_one(d, j);
}

/* ---- sessions ---- */

static bool start_session(struct dest *d)
{
	struct courier *c = d->c;
	struct err err = ERR_INIT;

	if (c->sessions >= c->sessions_max) {
		if (d->sessions == 0 && !d->is_hungry) {
			struct dest **at = &c->hungry;

			while (*at)
				at = &(*at)->next_hungry;
			d->is_hungry = true;
			d->next_hungry = NULL;
			*at = d;
		}
		return false;
	}
	if (task_spawn(c->group, "courier session", session_start, d, &err) < 0) {
		log_event(LOG_ERROR, "courier.session", L_ERR(&err));
		return false;
	}
	d->sessions++;
	c->sessions++;
	c->r->sessions = c->sessions;
	return true;
}

/* Enough hands for what waits here? */
static void pump(struct dest *d)
{
	struct session *s = d->idle;
	unsigned most = d->proven || d->most < UNPROVEN_SESSIONS ? d->most : UNPROVEN_SESSIONS;

	if (d->queued == 0 || d->c->r->stopping)
		return;
	if (s) {
		d->idle = session_next_idle(s);
		session_wake(s);
	} else if (d->sessions < most && d->sessions < d->queued) {
		start_session(d);
	}
}

static void forget_dest(struct dest *d)
{
	if (d->sessions > 0 || d->queued > 0 || d->is_hungry || d->down_until > clock_mono())
		return;
	map_del(&d->c->dests, dest_key(d));
	free(d);
}

void dest_session_ended(struct dest *d)
{
	struct courier *c = d->c;
	struct dest *h = c->hungry;

	d->sessions--;
	c->sessions--;
	c->r->sessions = c->sessions;
	signal_raise(&c->work);
	if (h) {
		c->hungry = h->next_hungry;
		h->is_hungry = false;
		pump(h);
	}
	pump(d);
	if (h && h != d)
		forget_dest(h);
	forget_dest(d);
}

/* ---- leasing ---- */

static void place(struct courier *c, struct job *j)
{
	struct route r;
	struct err err = ERR_INIT;
	struct dest *d;

	job_return_late(j);
	if (job_is_settled(j)) {
		job_finish(j);
		return;
	}
	if (choose_route(c, j->domain, &r, &err) < 0) {
		job_settle(j, RCPT_FAILED, 0, "5.1.2", str_c(err.msg), STR(""));
		job_finish(j);
		return;
	}
	d = find_dest(c, &r, j->require_tls);
	if (!d) {
		job_settle(j, RCPT_DEFERRED, 0, "4.3.2", STR("too many destinations"), STR(""));
		job_finish(j);
		return;
	}
	enqueue(d, j);
	if (d->sessions == 0 && d->down_until > clock_mono())
		while ((j = dest_take(d)))
			settle_one(d, j);
	else
		pump(d);
}

static void put_busy(struct courier *c, struct buf *b)
{
	struct dest *d;
	size_t pos = 0;

	while ((d = map_next(&c->dests, &pos))) {
		struct store_domain_item item = { d->route.name };

		if (d->queued >= DEST_QUEUE_MAX && b->n < 30000)
			store_domain_item_put(b, &item);
	}
}

static int take_items(
	struct courier *c, struct str items, uint64_t generation, bool *got, struct err *err)
{
	struct store_lease_item item;
	struct job *j;

	while (store_lease_item_next(&items, &item)) {
		*got = true;
		if (job_new(c, &item, generation, &j, err) < 0)
			return -1;
		if (j)
			place(c, j);
	}
	return 0;
}

/* *got: there was something, so there may be more. -1 only when we cannot go on: our leases end
 * with us. */
static int lease(struct courier *c, bool *got, struct err *err)
{
	struct buf busy = BUF(MSG_MAX);
	size_t room = JOBS_MAX - c->jobs;
	struct store_lease_req q = { .max = room < LEASE_MAX ? (uint32_t)room : LEASE_MAX };
	struct store_lease_rep a;
	struct reply hold = { 0 };
	struct err why = ERR_INIT;
	struct channel *ch = link_wait(c->store, clock_after(LEASE_SECONDS * CLOCK_SEC), &why);
	uint64_t generation = link_generation(c->store);
	int r = 0;

	put_busy(c, &busy);
	q.busy = buf_str(&busy);
	if (ch &&
		store_lease(ch, &q, clock_after(LEASE_SECONDS * CLOCK_SEC), &a, &hold, &why) == 0) {
		c->next_due = a.next_due;
		if (a.until > c->until)
			c->until = a.until;
		r = take_items(c, a.items, generation, got, err);
	} else {
		c->next_due = clock_wall() + 5;
		log_event(LOG_DEBUG, "courier.lease", L_ERR(&why));
	}
	reply_free(&hold);
	buf_free(&busy);
	return r;
}

/* What was never recorded and never leased anew was recorded after all: the store had committed it
 * before it ended. */
static void forget_jobs(struct courier *c)
{
	struct job *j;
	size_t pos = 0;

	while (c->unrecorded > 0 && (j = map_next(&c->rcpts, &pos)))
		if (j->unrecorded && j->taken < clock_mono() - FORGET_SECONDS * CLOCK_SEC) {
			job_free(&j);
			pos = 0;
		}
}

static void sweep(struct courier *c)
{
	struct dest *d;
	size_t pos = 0;

	if (clock_mono() < c->sweep_at)
		return;
	c->sweep_at = clock_after(SWEEP_SECONDS * CLOCK_SEC);
	while ((d = map_next(&c->dests, &pos)))
		forget_dest(d);
	forget_jobs(c);
}

static int64_t wait_until(const struct courier *c)
{
	int64_t left = c->next_due - clock_wall();

	if (c->next_due == 0 || left > 60)
		left = 60;
	return clock_after((left > 0 ? left : 1) * CLOCK_SEC);
}

/* Leases of the store before hold as long as it said. This one has said nothing yet. */
static void jobs_stay_until(struct courier *c)
{
	struct job *j;
	size_t pos = 0;

	while ((j = map_next(&c->rcpts, &pos)))
		if (!j->until)
			j->until = c->until;
	c->until = 1;
}

/* A new channel has no leases: ask at once. */
static void store_state(void *arg, bool up)
{
	struct courier *c = arg;

	if (up) {
		jobs_stay_until(c);
		c->due = true;
		signal_raise(&c->work);
	}
}

static void store_says(void *arg, struct request *req)
{
	struct courier *c = arg;

	struct store_leases_until m;
	struct err err = ERR_INIT;

	if (req->type == MSG_store_due) {
		c->due = true;
		signal_raise(&c->work);
	} else if (req->type == MSG_store_leases_until &&
		store_leases_until_get(req->body, &m, &err) == 0) {
		c->until = m.until;
	}
	request_free(&req);
}

static bool may_lease(const struct courier *c)
{
	return c->jobs + LEASE_MAX <= JOBS_MAX &&
		(c->due || (c->next_due && c->next_due <= clock_wall()));
}

static int keep_leasing(struct courier *c, struct err *err)
{
	while (!c->r->stopping) {
		struct err why = ERR_INIT;
		bool got = false;

		sweep(c);
		if (may_lease(c)) {
			c->due = false;
			c->next_due = 0;
			if (lease(c, &got, err) < 0)
				return -1;
			c->due |= got;
			if (got)
				continue;
		}
		if (task_wait(-1, 0, &c->work, wait_until(c), &why) >= 0)
			continue;
		if (why.kind == ERR_CANCELED)
			return 0;
		c->due = true;
	}
	return 0;
}

/* ---- life ---- */

static int read_authorities(struct courier *c, int fd, struct err *err)
{
	ssize_t got = 0;
	char *p;

	c->authorities = BUF(CA_MAX);
	do {
		p = buf_room(&c->authorities, CA_PIECE);
		got = p ? read(fd, p, CA_PIECE) : 0;
		buf_grew(&c->authorities, got > 0 ? (size_t)got : 0);
	} while (got > 0);
	return got < 0 || !p ? err_set(err, ERR_TEMP, "cannot read the certificate authorities")
			     : 0;
}

/* Those of the system, for when a message asks for a certain server. Without any it cannot have
 * one.
 */
static int read_system_authorities(struct courier *c, struct err *err)
{
	const char *file = tls_system_bundle();
	int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1, r = 0;

	if (fd < 0)
		return 0;
	r = read_authorities(c, fd, err);
	close(fd);
	return r;
}

struct tls_client *courier_verified(struct courier *c, struct err *err)
{
	if (c->verified)
		return c->verified;
	if (tls_client_new(&c->verified, "", true, err) < 0)
		return NULL;
	if (tls_client_trust(c->verified, buf_str(&c->authorities), err) < 0)
		tls_client_free(&c->verified);
	buf_free(&c->authorities);
	return c->verified;
}

static bool needs_certificate(const struct conf_route *r)
{
	return r->security == CONF_STARTTLS || r->security == CONF_TLS || r->user.n > 0;
}

static bool verifies(const struct conf *conf)
{
	const struct conf_route *r = conf_route(conf, CONF_SMARTHOST, 0);
	bool any = r && needs_certificate(r);

	for (size_t i = 0; (r = conf_route(conf, CONF_ROUTE, i)); i++)
		any |= needs_certificate(r);
	return any;
}

static int prepare_tls(struct courier *c, int ca, struct err *err)
{
	if (tls_client_new(&c->any, "", false, err) < 0)
		return -1;
	if ((ca >= 0 ? read_authorities(c, ca, err) : read_system_authorities(c, err)) < 0)
		return -1;
	if (!verifies(c->conf)) /* a system's authorities cost megabytes once they are read */
		return 0;
	if (c->authorities.n == 0)
		return err_set(err, ERR_PERM,
			"a route needs a certificate, and there is no list of certificate "
			"authorities; install ca-certificates or set tls.ca-file");
	return courier_verified(c, err) ? 0 : -1;
}

int role_courier_prepare(struct role *r, struct err *err)
{
	struct courier *c = &self;
	int ca = role_take_file(r, FILE_CA, NULL), done = -1;

	c->r = r;
	c->conf = r->conf;
	c->schedule = (struct schedule){
		.first = (uint32_t)(conf_duration(r->conf, CONF_QUEUE_FIRST_RETRY) / CLOCK_SEC),
		.most = (uint32_t)(conf_duration(r->conf, CONF_QUEUE_MAX_RETRY) / CLOCK_SEC),
		.expire = (uint32_t)(conf_duration(r->conf, CONF_QUEUE_EXPIRE) / CLOCK_SEC),
	};
	c->local_only = conf_bool(r->conf, CONF_OUTBOUND_LOCAL_ONLY);
	c->private_ok = conf_bool(r->conf, CONF_OUTBOUND_PRIVATE);
	c->mx_port = (uint16_t)conf_u64(r->conf, CONF_OUTBOUND_PORT);
	c->sessions_max = (unsigned)conf_u64(r->conf, CONF_OUTBOUND_CONNECTIONS);
	c->per_dest = (unsigned)conf_u64(r->conf, CONF_OUTBOUND_PER_DESTINATION);
	c->dests = MAP(2 * JOBS_MAX + 1000);
	c->rcpts = MAP(JOBS_MAX * JOB_RCPTS_MAX);
	if (crypto_init(err) == 0)
		done = prepare_tls(c, ca, err);
	if (ca >= 0)
		close(ca);
	return done;
}

/* Messages on the wire get until shortly before the end. */
static void let_finish(struct courier *c)
{
	int64_t until = c->r->stop_by - 2 * CLOCK_SEC;
	struct err err = ERR_INIT;
	struct dest *d;
	size_t pos = 0;

	while ((d = map_next(&c->dests, &pos)))
		for (struct session *s = d->idle; s; s = session_next_idle(s))
			session_wake(s);
	while (c->sessions + c->recording > 0 && clock_mono() < until) {
		err = ERR_INIT;
		if (task_wait(-1, 0, &c->work, until, &err) < 0)
			return;
	}
}

static void end(struct courier *c)
{
	struct dest *d;
	struct job *j;
	size_t pos = 0;

	task_group_end(&c->group);
	for (pos = 0; (j = map_next(&c->rcpts, &pos)); pos = 0)
		job_free(&j);
	for (pos = 0; (d = map_next(&c->dests, &pos)); pos = 0) {
		map_del(&c->dests, dest_key(d));
		free(d);
	}
	map_free(&c->rcpts);
	map_free(&c->dests);
	tls_client_free(&c->any);
	tls_client_free(&c->verified);
	buf_free(&c->authorities);
}

/* The leasing loop waits for work only. */
static void wait_for_stop(void *arg)
{
	struct courier *c = arg;
	struct err err;

	while (!c->r->stopping && task_wait(-1, 0, &c->r->stop, NEVER, &err) >= 0)
		;
	signal_raise(&c->work);
}

int role_courier_main(struct role *r, struct err *err)
{
	struct courier *c = &self;
	int done;

	c->store = role_link(r, WHO_STORE);
	c->vault = role_link(r, WHO_VAULT);
	c->dns = role_link(r, WHO_DNS);
	link_on(c->store, store_says, store_state, c);
	c->due = true;
	c->group = task_group_new("courier");
	if (!c->group)
		return err_set(err, ERR_TEMP, "out of memory");
	if (task_spawn(c->group, "courier stop", wait_for_stop, c, err) < 0)
		return -1;
	role_ready(r, "");
	done = keep_leasing(c, err);
	let_finish(c);
	end(c);
	return done;
}
