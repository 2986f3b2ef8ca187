#include "mail/queue_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_id_reads_back(void **state)
{
	static const uint64_t ids[] = { 0, 1, 31, 32, 0x123456789abcdef0, UINT64_MAX };
	char text[QUEUE_ID_SIZE];
	uint64_t back;

	(void)state;
	for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
		queue_id_print(ids[i], text);
		assert_true(queue_id_parse(str_c(text), &back));
		assert_true(back == ids[i]);
	}
}

static void what_is_no_id_is_refused(void **state)
{
	static const char *const bad[] = { "", "0", "000000000000", "00000000000000",
		"g000000000000", "000000000000i", "000000000000u", "zzzzzzzzzzzzz",
		"00000000000 0" };
	uint64_t id;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		assert_false(queue_id_parse(str_c(bad[i]), &id));
	assert_true(queue_id_parse(STR("FZZZZZZZZZZZZ"), &id));
	assert_true(id == UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_id_reads_back),
		cmocka_unit_test(what_is_no_id_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
