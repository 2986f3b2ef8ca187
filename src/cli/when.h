/* when.h - a moment as people write it on a command line. Pure.
 *
 * "2026-11-30", "2026-11-30 17:54", "2026-11-30T17:54:07" in local time; "90m", "12h", "3d", "2w"
 * is so long before `now`; "now". A day alone is its first second.
 */
#ifndef CLI_WHEN_H
#define CLI_WHEN_H

#include "base/err.h"
#include "base/str.h"

/* Seconds since 1970. */
int when_parse(struct str text, int64_t now, int64_t *out, struct err *err);

#endif
