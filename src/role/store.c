/* The store role: requests of all other roles become jobs of src/store, and answers.
 *
 * The table below names, for every request, who handles it and what authority it needs beyond the
 * class of its channel (which ipc/ has checked already). */
#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "role/store_private.h"
#include "store/queue.h"
#include "trust/greylist.h"

#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* What every request may begin with. */
struct prologue {
	uint64_t call;
	uint32_t handle;
};

enum { SQUEEZING_WORKERS = 4, FORGET_AGAIN = 5 /* seconds */ };

enum authority {
	NO_HANDLE,   /* the channel's class is enough */
	MAIL_HANDLE, /* a handle that may read mail */
};

typedef int prologue_fn(struct str body, struct prologue *p, struct err *err);
typedef void on_fn(struct peer *p, struct request *req);

#define PROLOGUE(name, fill)                                                                       \
	static int prologue_##name(struct str body, struct prologue *p, struct err *err)           \
	{                                                                                          \
		struct store_##name##_req q;                                                       \
                                                                                                   \
		(void)p;                                                                           \
		if (store_##name##_req_get(body, &q, err) < 0)                                     \
			return -1;                                                                 \
		fill;                                                                              \
		return 0;                                                                          \
	}
#define BOTH (p->call = q.call, p->handle = q.handle)
#define HANDLE (p->handle = q.handle)
#define CALL_ID (p->call = q.call)
#define NONE ((void)0)
PROLOGUE(mailboxes, HANDLE)
PROLOGUE(mailbox_create, BOTH)
PROLOGUE(mailbox_delete, BOTH)
PROLOGUE(mailbox_rename, BOTH)
PROLOGUE(mailbox_subscribe, BOTH)
PROLOGUE(mailbox_status, HANDLE)
PROLOGUE(uids, HANDLE)
PROLOGUE(vanished, HANDLE)
PROLOGUE(entries, HANDLE)
PROLOGUE(body, HANDLE)
PROLOGUE(flags, BOTH)
PROLOGUE(expunge, BOTH)
PROLOGUE(copy, BOTH)
PROLOGUE(secret_put, CALL_ID)
PROLOGUE(secret_list, NONE)
PROLOGUE(lease, NONE)
PROLOGUE(domain_put, CALL_ID)
PROLOGUE(domain_remove, CALL_ID)
PROLOGUE(domains, NONE)
PROLOGUE(account_add, CALL_ID)
PROLOGUE(account_enable, CALL_ID)
PROLOGUE(account_remove, CALL_ID)
PROLOGUE(account_restore, CALL_ID)
PROLOGUE(accounts, NONE)
PROLOGUE(former_mailboxes, HANDLE)
PROLOGUE(deleted, HANDLE)
PROLOGUE(undelete, BOTH)
PROLOGUE(digests, HANDLE)
PROLOGUE(account_quota, CALL_ID)
PROLOGUE(account_caps, CALL_ID)
PROLOGUE(domain_quota, CALL_ID)
PROLOGUE(identity, CALL_ID)
PROLOGUE(identities, NONE)
PROLOGUE(alias_put, CALL_ID)
PROLOGUE(alias_remove, CALL_ID)
PROLOGUE(aliases, NONE)
PROLOGUE(queue, NONE)
PROLOGUE(queue_change, CALL_ID)
PROLOGUE(status, NONE)
PROLOGUE(trace, NONE)

static const struct row {
	uint16_t type;
	enum authority needs;
	prologue_fn *prologue;
	int (*write)(struct txn *t, struct store_job *job, struct err *err);
	int (*read)(struct view *v, struct store_job *job, struct err *err);
	on_fn *on; /* handled on the loop's thread */
} rows[] = {
#define WRITE(name, needs)                                                                         \
	{                                                                                          \
		MSG_store_##name, needs, prologue_##name, store_do_##name, NULL, NULL              \
	}
#define READ(name, needs)                                                                          \
	{                                                                                          \
		MSG_store_##name, needs, prologue_##name, NULL, store_do_##name, NULL              \
	}
#define ON(name)                                                                                   \
	{                                                                                          \
		MSG_store_##name, NO_HANDLE, NULL, NULL, NULL, store_on_##name                     \
	}
	ON(attach),
	ON(account_open),
	ON(detach),
	ON(rcpt),
	ON(sender),
	ON(greylist),
	{ MSG_store_txn_body, NO_HANDLE, NULL, NULL, NULL, store_on_body },
	{ MSG_store_txn_rcpts, NO_HANDLE, NULL, NULL, NULL, store_on_rcpts },
	{ MSG_store_txn_abort, NO_HANDLE, NULL, NULL, NULL, store_on_abort },
	ON(deliver),
	{ MSG_store_refused, NO_HANDLE, NULL, NULL, NULL, store_on_refused },
	READ(mailboxes, MAIL_HANDLE),
	WRITE(mailbox_create, MAIL_HANDLE),
	WRITE(mailbox_delete, MAIL_HANDLE),
	WRITE(mailbox_rename, MAIL_HANDLE),
	WRITE(mailbox_subscribe, MAIL_HANDLE),
	READ(mailbox_status, MAIL_HANDLE),
	ON(select),
	ON(unlock),
	ON(watch),
	READ(uids, MAIL_HANDLE),
	READ(vanished, MAIL_HANDLE),
	READ(entries, MAIL_HANDLE),
	READ(body, MAIL_HANDLE),
	WRITE(flags, MAIL_HANDLE),
	WRITE(expunge, MAIL_HANDLE),
	WRITE(copy, MAIL_HANDLE),
	ON(append),
	ON(login),
	ON(secret_get),
	WRITE(secret_put, NO_HANDLE),
	READ(secret_list, NO_HANDLE),
	ON(grant),
	ON(revoke),
	WRITE(lease, NO_HANDLE),
	ON(lease_body),
	ON(result),
	WRITE(domain_put, NO_HANDLE),
	WRITE(domain_remove, NO_HANDLE),
	READ(domains, NO_HANDLE),
	WRITE(account_add, NO_HANDLE),
	WRITE(account_enable, NO_HANDLE),
	WRITE(account_remove, NO_HANDLE),
	WRITE(account_restore, NO_HANDLE),
	READ(accounts, NO_HANDLE),
	READ(former_mailboxes, MAIL_HANDLE),
	READ(deleted, MAIL_HANDLE),
	WRITE(undelete, MAIL_HANDLE),
	READ(digests, MAIL_HANDLE),
	WRITE(account_quota, NO_HANDLE),
	WRITE(account_caps, NO_HANDLE),
	WRITE(domain_quota, NO_HANDLE),
	WRITE(identity, NO_HANDLE),
	READ(identities, NO_HANDLE),
	WRITE(alias_put, NO_HANDLE),
	WRITE(alias_remove, NO_HANDLE),
	READ(aliases, NO_HANDLE),
	READ(queue, NO_HANDLE),
	WRITE(queue_change, NO_HANDLE),
	READ(status, NO_HANDLE),
	READ(trace, NO_HANDLE),
	ON(backup_begin),
	ON(backup_end),
};

int store_role_fits(struct store_job *job, struct err *err)
{
	if (buf_ok(&job->answer))
		return 0;
	return err_set(err, ERR_LIMIT, "the answer does not fit a message");
}

bool listing_fits(struct listing *l, size_t before)
{
	if (buf_ok(&l->items) && l->items.n <= STORE_ITEMS)
		return true;
	buf_cut(&l->items, before);
	l->items.over = false;
	l->more = true;
	return false;
}

/* ---- works ---- */

struct work *store_work_new(struct peer *p, struct request *req, struct err *err)
{
	struct work *w = p->works < STORE_WORKS_MAX ? calloc(1, sizeof *w) : NULL;

	if (!w) {
		err_set(err, ERR_TEMP, "the store is too busy");
		return NULL;
	}
	w->s = p->s;
	w->peer = p;
	w->req = req;
	w->job.answer = BUF(MSG_MAX);
	w->job.kind = req ? req->type : 0;
	p->works++;
	p->s->works++;
	return w;
}

static void peer_free(struct peer *p)
{
	if (p->ch || p->works || p->intakes.n)
		return;
	if (p->alone)
		map_del_u64(&p->s->alone, p->alone);
	map_free(&p->handles);
	map_free(&p->intakes);
	map_free(&p->leases);
	free(p);
}

void store_peer_release(struct peer *p)
{
	p->works--;
	peer_free(p);
}

static void work_free(struct work *w)
{
	struct peer *p = w->peer;

	store_job_free(&w->job);
	buf_free(&w->text);
	if (w->intake)
		store_intake_free(w->intake);
	if (--w->s->works == 0)
		signal_raise(&w->s->idle);
	free(w);
	store_peer_release(p);
}

void store_work_submit(struct work *w)
{
	store_submit(w->s->store, &w->job);
}

void store_work_fail(struct work *w, const struct err *why)
{
	if (w->req)
		request_fail(&w->req, why);
	work_free(w);
}

void store_say_due(struct store_role *s)
{
	const struct store_due m = { .about = 1 };
	struct err err = ERR_INIT;

	for (struct peer *p = s->peers; p; p = p->next)
		if (p->who == WHO_COURIER && p->ch)
			(void)store_due_send(p->ch, &m, &err);
}

static void say_until(struct store_role *s, struct peer *p)
{
	const struct store_leases_until m = { .until = s->leases_until };
	struct err err = ERR_INIT;

	if (p->who == WHO_COURIER && p->ch)
		(void)store_leases_until_send(p->ch, &m, &err);
}

/* T174: a courier that was stopped, or whose store cannot renew them, does not go on with leases
 * that have run out. */
static void watch_leases(struct store_role *s)
{
	int64_t until = store_leases_end(s->store);

	if (until == s->leases_until)
		return;
	s->leases_until = until;
	for (struct peer *p = s->peers; p; p = p->next)
		say_until(s, p);
}

static void finish(struct work *w)
{
	struct store_job *job = &w->job;

	if (job->result == 0 && !job->repeated) {
		store_publish(w->s, &job->changes);
		if (job->changes.queue)
			store_say_due(w->s);
	}
	if (w->after)
		w->after(w);
	if (job->result < 0) {
		store_work_fail(w, &job->err);
		return;
	}
	if (w->req)
		request_answer(&w->req, buf_str(&job->answer));
	work_free(w);
}

/* Any thread. */
static void woken(void *arg)
{
	struct store_role *s = arg;

	remote_raise(s->remote);
}

static void fatal(void *arg, const struct err *why)
{
	(void)arg;
	(void)why; /* logged already */
	_exit(EX_IOERR);
}

static void finish_all(struct store_role *s)
{
	struct store_job *job = store_finished(s->store);

	while (job) {
		struct store_job *next = job->next;

		finish(work_of(job));
		job = next;
	}
}

static void finish_task(void *arg)
{
	struct store_role *s = arg;
	struct err err = ERR_INIT;

	while (task_wait(-1, 0, &s->finished, NEVER, &err) >= 0) {
		finish_all(s);
		store_foreign_publish(s);
	}
}

/* ---- requests ---- */

static const struct row *find_row(uint16_t type)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].type == type)
			return &rows[i];
	return NULL;
}

static void fail(struct request *req, const struct err *why)
{
	request_fail(&req, why);
}

static void start_job(struct peer *p, const struct row *row, struct request *req)
{
	struct prologue begin = { 0 };
	struct err err = ERR_INIT;
	struct handle *h = NULL;
	struct work *w;

	if (row->prologue(req->body, &begin, &err) < 0) {
		channel_violation(req->ch, err.msg);
		fail(req, &err);
		return;
	}
	if (row->needs == MAIL_HANDLE) {
		h = store_handle(p, begin.handle);
		if (!h || !(h->scopes & SCOPE_MAIL)) {
			err_set(&err, ERR_DENIED, "the login has ended");
			fail(req, &err);
			return;
		}
	}
	w = store_work_new(p, req, &err);
	if (!w) {
		fail(req, &err);
		return;
	}
	w->handle = begin.handle;
	w->account = w->job.owner = h ? h->account : 0;
	w->job.call = begin.call;
	w->job.write = row->write;
	w->job.read = row->read;
	store_work_submit(w);
}

static void on_request(void *arg, struct request *req)
{
	const struct row *row = find_row(req->type);
	struct err err = ERR_INIT;
	struct peer *p = arg;

	if (p->s->closing)
		err_set(&err, ERR_TEMP, "the store is ending");
	else if (!row)
		err_set(&err, ERR_PROTO, "not a request to the store");
	if (err.kind != ERR_NONE) {
		fail(req, &err);
		return;
	}
	if (row->on)
		row->on(p, req);
	else
		start_job(p, row, req);
}

/* ---- peers ---- */

static int forget_holder(struct txn *t, struct store_job *job, struct err *err)
{
	return queue_holder_gone(t, work_of(job)->peer->id, err);
}

static void forget_again(struct work *w);

static void drop_leases(struct peer *p)
{
	struct err err = ERR_INIT;
	struct work *w;
	void *lease;
	size_t pos = 0;

	if (p->who != WHO_COURIER || p->s->closing)
		return;
	while ((lease = map_next(&p->leases, &pos)))
		free(lease);
	map_free(&p->leases);
	w = store_work_new(p, NULL, &err);
	if (!w)
		return;
	w->job.write = forget_holder;
	w->after = forget_again;
	store_work_submit(w);
}

static void forget_later(void *arg)
{
	struct peer *p = arg;
	struct err err = ERR_INIT;

	if (task_sleep(clock_after(FORGET_AGAIN * CLOCK_SEC), &err) == 0)
		drop_leases(p);
	store_peer_release(p);
}

/* Refused for now (a full disk, say): nobody else would ever give its recipients out again. */
static void forget_again(struct work *w)
{
	struct peer *p = w->peer;
	struct err err = ERR_INIT;

	if (w->job.result == 0 || p->s->closing)
		return;
	log_event(LOG_WARN, "store.leases", L_ERR(&w->job.err));
	p->works++; /* stays until we are through */
	if (task_spawn(p->s->role->group, "forget leases", forget_later, p, &err) < 0)
		p->works--;
}

static void on_ended(void *arg, const struct err *why)
{
	struct peer *p = arg;

	(void)why;
	*p->at = p->next;
	if (p->next)
		p->next->at = p->at;
	channel_close(&p->ch);
	store_handles_of_peer_end(p);
	store_backup_over(p);
	store_intakes_of_peer_end(p);
	p->works++; /* stays until we are through */
	drop_leases(p);
	store_peer_release(p);
}

static void on_peer(void *arg, uint32_t who, uint32_t number, int fd)
{
	struct store_role *s = arg;
	struct peer *p = calloc(1, sizeof *p);
	struct err err = ERR_INIT;

	if (!p) {
		close(fd);
		return;
	}
	*p = (struct peer){ .s = s,
		.who = who,
		.id = ++s->last_peer,
		.handles = MAP(STORE_HANDLES_MAX),
		.intakes = MAP(STORE_INTAKES_MAX),
		.leases = MAP(QUEUE_LEASES_MAX) };
	p->ch = channel_new(s->role->group, fd, who, number, on_request, on_ended, p, &err);
	if (!p->ch) {
		log_event(LOG_WARN, "store.peer", L_ERR(&err));
		free(p);
		return;
	}
	p->next = s->peers;
	p->at = &s->peers;
	if (p->next)
		p->next->at = &p->next;
	s->peers = p;
	if (who == WHO_COURIER)
		store_say_due(s);
}

/* ---- life ---- */

/* Wakes the courier when something that waits in the queue comes due, and forgets old grants. */
static void clock_task(void *arg)
{
	struct store_role *s = arg;
	struct err err = ERR_INIT;

	do {
		err = ERR_INIT;
		store_grants_expire(s);
		store_alarm_rest(s);
		store_map_renew(s);
		watch_leases(s);
		if (s->next_due <= clock_wall()) {
			s->next_due = QUEUE_NEVER;
			store_say_due(s);
		}
		(void)task_wait(-1, 0, &s->due, clock_after(CLOCK_SEC), &err);
	} while (err.kind != ERR_CANCELED);
}

/* SQLite takes no descriptor: it names its files from here. The sandbox may make this the root. */
int role_store_prepare(struct role *r, struct err *err)
{
	for (size_t i = 0; i < r->file_count; i++)
		if (r->files[i].purpose == FILE_DATA_DIR && fchdir(r->files[i].fd) < 0)
			return err_sys(err, "enter", "the data folder");
	return store_database_prepare(r, err);
}

/* In the order of the setting's choices. */
static char separator(const struct conf *conf)
{
	static const char choices[] = { '+', '-', '_', '=', STORE_NO_SUBADDRESS };

	return choices[conf_u64(conf, CONF_SUBADDRESS)];
}

static int open_store(struct store_role *s, struct err *err)
{
	const int64_t grace = conf_duration(s->role->conf, CONF_QUOTA_GRACE) / CLOCK_SEC;
	const struct store_options o = { .path = ".",
		.url = store_database_url(),
		.standby = conf_bool(s->role->conf, CONF_STORE_STANDBY),
		.changed = store_foreign_add,
		.compress = !store_database_url() && conf_bool(s->role->conf, CONF_STORE_COMPRESS),
		.segment_bytes = conf_u64(s->role->conf, CONF_STORE_SEGMENT),
		.reserve_bytes = conf_u64(s->role->conf, CONF_STORE_RESERVE),
		.retention = conf_duration(s->role->conf, CONF_STORE_RETENTION) / CLOCK_SEC,
		.subaddress = separator(s->role->conf),
		.map = store_map_open(s),
		.quota_grace = grace ? grace : -1,
		.cap_messages = (int64_t)conf_u64(s->role->conf, CONF_CAP_MESSAGES),
		.cap_recipients = (int64_t)conf_u64(s->role->conf, CONF_CAP_RECIPIENTS),
		.woken = woken,
		.fatal = fatal,
		.arg = s };

	s->squeezes = o.compress;
	/* A blob that waits for the disk must not keep small mail from being squeezed. */
	if (s->squeezes)
		(void)rt_workers(SQUEEZING_WORKERS);
	if (store_open(s->dir, &o, &s->store, err) < 0)
		return -1;
	return view_open(s->store, &s->view, err);
}

/* What was begun is finished; nothing new begins. */
static void drain(struct store_role *s)
{
	struct err err = ERR_INIT;

	s->closing = true;
	task_shield(true);
	while (s->works && task_wait(-1, 0, &s->idle, s->role->stop_by, &err) >= 0)
		;
	task_shield(false);
}

static int serve(struct store_role *s, struct err *err)
{
	struct store_figures f;
	struct err why = ERR_INIT;

	if (task_spawn(s->role->group, "finished jobs", finish_task, s, err) < 0 ||
		task_spawn(s->role->group, "store clock", clock_task, s, err) < 0)
		return -1;
	s->leases_until = store_leases_end(s->store);
	role_on_peer(s->role,
		WHO_MX | WHO_SUBMIT | WHO_MAILBOX | WHO_VAULT | WHO_COURIER | WHO_OPERATOR |
			WHO_MASTER,
		on_peer, s);
	store_figures(s->store, &f);
	role_ready(s->role, f.alarm);
	while (!s->role->stopping && why.kind != ERR_CANCELED) {
		why = ERR_INIT;
		(void)task_wait(-1, 0, &s->role->stop, NEVER, &why);
	}
	drain(s);
	return 0;
}

int role_store_main(struct role *r, struct err *err)
{
	/* Its channels outlive this function by a little. */
	static struct store_role self;
	struct store_role *s = &self;
	int result = -1;

	*s = (struct store_role){ .role = r,
		.accounts = MAP(STORE_HANDLES_MAX),
		.grants = MAP(STORE_GRANTS_MAX),
		.alone = MAP(STORE_HANDLES_MAX) };
	pthread_mutex_init(&s->foreign_lock, NULL);
	s->youngest = &s->oldest;
	s->next_due = QUEUE_NEVER;
	s->dir = role_take_file(r, FILE_DATA_DIR, NULL);
	if (s->dir < 0)
		return err_set(err, ERR_PERM, "the master has passed no data folder");
	s->remote = remote_new(&s->finished, err);
	if (s->remote && store_greylist_start(s, err) == 0 && open_store(s, err) == 0)
		result = serve(s, err);
	s->closing = true;
	view_close(&s->view);
	store_close(&s->store);
	greylist_free(&s->greylist);
	return result;
}
