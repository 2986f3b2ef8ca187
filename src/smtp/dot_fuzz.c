/* Whatever is written comes back as written when read, in chunks of any size; and whatever is read,
 * piecewise or at once, reads the same, with an end only where a plain search finds it. */
#include "smtp/dot.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static enum dot_result read_all(struct str in, size_t chunk, struct buf *out, size_t *end)
{
	struct dot_reader d = { 0 };
	enum dot_result r;
	size_t from = 0, to = 0, used;

	for (;;) {
		struct str piece;

		r = dot_scan(&d, str_head(str_from(in, from), to - from), &used, &piece);
		from += used;
		if (r == DOT_PIECE) {
			check(piece.n > 0);
			buf_add(out, piece);
			continue;
		}
		if (r != DOT_MORE || to == in.n)
			break;
		check(to - from < 3);
		to = to + chunk < in.n ? to + chunk : in.n;
	}
	*end = from;
	return r;
}

/* The definition, without cleverness. */
static enum dot_result plain(struct str in, size_t *end)
{
	for (size_t i = 0; i < in.n; i++) {
		bool cr_before = i && in.p[i - 1] == '\r';
		struct str rest = str_from(in, i);

		if ((i == 0 || (i > 1 && in.p[i - 1] == '\n')) && str_starts(rest, STR(".\r\n"))) {
			*end = i + 3;
			return DOT_END;
		}
		if (in.p[i] == '\0')
			return DOT_NUL;
		if (cr_before && in.p[i] != '\n')
			return DOT_BARE_CR;
		if (!cr_before && in.p[i] == '\n')
			return DOT_BARE_LF;
	}
	return DOT_MORE;
}

static void read_it(struct str in, size_t chunk)
{
	struct buf once = BUF(in.n), pieces = BUF(in.n);
	size_t end, end_pieces, end_plain = 0;
	enum dot_result a = read_all(in, in.n, &once, &end), b, c;

	b = read_all(in, chunk, &pieces, &end_pieces);
	c = plain(in, &end_plain);
	check((a == DOT_END) == (b == DOT_END) && (a == DOT_END) == (c == DOT_END));
	check((a == DOT_MORE) == (b == DOT_MORE) && (a == DOT_MORE) == (c == DOT_MORE));
	if (a == DOT_END)
		check(end == end_pieces && end == end_plain &&
			str_eq(buf_str(&once), buf_str(&pieces)));
	buf_free(&once);
	buf_free(&pieces);
}

static void write_it(struct str in, size_t chunk)
{
	struct buf wire = BUF(in.n * 3 + 16), back = BUF(in.n * 3 + 16);
	struct dot_writer d = { 0 };
	size_t end;

	for (size_t at = 0; at < in.n; at += chunk)
		dot_write(&d, str_head(str_from(in, at), chunk), &wire);
	dot_finish(&d, &wire);
	check(buf_ok(&wire));
	if (memchr(in.p, '\0', in.n) == NULL) {
		check(read_all(buf_str(&wire), wire.n, &back, &end) == DOT_END);
		check(end == wire.n);
	}
	buf_free(&wire);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	size_t chunk;

	if (n < 1)
		return 0;
	chunk = (size_t)data[0] % 16 + 1;
	read_it(str_from(in, 1), chunk);
	write_it(str_from(in, 1), chunk);
	return 0;
}
