#include "imap/imap_private.h"

#include "base/log.h"

/* What the table says beyond the state. */
enum {
	UID_FORM = 1,   /* RFC 3501 6.4.8: may stand behind UID */
	NO_EXPUNGE = 2, /* RFC 3501 7.4.1: no EXPUNGE while answering it, unless in its UID form */
	TAKES_MESSAGE = 4
};

static const struct command {
	struct str name;
	unsigned states;
	imap_command *run;
	unsigned flags;
} commands[] = {
	/* RFC 3501 6.1, RFC 2971 */
	{ STR_INIT("CAPABILITY"), IMAP_ANY, imap_do_capability, 0 },
	{ STR_INIT("NOOP"), IMAP_ANY, imap_do_noop, 0 },
	{ STR_INIT("LOGOUT"), IMAP_ANY, imap_do_logout, 0 },
	{ STR_INIT("ID"), IMAP_ANY, imap_do_id, 0 },
	/* RFC 3501 6.2 */
	{ STR_INIT("STARTTLS"), IMAP_NOT_AUTHENTICATED, imap_do_starttls, 0 },
	{ STR_INIT("AUTHENTICATE"), IMAP_NOT_AUTHENTICATED, imap_do_authenticate, 0 },
	{ STR_INIT("LOGIN"), IMAP_NOT_AUTHENTICATED, imap_do_login, 0 },
	/* RFC 3501 6.3, RFC 2177, RFC 2342, RFC 5161 */
	{ STR_INIT("ENABLE"), IMAP_LOGGED_IN, imap_do_enable, 0 },
	{ STR_INIT("SELECT"), IMAP_LOGGED_IN, imap_do_select, 0 },
	{ STR_INIT("EXAMINE"), IMAP_LOGGED_IN, imap_do_examine, 0 },
	{ STR_INIT("CREATE"), IMAP_LOGGED_IN, imap_do_create, 0 },
	{ STR_INIT("DELETE"), IMAP_LOGGED_IN, imap_do_delete, 0 },
	{ STR_INIT("RENAME"), IMAP_LOGGED_IN, imap_do_rename, 0 },
	{ STR_INIT("SUBSCRIBE"), IMAP_LOGGED_IN, imap_do_subscribe, 0 },
	{ STR_INIT("UNSUBSCRIBE"), IMAP_LOGGED_IN, imap_do_unsubscribe, 0 },
	{ STR_INIT("LIST"), IMAP_LOGGED_IN, imap_do_list, 0 },
	{ STR_INIT("LSUB"), IMAP_LOGGED_IN, imap_do_lsub, 0 },
	{ STR_INIT("NAMESPACE"), IMAP_LOGGED_IN, imap_do_namespace, 0 },
	{ STR_INIT("STATUS"), IMAP_LOGGED_IN, imap_do_status, 0 },
	{ STR_INIT("APPEND"), IMAP_LOGGED_IN, imap_do_append, TAKES_MESSAGE },
	{ STR_INIT("IDLE"), IMAP_LOGGED_IN, imap_do_idle, 0 },
	/* RFC 3501 6.4, RFC 3691, RFC 4315, RFC 6851 */
	{ STR_INIT("CHECK"), IMAP_SELECTED, imap_do_check, 0 },
	{ STR_INIT("CLOSE"), IMAP_SELECTED, imap_do_close, 0 },
	{ STR_INIT("UNSELECT"), IMAP_SELECTED, imap_do_unselect, 0 },
	{ STR_INIT("EXPUNGE"), IMAP_SELECTED, imap_do_expunge, UID_FORM },
	{ STR_INIT("SEARCH"), IMAP_SELECTED, imap_do_search, UID_FORM | NO_EXPUNGE },
	{ STR_INIT("FETCH"), IMAP_SELECTED, imap_do_fetch, UID_FORM | NO_EXPUNGE },
	{ STR_INIT("STORE"), IMAP_SELECTED, imap_do_store, UID_FORM | NO_EXPUNGE },
	{ STR_INIT("COPY"), IMAP_SELECTED, imap_do_copy, UID_FORM },
	{ STR_INIT("MOVE"), IMAP_SELECTED, imap_do_move, UID_FORM },
};

static void tagged(struct imap_session *s, const char *word, const char *code, const char *text)
{
	conn_writef(s->c, STR_F " %s %s%s\r\n", STR_A(s->tag), word, code, text);
}

int imap_ok(struct imap_session *s, const char *code, const char *text, struct err *err)
{
	bool held = false;

	if (s->state == IMAP_SELECTED && s->changed && imap_sync(s, s->expunge_ok, &held, err) < 0)
		return -1;
	s->errors = 0;
	/* RFC 5530 3: some messages are gone, and this was no moment to say which. */
	tagged(s, "OK", held && !*code ? "[EXPUNGEISSUED] " : code, text);
	return 0;
}

int imap_no(struct imap_session *s, const char *code, const char *text, struct err *err)
{
	if (s->state == IMAP_SELECTED && s->changed && imap_sync(s, s->expunge_ok, NULL, err) < 0)
		return -1;
	tagged(s, "NO", code, text);
	return 0;
}

int imap_bad(struct imap_session *s, const struct imap_in *in)
{
	s->errors++;
	tagged(s, "BAD", "", in->why ? in->why : "syntax error");
	return 0;
}

void imap_bye(struct imap_session *s, const char *code, const char *text)
{
	conn_writef(s->c, "* BYE %s%s\r\n", code, text);
}

/* RFC 5530 3 */
static const struct {
	const char *code, *text;
} faults[ERR_KINDS] = {
	[ERR_PERM] = { "[CANNOT] ", "this cannot be done" },
	[ERR_LIMIT] = { "[LIMIT] ", "that is over a limit" },
	[ERR_NOTFOUND] = { "[NONEXISTENT] ", "there is no such mailbox" },
	[ERR_EXISTS] = { "[ALREADYEXISTS] ", "that mailbox exists already" },
	[ERR_DENIED] = { "[NOPERM] ", "not allowed" },
	[ERR_QUOTA] = { "[OVERQUOTA] ", "the mailbox is over its quota" },
	[ERR_QUOTA_LONG] = { "[OVERQUOTA] ", "the mailbox is over its quota" },
	[ERR_DISABLED] = { "[NOPERM] ", "not allowed" },
	/* A full disk is nothing that the user could clear away (RFC 9208 4.3). */
	[ERR_FULL] = { "[UNAVAILABLE] ", "the server has no space left, try again later" },
	[ERR_DAMAGED] = { "[CORRUPTION] ", "a message is damaged on the server" },
};

int imap_fault(struct imap_session *s, const struct err *why, struct err *err)
{
	if (why->kind == ERR_CANCELED) {
		*err = *why;
		return -1;
	}
	if (!faults[why->kind].code) {
		log_event(LOG_INFO, "imap.unavailable", L_STR("rip", conn_peer(s->c)), L_ERR(why));
		/* Who has just waited in vain does not wait for news as well. */
		tagged(s, "NO", "[UNAVAILABLE] ", "not possible at the moment, try again later");
		return 0;
	}
	return imap_no(s, faults[why->kind].code, faults[why->kind].text, err);
}

static const struct command *find_command(struct str name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (str_eqi(commands[i].name, name))
			return &commands[i];
	return NULL;
}

/* The name of the command and, before it, UID. NULL: there is no such command. */
static const struct command *take_name(struct imap_session *s, struct imap_in *in)
{
	const struct command *cmd;
	struct str name;

	s->by_uid = str_take(&in->s, STR("UID "));
	cmd = imap_in_atom(in, &name) ? find_command(name) : NULL;
	if (cmd && (!s->by_uid || (cmd->flags & UID_FORM)))
		return cmd;
	in->why = "unknown command";
	return NULL;
}

/* T017: a web browser that was led here gets nothing of what it said back. */
static bool is_http(const struct imap_session *s)
{
	struct str text = buf_str(&s->text);

	return s->state == IMAP_NOT_AUTHENTICATED &&
		(str_endsi(text, STR(" HTTP/1.1")) || str_endsi(text, STR(" HTTP/1.0")));
}

static int run_command(struct imap_session *s, struct err *err)
{
	struct imap_in in = { .s = buf_str(&s->text), .mem = &s->mem };
	const struct command *cmd;

	if (is_http(s)) {
		imap_bye(s, "", "this is no web server");
		s->done = true;
		return 0;
	}
	if (!imap_in_tag(&in, &s->tag)) {
		s->tag = STR("*");
		return imap_bad(s, &in);
	}
	cmd = imap_in_space(&in) ? take_name(s, &in) : NULL;
	if (!cmd)
		return imap_bad(s, &in);
	if (!(cmd->states & s->state)) {
		in.why = s->state == IMAP_NOT_AUTHENTICATED ? "log in first"
			: cmd->states == IMAP_SELECTED      ? "no mailbox is selected"
							    : "already logged in";
		return imap_bad(s, &in);
	}
	if (s->has_message && !(cmd->flags & TAKES_MESSAGE)) {
		in.why = "unexpected literal";
		return imap_bad(s, &in);
	}
	s->expunge_ok = s->by_uid || !(cmd->flags & NO_EXPUNGE);
	return cmd->run(s, &in, err);
}

/* One command, from reading it to its answer. */
static int serve_one(struct imap_session *s, struct err *err)
{
	int r = imap_read_command(s, err);

	if (r == 0) {
		imap_take_news(s);
		r = run_command(s, err);
	}
	if (r == 0)
		r = imap_skip_message(s, err);
	buf_free(&s->text);
	arena_free(&s->mem);
	return r < 0 ? -1 : 0;
}

/* Tell why we end it; RFC 3501 7.1.5. */
static void say_goodbye(struct imap_session *s, const struct err *why)
{
	struct err ignored = ERR_INIT;

	if (why->kind == ERR_TIMEOUT)
		imap_bye(s, "", "idle for too long");
	else if (why->kind == ERR_CANCELED)
		imap_bye(s, "[UNAVAILABLE] ", "the server is going down");
	task_shield(true);
	conn_deadline(s->c, clock_after(CLOCK_SEC));
	conn_flush(s->c, &ignored);
	task_shield(false);
}

/* A stranger gets little before he has to say who he is. RFC 3501 5.4 is about those logged in. */
enum { STRANGER_INPUT = 256 << 10, STRANGER_COMMANDS = 200 };

static bool budget_is_over(struct imap_session *s)
{
	struct budget *b = conn_budget(s->c);
	bool stranger = s->state == IMAP_NOT_AUTHENTICATED;
	enum budget_kind what;

	budget_charge(b, BUDGET_COMMANDS, 1);
	b->most[BUDGET_INPUT] = stranger ? STRANGER_INPUT : BUDGET_NO_LIMIT;
	b->most[BUDGET_COMMANDS] = stranger ? STRANGER_COMMANDS : BUDGET_NO_LIMIT;
	if (!budget_over(b, &what))
		return false;
	log_event(LOG_INFO, "guard.budget", L_Z("proto", "imap"), L_STR("rip", conn_peer(s->c)),
		L_Z("what", budget_name(what)), L_U64("used", b->used[what]),
		L_U64("most", b->most[what]));
	imap_bye(s, "", budget_words(what));
	return true;
}

static void greet(struct imap_session *s)
{
	conn_write(s->c, STR("* OK ["));
	imap_write_capabilities(s);
	conn_writef(s->c, "] " STR_F " ready\r\n", STR_A(s->config->hostname));
}

int imap_serve(struct conn *c, const struct imap_config *config, const struct imap_policy *policy,
	struct err *err)
{
	struct imap_session s = { .c = c,
		.config = config,
		.policy = policy,
		.secure = config->secure,
		.state = IMAP_NOT_AUTHENTICATED,
		.selected = BUF(IMAP_NAME_MAX),
		.login_deadline = clock_after(config->login_time) };
	int r = 0;

	greet(&s);
	while (r == 0 && !s.done) {
		r = serve_one(&s, err);
		if (r == 0 && s.errors > config->max_errors) {
			imap_bye(&s, "", "too many errors");
			s.done = true;
		}
		if (r == 0 && !s.done)
			s.done = budget_is_over(&s);
	}
	if (r < 0)
		say_goodbye(&s, err);
	else
		r = conn_flush(c, err);
	imap_leave_mailbox(&s);
	return r;
}
