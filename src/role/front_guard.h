/* front_guard.h - who may come in, how fast, and who has to wait: what a front decides about all
 * its connections together.
 *
 * One guard a process counts connections and unfinished handshakes by address and by network, and
 * what strangers do by the minute (trust/rates.h). One visitor a connection is its standing: it is
 * entered once the client's real address is known and left at the end, always. Whoever has
 * delivered mail or logged in lately is known here, and is not made to wait; so is the machine
 * itself. Refusals are guard.* lines in the log, a few a minute for each network; the rest is
 * counted in `suppressed`.
 *
 * The budget of one connection is another thing: base/budget.h.
 */
#ifndef ROLE_FRONT_GUARD_H
#define ROLE_FRONT_GUARD_H

#include "base/ip.h"
#include "role/front.h"
#include "smtp/server.h"

struct guard;
struct guard_source;
struct lists_check;

struct visitor {
	struct front *front;
	struct str peer; /* the client's address; must last as long as the visitor */
	struct ip_keys keys;
	struct guard_source *address, *network;
	bool local; /* the machine itself */
	bool known;
	bool logged_in;
	struct str session;        /* id for log lines, empty until there is one */
	uint64_t errors;           /* that it has been made to wait for */
	int64_t held;              /* how long that was, all in all */
	struct lists_check *check; /* what the DNS lists say; NULL: they are not asked */
	unsigned listed;           /* once asked: enum lists_action, plus one */
	struct str zone;           /* of that list */
	int64_t now;               /* for tests: the time; 0: the clock's */
};

/* In f->guard, from the settings. */
int guard_new(struct front *f, struct err *err);
void guard_free(struct front *f);

/* Count it and look whether it may stay. NULL: yes; else the words for the client. */
const char *guard_enter(struct visitor *v, struct front *f, struct str peer);
void guard_leave(struct visitor *v);

/* A TLS handshake, within its deadline, if there are not too many unfinished ones. */
int guard_start_tls(struct front *f, struct conn *c, enum service s, struct err *err);

/* Port 25: begin to ask the lists of the DNS about a visitor who has just entered. */
void guard_look_up(struct visitor *v);
/* That, and wait a moment before the greeting whether a stranger talks too early. 0, or -1 when it
 * has (and has been told), has gone, or the wait was cancelled. */
int guard_greeting(struct visitor *v, struct conn *c, struct err *err);

/* What smtp_serve() asks before each command; arg is the visitor. */
int guard_pace(
	void *visitor, uint64_t errors, int64_t *silence, int64_t *hold, struct smtp_reply *no);
/* At MAIL and RCPT: 0, or -1 with the reply. `account` is empty for strangers. */
int guard_mail(struct visitor *v, struct smtp_reply *no);
int guard_rcpt(
	struct visitor *v, struct str account, const struct address *to, struct smtp_reply *no);
/* After the recipient was found good: must this message come again later? 0, or -1 with the
 * reply. */
int guard_greylist(struct visitor *v, struct str sender, struct str address,
	const struct address *to, struct smtp_reply *no);
/* A message was accepted; a login was right. */
void guard_welcome(struct front *f, struct str peer);

#endif
