#include "role/front.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/tls.h"
#include "net/listen.h"
#include "net/proxy.h"
#include "role/front_private.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "config.h"

enum {
	PROXY_SECONDS = 5,
	HANDSHAKE_SECONDS = 30,
	GOODBYE_SECONDS = 3,
	LOGINS_MAX = 60000,
	BODIES_MAX = 60000
};

/* How many connections an address has; one per address that has any. */
struct source {
	size_t n;
	char address[64];
};

struct acceptor {
	struct front *front;
	struct task_group *sessions;
	const struct role_listener *listener;
	struct map *sources; /* shared by all acceptors of the process */
};

struct session {
	struct acceptor *at;
	struct conn *c;
	struct source *source;
};

uint64_t front_call_id(struct front *f)
{
	return ++f->call_next;
}

/* ---- one connection ---- */

static void serve(struct front *f, struct conn *c, enum service s)
{
	if (s == SERVICE_SMTP || s == SERVICE_SUBMISSION || s == SERVICE_SUBMISSIONS)
		front_smtp_session(f, c, s);
	if (s == SERVICE_IMAP || s == SERVICE_IMAPS)
		front_imap_session(f, c, s);
	if (s == SERVICE_POP3 || s == SERVICE_POP3S)
		front_pop3_session(f, c, s);
}

static int begin_tls(struct front *f, struct conn *c, enum service s, struct err *err)
{
	if (!f->tls[s])
		return err_set(err, ERR_TEMP, "there is no certificate yet");
	conn_deadline(c, clock_after(HANDSHAKE_SECONDS * CLOCK_SEC));
	return conn_start_tls_server(c, f->tls[s], err);
}

/* In the words of the service; behind TLS from the first byte there is nobody to read them yet. */
static void refuse(struct conn *c, enum service s, bool tls)
{
	struct err err = ERR_INIT;

	if (tls)
		return;
	if (s == SERVICE_IMAP)
		conn_write(c, STR("* BYE too many connections, try again later\r\n"));
	else if (s == SERVICE_POP3)
		conn_write(c, STR("-ERR [SYS/TEMP] too many connections, try again later\r\n"));
	else
		conn_write(c, STR("421 4.7.0 too many connections, try again later\r\n"));
	conn_deadline(c, clock_after(GOODBYE_SECONDS * CLOCK_SEC));
	(void)conn_flush(c, &err);
}

/* Count one more connection of this address. False: it has enough. */
static bool take_source(struct session *s, size_t max)
{
	struct map *sources = s->at->sources;
	struct str address = conn_peer(s->c);
	struct source *from = map_get(sources, address);

	if (!from) {
		from = calloc(1, sizeof *from);
		if (!from || !str_z(address, from->address, sizeof from->address) ||
			!map_put(sources, str_c(from->address), from)) {
			free(from);
			return false;
		}
	}
	s->source = from;
	from->n++;
	return max == 0 || from->n <= max;
}

static void leave_source(struct session *s)
{
	struct source *from = s->source;

	if (!from || --from->n > 0)
		return;
	map_del(s->at->sources, str_c(from->address));
	free(from);
}

static bool admitted(struct session *s)
{
	struct front *f = s->at->front;

	return take_source(s, (size_t)conf_u64(f->conf, CONF_CONNECTIONS_PER_ADDRESS)) &&
		f->role->sessions <= conf_u64(f->conf, CONF_CONNECTIONS_MAX);
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

static void run_session(void *arg)
{
	struct session *s = arg;
	struct front *f = s->at->front;
	const struct role_listener *l = s->at->listener;
	struct err err = ERR_INIT;

	f->role->sessions++;
	task_describe(conn_peer(s->c));
	if (!know_peer(s)) {
		/* nobody to talk to */
	} else if (!admitted(s)) {
		log_event(LOG_WARN, "connection.refused", L_STR("rip", conn_peer(s->c)));
		refuse(s->c, l->service, l->tls);
	} else if (l->tls && begin_tls(f, s->c, l->service, &err) < 0) {
		log_event(LOG_INFO, "tls.failed", L_STR("rip", conn_peer(s->c)), L_ERR(&err));
	} else {
		serve(f, s->c, l->service);
		task_shield(true);
		conn_deadline(s->c, clock_after(GOODBYE_SECONDS * CLOCK_SEC));
		conn_shutdown(s->c);
		task_shield(false);
	}
	leave_source(s);
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
	refuse(s->c, a->listener->service, a->listener->tls);
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
	struct task_group *sessions, struct map *sources, struct err *err)
{
	for (size_t i = 0; i < f->role->listener_count; i++) {
		acceptors[i] = (struct acceptor){ .front = f,
			.sessions = sessions,
			.listener = &f->role->listeners[i],
			.sources = sources };
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
	struct map sources = MAP(65536);
	struct err ignored = ERR_INIT;
	int result = -1;

	if (!accepting || !sessions) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	if (front_init(&front, r, err) < 0 || front_tls_start(&front, err) < 0 ||
		accept_all(&front, acceptors, accepting, sessions, &sources, err) < 0)
		goto out;
	role_ready(r, "");
	while (!r->stopping && task_wait(-1, 0, &r->stop, NEVER, &ignored) >= 0)
		;
	result = 0;
out:
	/* First no new ones; then the sessions are cancelled, say their goodbye and end. */
	task_group_end(&accepting);
	task_group_end(&sessions);
	map_free(&sources);
	return result;
}
