#include "base/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void known_values_come_out(void **state)
{
	char zero[32], ones[32], up[32];

	(void)state;
	memset(zero, 0, 32);
	memset(ones, 0xff, 32);
	for (int i = 0; i < 32; i++)
		up[i] = (char)i;
	/* RFC 3720 B.4 */
	assert_int_equal(crc32c(0, zero, 32), 0x8a9136aa);
	assert_int_equal(crc32c(0, ones, 32), 0x62a8ab43);
	assert_int_equal(crc32c(0, up, 32), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
	assert_int_equal(crc32c(0, "", 0), 0);
}

static void instruction_and_table_agree_at_every_length_and_cut(void **state)
{
	static unsigned char p[10000];

	(void)state;
	for (size_t i = 0; i < sizeof p; i++)
		p[i] = (unsigned char)(i * 7 + (i >> 3));
	for (size_t n = 0; n < sizeof p; n += n < 300 ? 1 : 97) {
		uint32_t whole = crc32c(0, p, n);

		assert_int_equal(whole, crc32c_table(0, p, n));
		assert_int_equal(whole, crc32c(crc32c(0, p, n / 3), p + n / 3, n - n / 3));
	}
}

static void two_pieces_are_joined(void **state)
{
	static unsigned char p[3000];

	(void)state;
	for (size_t i = 0; i < sizeof p; i++)
		p[i] = (unsigned char)(i * 7 + (i >> 8));
	for (size_t cut = 0; cut <= sizeof p; cut += 37)
		assert_int_equal(crc32c_join(crc32c(0, p, cut), crc32c(0, p + cut, sizeof p - cut),
					 sizeof p - cut),
			crc32c(0, p, sizeof p));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_values_come_out),
		cmocka_unit_test(instruction_and_table_agree_at_every_length_and_cut),
		cmocka_unit_test(two_pieces_are_joined),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
