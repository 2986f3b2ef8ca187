/* sandbox.h - a role locks itself up, once, before it hears the first foreign byte.
 *
 * In this order: resource limits; uid and gid; capabilities; no_new_privs and not dumpable;
 * Landlock (no path but what the table grants, TCP only for those who connect, no signals out of
 * the process's own domain); a seccomp allow-list. What each role keeps is one table in sandbox.c.
 * Nothing of it can be taken back. It must be called before the process has a second thread.
 *
 * With the setting `sandbox` on, a step that the kernel cannot do fails (ERR_PERM: the program
 * exits with 78); best-effort goes on without it, off does only what needs no sandbox (uid,
 * capabilities, limits). sandbox_isolation() says what was reached.
 *
 * A call that no role needs (exec, ptrace, mount, a new socket family) kills the process. Any other
 * call off the list is logged once, counted, and fails with EPERM; with EILPOST_SANDBOX=kill in the
 * environment, as in tests, it kills too.
 */
#ifndef ROLE_SANDBOX_H
#define ROLE_SANDBOX_H

#include "base/err.h"
#include "conf/conf.h"

enum {
	ISOLATION_UID = 1,      /* runs under a uid of its own */
	ISOLATION_CAPS = 2,     /* no capabilities, no_new_privs, not dumpable */
	ISOLATION_LANDLOCK = 4, /* paths */
	ISOLATION_NET = 8,      /* Landlock with TCP rules (ABI 4) */
	ISOLATION_SCOPE = 16,   /* Landlock with signal and socket scoping (ABI 6) */
	ISOLATION_SECCOMP = 32,
	ISOLATION_FULL = 63
};

struct sandbox_wish {
	uint32_t who; /* the role's WHO_ bit: the row of the table */
	enum conf_sandbox mode;
	uint32_t uid, gid; /* 0: stay */
	int data_fd;       /* the folder that the role may use; -1: none */
	bool root_dir;     /* as root: make it the root folder */
};

int sandbox_close(const struct sandbox_wish *wish, struct err *err);
uint8_t sandbox_isolation(void);
/* "full", "reduced: no uid of its own, ..." */
void sandbox_describe(uint8_t isolation, struct buf *out);

#endif
