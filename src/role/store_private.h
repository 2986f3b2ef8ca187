/* store_private.h - the store role from the inside: peers, handles, works in hand.
 *
 * The loop's thread moves messages and keeps what dies with a channel: handles, grants, locks,
 * watches, transactions, leases. Every other request becomes a work: a job of src/store, run on
 * the writer's thread or on one for reading, whose answer is encoded there and sent from here.
 */
#ifndef ROLE_STORE_PRIVATE_H
#define ROLE_STORE_PRIVATE_H

#include "base/map.h"
#include "ipc/channel.h"
#include "role/role.h"
#include "store/blob.h"
#include "store/store.h"

#include <pthread.h>

enum {
	STORE_HANDLES_MAX = 200000, /* of one peer */
	STORE_WORKS_MAX = 100000,   /* of one peer */
	STORE_INTAKES_MAX = 40000,  /* of one peer */
	STORE_GRANT_SECONDS = 10,
	STORE_GRANTS_MAX = 100000,
	STORE_BUFFERED = 64 << 20, /* bytes of bodies in memory, all together */
	STORE_LISTED = 32 << 20,   /* bytes of recipients in memory, all together */
	STORE_AHEAD = 256 << 10,   /* of one body, before credit */
	STORE_ITEMS = 60000        /* bytes of a sequence in an answer */
};

struct store_role;

struct handle {
	struct handle *next, **at; /* others of the account */
	struct peer *peer;
	uint32_t number, scopes;
	uint64_t account;
	uint64_t watched, locked; /* mailboxes; 0: none */
};

struct grant {
	struct grant *next; /* in order of time */
	char token[16];
	uint32_t front, scopes;
	uint64_t account;
	int64_t until;
	bool used;
};

struct peer {
	struct store_role *s;
	struct peer *next, **at;
	struct channel *ch; /* NULL: gone */
	uint32_t who;
	uint64_t id; /* never used again: the holder of its leases */
	uint32_t last_handle;
	struct map handles, intakes, leases; /* by number */
	size_t works;
	uint64_t alone; /* the account on which it has such a handle, until it is freed; 0: none */
	bool holds;     /* for its backup nothing is removed */
};

struct lease_of_peer {
	uint64_t lease, message;
};

/* A body and recipients on their way in. */
struct intake {
	struct peer *peer;
	uint32_t txn;
	struct buf data;  /* not yet written anywhere */
	struct buf rcpts; /* encoded store_rcpt_item */
	uint64_t received;
	bool credit_given; /* the part of the credit that comes before there is a blob */
	bool is_blob, aborted;
	bool busy; /* its task runs */
	struct signal wake;
	struct blob_writer blob;
	uint64_t stored; /* `data` is squeezed, to so many bytes; 0: it is as it came */
	uint32_t checksum;
	struct err failed;
	struct work *commit; /* waits for the blob, or for the squeezing */
};

struct work {
	struct store_job job; /* first */
	struct store_role *s;
	struct peer *peer;
	struct request *req;
	uint32_t handle;
	uint64_t account; /* of the handle */
	uint64_t touched; /* an account whose handles may have to end */
	uint64_t mailbox; /* locked for this select */
	struct buf text;  /* of a work of ours, or what is to be said afterwards */
	bool tell;        /* an account was frozen and its owner is to be told */
	struct intake *intake;
	void (*after)(struct work *w); /* on the loop's thread, before the answer goes out */
};

struct store_role {
	struct role *role;
	struct store *store;
	struct view view; /* the loop's own, for point reads */
	int dir;
	struct remote *remote;
	struct signal finished;
	struct peer *peers;
	struct map accounts; /* first handle of each account */
	struct map grants;   /* by token */
	struct map alone;    /* peers, by the account that each has alone */
	struct grant *oldest, **youngest;
	uint64_t last_peer;
	size_t buffered, listed, works;
	int64_t leases_until; /* what couriers were told */
	int64_t next_due;     /* seconds since 1970; when to wake the courier */
	struct signal due, idle;
	pthread_mutex_t foreign_lock; /* guards: */
	struct changes foreign;       /* what other nodes have committed and nobody was told */
	struct greylist *greylist;    /* NULL unless it is in use */
	bool squeezes;                /* bodies, before they are handed over */
	bool closing, alarms_begun;
};

static inline struct work *work_of(struct store_job *job)
{
	return (struct work *)job;
}

/* In a job: decode the request, encode the answer. */
#define ASKED(name, q)                                                                             \
	struct name##_req q;                                                                       \
	if (name##_req_get(work_of(job)->req->body, &q, err) < 0)                                  \
	return -1
#define ANSWER(name, ...)                                                                          \
	(name##_rep_put(&job->answer, &(struct name##_rep){ __VA_ARGS__ }),                        \
		store_role_fits(job, err))
int store_role_fits(struct store_job *job, struct err *err);

/* In a job: the items of a sequence as they come, until an answer is full. */
struct listing {
	struct buf items;
	bool more;
};
#define LISTING ((struct listing){ .items = BUF(MSG_MAX) })
/* Does what was added since `before` go with them? If not it is taken away, and there is more. */
bool listing_fits(struct listing *l, size_t before);

/* store.c */
void store_work_submit(struct work *w);
struct work *store_work_new(struct peer *p, struct request *req, struct err *err);
void store_work_fail(struct work *w, const struct err *why);
void store_say_due(struct store_role *s);
void store_peer_release(struct peer *p); /* one that needed it does not any more */

/* Ranges of a request in the form of the store; they must ascend. (store_mailbox.c) */
int store_get_ranges(struct str seq, struct buf *out, struct err *err);

/* store_handles.c */
struct handle *store_handle(struct peer *p, uint32_t number);
void store_handles_of_peer_end(struct peer *p);
uint32_t store_handles_of_account_end(struct store_role *s, uint64_t account, struct str why);
void store_publish(struct store_role *s, const struct changes *c);
void store_grants_expire(struct store_role *s);
void store_grants_of_account_end(struct store_role *s, uint64_t account);
void store_on_attach(struct peer *p, struct request *req);
void store_on_account_open(struct peer *p, struct request *req);
void store_on_detach(struct peer *p, struct request *req);
void store_on_grant(struct peer *p, struct request *req);
void store_on_revoke(struct peer *p, struct request *req);
void store_on_watch(struct peer *p, struct request *req);
void store_on_unlock(struct peer *p, struct request *req);
void store_on_select(struct peer *p, struct request *req);

/* store_intake.c */
void store_on_body(struct peer *p, struct request *req);
void store_on_rcpts(struct peer *p, struct request *req);
void store_on_abort(struct peer *p, struct request *req);
void store_on_deliver(struct peer *p, struct request *req);
void store_on_refused(struct peer *p, struct request *req);
void store_on_append(struct peer *p, struct request *req);
void store_on_result(struct peer *p, struct request *req);
void store_intakes_of_peer_end(struct peer *p);
void store_intake_free(struct intake *in);

/* store_directory.c: point reads, answered at once.
 *
 * The number of an address goes to a front and comes back with the delivery, bound to the address
 * that was asked for: a front that makes one up, or takes it from another address, has none (0),
 * and the recipient is looked up as if it were new. The key is this process's. */
uint64_t store_target_seal(struct str address, uint64_t id);
uint64_t store_target_open(struct str address, uint64_t sealed);
void store_on_rcpt(struct peer *p, struct request *req);
void store_on_sender(struct peer *p, struct request *req);
/* store_greylist.c. `rcpts`: encoded store_rcpt_item, of a submission. */
void store_on_greylist(struct peer *p, struct request *req);
void store_greylist_wrote(struct store_role *s, struct str rcpts);
int store_greylist_start(struct store_role *s, struct err *err); /* when it is in use at all */
void store_on_login(struct peer *p, struct request *req);
void store_on_secret_get(struct peer *p, struct request *req);

/* store_alarm.c: mail was frozen (store/sending.h). */
void store_alarm_frozen(struct work *w);
/* Who has not been told before the last end; once, when there is a peer. */
void store_alarm_rest(struct store_role *s);

/* store_map.c: files of addresses. NULL: none is set. */
const struct address_map *store_map_open(struct store_role *s);
void store_map_renew(struct store_role *s); /* take what the master has passed anew */

/* store_database.c: when `store` names a PostgreSQL database. Opens all connections; ERR_CLOSED: it
 * does not answer (now). The address holds the password; NULL: the store is in the data folder. */
int store_database_prepare(struct role *r, struct err *err);
const char *store_database_url(void);

/* store_foreign.c: what other nodes have committed. */
void store_foreign_add(void *s, const struct changes *c); /* any thread */
void store_foreign_publish(struct store_role *s);

/* store_backup.c */
void store_on_backup_begin(struct peer *p, struct request *req);
void store_on_backup_end(struct peer *p, struct request *req);
void store_backup_over(struct peer *p);

/* store_queue.c */
void store_on_lease_body(struct peer *p, struct request *req);

/* Jobs, by the name of their request. */
#define JOB_WRITE(name) int store_do_##name(struct txn *t, struct store_job *job, struct err *err);
#define JOB_READ(name) int store_do_##name(struct view *v, struct store_job *job, struct err *err);
#include "role/store_jobs.def"
#undef JOB_WRITE
#undef JOB_READ

#endif
