/* master.h - the parent of all roles: it opens the listeners and the control socket, starts each
 * role as `eilpost role NAME`, joins them by channels, and starts again what dies.
 *
 * master_run() is the life of `eilpost serve` and `eilpost demo`. It returns when SIGTERM or SIGINT
 * has ended all roles (0), or -1 when it could not start: the sentence says what is in the way and
 * what to do (a busy port, a missing folder, a second server on the same data). It parses nothing
 * from the network.
 */
#ifndef ROLE_MASTER_H
#define ROLE_MASTER_H

#include "base/err.h"

struct conf;
struct role_kind;

struct master_options {
	const struct conf *conf; /* stays the caller's */
	/* Called in a task of its own when all roles are ready for the first time and the listeners
	 * are open; it may wait and may connect to the control socket. -1 ends the server with that
	 * err. NULL: nothing to do. */
	int (*ready)(void *arg, struct err *err);
	void *arg;
	/* Which roles there are (kind.h); NULL: all. A test program that is its own
	 * `PROGRAM role NAME` may run other code in them: see test/evil. */
	const struct role_kind *kinds;
	size_t kind_count;
	/* How often roles are asked for a sign of life, and how long they may take (nanoseconds; 0:
	 * the usual 5 s and 30 s). */
	int64_t ping_every, ping_patience;
};

int master_run(const struct master_options *options, struct err *err);

#endif
