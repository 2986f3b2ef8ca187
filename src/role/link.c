#include "base/clock.h"
#include "base/log.h"
#include "role/link_private.h"

struct link_waiter {
	struct signal woken;
	struct link_waiter *next;
};

/* What the peer sends by itself, when nobody has asked to see it. */
static void on_message(void *arg, struct request *req)
{
	struct link *l = arg;

	if (l->handler)
		l->handler(l->arg, req);
	else
		request_free(&req);
}

static void down(struct link *l)
{
	if (!l->ch)
		return;
	channel_close(&l->ch);
	l->down_since = clock_mono();
	if (l->state)
		l->state(l->arg, false);
}

static void on_end(void *arg, const struct err *why)
{
	struct link *l = arg;

	log_event(LOG_DEBUG, "link.down", L_Z("peer", who_name(l->who)), L_ERR(why));
	down(l);
}

void link_put(struct link *l, int fd, uint32_t number)
{
	struct err err = ERR_INIT;

	down(l);
	l->ch = channel_new(l->group, fd, l->who, number, on_message, on_end, l, &err);
	if (!l->ch) {
		log_event(LOG_ERROR, "link.failed", L_Z("peer", who_name(l->who)), L_ERR(&err));
		return;
	}
	l->generation++;
	if (l->state)
		l->state(l->arg, true);
	for (struct link_waiter *w = l->waiters; w; w = w->next)
		signal_raise(&w->woken);
}

int64_t link_down_since(struct link *l, bool up)
{
	if (!up)
		l->down_since = clock_mono();
	return l->ch || !up ? NEVER : l->down_since;
}

void link_last(struct link *l)
{
	l->last = true;
	for (struct link_waiter *w = l->waiters; w; w = w->next)
		signal_raise(&w->woken);
}

void link_end(struct link *l)
{
	channel_close(&l->ch);
}

void link_on(struct link *l, channel_handler *handler, link_state_fn *state, void *arg)
{
	l->handler = handler;
	l->state = state;
	l->arg = arg;
}

uint64_t link_generation(const struct link *l)
{
	return l->generation;
}

/* A channel may have ended without its reader having told yet. */
static struct channel *usable(struct link *l)
{
	return l->ch && channel_is_open(l->ch) ? l->ch : NULL;
}

struct channel *link_channel(struct link *l, uint64_t generation)
{
	return generation == l->generation ? usable(l) : NULL;
}

struct channel *link_wait(struct link *l, int64_t deadline, struct err *err)
{
	int64_t limit = clock_after(LINK_PATIENCE * CLOCK_SEC);
	struct link_waiter w = { .next = l->waiters };
	struct link_waiter **at;
	struct err why = ERR_INIT;
	int r = 0;

	if (usable(l))
		return l->ch;
	l->waiters = &w;
	while (r >= 0 && !usable(l) && !l->last)
		r = task_wait(-1, 0, &w.woken, deadline < limit ? deadline : limit, &why);
	for (at = &l->waiters; *at != &w; at = &(*at)->next)
		continue;
	*at = w.next;
	if (usable(l))
		return l->ch;
	if (why.kind == ERR_CANCELED)
		*err = why;
	else
		err_set(err, ERR_TEMP, "the %s is not there", who_name(l->who));
	return NULL;
}
