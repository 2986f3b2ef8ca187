/* connect.c - the way from a command to the running server, and asking for a password. */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/cli_private.h"
#include "conf/conf.h"
#include "rt/task.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 60, PIECE = 60 * 1024, AHEAD = 256 * 1024 };

const char *cli_config_path(void)
{
	const char *path = getenv("EILPOST_CONFIG");

	return path && *path ? path : "/etc/eilpost/eilpost.conf";
}

int cli_load(struct cli *c, struct err *err)
{
	struct conf_source from = { .kind = CONF_SERVER, .path = c->config };

	return c->conf ? 0 : conf_load(&from, &c->conf, NULL, err);
}

int cli_each_mailbox(
	struct cli *c, uint32_t handle, cli_mailbox_fn *each, void *arg, struct err *err)
{
	struct store_mailboxes_req q = { .handle = handle };
	struct store_mailboxes_rep a = { .more = 1 };
	struct buf after = BUF(MSG_MAX);
	int r = 0;

	while (r == 0 && a.more) {
		struct store_mailbox_item item;
		struct reply hold = { 0 };

		q.after = buf_str(&after);
		r = store_mailboxes(c->store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_mailbox_item_next(&a.items, &item)) {
			buf_clear(&after);
			buf_add(&after, item.name);
			each(arg, &item);
		}
		reply_free(&hold);
	}
	buf_free(&after);
	return r;
}

int64_t cli_deadline(void)
{
	return clock_mono() + ANSWER_SECONDS * 1000000000LL;
}

uint64_t cli_call_id(void)
{
	uint64_t id = 0;

	while (id == 0 && getrandom(&id, sizeof id, 0) < 0 && errno == EINTR)
		;
	return id;
}

static int dial_control(const char *path, int *fd, struct err *err)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int no;

	if (!str_z(str_c(path), at.sun_path, sizeof at.sun_path))
		return err_set(err, ERR_PERM, "the control socket's path is too long: %s", path);
	*fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (*fd < 0)
		return err_sys(err, "make a socket for", path);
	if (connect(*fd, (struct sockaddr *)&at, sizeof at) == 0)
		return 0;
	no = errno;
	close(*fd);
	*fd = -1;
	if (no == ENOENT || no == ECONNREFUSED)
		return err_set(err, ERR_CLOSED,
			"no server answers at %s; start it with `eilpost serve`", path);
	if (no == EACCES || no == EPERM)
		return err_set(err, ERR_DENIED,
			"%s does not let you in; run this as root or as the server's user", path);
	errno = no;
	return err_sys(err, "connect to", path);
}

/* All that comes unasked on an operator's connection is about a message that is being sent. */
static void on_message(void *arg, struct request *req)
{
	struct cli *c = arg;
	struct store_txn_credit credit;
	struct store_txn_failed failed;
	struct err err = ERR_INIT;

	if (req->type == MSG_store_txn_credit &&
		store_txn_credit_get(req->body, &credit, &err) == 0 && credit.txn == c->txn)
		c->credit += credit.bytes;
	if (req->type == MSG_store_txn_failed &&
		store_txn_failed_get(req->body, &failed, &err) == 0 && failed.txn == c->txn)
		err_set(&c->refused,
			failed.kind && failed.kind < ERR_KINDS ? (enum err_kind)failed.kind
							       : ERR_TEMP,
			STR_F, STR_A(failed.why));
	signal_raise(&c->credit_came);
	request_free(&req);
}

/* Who waits for room in the store need not wait any longer. */
static void on_store_gone(void *arg, const struct err *why)
{
	struct cli *c = arg;

	c->refused = *why;
	signal_raise(&c->credit_came);
}

void cli_body_begin(struct cli *c, uint32_t txn)
{
	c->txn = txn;
	c->credit = AHEAD;
	c->refused = (struct err)ERR_INIT;
}

int cli_body_send(struct cli *c, struct str data, struct err *err)
{
	while (data.n) {
		struct store_txn_body piece = { .txn = c->txn, .data = str_head(data, PIECE) };

		if (c->refused.kind != ERR_NONE) {
			*err = c->refused;
			return -1;
		}
		if (c->credit < (int64_t)piece.data.n) {
			if (task_wait(-1, 0, &c->credit_came, cli_deadline(), err) < 0)
				return -1;
			continue;
		}
		c->credit -= (int64_t)piece.data.n;
		data = str_from(data, piece.data.n);
		if (store_txn_body_send(c->store, &piece, err) < 0)
			return -1;
	}
	return 0;
}

int cli_body_abort(struct cli *c, struct err *err)
{
	return store_txn_abort_send(c->store, &(struct store_txn_abort){ c->txn }, err);
}

static struct channel *open_channel(struct cli *c, uint32_t peer, struct err *err)
{
	int fd = -1;

	if (cli_load(c, err) < 0 || dial_control(conf_z(c->conf, CONF_CONTROL), &fd, err) < 0)
		return NULL;
	return channel_new(c->group, fd, peer, 0, on_message,
		peer == WHO_STORE ? on_store_gone : NULL, c, err);
}

/* The master answers, and hands the connection on to the role we asked for. */
static struct channel *connect_role(struct cli *c, uint32_t role, struct err *err)
{
	struct channel *ch = open_channel(c, role, err);
	struct control_connect_req q = { .who = role };
	struct control_connect_rep a;
	struct reply hold = { 0 };

	if (ch && control_connect(ch, &q, cli_deadline(), &a, &hold, err) < 0)
		channel_close(&ch);
	reply_free(&hold);
	return ch;
}

struct channel *cli_store(struct cli *c, struct err *err)
{
	if (!c->store)
		c->store = connect_role(c, WHO_STORE, err);
	return c->store;
}

struct channel *cli_vault(struct cli *c, struct err *err)
{
	if (!c->vault)
		c->vault = connect_role(c, WHO_VAULT, err);
	return c->vault;
}

struct channel *cli_master(struct cli *c, struct err *err)
{
	if (!c->master)
		c->master = open_channel(c, WHO_MASTER, err);
	return c->master;
}

void cli_disconnect(struct cli *c)
{
	channel_close(&c->store);
	channel_close(&c->vault);
	channel_close(&c->master);
}

void cli_forget(struct cli *c)
{
	conf_free(&c->conf);
}

/* One line without its ending. */
static int read_line(struct buf *b, struct err *err)
{
	char ch;
	ssize_t n;

	while ((n = read(STDIN_FILENO, &ch, 1)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, "read", "the password");
		if (ch == '\n')
			break;
		buf_addc(b, ch);
	}
	if (b->n && b->p[b->n - 1] == '\r')
		buf_cut(b, b->n - 1);
	if (!buf_ok(b))
		return err_set(err, ERR_LIMIT, "a password has at most %zu bytes", b->max);
	if (b->n == 0)
		return err_set(err, ERR_PERM, "no password was given");
	return 0;
}

static int ask(const char *prompt, struct buf *b, struct err *err)
{
	struct termios old, quiet;
	bool terminal = tcgetattr(STDIN_FILENO, &old) == 0;
	int r;

	if (terminal) {
		fprintf(stderr, "%s: ", prompt);
		quiet = old;
		quiet.c_lflag &= (tcflag_t)~ECHO;
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
	}
	/* The whole room at once: growing would leave copies of the password behind. */
	buf_room(b, b->max);
	r = read_line(b, err);
	if (terminal) {
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
		fputc('\n', stderr);
	}
	return r;
}

int cli_password(const char *prompt, bool confirm, struct buf *b, struct err *err)
{
	struct buf again = BUF(b->max);
	int r = ask(prompt, b, err);

	if (r == 0 && confirm && isatty(STDIN_FILENO)) {
		r = ask("Once more", &again, err);
		if (r == 0 && !str_eq(buf_str(b), buf_str(&again)))
			r = err_set(err, ERR_PERM, "the two passwords differ");
	}
	if (again.p)
		explicit_bzero(again.p, again.cap);
	buf_free(&again);
	return r;
}
