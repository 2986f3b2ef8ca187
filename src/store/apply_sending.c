/* What accounts send: counters, and whom they know. */
#include "store/apply_private.h"

#include <endian.h>
#include <string.h>

int apply_sending(struct apply *a, const struct effect_sending *e, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO sending (account, day, messages, recipients, messages_before,"
		" recipients_before, frozen_day, told_day, known)"
		" VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0)"
		" ON CONFLICT (account) DO UPDATE SET day = $2, messages = $3, recipients = $4,"
		" messages_before = $5, recipients_before = $6",
		DB_ARGS(ID(e->account), DB_I(e->day), ID(e->messages), ID(e->recipients),
			ID(e->messages_before), ID(e->recipients_before)),
		err);
}

static int count_known(struct apply *a, uint64_t account, int64_t more, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO sending (account, day, messages, recipients, messages_before,"
		" recipients_before, frozen_day, told_day, known)"
		" VALUES ($1, 0, 0, 0, 0, 0, 0, 0, $2)"
		" ON CONFLICT (account) DO UPDATE SET known = sending.known + $2",
		DB_ARGS(ID(account), DB_I(more)), err);
}

int apply_correspondents(struct apply *a, const struct effect_correspondents *e, struct err *err)
{
	struct str hashes = e->hashes;
	int64_t hash, fresh = 0;

	for (; hashes.n >= sizeof hash; hashes = str_from(hashes, sizeof hash)) {
		memcpy(&hash, hashes.p, sizeof hash);
		hash = (int64_t)le64toh((uint64_t)hash);
		if (db_exec(a->db,
			    "UPDATE correspondent SET last = $3 WHERE account = $1 AND hash = $2",
			    DB_ARGS(ID(e->account), DB_I(hash), DB_I(e->time)), err) < 0)
			return -1;
		if (db_changes(a->db) > 0)
			continue;
		if (db_exec(a->db,
			    "INSERT INTO correspondent (account, hash, last) VALUES ($1, $2, $3)",
			    DB_ARGS(ID(e->account), DB_I(hash), DB_I(e->time)), err) < 0)
			return -1;
		fresh++;
	}
	return fresh ? count_known(a, e->account, fresh, err) : 0;
}

int apply_correspondents_forgotten(
	struct apply *a, const struct effect_correspondents_forgotten *e, struct err *err)
{
	if (db_exec(a->db, "DELETE FROM correspondent WHERE account = $1 AND last < $2",
		    DB_ARGS(ID(e->account), DB_I(e->since)), err) < 0)
		return -1;
	return count_known(a, e->account, -db_changes(a->db), err);
}

int apply_sending_frozen(struct apply *a, const struct effect_sending_frozen *e, struct err *err)
{
	if (count_known(a, e->account, 0, err) < 0)
		return -1;
	return db_exec(a->db, "UPDATE sending SET frozen_day = $2 WHERE account = $1",
		DB_ARGS(ID(e->account), DB_I(e->day)), err);
}

int apply_sending_told(struct apply *a, const struct effect_sending_told *e, struct err *err)
{
	return db_exec(a->db, "UPDATE sending SET told_day = $2 WHERE account = $1",
		DB_ARGS(ID(e->account), DB_I(e->day)), err);
}
