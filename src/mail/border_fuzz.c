/* What goes out does not depend on how the message was cut; it is the message with whole fields
 * left out, its body untouched; and no field is left that is ours on plain reading. */
#include "mail/border.h"

#include "mail/header.h"

#include <stdlib.h>

#define HOST STR("mail.example.test")

static int collect(void *arg, struct str bytes, struct err *err)
{
	(void)err;
	buf_add(arg, bytes);
	return 0;
}

static void pass(struct str in, size_t chunk, struct buf *out)
{
	struct border b = BORDER(HOST);
	struct err err = ERR_INIT;

	buf_clear(out);
	for (size_t at = 0; at < in.n; at += chunk)
		if (border_feed(&b, str_head(str_from(in, at), chunk), collect, out, &err) < 0)
			abort();
	if (border_end(&b, collect, out, &err) < 0 || b.held.n > BORDER_HOLD)
		abort();
	border_free(&b);
}

static void check(struct str out)
{
	struct header_iter it = HEADER_ITER(out);
	struct header_field f;

	while (header_next(&it, &f)) {
		if (f.name.n && header_is(&f, STR("Return-Path")))
			abort();
		if (f.name.n && header_is(&f, STR("Authentication-Results")) &&
			str_startsi(str_trim(f.value), STR("mail.example.test;")))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const size_t chunks[] = { 1, 2, 3, 7, 64 };
	struct str in = str_make(data, n);
	struct buf whole = BUF(1 << 24), cut = BUF(1 << 24);

	pass(in, n ? n : 1, &whole);
	if (whole.n > n)
		abort();
	check(buf_str(&whole));
	for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++) {
		pass(in, chunks[i], &cut);
		if (!str_eq(buf_str(&whole), buf_str(&cut)))
			abort();
	}
	buf_free(&whole);
	buf_free(&cut);
	return 0;
}
