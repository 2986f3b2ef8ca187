/* Changing the directory. */
#include "store/directory.h"
#include "store/directory_private.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/store_private.h"

#include <string.h>

static int find_domain(struct view *v, struct str name, uint64_t *id, struct err *err)
{
	int64_t found = 0;
	int got = db_int(
		v->db, &found, "SELECT id FROM domain WHERE name = $1", DB_ARGS(DB_T(name)), err);

	*id = (uint64_t)found;
	return got < 0 ? -1 : 0;
}

int directory_domain_put(struct txn *t, struct str name, uint8_t kind, struct err *err)
{
	char text[ADDRESS_DOMAIN_MAX];
	struct str domain;
	uint64_t id;

	if (kind != STORE_DOMAIN_LOCAL && kind != STORE_DOMAIN_RELAY)
		return err_set(err, ERR_PERM, "a domain is local or relayed");
	if (domain_canonical(name, text, &domain, err) < 0 ||
		find_domain(&t->view, domain, &id, err) < 0)
		return -1;
	if (!id)
		id = t->apply.next->domain;
	return emit_domain_put(t, &(struct effect_domain_put){ id, domain, kind }, err);
}

int directory_domain_remove(struct txn *t, struct str name, struct err *err)
{
	char text[ADDRESS_DOMAIN_MAX];
	struct str domain;
	int64_t used = 0;
	uint64_t id;

	if (domain_canonical(name, text, &domain, err) < 0 ||
		find_domain(&t->view, domain, &id, err) < 0)
		return -1;
	if (!id)
		return err_set(err, ERR_NOTFOUND, "no such domain: " STR_F, STR_A(domain));
	if (db_int(t->view.db, &used, "SELECT count(*) FROM address WHERE domain = $1",
		    DB_ARGS(DB_I((int64_t)id)), err) < 0)
		return -1;
	if (used)
		return err_set(err, ERR_EXISTS,
			"domain " STR_F
			" still has %lld addresses: remove its accounts and aliases first",
			STR_A(domain), (long long)used);
	return emit_domain_removed(t, &(struct effect_domain_removed){ id }, err);
}

/* The domain of a new address: made local when it is not known yet. */
static int local_domain(struct txn *t, const struct directory_name *name, struct directory_entry *e,
	struct err *err)
{
	if (directory_find(&t->view, name, e, err) < 0)
		return -1;
	if (e->kind == STORE_DOMAIN_LOCAL)
		return 0;
	if (!e->domain)
		e->domain = t->apply.next->domain;
	return emit_domain_put(t,
		&(struct effect_domain_put){ e->domain, name->address.domain, STORE_DOMAIN_LOCAL },
		err);
}

/* Is what the accounts of the domain hold limited? */
static int quota_of(struct view *v, uint64_t domain, bool *limited, struct err *err)
{
	int64_t quota = 0;
	int got = db_int(v->db, &quota,
		"SELECT quota_messages + quota_bytes FROM domain WHERE id = $1",
		DB_ARGS(DB_I((int64_t)domain)), err);

	*limited = quota != 0;
	return got < 0 ? -1 : 0;
}

/* The address that a new login is, and where it will stand. Its text goes into `text`. */
static int new_login(struct txn *t, struct str login, struct directory_name *name,
	struct directory_entry *e, struct buf *text, struct err *err)
{
	if (directory_parse(login, name, err) < 0)
		return -1;
	address_print(text, &name->address);
	if (name->address.domain.n == 0 || !buf_ok(text))
		return err_set(err, ERR_PERM, "a login is an address: user@domain");
	if (local_domain(t, name, e, err) < 0)
		return -1;
	if (e->id)
		return err_set(err, ERR_EXISTS, STR_F " exists already", STR_A(buf_str(text)));
	return 0;
}

static int add_standard_mailboxes(struct txn *t, uint64_t account, struct err *err)
{
	static const struct {
		struct str name;
		uint32_t use;
	} standard[] = { { STR_INIT("INBOX"), 0 }, { STR_INIT("Drafts"), STORE_DRAFTS },
		{ STR_INIT("Sent"), STORE_SENT }, { STR_INIT("Junk"), STORE_JUNK },
		{ STR_INIT("Trash"), STORE_TRASH }, { STR_INIT("Archive"), STORE_ARCHIVE } };
	uint64_t mailbox;

	for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
		if (mailbox_create(t, account, standard[i].name, standard[i].use, &mailbox, err) <
				0 ||
			mailbox_subscribe(t, account, standard[i].name, true, err) < 0)
			return -1;
	return 0;
}

/* UIDVALIDITY begins with the time, so an account made anew under an old name never repeats one
 * (RFC 3501 2.3.1.1). */
static int put_account(struct txn *t, uint64_t id, struct str login, struct str full_name,
	const struct directory_entry *e, struct str local, struct err *err)
{
	const struct effect_account_put account = { id, login, full_name, (uint64_t)t->now,
		t->now };
	const struct effect_address_put address = { t->apply.next->address, e->domain, local, id };
	const struct effect_account_charged charge = { id, e->domain };
	bool charged;

	if (quota_of(&t->view, e->domain, &charged, err) < 0 ||
		emit_account_put(t, &account, err) < 0 || emit_address_put(t, &address, err) < 0)
		return -1;
	return charged ? emit_account_charged(t, &charge, err) : 0;
}

int directory_account_add(
	struct txn *t, struct str login, struct str full_name, uint64_t *account, struct err *err)
{
	struct buf text = BUF(DIRECTORY_ADDRESS);
	struct effect_identity_put identity;
	struct directory_name name;
	struct directory_entry e;
	int r = -1;

	*account = t->apply.next->account;
	if (new_login(t, login, &name, &e, &text, err) == 0 &&
		put_account(t, *account, buf_str(&text), full_name, &e, name.address.local, err) ==
			0 &&
		add_standard_mailboxes(t, *account, err) == 0) {
		identity =
			(struct effect_identity_put){ *account, 1, full_name, buf_str(&text), 1 };
		r = emit_identity_put(t, &identity, err);
	}
	buf_free(&text);
	return r;
}

/* The last account of that login, and who it belonged to. Not one whose mail may be going already.
 */
static int find_removed(
	struct txn *t, struct str login, uint64_t *account, struct buf *full_name, struct err *err)
{
	const int64_t since = txn_purge_before(t);
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT id, full_name FROM account WHERE removed >= $2 AND former = $1"
		    " ORDER BY removed DESC, id DESC LIMIT 1",
		    DB_ARGS(DB_T(login), DB_I(since > 1 ? since : 1)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		*account = (uint64_t)rows_int(r, 0);
		buf_add(full_name, rows_str(r, 1));
	} else if (got == 0) {
		err_set(err, ERR_NOTFOUND,
			"no such account, and none that can be brought back: " STR_F, STR_A(login));
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* It has an address again, counts towards its domain, and may send in its name. */
static int settle(struct txn *t, uint64_t account, struct str login, struct str full_name,
	const struct directory_entry *e, struct str local, struct err *err)
{
	const struct effect_address_put address = { t->apply.next->address, e->domain, local,
		account };
	struct account_state s;
	bool charged;

	if (quota_of(&t->view, e->domain, &charged, err) < 0 ||
		emit_account_restored(t, &(struct effect_account_restored){ account, login }, err) <
			0 ||
		emit_address_put(t, &address, err) < 0 ||
		emit_account_charged(t,
			&(struct effect_account_charged){ account, charged ? e->domain : 0 },
			err) < 0 ||
		account_state(&t->view, account, &s, err) < 0 ||
		directory_use(t, s.charged, (int64_t)s.messages, (int64_t)s.bytes, err) < 0)
		return -1;
	return emit_identity_put(t,
		&(struct effect_identity_put){ account, 1, full_name, login, s.modseq + 1 }, err);
}

int directory_account_restore(struct txn *t, struct str login, uint64_t *account, struct err *err)
{
	struct buf text = BUF(DIRECTORY_ADDRESS), full_name = BUF(DIRECTORY_ADDRESS);
	struct directory_name name;
	struct directory_entry e;
	int r = -1;

	if (new_login(t, login, &name, &e, &text, err) == 0 &&
		find_removed(t, buf_str(&text), account, &full_name, err) == 0)
		r = settle(t, *account, buf_str(&text), buf_str(&full_name), &e, name.address.local,
			err);
	buf_free(&text);
	buf_free(&full_name);
	return r;
}

int directory_account_enable(
	struct txn *t, struct str login, bool on, uint64_t *account, struct err *err)
{
	struct directory_login l;

	if (directory_login(&t->view, login, &l, err) < 0)
		return -1;
	*account = l.account;
	return emit_account_enabled(t, &(struct effect_account_enabled){ l.account, on }, err);
}

int directory_use(struct txn *t, uint64_t charged, int64_t messages, int64_t bytes, struct err *err)
{
	if (!charged || (!messages && !bytes))
		return 0;
	return emit_domain_use(t, &(struct effect_domain_use){ charged, messages, bytes }, err);
}

/* What a removed account held is its domain's no more. */
static int give_back(struct txn *t, uint64_t account, struct err *err)
{
	struct account_state s;

	if (account_state(&t->view, account, &s, err) < 0)
		return -1;
	return directory_use(t, s.charged, -(int64_t)s.messages, -(int64_t)s.bytes, err);
}

int directory_account_quota(
	struct txn *t, struct str login, uint64_t messages, uint64_t bytes, struct err *err)
{
	struct directory_login l;

	if (messages > DIRECTORY_QUOTA_MAX || bytes > DIRECTORY_QUOTA_MAX)
		return err_set(err, ERR_PERM, "no quota is that large");
	if (directory_login(&t->view, login, &l, err) < 0)
		return -1;
	return emit_account_quota(
		t, &(struct effect_account_quota){ l.account, messages, bytes }, err);
}

int directory_domain_quota(
	struct txn *t, struct str name, uint64_t messages, uint64_t bytes, struct err *err)
{
	char text[ADDRESS_DOMAIN_MAX];
	struct str domain;
	uint64_t id;

	if (messages > DIRECTORY_QUOTA_MAX || bytes > DIRECTORY_QUOTA_MAX)
		return err_set(err, ERR_PERM, "no quota is that large");
	if (domain_canonical(name, text, &domain, err) < 0 ||
		find_domain(&t->view, domain, &id, err) < 0)
		return -1;
	if (!id)
		return err_set(err, ERR_NOTFOUND, "no such domain: " STR_F, STR_A(domain));
	return emit_domain_quota(t, &(struct effect_domain_quota){ id, messages, bytes }, err);
}

int directory_account_caps(
	struct txn *t, struct str login, int64_t messages, int64_t recipients, struct err *err)
{
	struct directory_login l;

	if (messages < -1 || recipients < -1)
		return err_set(err, ERR_PERM, "a cap is a number");
	if (directory_login(&t->view, login, &l, err) < 0)
		return -1;
	return emit_account_caps(
		t, &(struct effect_account_caps){ l.account, messages, recipients }, err);
}

static bool is_newly_full(struct view *v, const struct destination *d, uint64_t size)
{
	struct directory_room room;
	struct err why = ERR_INIT;

	return directory_destination_takes(v, d, size, &room, &why) < 0 && why.kind == ERR_QUOTA &&
		room.full_since == 0;
}

int directory_note_full(struct txn *t, struct str address, uint64_t size, struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *d = NULL;
	int r = directory_expand(&t->view, 0, address, &arena, &d, err);

	for (; r == 0 && d; d = d->next)
		if (is_newly_full(&t->view, d, size))
			r = emit_account_full(
				t, &(struct effect_account_full){ d->account, t->now }, err);
	arena_free(&arena);
	return r;
}

int directory_account_remove(struct txn *t, struct str login, uint64_t *account, struct err *err)
{
	struct directory_login l;

	if (directory_login(&t->view, login, &l, err) < 0)
		return -1;
	*account = l.account;
	if (give_back(t, l.account, err) < 0)
		return -1;
	if (emit_secret_removed(
		    t, &(struct effect_secret_removed){ STORE_VERIFIER, str_c(l.login) }, err) < 0)
		return -1;
	return emit_account_removed(
		t, &(struct effect_account_removed){ l.account, txn_deleted_at(t) }, err);
}

/* The address in the form in which it is kept: "local@domain". */
static int printed(const struct directory_name *name, struct buf *text, struct err *err)
{
	address_print(text, &name->address);
	if (name->address.domain.n == 0 || !buf_ok(text))
		return err_set(err, ERR_PERM, "not an address: user@domain");
	return 0;
}

/* 1 with its number, 0, -1 */
static int find_identity(
	struct view *v, uint64_t account, struct str address, int64_t *id, struct err *err)
{
	return db_int(v->db, id, "SELECT id FROM identity WHERE account = $1 AND address = $2",
		DB_ARGS(DB_I((int64_t)account), DB_T(address)), err);
}

static int change_identity(
	struct txn *t, uint64_t account, struct str address, bool add, struct err *err)
{
	struct account_state s;
	int64_t id = 0, last = 0;
	int got = find_identity(&t->view, account, address, &id, err);

	if (got < 0 || account_state(&t->view, account, &s, err) < 0)
		return -1;
	if (!add && (got == 0 || id == 1))
		return err_set(err, ERR_NOTFOUND, "this account has no such identity");
	if (!add)
		return emit_identity_removed(
			t, &(struct effect_identity_removed){ account, (uint64_t)id }, err);
	if (got == 1)
		return err_set(err, ERR_EXISTS, "the account has this identity already");
	if (db_int(t->view.db, &last, "SELECT max(id) FROM identity WHERE account = $1",
		    DB_ARGS(DB_I((int64_t)account)), err) < 0)
		return -1;
	return emit_identity_put(t,
		&(struct effect_identity_put){
			account, (uint64_t)last + 1, STR(""), address, s.modseq },
		err);
}

static int with_identity(
	struct txn *t, struct str login, struct str address, bool add, struct err *err)
{
	struct buf text = BUF(DIRECTORY_ADDRESS);
	struct directory_login l;
	struct directory_name name;
	int r = -1;

	if (directory_login(&t->view, login, &l, err) == 0 &&
		directory_parse(address, &name, err) == 0 && printed(&name, &text, err) == 0)
		r = change_identity(t, l.account, buf_str(&text), add, err);
	buf_free(&text);
	return r;
}

int directory_identity_add(struct txn *t, struct str login, struct str address, struct err *err)
{
	return with_identity(t, login, address, true, err);
}

int directory_identity_remove(struct txn *t, struct str login, struct str address, struct err *err)
{
	return with_identity(t, login, address, false, err);
}

static int put_targets(struct txn *t, uint64_t id, struct str owner, const struct str *targets,
	size_t n, struct err *err)
{
	for (size_t i = 0; i < n; i++)
		if (emit_alias_target(t,
			    &(struct effect_alias_target){ id, (uint32_t)i, targets[i] }, err) < 0)
			return -1;
	return owner.n ? emit_alias_owner(t, &(struct effect_alias_owner){ id, owner }, err) : 0;
}

/* An alias may lead to what is made later, but not too far, and not to itself alone. */
static int check_alias(struct view *v, uint64_t id, struct err *err)
{
	struct arena arena = ARENA(1 << 20);
	struct destination *d;
	struct err why = ERR_INIT;
	int r = 0;

	if (directory_expand(v, id, STR(""), &arena, &d, &why) < 0 && why.kind != ERR_NOTFOUND) {
		*err = why;
		r = -1;
	}
	arena_free(&arena);
	return r;
}

int directory_alias_put(struct txn *t, struct str address, struct str owner,
	const struct str *targets, size_t n, struct err *err)
{
	struct directory_name name, other;
	struct directory_entry e;

	if (n == 0 || n > DIRECTORY_TARGETS)
		return err_set(err, ERR_PERM, "an alias has 1 to %d targets", DIRECTORY_TARGETS);
	for (size_t i = 0; i < n; i++)
		if (directory_parse(targets[i], &other, err) < 0)
			return -1;
	if (owner.n && (directory_parse(owner, &other, err) < 0 || other.address.domain.n == 0))
		return err_set(err, ERR_PERM, "the owner of a list is an address: user@domain");
	if (directory_parse_alias(address, &name, err) < 0)
		return -1;
	if (name.address.domain.n == 0)
		return err_set(err, ERR_PERM, "an alias is an address: user@domain");
	if (local_domain(t, &name, &e, err) < 0)
		return -1;
	if (e.account)
		return err_set(err, ERR_EXISTS, "this is the address of an account");
	if (!e.id)
		e.id = t->apply.next->address;
	if (emit_address_put(t,
		    &(struct effect_address_put){ e.id, e.domain, name.address.local, 0 },
		    err) < 0 ||
		put_targets(t, e.id, owner, targets, n, err) < 0)
		return -1;
	return check_alias(&t->view, e.id, err);
}

int directory_alias_remove(struct txn *t, struct str address, struct err *err)
{
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse_alias(address, &name, err) < 0 ||
		directory_find(&t->view, &name, &e, err) < 0)
		return -1;
	if (!e.id || e.account)
		return err_set(err, ERR_NOTFOUND, "no such alias");
	return emit_address_removed(t, &(struct effect_address_removed){ e.id }, err);
}

int directory_secret_put(
	struct txn *t, uint8_t kind, struct str name, struct str sealed, struct err *err)
{
	int64_t there = 0;

	if (kind == STORE_MARK &&
		db_int(t->view.db, &there,
			"SELECT count(*) FROM secret WHERE kind = $1 AND name = $2",
			DB_ARGS(DB_I(kind), DB_T(name)), err) < 0)
		return -1;
	if (there)
		return 0; /* the first one stays */
	if (sealed.n == 0)
		return emit_secret_removed(t, &(struct effect_secret_removed){ kind, name }, err);
	return emit_secret_put(t, &(struct effect_secret_put){ kind, name, sealed }, err);
}
