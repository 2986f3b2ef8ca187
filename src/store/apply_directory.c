#include "store/apply_private.h"
#include "store/names.h"

int apply_domain_put(struct apply *a, const struct effect_domain_put *e, struct err *err)
{
	apply_at_least(&a->next->domain, e->id);
	return db_exec(a->db,
		"INSERT INTO domain (id, name, kind) VALUES ($1, $2, $3)"
		" ON CONFLICT (id) DO UPDATE SET kind = $3",
		DB_ARGS(ID(e->id), DB_T(e->name), DB_I(e->kind)), err);
}

int apply_domain_removed(struct apply *a, const struct effect_domain_removed *e, struct err *err)
{
	return db_exec(a->db, "DELETE FROM domain WHERE id = $1", DB_ARGS(ID(e->id)), err);
}

int apply_account_put(struct apply *a, const struct effect_account_put *e, struct err *err)
{
	apply_at_least(&a->next->account, e->id);
	return db_exec(a->db,
		"INSERT INTO account (id, login, full_name, enabled, created, removed, modseq,"
		" next_email, next_mailbox, next_uidvalidity)"
		" VALUES ($1, $2, $3, 1, $4, 0, 0, 1, 1, $5)",
		DB_ARGS(ID(e->id), DB_T(e->login), DB_T(e->full_name), DB_I(e->created),
			ID(e->uidvalidity)),
		err);
}

/* What the addresses of an account, or all of a domain, have to say about it. */
#define ADDRESS_FLAGS                                                                              \
	"UPDATE address SET flags = (SELECT CASE WHEN a.enabled = 0 THEN 1 ELSE 0 END"             \
	" + CASE WHEN a.quota_messages <> 0 OR a.quota_bytes <> 0 OR a.charged <> 0"               \
	" THEN 2 ELSE 0 END FROM account a WHERE a.id = address.account)"

static int flag_addresses(struct apply *a, uint64_t account, struct err *err)
{
	return db_exec(a->db, ADDRESS_FLAGS " WHERE account = $1", DB_ARGS(ID(account)), err);
}

int apply_account_enabled(struct apply *a, const struct effect_account_enabled *e, struct err *err)
{
	if (db_exec(a->db, "UPDATE account SET enabled = $2 WHERE id = $1",
		    DB_ARGS(ID(e->id), DB_I(e->on)), err) < 0)
		return -1;
	if (!e->on)
		apply_touch(a, e->id, 0, 0);
	return flag_addresses(a, e->id, err);
}

int apply_account_quota(struct apply *a, const struct effect_account_quota *e, struct err *err)
{
	if (db_exec(a->db,
		    "UPDATE account SET quota_messages = $2, quota_bytes = $3, full_since = 0"
		    " WHERE id = $1",
		    DB_ARGS(ID(e->account), ID(e->messages), ID(e->bytes)), err) < 0)
		return -1;
	return flag_addresses(a, e->account, err);
}

int apply_account_charged(struct apply *a, const struct effect_account_charged *e, struct err *err)
{
	if (db_exec(a->db, "UPDATE account SET charged = $2 WHERE id = $1",
		    DB_ARGS(ID(e->account), ID(e->domain)), err) < 0)
		return -1;
	return flag_addresses(a, e->account, err);
}

int apply_domain_use(struct apply *a, const struct effect_domain_use *e, struct err *err)
{
	return db_exec(a->db,
		"UPDATE domain SET messages = messages + $2, bytes = bytes + $3 WHERE id = $1",
		DB_ARGS(ID(e->domain), DB_I(e->messages), DB_I(e->bytes)), err);
}

int apply_domain_quota(struct apply *a, const struct effect_domain_quota *e, struct err *err)
{
	const uint64_t charged = e->messages || e->bytes ? e->domain : 0;

	if (db_exec(a->db,
		    "UPDATE account SET charged = $2, full_since = 0 WHERE id IN"
		    " (SELECT account FROM address WHERE domain = $1 AND account <> 0)",
		    DB_ARGS(ID(e->domain), ID(charged)), err) < 0 ||
		db_exec(a->db,
			"UPDATE domain SET quota_messages = $2, quota_bytes = $3,"
			" messages = (SELECT coalesce(sum(a.messages), 0) FROM account a"
			"  WHERE a.charged = $1),"
			" bytes = (SELECT coalesce(sum(a.bytes), 0) FROM account a"
			"  WHERE a.charged = $1) WHERE id = $1",
			DB_ARGS(ID(e->domain), ID(e->messages), ID(e->bytes)), err) < 0)
		return -1;
	return db_exec(a->db, ADDRESS_FLAGS " WHERE domain = $1 AND account <> 0",
		DB_ARGS(ID(e->domain)), err);
}

int apply_account_full(struct apply *a, const struct effect_account_full *e, struct err *err)
{
	return db_exec(a->db, "UPDATE account SET full_since = $2 WHERE id = $1",
		DB_ARGS(ID(e->account), DB_I(e->time)), err);
}

int apply_account_caps(struct apply *a, const struct effect_account_caps *e, struct err *err)
{
	return db_exec(a->db,
		"UPDATE account SET cap_messages = $2, cap_recipients = $3 WHERE id = $1",
		DB_ARGS(ID(e->account), DB_I(e->messages), DB_I(e->recipients)), err);
}

int apply_account_removed(struct apply *a, const struct effect_account_removed *e, struct err *err)
{
	apply_touch(a, e->id, 0, 0);
	if (db_exec(a->db,
		    "UPDATE account SET login = NULL, former = login, enabled = 0, removed = $2,"
		    " charged = 0"
		    " WHERE id = $1",
		    DB_ARGS(ID(e->id), DB_I(e->time)), err) < 0 ||
		db_exec(a->db, "DELETE FROM identity WHERE account = $1", DB_ARGS(ID(e->id)), err) <
			0)
		return -1;
	return db_exec(a->db, "DELETE FROM address WHERE account = $1", DB_ARGS(ID(e->id)), err);
}

int apply_account_restored(
	struct apply *a, const struct effect_account_restored *e, struct err *err)
{
	return db_exec(a->db,
		"UPDATE account SET login = $2, former = '', enabled = 1, removed = 0 WHERE id = "
		"$1",
		DB_ARGS(ID(e->id), DB_T(e->login)), err);
}

int apply_address_put(struct apply *a, const struct effect_address_put *e, struct err *err)
{
	apply_at_least(&a->next->address, e->id);
	if (db_exec(a->db, "DELETE FROM alias_target WHERE address = $1", DB_ARGS(ID(e->id)), err) <
		0)
		return -1;
	return db_exec(a->db,
		"INSERT INTO address (id, domain, local, account) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (id) DO UPDATE SET account = $4, owner = ''",
		DB_ARGS(ID(e->id), ID(e->domain), DB_T(e->local), ID(e->account)), err);
}

int apply_address_removed(struct apply *a, const struct effect_address_removed *e, struct err *err)
{
	if (db_exec(a->db, "DELETE FROM alias_target WHERE address = $1", DB_ARGS(ID(e->id)), err) <
		0)
		return -1;
	return db_exec(a->db, "DELETE FROM address WHERE id = $1", DB_ARGS(ID(e->id)), err);
}

int apply_alias_target(struct apply *a, const struct effect_alias_target *e, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO alias_target (address, position, target) VALUES ($1, $2, $3)",
		DB_ARGS(ID(e->address), DB_I(e->position), DB_T(e->target)), err);
}

int apply_alias_owner(struct apply *a, const struct effect_alias_owner *e, struct err *err)
{
	return db_exec(a->db, "UPDATE address SET owner = $2 WHERE id = $1",
		DB_ARGS(ID(e->address), DB_T(e->owner)), err);
}

int apply_identity_put(struct apply *a, const struct effect_identity_put *e, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO identity (account, id, name, address, created, changed)"
		" VALUES ($1, $2, $3, $4, $5, $5)"
		" ON CONFLICT (account, id) DO UPDATE SET name = $3, address = $4, changed = $5",
		DB_ARGS(ID(e->account), ID(e->id), DB_T(e->name), DB_T(e->address), ID(e->modseq)),
		err);
}

int apply_identity_removed(
	struct apply *a, const struct effect_identity_removed *e, struct err *err)
{
	return db_exec(a->db, "DELETE FROM identity WHERE account = $1 AND id = $2",
		DB_ARGS(ID(e->account), ID(e->id)), err);
}

/* A new password ends the sessions of its account. */
static int touch_owner(struct apply *a, uint8_t kind, struct str name, struct err *err)
{
	int64_t account = 0;

	if (kind != STORE_VERIFIER || !a->changes)
		return 0;
	if (db_int(a->db, &account, "SELECT id FROM account WHERE login = $1", DB_ARGS(DB_T(name)),
		    err) < 0)
		return -1;
	if (account)
		apply_touch(a, (uint64_t)account, 0, 0);
	return 0;
}

int apply_secret_put(struct apply *a, const struct effect_secret_put *e, struct err *err)
{
	if (touch_owner(a, e->kind, e->name, err) < 0)
		return -1;
	return db_exec(a->db,
		"INSERT INTO secret (kind, name, sealed) VALUES ($1, $2, $3)"
		" ON CONFLICT (kind, name) DO UPDATE SET sealed = $3",
		DB_ARGS(DB_I(e->kind), DB_T(e->name), DB_B(e->sealed)), err);
}

int apply_secret_removed(struct apply *a, const struct effect_secret_removed *e, struct err *err)
{
	return db_exec(a->db, "DELETE FROM secret WHERE kind = $1 AND name = $2",
		DB_ARGS(DB_I(e->kind), DB_T(e->name)), err);
}
