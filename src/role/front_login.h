/* front_login.h - an account at work in a session: login, handle, renewal, changes.
 *
 * front_login() asks the vault, which alone can check a password and which grants at the store, and
 * redeems the grant there for a handle. The handle is good on one channel to the store; when the
 * store has been restarted, front_handle() presents the vault's session token and redeems a new
 * one, so the client notices nothing. When the account's password changes or it is disabled, the
 * login is `gone`: `wake` is raised and every later call fails with ERR_DENIED.
 *
 * The session owns the struct and keeps it in place from front_login() to front_logout().
 */
#ifndef ROLE_FRONT_LOGIN_H
#define ROLE_FRONT_LOGIN_H

#include "role/front.h"

struct front_login {
	struct front *front;
	struct front_login *next, **prev; /* in front->first_login */
	char login[321];                  /* the account's own name, "ann@example.org" */
	uint32_t scopes;                  /* SCOPE_ bits */
	uint32_t handle;
	uint64_t generation; /* of the store link: for which channel the handle is good */
	unsigned char session[384];
	size_t session_n;

	/* What the store tells by itself. `wake` may be NULL; it is raised when `modseq` has grown,
	 * when the login is gone, and when the store has been restarted (changes may have been
	 * missed: ask for the state). */
	struct signal *wake;
	uint64_t watching; /* mailbox, 0: none; set by front_watch() */
	uint64_t modseq;   /* the latest that store_changed named for it */
	bool gone;
	char why[201];
};

/* ERR_DENIED: wrong name or password. ERR_LIMIT: too many guesses, try later. ERR_TEMP. The
 * password is the caller's to wipe. *l needs no initialisation and is usable only after 0. */
int front_login(struct front *f, enum service service, struct conn *c, struct str name,
	struct str password, struct front_login *l, struct err *err);

/* Go in with what the vault gave for a login that it has checked in another way (front_auth.h): its
 * grant, and its session for later. Errors and *l as of front_login(). */
int front_enter(struct front *f, struct str token, struct str session, struct front_login *l,
	struct err *err);

/* The channel and the handle to use on it right now (see link.h on how long the channel is
 * good). FRONT_CALL does this by itself; for oneways and the like. Waits when the store is away. */
int front_handle(struct front_login *l, struct channel **ch, uint32_t *handle, struct err *err);

/* Be told of changes to a mailbox from now on; 0 ends it. Renewed by itself after a restart. */
void front_watch(struct front_login *l, uint64_t mailbox);

void front_logout(
	struct front_login *l); /* does not wait; safe to call twice, or after a failed login */

#endif
