#include "role/front_lists.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "dns/rdata.h"
#include "trust/dnslist.h"

#include <stdlib.h>
#include <string.h>

enum {
	LISTS_MAX = 16,
	ANSWERS_MAX = 8192, /* kept; about 3 MiB when full */
	NEEDED_MAX = 100,   /* answers looked at to find one that nobody needs */
	LOOKUPS_MAX = 1000, /* under way at once; past it nothing is asked */
	PATIENCE = 5,       /* seconds, from connecting to deciding */
	KEEP_MIN = 60,      /* seconds, whatever the list says */
	KEEP_MAX = 3600,
	WATCH_EVERY = 600, /* seconds between two looks at a sound list */
	WATCH_AGAIN = 5    /* after a bad one, twice as long each time */
};

struct list {
	struct lists *lists;
	const struct conf_dnslist *conf;
	bool allow; /* a dnswl */
	bool sound; /* has passed its test */
	bool said;  /* that it is or is not */
};

/* What one list says of one address. In the map while it holds a name, in the ring by age. */
struct answer {
	struct list *list;
	struct lists_slot *waiting; /* checks that refer to it */
	bool asking;
	enum dnslist_answer said;
	int64_t until;
	struct answer *newer;
	size_t key_n;
	char key[]; /* a byte for the list (a zone may be there twice), then the name */
};

/* A check's share in one answer. */
struct lists_slot {
	struct lists_check *check;
	struct answer *answer; /* NULL: not asked */
	struct lists_slot *next, **link;
};

struct lists_check {
	struct lists *lists;
	int64_t deadline;
	struct signal wake;
	struct lists_slot slot[LISTS_MAX];
};

struct lists {
	struct link *dns;
	struct task_group *tasks;
	struct list list[LISTS_MAX];
	size_t count;
	size_t lookups;
	struct map answers;
	struct answer *oldest, *newest;
};

/* ---- asking the resolver ---- */

static enum dnslist_answer read_answer(struct str records, const struct conf_dnslist *conf)
{
	enum dnslist_answer all = DNSLIST_NO;
	struct dns_rdata record;

	while (dns_rdata_next(&records, &record))
		all = dnslist_worse(all, dnslist_answer(record.data, conf->low, conf->high));
	return all;
}

/* 0 with what the list says and for how many seconds it holds; -1 when it says nothing. */
static int query(struct lists *l, const struct conf_dnslist *conf, struct str name,
	enum dnslist_answer *said, uint32_t *ttl, struct err *err)
{
	struct dns_query_req q = { .name = name, .type = DNS_TYPE_A };
	struct dns_query_rep a = { 0 };
	struct reply hold = { 0 };
	int64_t deadline = clock_after(PATIENCE * CLOCK_SEC);
	struct channel *ch = link_wait(l->dns, deadline, err);
	int r = ch ? dns_query(ch, &q, deadline, &a, &hold, err) : -1;

	if (r == 0 && (a.status == DNS_TEMP || a.status == DNS_BOGUS))
		r = err_set(err, ERR_TEMP, "no answer");
	if (r == 0) {
		*said = a.status == DNS_OK ? read_answer(a.records, conf) : DNSLIST_NO;
		*ttl = a.ttl;
	}
	reply_free(&hold);
	return r;
}

/* ---- answers that are kept ---- */

static void unlink_slot(struct lists_slot *s)
{
	if (!s->answer)
		return;
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	s->answer = NULL;
}

static void link_slot(struct lists_slot *s, struct answer *a)
{
	s->answer = a;
	s->next = a->waiting;
	s->link = &a->waiting;
	if (s->next)
		s->next->link = &s->next;
	a->waiting = s;
}

static void add_newest(struct lists *l, struct answer *a)
{
	a->newer = NULL;
	if (l->newest)
		l->newest->newer = a;
	else
		l->oldest = a;
	l->newest = a;
}

static struct answer *take_oldest(struct lists *l)
{
	struct answer *a = l->oldest;

	l->oldest = a->newer;
	if (!l->oldest)
		l->newest = NULL;
	return a;
}

/* The oldest that nobody needs goes; what is needed counts as new again, or one long session would
 * keep all others from being asked about. */
static bool make_room(struct lists *l)
{
	if (l->answers.n < ANSWERS_MAX)
		return true;
	for (int i = 0; i < NEEDED_MAX; i++) {
		struct answer *a = take_oldest(l);

		if (a->asking || a->waiting) {
			add_newest(l, a);
			continue;
		}
		map_del(&l->answers, str_make(a->key, a->key_n));
		free(a);
		return true;
	}
	return false;
}

static struct answer *keep(struct list *list, struct str key)
{
	struct lists *l = list->lists;
	struct answer *a = make_room(l) ? calloc(1, sizeof *a + key.n) : NULL;

	if (!a)
		return NULL;
	a->list = list;
	a->key_n = key.n;
	memcpy(a->key, key.p, key.n);
	if (!map_put(&l->answers, str_make(a->key, a->key_n), a)) {
		free(a);
		return NULL;
	}
	add_newest(l, a);
	return a;
}

static void look_up(void *arg)
{
	struct answer *a = arg;
	struct lists *l = a->list->lists;
	struct err err = ERR_INIT;
	uint32_t seconds = KEEP_MIN;

	/* No answer is no listing: mail does not stop because a list does. */
	if (query(l, a->list->conf, str_make(a->key + 1, a->key_n - 1), &a->said, &seconds, &err) <
		0)
		a->said = DNSLIST_NO;
	if (seconds < KEEP_MIN)
		seconds = KEEP_MIN;
	a->until = clock_after((seconds < KEEP_MAX ? seconds : KEEP_MAX) * CLOCK_SEC);
	a->asking = false;
	l->lookups--;
	for (struct lists_slot *s = a->waiting; s; s = s->next)
		signal_raise(&s->check->wake);
}

static void start(struct answer *a)
{
	struct lists *l = a->list->lists;
	struct err err = ERR_INIT;

	if (l->lookups >= LOOKUPS_MAX || task_spawn(l->tasks, "dnslist", look_up, a, &err) < 0)
		return; /* it says no, and is asked again next time */
	a->asking = true;
	l->lookups++;
}

/* ---- one connection ---- */

static void ask_one(
	struct lists_check *c, struct list *list, struct lists_slot *slot, const struct ip *ip)
{
	struct buf name = BUF(DNSLIST_NAME_MAX + 1), key = BUF(DNSLIST_NAME_MAX + 2);
	struct answer *a = NULL;

	if (dnslist_question(ip, list->conf->zone, &name)) {
		buf_addc(&key, (char)(list - c->lists->list));
		buf_add(&key, buf_str(&name));
		a = map_get(&c->lists->answers, buf_str(&key));
		if (!a && buf_ok(&key))
			a = keep(list, buf_str(&key));
	}
	if (a) {
		slot->check = c;
		link_slot(slot, a);
		if (!a->asking && a->until <= clock_mono()) {
			a->said = DNSLIST_NO;
			start(a);
		}
	}
	buf_free(&name);
	buf_free(&key);
}

struct lists_check *lists_ask(struct lists *l, const struct ip *ip)
{
	struct lists_check *c = l ? calloc(1, sizeof *c) : NULL;

	if (!c)
		return NULL;
	c->lists = l;
	c->deadline = clock_after(PATIENCE * CLOCK_SEC);
	for (size_t i = 0; i < l->count; i++)
		if (l->list[i].sound)
			ask_one(c, &l->list[i], &c->slot[i], ip);
	return c;
}

void lists_drop(struct lists_check **check)
{
	struct lists_check *c = *check;

	if (!c)
		return;
	for (size_t i = 0; i < LISTS_MAX; i++)
		unlink_slot(&c->slot[i]);
	free(c);
	*check = NULL;
}

static bool is_listed(const struct lists_check *c, size_t i)
{
	const struct answer *a = c->slot[i].answer;

	/* A list that has failed its test meanwhile is not believed. */
	return a && !a->asking && a->said == DNSLIST_YES && a->list->sound;
}

static bool is_missing(const struct lists_check *c)
{
	for (size_t i = 0; i < c->lists->count; i++)
		if (c->slot[i].answer && c->slot[i].answer->asking)
			return true;
	return false;
}

bool lists_allowed(const struct lists_check *c)
{
	for (size_t i = 0; c && i < c->lists->count; i++)
		if (c->lists->list[i].allow && is_listed(c, i))
			return true;
	return false;
}

static void strictest(const struct lists_check *c, enum lists_action *action, struct str *zone)
{
	static const int rank[] = { [LISTS_REJECT] = 4,
		[LISTS_DEFER] = 3,
		[LISTS_GREYLIST] = 2,
		[LISTS_LOG] = 1,
		[LISTS_ALLOW] = 5,
		[LISTS_NONE] = 0 };

	for (size_t i = 0; i < c->lists->count; i++) {
		const struct list *l = &c->lists->list[i];
		enum lists_action this =
			l->allow ? LISTS_ALLOW : (enum lists_action)l->conf->action;

		if (!is_listed(c, i) || rank[this] <= rank[*action])
			continue;
		*action = this;
		*zone = l->conf->zone;
	}
}

int lists_decide(
	struct lists_check *c, enum lists_action *action, struct str *zone, struct err *err)
{
	struct err why = ERR_INIT;

	*action = LISTS_NONE;
	*zone = STR("");
	while (c && why.kind != ERR_TIMEOUT && is_missing(c))
		if (task_wait(-1, 0, &c->wake, c->deadline, &why) < 0 && why.kind != ERR_TIMEOUT) {
			*err = why;
			return -1;
		}
	if (c)
		strictest(c, action, zone);
	return 0;
}

/* ---- is a list to be believed? ---- */

static void judge(struct list *list, const char *bad)
{
	bool sound = bad == NULL;

	if (list->said && sound == list->sound)
		return;
	list->sound = sound;
	list->said = true;
	if (sound)
		log_event(LOG_INFO, "guard.list-on", L_STR("zone", list->conf->zone));
	else
		log_event(LOG_WARN, "guard.list-off", L_STR("zone", list->conf->zone),
			L_Z("reason", bad));
}

/* One test point, "2" or "1". */
static int test_point(
	struct list *list, const char *last, enum dnslist_answer *said, struct err *err)
{
	struct buf name = BUF(DNSLIST_NAME_MAX + 1);
	uint32_t ttl;
	int r;

	buf_addf(&name, "%s.0.0.127." STR_F, last, STR_A(list->conf->zone));
	r = query(list->lists, list->conf, buf_str(&name), said, &ttl, err);
	buf_free(&name);
	return r;
}

/* A resolver that does not answer says nothing about a list that was sound before. */
static void check_list(struct list *list, struct err *err)
{
	enum dnslist_answer must, must_not;
	struct err why = ERR_INIT;

	if (test_point(list, "2", &must, &why) == 0 && test_point(list, "1", &must_not, &why) == 0)
		judge(list, dnslist_verdict(must, must_not));
	else if (why.kind == ERR_CANCELED)
		*err = why;
	else if (!list->said)
		judge(list, "it does not answer");
}

static void watch(void *arg)
{
	struct list *list = arg;
	struct err err = ERR_INIT;
	int64_t pause = WATCH_AGAIN;

	while (err.kind == ERR_NONE) {
		check_list(list, &err);
		pause = list->sound ? WATCH_EVERY : pause;
		if (err.kind != ERR_NONE || task_sleep(clock_after(pause * CLOCK_SEC), &err) < 0)
			return;
		pause = list->sound               ? WATCH_AGAIN
			: 2 * pause < WATCH_EVERY ? 2 * pause
						  : WATCH_EVERY;
	}
}

/* ---- life ---- */

static void take_lists(struct lists *l, const struct conf *conf, enum conf_id id, bool allow)
{
	for (size_t i = 0; i < conf_count(conf, id) && l->count < LISTS_MAX; i++)
		l->list[l->count++] = (struct list){
			.lists = l, .conf = conf_dnslist(conf, id, i), .allow = allow
		};
}

int lists_new(struct front *f, struct lists **lists, struct err *err)
{
	struct lists *l;

	if (!f->dns || conf_count(f->conf, CONF_DNSBL) + conf_count(f->conf, CONF_DNSWL) == 0)
		return 0;
	l = *lists = calloc(1, sizeof *l);
	if (!l)
		return err_set(err, ERR_TEMP, "out of memory");
	l->dns = f->dns;
	l->answers = MAP(ANSWERS_MAX);
	take_lists(l, f->conf, CONF_DNSWL, true);
	take_lists(l, f->conf, CONF_DNSBL, false);
	l->tasks = task_group_new("dnslists");
	if (!l->tasks)
		return err_set(err, ERR_TEMP, "out of memory");
	for (size_t i = 0; i < l->count; i++)
		if (task_spawn(l->tasks, "dnslist watch", watch, &l->list[i], err) < 0)
			return -1;
	return 0;
}

/* After all checks have been dropped. */
void lists_free(struct lists **lists)
{
	struct lists *l = *lists;
	struct answer *a;

	if (!l)
		return;
	if (l->tasks)
		task_group_end(&l->tasks);
	for (; (a = l->oldest); free(a))
		l->oldest = a->newer;
	map_free(&l->answers);
	free(l);
	*lists = NULL;
}
