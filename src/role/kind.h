/* kind.h - the table of roles: what there is, who talks with whom, and which code a role runs.
 *
 * The master starts from it, the role process finds itself in it. The place in the table is the
 * role's number for its numeric uid (uid-base plus place), so rows are only ever added at the end.
 */
#ifndef ROLE_KIND_H
#define ROLE_KIND_H

#include "role/role.h"

struct role_kind {
	const char *name;
	uint32_t who;
	uint32_t links; /* whom it asks: WHO_ bits; these see it as their peer */
	int oom_score;  /* 0 to 1000: who goes first when memory runs out */
	bool root_dir;  /* as root: the data folder becomes its root folder */
	int (*prepare)(struct role *r, struct err *err); /* NULL: nothing to do */
	int (*main)(struct role *r, struct err *err);
};

extern const struct role_kind role_kinds[];
extern const size_t role_kind_count;
const struct role_kind *role_kind_find(const char *name); /* NULL: no such role */

/* The whole life of a role process with this kind's code; gives its exit code. */
int role_run_kind(const struct role_kind *kind);
/* What role_run_kind() does between prepare and main. test/evil closes it in processes that it
 * forks while preparing, each of which then tries one thing. */
int role_close_sandbox(struct role *r, struct err *err);

enum {
	ROLE_CONTROL_FD = 3,     /* the channel to the master, in every role */
	ROLE_START_SECONDS = 30, /* until the master has sent everything */
	ROLE_GRACE_SECONDS = 10, /* to end by itself, when asked or when the master is gone */
};

#endif
