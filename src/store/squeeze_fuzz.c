/* squeeze_fuzz.c - any bytes as a squeezed body of any size: the room is filled or they are
 * refused, never more. And what is squeezed comes back. */
#include "store/squeeze.h"

#include <stdlib.h>
#include <string.h>

static void back_and_forth(struct str plain)
{
	struct buf squeezed = BUF(plain.n);
	char *back = malloc(plain.n + 1);
	struct err err = ERR_INIT;

	if (!back)
		abort();
	if (squeeze(plain, &squeezed) &&
		(squeezed.n > plain.n - plain.n / 8 ||
			squeeze_undo(buf_str(&squeezed), back, plain.n, &err) != 0 ||
			memcmp(back, plain.p, plain.n) != 0))
		abort();
	buf_free(&squeezed);
	free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str bytes = str_make(data, n);
	struct err err = ERR_INIT;
	char *room;
	size_t size;

	back_and_forth(bytes);
	if (n < 2)
		return 0;
	size = (size_t)data[0] << 8 | data[1];
	room = malloc(size ? size : 1); /* exactly: the sanitizer sees one byte more */
	if (!room)
		abort();
	(void)squeeze_undo(str_from(bytes, 2), room, size, &err);
	free(room);
	return 0;
}
