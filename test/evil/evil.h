/* evil.h - hostile code in the place of roles: what it tries, and how it tells.
 *
 * The program `evil` is eilpost with other code in some roles: the roles named in EVIL_ROLES get
 * their real descriptors, channels, uid and sandbox, and then run the attempts below instead of
 * their own main function. What came of each is a line in the file EVIL_RESULTS. test/evil/run
 * starts instances, once with the sandbox on and once with it off, and judges the lines.
 *
 * There are two kinds of attempts: at the kernel (calls.c), each in a process of its own that was
 * forked from the role and closed the same sandbox; and at the other roles (asks.c), over the
 * role's own channels, where an attempt may cost the role its life: the next process goes on with
 * the next one.
 */
#ifndef EVIL_H
#define EVIL_H

#include "role/kind.h"
#include "role/link.h"

#include <sys/types.h>

/* What an attempt may need to know. */
struct evil {
	struct role *role;
	const char *folder; /* of the instance */
	int port;           /* where it accepts connections */
	pid_t sibling;      /* another role, or else the master */
	int results;        /* a descriptor of EVIL_RESULTS */
};

enum outcome { DID, REFUSED, KILLED, BROKE };

void evil_tell(const struct evil *e, const char *attempt, enum outcome o, const char *detail);
/* Is there a line about `attempt` of this role already? */
bool evil_told(const struct evil *e, const char *attempt);
/* The rest of the first line that begins so ("role\tattempt\t"). */
bool evil_find(const struct evil *e, const char *start, char *rest, size_t size);

/* calls.c: 0 it worked, -1 it did not. */
struct evil_call {
	const char *name;
	int (*run)(const struct evil *e);
};
extern const struct evil_call evil_calls[];
extern const size_t evil_call_count;

/* An attempt at a peer: 0 it worked, -1 it was refused with err. A `fatal` one breaks the rules of
 * the channel, which ends it, and the master replaces the role: each life makes one of them. A
 * `control` shows that the same thing works where it is allowed. */
enum flavour { PLAIN, CONTROL, FATAL };
struct ask {
	uint32_t who;
	enum flavour flavour;
	const char *name;
	int (*run)(struct evil *e, struct err *err);
};

/* asks.c: everything that this role tries at its peers. */
void evil_ask(struct evil *e);

/* ask_mail.c: ways for mail to get out, and bytes that are no messages. */
extern const struct ask evil_mail_asks[];
extern const size_t evil_mail_ask_count;

#endif
