/* scenario.h - the child processes of faults.c: a store at work under a fault, and the check
 * afterwards.
 *
 * What was asked of the store and answered, and every problem that is found, stands in memory that
 * the processes of one run share, so that it outlives them.
 */
#ifndef CRASH_SCENARIO_H
#define CRASH_SCENARIO_H

#include "interpose.h"
#include "work.h"

enum { SCENARIO_MESSAGES = 200, SCENARIO_TALK = 8000 };
/* Exit code of a store that cannot go on. */
enum { SCENARIO_FATAL = 77 };

struct message {
	char id[CRASH_ID], digest[CRASH_HEX];
	char answered[WORK_STATE], asked[WORK_STATE];
	bool open; /* asked for and not answered */
};

extern struct shared {
	struct interposed did;
	struct message messages[SCENARIO_MESSAGES];
	size_t count;
	bool closed; /* the store, and everything is given back */
	int descriptors;
	char why[240]; /* the last refusal */
	char talk[SCENARIO_TALK];
} * shared;
extern const char *scenario_rules; /* the path of invariants.sql */
extern bool scenario_verbose;

/* Add a sentence to the problems. */
void problem(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Each is a process of its own, in the directory that it is given. */
_Noreturn void scenario_run(const char *path, const struct fault *f);
/* Leave a store that was killed when its log was ahead of its index. */
_Noreturn void scenario_make_used(const char *path);
_Noreturn void scenario_verify(const char *path);

#endif
