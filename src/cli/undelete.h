/* undelete.h - `eilpost account restore`: bring deleted mail, folders and accounts back. */
#ifndef CLI_UNDELETE_H
#define CLI_UNDELETE_H

#include "cli/cli.h"

/* Takes what is left of the arguments. An exit code; it has said why. */
int cli_account_restore(struct cli *c, struct str login);

#endif
