#include "base/crc32c.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

/* Three streams at once keep the instruction's pipeline full; then they are put together by pushing
 * one of them past as many zero bytes as the next is long. */
enum { STREAM = 1024 };

static uint32_t table[8][256]; /* table[k][b]: the effect of byte b, k bytes before the end */
static uint32_t past[4][256];  /* past[k][b]: byte k of a sum is b, and STREAM zero bytes follow */
static bool have_instruction;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t past_zeros(uint32_t c)
{
	for (int i = 0; i < STREAM; i++)
		c = c >> 8 ^ table[0][c & 0xff];
	return c;
}

static void prepare_past(void)
{
	for (int k = 0; k < 4; k++)
		for (uint32_t bit = 1; bit < 256; bit *= 2) {
			past[k][bit] = past_zeros(bit << 8 * k);
			for (uint32_t b = 1; b < bit; b++)
				past[k][bit | b] = past[k][bit] ^ past[k][b];
		}
}

static void prepare(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t c = i;

		for (int bit = 0; bit < 8; bit++)
			c = c >> 1 ^ (c & 1 ? 0x82f63b78u : 0);
		table[0][i] = c;
	}
	for (uint32_t i = 0; i < 256; i++)
		for (int k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 0xff];
	prepare_past();
#if defined(__x86_64__)
	have_instruction = __builtin_cpu_supports("sse4.2");
#elif defined(__aarch64__)
	have_instruction = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

static uint32_t by_table(uint32_t c, const unsigned char *p, size_t n)
{
	for (; n >= 8; n -= 8, p += 8)
		c = table[7][(c ^ p[0]) & 0xff] ^ table[6][(c >> 8 ^ p[1]) & 0xff] ^
			table[5][(c >> 16 ^ p[2]) & 0xff] ^ table[4][(c >> 24 ^ p[3]) & 0xff] ^
			table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
	for (; n; n--)
		c = c >> 8 ^ table[0][(c ^ *p++) & 0xff];
	return c;
}

#if defined(__x86_64__)
#define WITH_INSTRUCTION __attribute__((target("sse4.2")))
#define STEP8(c, v) (uint32_t) _mm_crc32_u64((c), (v))
#define STEP1(c, v) _mm_crc32_u8((c), (v))
#elif defined(__aarch64__)
#define WITH_INSTRUCTION __attribute__((target("+crc")))
#define STEP8(c, v) __crc32cd((c), (v))
#define STEP1(c, v) __crc32cb((c), (v))
#endif

#ifdef WITH_INSTRUCTION
WITH_INSTRUCTION static inline uint32_t step(uint32_t c, const unsigned char *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return STEP8(c, v);
}

static uint32_t push_past(uint32_t c)
{
	return past[0][c & 0xff] ^ past[1][c >> 8 & 0xff] ^ past[2][c >> 16 & 0xff] ^
		past[3][c >> 24];
}

WITH_INSTRUCTION static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	for (; n >= 3 * STREAM; n -= 3 * STREAM, p += 3 * STREAM) {
		uint32_t second = 0, third = 0;

		for (size_t i = 0; i < STREAM; i += 8) {
			crc = step(crc, p + i);
			second = step(second, p + STREAM + i);
			third = step(third, p + 2 * STREAM + i);
		}
		crc = push_past(push_past(crc) ^ second) ^ third;
	}
	for (; n >= 8; n -= 8, p += 8)
		crc = step(crc, p);
	for (; n; n--)
		crc = STEP1(crc, *p++);
	return crc;
}
#else
static uint32_t by_instruction(uint32_t crc, const unsigned char *p, size_t n)
{
	return by_table(crc, p, n);
}
#endif

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, prepare);
	return ~(have_instruction ? by_instruction(~crc, p, n) : by_table(~crc, p, n));
}

uint32_t crc32c_table(uint32_t crc, const void *p, size_t n)
{
	pthread_once(&once, prepare);
	return ~by_table(~crc, p, n);
}

/* A matrix of bits: m[i] is what bit i becomes. */
static uint32_t times(const uint32_t m[32], uint32_t v)
{
	uint32_t sum = 0;

	for (int i = 0; v; i++, v >>= 1)
		if (v & 1)
			sum ^= m[i];
	return sum;
}

/* n zero bytes go by in as many steps as n has bits: the matrix for one byte, squared again and
 * again. */
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t n)
{
	uint32_t m[32], square[32];

	m[0] = 0x82f63b78u; /* one zero bit */
	for (int i = 1; i < 32; i++)
		m[i] = 1u << (i - 1);
	for (int power = 0; power < 64 + 3 && (power < 3 || n); power++) {
		if (power >= 3) {
			if (n & 1)
				first = times(m, first);
			n >>= 1;
		}
		for (int i = 0; i < 32; i++)
			square[i] = times(m, m[i]);
		memcpy(m, square, sizeof m);
	}
	return first ^ second;
}
