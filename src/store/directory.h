/* directory.h - accounts, domains, addresses and aliases: who gets the mail, who may send.
 *
 * Addresses are compared in the canonical form of mail/address.h, the local part without case. An
 * address is looked for among accounts and aliases, first as it is, then without its tag
 * ("user+tag"); in the map (address_map.h) the same way; then postmaster and abuse, which exist in
 * every local domain: where nobody made them they are the domain's, else the server's, oldest
 * account (RFC 5321 4.5.1, RFC 2142); then "@domain", the catch-all. Aliases lead to addresses,
 * here or elsewhere, at most 10 deep and 1,000 in all; a circle ends where it closes. An alias with
 * an owner is a list (RFC 5321 3.9.2): what comes back goes to the owner.
 *
 * Errors: ERR_NOTFOUND no such user, domain or account; ERR_DENIED the address is not for this
 * sender or channel; ERR_EXISTS; ERR_PERM not an address; ERR_DISABLED, ERR_QUOTA, ERR_QUOTA_LONG
 * the account takes no mail, or not now; ERR_EXPANSION leads too far, or in a circle to nobody;
 * ERR_TEMP the database, or a map that cannot be asked.
 */
#ifndef STORE_DIRECTORY_H
#define STORE_DIRECTORY_H

#include "base/arena.h"
#include "store/txn.h"

enum {
	DIRECTORY_DEPTH = 10,
	DIRECTORY_TARGETS = 1000,
	DIRECTORY_ADDRESS = 320,
	DIRECTORY_MAPPED = 1 << 20
};
#define DIRECTORY_QUOTA_MAX (UINT64_C(1) << 60)

/* --- reading ------------------------------------------------------------------------------------
 */

struct directory_rcpt {
	uint64_t target; /* number of the address; 0: elsewhere, or known to the map only */
	bool local;
	bool measured;   /* it depends on how much there is already */
	bool newly_full; /* with ERR_QUOTA: directory_note_full() is due */
};
/* Where a recipient leads, and whether a message of this size (0: not known) would be taken.
 * `anywhere`: the sender may send to other domains. */
int directory_rcpt(struct view *v, struct str address, bool anywhere, uint64_t size,
	struct directory_rcpt *out, struct err *err);

/* RFC 7293 5: has the mailbox behind the address number had the same owner since then? ERR_EXISTS:
 * its account is newer. An alias belongs to no account, so nothing is known against it. */
int directory_since(struct view *v, uint64_t target, int64_t since, struct err *err);

/* May the account use this sender address: its own (with any tag), one that leads to it alone, or
 * an identity that it was given? */
int directory_sender(struct view *v, uint64_t account, struct str address, struct err *err);
/* Is it an address of a local domain (the operator may use any)? */
int directory_is_local(struct view *v, struct str address, struct err *err); /* 1, 0, -1 */

struct directory_login {
	uint64_t account;
	char login[DIRECTORY_ADDRESS + 1];
	bool enabled;
};
/* The account with that address. ERR_NOTFOUND: none; out->login is then the one spelling of all
 * ways to write the name, empty when it is no address. */
int directory_login(struct view *v, struct str name, struct directory_login *out, struct err *err);
int directory_account(
	struct view *v, uint64_t account, struct directory_login *out, struct err *err);

/* Sealed bytes; appended to out. */
int directory_secret(
	struct view *v, uint8_t kind, struct str name, struct buf *out, struct err *err);

/* What an address leads to in the end; slices live in the arena. */
struct destination {
	struct destination *next;
	uint64_t account;   /* 0: elsewhere */
	struct str address; /* "local@domain", canonical */
	struct str domain;
	struct str delivered_to; /* an account's: the address with the tag that was used */
	struct str owner;        /* of the list that led here; empty: none did */
	bool indirect;           /* an alias led here */
	struct str asked;        /* for the caller: the recipient that led here */
	uint8_t flags;           /* STORE_ADDRESS_ */
};
/* `target` is what directory_rcpt() gave for `address`. No destination is ERR_NOTFOUND. */
int directory_expand(struct view *v, uint64_t target, struct str address, struct arena *arena,
	struct destination **out, struct err *err);
struct directory_room {
	bool disabled;
	int64_t full_since; /* 0: was not full */
};
/* Is there room for so much more? ERR_QUOTA, ERR_QUOTA_LONG. `room` (may be NULL) is filled in any
 * case. */
int directory_has_room(struct view *v, uint64_t account, uint64_t messages, uint64_t bytes,
	struct directory_room *room, struct err *err);
/* May it get a message of this size? Also ERR_DISABLED. */
int directory_destination_takes(struct view *v, const struct destination *d, uint64_t size,
	struct directory_room *room, struct err *err);

/* Lists, in order of their key, after `after`; the callback returns false when it has enough. */
struct directory_domain_row {
	struct str name;
	uint8_t kind;
	uint64_t accounts;
	uint64_t quota_messages, quota_bytes; /* 0: none */
	uint64_t messages, bytes;             /* only counted where there is a quota */
};
typedef bool directory_domain_fn(void *arg, const struct directory_domain_row *row);
int directory_domains(
	struct view *v, struct str after, directory_domain_fn *fn, void *arg, struct err *err);
struct directory_account_row {
	uint64_t account;
	struct str login, full_name;
	bool enabled;
	uint64_t messages, bytes;
	int64_t created;
	uint64_t quota_messages, quota_bytes; /* 0: none */
	int64_t cap_messages, cap_recipients; /* 0: as the settings say, -1: none */
};
typedef bool directory_account_fn(void *arg, const struct directory_account_row *row);
int directory_accounts(
	struct view *v, struct str after, directory_account_fn *fn, void *arg, struct err *err);
/* One call per target; `first` begins a new alias. */
typedef bool directory_alias_fn(
	void *arg, struct str address, struct str owner, struct str target, bool first);
int directory_aliases(
	struct view *v, struct str after, directory_alias_fn *fn, void *arg, struct err *err);
/* The identities of an account besides its own addresses, in order. */
typedef bool directory_identity_fn(void *arg, struct str address);
int directory_identities(
	struct view *v, struct str login, directory_identity_fn *fn, void *arg, struct err *err);
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
/* The account that had this login last, with all it held, as long as it has not been purged. Its
 * password is gone, and aliases and further identities have to be made anew. */
int directory_account_restore(struct txn *t, struct str login, uint64_t *account, struct err *err);
/* 0 bytes or messages: no limit on these. */
int directory_account_quota(
	struct txn *t, struct str login, uint64_t messages, uint64_t bytes, struct err *err);
int directory_domain_quota(
	struct txn *t, struct str name, uint64_t messages, uint64_t bytes, struct err *err);
/* What the account may send to elsewhere on one day; 0: as the settings say, -1: no limit. */
int directory_account_caps(
	struct txn *t, struct str login, int64_t messages, int64_t recipients, struct err *err);
/* An address from which the account may send, though it does not lead to it. */
int directory_identity_add(struct txn *t, struct str login, struct str address, struct err *err);
int directory_identity_remove(struct txn *t, struct str login, struct str address, struct err *err);
/* A message of this size was refused for want of room: from now the grace is counted. */
int directory_note_full(struct txn *t, struct str address, uint64_t size, struct err *err);
/* A charged account's mail has changed by so much. charged 0: nothing to do. */
int directory_use(
	struct txn *t, uint64_t charged, int64_t messages, int64_t bytes, struct err *err);
/* address "@domain" is the catch-all. owner not empty: it is a list. */
int directory_alias_put(struct txn *t, struct str address, struct str owner,
	const struct str *targets, size_t n, struct err *err);
int directory_alias_remove(struct txn *t, struct str address, struct err *err);
int directory_secret_put(
	struct txn *t, uint8_t kind, struct str name, struct str sealed, struct err *err);

#endif
