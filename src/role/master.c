/* master.c - the whole life of a server: open everything, start the roles, wait, end them in order.
 */
#include "role/master_private.h"

#include "base/log.h"
#include "conf/conf.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

enum { STOP_SECONDS = 15 };

/* Who ends first: what serves people, then what they need, then what they need. */
static const uint32_t stop_order[] = { WHO_MX | WHO_SUBMIT | WHO_MAILBOX | WHO_WEB | WHO_COURIER,
	WHO_VAULT | WHO_DNS, WHO_STORE };
enum { STOP_STAGES = sizeof stop_order / sizeof stop_order[0] };

void master_fail(struct master *m, const struct err *why)
{
	if (m->failed.kind == ERR_NONE)
		m->failed = *why;
	signal_raise(&m->event);
}

static bool all_ready(const struct master *m)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (!m->children[i].ready)
			return false;
	return true;
}

static size_t how_many(const struct master *m, const struct role_kind *kind)
{
	if (kind->who == WHO_MX)
		return conf_u64(m->conf, CONF_FRONT_MX);
	if (kind->who == WHO_SUBMIT)
		return conf_u64(m->conf, CONF_FRONT_SUBMIT);
	if (kind->who == WHO_MAILBOX)
		return conf_u64(m->conf, CONF_FRONT_MAILBOX);
	return 1;
}

static bool is_needed(const struct master *m, const struct role_kind *kind)
{
	if (!(kind->who & (WHO_MX | WHO_SUBMIT | WHO_MAILBOX)))
		return true;
	for (size_t i = 0; i < m->listener_count; i++)
		if (m->listeners[i].who == kind->who)
			return true;
	return false;
}

static int start_children(struct master *m, struct err *err)
{
	for (size_t k = 0; k < m->kind_count; k++) {
		const struct role_kind *kind = &m->kinds[k];

		for (size_t i = 0; is_needed(m, kind) && i < how_many(m, kind); i++) {
			struct child *c = &m->children[m->child_count++];

			*c = (struct child){ .m = m, .kind = kind, .pidfd = -1 };
			provide_identity(m, c);
		}
	}
	for (size_t i = 0; i < m->child_count; i++) {
		struct child *c = &m->children[i];

		if (task_spawn(m->group, c->kind->name, child_supervise, c, err) < 0)
			return -1;
		c->supervised = true;
	}
	return 0;
}

/* ---- the middle ---- */

static void watch_sigterm(void *arg)
{
	struct master *m = arg;
	struct err err = ERR_INIT;

	if (task_wait(-1, 0, &m->sigterm, NEVER, &err) > 0) {
		m->stopping = true;
		signal_raise(&m->event);
	}
}

static void run_ready(void *arg)
{
	struct master *m = arg;
	struct err err = ERR_INIT;

	if (m->options->ready && m->options->ready(m->options->arg, &err) < 0)
		master_fail(m, &err);
}

static int run_until_stopped(struct master *m, struct err *err)
{
	while (!m->stopping && m->failed.kind == ERR_NONE) {
		if (!m->ready_once && all_ready(m)) {
			m->ready_once = true;
			log_event(LOG_INFO, "master.ready", L_U64("roles", m->child_count));
			if (task_spawn(m->group, "ready", run_ready, m, err) < 0)
				return -1;
		}
		if (task_wait(-1, 0, &m->event, NEVER, err) < 0)
			return -1;
	}
	if (m->failed.kind == ERR_NONE)
		return 0;
	*err = m->failed;
	return -1;
}

/* ---- the end ---- */

static size_t still_running(const struct master *m, uint32_t who)
{
	size_t n = 0;

	for (size_t i = 0; i < m->child_count; i++)
		if ((m->children[i].kind->who & who) && m->children[i].supervised)
			n++;
	return n;
}

static void for_stage(struct master *m, uint32_t who, void (*what)(struct child *c))
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].kind->who & who)
			what(&m->children[i]);
}

static void stop_stage(struct master *m, uint32_t who)
{
	int64_t until = clock_after(STOP_SECONDS * CLOCK_SEC);
	struct err err = ERR_INIT;

	for_stage(m, who, child_stop);
	while (still_running(m, who))
		if (task_wait(-1, 0, &m->event, until, &err) < 0) {
			for_stage(m, who, child_kill);
			until = NEVER;
		}
}

static void stop_all(struct master *m)
{
	m->stopping = true;
	log_event(LOG_INFO, "master.stop");
	for (size_t i = 0; i < STOP_STAGES; i++)
		stop_stage(m, stop_order[i]);
}

static int catch_signals(struct master *m, struct err *err)
{
	static struct signal unheard;

	if (rt_signal(SIGTERM, &m->sigterm, err) < 0 || rt_signal(SIGINT, &m->sigterm, err) < 0)
		return -1;
	return rt_signal(SIGHUP, &unheard, err);
}

static int serve(struct master *m, struct err *err)
{
	int r;

	if (getrandom(&m->next_number, sizeof m->next_number, 0) < 0)
		return err_sys(err, "get", "random bytes");
	m->next_number &= 0x3fffffff;
	if (catch_signals(m, err) < 0 || provide_open(m, err) < 0 || control_open(m, err) < 0)
		return -1;
	if (task_spawn(m->group, "signals", watch_sigterm, m, err) < 0 ||
		task_spawn(m->group, "maps", watch_maps, m, err) < 0 ||
		task_spawn(m->group, "control", control_serve, m, err) < 0)
		return -1;
	r = start_children(m, err);
	if (r == 0)
		r = run_until_stopped(m, err);
	stop_all(m);
	return r;
}

struct run {
	const struct master_options *options;
	struct err *err;
	int r;
};

static void run(void *arg)
{
	struct run *run = arg;
	struct master *m = calloc(1, sizeof *m);

	run->r = -1;
	if (!m) {
		err_set(run->err, ERR_TEMP, "out of memory");
		return;
	}
	*m = (struct master){ .options = run->options,
		.conf = run->options->conf,
		.kinds = run->options->kinds ? run->options->kinds : role_kinds,
		.kind_count = run->options->kinds ? run->options->kind_count : role_kind_count,
		.group = task_group_new("master"),
		.control_fd = -1,
		.data_fd = -1,
		.started = clock_wall() };
	log_role("master");
	log_min_level((enum log_level)conf_u64(m->conf, CONF_LOG_LEVEL));
	if (m->group)
		run->r = serve(m, run->err);
	else
		err_set(run->err, ERR_TEMP, "out of memory");
	task_group_end(&m->group);
	provide_close(m);
	free(m);
}

int master_run(const struct master_options *options, struct err *err)
{
	struct run r = { .options = options, .err = err, .r = -1 };

	return rt_main(run, &r, err) < 0 ? -1 : r.r;
}
