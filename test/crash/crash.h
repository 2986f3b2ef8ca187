/* crash.h - what drive.c and recover.c share. */
#ifndef CRASH_CRASH_H
#define CRASH_CRASH_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

/* Messages begin with this, then their id and CRLF; ledger.py has the same. */
#define CRASH_MARK "X-Ledger: "
/* Small, so that a short run fills several. */
#define CRASH_SEGMENT (1u << 20)

enum { CRASH_HEX = 65, CRASH_ID = 64 };

/* SHA-256 in hex. Ends the program when there is no memory. */
void crash_digest(struct str data, char hex[CRASH_HEX]);
_Noreturn void crash_die(const char *what, const struct err *err);
/* Open the directory; ends the program when it cannot. */
int crash_directory(const char *path);

#endif
