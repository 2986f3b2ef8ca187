/* cli_private.h - between cli.c and connect.c. */
#ifndef CLI_CLI_PRIVATE_H
#define CLI_CLI_PRIVATE_H

#include "cli/cli.h"

const char *cli_config_path(void);            /* $EILPOST_CONFIG, else /etc/eilpost/eilpost.conf */
void cli_disconnect(struct cli *c);           /* end the channels */
int cli_load(struct cli *c, struct err *err); /* read the configuration, once */
/* As cli_fail() for a server that could not start: what only its operator can mend is EX_CONFIG
 * (78). */
int cli_fail_start(const struct cli *c, const struct err *err);
void cli_forget(struct cli *c); /* free the configuration */

#endif
