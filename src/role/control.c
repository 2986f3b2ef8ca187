/* control.c - the control socket: commands ask the master for a channel to the store or the vault,
 * or how things are. The kernel says who they are. */
#include "role/master_private.h"

#include "base/log.h"
#include "conf/conf.h"
#include "net/listen.h"
#include "role/sandbox.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"

enum { COMMANDS_MAX = 64, ROLES_BYTES = 56 << 10 };

struct command {
	struct master *m;
	struct channel *ch;
	int copy; /* the same socket, to be handed on */
};

static size_t command_count;

/* ---- the socket ---- */

static int make_folder(const char *path, struct err *err)
{
	char copy[256];
	const char *dir;

	if (!str_z(str_c(path), copy, sizeof copy))
		return err_set(err, ERR_PERM, "the control socket's path is too long");
	dir = dirname(copy);
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "create the control socket's folder", dir);
	return 0;
}

int control_open(struct master *m, struct err *err)
{
	const char *path = conf_z(m->conf, CONF_CONTROL);
	struct buf where = BUF(4096);
	mode_t old;
	int r;

	if (make_folder(path, err) < 0)
		return -1;
	buf_addf(&where, "unix:%s", path);
	old = umask(0177); /* ours alone, from the first moment */
	r = listen_open(buf_str(&where), &m->control_fd, err);
	umask(old);
	buf_free(&where);
	return r;
}

/* ---- one command ---- */

static void command_free(struct command **cp)
{
	struct command *c = *cp;

	*cp = NULL;
	if (c->copy >= 0)
		close(c->copy);
	channel_close(&c->ch);
	free(c);
	command_count--;
}

static void on_end(void *arg, const struct err *why)
{
	struct command *c = arg;

	command_free(&c);
}

/* The answer is on its way before the role gets the socket, and nothing more is read here: what
 * the command says next is for the role. */
static void connect_command(struct command *c, struct request *req)
{
	struct control_connect_rep yes = { .ok = 1 };
	struct control_connect_req q = { 0 };
	struct child *child;
	struct err err = ERR_INIT;
	int fd = c->copy;

	(void)control_connect_req_get(req->body, &q, &err);
	child = q.who & (WHO_STORE | WHO_VAULT) ? child_find(c->m, q.who) : NULL;
	if (!child) {
		err_set(&err, ERR_TEMP, "the %s is not running; try again", who_name(q.who));
		request_fail(&req, &err);
		return;
	}
	c->copy = -1;
	control_connect_answer(&req, &yes);
	channel_close(&c->ch);
	if (child_give_channel(child, WHO_OPERATOR, ++c->m->next_number, fd, &err) < 0)
		log_event(LOG_WARN, "control.connect", L_ERR(&err));
	command_free(&c);
}

static void add_role(struct buf *roles, const struct child *c)
{
	struct buf isolation = BUF(80);
	struct control_role row = { .name = str_c(c->kind->name),
		.pid = (uint32_t)c->pid,
		.restarts = c->restarts,
		.ready = c->ready,
		.note = str_c(c->ready             ? c->note
				: c->failed.msg[0] ? c->failed.msg
						   : c->told) };

	if (c->ready)
		sandbox_describe(c->isolation, &isolation);
	row.isolation = buf_str(&isolation);
	if (roles->n < ROLES_BYTES - 1024)
		control_role_put(roles, &row);
	buf_free(&isolation);
}

static void answer_status(struct master *m, struct request *req)
{
	struct buf roles = BUF(ROLES_BYTES), listeners = BUF(4000);
	struct control_status_rep a = { .started = m->started, .version = STR(EILPOST_VERSION) };

	for (size_t i = 0; i < m->child_count; i++)
		add_role(&roles, &m->children[i]);
	for (size_t i = 0; i < m->listener_count; i++) {
		buf_addz(&listeners, i ? " " : "");
		buf_add(&listeners, m->listeners[i].where);
	}
	a.roles = buf_str(&roles);
	a.listeners = buf_str(&listeners);
	control_status_answer(&req, &a);
	buf_free(&roles);
	buf_free(&listeners);
}

static void on_command(void *arg, struct request *req)
{
	struct command *c = arg;

	if (req->type == MSG_control_connect)
		connect_command(c, req);
	else if (req->type == MSG_control_status)
		answer_status(c->m, req);
	else
		request_free(&req);
}

/* Root, and whoever runs the server. */
static bool may_command(int fd)
{
	struct ucred who;
	socklen_t n = sizeof who;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) < 0)
		return false;
	if (who.uid == 0 || who.uid == geteuid())
		return true;
	log_event(LOG_WARN, "control.denied", L_U64("uid", who.uid), L_I64("pid", who.pid));
	return false;
}

static void begin_command(struct master *m, int fd)
{
	struct command *c = NULL;
	struct err err = ERR_INIT;

	if (may_command(fd) && command_count < COMMANDS_MAX)
		c = calloc(1, sizeof *c);
	if (!c) {
		close(fd);
		return;
	}
	command_count++;
	c->m = m;
	c->copy = dup(fd);
	if (c->copy < 0)
		close(fd);
	else
		c->ch = channel_new(m->group, fd, WHO_COMMAND, 0, on_command, on_end, c, &err);
	if (!c->ch)
		command_free(&c);
}

void control_serve(void *arg)
{
	struct master *m = arg;
	struct err err = ERR_INIT;
	int fd = -1;

	if (fd_watch(m->control_fd, &err) < 0) {
		master_fail(m, &err);
		return;
	}
	while (listen_accept(m->control_fd, &fd, &err) == 0)
		begin_command(m, fd);
	if (err.kind != ERR_CANCELED)
		master_fail(m, &err);
	fd_forget(m->control_fd);
}
