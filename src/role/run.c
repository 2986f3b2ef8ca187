/* run.c - the life of a role process: what the master sends, prepare, sandbox, main, the end. */
#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "role/kind.h"
#include "role/link_private.h"
#include "role/sandbox.h"

#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum { LOST_SECONDS = 60, HEAP_TOP = 2 << 20, HEAP_STEP = 256 << 10 };
enum { LINKS_MAX = 3, LISTENED_MAX = 4, EARLY_MAX = 256, SETTINGS_MAX = 1 << 20 };

struct peer {
	uint32_t who, number;
	int fd;
};

struct role_private {
	const struct role_kind *kind;
	struct task_group *outer; /* the control channel and what outlives the role's own tasks */
	struct task_group *life;  /* the task that prepares and runs main */
	bool served;              /* it has been ready */
	struct channel *control;
	struct signal going;
	bool go;
	struct control_go become;
	struct buf settings;
	struct conf *conf;
	struct link links[LINKS_MAX];
	size_t link_count;
	struct {
		uint32_t who;
		role_peer_fn *fn;
		void *arg;
	} listened[LISTENED_MAX];
	size_t listened_count;
	struct peer early[EARLY_MAX]; /* peers that came before anybody asked for them */
	size_t early_count;
	int code;
};

static struct role the_role; /* one a process */
static struct role_private the_private;

/* ---- what a role may ask of us ---- */

int role_take_file(struct role *r, uint8_t purpose, const char *name)
{
	for (size_t i = 0; i < r->file_count; i++) {
		struct role_file *f = &r->files[i];
		int fd = f->fd;

		if (f->purpose == purpose && fd >= 0 && (!name || strcmp(name, f->name) == 0)) {
			f->fd = -1;
			return fd;
		}
	}
	return -1;
}

struct link *role_link(struct role *r, uint32_t who)
{
	for (size_t i = 0; i < r->private->link_count; i++)
		if (r->private->links[i].who == who)
			return &r->private->links[i];
	return NULL;
}

static void deliver_peer(struct role_private *p, const struct peer *peer)
{
	for (size_t i = 0; i < p->listened_count; i++)
		if (p->listened[i].who & peer->who) {
			p->listened[i].fn(p->listened[i].arg, peer->who, peer->number, peer->fd);
			return;
		}
	if (p->early_count < EARLY_MAX)
		p->early[p->early_count++] = *peer;
	else
		close(peer->fd);
}

void role_on_peer(struct role *r, uint32_t who, role_peer_fn *fn, void *arg)
{
	struct role_private *p = r->private;
	size_t count = p->early_count;

	if (p->listened_count == LISTENED_MAX)
		abort();
	p->listened[p->listened_count].who = who;
	p->listened[p->listened_count].fn = fn;
	p->listened[p->listened_count++].arg = arg;
	p->early_count = 0;
	for (size_t i = 0; i < count; i++) {
		struct peer peer = p->early[i];

		deliver_peer(p, &peer);
	}
}

void role_ready(struct role *r, const char *note)
{
	struct control_ready m = { .isolation = sandbox_isolation(), .note = str_c(note) };
	struct err err = ERR_INIT;

	r->private->served = true;
	if (control_ready_send(r->private->control, &m, &err) < 0)
		log_event(LOG_ERROR, "role.ready", L_ERR(&err));
}

/* ---- the end ---- */

/* Nobody is served by a process that cannot end. */
static void watch_grace(void *arg)
{
	struct role *r = arg;
	struct err err = ERR_INIT;

	if (task_sleep(r->stop_by, &err) < 0)
		return;
	log_event(LOG_WARN, "role.stuck", L_U64("tasks", task_group_count(r->group)));
	_exit(EX_TEMPFAIL);
}

static void begin_stop(struct role *r, int64_t seconds)
{
	struct err err = ERR_INIT;

	if (r->stopping)
		return;
	r->stopping = true;
	r->stop_by = clock_after(seconds * CLOCK_SEC);
	if (task_spawn(r->private->outer, "grace", watch_grace, r, &err) < 0)
		_exit(EX_OSERR);
	signal_raise(&r->stop);
	/* Who does not serve yet may wait for a peer that does not come any more. */
	if (!r->private->served)
		task_group_cancel(r->private->life);
}

static void on_violation(uint32_t who, uint32_t number, const char *what)
{
	struct control_violation m = { .who = who, .number = number, .what = str_c(what) };
	struct err err = ERR_INIT;

	if (who != WHO_MASTER && the_private.control)
		(void)control_violation_send(the_private.control, &m, &err);
}

static void say_failed(struct role_private *p, const struct err *why)
{
	struct control_failed m = { .kind = (uint8_t)why->kind, .why = str_c(why->msg) };
	struct err err = ERR_INIT;

	/* The master logs it. */
	if (!p->control || control_failed_send(p->control, &m, &err) < 0)
		log_event(LOG_ERROR, "role.failed", L_ERR(why));
	p->code = why->kind == ERR_PERM ? EX_CONFIG : EX_TEMPFAIL;
}

/* ---- what the master sends ---- */

static void take_file(struct role *r, struct request *req)
{
	struct control_file m;
	struct role_file *f;
	struct err err;
	size_t i = 0;

	/* A map comes again whenever it has changed: a place that was taken from is free. */
	while (i < r->file_count && r->files[i].fd >= 0)
		i++;
	if (control_file_get(req->body, &m, &err) < 0 || i == ROLE_FILES_MAX)
		return;
	f = &r->files[i];
	if (!str_z(m.name, f->name, sizeof f->name))
		return;
	f->purpose = m.purpose;
	f->fd = req->fd;
	req->fd = -1;
	if (i == r->file_count)
		r->file_count++;
}

static void take_listener(struct role *r, struct request *req)
{
	struct control_listener m;
	struct err err;

	if (control_listener_get(req->body, &m, &err) < 0 || m.service >= SERVICE_COUNT ||
		r->listener_count == ROLE_LISTENERS_MAX)
		return;
	r->listeners[r->listener_count++] =
		(struct role_listener){ (enum service)m.service, m.tls != 0, req->fd };
	req->fd = -1;
}

static void take_channel(struct role *r, struct request *req)
{
	struct control_channel m;
	struct link *l;
	struct err err;
	int fd = req->fd;

	if (control_channel_get(req->body, &m, &err) < 0)
		return;
	req->fd = -1;
	l = role_link(r, m.who);
	if (l)
		link_put(l, fd, m.number);
	else
		deliver_peer(r->private, &(struct peer){ m.who, m.number, fd });
}

static void take_settings(struct role_private *p, const struct request *req)
{
	struct control_settings m;
	struct err err;

	if (control_settings_get(req->body, &m, &err) == 0) {
		buf_add(&p->settings, m.settings);
		the_role.number = m.number;
	}
}

/* A peer that is there but has thrown us out gives no new channel: only a new process gets one. One
 * that is away (its database is) is waited for. */
static void check_links(struct role *r, uint32_t up)
{
	struct role_private *p = r->private;
	struct err err = ERR_INIT;

	for (size_t i = 0; i < p->link_count && !r->stopping; i++) {
		int64_t since = link_down_since(&p->links[i], (up & p->links[i].who) != 0);

		if (since == NEVER || clock_mono() - since < LOST_SECONDS * CLOCK_SEC)
			continue;
		err_set(&err, ERR_TEMP, "the %s stays away", who_name(p->links[i].who));
		say_failed(r->private, &err);
		begin_stop(r, ROLE_GRACE_SECONDS);
	}
}

static void answer_ping(struct role *r, struct request **req)
{
	struct control_ping_rep a = { .tasks = task_group_count(r->group),
		.sessions = r->sessions };
	struct control_ping_req q = { 0 };
	struct err err = ERR_INIT;

	(void)control_ping_req_get((*req)->body, &q, &err);
	control_ping_answer(req, &a);
	check_links(r, q.up);
}

static void on_control(void *arg, struct request *req)
{
	struct role *r = arg;
	struct role_private *p = r->private;
	struct control_stop stop;
	struct err err;

	switch (req->type) {
	case MSG_control_settings:
		take_settings(p, req);
		break;
	case MSG_control_file:
		take_file(r, req);
		break;
	case MSG_control_listener:
		take_listener(r, req);
		break;
	case MSG_control_channel:
		take_channel(r, req);
		break;
	case MSG_control_go:
		p->go = control_go_get(req->body, &p->become, &err) == 0;
		signal_raise(&p->going);
		break;
	case MSG_control_stop:
		if (control_stop_get(req->body, &stop, &err) == 0)
			begin_stop(r, stop.seconds);
		break;
	case MSG_control_ping:
		answer_ping(r, &req);
		return;
	default:
		break;
	}
	request_free(&req);
}

static void on_control_end(void *arg, const struct err *why)
{
	struct role *r = arg;

	channel_close(&r->private->control);
	if (!r->stopping)
		log_event(LOG_WARN, "role.orphaned");
	for (size_t i = 0; i < r->private->link_count; i++)
		link_last(&r->private->links[i]);
	begin_stop(r, ROLE_GRACE_SECONDS);
}

/* ---- the life ---- */

static int read_settings(struct role *r, struct err *err)
{
	struct role_private *p = r->private;
	struct conf_source from = { .kind = CONF_SERVER, .folder = "/" };

	from.text = buf_str(&p->settings);
	if (!buf_ok(&p->settings) || conf_load(&from, &p->conf, NULL, err) < 0)
		return err_wrap(err, "the settings from the master");
	buf_free(&p->settings);
	r->conf = p->conf;
	log_min_level((enum log_level)conf_u64(r->conf, CONF_LOG_LEVEL));
	return 0;
}

int role_close_sandbox(struct role *r, struct err *err)
{
	const struct role_private *p = r->private;
	struct sandbox_wish wish = { .who = r->who,
		.mode = (enum conf_sandbox)conf_u64(r->conf, CONF_SANDBOX),
		.uid = p->become.uid,
		.gid = p->become.gid,
		.data_fd = -1,
		.root_dir = p->kind->root_dir };

	for (size_t i = 0; i < r->file_count; i++)
		if (r->files[i].purpose == FILE_DATA_DIR)
			wish.data_fd = r->files[i].fd;
	return sandbox_close(&wish, err);
}

static int prepare(struct role *r, struct err *err)
{
	struct role_private *p = r->private;
	int64_t until = clock_after(ROLE_START_SECONDS * CLOCK_SEC);

	while (!p->go)
		if (task_wait(-1, 0, &p->going, until, err) < 0)
			return -1;
	if (read_settings(r, err) < 0)
		return -1;
#ifdef M_ARENA_MAX
	/* Else glibc reads the number of CPUs from /sys when a second thread begins. */
	mallopt(M_ARENA_MAX, 4);
	/* Bodies come and go: without these the heap grows and shrinks by system calls with each of
	 * them. What stays unused at the top is at most this much per arena. */
	mallopt(M_TRIM_THRESHOLD, HEAP_TOP);
	mallopt(M_TOP_PAD, HEAP_STEP);
	mallopt(M_MMAP_THRESHOLD, HEAP_TOP);
#endif
	tzset();
	if (p->kind->prepare && p->kind->prepare(r, err) < 0)
		return -1;
	return role_close_sandbox(r, err);
}

static void live(void *arg)
{
	struct role *r = arg;
	struct err err = ERR_INIT;

	if (prepare(r, &err) == 0 && r->private->kind->main(r, &err) == 0)
		return;
	if (!r->stopping || err.kind != ERR_CANCELED)
		say_failed(r->private, &err);
}

static void end_links(struct role_private *p)
{
	for (size_t i = 0; i < p->link_count; i++)
		link_end(&p->links[i]);
}

static int begin(struct role *r, struct err *err)
{
	static struct signal unheard;
	struct role_private *p = r->private;

	p->outer = task_group_new("role");
	p->life = task_group_new("life");
	r->group = task_group_new(r->name);
	if (!p->outer || !p->life || !r->group)
		return err_set(err, ERR_TEMP, "out of memory");
	for (uint32_t who = 1; who; who <<= 1)
		if (p->kind->links & who)
			p->links[p->link_count++] = (struct link){
				.group = p->outer, .who = who, .down_since = clock_mono()
			};
	p->control = channel_new(
		p->outer, ROLE_CONTROL_FD, WHO_MASTER, 0, on_control, on_control_end, r, err);
	if (!p->control)
		return -1;
	channel_on_violation(on_violation);
	/* ^C in a terminal and service managers reach every process: only the master decides. */
	if (rt_signal(SIGINT, &unheard, err) < 0)
		return -1;
	if (rt_signal(SIGTERM, &unheard, err) < 0)
		return -1;
	return task_spawn(p->life, r->name, live, r, err);
}

static void run(void *arg)
{
	struct role *r = arg;
	struct role_private *p = r->private;
	struct err err = ERR_INIT;

	if (begin(r, &err) < 0)
		say_failed(p, &err);
	else
		task_group_join(p->life);
	task_group_end(&p->life);
	if (r->group)
		task_group_end(&r->group);
	end_links(p);
	channel_close(&p->control);
	if (p->outer)
		task_group_end(&p->outer);
	conf_free(&p->conf);
}

int role_run_kind(const struct role_kind *kind)
{
	struct role *r = &the_role;
	struct err err = ERR_INIT;
	struct stat st;

	if (fstat(ROLE_CONTROL_FD, &st) < 0 || !S_ISSOCK(st.st_mode)) {
		log_event(LOG_ERROR, "role.alone", L_Z("hint", "`eilpost serve` starts the roles"));
		return EX_USAGE;
	}
	log_role(kind->name);
	the_private = (struct role_private){ .kind = kind, .settings = BUF(SETTINGS_MAX) };
	*r = (struct role){ .name = kind->name, .who = kind->who, .private = &the_private };
	if (rt_main(run, r, &err) < 0) {
		log_event(LOG_ERROR, "role.failed", L_ERR(&err));
		return EX_OSERR;
	}
	return the_private.code;
}

int role_run(const char *name)
{
	const struct role_kind *kind = role_kind_find(name);

	if (!kind) {
		log_event(LOG_ERROR, "role.unknown", L_Z("name", name));
		return EX_USAGE;
	}
	return role_run_kind(kind);
}
