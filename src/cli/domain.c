/* domain.c - eilpost domain: list, add, relay, remove, quota. */
#include "cli/cli.h"
#include "cli/limits.h"
#include "cli/table.h"

#include <sysexits.h>

/* Counted only where there is a quota. */
static void add_use(struct table *t, const struct store_domain_row *row)
{
	if (row->quota_bytes || row->quota_messages) {
		table_bytes(t, row->bytes);
		table_num(t, row->messages);
	} else {
		table_none(t);
		table_none(t);
	}
}

static int list(struct cli *c, struct err *err)
{
	struct table t = TABLE(c->json, "domain", "kind", "accounts", "size", "messages", "quota",
		"quota messages");
	struct channel *store = cli_store(c, err);
	struct store_domains_rep a = { .more = 1 };
	char after[256] = "";
	int r = store ? 0 : -1;

	while (r == 0 && a.more) {
		struct store_domains_req q = { .after = str_c(after) };
		struct store_domain_row row;
		struct reply hold = { 0 };

		r = store_domains(store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_domain_row_next(&a.items, &row)) {
			table_str(&t, row.name);
			table_str(&t, row.kind == DOMAIN_RELAY ? STR("relay") : STR("local"));
			table_num(&t, row.accounts);
			add_use(&t, &row);
			cli_quota_cells(&t, row.quota_bytes, row.quota_messages);
			str_z(row.name, after, sizeof after);
		}
		reply_free(&hold);
	}
	if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	return r;
}

static int put(struct cli *c, struct str name, uint8_t kind, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_domain_put_req q = { .call = cli_call_id(), .name = name, .kind = kind };
	struct store_domain_put_rep a;
	struct reply hold = { 0 };
	int r = store ? store_domain_put(store, &q, cli_deadline(), &a, &hold, err) : -1;

	reply_free(&hold);
	return r;
}

static int drop(struct cli *c, struct str name, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_domain_remove_req q = { .call = cli_call_id(), .name = name };
	struct store_domain_remove_rep a;
	struct reply hold = { 0 };
	int r = store ? store_domain_remove(store, &q, cli_deadline(), &a, &hold, err) : -1;

	reply_free(&hold);
	return r;
}

int cli_domain(struct cli *c)
{
	const char *verb = cli_arg(c), *name = cli_arg(c), *size = cli_arg(c);
	struct str what = str_c(verb);
	struct err err = ERR_INIT;
	int r;

	if (!verb || str_eq(what, STR("list")))
		r = list(c, &err);
	else if (!name)
		return cli_usage(c, "which domain?");
	else if (str_eq(what, STR("add")))
		r = put(c, str_c(name), DOMAIN_LOCAL, &err);
	else if (str_eq(what, STR("relay")))
		r = put(c, str_c(name), DOMAIN_RELAY, &err);
	else if (str_eq(what, STR("quota")) && !size)
		return cli_usage(c, "how much?");
	else if (str_eq(what, STR("quota")))
		r = cli_domain_quota(c, str_c(name), size, &err);
	else if (str_eq(what, STR("remove")))
		r = drop(c, str_c(name), &err);
	else
		return cli_usage(c, "\"%s\" is not known", verb);
	return r < 0 ? cli_fail(c, &err) : EX_OK;
}
