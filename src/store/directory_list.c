/* The directory as lists, for the operator and the vault. */
#include "store/directory.h"

int directory_domains(
	struct view *v, struct str after, directory_domain_fn *fn, void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT d.name, d.kind, (SELECT count(*) FROM address a WHERE a.domain = d.id"
		    " AND a.account <> 0), d.quota_messages, d.quota_bytes, d.messages, d.bytes"
		    " FROM domain d WHERE d.name > $1 ORDER BY d.name",
		    DB_ARGS(DB_T(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct directory_domain_row row = { .name = rows_str(r, 0),
			.kind = (uint8_t)rows_int(r, 1),
			.accounts = (uint64_t)rows_int(r, 2),
			.quota_messages = (uint64_t)rows_int(r, 3),
			.quota_bytes = (uint64_t)rows_int(r, 4),
			.messages = (uint64_t)rows_int(r, 5),
			.bytes = (uint64_t)rows_int(r, 6) };

		if (!fn(arg, &row))
			break;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int directory_accounts(
	struct view *v, struct str after, directory_account_fn *fn, void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT id, login, full_name, enabled, created, messages, bytes,"
		    " quota_messages, quota_bytes, cap_messages, cap_recipients"
		    " FROM account WHERE login > $1 ORDER BY login",
		    DB_ARGS(DB_T(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct directory_account_row row = { .account = (uint64_t)rows_int(r, 0),
			.login = rows_str(r, 1),
			.full_name = rows_str(r, 2),
			.enabled = rows_int(r, 3) != 0,
			.created = rows_int(r, 4),
			.messages = (uint64_t)rows_int(r, 5),
			.bytes = (uint64_t)rows_int(r, 6),
			.quota_messages = (uint64_t)rows_int(r, 7),
			.quota_bytes = (uint64_t)rows_int(r, 8),
			.cap_messages = rows_int(r, 9),
			.cap_recipients = rows_int(r, 10) };

		if (!fn(arg, &row))
			break;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int directory_identities(
	struct view *v, struct str login, directory_identity_fn *fn, void *arg, struct err *err)
{
	struct directory_login who;
	struct rows *r;
	int got;

	if (directory_login(v, login, &who, err) < 0 ||
		db_query(v->db, &r,
			"SELECT address FROM identity WHERE account = $1 AND id > 1"
			" ORDER BY address",
			DB_ARGS(DB_I((int64_t)who.account)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (!fn(arg, rows_str(r, 0)))
			break;
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int directory_aliases(
	struct view *v, struct str after, directory_alias_fn *fn, void *arg, struct err *err)
{
	struct buf address = BUF(2 * DIRECTORY_ADDRESS);
	struct rows *r;
	int64_t last = 0;
	int got;

	if (db_query(v->db, &r,
		    "SELECT a.id, a.local, d.name, t.target, a.owner FROM address a, domain d, "
		    "alias_target "
		    "t"
		    " WHERE a.account = 0 AND d.id = a.domain AND t.address = a.id"
		    " AND a.local || '@' || d.name > $1"
		    " ORDER BY a.local || '@' || d.name, t.position",
		    DB_ARGS(DB_T(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		bool first = rows_int(r, 0) != last;

		last = rows_int(r, 0);
		buf_clear(&address);
		buf_add(&address, rows_str(r, 1));
		buf_addc(&address, '@');
		buf_add(&address, rows_str(r, 2));
		if (!fn(arg, buf_str(&address), rows_str(r, 4), rows_str(r, 3), first))
			break;
	}
	rows_free(&r);
	buf_free(&address);
	return got < 0 ? -1 : 0;
}

int directory_secrets(struct view *v, uint8_t kind, struct str after, directory_secret_fn *fn,
	void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT name FROM secret WHERE kind = $1 AND name > $2 ORDER BY name",
		    DB_ARGS(DB_I(kind), DB_T(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (!fn(arg, rows_str(r, 0)))
			break;
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int directory_figures(struct view *v, struct directory_figures *f, struct err *err)
{
	int64_t accounts = 0, domains = 0, emails = 0;

	if (db_int(v->db, &accounts, "SELECT count(*) FROM account WHERE removed = 0", DB_NOARGS,
		    err) < 0 ||
		db_int(v->db, &domains, "SELECT count(*) FROM domain", DB_NOARGS, err) < 0 ||
		db_int(v->db, &emails, "SELECT sum(messages) FROM mailbox WHERE removed = 0",
			DB_NOARGS, err) < 0)
		return -1;
	*f = (struct directory_figures){ (uint64_t)accounts, (uint64_t)domains, (uint64_t)emails };
	return 0;
}
