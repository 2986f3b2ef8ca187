/* alias.c - eilpost alias: list, set, remove. An alias leads to one or more addresses; "@domain" is
 * the catch-all; with an owner it is a list, and the owner gets what comes back. */
#include "cli/cli.h"
#include "cli/table.h"

#include <sysexits.h>

static void add_row(struct table *t, const struct store_alias_row *row)
{
	struct buf targets = BUF(32768);
	struct str seq = row->targets;
	struct store_target_item target;

	while (store_target_item_next(&seq, &target)) {
		buf_addz(&targets, targets.n ? ", " : "");
		buf_add(&targets, target.address);
	}
	table_str(t, row->address);
	table_str(t, buf_str(&targets));
	table_str(t, row->owner);
	buf_free(&targets);
}

static int list(struct cli *c, struct err *err)
{
	struct table t = TABLE(c->json, "alias", "targets", "owner");
	struct channel *store = cli_store(c, err);
	struct store_aliases_rep a = { .more = 1 };
	char after[321] = "";
	int r = store ? 0 : -1;

	while (r == 0 && a.more) {
		struct store_aliases_req q = { .after = str_c(after) };
		struct store_alias_row row;
		struct reply hold = { 0 };

		r = store_aliases(store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_alias_row_next(&a.items, &row)) {
			add_row(&t, &row);
			str_z(row.address, after, sizeof after);
		}
		reply_free(&hold);
	}
	if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	return r;
}

static int put(struct cli *c, struct str address, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_alias_put_req q = { .call = cli_call_id(), .address = address };
	struct store_alias_put_rep a;
	struct reply hold = { 0 };
	struct buf targets = BUF(32768);
	const char *arg;
	int r = -1;

	if (c->argc > 2 && str_eq(str_c(c->argv[0]), STR("--owner"))) {
		cli_arg(c);
		q.owner = str_c(cli_arg(c));
	}
	while ((arg = cli_arg(c)))
		store_target_item_put(&targets, &(struct store_target_item){ str_c(arg) });
	q.targets = buf_str(&targets);
	if (!buf_ok(&targets))
		err_set(err, ERR_LIMIT, "too many targets for one alias");
	else if (store)
		r = store_alias_put(store, &q, cli_deadline(), &a, &hold, err);
	buf_free(&targets);
	reply_free(&hold);
	return r;
}

static int drop(struct cli *c, struct str address, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_alias_remove_req q = { .call = cli_call_id(), .address = address };
	struct store_alias_remove_rep a;
	struct reply hold = { 0 };
	int r = store ? store_alias_remove(store, &q, cli_deadline(), &a, &hold, err) : -1;

	reply_free(&hold);
	return r;
}

int cli_alias(struct cli *c)
{
	const char *verb = cli_arg(c), *address = cli_arg(c);
	struct str what = str_c(verb);
	struct err err = ERR_INIT;
	int r;

	if (!verb || str_eq(what, STR("list")))
		r = list(c, &err);
	else if (!address)
		return cli_usage(c, "which alias?");
	else if (str_eq(what, STR("set")) && c->argc == 0)
		return cli_usage(c, "where does %s lead?", address);
	else if (str_eq(what, STR("set")))
		r = put(c, str_c(address), &err);
	else if (str_eq(what, STR("remove")))
		r = drop(c, str_c(address), &err);
	else
		return cli_usage(c, "\"%s\" is not known", verb);
	return r < 0 ? cli_fail(c, &err) : EX_OK;
}
