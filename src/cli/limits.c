/* limits.c - eilpost account quota, caps, identity; eilpost domain quota: what one may hold and
 * send. */
#include "cli/limits.h"
#include "cli/table.h"

#include "conf/conf.h"

#include <stdio.h>

/* "none", or a number that is not 0. */
static bool limit(const char *text, bool is_size, uint64_t *out)
{
	struct str s = str_c(text);

	*out = 0;
	if (str_eqi(s, STR("none")))
		return true;
	return (is_size ? conf_size(s, out) : str_u64(s, INT64_MAX, out)) && *out > 0;
}

static int read_quota(
	const char *size, const char *messages, uint64_t *bytes, uint64_t *count, struct err *err)
{
	*count = 0;
	if (!limit(size, true, bytes))
		return err_set(
			err, ERR_PERM, "%s is no size like 500MB or 2GB, and not \"none\"", size);
	if (messages && !limit(messages, false, count))
		return err_set(
			err, ERR_PERM, "%s is no number of messages, and not \"none\"", messages);
	return 0;
}

int cli_account_quota(struct cli *c, struct str login, const char *size, struct err *err)
{
	struct store_account_quota_req q = { .call = cli_call_id(), .login = login };
	struct store_account_quota_rep a;
	struct reply hold = { 0 };
	struct channel *store;
	int r = -1;

	if (read_quota(size, cli_arg(c), &q.bytes, &q.messages, err) == 0 &&
		(store = cli_store(c, err)))
		r = store_account_quota(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	return r;
}

int cli_domain_quota(struct cli *c, struct str name, const char *size, struct err *err)
{
	struct store_domain_quota_req q = { .call = cli_call_id(), .name = name };
	struct store_domain_quota_rep a;
	struct reply hold = { 0 };
	struct channel *store;
	int r = -1;

	if (read_quota(size, cli_arg(c), &q.bytes, &q.messages, err) == 0 &&
		(store = cli_store(c, err)))
		r = store_domain_quota(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	return r;
}

/* 0 stands for the setting's. */
static bool cap(const char *text, int64_t *out)
{
	uint64_t v;

	if (!limit(text, false, &v))
		return false;
	*out = v ? (int64_t)v : -1;
	return true;
}

int cli_account_caps(struct cli *c, struct str login, const char *messages, struct err *err)
{
	struct store_account_caps_req q = { .call = cli_call_id(), .login = login };
	const char *recipients = cli_arg(c);
	struct store_account_caps_rep a;
	struct reply hold = { 0 };
	struct channel *store;
	int r = -1;

	if (!str_eqi(str_c(messages), STR("default")) &&
		(!recipients || !cap(messages, &q.messages) || !cap(recipients, &q.recipients)))
		return err_set(err, ERR_PERM,
			"give the most messages and the most new recipients a day, each a number "
			"or "
			"\"none\"; or \"default\"");
	store = cli_store(c, err);
	if (store)
		r = store_account_caps(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	return r;
}

static int list_identities(struct cli *c, struct str login, struct err *err)
{
	struct table t = TABLE(c->json, "address");
	struct store_identities_req q = { .login = login };
	struct store_identities_rep a;
	struct store_target_item item;
	struct reply hold = { 0 };
	struct channel *store = cli_store(c, err);
	int r = store ? store_identities(store, &q, cli_deadline(), &a, &hold, err) : -1;

	while (r == 0 && store_target_item_next(&a.items, &item))
		table_str(&t, item.address);
	if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	reply_free(&hold);
	return r;
}

int cli_account_identity(struct cli *c, struct str login, const char *verb, struct err *err)
{
	struct store_identity_req q = { .call = cli_call_id(), .login = login };
	struct store_identity_rep a;
	struct reply hold = { 0 };
	const char *address = cli_arg(c);
	struct channel *store;
	int r = -1;

	if (!verb || str_eq(str_c(verb), STR("list")))
		return list_identities(c, login, err);
	q.add = str_eq(str_c(verb), STR("add"));
	if (!address || (!q.add && !str_eq(str_c(verb), STR("remove"))))
		return err_set(err, ERR_PERM, "say list, add ADDRESS or remove ADDRESS");
	q.address = str_c(address);
	store = cli_store(c, err);
	if (store)
		r = store_identity(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	return r;
}

void cli_quota_cells(struct table *t, uint64_t bytes, uint64_t messages)
{
	if (bytes)
		table_bytes(t, bytes);
	else
		table_none(t);
	if (messages)
		table_num(t, messages);
	else
		table_none(t);
}
