/* Changing the directory. */
#include "store/directory.h"
#include "store/directory_private.h"
#include "store/mailbox.h"
#include "store/names.h"

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

int directory_account_add(
	struct txn *t, struct str login, struct str full_name, uint64_t *account, struct err *err)
{
	static const struct {
		struct str name;
		uint32_t use;
	} standard[] = { { STR_INIT("INBOX"), 0 }, { STR_INIT("Drafts"), STORE_DRAFTS },
		{ STR_INIT("Sent"), STORE_SENT }, { STR_INIT("Junk"), STORE_JUNK },
		{ STR_INIT("Trash"), STORE_TRASH }, { STR_INIT("Archive"), STORE_ARCHIVE } };
	struct buf text = BUF(DIRECTORY_ADDRESS);
	struct directory_name name;
	struct directory_entry e;
	uint64_t mailbox;
	int r = -1;

	if (directory_parse(login, &name, err) < 0)
		goto out;
	address_print(&text, &name.address);
	if (name.address.domain.n == 0 || !buf_ok(&text)) {
		err_set(err, ERR_PERM, "a login is an address: user@domain");
		goto out;
	}
	if (local_domain(t, &name, &e, err) < 0)
		goto out;
	if (e.id) {
		err_set(err, ERR_EXISTS, STR_F " exists already", STR_A(buf_str(&text)));
		goto out;
	}
	*account = t->apply.next->account;
	/* UIDVALIDITY begins with the time, so an account made anew under an old name never repeats
	 * one (RFC 3501 2.3.1.1). */
	if (emit_account_put(t,
		    &(struct effect_account_put){
			    *account, buf_str(&text), full_name, (uint64_t)t->now, t->now },
		    err) < 0 ||
		emit_address_put(t,
			&(struct effect_address_put){
				t->apply.next->address, e.domain, name.address.local, *account },
			err) < 0)
		goto out;
	for (size_t i = 0; i < sizeof standard / sizeof *standard; i++)
		if (mailbox_create(t, *account, standard[i].name, standard[i].use, &mailbox, err) <
				0 ||
			mailbox_subscribe(t, *account, standard[i].name, true, err) < 0)
			goto out;
	r = emit_identity_put(
		t, &(struct effect_identity_put){ *account, 1, full_name, buf_str(&text), 1 }, err);
out:
	buf_free(&text);
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

int directory_account_remove(struct txn *t, struct str login, uint64_t *account, struct err *err)
{
	struct directory_login l;

	if (directory_login(&t->view, login, &l, err) < 0)
		return -1;
	*account = l.account;
	if (emit_secret_removed(
		    t, &(struct effect_secret_removed){ STORE_VERIFIER, str_c(l.login) }, err) < 0)
		return -1;
	return emit_account_removed(t, &(struct effect_account_removed){ l.account, t->now }, err);
}

int directory_alias_put(
	struct txn *t, struct str address, const struct str *targets, size_t n, struct err *err)
{
	struct directory_name name, target;
	struct directory_entry e;

	if (n == 0 || n > DIRECTORY_TARGETS)
		return err_set(err, ERR_PERM, "an alias has 1 to %d targets", DIRECTORY_TARGETS);
	for (size_t i = 0; i < n; i++)
		if (directory_parse(targets[i], &target, err) < 0)
			return -1;
	if (directory_parse(address, &name, err) < 0)
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
		    &(struct effect_address_put){ e.id, e.domain, name.address.local, 0 }, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (emit_alias_target(t,
			    &(struct effect_alias_target){ e.id, (uint32_t)i, targets[i] },
			    err) < 0)
			return -1;
	return 0;
}

int directory_alias_remove(struct txn *t, struct str address, struct err *err)
{
	struct directory_name name;
	struct directory_entry e;

	if (directory_parse(address, &name, err) < 0 ||
		directory_find(&t->view, &name, &e, err) < 0)
		return -1;
	if (!e.id || e.account)
		return err_set(err, ERR_NOTFOUND, "no such alias");
	return emit_address_removed(t, &(struct effect_address_removed){ e.id }, err);
}

int directory_secret_put(
	struct txn *t, uint8_t kind, struct str name, struct str sealed, struct err *err)
{
	if (sealed.n == 0)
		return emit_secret_removed(t, &(struct effect_secret_removed){ kind, name }, err);
	return emit_secret_put(t, &(struct effect_secret_put){ kind, name, sealed }, err);
}
