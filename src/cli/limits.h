/* limits.h - the parts of `eilpost account` and `eilpost domain` that set limits. They take what is
 * left of the arguments. 0, or -1 with a sentence. */
#ifndef CLI_LIMITS_H
#define CLI_LIMITS_H

#include "cli/cli.h"
#include "cli/table.h"

int cli_account_quota(struct cli *c, struct str login, const char *size, struct err *err);
int cli_domain_quota(struct cli *c, struct str name, const char *size, struct err *err);
int cli_account_caps(struct cli *c, struct str login, const char *messages, struct err *err);
int cli_account_identity(struct cli *c, struct str login, const char *verb, struct err *err);

/* Two cells: bytes and messages, "-" where there is no limit. */
void cli_quota_cells(struct table *t, uint64_t bytes, uint64_t messages);

#endif
