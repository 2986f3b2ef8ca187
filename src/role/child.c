/* child.c - one role process as its master sees it: started, joined with its peers, watched,
 * started again. */
#include "role/master_private.h"

#include "base/log.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { PING_SECONDS = 5, PONG_SECONDS = 30, BRIEF_SECONDS = 1 };
/* Who waits for something outside (a database) looks more often than who dies. */
static const int64_t backoff_first = CLOCK_SEC / 10, backoff_most = 30 * CLOCK_SEC,
		     backoff_waiting = 2 * CLOCK_SEC, say_again = 300 * CLOCK_SEC;

/* ---- the new process, between fork and exec: nothing but system calls ---- */

static void set_oom_score(int score)
{
	char text[16];
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	int n = snprintf(text, sizeof text, "%d", score);

	/* Best effort: /proc may be missing. */
	if (fd >= 0 && write(fd, text, (size_t)n) > 0)
		close(fd);
}

static _Noreturn void become_role(const struct role_kind *kind, int control)
{
	char *const argv[] = { (char *)(uintptr_t) "eilpost", (char *)(uintptr_t) "role",
		(char *)(uintptr_t)kind->name, NULL };
	int null = open("/dev/null", O_RDONLY);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	set_oom_score(kind->oom_score);
	/* A role has no terminal to read from, and standard output is the master's. */
	if (null >= 0)
		dup2(null, STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
	if (control == ROLE_CONTROL_FD)
		fcntl(control, F_SETFD, 0);
	else
		dup2(control, ROLE_CONTROL_FD);
	close_range(ROLE_CONTROL_FD + 1, ~0u, 0);
	execv("/proc/self/exe", argv);
	_exit(EX_OSERR);
}

static int fork_role(struct child *c, int *control, struct err *err)
{
	int sv[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0)
		return err_sys(err, "make a channel to", c->kind->name);
	pid = fork();
	if (pid == 0)
		become_role(c->kind, sv[1]);
	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return err_sys(err, "start", c->kind->name);
	}
	c->pid = pid;
	c->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	*control = sv[0];
	if (c->pidfd < 0)
		return err_sys(err, "watch", c->kind->name);
	return fd_watch(c->pidfd, err);
}

/* ---- what a role says to us ---- */

static void on_ready(struct child *c, const struct request *req)
{
	struct control_ready m;
	struct err err;

	if (control_ready_get(req->body, &m, &err) < 0)
		return;
	if (!c->ready)
		log_event(LOG_INFO, "role.ready", L_Z("name", c->kind->name), L_I64("pid", c->pid),
			L_U64("isolation", m.isolation));
	c->ready = true;
	c->told[0] = '\0';
	c->isolation = m.isolation;
	str_z(m.note, c->note, sizeof c->note);
	signal_raise(&c->m->event);
}

/* What a peer did to the store, the vault or dns is theirs to tell; they are the ones that are
 * asked. */
static void on_violation(struct child *c, const struct request *req)
{
	struct control_violation m;
	struct err err;

	if (control_violation_get(req->body, &m, &err) < 0)
		return;
	for (size_t i = 0; i < c->m->child_count; i++) {
		struct child *o = &c->m->children[i];

		if (o->pid && o->number == m.number && (o->kind->links & c->kind->who)) {
			log_event(LOG_ERROR, "role.violation", L_Z("name", o->kind->name),
				L_I64("pid", o->pid), L_Z("told_by", c->kind->name),
				L_STR("what", m.what));
			child_kill(o);
		}
	}
}

/* T095: a role that fails again and again for the same reason is not logged each time. */
static void tell_failed(struct child *c)
{
	c->repeats = strcmp(c->told, c->failed.msg) == 0 && clock_mono() - c->told_at < say_again;
	log_event(c->repeats ? LOG_DEBUG : LOG_ERROR, "role.failed", L_Z("name", c->kind->name),
		L_ERR(&c->failed));
	if (!c->repeats)
		c->told_at = clock_mono();
	memcpy(c->told, c->failed.msg, sizeof c->told);
}

static void on_failed(struct child *c, const struct request *req)
{
	struct control_failed m;
	struct err err;

	if (control_failed_get(req->body, &m, &err) < 0 || m.kind == ERR_NONE ||
		m.kind >= ERR_KINDS)
		return;
	err_set(&c->failed, (enum err_kind)m.kind, STR_F, STR_A(m.why));
	c->said = true;
	tell_failed(c);
}

static void on_message(void *arg, struct request *req)
{
	struct child *c = arg;

	if (req->type == MSG_control_ready)
		on_ready(c, req);
	else if (req->type == MSG_control_violation)
		on_violation(c, req);
	else if (req->type == MSG_control_failed)
		on_failed(c, req);
	request_free(&req);
}

/* A role without its control channel is of no more use; it has a while to end by itself. */
static void on_end(void *arg, const struct err *why)
{
	struct child *c = arg;

	signal_raise(&c->silent);
}

/* ---- joining it with its peers ---- */

int child_give_channel(struct child *c, uint32_t who, uint32_t number, int fd, struct err *err)
{
	struct control_channel m = { .who = who, .number = number, .fd = fd };

	if (!c->control) {
		close(fd);
		return err_set(err, ERR_TEMP, "the %s is not running", c->kind->name);
	}
	return control_channel_send(c->control, &m, err);
}

/* `asking` calls, `asked` answers; each learns from us who the other is. */
static int join(struct child *asking, struct child *asked, struct err *err)
{
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv) < 0)
		return err_sys(err, "make a channel to", asked->kind->name);
	if (child_give_channel(asking, asked->kind->who, asked->number, sv[0], err) < 0) {
		close(sv[1]);
		return -1;
	}
	return child_give_channel(asked, asking->kind->who, asking->number, sv[1], err);
}

static int join_peers(struct child *c, struct err *err)
{
	struct err other = ERR_INIT;

	for (size_t i = 0; i < c->m->child_count; i++) {
		struct child *o = &c->m->children[i];

		if (o == c || !o->control)
			continue;
		/* A peer that dies meanwhile gets a channel when it is back. */
		if (c->kind->links & o->kind->who)
			(void)join(c, o, &other);
		if (o->kind->links & c->kind->who)
			(void)join(o, c, &other);
	}
	return c->control ? 0 : err_set(err, ERR_CLOSED, "it ended at once");
}

/* ---- its life ---- */

static uint32_t who_is_up(const struct master *m)
{
	uint32_t up = 0;

	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].ready)
			up |= m->children[i].kind->who;
	return up;
}

static void heartbeat(void *arg)
{
	struct child *c = arg;
	struct control_ping_req q;
	struct control_ping_rep a;
	const struct master_options *o = c->m->options;
	int64_t every = o->ping_every ? o->ping_every : PING_SECONDS * CLOCK_SEC;
	int64_t patience = o->ping_patience ? o->ping_patience : PONG_SECONDS * CLOCK_SEC;
	struct err err = ERR_INIT;

	while (task_sleep(clock_after(every), &err) == 0) {
		if (!c->control || !c->ready)
			continue;
		q.up = who_is_up(c->m);
		if (control_ping(c->control, &q, clock_after(patience), &a, NULL, &err) == 0)
			continue;
		if (err.kind == ERR_TIMEOUT) {
			log_event(LOG_ERROR, "role.hangs", L_Z("name", c->kind->name),
				L_I64("pid", c->pid));
			child_kill(c);
		}
		return;
	}
}

static int start(struct child *c, struct err *err)
{
	struct control_go go = { .uid = c->uid, .gid = c->gid };
	int fd = -1;

	c->number = ++c->m->next_number;
	c->ready = false;
	c->note[0] = '\0';
	c->failed = ERR_INIT;
	c->said = c->repeats = false;
	c->silent = (struct signal){ 0 }; /* what the last process left is not about this one */
	c->group = task_group_new(c->kind->name);
	if (!c->group)
		return err_set(err, ERR_TEMP, "out of memory");
	if (fork_role(c, &fd, err) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	c->control = channel_new(c->group, fd, WHO_ROLE, c->number, on_message, on_end, c, err);
	if (!c->control || provide_child(c, err) < 0 || join_peers(c, err) < 0)
		return -1;
	if (control_go_send(c->control, &go, err) < 0)
		return -1;
	return task_spawn(c->group, "heartbeat", heartbeat, c, err);
}

static void say_ended(struct child *c, const siginfo_t *info, int64_t lived)
{
	bool killed = info->si_code == CLD_KILLED || info->si_code == CLD_DUMPED;
	bool wanted = c->m->stopping && !killed;

	log_event(wanted             ? LOG_INFO
			: c->repeats ? LOG_DEBUG
				     : LOG_ERROR,
		"role.ended", L_Z("name", c->kind->name), L_I64("pid", c->pid),
		L_I64(killed ? "signal" : "code", info->si_status),
		L_I64("seconds", lived / CLOCK_SEC));
	if (c->failed.kind == ERR_NONE && !wanted)
		err_set(&c->failed, ERR_TEMP, killed ? "killed by signal %d" : "ended with code %d",
			info->si_status);
}

static void wait_exit(struct child *c, siginfo_t *info)
{
	int64_t until = NEVER;
	struct err err = ERR_INIT;

	if (c->pidfd < 0) {
		if (c->pid) /* it could not be watched, and was killed */
			waitid(P_PID, (id_t)c->pid, info, WEXITED);
		return;
	}
	while (waitid(P_PID, (id_t)c->pid, info, WEXITED | WNOHANG) == 0 && info->si_pid == 0) {
		int r = task_wait(c->pidfd, WAIT_READ, &c->silent, until, &err);

		if (r < 0)
			child_kill(c);
		if (r < 0 || (r & WAIT_SIGNAL))
			until = r < 0 ? NEVER : clock_after(ROLE_GRACE_SECONDS * CLOCK_SEC);
	}
	fd_forget(c->pidfd);
	close(c->pidfd);
	c->pidfd = -1;
}

/* Wait for its end and bury it. Returns how long it lived. */
static int64_t wait_end(struct child *c, int64_t since)
{
	int64_t patience;
	siginfo_t info = { 0 };
	struct err err = ERR_INIT;
	int64_t lived;

	task_shield(true);
	wait_exit(c, &info);
	lived = clock_mono() - since;
	/* Its last words may still be in the channel. */
	patience = clock_after(CLOCK_SEC);
	while (c->control && channel_is_open(c->control))
		if (task_wait(-1, 0, &c->silent, patience, &err) < 0)
			break;
	channel_close(&c->control);
	task_group_end(&c->group);
	task_shield(false);
	if (c->pid)
		say_ended(c, &info, lived);
	c->pid = 0;
	c->ready = false;
	signal_raise(&c->m->event);
	return lived;
}

/* What a role says when it cannot even begin is for whoever started the server. */
static void check_first_start(struct child *c)
{
	struct err why = c->failed;

	if (c->m->ready_once || c->m->stopping || !c->said || why.kind == ERR_CLOSED ||
		(c->kind->links & ~who_is_up(c->m)))
		return; /* or it waits for something that may still come */
	err_wrap(&why, "%s", c->kind->name);
	master_fail(c->m, &why);
}

static void pause_before_next(struct child *c, int64_t lived)
{
	bool waiting = c->said && c->failed.kind == ERR_CLOSED;
	int64_t most = waiting ? backoff_waiting : backoff_most;
	struct err err = ERR_INIT;

	/* It grows while a role dies at once, and shrinks again as soon as it lives for a while. */
	c->backoff = lived < BRIEF_SECONDS * CLOCK_SEC ? c->backoff * 2 : c->backoff / 2;
	if (c->backoff < backoff_first)
		c->backoff = backoff_first;
	if (c->backoff > most)
		c->backoff = most;
	c->restarts++;
	if (!c->m->stopping)
		(void)task_wait(-1, 0, &c->wake, clock_after(c->backoff), &err);
}

void child_supervise(void *arg)
{
	struct child *c = arg;

	while (!c->m->stopping && !task_cancelled()) {
		int64_t since = clock_mono(), lived;
		struct err err = ERR_INIT;

		if (start(c, &err) < 0) {
			log_event(LOG_ERROR, "role.start", L_Z("name", c->kind->name), L_ERR(&err));
			child_kill(c);
		}
		lived = wait_end(c, since);
		check_first_start(c);
		pause_before_next(c, lived);
	}
	c->supervised = false;
	signal_raise(&c->m->event);
}

void child_stop(struct child *c)
{
	struct control_stop m = { .seconds = ROLE_GRACE_SECONDS };
	struct err err = ERR_INIT;

	signal_raise(&c->wake);
	if (c->control && control_stop_send(c->control, &m, &err) < 0)
		child_kill(c);
}

void child_kill(struct child *c)
{
	if (c->pid)
		kill(c->pid, SIGKILL);
}

struct child *child_find(struct master *m, uint32_t who)
{
	for (size_t i = 0; i < m->child_count; i++)
		if (m->children[i].kind->who == who && m->children[i].control &&
			channel_is_open(m->children[i].control))
			return &m->children[i];
	return NULL;
}
