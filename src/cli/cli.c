/* cli.c - the table of subcommands, the common options, and how errors are said. */
#include "cli/cli.h"

#include "cli/cli_private.h"
#include "rt/task.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "config.h"

enum kind {
	PLAIN,  /* needs nothing */
	ONLINE, /* runs as a task and may ask the server */
	HIDDEN  /* for the program itself */
};

static const struct command {
	const char *name;
	int (*run)(struct cli *c);
	enum kind kind;
	const char *usage, *summary;
} commands[] = {
	{ "setup", cli_setup, PLAIN, "setup ADDRESS [--hostname NAME]",
		"configure this machine for a domain" },
	{ "serve", cli_serve, PLAIN, "serve", "run the server in the foreground" },
	{ "demo", cli_demo, PLAIN, "demo [--dir DIR] [--port-base N] [--set NAME=VALUE]...",
		"a complete throw-away instance on high ports" },
	{ "status", cli_status, ONLINE, "status", "is all well?" },
	{ "account", cli_account, ONLINE,
		"account [list | add LOGIN [NAME] | password LOGIN | enable LOGIN | disable LOGIN |"
		" remove LOGIN\n"
		"    | quota LOGIN SIZE|none [MESSAGES|none]"
		"    what it may hold: 500MB, 2GB\n"
		"    | caps LOGIN MESSAGES|none RECIPIENTS|none"
		"    what it may send to other servers a day: messages, new recipients\n"
		"    | caps LOGIN default\n"
		"    | identity LOGIN [list | add ADDRESS | remove ADDRESS]"
		"    further addresses it may send from\n"
		"    | restore LOGIN [--since WHEN] [--until WHEN] [--folder NAME] [--subject TEXT]"
		" [--from TEXT] [--dry-run]\n"
		"          bring back what was deleted between two times (3d: three days ago;"
		" 2026-11-30), or the account]",
		"who has a mailbox" },
	{ "domain", cli_domain, ONLINE,
		"domain [list | add NAME | relay NAME | remove NAME | quota NAME SIZE|none "
		"[MESSAGES|none]]",
		"whose mail is ours" },
	{ "alias", cli_alias, ONLINE,
		"alias [list | set ADDRESS [--owner ADDRESS] TARGET... | remove ADDRESS]"
		"    @DOMAIN is the catch-all; with an owner it is a list",
		"addresses that lead elsewhere" },
	{ "queue", cli_queue, ONLINE,
		"queue [list | retry ID | hold ID | release ID | drop ID] (ID may be \"all\", or a"
		" login: all that it has sent)",
		"mail on its way out" },
	{ "trace", cli_trace, ONLINE, "trace ADDRESS|ID", "where did this message go?" },
	{ "import", cli_import, ONLINE,
		"import --to ADDRESS [--folder NAME] [--format maildir|mbox|eml] PATH"
		"    broken off, it goes on when given again",
		"bring mail in from a Maildir, mbox files or single messages" },
	{ "export", cli_export, ONLINE,
		"export ADDRESS [--folder NAME] --format maildir|mbox|eml PATH"
		"    broken off, it goes on when given again",
		"write mail out as a Maildir, mbox files or single messages" },
	{ "send", cli_send, ONLINE,
		"send --server URL --from ADDRESS --to ADDRESS... [--user NAME] [--subject TEXT]"
		" [--ca-file FILE] [--insecure] [--quiet] < TEXT",
		"hand a message to any server and show the dialogue" },
	{ "sendmail", cli_sendmail, ONLINE,
		"sendmail [-t] [-i] [-f SENDER] [RECIPIENT...] < MESSAGE",
		"what PHP, cron and git expect" },
	{ "backup", cli_backup, ONLINE,
		"backup DIR [--keep N] [--seal FILE]    make one; what is there already is not "
		"copied again\n"
		"    backup DIR --list | --verify",
		"a copy of everything, while the server goes on" },
	{ "restore", cli_restore, ONLINE,
		"restore DIR [--id ID] [--data DIR] [--seal FILE]    into an empty data directory\n"
		"    restore DIR [--id ID] --account LOGIN [--folder NAME]    into the running "
		"server",
		"bring a backup back" },
	{ "fsck", cli_fsck, PLAIN,
		"fsck [--data DIR] [--repair | --rebuild]    0: all is right; 1: it is now; 4: it "
		"is"
		" not\n"
		"    fsck --new-log    when log/ is lost for good: keep what the index knows\n"
		"    fsck [--data DIR] --compress | --uncompress    what is there already\n"
		"    fsck [--data DIR] --to-format N    for the version before this one",
		"does everything that is stored fit together?" },
	{ "config", cli_config, PLAIN, "config check|show|manual", "is the configuration right?" },
	{ "role", cli_role, HIDDEN, "role NAME", "" },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

static void print_usage(FILE *f, const struct command *one)
{
	if (one) {
		fprintf(f, "usage: eilpost %s\n", one->usage);
		return;
	}
	fputs("usage: eilpost [--config FILE] [--json] COMMAND\n\n", f);
	for (size_t i = 0; i < COMMANDS; i++)
		if (commands[i].kind != HIDDEN)
			fprintf(f, "  %-9s %s\n", commands[i].name, commands[i].summary);
	fputs("\n`eilpost COMMAND --help` tells more.\n", f);
}

int cli_exit_code(const struct err *err)
{
	static const int codes[ERR_KINDS] = { [ERR_NONE] = EX_OK,
		[ERR_TEMP] = EX_TEMPFAIL,
		[ERR_PERM] = EX_DATAERR,
		[ERR_PROTO] = EX_PROTOCOL,
		[ERR_LIMIT] = EX_DATAERR,
		[ERR_NOTFOUND] = EX_NOUSER,
		[ERR_EXISTS] = EX_CANTCREAT,
		[ERR_DENIED] = EX_NOPERM,
		[ERR_FULL] = EX_TEMPFAIL,
		[ERR_CLOSED] = EX_UNAVAILABLE,
		[ERR_TIMEOUT] = EX_TEMPFAIL,
		[ERR_CANCELED] = EX_TEMPFAIL,
		[ERR_DISABLED] = EX_NOPERM,
		[ERR_QUOTA] = EX_TEMPFAIL,
		[ERR_QUOTA_LONG] = EX_CANTCREAT,
		[ERR_EXPANSION] = EX_DATAERR,
		[ERR_DAMAGED] = EX_DATAERR };

	return err->kind < ERR_KINDS ? codes[err->kind] : EX_SOFTWARE;
}

int cli_fail(const struct cli *c, const struct err *err)
{
	fflush(stdout);
	fprintf(stderr, "eilpost %s: %s\n", c->command, err->msg);
	return cli_exit_code(err);
}

int cli_usage(const struct cli *c, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "eilpost %s: ", c->command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	print_usage(stderr, find(c->command));
	return EX_USAGE;
}

const char *cli_arg(struct cli *c)
{
	if (c->argc == 0)
		return NULL;
	c->argc--;
	return *c->argv++;
}

struct online {
	struct cli *c;
	const struct command *command;
	int code;
};

static void run_online(void *arg)
{
	struct online *o = arg;

	o->c->group = task_group_new("command");
	o->code = o->c->group ? o->command->run(o->c) : EX_OSERR;
	cli_disconnect(o->c);
	task_group_end(&o->c->group);
}

static int run(struct cli *c, const struct command *command)
{
	struct online o = { c, command, EX_SOFTWARE };
	struct err err = ERR_INIT;

	if (command->kind != ONLINE)
		return command->run(c);
	if (rt_main(run_online, &o, &err) < 0)
		return cli_fail(c, &err);
	return o.code;
}

/* Options that every command takes, before or after its name. True: one was taken. */
static bool take_common(struct cli *c, bool *help)
{
	if (c->argc > 1 && strcmp(c->argv[0], "--config") == 0) {
		cli_arg(c);
		c->config = cli_arg(c);
	} else if (c->argc > 0 && strcmp(c->argv[0], "--json") == 0) {
		c->json = cli_arg(c) != NULL;
	} else if (c->argc > 0 && strcmp(c->argv[0], "--help") == 0) {
		*help = cli_arg(c) != NULL;
	} else {
		return false;
	}
	return true;
}

/* Called by another name: mailq lists the queue, newaliases has nothing to do. */
static int run_as(struct cli *c, const char *name)
{
	c->command = name;
	if (strcmp(name, "newaliases") == 0)
		return EX_OK;
	c->command = strcmp(name, "mailq") == 0 ? "queue" : "sendmail";
	if (strcmp(name, "mailq") == 0)
		c->argc = 0;
	return run(c, find(c->command));
}

int cli_main(int argc, char **argv)
{
	struct cli c = { .config = cli_config_path(), .argc = argc, .argv = argv };
	const char *self = cli_arg(&c), *name;
	const struct command *command;
	bool help = false;
	int code;

	name = self && strrchr(self, '/') ? strrchr(self, '/') + 1 : self;
	if (name &&
		(strcmp(name, "sendmail") == 0 || strcmp(name, "mailq") == 0 ||
			strcmp(name, "newaliases") == 0))
		return run_as(&c, name);
	while (take_common(&c, &help))
		;
	name = cli_arg(&c);
	if (!name) {
		print_usage(help ? stdout : stderr, NULL);
		return help ? EX_OK : EX_USAGE;
	}
	if (strcmp(name, "--version") == 0) {
		puts("eilpost " EILPOST_VERSION);
		return EX_OK;
	}
	command = find(name);
	if (!command) {
		fprintf(stderr, "eilpost: there is no command \"%s\"\n", name);
		print_usage(stderr, NULL);
		return EX_USAGE;
	}
	c.command = command->name;
	while (take_common(&c, &help))
		;
	if (help) {
		print_usage(stdout, command);
		return EX_OK;
	}
	code = run(&c, command);
	cli_forget(&c);
	return code;
}
