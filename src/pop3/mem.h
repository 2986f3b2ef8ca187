/* mem.h - a POP3 mailbox in memory: what unit tests, transcripts and the fuzzer talk to.
 *
 * The caller owns the struct and the messages. Logins succeed with the one name and password;
 * "busy" as the name finds the mailbox held by another session, "broken" a store that fails.
 */
#ifndef POP3_MEM_H
#define POP3_MEM_H

#include "pop3/pop3.h"

enum { POP3_MEM_MAX = 16 };

struct pop3_mem {
	struct str name, password;
	struct str messages[POP3_MEM_MAX]; /* uid is index + 1 */
	size_t count;
	size_t chunk;                 /* bytes that one read gives; 0: all */
	bool removed[POP3_MEM_MAX];   /* after QUIT */
	bool vanished[POP3_MEM_MAX];  /* taken away behind the session's back */
	bool busy, broken, read_only; /* what open and remove meet */
	bool gone, open;
};

struct pop3_policy pop3_mem_policy(struct pop3_mem *m);

#endif
