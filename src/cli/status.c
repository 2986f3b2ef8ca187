/* status.c - eilpost status: health in plain sentences; with --json the numbers. */
#include "cli/cli.h"
#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

struct health {
	struct control_status_rep master;
	struct store_status_rep store;
	struct vault_status_rep vault;
	struct reply master_hold, store_hold, vault_hold;
	bool asked; /* store and vault have been there, and have answered */
};

static bool is_ready(const struct health *h, struct str name)
{
	struct str seq = h->master.roles;
	struct control_role role;

	while (control_role_next(&seq, &role))
		if (str_eq(role.name, name))
			return role.ready;
	return false;
}

static int ask(struct cli *c, struct health *h, struct err *err)
{
	struct control_status_req mq = { 0 };
	struct store_status_req sq = { .deep = 0 };
	struct vault_status_req vq = { 0 };
	struct channel *ch;

	ch = cli_master(c, err);
	if (!ch || control_status(ch, &mq, cli_deadline(), &h->master, &h->master_hold, err) < 0)
		return -1;
	if (!is_ready(h, STR("store")) || !is_ready(h, STR("vault")))
		return 0;
	ch = cli_store(c, err);
	if (!ch || store_status(ch, &sq, cli_deadline(), &h->store, &h->store_hold, err) < 0)
		return err_wrap(err, "the store does not answer");
	ch = cli_vault(c, err);
	if (!ch || vault_status(ch, &vq, cli_deadline(), &h->vault, &h->vault_hold, err) < 0)
		return err_wrap(err, "the vault does not answer");
	h->asked = true;
	return 0;
}

/* Without the store nobody knows more than why it is not there. */
static int show_json_roles(const struct health *h)
{
	struct table t = TABLE(true, "version", "started", "alarm", "listeners");
	struct str seq = h->master.roles, why = STR("");
	struct control_role role;

	while (control_role_next(&seq, &role))
		if (!role.ready && why.n == 0)
			why = role.note;
	table_str(&t, h->master.version);
	table_time(&t, h->master.started);
	table_str(&t, why);
	table_str(&t, h->master.listeners);
	table_end_single(&t);
	return EX_UNAVAILABLE;
}

/* One sentence per thing that is wrong; gives how many. */
static int show_troubles(const struct health *h, FILE *out)
{
	struct str seq = h->master.roles;
	struct control_role role;
	int wrong = 0;
	int64_t days = (h->vault.earliest_expiry - (int64_t)time(NULL)) / 86400;

	while (control_role_next(&seq, &role)) {
		if (!role.ready && ++wrong)
			fprintf(out, "The role " STR_F " is not running%s" STR_F ".\n",
				STR_A(role.name), role.note.n ? ": " : " yet", STR_A(role.note));
		else if (role.restarts)
			fprintf(out, "The role " STR_F " has been restarted %u times.\n",
				STR_A(role.name), role.restarts);
	}
	if (!h->asked)
		return wrong;
	if (h->store.read_only && ++wrong)
		fprintf(out, "The store takes no new mail: " STR_F "\n", STR_A(h->store.alarm));
	else if (h->store.alarm.n && ++wrong)
		fprintf(out, "The store warns: " STR_F "\n", STR_A(h->store.alarm));
	if (h->vault.identities == 0 && ++wrong)
		fputs("There is no certificate: clients cannot log in.\n", out);
	else if (h->vault.earliest_expiry && days < 14 && ++wrong)
		fprintf(out, "A certificate ends in %" PRId64 " days.\n", days);
	return wrong;
}

static int show_json(const struct health *h)
{
	const uint64_t database = h->store.database_bytes;
	struct table t = TABLE(true, "version", "started", "accounts", "domains", "emails",
		"queued", "held", "oldest", "free_bytes", "log_bytes", "database_bytes", "damaged",
		"stuck_segments", "read_only", "alarm", "certificate_expires", "logins",
		"login_failures", "listeners");

	table_str(&t, h->master.version);
	table_time(&t, h->master.started);
	table_num(&t, h->store.accounts);
	table_num(&t, h->store.domains);
	table_num(&t, h->store.emails);
	table_num(&t, h->store.queued);
	table_num(&t, h->store.held);
	table_time(&t, h->store.oldest);
	/* A store has a disk and a log of its own, or a database. */
	database ? table_none(&t) : table_num(&t, h->store.free_bytes);
	database ? table_none(&t) : table_num(&t, h->store.log_bytes);
	database ? table_num(&t, database) : table_none(&t);
	table_num(&t, h->store.damaged);
	table_num(&t, h->store.stuck);
	table_bool(&t, h->store.read_only);
	table_str(&t, h->store.alarm);
	table_time(&t, h->vault.earliest_expiry);
	table_num(&t, h->vault.logins);
	table_num(&t, h->vault.failures);
	table_str(&t, h->master.listeners);
	table_end_single(&t);
	return show_troubles(h, stderr) ? EX_UNAVAILABLE : EX_OK;
}

static void show_roles(const struct health *h)
{
	struct table t = TABLE(false, "role", "pid", "ready", "restarts", "isolation", "note");
	struct str seq = h->master.roles;
	struct control_role role;

	while (control_role_next(&seq, &role)) {
		table_str(&t, role.name);
		table_num(&t, role.pid);
		table_bool(&t, role.ready);
		table_num(&t, role.restarts);
		table_str(&t, role.isolation);
		table_str(&t, role.note);
	}
	table_end(&t);
}

static void show_figures(const struct health *h)
{
	const struct table own = TABLE(false, "version", "started", "accounts", "domains", "emails",
		"waiting to be sent", "held", "free disk space", "log", "listening on");
	const struct table shared = TABLE(false, "version", "started", "accounts", "domains",
		"emails", "waiting to be sent", "held", "database", "listening on");
	struct table t = h->store.database_bytes ? shared : own;

	table_str(&t, h->master.version);
	table_time(&t, h->master.started);
	table_num(&t, h->store.accounts);
	table_num(&t, h->store.domains);
	table_num(&t, h->store.emails);
	table_num(&t, h->store.queued);
	table_num(&t, h->store.held);
	if (h->store.database_bytes) {
		table_bytes(&t, h->store.database_bytes);
	} else {
		table_bytes(&t, h->store.free_bytes);
		table_bytes(&t, h->store.log_bytes);
	}
	table_str(&t, h->master.listeners);
	table_end_single(&t);
	putchar('\n');
}

static int show(const struct health *h)
{
	int wrong = show_troubles(h, stdout);

	if (wrong == 0)
		puts("All is well.");
	putchar('\n');
	if (h->asked)
		show_figures(h);
	show_roles(h);
	return wrong ? EX_UNAVAILABLE : EX_OK;
}

int cli_status(struct cli *c)
{
	struct health h = { 0 };
	struct err err = ERR_INIT;
	int code = EX_OK;

	if (ask(c, &h, &err) < 0)
		code = cli_fail(c, &err);
	else if (c->json)
		code = h.asked ? show_json(&h) : show_json_roles(&h);
	else
		code = show(&h);
	reply_free(&h.master_hold);
	reply_free(&h.store_hold);
	reply_free(&h.vault_hold);
	return code;
}
