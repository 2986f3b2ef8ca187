/* Reading lines must not depend on how the bytes were cut into reads. */
#include "net/conn.h"

#include <stdio.h>
#include <stdlib.h>

/* Everything the reader says about the input, as text. */
static void read_all(
	struct str input, size_t chunk, size_t max, enum line_end end, struct buf *said)
{
	struct conn *c = conn_mem(input, chunk);
	struct err err = ERR_INIT;
	struct str line;

	if (!c)
		abort();
	do {
		err.kind = ERR_NONE;
		if (conn_read_line(c, max, end, &line, &err) == 0) {
			if (line.n > max || str_find(line, '\n') < line.n)
				abort();
			if (end == LINE_CRLF && str_find(line, '\r') < line.n)
				abort();
			buf_add(said, line);
		}
		buf_addf(said, "[%s]\n", err_kind_name(err.kind));
	} while (err.kind == ERR_NONE || err.kind == ERR_LIMIT);
	conn_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const size_t chunks[] = { 1, 2, 7, 4096 };
	struct buf whole = BUF(1 << 24), cut = BUF(1 << 24);
	enum line_end end;
	size_t max;

	if (n < 2)
		return 0;
	end = data[0] & 1 ? LINE_LOOSE : LINE_CRLF;
	max = data[1];
	read_all(str_make(data + 2, n - 2), 0, max, end, &whole);
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
		buf_clear(&cut);
		read_all(str_make(data + 2, n - 2), chunks[i], max, end, &cut);
		if (!str_eq(buf_str(&whole), buf_str(&cut)))
			abort();
	}
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
