#include "pop3/pop3_private.h"

#include "base/log.h"
#include "sasl/sasl.h"

/* RFC 1939 4, 5 and 7, RFC 2449 5, RFC 2595 4, RFC 5034 4: the commands and where they may be used.
 */
static const struct command {
	struct str name;
	unsigned states;
	pop3_command *run;
} commands[] = {
	{ STR_INIT("CAPA"), POP3_AUTHORIZATION | POP3_TRANSACTION, pop3_do_capa },
	{ STR_INIT("STLS"), POP3_AUTHORIZATION, pop3_do_stls },
	{ STR_INIT("USER"), POP3_AUTHORIZATION, pop3_do_user },
	{ STR_INIT("PASS"), POP3_AUTHORIZATION, pop3_do_pass },
	{ STR_INIT("AUTH"), POP3_AUTHORIZATION, pop3_do_auth },
	{ STR_INIT("QUIT"), POP3_AUTHORIZATION | POP3_TRANSACTION, pop3_do_quit },
	{ STR_INIT("STAT"), POP3_TRANSACTION, pop3_do_stat },
	{ STR_INIT("LIST"), POP3_TRANSACTION, pop3_do_list },
	{ STR_INIT("RETR"), POP3_TRANSACTION, pop3_do_retr },
	{ STR_INIT("DELE"), POP3_TRANSACTION, pop3_do_dele },
	{ STR_INIT("NOOP"), POP3_TRANSACTION, pop3_do_noop },
	{ STR_INIT("RSET"), POP3_TRANSACTION, pop3_do_rset },
	{ STR_INIT("TOP"), POP3_TRANSACTION, pop3_do_top },
	{ STR_INIT("UIDL"), POP3_TRANSACTION, pop3_do_uidl },
};

int pop3_ok(struct pop3_session *s, const char *text)
{
	s->errors = 0;
	conn_writef(s->c, "+OK %s\r\n", text);
	return 0;
}

int pop3_err(struct pop3_session *s, const char *code, const char *text)
{
	s->errors++;
	conn_writef(s->c, "-ERR %s%s\r\n", code, text);
	return 0;
}

int pop3_fault(struct pop3_session *s, const struct err *why)
{
	log_event(LOG_INFO, "pop3.unavailable", L_STR("rip", conn_peer(s->c)), L_ERR(why));
	if (why->kind == ERR_DAMAGED)
		return pop3_err(s, "[SYS/PERM] ", "this message is damaged on the server");
	return pop3_err(s, "[SYS/TEMP] ", "not possible at the moment, try again later");
}

static bool is_gone(const struct pop3_session *s)
{
	return s->opened && s->policy->gone && s->policy->gone(s->policy->arg);
}

int pop3_read_line(struct pop3_session *s, size_t max, struct str *line, struct err *err)
{
	int64_t deadline = s->login_deadline;
	int woke;

	if (s->state == POP3_TRANSACTION)
		deadline = clock_after(s->config->idle);
	conn_deadline(s->c, deadline);
	do {
		if (is_gone(s)) { /* T037 */
			pop3_err(s, "", "the login has been taken back, goodbye");
			return err_set(err, ERR_CLOSED, "the login has been taken back");
		}
		woke = conn_wait(s->c, s->policy->wake, deadline, err);
		if (woke < 0)
			return -1;
	} while (!(woke & WAIT_READ));
	return conn_read_line(s->c, max, LINE_LOOSE, line, err);
}

static const struct command *find_command(struct str name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (str_eqi(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* T017: a web browser that was led here. */
static bool is_http(const struct pop3_session *s, struct str line)
{
	return s->state == POP3_AUTHORIZATION &&
		(str_endsi(line, STR(" HTTP/1.1")) || str_endsi(line, STR(" HTTP/1.0")));
}

static int run_command(struct pop3_session *s, struct str line, struct err *err)
{
	const struct command *cmd;
	struct str name = line, arg = { "", 0 };

	if (is_http(s, line)) {
		s->done = true;
		return pop3_err(s, "", "this is no web server");
	}
	str_cut(line, ' ', &name, &arg);
	cmd = find_command(name);
	if (!cmd)
		return pop3_err(s, "", "unknown command");
	if (!(cmd->states & s->state))
		return pop3_err(s, "",
			s->state == POP3_AUTHORIZATION ? "log in first" : "already logged in");
	return cmd->run(s, arg, err);
}

/* One command, from reading it to its answer. */
static int serve_one(struct pop3_session *s, struct err *err)
{
	struct err why = ERR_INIT;
	struct str line;

	if (pop3_read_line(s, POP3_LINE_MAX, &line, &why) < 0) {
		if (why.kind == ERR_LIMIT)
			return pop3_err(s, "", "line too long");
		*err = why;
		return -1;
	}
	return run_command(s, line, err);
}

/* RFC 1939 3: when the timer ends the session, no UPDATE state is entered, so nothing is removed.
 */
static void say_goodbye(struct pop3_session *s, const struct err *why)
{
	struct err ignored = ERR_INIT;

	if (s->in_message)
		return;
	if (why->kind == ERR_TIMEOUT)
		pop3_err(s, "", "idle for too long, goodbye");
	else if (why->kind == ERR_CANCELED)
		pop3_err(s, "[SYS/TEMP] ", "the server is going down, goodbye");
	task_shield(true);
	conn_deadline(s->c, clock_after(CLOCK_SEC));
	conn_flush(s->c, &ignored);
	task_shield(false);
}

/* A stranger gets little before he has to say who he is. */
enum { STRANGER_INPUT = 64 << 10, STRANGER_COMMANDS = 100 };

static bool budget_is_over(struct pop3_session *s)
{
	struct budget *b = conn_budget(s->c);
	bool stranger = s->state == POP3_AUTHORIZATION;
	enum budget_kind what;

	budget_charge(b, BUDGET_COMMANDS, 1);
	b->most[BUDGET_INPUT] = stranger ? STRANGER_INPUT : BUDGET_NO_LIMIT;
	b->most[BUDGET_COMMANDS] = stranger ? STRANGER_COMMANDS : BUDGET_NO_LIMIT;
	if (!budget_over(b, &what))
		return false;
	log_event(LOG_INFO, "guard.budget", L_Z("proto", "pop3"), L_STR("rip", conn_peer(s->c)),
		L_Z("what", budget_name(what)), L_U64("used", b->used[what]),
		L_U64("most", b->most[what]));
	pop3_err(s, "", budget_words(what));
	return true;
}

int pop3_serve(struct conn *c, const struct pop3_config *config, const struct pop3_policy *policy,
	struct err *err)
{
	struct pop3_session s = { .c = c,
		.config = config,
		.policy = policy,
		.secure = config->secure,
		.state = POP3_AUTHORIZATION,
		.login_deadline = clock_after(config->login_time),
		.name = BUF(SASL_NAME_MAX),
		.messages = BUF((size_t)config->max_messages * sizeof(struct pop3_message)) };
	struct err why = ERR_INIT;
	int r = 0;

	conn_writef(c, "+OK " STR_F " ready\r\n", STR_A(config->hostname));
	while (r == 0 && !s.done) {
		r = serve_one(&s, &why);
		if (r == 0 && s.errors > config->max_errors) {
			pop3_err(&s, "", "too many errors, goodbye");
			s.done = true;
		}
		if (r == 0 && !s.done)
			s.done = budget_is_over(&s);
	}
	if (r < 0)
		say_goodbye(&s, &why);
	else
		r = conn_flush(c, &why);
	pop3_leave(&s);
	buf_free(&s.name);
	if (r < 0)
		*err = why;
	return r;
}
