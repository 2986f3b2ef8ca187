#include "mail/utf7.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

/* What decodes is valid UTF-8 and encodes to the same bytes. What is UTF-8 without control
 * characters encodes to something that decodes to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	struct buf utf8 = BUF(1 << 20), wire = BUF(1 << 20);

	if (utf7_decode(in, &utf8)) {
		check(utf8_valid(buf_str(&utf8)));
		utf7_encode(buf_str(&utf8), &wire);
		check(buf_ok(&wire) && str_eq(buf_str(&wire), in));
	}
	buf_clear(&utf8);
	buf_clear(&wire);
	utf7_encode(in, &wire);
	for (size_t i = 0; i < n; i++)
		if (data[i] < 0x20 || data[i] == 0x7f)
			goto out;
	if (utf8_valid(in)) {
		check(utf7_decode(buf_str(&wire), &utf8));
		check(str_eq(buf_str(&utf8), in));
	}
out:
	buf_free(&utf8);
	buf_free(&wire);
	return 0;
}
