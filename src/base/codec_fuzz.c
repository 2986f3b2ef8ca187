/* Every decoder on any bytes: it answers, keeps to the limit, and leaves no trace when it refuses.
 * Every encoder: its output decodes to the input. */
#include "base/codec.h"
#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef bool decode_fn(struct str s, struct buf *b);
typedef void encode_fn(struct buf *b, struct str s);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct {
		encode_fn *encode;
		decode_fn *decode;
	} pairs[] = { { base64_encode, base64_decode }, { hex_encode, hex_decode },
		{ qp_encode, qp_decode }, { xtext_encode, xtext_decode } };
	struct str in = str_make(data, n);

	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		struct buf some = BUF(n / 2), code = BUF(n * 4 + 16), back = BUF(n);

		if (!pairs[i].decode(in, &some))
			check(some.n == 0 && buf_ok(&some));
		pairs[i].encode(&code, in);
		check(buf_ok(&code));
		check(pairs[i].decode(buf_str(&code), &back));
		check(str_eq(buf_str(&back), in));
		buf_free(&some);
		buf_free(&code);
		buf_free(&back);
	}
	struct buf text = BUF(n * 3);

	utf8_clean(&text, in);
	check(buf_ok(&text) && utf8_valid(buf_str(&text)));
	check(utf8_valid(in) == str_eq(buf_str(&text), in));
	buf_free(&text);
	return 0;
}
