#include "role/front.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/tls.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "role/front_guard.h"
#include "role/front_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "config.h"

enum { PROXY_SECONDS = 5, GOODBYE_SECONDS = 3, LOGINS_MAX = 60000, BODIES_MAX = 60000 };

struct acceptor {
	struct front *front;
	struct task_group *sessions;
	const struct role_listener *listener;
};

struct session {
	struct acceptor *at;
	struct conn *c;
	struct visitor visitor;
};

uint64_t front_call_id(struct front *f)
{
	return ++f->call_next;
}

int front_expunge(
	struct front *f, struct front_login *login, struct store_expunge_req *q, struct err *err)
{
	struct store_expunge_rep a;
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		struct reply hold = { 0 };

		q->call = front_call_id(f);
		r = FRONT_CALL(f, login, store_expunge, q, &a, &hold, err);
		more = r == 0 && a.expunged.n > 0;
		reply_free(&hold);
	}
	return r;
}

/* ---- one connection ---- */

static void serve(struct session *session, enum service s)
{
	struct front *f = session->at->front;
	struct conn *c = session->c;

	if (s == SERVICE_SMTP || s == SERVICE_LMTP || s == SERVICE_SUBMISSION ||
		s == SERVICE_SUBMISSIONS)
		front_smtp_session(f, c, s, &session->visitor);
	if (s == SERVICE_IMAP || s == SERVICE_IMAPS)
		front_imap_session(f, c, s);
	if (s == SERVICE_POP3 || s == SERVICE_POP3S)
		front_pop3_session(f, c, s);
}

/* In the words of the service; behind TLS from the first byte there is nobody to read them yet. */
static void refuse(struct conn *c, enum service s, bool tls, const char *why)
{
	struct err err = ERR_INIT;

	if (tls)
		return;
	if (s == SERVICE_IMAP)
		conn_writef(c, "* BYE %s, try again later\r\n", why);
	else if (s == SERVICE_POP3)
		conn_writef(c, "-ERR [SYS/TEMP] %s, try again later\r\n", why);
	else
		conn_writef(c, "421 4.7.0 %s, try again later\r\n", why);
	conn_deadline(c, clock_after(GOODBYE_SECONDS * CLOCK_SEC));
	(void)conn_flush(c, &err);
}

/* T015: a balancer that is listed says first whom it speaks for, and nobody else is heard. From
 * here on the client is the peer, for limits, logs and traces. */
static bool know_peer(struct session *s)
{
	struct err err = ERR_INIT;

	if (!conf_network_has(s->at->front->conf, CONF_PROXY_FROM, conn_peer(s->c)))
		return true;
	conn_deadline(s->c, clock_after(PROXY_SECONDS * CLOCK_SEC));
	if (conn_read_proxy(s->c, &err) == 0) {
		task_describe(conn_peer(s->c));
		return true;
	}
	/* Some balancers look whether the port is open, and say nothing. */
	log_event(err.kind == ERR_CLOSED ? LOG_DEBUG : LOG_WARN, "proxy.refused",
		L_STR("rip", conn_peer(s->c)), L_ERR(&err));
	return false;
}

/* The client is known by its address now: may it stay? */
static void receive(struct session *s)
{
	struct front *f = s->at->front;
	const struct role_listener *l = s->at->listener;
	bool guarded = l->service != SERVICE_LMTP; /* the server in front stands for many */
	const char *no = guarded ? guard_enter(&s->visitor, f, conn_peer(s->c)) : NULL;
	struct err err = ERR_INIT;

	if (no) {
		refuse(s->c, l->service, l->tls, no);
	} else if (l->tls && guard_start_tls(f, s->c, l->service, &err) < 0) {
		log_event(LOG_INFO, "tls.failed", L_STR("rip", conn_peer(s->c)), L_ERR(&err));
	} else {
		serve(s, l->service);
		task_shield(true);
		conn_deadline(s->c, clock_after(GOODBYE_SECONDS * CLOCK_SEC));
		conn_shutdown(s->c);
		task_shield(false);
	}
	if (guarded)
		guard_leave(&s->visitor);
}

static void run_session(void *arg)
{
	struct session *s = arg;
	struct front *f = s->at->front;

	f->role->sessions++;
	task_describe(conn_peer(s->c));
	if (know_peer(s))
		receive(s);
	f->role->sessions--;
	conn_free(&s->c);
	free(s);
}

/* ---- accepting ---- */

static void start_session(struct acceptor *a, int fd)
{
	struct session *s = calloc(1, sizeof *s);
	struct err err = ERR_INIT;

	if (!s) {
		close(fd);
		return;
	}
	s->at = a;
	s->c = conn_socket(fd);
	if (!s->c) {
		free(s);
		return;
	}
	if (task_spawn(a->sessions, "session", run_session, s, &err) == 0)
		return;
	log_event(LOG_WARN, "connection.refused", L_STR("rip", conn_peer(s->c)), L_ERR(&err));
	refuse(s->c, a->listener->service, a->listener->tls, "too many connections");
	conn_free(&s->c);
	free(s);
}

static void run_acceptor(void *arg)
{
	struct acceptor *a = arg;
	struct err err = ERR_INIT;
	int fd;

	if (fd_watch(a->listener->fd, &err) < 0)
		log_event(LOG_ERROR, "listener.failed", L_ERR(&err));
	else {
		while (listen_accept(a->listener->fd, &fd, &err) == 0)
			start_session(a, fd);
		if (err.kind != ERR_CANCELED)
			log_event(LOG_ERROR, "listener.failed", L_ERR(&err));
		fd_forget(a->listener->fd);
	}
	close(a->listener->fd);
}

static int accept_all(struct front *f, struct acceptor *acceptors, struct task_group *accepting,
	struct task_group *sessions, struct err *err)
{
	for (size_t i = 0; i < f->role->listener_count; i++) {
		acceptors[i] = (struct acceptor){
			.front = f, .sessions = sessions, .listener = &f->role->listeners[i]
		};
		if (task_spawn(accepting, "accept", run_acceptor, &acceptors[i], err) < 0)
			return -1;
	}
	return 0;
}

/* ---- the role ---- */

static void on_store(void *arg, struct request *req)
{
	front_login_message(arg, req);
	front_body_message(arg, req);
	request_free(&req);
}

static void on_store_state(void *arg, bool up)
{
	front_login_store_state(arg, up);
	if (!up)
		front_body_store_down(arg);
}

static void on_vault(void *arg, struct request *req)
{
	struct front *f = arg;

	if (req->type == MSG_vault_changed)
		signal_raise(&f->tls_changed);
	request_free(&req);
}

/* A vault that was away may have changed certificates meanwhile. */
static void on_vault_state(void *arg, bool up)
{
	struct front *f = arg;

	if (up)
		signal_raise(&f->tls_changed);
}

static int front_init(struct front *f, struct role *r, struct err *err)
{
	*f = (struct front){ .role = r,
		.conf = r->conf,
		.who = r->who,
		.store = role_link(r, WHO_STORE),
		.vault = role_link(r, WHO_VAULT),
		.dns = role_link(r, WHO_DNS),
		.logins = MAP(LOGINS_MAX),
		.bodies = MAP(BODIES_MAX) };
	if (getrandom(&f->call_next, sizeof f->call_next, 0) != sizeof f->call_next)
		return err_sys(err, "get", "random bytes");
	link_on(f->store, on_store, on_store_state, f);
	link_on(f->vault, on_vault, on_vault_state, f);
	return 0;
}

int role_front_prepare(struct role *r, struct err *err)
{
	struct tls_server *first = NULL;
	int result;

	/* OpenSSL loads its provider and its tables with the first context. */
	(void)r;
	result = tls_server_new(&first, STR("prepare"), STR(""), err);
	tls_server_free(&first);
	return result;
}

int role_front_main(struct role *r, struct err *err)
{
	static struct front front; /* sessions point to it; one a process */
	struct acceptor acceptors[ROLE_LISTENERS_MAX];
	struct task_group *accepting = task_group_new("accept");
	struct task_group *sessions = task_group_new("sessions");
	struct err ignored = ERR_INIT;
	int result = -1;

	if (!accepting || !sessions) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	if (front_init(&front, r, err) < 0 || guard_new(&front, err) < 0 ||
		front_tls_start(&front, err) < 0 ||
		accept_all(&front, acceptors, accepting, sessions, err) < 0)
		goto out;
	role_ready(r, "");
	while (!r->stopping && task_wait(-1, 0, &r->stop, NEVER, &ignored) >= 0)
		;
	result = 0;
out:
	/* First no new ones; then the sessions are cancelled, say their goodbye and end. */
	task_group_end(&accepting);
	task_group_end(&sessions);
	guard_free(&front);
	return result;
}
