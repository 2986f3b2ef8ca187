/* sandbox_private.h - the table's row, and the two kernel mechanisms behind it. */
#ifndef ROLE_SANDBOX_PRIVATE_H
#define ROLE_SANDBOX_PRIVATE_H

#include "base/err.h"

/* What a role keeps. Everything else is refused. */
enum {
	MAY_THREAD = 1,   /* make threads (never processes) */
	MAY_DATA = 2,     /* use files below the data folder */
	MAY_SEAL = 4,     /* read and write the one file it was handed */
	MAY_ACCEPT = 8,   /* accept on the listeners it was handed */
	MAY_CONNECT = 16, /* connect out over TCP */
	MAY_RESOLVE = 32, /* ask name servers: UDP and TCP */
	MAY_SPEAK = 64    /* use connections of libpq that are open already */
};

/* Landlock. 0; 1 when the kernel has none; -1 with err. *isolation gets ISOLATION_LANDLOCK, _NET
 * and _SCOPE as far as the kernel goes. */
int landlock_close(unsigned may, int data_fd, uint8_t *isolation, struct err *err);

/* seccomp. 0; 1 when the kernel has none; -1 with err. With `strict` an unexpected call kills. */
int seccomp_close(unsigned may, bool strict, struct err *err);

/* Calls that were refused since. */
unsigned long seccomp_refused(void);

#endif
