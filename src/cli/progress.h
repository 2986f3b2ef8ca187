/* progress.h - how far a long command is, on standard error: a bar on a terminal, else a line for
 * each part and now and then one in between.
 */
#ifndef CLI_PROGRESS_H
#define CLI_PROGRESS_H

#include "base/str.h"

struct progress {
	bool terminal, bytes; /* `done` counts bytes, not messages */
	char what[80];
	uint64_t done, total; /* total 0: not known */
	uint64_t messages;
	int64_t begun, shown, all_begun;
};

void progress_begin(struct progress *p, struct str what, uint64_t total, bool bytes);
void progress_to(struct progress *p, uint64_t done, uint64_t messages);
void progress_end(struct progress *p);
/* Something to say in between; printf-like, one line, control characters shown as '?'. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
