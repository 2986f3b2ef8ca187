/* serve.c - eilpost serve: run the server in the foreground; eilpost role: one of its processes. */
#include "cli/cli.h"

#include "cli/cli_private.h"
#include "conf/conf.h"
#include "role/master.h"
#include "role/role.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { SETS_MAX = 64 };

int cli_fail_start(const struct cli *c, const struct err *err)
{
	int code = cli_fail(c, err);

	return err->kind == ERR_PERM ? EX_CONFIG : code;
}

int cli_serve(struct cli *c)
{
	struct str sets[SETS_MAX];
	struct conf_source from = { .kind = CONF_SERVER, .path = c->config, .set = sets };
	struct buf report = BUF(65536);
	struct err err = ERR_INIT;
	const char *arg;
	int code = EX_CONFIG;

	while ((arg = cli_arg(c))) {
		if (strcmp(arg, "--set") != 0 || c->argc == 0 || from.sets == SETS_MAX)
			return cli_usage(c, "\"%s\" is not known", arg);
		sets[from.sets++] = str_c(cli_arg(c));
	}
	if (conf_load(&from, &c->conf, &report, &err) < 0) {
		fwrite(report.p, 1, report.n, stderr);
		if (report.n == 0)
			cli_fail(c, &err);
	} else {
		struct master_options o = { .conf = c->conf };

		code = master_run(&o, &err) < 0 ? cli_fail_start(c, &err) : EX_OK;
	}
	buf_free(&report);
	return code;
}

int cli_role(struct cli *c)
{
	const char *name = cli_arg(c);

	return name ? role_run(name) : cli_usage(c, "which role? (the server starts them itself)");
}
