/* squeeze_test.h - bytes to be squeezed. */
#ifndef STORE_SQUEEZE_TEST_H
#define STORE_SQUEEZE_TEST_H

#include <stddef.h>
#include <stdint.h>

/* Letters as in an attachment; every fourth one is random bytes, which nothing makes smaller. */
static inline char byte_of(unsigned number, size_t at)
{
	uint64_t x =
		(at + 1) * UINT64_C(0x9e3779b97f4a7c15) + number * UINT64_C(0xbf58476d1ce4e5b9);

	x ^= x >> 31;
	x *= UINT64_C(0x94d049bb133111eb);
	x ^= x >> 29;
	return number % 4 == 3
		? (char)x
		: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x & 63];
}

static inline void make(unsigned number, char *out, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = byte_of(number, i);
}

#endif
