/* crypto_test.h - comparing bytes with their hexadecimal spelling. */
#ifndef CRYPTO_CRYPTO_TEST_H
#define CRYPTO_CRYPTO_TEST_H

#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static inline void assert_hex(const void *p, size_t n, const char *hex)
{
	struct buf b = BUF(4096);

	hex_encode(&b, str_make(p, n));
	assert_int_equal(b.n, strlen(hex));
	assert_memory_equal(b.p, hex, b.n);
	buf_free(&b);
}

#endif
