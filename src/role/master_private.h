/* master_private.h - the master's parts: master.c (the whole life), child.c (one role process),
 * provide.c (what it is given), control.c (commands on the control socket).
 */
#ifndef ROLE_MASTER_PRIVATE_H
#define ROLE_MASTER_PRIVATE_H

#include "base/clock.h"
#include "ipc/channel.h"
#include "role/kind.h"
#include "role/master.h"

#include <sys/types.h>

enum { CHILDREN_MAX = 4 + 3 * 64, MASTER_LISTENERS_MAX = SERVICE_COUNT * 64 };

struct master;

struct child {
	struct master *m;
	const struct role_kind *kind;
	uint32_t uid, gid; /* 0: as the master */

	uint32_t number; /* of the running process, never used twice */
	pid_t pid;       /* 0: not running */
	int pidfd;
	struct task_group *group; /* control channel and heartbeat of the running process */
	struct channel *control;  /* NULL: not running */
	bool ready;
	uint8_t isolation;
	char note[241];
	struct err failed; /* why it ended; kind ERR_NONE: it runs */
	bool said;         /* it said so itself */
	bool repeats;      /* for the same reason as the last time */
	char told[240];    /* that reason; "" once it was ready */
	int64_t told_at;
	struct signal silent; /* its control channel has ended */

	uint32_t restarts;
	int64_t backoff;
	struct signal wake; /* ends the pause before the next start */
	bool supervised;    /* its task is still there */
};

struct master_listener {
	enum service service;
	uint32_t who;
	bool tls;
	int fd;
	struct str where;
};

struct master {
	const struct master_options *options;
	const struct conf *conf;
	const struct role_kind *kinds;
	size_t kind_count;
	struct task_group *group;
	struct child children[CHILDREN_MAX];
	size_t child_count;
	struct master_listener listeners[MASTER_LISTENERS_MAX];
	size_t listener_count;
	int control_fd, data_fd;
	uint32_t next_number;
	int64_t started;              /* wall time */
	struct signal sigterm, event; /* event: something below has changed */
	bool stopping;
	bool ready_once;
	struct err failed; /* why the server cannot run; kind ERR_NONE: it can */
};

/* child.c */
void child_supervise(void *child); /* the task of one role: start, wait, start again */
void child_stop(struct child *c);  /* ask it to end */
void child_kill(struct child *c);
struct child *child_find(struct master *m, uint32_t who); /* a running one of that class, or NULL */
/* Hand it a channel whose other end is a peer (fd is taken over). */
int child_give_channel(struct child *c, uint32_t who, uint32_t number, int fd, struct err *err);
void master_fail(struct master *m, const struct err *why);

/* provide.c */
int provide_open(struct master *m, struct err *err); /* data folder, seal, listeners */
void provide_close(struct master *m);
void provide_identity(const struct master *m, struct child *c);
/* Settings, files and listeners for a fresh process. */
int provide_child(struct child *c, struct err *err);

/* watch.c: address maps for the store. */
void watch_give(struct master *m, struct child *store); /* those that it has not got as they are */
void watch_maps(void *master);                          /* the task that sees them change */

/* control.c */
int control_open(struct master *m, struct err *err);
void control_serve(void *master); /* the task that accepts */

#endif
