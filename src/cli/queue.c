/* queue.c - eilpost queue: list, retry, hold, release, drop. Also mailq. */
#include "cli/cli.h"
#include "cli/table.h"

#include "mail/queue_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static struct str state_name(uint8_t state)
{
	return state == RCPT_HELD        ? STR("held")
		: state == RCPT_RELEASED ? STR("active")
					 : STR("waiting");
}

static void add_row(struct table *t, const struct store_queue_row *row)
{
	char id[QUEUE_ID_SIZE];

	queue_id_print(row->message, id);
	table_str(t, str_c(id));
	table_str(t, state_name(row->state));
	table_time(t, row->arrived);
	table_bytes(t, row->size);
	table_str(t, row->sender.n ? row->sender : STR("<>"));
	table_str(t, row->address);
	table_num(t, row->attempts);
	table_time(t, row->next);
	table_str(t, row->text);
}

static int list(struct cli *c, struct err *err)
{
	struct table t = TABLE(c->json, "id", "state", "arrived", "size", "sender", "recipient",
		"attempts", "next", "last reply");
	struct channel *store = cli_store(c, err);
	struct store_queue_req q = { .after = 0 };
	struct store_queue_rep a = { .more = 1 };
	int r = store ? 0 : -1;

	while (r == 0 && a.more) {
		struct store_queue_row row;
		struct reply hold = { 0 };

		r = store_queue(store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_queue_row_next(&a.items, &row)) {
			add_row(&t, &row);
			q.after = row.rcpt;
		}
		reply_free(&hold);
	}
	if (r == 0 && t.count == 0 && !c->json)
		puts("Mail queue is empty");
	else if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	return r;
}

int cli_queue_change(
	struct channel *store, struct store_queue_change_req *q, uint64_t *changed, struct err *err)
{
	struct store_queue_change_rep a;
	struct reply hold = { 0 };
	int r;

	*changed = 0;
	do {
		q->call = cli_call_id();
		r = store_queue_change(store, q, cli_deadline(), &a, &hold, err);
		if (r == 0) {
			*changed += a.changed;
			q->after = a.after;
		}
		reply_free(&hold);
	} while (r == 0 && q->after);
	return r;
}

static int change(struct cli *c, const char *id, uint8_t op, struct err *err)
{
	struct store_queue_change_req q = { .op = op };
	struct channel *store;
	uint64_t changed = 0;
	int r;

	if (str_find(str_c(id), '@') < strlen(id))
		q.login = str_c(id);
	else if (!str_eq(str_c(id), STR("all")) && !queue_id_parse(str_c(id), &q.message))
		return err_set(err, ERR_NOTFOUND, "%s is no queue id and no login", id);
	store = cli_store(c, err);
	r = store ? cli_queue_change(store, &q, &changed, err) : -1;
	if (r == 0 && changed == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing in the queue matches %s", id);
	else if (r == 0 && !c->json)
		printf("%" PRIu64 " changed\n", changed);
	else if (r < 0 && changed)
		err_wrap(err, "after %" PRIu64 " were changed", changed);
	return r;
}

int cli_queue(struct cli *c)
{
	static const struct {
		struct str verb;
		uint8_t op;
	} verbs[] = {
		{ STR_INIT("retry"), QUEUE_RETRY },
		{ STR_INIT("hold"), QUEUE_HOLD },
		{ STR_INIT("release"), QUEUE_RELEASE },
		{ STR_INIT("drop"), QUEUE_DROP },
	};
	const char *verb = cli_arg(c), *id = cli_arg(c);
	struct err err = ERR_INIT;

	if (!verb || str_eq(str_c(verb), STR("list")))
		return list(c, &err) < 0 ? cli_fail(c, &err) : EX_OK;
	for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
		if (!str_eq(str_c(verb), verbs[i].verb))
			continue;
		if (!id)
			return cli_usage(c, "which message? (an id, a login, or \"all\")");
		return change(c, id, verbs[i].op, &err) < 0 ? cli_fail(c, &err) : EX_OK;
	}
	return cli_usage(c, "\"%s\" is not known", verb);
}
