#include "store/squeeze.h"

#include <zstd.h>

enum { LEVEL = 3 };

bool squeeze(struct str plain, struct buf *out)
{
	/* More than that is not wanted, and the library stops where the room ends. */
	const size_t most = plain.n - plain.n / 8;
	char *room = plain.n >= SQUEEZE_LEAST ? buf_room(out, most) : NULL;
	size_t n;

	if (!room)
		return false;
	n = ZSTD_compress(room, most, plain.p, plain.n, LEVEL);
	if (ZSTD_isError(n))
		return false;
	buf_grew(out, n);
	return true;
}

bool squeeze_undo(struct str squeezed, char *room, size_t n)
{
	return ZSTD_decompress(room, n, squeezed.p, squeezed.n) == n;
}
