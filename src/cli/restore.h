/* restore.h - between restore.c and restore_account.c. */
#ifndef CLI_RESTORE_H
#define CLI_RESTORE_H

#include "cli/cli.h"

/* Bring the mail of one account (folder not empty: of that folder and those below) from a backup
 * into the running server. 1: something was left out, which has been said. */
int cli_restore_account(
	struct cli *c, int from, uint64_t id, struct str login, struct str folder, struct err *err);

#endif
