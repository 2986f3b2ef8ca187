/* mbox_test.h - an mbox in memory, for the unit test and the fuzz target. */
#ifndef PORT_MBOX_TEST_H
#define PORT_MBOX_TEST_H

#include "port/mbox.h"

#include <string.h>

struct mbox_memory {
	struct str bytes;
	size_t step; /* at most so many at once */
};

static inline int mbox_memory_read(
	void *arg, uint64_t at, char *p, size_t n, size_t *got, struct err *err)
{
	struct mbox_memory *m = arg;
	struct str rest = str_from(m->bytes, at > m->bytes.n ? m->bytes.n : (size_t)at);

	(void)err;
	rest = str_head(rest, n < m->step ? n : m->step);
	if (rest.n)
		memcpy(p, rest.p, rest.n);
	*got = rest.n;
	return 0;
}

static inline int mbox_memory_sink(void *arg, struct str piece, struct err *err)
{
	(void)err;
	buf_add(arg, piece);
	return 0;
}

#endif
