/* directory.h - accounts, domains, addresses and aliases: who gets the mail, who may send.
 *
 * Addresses are compared in the canonical form of mail/address.h, the local part without case;
 * "user+tag" is user where no such address stands. postmaster and abuse exist in every local
 * domain: where nobody made them they are the domain's, else the server's, oldest account (RFC
 * 5321 4.5.1, RFC 2142). Aliases lead to addresses, here or elsewhere, at most 10 deep and 1,000 in
 * all; a circle ends where it closes.
 *
 * Errors: ERR_NOTFOUND no such user, domain or account; ERR_DENIED the address is not for this
 * sender or channel; ERR_EXISTS; ERR_PERM not an address; ERR_TEMP too far expanded, or the
 * database.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/arena.h"
#include "store/txn.h"

enum { DIRECTORY_DEPTH = 10, DIRECTORY_TARGETS = 1000, DIRECTORY_ADDRESS = 320 };

/* --- reading ------------------------------------------------------------------------------------
 */

struct directory_rcpt {
	uint64_t target; /* number of the address; 0: elsewhere */
	bool local;
};
/* Where a recipient leads. `anywhere`: the sender may send to other domains. */
int directory_rcpt(struct view *v, struct str address, bool anywhere, struct directory_rcpt *out,
	struct err *err);

/* RFC 7293 5: has the mailbox behind the address number had the same owner since then? ERR_EXISTS:
 * its account is newer. An alias belongs to no account, so nothing is known against it. */
int directory_since(struct view *v, uint64_t target, int64_t since, struct err *err);

/* May the account use this sender address: one of its own, or an alias that leads to it? */
int directory_sender(struct view *v, uint64_t account, struct str address, struct err *err);
/* Is it an address of a local domain (the operator may use any)? */
int directory_is_local(struct view *v, struct str address, struct err *err); /* 1, 0, -1 */

struct directory_login {
	uint64_t account;
	char login[DIRECTORY_ADDRESS + 1];
	bool enabled;
};
int directory_login(struct view *v, struct str name, struct directory_login *out, struct err *err);
int directory_account(
	struct view *v, uint64_t account, struct directory_login *out, struct err *err);

/* Sealed bytes; appended to out. */
int directory_secret(
	struct view *v, uint8_t kind, struct str name, struct buf *out, struct err *err);

/* What an address number leads to in the end; slices live in the arena. */
struct destination {
	struct destination *next;
	uint64_t account;   /* 0: elsewhere */
	struct str address; /* "local@domain", canonical */
	struct str domain;
};
/* No destination is ERR_NOTFOUND. */
int directory_expand(struct view *v, uint64_t target, struct arena *arena, struct destination **out,
	struct err *err);

/* Lists, in order of their key, after `after`; the callback returns false when it has enough. */
typedef bool directory_domain_fn(void *arg, struct str name, uint8_t kind, uint64_t accounts);
int directory_domains(
	struct view *v, struct str after, directory_domain_fn *fn, void *arg, struct err *err);
struct directory_account_row {
	uint64_t account;
	struct str login, full_name;
	bool enabled;
	uint64_t messages, bytes;
	int64_t created;
};
typedef bool directory_account_fn(void *arg, const struct directory_account_row *row);
int directory_accounts(
	struct view *v, struct str after, directory_account_fn *fn, void *arg, struct err *err);
/* One call per target; `first` begins a new alias. */
typedef bool directory_alias_fn(void *arg, struct str address, struct str target, bool first);
int directory_aliases(
	struct view *v, struct str after, directory_alias_fn *fn, void *arg, struct err *err);
typedef bool directory_secret_fn(void *arg, struct str name);
int directory_secrets(struct view *v, uint8_t kind, struct str after, directory_secret_fn *fn,
	void *arg, struct err *err);

struct directory_figures {
	uint64_t accounts, domains, emails;
};
int directory_figures(struct view *v, struct directory_figures *f, struct err *err);

/* --- changing -----------------------------------------------------------------------------------
 */

int directory_domain_put(struct txn *t, struct str name, uint8_t kind, struct err *err);
int directory_domain_remove(struct txn *t, struct str name, struct err *err);
int directory_account_add(
	struct txn *t, struct str login, struct str full_name, uint64_t *account, struct err *err);
int directory_account_enable(
	struct txn *t, struct str login, bool on, uint64_t *account, struct err *err);
int directory_account_remove(struct txn *t, struct str login, uint64_t *account, struct err *err);
int directory_alias_put(
	struct txn *t, struct str address, const struct str *targets, size_t n, struct err *err);
int directory_alias_remove(struct txn *t, struct str address, struct err *err);
int directory_secret_put(
	struct txn *t, uint8_t kind, struct str name, struct str sealed, struct err *err);

#endif
