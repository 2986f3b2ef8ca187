/* The end of mail that nobody can see any more. */
#include "store/apply_private.h"
#include "store/thread_key.h"

/* One that referred to the email is gone; the last one takes it along. */
static int unlink_email(struct apply *a, uint64_t account, int64_t email, struct err *err)
{
	int64_t links = 1, body = 0;

	if (db_int(a->db, &links,
		    "UPDATE email SET links = links - 1 WHERE account = $1 AND id = $2 RETURNING "
		    "links",
		    DB_ARGS(ID(account), DB_I(email)), err) < 0)
		return -1;
	if (links > 0)
		return 0;
	if (db_int(a->db, &body, "DELETE FROM email WHERE account = $1 AND id = $2 RETURNING body",
		    DB_ARGS(ID(account), DB_I(email)), err) < 0)
		return -1;
	return apply_body_unlink(a, (uint64_t)body, err);
}

static int purge_one(
	struct apply *a, const struct effect_entries_purged *e, uint32_t uid, struct err *err)
{
	const char *sql = e->from_ghosts ? "DELETE FROM ghost WHERE account = $1 AND mailbox = $2 "
					   "AND uid = $3 RETURNING email"
					 : "DELETE FROM entry WHERE account = $1 AND mailbox = $2 "
					   "AND uid = $3 RETURNING email";
	int64_t email;
	int got =
		db_int(a->db, &email, sql, DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(uid)), err);

	return got == 1 ? unlink_email(a, e->account, email, err) : got;
}

int apply_entries_purged(struct apply *a, const struct effect_entries_purged *e, struct err *err)
{
	struct effect_uid_range r;
	struct str ranges = e->ranges;

	while (effect_uid_range_next(&ranges, &r))
		for (uint64_t uid = r.first; uid <= r.last; uid++)
			if (purge_one(a, e, (uint32_t)uid, err) < 0)
				return -1;
	return ranges.n ? err_set(err, ERR_PROTO, "malformed ranges") : 0;
}

int apply_mailbox_purged(struct apply *a, const struct effect_mailbox_purged *e, struct err *err)
{
	return db_exec(a->db, "DELETE FROM mailbox WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->id)), err);
}

int apply_thread_keys_purged(
	struct apply *a, const struct effect_thread_keys_purged *e, struct err *err)
{
	return db_exec(a->db,
		"DELETE FROM thread_key WHERE account = $1 AND key IN"
		" (SELECT key FROM thread_key WHERE account = $1 ORDER BY key LIMIT $2)",
		DB_ARGS(ID(e->account), DB_I(e->count)), err);
}

int apply_account_purged(struct apply *a, const struct effect_account_purged *e, struct err *err)
{
	thread_keys_forget(a->keys, e->id);
	if (db_exec(a->db, "DELETE FROM thread_new WHERE account = $1", DB_ARGS(ID(e->id)), err) <
			0 ||
		db_exec(a->db, "DELETE FROM thread_key WHERE account = $1", DB_ARGS(ID(e->id)),
			err) < 0 ||
		db_exec(a->db, "DELETE FROM subscription WHERE account = $1", DB_ARGS(ID(e->id)),
			err) < 0 ||
		db_exec(a->db, "DELETE FROM correspondent WHERE account = $1", DB_ARGS(ID(e->id)),
			err) < 0 ||
		db_exec(a->db, "DELETE FROM sending WHERE account = $1", DB_ARGS(ID(e->id)), err) <
			0)
		return -1;
	return db_exec(a->db, "DELETE FROM account WHERE id = $1", DB_ARGS(ID(e->id)), err);
}
