#include "dns/resolver.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/map.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dns/resolver_private.h"

#define RECURSION_AGAIN (600 * CLOCK_SEC)
/* As long as recursion has never answered, a question waits this long for it. */
#define RECURSION_DOUBT (6 * CLOCK_SEC)
#define RECURSION_TRUST (60 * CLOCK_SEC)

enum { MAIN, FALLBACK, WAYS };

struct waiter {
	struct waiter *next;
	dns_module_done *done;
	void *arg;
};

struct question {
	struct resolver *r;
	char key[DNS_NAME_MAX + 4]; /* type, then the name in lower case */
	size_t key_n;
	int way;
	void *asked;
	int64_t deadline;
	struct waiter *waiters;
};

struct way {
	struct dns_resolver_ctx *ctx;
	struct resolver *r;
};

struct resolver {
	const struct dns_module *module;
	void *loaded; /* of dlopen */
	bool offline, recursion;
	struct way way[WAYS];
	int64_t heard;       /* when recursion last gave an answer */
	int64_t other_until; /* use the fallback until then */
	struct map questions;
	size_t waiting;
	struct signal work; /* there is a question to keep the time of */
	uint64_t queries, failures;
};

static int load_module(struct resolver *r, struct err *err)
{
	char path[512];
	int found = resolver_find_module(path, sizeof path, err);

	if (found < 0)
		return -1;
	r->loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!r->loaded)
		return err_set(err, ERR_PERM, "cannot load the resolver: %s", dlerror());
	r->module = dlsym(r->loaded, DNS_MODULE_SYMBOL);
	if (!r->module || r->module->version != DNS_MODULE_VERSION)
		return err_set(err, ERR_PERM,
			"%s belongs to another version of this program: install both anew", path);
	return 0;
}

static int open_way(
	struct resolver *r, int way, const struct dns_module_options *o, struct err *err)
{
	char why[200] = "";

	r->way[way].r = r;
	if (r->module->open(o, &r->way[way].ctx, why, sizeof why) < 0)
		return err_set(err, ERR_PERM, "cannot start the resolver: %s", why);
	return 0;
}

int resolver_open(const struct resolver_options *o, struct resolver **out, struct err *err)
{
	struct resolver *r = calloc(1, sizeof *r);

	*out = r;
	if (!r)
		return err_set(err, ERR_TEMP, "out of memory");
	r->questions = MAP(RESOLVER_LOOKUPS_MAX);
	r->offline = o->offline;
	r->recursion = o->main.server_count == 0;
	r->module = o->module;
	if (r->offline)
		return 0;
	if ((r->module || load_module(r, err) == 0) && open_way(r, MAIN, &o->main, err) == 0 &&
		(o->fallback.server_count == 0 || open_way(r, FALLBACK, &o->fallback, err) == 0))
		return 0;
	resolver_free(out);
	return -1;
}

static void drop_waiters(struct question *q)
{
	while (q->waiters) {
		struct waiter *w = q->waiters;

		q->waiters = w->next;
		free(w);
	}
}

void resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;
	struct question *q;
	size_t pos = 0;

	if (!r)
		return;
	while ((q = map_next(&r->questions, &pos))) {
		if (q->asked)
			r->module->cancel(r->way[q->way].ctx, q->asked);
		drop_waiters(q);
		free(q);
	}
	map_free(&r->questions);
	for (int i = 0; i < WAYS; i++)
		if (r->way[i].ctx)
			r->module->close(r->way[i].ctx);
	/* The module stays loaded: its thread's exit handlers may still run. */
	free(r);
	*rp = NULL;
}

static void finish(struct question *q, const struct dns_module_answer *a)
{
	struct resolver *r = q->r;

	map_del(&r->questions, str_make(q->key, q->key_n));
	while (q->waiters) {
		struct waiter *w = q->waiters;

		q->waiters = w->next;
		r->waiting--;
		r->failures += a->status == DNS_MODULE_TEMP;
		w->done(w->arg, a);
		free(w);
	}
	free(q);
}

static void answered(void *arg, const struct dns_module_answer *a);

static bool ask_way(struct question *q, int way, int64_t patience)
{
	struct resolver *r = q->r;

	q->way = way;
	q->deadline = clock_after(patience);
	q->asked = r->module->ask(r->way[way].ctx, q->key + 2,
		(unsigned char)q->key[0] << 8 | (unsigned char)q->key[1], q, answered);
	signal_raise(&r->work);
	return q->asked != NULL;
}

/* Nothing came from recursion, and not for a long time: is it the way or the name? Asking the other
 * way tells. */
static bool try_other(struct question *q)
{
	struct resolver *r = q->r;

	if (q->way != MAIN || !r->recursion || !r->way[FALLBACK].ctx ||
		(r->heard && clock_mono() - r->heard < RECURSION_TRUST))
		return false;
	return ask_way(q, FALLBACK, (RESOLVER_PATIENCE * CLOCK_SEC) / 2);
}

static void note_way(struct question *q)
{
	struct resolver *r = q->r;
	int64_t now = clock_mono();

	if (q->way == MAIN) {
		r->heard = now;
		r->other_until = 0;
	} else if (r->other_until <= now) {
		r->other_until = now + RECURSION_AGAIN;
		log_event(LOG_WARN, "dns.fallback",
			L_Z("note",
				"no answer from the root servers; asking the servers of "
				"resolv.conf, "
				"whose answers are not secure"));
	}
}

static void answered(void *arg, const struct dns_module_answer *a)
{
	struct question *q = arg;
	struct dns_module_answer said = *a;

	q->asked = NULL;
	if (said.status == DNS_MODULE_TEMP) {
		if (try_other(q))
			return;
	} else {
		note_way(q);
	}
	if (q->way == FALLBACK)
		said.secure = 0;
	finish(q, &said);
}

static void give_up(struct question *q)
{
	static const struct dns_module_answer late = { .status = DNS_MODULE_TEMP };
	struct resolver *r = q->r;

	r->module->cancel(r->way[q->way].ctx, q->asked);
	q->asked = NULL;
	if (!try_other(q))
		finish(q, &late);
}

/* Keeps the time of all questions; with none it sleeps. */
static void keep_time(void *arg)
{
	struct resolver *r = arg;
	struct err err;

	for (;;) {
		int64_t until = r->questions.n > 0 ? clock_after(CLOCK_SEC / 2) : NEVER;
		struct question *q;
		size_t pos = 0;

		err = ERR_INIT;
		if (r->questions.n > 0 ? task_sleep(until, &err) < 0
				       : task_wait(-1, 0, &r->work, until, &err) < 0)
			if (err.kind != ERR_TIMEOUT)
				return;
		while ((q = map_next(&r->questions, &pos)))
			if (q->deadline <= clock_mono())
				give_up(q);
	}
}

static void read_way(void *arg)
{
	struct way *w = arg;
	struct resolver *r = w->r;
	int fd = r->module->fd(w->ctx);
	struct err err = ERR_INIT;

	if (fd_watch(fd, &err) < 0) {
		log_event(LOG_ERROR, "dns.broken", L_ERR(&err));
		return;
	}
	while (task_wait(fd, WAIT_READ, NULL, NEVER, &err) >= 0)
		if (r->module->process(w->ctx) < 0) {
			log_event(LOG_ERROR, "dns.broken", L_Z("error", "the resolver failed"));
			break;
		}
	fd_forget(fd);
}

int resolver_start(struct resolver *r, struct task_group *g, struct err *err)
{
	if (r->offline)
		return 0;
	for (int i = 0; i < WAYS; i++)
		if (r->way[i].ctx && task_spawn(g, "resolver", read_way, &r->way[i], err) < 0)
			return -1;
	return task_spawn(g, "resolver clock", keep_time, r, err);
}

static struct question *question_new(struct resolver *r, const char *key, size_t key_n)
{
	struct question *q = calloc(1, sizeof *q);
	bool other = r->other_until > clock_mono();
	bool doubt = !other && r->recursion && r->way[FALLBACK].ctx && !r->heard;

	if (!q)
		return NULL;
	q->r = r;
	q->key_n = key_n;
	memcpy(q->key, key, key_n);
	if (map_put(&r->questions, str_make(q->key, key_n), q)) {
		if (ask_way(q, other ? FALLBACK : MAIN,
			    doubt ? RECURSION_DOUBT : RESOLVER_PATIENCE * CLOCK_SEC))
			return q;
		map_del(&r->questions, str_make(q->key, key_n));
	}
	free(q);
	return NULL;
}

static int ask_nobody(dns_module_done *done, void *arg)
{
	static const struct dns_module_answer none = { .status = DNS_MODULE_NXDOMAIN };

	done(arg, &none);
	return 0;
}

int resolver_ask(struct resolver *r, struct str name, uint32_t type, dns_module_done *done,
	void *arg, struct err *err)
{
	char key[DNS_NAME_MAX + 4] = { (char)(type >> 8), (char)type };
	struct waiter *w = NULL;
	struct question *q;

	if (name.n > 1 && name.p[name.n - 1] == '.')
		name.n--;
	if (!dns_name_ok(name) || type == 0 || type > 0xffff)
		return err_set(err, ERR_PERM, "not a name that can be looked up");
	r->queries++;
	if (r->offline)
		return ask_nobody(done, arg);
	for (size_t i = 0; i < name.n; i++)
		key[2 + i] = to_lower(name.p[i]);
	if (r->waiting >= RESOLVER_WAITING_MAX || !(w = malloc(sizeof *w)))
		return err_set(err, ERR_LIMIT, "too many DNS questions at once");
	q = map_get(&r->questions, str_make(key, name.n + 2));
	if (!q && !(q = question_new(r, key, name.n + 2))) {
		free(w);
		return err_set(err, ERR_LIMIT, "too many DNS questions at once");
	}
	*w = (struct waiter){ q->waiters, done, arg };
	q->waiters = w;
	r->waiting++;
	return 0;
}

struct resolver_stats resolver_stats(const struct resolver *r)
{
	const char *mode = r->offline           ? "offline"
		: !r->recursion                 ? "servers"
		: r->other_until > clock_mono() ? "fallback servers, without DNSSEC"
						: "recursion";

	return (struct resolver_stats){ r->queries, r->failures, r->questions.n, mode };
}
