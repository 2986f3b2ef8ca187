#include "store/apply_private.h"

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

int apply_account_enabled(struct apply *a, const struct effect_account_enabled *e, struct err *err)
{
	return db_exec(a->db, "UPDATE account SET enabled = $2 WHERE id = $1",
		DB_ARGS(ID(e->id), DB_I(e->on)), err);
}

int apply_account_removed(struct apply *a, const struct effect_account_removed *e, struct err *err)
{
	if (db_exec(a->db,
		    "UPDATE account SET login = NULL, enabled = 0, removed = $2 WHERE id = $1",
		    DB_ARGS(ID(e->id), DB_I(e->time)), err) < 0 ||
		db_exec(a->db, "DELETE FROM identity WHERE account = $1", DB_ARGS(ID(e->id)), err) <
			0)
		return -1;
	return db_exec(a->db, "DELETE FROM address WHERE account = $1", DB_ARGS(ID(e->id)), err);
}

int apply_address_put(struct apply *a, const struct effect_address_put *e, struct err *err)
{
	apply_at_least(&a->next->address, e->id);
	if (db_exec(a->db, "DELETE FROM alias_target WHERE address = $1", DB_ARGS(ID(e->id)), err) <
		0)
		return -1;
	return db_exec(a->db,
		"INSERT INTO address (id, domain, local, account) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (id) DO UPDATE SET account = $4",
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

int apply_identity_put(struct apply *a, const struct effect_identity_put *e, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO identity (account, id, name, address, created, changed)"
		" VALUES ($1, $2, $3, $4, $5, $5)"
		" ON CONFLICT (account, id) DO UPDATE SET name = $3, address = $4, changed = $5",
		DB_ARGS(ID(e->account), ID(e->id), DB_T(e->name), DB_T(e->address), ID(e->modseq)),
		err);
}

int apply_secret_put(struct apply *a, const struct effect_secret_put *e, struct err *err)
{
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
