/* courier_private.h - the courier role: mail goes out.
 *
 *	courier.c          start, leasing due jobs, destinations and how many sessions they get
 *	courier_job.c      one message with recipients of one domain, from lease to result
 *	courier_host.c     from a route to the addresses of its servers
 *	courier_session.c  a connection, and the messages that go over it
 *	courier_message.c  one message over one connection, converted where it must be
 *	courier_result.c   what is recorded, logged, and reported to the sender
 *
 * A job is in one place at a time: in its destination's queue, in the hands of a session, or
 * being recorded. When the store restarts, all leases end. A job that was on the wire then goes on;
 *the store leases its recipients anew, and the new job gets the old one's results instead of being
 *sent again.
 */
#ifndef ROLE_COURIER_PRIVATE_H
#define ROLE_COURIER_PRIVATE_H

#include "base/arena.h"
#include "base/map.h"
#include "role/role.h"
#include "role/store_call.h"
#include "route/address.h"
#include "route/mx.h"
#include "route/reply.h"
#include "route/route.h"
#include "route/schedule.h"

struct tls_client;

enum { JOBS_MAX = 1000, JOB_RCPTS_MAX = 100, LEASE_MAX = 50, DEST_QUEUE_MAX = 200 };
enum { TARGETS_MAX = 16, SESSION_JOBS_MAX = 100, TEXT_MAX = 512 };

struct smtp_client;

struct courier {
	struct role *r;
	const struct conf *conf;
	struct task_group *group; /* sessions and results */
	struct link *store, *vault, *dns;
	struct tls_client *any, *verified; /* verified: NULL until it is asked for */
	struct buf authorities;            /* whom `verified` trusts, when no route asks for it */
	struct schedule schedule;
	bool local_only, private_ok;
	uint16_t mx_port;
	unsigned sessions_max, per_dest;
	struct map dests;    /* struct dest by key */
	struct dest *hungry; /* those that wait until a session ends elsewhere */
	struct map
		rcpts; /* struct job by recipient number: all that is leased or not recorded yet */
	size_t jobs, sessions, recording, unrecorded;
	struct signal work; /* something is due, or there is room again */
	int64_t sweep_at;
	int64_t until; /* clock_mono() until which leases of this store hold */
	bool due;
	int64_t next_due; /* wall clock, seconds; 0: nothing waits */
	int64_t v6_bad_until;
	uint32_t txn;
};

/* NULL: there are no authorities to trust. */
struct tls_client *courier_verified(struct courier *c, struct err *err);

/* ---- jobs ---- */

struct outcome {
	uint8_t state; /* RCPT_ number; 0: none yet */
	bool here;     /* delivered for good: into a mailbox (RFC 3461 5.2.3) */
	bool relayed;  /* delivered to a server that will not report on it (RFC 3461 5.2.2) */
	bool traced;   /* RFC 2852 4: the sender is to hear that it went on from here */
	uint32_t code, retry_after;
	char status[16];
	struct str text, remote; /* in the job's arena */
};

struct job_rcpt {
	uint64_t id;
	struct str address, orcpt;
	uint8_t notify;
	uint32_t attempts;            /* before this one */
	bool delay_told, delay_tells; /* before; in this result */
	int64_t rrvs;                 /* RFC 7293: seconds, 0: none */
	bool rrvs_reject;
	struct outcome out;
};

struct job {
	struct courier *c;
	struct dest *dest;
	struct job *next; /* in the destination's queue */
	uint64_t lease, generation, message, size;
	struct str sender, envid, domain;
	int64_t arrived, taken; /* wall clock; taken: monotonic */
	int64_t until;      /* of a store before this one: its last word; 0: what this one says */
	int64_t since;      /* from when on it may be delivered: arrival, or later (RFC 4865) */
	int64_t deliver_by; /* RFC 2852: seconds, 0: no such time */
	uint32_t flags;
	uint8_t ret, body_type, by_mode;
	int8_t priority;
	bool require_tls;
	bool busy;        /* in the hands of a session or being recorded: it must not be freed */
	bool unrecorded;  /* has results that the store could not be told */
	struct job *heir; /* the same recipients, leased anew */
	unsigned tries;   /* connections that broke on it */
	uint64_t call;    /* of its result; 0: not begun */
	size_t rcpt_count;
	struct job_rcpt *rcpts;
	struct arena mem;
};

/* Make a job from a lease. NULL in *out when its recipients are under way already: the job under
 * way then has it as heir, or it is being recorded. ERR_TEMP: out of memory. */
int job_new(struct courier *c, const struct store_lease_item *item, uint64_t generation,
	struct job **out, struct err *err);
void job_free(struct job **j);
bool job_is_void(const struct job *j); /* its lease has ended, and nothing has been sent */
/* Whether it may be sent still; asked before the text, all along it, and before its end (T174). */
bool job_is_leased(const struct job *j);
/* A text that lives as long as the job, printable, cut to TEXT_MAX. */
struct str job_text(struct job *j, struct str s);
/* RFC 2852 4.1: it was to be returned at a time, and that has come. */
bool job_is_late(const struct job *j);
void job_return_late(struct job *j);
/* The same outcome for all recipients that have none. */
void job_settle(struct job *j, uint8_t state, uint32_t code, const char *status, struct str text,
	struct str remote);
bool job_is_settled(const struct job *j);

/* ---- destinations ---- */

struct dest {
	struct courier *c;
	char key[330]; /* the route's name, and what sets this destination apart */
	size_t key_n;
	struct route route; /* its slices point into the settings and into key */
	bool require_tls;   /* RFC 8689: only to a server that is certain, and offers it */
	struct job *first, **last;
	size_t queued;
	unsigned sessions, connected;
	unsigned most;        /* sessions; less than the setting once the other side refused more */
	bool proven;          /* has answered: worth more than two connections */
	struct session *idle; /* those that wait for another message */
	int64_t down_until;   /* monotonic: nobody could be reached until then, */
	struct outcome down;  /* for this reason; */
	char down_text[TEXT_MAX + 1], down_remote[TEXT_MAX + 1];
	bool is_hungry;
	struct dest *next_hungry;
};

void dest_put_back(struct dest *d, struct job *j); /* at the front */
struct job *dest_take(struct dest *d);             /* NULL: none left */
/* Nobody could be reached, or the domain cannot get mail: all that waits here ends like this. */
void dest_settle_all(struct dest *d, uint8_t state, uint32_t code, const char *status,
	struct str text, struct str remote);
void dest_session_ended(struct dest *d);

/* ---- hosts ---- */

struct target {
	char name[256];   /* for certificates and logs */
	char address[64]; /* numeric */
	uint16_t port;
	bool was_silent; /* did not answer at first: now with patience */
};

struct target_list {
	struct target t[TARGETS_MAX];
	size_t count;
	bool certain; /* these are the domain's servers: said by the operator, or validly signed */
};

/* MX_USE with at least one target, or MX_DEFER or MX_FAIL with status and err. Asks dns. */
enum mx_verdict courier_resolve(struct courier *c, const struct route *r, struct target_list *out,
	const char **status, struct err *err);

/* ---- sessions ---- */

void session_start(void *dest); /* the task */
void session_wake(struct session *s);
struct session *session_next_idle(struct session *s);

/* ---- messages ---- */

enum sending { SENT, SENT_PARTLY, NOT_SENT };

/* Send the job's recipients without an outcome over this connection. SENT: every recipient has its
 * outcome now. Else err says why not; SENT_PARTLY: but some of them. `remote` is the server, as in
 * outcomes. */
enum sending message_send(
	struct job *j, struct smtp_client *client, const char *remote, struct err *err);

/* ---- results ---- */

/* Record the job's outcomes, in a task of its own, and free it. */
void job_finish(struct job *j);
/* For jobs with an heir: hand over what is known. */
void job_inherit(struct job *heir, const struct job *old);

#endif
