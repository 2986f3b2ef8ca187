/* front.h - a front process: it accepts connections of its class and runs a session on each.
 *
 * The classes: mx (port 25), submit (587, 465), mailbox (IMAP, POP3). front.c accepts, limits the
 * number of connections, does the TLS handshake of the services that begin with it, and calls the
 * session function in a task of its own. Protocol code knows nothing of this: the session functions
 * (front_smtp.c, front_imap.c, front_pop3.c) turn its policy structs into calls to store, vault and
 * dns.
 *
 * After an account has logged in, every call to the store carries a handle (front_login.h). Before,
 * and always on mx, the handle is 0.
 */
#ifndef ROLE_FRONT_H
#define ROLE_FRONT_H

#include "base/map.h"
#include "net/conn.h"
#include "role/link.h"
#include "role/role.h"

struct front_login;
struct guard; /* role/front_guard.h */
struct visitor;

struct front {
	struct role *role;
	const struct conf *conf; /* = role->conf */
	uint32_t who;            /* WHO_MX, WHO_SUBMIT or WHO_MAILBOX */
	struct link *store, *vault;
	struct link *dns;                      /* NULL unless mx */
	struct tls_server *tls[SERVICE_COUNT]; /* NULL: no certificate, offer no STARTTLS */
	struct buf client_ca;      /* PEM: whose certificates clients are asked for; empty: none */
	struct signal tls_changed; /* ask the vault for certificates again */
	int64_t tls_again;         /* or at this time */
	uint64_t call_next;
	uint32_t txn_next;
	struct map logins; /* by handle: where store_changed and store_handle_gone go */
	struct front_login *first_login; /* all of them, also those without a handle */
	struct map bodies;               /* by txn: where credit goes */
	int64_t notes_full_at;           /* what strangers may have written down (base/bucket.h) */
	uint64_t notes_withheld;         /* transactions, since */
	struct guard *guard;
	size_t kept; /* bytes of bodies kept in memory for a repeat */
};

/* A session, whole: called in its own task with a fresh connection (TLS already done for
 * services that begin with it), returns when it is over. The caller says goodbye and frees c. The
 * task is cancelled at shutdown (waits then fail with ERR_CANCELED): say so to the client if the
 * protocol has a word for it (421, BYE), with task_shield and a deadline of a few seconds. */
void front_smtp_session(struct front *f, struct conn *c, enum service s, struct visitor *v);
void front_imap_session(struct front *f, struct conn *c, enum service s);
void front_pop3_session(struct front *f, struct conn *c, enum service s);

/* An id for a changing call: random base per process plus a counter, so it never comes twice within
 * the ten minutes that the store remembers. It is also the queue id of a message. */
uint64_t front_call_id(struct front *f);

/* One call to the store that survives a restart of the store:
 *
 *	struct store_select_req q = { .name = name };
 *	struct store_select_rep a;
 *	struct reply hold = { 0 };
 *
 *	if (FRONT_CALL(f, login, store_select, &q, &a, &hold, err) < 0) ...
 *	reply_free(&hold);
 *
 * fills q->handle (0 when login is NULL), waits for the store if it is away, re-grants the handle
 * if the store has restarted since, and repeats the call when its channel ended meanwhile. A
 * changing call must have its q.call set by front_call_id() before, so a repeat gets the same
 * answer. Gives 0, or -1 with the store's err, ERR_TEMP when the store stays away for 30 s, or
 * ERR_DENIED when the login has ended. `hold` keeps what the answer points into; give it empty. */
#define FRONT_CALL(f, login, name, q, a, hold, err)                                                \
	({                                                                                         \
		struct front_try try_ = { 0 };                                                     \
		while (front_try(&try_, (f), (login), &(q)->handle, (err)))                        \
			try_.result = name(try_.ch, (q), try_.deadline, (a), (hold), (err));       \
		try_.result;                                                                       \
	})

struct front_login;
struct store_expunge_req;
/* store_expunge, as often as it takes. q->call is set here. */
int front_expunge(
	struct front *f, struct front_login *login, struct store_expunge_req *q, struct err *err);

struct front_try {
	struct channel *ch;
	int64_t deadline;
	int64_t away_until; /* from when on a store that keeps going away is not waited for */
	uint64_t generation;
	int result;
	unsigned repeats;
	bool began;
};
bool front_try(struct front_try *t, struct front *f, struct front_login *login, uint32_t *handle,
	struct err *err);

#endif
