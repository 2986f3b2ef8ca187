/* work.h - what drive.c and faults.c do with a store: the life of one message after the other.
 *
 * Every message has its own id and one worker that ever touches it. Before each change `ask` is
 * told which state the message will have, and after it `outcome` whether the store has said that
 * it has; so at any moment a message is in its last answered state or in the one that was asked
 * for. A state is a list of places: LOGIN/MAILBOX:FLAGS and queue:ADDRESS. What a message holds
 * depends on its id alone. The hooks own nothing; a worker's buffer is freed with work_end().
 */
#ifndef CRASH_WORK_H
#define CRASH_WORK_H

#include "crash.h"
#include "store/store.h"

#include <stdbool.h>

enum { WORK_STATE = 400, WORK_LARGEST = 600 << 10 };

struct worker {
	unsigned number, message;
	bool passing; /* what it appends it expunges, so that segments die */
	uint64_t random;
	struct buf body;
	/* the message that it works on */
	char id[CRASH_ID], digest[CRASH_HEX];
	uint64_t queue_id;
	unsigned owner;
	uint32_t uid;
};

extern struct work_site {
	int dir;
	struct store *store;
	const char *run; /* begins every id */
	uint64_t seed;
	uint64_t accounts[2], inboxes[2], archives[2];
	size_t inline_max; /* larger bodies are blobs */
	size_t (*size)(struct worker *w);
	void (*ask)(const struct worker *w, const char *state);
	/* r: 0, or -1 and why. What failed is not tried again by the store. */
	void (*outcome)(const struct worker *w, int r, const char *what, const struct err *err);
	void (*pause)(bool on); /* around what is no work of the store's; may be NULL */
} work_site;

/* The store is open: make the accounts when there are none, and look up the numbers. */
int work_begin(struct err *err);
void work_end(struct worker *w);
uint64_t work_draw(struct worker *w, uint64_t below);

/* One message from its delivery on, or from its APPEND. Both stop at the first refusal. */
void work_deliver(struct worker *w);
void work_append(struct worker *w);
/* Hand over once more what may have been taken before: the same message with the same call. */
void work_deliver_again(struct worker *w, unsigned message);
/* Three deliveries at once; the middle one changes its mind when all is done. */
void work_burst(struct worker *w);

#endif
