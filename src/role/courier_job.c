#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdlib.h>

enum { JOB_MEMORY = 512 * 1024 };

/* ---- texts ---- */

/* What a server said goes into records and reports: printable, and not too much of it (T008). */
struct str job_text(struct job *j, struct str s)
{
	struct str copy;
	char *p;

	s = str_head(s, TEXT_MAX);
	if (s.n == 0 || !(p = arena_bytes(&j->mem, s.n)))
		return STR("");
	for (size_t i = 0; i < s.n; i++)
		p[i] = is_ctl(s.p[i]) || (unsigned char)s.p[i] > 126 ? '?' : s.p[i];
	copy = str_make(p, s.n);
	return copy;
}

/* ---- from a lease ---- */

/* The store knows already that this one has failed: it is reported, not tried. The reason may begin
 * with its status. */
static void fail_beforehand(struct job *j, struct job_rcpt *to, struct str why)
{
	struct str status = STR("5.1.1");

	if (str_starts(why, STR("5.")))
		status = str_word(&why, ' ');
	to->out = (struct outcome){ .state = RCPT_FAILED, .code = 550, .text = job_text(j, why) };
	str_z(status, to->out.status, sizeof to->out.status);
}

/* It is in its mailbox here, by the same commit that took the message in: only to be reported. */
static void deliver_beforehand(struct job *j, struct job_rcpt *to)
{
	to->out = (struct outcome){ .state = RCPT_DELIVERED,
		.here = true,
		.text = job_text(j, STR("delivered to the mailbox")) };
	str_z(STR("2.1.5"), to->out.status, sizeof to->out.status);
}

static bool copy_rcpts(struct job *j, struct str items)
{
	struct store_lease_rcpt r;
	struct str rest = items;

	while (j->rcpt_count < JOB_RCPTS_MAX && store_lease_rcpt_next(&rest, &r))
		j->rcpt_count++;
	j->rcpts = arena_array(&j->mem, j->rcpt_count, sizeof *j->rcpts);
	if (!j->rcpts || j->rcpt_count == 0)
		return false;
	for (size_t i = 0; i < j->rcpt_count && store_lease_rcpt_next(&items, &r); i++) {
		struct job_rcpt *to = &j->rcpts[i];

		*to = (struct job_rcpt){ .id = r.rcpt,
			.notify = r.notify,
			.attempts = r.attempts,
			.delay_told = r.delay_told,
			.rrvs = r.rrvs,
			.rrvs_reject = r.rrvs_mode == RRVS_REJECT };
		if (!arena_str(&j->mem, r.address, &to->address) ||
			!arena_str(&j->mem, r.orcpt, &to->orcpt))
			return false;
		if (r.failed.n)
			fail_beforehand(j, to, r.failed);
		else if (r.delivered)
			deliver_beforehand(j, to);
	}
	return true;
}

static struct job *copy_item(
	struct courier *c, const struct store_lease_item *item, uint64_t generation)
{
	struct job *j = calloc(1, sizeof *j);

	if (!j)
		return NULL;
	*j = (struct job){ .c = c,
		.lease = item->lease,
		.generation = generation,
		.message = item->message,
		.size = item->size,
		.arrived = item->arrived,
		.taken = clock_mono(),
		.since = item->hold_until / CLOCK_SEC > item->arrived ? item->hold_until / CLOCK_SEC
								      : item->arrived,
		.deliver_by = item->deliver_by / CLOCK_SEC,
		.flags = item->flags,
		.ret = item->ret,
		.body_type = item->body_type,
		.by_mode = item->by_mode,
		.priority = (int8_t)((int)item->priority - PRIORITY_NORMAL),
		.require_tls = item->require_tls,
		.mem = ARENA(JOB_MEMORY) };
	c->jobs++;
	if (!arena_str(&j->mem, item->sender, &j->sender) ||
		!arena_str(&j->mem, item->envid, &j->envid) ||
		!arena_str(&j->mem, item->domain, &j->domain) || !copy_rcpts(j, item->rcpts))
		job_free(&j);
	return j;
}

/* Only those entries that are ours: an heir may have taken our place. */
static void forget_rcpts(struct job *j)
{
	for (size_t i = 0; i < j->rcpt_count; i++)
		if (map_get_u64(&j->c->rcpts, j->rcpts[i].id) == j)
			map_del_u64(&j->c->rcpts, j->rcpts[i].id);
}

void job_free(struct job **jp)
{
	struct job *j = *jp;

	if (!j)
		return;
	*jp = NULL;
	if (j->rcpts)
		forget_rcpts(j);
	if (j->heir)
		job_free(&j->heir);
	j->c->jobs--;
	j->c->unrecorded -= j->unrecorded;
	signal_raise(&j->c->work);
	arena_free(&j->mem);
	free(j);
}

static struct job *find_other(const struct courier *c, const struct job *j)
{
	for (size_t i = 0; i < j->rcpt_count; i++) {
		struct job *other = map_get_u64(&c->rcpts, j->rcpts[i].id);

		if (other)
			return other;
	}
	return NULL;
}

static void drop_from_queue(struct job *j)
{
	struct dest *d = j->dest;

	for (struct job **at = &d->first; *at; at = &(*at)->next) {
		if (*at != j)
			continue;
		*at = j->next;
		if (d->last == &j->next)
			d->last = at;
		d->queued--;
		return;
	}
}

/* Some of these recipients are under way in an older job. */
static struct job *join(struct job *j, struct job *other)
{
	if (other->busy) { /* it will tell us how it went */
		job_free(&other->heir);
		other->heir = j;
		return NULL;
	}
	if (other->unrecorded) {
		job_inherit(j, other);
		job_free(&other);
		job_finish(j);
		return NULL;
	}
	drop_from_queue(other); /* its lease has ended before it was sent: forget it */
	job_free(&other);
	return j;
}

int job_new(struct courier *c, const struct store_lease_item *item, uint64_t generation,
	struct job **out, struct err *err)
{
	struct job *j = copy_item(c, item, generation), *other;

	*out = NULL;
	if (!j)
		return err_set(err, ERR_TEMP, "out of memory for a message to be sent");
	while (j && (other = find_other(c, j)))
		j = join(j, other);
	for (size_t i = 0; j && i < j->rcpt_count; i++)
		if (!map_put_u64(&c->rcpts, j->rcpts[i].id, j)) {
			job_free(&j);
			return err_set(err, ERR_TEMP, "out of memory for a message to be sent");
		}
	*out = j;
	return 0;
}

bool job_is_leased(const struct job *j)
{
	return clock_mono() < (j->until ? j->until : j->c->until);
}

bool job_is_void(const struct job *j)
{
	return !link_channel(j->c->store, j->generation) || !job_is_leased(j);
}

/* ---- outcomes ---- */

void job_settle(struct job *j, uint8_t state, uint32_t code, const char *status, struct str text,
	struct str remote)
{
	struct str said = job_text(j, text), host = job_text(j, remote);

	for (size_t i = 0; i < j->rcpt_count; i++) {
		struct outcome *o = &j->rcpts[i].out;

		if (o->state)
			continue;
		*o = (struct outcome){ .state = state, .code = code, .text = said, .remote = host };
		str_z(str_c(status), o->status, sizeof o->status);
	}
}

bool job_is_late(const struct job *j)
{
	return (j->by_mode & BY_RETURN) && j->deliver_by && clock_wall() >= j->deliver_by;
}

void job_return_late(struct job *j)
{
	if (job_is_late(j))
		job_settle(j, RCPT_FAILED, 0, "5.4.7",
			STR("it could not be delivered within the time that the sender set"),
			STR(""));
}

bool job_is_settled(const struct job *j)
{
	for (size_t i = 0; i < j->rcpt_count; i++)
		if (!j->rcpts[i].out.state)
			return false;
	return true;
}

static struct job_rcpt *find_rcpt(const struct job *j, uint64_t id)
{
	for (size_t i = 0; i < j->rcpt_count; i++)
		if (j->rcpts[i].id == id)
			return &j->rcpts[i];
	return NULL;
}

void job_inherit(struct job *heir, const struct job *old)
{
	for (size_t i = 0; i < heir->rcpt_count; i++) {
		const struct job_rcpt *was = find_rcpt(old, heir->rcpts[i].id);
		struct outcome *o = &heir->rcpts[i].out;

		if (!was)
			continue;
		*o = was->out;
		o->text = job_text(heir, was->out.text);
		o->remote = job_text(heir, was->out.remote);
	}
	job_settle(heir, RCPT_RELEASED, 0, "4.0.0", STR("not tried"), STR(""));
}
