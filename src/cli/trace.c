/* trace.c - eilpost trace: where did this message go, and what did the other side say? */
#include "cli/cli.h"
#include "cli/table.h"

#include "mail/queue_id.h"

#include <sysexits.h>

static int show(struct cli *c, struct store_trace_req *q, struct err *err)
{
	struct table t = TABLE(c->json, "time", "id", "event", "what");
	struct channel *store = cli_store(c, err);
	struct store_trace_rep a = { .more = 1 };
	int r = store ? 0 : -1;

	while (r == 0 && a.more) {
		struct store_trace_row row;
		struct reply hold = { 0 };
		char id[QUEUE_ID_SIZE];

		r = store_trace(store, q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_trace_row_next(&a.items, &row)) {
			queue_id_print(row.message, id);
			table_time(&t, row.time);
			table_str(&t, str_c(id));
			table_str(&t, row.event);
			table_str(&t, row.text);
			q->after = row.position;
		}
		reply_free(&hold);
	}
	if (r == 0 && t.count == 0)
		r = err_set(err, ERR_NOTFOUND, "nothing is known of that message or address");
	else if (r == 0)
		table_end(&t);
	buf_free(&t.cells);
	return r;
}

int cli_trace(struct cli *c)
{
	struct store_trace_req q = { .after = 0 };
	const char *what = cli_arg(c);
	struct err err = ERR_INIT;

	if (!what)
		return cli_usage(c, "which message or address?");
	if (str_find(str_c(what), '@') < str_c(what).n)
		q.address = str_c(what);
	else if (!queue_id_parse(str_c(what), &q.message))
		return cli_usage(c, "%s is neither an address nor a queue id", what);
	return show(c, &q, &err) < 0 ? cli_fail(c, &err) : EX_OK;
}
