/* role.h - what every role is given, and how it meets its peers.
 *
 * A role is a process of its own: `eilpost role NAME`, started by the master with a control channel
 *on descriptor 3. role_run() takes the settings, files, listeners and channels that the master
 * sends, calls the role's prepare function, closes the sandbox, and then runs its main function as
 *a task. Peers come and go: when one has been restarted, the master sends a new channel for it.
 *
 *	prepare   before the sandbox: load what loads lazily (modules, OpenSSL providers, CA files,
 *	          resolv.conf), take the passed descriptors. It sees no byte from a peer.
 *	main      register for peers, spawn tasks in r->group, say role_ready(), wait for r->stop,
 *finish what was acknowledged, return. What is still in r->group is cancelled then.
 *
 * A role that fails returns -1 with err: it ends, the master says why and starts it again.
 * Everything here belongs to the loop's thread.
 */
#ifndef ROLE_ROLE_H
#define ROLE_ROLE_H

#include "ipc/channel.h"
#include "rt/task.h"

struct conf;
struct link;

struct role_file {
	uint8_t purpose; /* FILE_ number */
	char name[321];  /* which one, where there are several ("" else) */
	int fd;          /* -1 once taken */
};

struct role_listener {
	enum service service;
	bool tls; /* TLS from the first byte */
	int fd;   /* watched by whoever accepts on it (fd_watch) */
};

enum { ROLE_FILES_MAX = 64, ROLE_LISTENERS_MAX = 64 };

struct role {
	const char *name; /* "store", "vault", "courier", "dns", "mx", "submit", "mailbox" */
	uint32_t who;     /* our own WHO_ bit */
	uint32_t number;  /* the master's number for this process, new with every start */
	const struct conf *conf;
	struct task_group *group; /* for all tasks of the role; ended after main has returned */
	struct signal stop;       /* raised when the master wants the role to end (or is gone) */
	bool stopping;            /* stays set from then on */
	int64_t stop_by;          /* clock_mono() after which the process is killed */
	/* Sessions in hand, for status; kept by the role. */
	uint64_t sessions;

	struct role_file files[ROLE_FILES_MAX];
	size_t file_count;
	struct role_listener listeners[ROLE_LISTENERS_MAX];
	size_t listener_count;
	struct role_private *private;
};

/* Take the descriptor of a passed file: the caller owns it then. name NULL: the first of that
 * purpose. -1 when there is none (which is no error here). */
int role_take_file(struct role *r, uint8_t purpose, const char *name);

/* The passive side of channels (the store for everybody; the vault for fronts, courier and
 * operators; dns): `fn` is called for every channel of a peer whose class is in `who`, also for
 * those that came before. It takes over fd, normally with channel_new(r->group, fd, who, number,
 * ...) and an object of its own for this peer. It is called on the control task and must not wait.
 */
typedef void role_peer_fn(void *arg, uint32_t who, uint32_t number, int fd);
void role_on_peer(struct role *r, uint32_t who, role_peer_fn *fn, void *arg);

/* The active side: my channel to the store, the vault or dns (link.h). `who` is WHO_STORE,
 * WHO_VAULT or WHO_DNS. NULL when this role has no such peer. */
struct link *role_link(struct role *r, uint32_t who);

/* Tell the master that the role serves; `note` (may be "") is shown by `eilpost status`. May be
 * called again when the note changes. */
void role_ready(struct role *r, const char *note);

/* What each role supplies. prepare may be left out of the table in run.c when it has nothing to do.
 */
int role_store_prepare(struct role *r, struct err *err);
int role_store_main(struct role *r, struct err *err);
int role_vault_prepare(struct role *r, struct err *err);
int role_vault_main(struct role *r, struct err *err);
int role_courier_prepare(struct role *r, struct err *err);
int role_courier_main(struct role *r, struct err *err);
int role_dns_prepare(struct role *r, struct err *err);
int role_dns_main(struct role *r, struct err *err);
int role_front_prepare(struct role *r, struct err *err);
int role_front_main(struct role *r, struct err *err);

/* The whole life of a role process (the command `eilpost role NAME`); gives its exit code. */
int role_run(const char *name);

#endif
