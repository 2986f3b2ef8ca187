/* account.c - eilpost account: list, add, password, enable, disable, remove, and its limits. */
#include "cli/cli.h"
#include "cli/limits.h"
#include "cli/table.h"
#include "cli/undelete.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static int set_password(struct cli *c, struct str login, struct err *err)
{
	struct channel *vault = cli_vault(c, err);
	struct vault_password_set_req q = { .login = login };
	struct vault_password_set_rep a;
	struct reply hold = { 0 };
	struct buf password = BUF(1024);
	int r = -1;

	if (!vault || cli_password("Password for the account", true, &password, err) < 0)
		goto out;
	q.password = buf_str(&password);
	r = vault_password_set(vault, &q, cli_deadline(), &a, &hold, err);
out:
	if (password.p)
		explicit_bzero(password.p, password.cap);
	buf_free(&password);
	reply_free(&hold);
	return r;
}

static void add_cap(struct buf *text, int64_t cap)
{
	if (cap < 0)
		buf_addz(text, "none");
	else if (cap == 0)
		buf_addz(text, "default");
	else
		buf_addf(text, "%" PRId64, cap);
}

/* "messages/new recipients" a day, "-" where the settings say. */
static void add_caps(struct table *t, int64_t messages, int64_t recipients)
{
	struct buf text = BUF(60);

	if (!messages && !recipients) {
		table_none(t);
		return;
	}
	add_cap(&text, messages);
	buf_addc(&text, '/');
	add_cap(&text, recipients);
	table_str(t, buf_str(&text));
	buf_free(&text);
}

static int list(struct cli *c, struct err *err)
{
	struct table t = TABLE(c->json, "login", "name", "enabled", "messages", "size", "created",
		"quota", "quota messages", "caps");
	struct channel *store = cli_store(c, err);
	struct store_accounts_req q = { .after = STR("") };
	struct store_accounts_rep a = { .more = 1 };
	char after[321] = "";
	int r = store ? 0 : -1;

	while (r == 0 && a.more) {
		struct reply hold = { 0 };
		struct store_account_row row;

		q.after = str_c(after);
		r = store_accounts(store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_account_row_next(&a.items, &row)) {
			table_str(&t, row.login);
			table_str(&t, row.full_name);
			table_bool(&t, row.enabled);
			table_num(&t, row.messages);
			table_bytes(&t, row.bytes);
			table_time(&t, row.created);
			cli_quota_cells(&t, row.quota_bytes, row.quota_messages);
			add_caps(&t, row.cap_messages, row.cap_recipients);
			str_z(row.login, after, sizeof after);
		}
		reply_free(&hold);
	}
	if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	return r;
}

static int add(struct cli *c, struct str login, const char *full_name, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_account_add_req q = {
		.call = cli_call_id(), .login = login, .full_name = str_c(full_name)
	};
	struct store_account_add_rep a;
	struct reply hold = { 0 };
	int r;

	if (!store)
		return -1;
	r = store_account_add(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	if (r == 0 && set_password(c, login, err) < 0)
		r = err_wrap(err,
			"the account was made, but its password was not set; "
			"use `eilpost account password`");
	return r;
}

static int enable(struct cli *c, struct str login, bool on, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_account_enable_req q = { .call = cli_call_id(), .login = login, .on = on };
	struct store_account_enable_rep a;
	struct reply hold = { 0 };
	int r = store ? store_account_enable(store, &q, cli_deadline(), &a, &hold, err) : -1;

	reply_free(&hold);
	return r;
}

static int drop(struct cli *c, struct str login, struct err *err)
{
	struct channel *store = cli_store(c, err);
	struct store_account_remove_req q = { .call = cli_call_id(), .login = login };
	struct store_account_remove_rep a;
	struct reply hold = { 0 };
	int r = store ? store_account_remove(store, &q, cli_deadline(), &a, &hold, err) : -1;

	reply_free(&hold);
	return r;
}

int cli_account(struct cli *c)
{
	const char *verb = cli_arg(c), *login = cli_arg(c), *name;
	struct str what = str_c(verb);
	struct err err = ERR_INIT;
	int r;

	if (login && str_eq(what, STR("restore")))
		return cli_account_restore(c, str_c(login));
	name = cli_arg(c);
	if (!verb || str_eq(what, STR("list")))
		r = list(c, &err);
	else if (!login)
		return cli_usage(c, "which account?");
	else if (str_eq(what, STR("add")))
		r = add(c, str_c(login), name, &err);
	else if (str_eq(what, STR("password")))
		r = set_password(c, str_c(login), &err);
	else if (str_eq(what, STR("enable")) || str_eq(what, STR("disable")))
		r = enable(c, str_c(login), verb[0] == 'e', &err);
	else if (str_eq(what, STR("remove")))
		r = drop(c, str_c(login), &err);
	else if (str_eq(what, STR("identity")))
		r = cli_account_identity(c, str_c(login), name, &err);
	else if (str_eq(what, STR("quota")) && name)
		r = cli_account_quota(c, str_c(login), name, &err);
	else if (str_eq(what, STR("caps")) && name)
		r = cli_account_caps(c, str_c(login), name, &err);
	else if (str_eq(what, STR("quota")) || str_eq(what, STR("caps")))
		return cli_usage(c, "how much?");
	else
		return cli_usage(c, "\"%s\" is not known", verb);
	return r < 0 ? cli_fail(c, &err) : EX_OK;
}
