/* cli.h - what the subcommands of `eilpost` share: options, the way to the running server, output.
 *
 * A subcommand is one file with one function, named in the table of cli.c. It gives an exit code of
 * sysexits.h. Commands that ask the server run as a task (so they may make calls); cli_store() and
 * cli_vault() connect on first use through the control socket, where the master checks who we are.
 *
 * Errors go to standard error as one sentence: what happened, to what, and what to do.
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/err.h"
#include "base/str.h"
#include "ipc/channel.h"

#include <stdbool.h>

struct conf;

struct cli {
	const char *command; /* "account" */
	const char *config;  /* path of the configuration file */
	bool json;
	int argc; /* what follows the command and the common options */
	char **argv;
	struct conf *conf; /* loaded for commands that ask the server */
	struct task_group *group;
	struct channel *store, *vault, *master;
	/* The body that is being sent (cli_body_begin): how much of it the store takes now, why it
	 * takes no more, and the news of either. */
	uint32_t txn;
	int64_t credit;
	struct err refused;
	struct signal credit_came;
};

/* The program: argv[0] may also be sendmail, mailq or newaliases. Gives the exit code. */
int cli_main(int argc, char **argv);

/* The sysexits code of an error (EX_UNAVAILABLE, EX_NOUSER, EX_NOPERM ...). */
int cli_exit_code(const struct err *err);
/* "eilpost account: SENTENCE"; gives the exit code. */
int cli_fail(const struct cli *c, const struct err *err);
/* "eilpost account: SENTENCE", then how the command is used; EX_USAGE. */
int cli_usage(const struct cli *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The next argument, or NULL. */
const char *cli_arg(struct cli *c);

/* The store, the vault or the master of the running server. NULL with a sentence that says how to
 * start it. */
struct channel *cli_store(struct cli *c, struct err *err);
struct channel *cli_vault(struct cli *c, struct err *err);
struct channel *cli_master(struct cli *c, struct err *err);
/* All mailboxes of an open account, and the names that are only subscribed. */
struct store_mailbox_item;
typedef void cli_mailbox_fn(void *arg, const struct store_mailbox_item *item);
int cli_each_mailbox(
	struct cli *c, uint32_t handle, cli_mailbox_fn *each, void *arg, struct err *err);
/* How long a command waits for an answer. */
int64_t cli_deadline(void);
/* An id for a changing call; random. */
uint64_t cli_call_id(void);
/* All of it, a part at a time (op, message, login of `q`). *changed: so many were, also after -1.
 */
int cli_queue_change(struct channel *store, struct store_queue_change_req *q, uint64_t *changed,
	struct err *err);

/* A body for the store, in pieces of any size: waits while the store has no room. One at a time;
 * the commit (store_deliver, store_append) names the transaction, and takes it over. */
void cli_body_begin(struct cli *c, uint32_t txn);
int cli_body_send(struct cli *c, struct str data, struct err *err);
int cli_body_abort(struct cli *c, struct err *err);

/* A password: from the terminal without echo (twice when `confirm`), or one line of standard input
 * when that is no terminal. The caller wipes and frees *b. */
int cli_password(const char *prompt, bool confirm, struct buf *b, struct err *err);

/* Subcommands. */
int cli_account(struct cli *c);
int cli_alias(struct cli *c);
int cli_backup(struct cli *c);
int cli_config(struct cli *c);
int cli_demo(struct cli *c);
int cli_domain(struct cli *c);
int cli_fsck(struct cli *c);
int cli_export(struct cli *c);
int cli_import(struct cli *c);
int cli_queue(struct cli *c);
int cli_restore(struct cli *c);
int cli_role(struct cli *c);
int cli_send(struct cli *c);
int cli_sendmail(struct cli *c);
int cli_serve(struct cli *c);
int cli_setup(struct cli *c);
int cli_status(struct cli *c);
int cli_trace(struct cli *c);

#endif
