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

int squeeze_undo(struct str squeezed, char *room, size_t n, struct err *err)
{
	/* All that is allocated: ZSTD_decompress() does not tell when there is no memory. */
	ZSTD_DCtx *context = ZSTD_createDCtx();
	size_t got;

	if (!context)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	got = ZSTD_decompressDCtx(context, room, n, squeezed.p, squeezed.n);
	ZSTD_freeDCtx(context);
	return got != n;
}
