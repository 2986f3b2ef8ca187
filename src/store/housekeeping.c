/* What the store does for itself, once a second, and a little at a time so that nobody waits for
 * it: forget old answers, and purge what was expunged, deleted or removed longer ago than the
 * retention time. While much is left it goes on sooner. */
#include "store/engine.h"
#include "store/entry.h"
#include "store/store_private.h"

#define ID(x) DB_I((int64_t)(x))

enum { PURGE_STEP = 200, ROWS_STEP = 2000 };

static int turn_calls(struct txn *t, struct err *err)
{
	const struct counters *n = t->apply.next;
	int64_t last;
	int got;

	/* A clock that goes back a little, as after a failover to another machine, is no reason. */
	if (t->now < n->calls_turned + STORE_CALL_SECONDS &&
		t->now > n->calls_turned - STORE_CALL_SECONDS)
		return 0;
	/* The table that takes its turn must be empty, and may be large. */
	got = db_int(t->view.db, &last,
		n->calls ? "SELECT id FROM call_even ORDER BY id LIMIT 1 OFFSET $1"
			 : "SELECT id FROM call_odd ORDER BY id LIMIT 1 OFFSET $1",
		DB_ARGS(DB_I(ROWS_STEP - 1)), err);
	if (got == 1)
		t->view.store->much_to_do = true;
	if (got)
		return got < 0 ? -1
			       : emit_calls_forgotten(
					 t, &(struct effect_calls_forgotten){ ROWS_STEP }, err);
	return emit_calls_turned(t, &(struct effect_calls_turned){ !n->calls, t->now }, err);
}

/* Some uids of one mailbox as ranges. */
static int purge_uids(struct txn *t, uint64_t account, uint64_t mailbox, struct rows *r,
	bool from_ghosts, int *purged, struct err *err)
{
	struct range_list uids = RANGE_LIST;
	int got;

	while ((got = rows_next(r, err)) == 1) {
		range_list_add(&uids, (uint32_t)rows_int(r, 0));
		(*purged)++;
	}
	rows_free(&r);
	if (got == 0 && uids.n)
		got = emit_entries_purged(t,
			&(struct effect_entries_purged){
				account, mailbox, from_ghosts, range_list_end(&uids) },
			err);
	range_list_free(&uids);
	return got;
}

/* Row of (account, mailbox) of the first match. 1, 0, -1. */
static int first_pair(
	struct txn *t, const char *sql, int64_t before, uint64_t *a, uint64_t *b, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r, sql, DB_ARGS(DB_I(before)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		*a = (uint64_t)rows_int(r, 0);
		*b = (uint64_t)rows_int(r, 1);
	}
	rows_free(&r);
	return got;
}

static int purge_ghosts(struct txn *t, int64_t before, int *purged, struct err *err)
{
	uint64_t account, mailbox;
	struct rows *r;
	int got = first_pair(t,
		"SELECT account, mailbox FROM ghost WHERE expunged < $1 ORDER BY expunged LIMIT 1",
		before, &account, &mailbox, err);

	if (got != 1)
		return got;
	if (db_query(t->view.db, &r,
		    "SELECT uid FROM ghost WHERE account = $1 AND mailbox = $2 AND expunged < $3"
		    " ORDER BY uid LIMIT $4",
		    DB_ARGS(ID(account), ID(mailbox), DB_I(before), DB_I(PURGE_STEP)), err) < 0)
		return -1;
	return purge_uids(t, account, mailbox, r, true, purged, err);
}

/* What is still in a mailbox that nobody sees any more, then the mailbox. */
static int empty_mailbox(
	struct txn *t, uint64_t account, uint64_t mailbox, int *purged, struct err *err)
{
	struct rows *r;

	for (int ghosts = 0; ghosts < 2 && *purged == 0; ghosts++) {
		if (db_query(t->view.db, &r,
			    ghosts ? "SELECT uid FROM ghost WHERE account = $1 AND mailbox = $2"
				     " ORDER BY uid LIMIT $3"
				   : "SELECT uid FROM entry WHERE account = $1 AND mailbox = $2"
				     " ORDER BY uid LIMIT $3",
			    DB_ARGS(ID(account), ID(mailbox), DB_I(PURGE_STEP)), err) < 0 ||
			purge_uids(t, account, mailbox, r, ghosts, purged, err) < 0)
			return -1;
	}
	if (*purged)
		return 0;
	*purged = 1;
	return emit_mailbox_purged(t, &(struct effect_mailbox_purged){ account, mailbox }, err);
}

static int purge_mailbox(struct txn *t, int64_t before, int *purged, struct err *err)
{
	uint64_t account, mailbox;
	int got = first_pair(t,
		"SELECT account, id FROM mailbox WHERE removed <> 0 AND removed < $1 LIMIT 1",
		before, &account, &mailbox, err);

	return got == 1 ? empty_mailbox(t, account, mailbox, purged, err) : got;
}

static int purge_account(struct txn *t, int64_t before, int *purged, struct err *err)
{
	uint64_t account, mailbox, unused;
	int64_t found = 0;
	int got = first_pair(t,
		"SELECT id, 0 FROM account WHERE removed <> 0 AND removed < $1 LIMIT 1", before,
		&account, &unused, err);

	if (got != 1)
		return got;
	got = db_int(t->view.db, &found, "SELECT id FROM mailbox WHERE account = $1 LIMIT 1",
		DB_ARGS(ID(account)), err);
	mailbox = (uint64_t)found;
	if (got == 1)
		return empty_mailbox(t, account, mailbox, purged, err);
	*purged = 1;
	if (got == 0)
		got = db_int(t->view.db, &found,
			"SELECT key FROM thread_key WHERE account = $1 LIMIT 1",
			DB_ARGS(ID(account)), err);
	if (got == 1)
		return emit_thread_keys_purged(
			t, &(struct effect_thread_keys_purged){ account, ROWS_STEP }, err);
	if (got == 0)
		got = emit_account_purged(t, &(struct effect_account_purged){ account }, err);
	return got;
}

int housekeeping_run(struct txn *t, struct store_job *job, struct err *err)
{
	const int64_t before = txn_purge_before(t);
	const struct engine *e = t->view.store->engine;
	int purged = 0, r;

	(void)job;
	t->view.store->much_to_do = false;
	if (e->tend && e->tend(t, err) < 0)
		return -1;
	if (turn_calls(t, err) < 0 || purge_ghosts(t, before, &purged, err) < 0)
		return -1;
	if (purged == 0 && purge_mailbox(t, before, &purged, err) < 0)
		return -1;
	r = purged == 0 ? purge_account(t, before, &purged, err) : 0;
	t->view.store->much_to_do |= purged > 0;
	return r;
}
