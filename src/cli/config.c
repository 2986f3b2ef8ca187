/* config.c - eilpost config: check, show, manual. */
#include "cli/cli.h"

#include "cli/cli_private.h"
#include "conf/conf.h"

#include <stdio.h>
#include <sysexits.h>

static int check(struct cli *c)
{
	struct conf_source from = { .kind = CONF_SERVER, .path = c->config };
	struct buf report = BUF(65536);
	struct err err = ERR_INIT;
	int r = conf_load(&from, &c->conf, &report, &err);

	if (r == 0)
		r = conf_check_files(c->conf, &report, &err);
	fwrite(report.p, 1, report.n, stderr);
	buf_free(&report);
	if (r == 0) {
		printf("%s is right\n", c->config);
		return EX_OK;
	}
	if (err.kind == ERR_NOTFOUND || err.kind == ERR_DENIED)
		cli_fail(c, &err);
	return EX_CONFIG;
}

static int show(struct cli *c)
{
	struct buf text = BUF(1u << 20);
	struct err err = ERR_INIT;

	if (cli_load(c, &err) < 0) {
		cli_fail(c, &err);
		return EX_CONFIG;
	}
	conf_serialise(c->conf, &text);
	fwrite(text.p, 1, text.n, stdout);
	buf_free(&text);
	return EX_OK;
}

static int manual(enum conf_format format)
{
	struct buf text = BUF(1u << 20);

	conf_manual(&text, format);
	fwrite(text.p, 1, text.n, stdout);
	buf_free(&text);
	return EX_OK;
}

int cli_config(struct cli *c)
{
	const char *verb = cli_arg(c), *form = cli_arg(c);
	struct str what = str_c(verb);

	if (str_eq(what, STR("check")))
		return check(c);
	if (str_eq(what, STR("show")))
		return show(c);
	if (str_eq(what, STR("manual")))
		return manual(str_eq(str_c(form), STR("mdoc")) ? CONF_MDOC : CONF_MARKDOWN);
	return cli_usage(c, "what about it?");
}
