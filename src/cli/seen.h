/* seen.h - which messages are there already, by size, date and checksum.
 *
 * A folder that holds a message three times knows it three times: each is taken once. So what is
 * imported again after it was broken off is neither doubled nor left out. 9 bytes a message.
 */
#ifndef CLI_SEEN_H
#define CLI_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct seen {
	uint64_t *keys;
	bool *taken;
	size_t n, cap;
	bool sorted;
};

uint64_t seen_key(uint64_t size, int64_t received, uint32_t checksum);
bool seen_add(struct seen *s, uint64_t key); /* false: out of memory */
/* Was it there, and not taken yet? Needs no memory: what is there is never taken for new. All are
 * added before the first is taken. */
bool seen_take(struct seen *s, uint64_t key);
void seen_clear(struct seen *s);

#endif
