/* vault_private.h - the vault role: who asks, what it holds, and how its parts fit together.
 *
 *	vault.c           start, peers, which request goes where
 *	vault_login.c     passwords: check, set, grant, regrant
 *	vault_scram.c     SCRAM: half-done exchanges
 *	vault_certificate.c  logins by certificate
 *	vault_hash.c      how many slow hashes run at once
 *	vault_identity.c  certificates and their private keys
 *	vault_secret.c    sealed bytes in the directory; provider passwords
 *	vault_ticket.c    ticket keys
 *
 * Key operations run on the loop's thread, hashing on worker threads only: a handshake never waits
 * behind a login.
 */
#ifndef ROLE_VAULT_PRIVATE_H
#define ROLE_VAULT_PRIVATE_H

#include "auth/limits.h"
#include "auth/recent.h"
#include "auth/seal.h"
#include "auth/session.h"
#include "auth/verifier.h"
#include "role/role.h"
#include "role/store_call.h"

struct conf;
struct vault_identities;
struct vault_tickets;
struct hash_wait;
struct vault_exchanges;

/* What vault_changed says. */
enum { VAULT_IDENTITIES = 1, VAULT_TICKETS = 2 };

struct vault_peer {
	struct vault *v;
	struct channel *ch;
	struct vault_peer *next;
};

/* vault_hash.c. First those who have been here before, then strangers, each in order. */
struct hash_gate {
	unsigned running, most;
	size_t waiting;
	struct hash_wait *first[2], **last[2];
};

struct vault {
	struct role *r;
	struct task_group *group; /* all tasks of the vault's own */
	struct link *store;
	struct vault_peer *peers;
	struct seal *seal;
	struct limits *limits; /* NULL: nothing is limited */
	struct recent *recent;
	struct hash_gate gate;
	unsigned char session_key[SESSION_KEY];
	struct buf decoy; /* the verifier of nobody, for names that do not exist */
	struct vault_exchanges *exchanges;
	unsigned setting; /* passwords being set at this moment */
	uint64_t sets;    /* and how many have been so far */
	struct vault_identities *identities;
	struct vault_tickets *tickets;
	struct buf client_ca;    /* PEM; empty: nobody logs in by certificate */
	struct secret smarthost; /* from a settings file; may be none */
	size_t tasks;            /* requests under way in tasks of their own */
	uint64_t logins, failures, limited;
};

/* Handles one request and answers it; who asks stands on req->ch. */
typedef void vault_do_fn(struct vault *v, struct request *req);

/* vault.c */
void vault_tell(struct vault *v, uint32_t what); /* vault_changed to all fronts */

/* vault_hash.c */
void hash_gate_begin(struct hash_gate *g, unsigned most);
/* Wait for a place, run on a worker thread, give the place back. ERR_LIMIT: too many wait already;
 * ERR_TEMP: no place came in time. */
int hash_gate_run(struct hash_gate *g, bool known, int (*run)(void *arg, struct err *err),
	void *arg, struct err *err);

/* The account behind a name, as the store knows it now. */
struct vault_account {
	uint64_t id;
	struct str login;         /* its name; of nobody: one for all ways to write it */
	bool known;               /* exists, enabled, has a password that we can read */
	struct secret plain;      /* the verifier's bytes */
	struct verifier verifier; /* the account's, or the decoy */
	struct reply hold;
};

/* What a front gets for a login. */
struct vault_entry {
	unsigned char token[16];
	struct buf session;
};

/* vault_login.c */
/* Nobody, a disabled account and one without a password look alike: they get the decoy, and a name
 * that cannot be one is nobody's. -1 only when the store does not answer. */
int vault_account_find(struct vault *v, struct str name, struct vault_account *a, struct err *err);
void vault_account_free(struct vault_account *a);
/* What a service may do, and whether this class of front runs it. 0: it does not. */
uint32_t vault_scopes(uint32_t who, uint8_t service);
/* Count an attempt on that account. ERR_LIMIT: too many. */
int vault_attempt(struct vault *v, const struct vault_account *a, struct str peer, struct err *err);
/* Grant at the store, to the front at the other end of `ch`. */
int vault_admit(struct vault *v, const struct vault_account *a, uint32_t scopes, struct channel *ch,
	struct vault_entry *entry, struct err *err);
int vault_login_begin(struct vault *v, struct err *err);
void vault_login_end(struct vault *v);
vault_do_fn vault_do_login, vault_do_regrant, vault_do_password_set;

/* vault_scram.c */
int vault_exchanges_begin(struct vault *v, struct err *err);
void vault_exchanges_free(struct vault *v);
vault_do_fn vault_do_scram_first, vault_do_scram_final;

/* vault_certificate.c */
int vault_client_ca_prepare(struct vault *v, struct err *err);
vault_do_fn vault_do_client_ca, vault_do_certificate;

/* vault_secret.c: `kind` is a SECRET_ number. ERR_NOTFOUND; ERR_DENIED: sealed by another key. */
int vault_secret_get(
	struct vault *v, uint8_t kind, struct str name, struct secret *plain, struct err *err);
int vault_secret_put(
	struct vault *v, uint8_t kind, struct str name, struct str plain, struct err *err);
enum seal_kind vault_seal_kind(uint8_t kind);
/* ERR_PERM: what the directory holds was sealed by another key. */
int vault_seal_check(struct vault *v, struct err *err);
vault_do_fn vault_do_provider, vault_do_provider_set;

/* vault_identity.c */
int vault_identities_prepare(struct vault *v, struct err *err); /* those from files */
int vault_identities_load(struct vault *v, struct err *err);    /* those in the directory */
void vault_identities_free(struct vault *v);
vault_do_fn vault_do_sign, vault_do_identities, vault_do_identity_make, vault_do_identity_import;
struct vault_status_rep;
void vault_identities_status(const struct vault *v, struct vault_status_rep *a, struct buf *names);

/* vault_ticket.c */
int vault_tickets_begin(struct vault *v, struct err *err);
void vault_tickets_free(struct vault *v);
vault_do_fn vault_do_ticket_keys;

#endif
