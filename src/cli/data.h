/* data.h - a data directory without a server: for fsck, backup and restore. */
#ifndef CLI_DATA_H
#define CLI_DATA_H

#include "cli/cli.h"

/* Open the data directory (NULL: the configured one), become the owner of what is in it when we
 * are root, so that no file changes hands, and stand in it: SQLite names its files from there. The
 * descriptor, or -1. */
int cli_data_enter(struct cli *c, const char *path, struct err *err);

/* What is in files here; a store that is a PostgreSQL database is an error that says what to do.
 * The configured data directory, or NULL. */
const char *cli_data_path(struct cli *c, struct err *err);

/* A small secret file, to a file that only its owner may read. */
int cli_copy_key(int from_dir, const char *from, int to_dir, const char *to, struct err *err);

/* Take the value that follows an option. NULL: there is none, and the usage has been said. */
const char *cli_value(struct cli *c, const char *option);

#endif
