/* The session, and the commands that stand alone. To be read beside RFC 5321 4. */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "sasl/sasl.h"

#include <stdlib.h>
#include <string.h>

enum {
	NEEDS_HELLO = 1, /* RFC 5321 4.1.4 */
	NO_ARGUMENT = 2, /* RFC 5321 4.1.1 */
	LEADS_NOWHERE = 4,
	NO_LMTP = 8, /* RFC 2033 4.1 */
	ONLY_LMTP = 16,
};
#define LINGER (2 * CLOCK_SEC)

static smtp_command_fn do_rset, do_noop, do_help, do_vrfy, do_expn, do_quit;

static const struct smtp_command {
	struct str name;
	smtp_command_fn *run;
	unsigned flags;
} commands[] = {
	{ STR_INIT("EHLO"), smtp_do_ehlo, LEADS_NOWHERE | NO_LMTP },
	{ STR_INIT("HELO"), smtp_do_helo, LEADS_NOWHERE | NO_LMTP },
	{ STR_INIT("LHLO"), smtp_do_ehlo, LEADS_NOWHERE | ONLY_LMTP },
	{ STR_INIT("XCLIENT"), smtp_do_xclient, LEADS_NOWHERE },
	{ STR_INIT("STARTTLS"), smtp_do_starttls, NEEDS_HELLO | NO_ARGUMENT },
	{ STR_INIT("AUTH"), smtp_do_auth, NEEDS_HELLO },
	{ STR_INIT("MAIL"), smtp_do_mail, NEEDS_HELLO },
	{ STR_INIT("RCPT"), smtp_do_rcpt, NEEDS_HELLO },
	{ STR_INIT("DATA"), smtp_do_data, NO_ARGUMENT },
	{ STR_INIT("BDAT"), smtp_do_bdat, 0 },
	{ STR_INIT("RSET"), do_rset, NO_ARGUMENT | LEADS_NOWHERE },
	{ STR_INIT("NOOP"), do_noop, LEADS_NOWHERE },
	{ STR_INIT("HELP"), do_help, LEADS_NOWHERE },
	{ STR_INIT("VRFY"), do_vrfy, LEADS_NOWHERE },
	{ STR_INIT("EXPN"), do_expn, LEADS_NOWHERE },
	{ STR_INIT("QUIT"), do_quit, NO_ARGUMENT },
};

static const struct smtp_command *find_command(const struct smtp_session *s, struct str name)
{
	unsigned absent = s->server->lmtp ? NO_LMTP : ONLY_LMTP;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
		if (str_eqi(name, commands[i].name) && !(commands[i].flags & absent))
			return &commands[i];
	return NULL;
}

void smtp_txn_end(struct smtp_session *s)
{
	if (!s->txn)
		return;
	s->policy->reset(s->policy->arg);
	free(s->txn);
	s->txn = NULL;
	budget_give_back(s->budget, BUDGET_MEMORY, sizeof *s->txn);
}

/* ---- what a session may cost ---- */

static void set_limits(struct smtp_session *s)
{
	const struct smtp_limits *l = &s->server->limits;
	uint64_t times = s->authenticated ? SMTP_TRUSTED : 1, *most = s->budget->most;

	most[BUDGET_MEMORY] = times * l->memory;
	most[BUDGET_INPUT] = times * (4 * l->message + (1 << 20));
	most[BUDGET_COMMANDS] = times * l->commands;
	most[BUDGET_WORK] = times * l->work;
	most[BUDGET_ERRORS] = times * l->errors;
	most[BUDGET_IDLING] = times * l->idling;
	most[BUDGET_LOGINS] = l->logins ? l->logins - 1 : 0;
}

void smtp_progress(struct smtp_session *s)
{
	budget_renew(s->budget);
	s->progress = clock_mono();
	set_limits(s);
}

bool smtp_budget_over(struct smtp_session *s)
{
	enum budget_kind what;

	if (s->done || !budget_over(s->budget, &what))
		return false;
	log_event(LOG_INFO, "guard.budget", L_STR("sid", s->policy->session),
		L_Z("proto", s->server->proto), L_STR("rip", conn_peer(s->c)),
		L_Z("what", budget_name(what)), L_U64("used", s->budget->used[what]),
		L_U64("most", s->budget->most[what]));
	smtp_goodbye(s, 421, "4.7.0", budget_words(what));
	return true;
}

static int do_rset(struct smtp_session *s, struct str arg, struct err *err)
{
	smtp_txn_end(s);
	return smtp_say(s, 250, "2.0.0", STR("ok"));
}

static int do_noop(struct smtp_session *s, struct str arg, struct err *err)
{
	return smtp_say(s, 250, "2.0.0", STR("ok"));
}

static int do_help(struct smtp_session *s, struct str arg, struct err *err)
{
	return smtp_say(s, 214, "2.0.0", STR("see RFC 5321"));
}

static int do_vrfy(struct smtp_session *s, struct str arg, struct err *err)
{
	if (arg.n == 0)
		return smtp_say(s, 501, "5.5.4", STR("expected an address"));
	/* RFC 5321 3.5.3 and 7.3: who is here is told at RCPT only. */
	return smtp_say(s, 252, "2.5.0", STR("send some mail, I will try"));
}

static int do_expn(struct smtp_session *s, struct str arg, struct err *err)
{
	return smtp_say(s, 502, "5.5.1", STR("lists are not expanded")); /* RFC 5321 3.5.2 */
}

static int do_quit(struct smtp_session *s, struct str arg, struct err *err)
{
	smtp_txn_end(s);
	s->done = true;
	return smtp_say(s, 221, "2.0.0", STR("goodbye"));
}

/* T017: a browser made to talk to us must not get its words taken for commands. */
static bool is_web_talk(struct str line)
{
	static const struct str words[] = { STR_INIT("GET "), STR_INIT("POST "), STR_INIT("HEAD "),
		STR_INIT("PUT "), STR_INIT("CONNECT "), STR_INIT("OPTIONS "), STR_INIT("DELETE "),
		STR_INIT("PATCH "), STR_INIT("PRI * ") };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
		if (str_startsi(line, words[i]))
			return true;
	return false;
}

static int run_command(struct smtp_session *s, struct str line, struct err *err)
{
	struct str arg = line, name = str_word(&arg, ' ');
	const struct smtp_command *command = find_command(s, name);

	if (is_web_talk(line))
		return smtp_goodbye(s, 554, "5.5.1", "this is a mail server");
	if (!command)
		return smtp_say(s, 500, "5.5.1", STR("no such command"));
	if (line.n > SMTP_COMMAND_MAX && command->run != smtp_do_auth)
		return smtp_say(s, 500, "5.5.2", STR("the line is too long"));
	if (command->flags & LEADS_NOWHERE)
		budget_charge(s->budget, BUDGET_IDLING, 1);
	if (command->flags & NEEDS_HELLO && s->helo.n == 0)
		return smtp_say(s, 503, "5.5.1", str_c(smtp_hello_first(s)));
	while (arg.n && arg.p[0] == ' ')
		arg = str_from(arg, 1);
	if (command->flags & NO_ARGUMENT && arg.n)
		return smtp_say(s, 501, "5.5.4", STR("no argument is allowed"));
	return command->run(s, arg, err);
}

/* A TLS handshake where a command should be: it would never end in a line. */
static int refuse_tls_hello(struct smtp_session *s, struct err *err)
{
	struct str in;

	if (conn_buffered(s->c) == 0 && conn_fill(s->c, err) < 0)
		return -1;
	in = conn_peek(s->c);
	return in.p[0] == '\x16' ? err_set(err, ERR_PROTO, "TLS before STARTTLS") : 0;
}

int64_t smtp_fruitless_end(const struct smtp_session *s)
{
	return s->progress + (s->authenticated ? SMTP_TRUSTED : 1) * s->server->limits.patience;
}

/* One command has so long to come, however slowly; and so have all of them until a message has been
 * accepted. T083: whoever watches over all sessions may ask for haste, T091: or let one wait whose
 * errors pile up. -1 with why; 0 with s->done when it has ended the session. */
static int pace(struct smtp_session *s, struct err *err)
{
	const struct smtp_guard *guard = s->server->guard;
	int64_t silence = s->server->limits.idle, hold = 0, fruitless;
	struct smtp_reply no;

	if (guard &&
		guard->pace(guard->arg, s->budget->used[BUDGET_ERRORS], &silence, &hold, &no) < 0)
		return smtp_goodbye(s, no.code, no.status, no.text);
	if (hold > 0 && task_sleep(clock_after(hold), err) < 0)
		return -1;
	fruitless = smtp_fruitless_end(s);
	silence = clock_after(silence);
	return smtp_await_command(s, silence < fruitless ? silence : fruitless, err);
}

static int next_command(struct smtp_session *s, struct err *err)
{
	/* RFC 4954 4: the line limit of AUTH is the larger one. */
	size_t max = smtp_auth_offered(s) ? SASL_LINE_MAX - 2 : SMTP_COMMAND_MAX;
	struct str line;

	if (smtp_budget_over(s))
		return 0;
	budget_charge(s->budget, BUDGET_COMMANDS, 1);
	if (pace(s, err) < 0 || s->done)
		return s->done ? 0 : -1;
	if (!s->spoken && refuse_tls_hello(s, err) < 0)
		return -1;
	s->spoken = true;
	if (conn_read_line(s->c, max, LINE_CRLF, &line, err) < 0) {
		if (err->kind != ERR_LIMIT)
			return -1;
		return smtp_say(s, 500, "5.5.2", STR("the line is too long"));
	}
	if (str_find(line, '\0') < line.n)
		return err_set(err, ERR_PROTO, "a NUL in a command");
	while (line.n && is_wsp(line.p[line.n - 1])) /* RFC 5321 4.1.1: tolerated */
		line.n--;
	return run_command(s, line, err);
}

/* What the client sent after the last word must not make the kernel reset the connection before the
 * client has read that word. */
static void linger(struct conn *c, int64_t wait)
{
	struct err err;
	size_t dropped = 0;

	conn_deadline(c, clock_after(LINGER));
	conn_shutdown(c);
	conn_deadline(c, clock_after(wait));
	while (dropped < 65536 && conn_fill(c, &err) == 0) {
		dropped += conn_buffered(c);
		conn_take(c, conn_buffered(c));
	}
}

static void last_flush(struct conn *c)
{
	struct err err;

	conn_deadline(c, clock_after(LINGER));
	conn_flush(c, &err);
}

/* The session cannot go on: say why, if there is anybody left to hear it. */
static void farewell(struct smtp_session *s, const struct err *err)
{
	if (s->done) /* it has been said */
		return;
	if (err->kind == ERR_TIMEOUT)
		smtp_goodbye(s, 421, "4.4.2", "too slow");
	else if (err->kind == ERR_CANCELED) /* RFC 5321 3.8 */
		smtp_goodbye(s, 421, "4.3.2", "going down, try again");
	else if (err->kind == ERR_PROTO)
		smtp_goodbye(s, 554, "5.5.2", err->msg);
	else if (err->kind != ERR_CLOSED)
		smtp_goodbye(s, 421, "4.3.0", "something is broken here, try again");
}

int smtp_serve(struct conn *c, const struct smtp_server *server, const struct smtp_policy *policy,
	struct err *err)
{
	struct smtp_session s = { .c = c,
		.server = server,
		.policy = policy,
		.helo = BUF(SMTP_HELO_MAX),
		.budget = conn_budget(c),
		.secure = server->secure };
	int r = 0;

	smtp_progress(&s);
	smtp_greet(&s);
	while (r == 0 && !s.done)
		r = next_command(&s, err);
	smtp_txn_end(&s);
	/* The last word is said even while the process goes down. */
	task_shield(true);
	if (r < 0)
		farewell(&s, err);
	if (s.thrown_out) /* the slow, and we ourselves when going down, have no time to wait */
		linger(c, r < 0 && err->kind != ERR_PROTO ? 0 : LINGER);
	else
		last_flush(c);
	task_shield(false);
	buf_free(&s.helo);
	return r;
}
