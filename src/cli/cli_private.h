/* cli_private.h - between cli.c and connect.c. */
#ifndef CLI_CLI_PRIVATE_H
#define CLI_CLI_PRIVATE_H

#include "cli/cli.h"

const char *cli_config_path(void);            /* $EILPOST_CONFIG, else /etc/eilpost/eilpost.conf */
void cli_disconnect(struct cli *c);           /* end the channels */
int cli_load(struct cli *c, struct err *err); /* read the configuration, once */
void cli_forget(struct cli *c);               /* free the configuration */

#endif
