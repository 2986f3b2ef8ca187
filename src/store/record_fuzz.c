/* record_fuzz.c - any bytes as a record of the log, and as effects: an answer, never a crash; and
 * what is taken for an effect encodes to the bytes it came from. */
#include "store/effect.h"
#include "store/entry.h"
#include "store/log.h"

#include <stdlib.h>

static void try_effect(uint16_t number, struct str fields)
{
	struct buf again = BUF(1 << 22);

	switch (number) {
#define EFFECT(name, num, decl)                                                                    \
	case num: {                                                                                \
		struct effect_##name e;                                                            \
                                                                                                   \
		if (!effect_##name##_get(fields, &e))                                              \
			break;                                                                     \
		effect_##name##_put(&again, &e);                                                   \
		if (!buf_ok(&again) || !str_eq(str_from(buf_str(&again), 6), fields))              \
			abort();                                                                   \
		break;                                                                             \
	}
#define ROW(name, decl)
#include "store/effect.def"
	}
	buf_free(&again);
}

static void try_rows(struct str s)
{
	struct effect_entry_row entry;
	struct effect_flags_row flags;
	struct str seq = s;

	while (effect_entry_row_next(&seq, &entry))
		;
	seq = s;
	while (effect_flags_row_next(&seq, &flags))
		;
	(void)ranges_valid(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str bytes = str_make(data, n), fields;
	struct slog_record r;
	uint16_t number;

	(void)slog_record_parse(bytes, 0, &r);
	try_rows(bytes);
	while (effect_next(&bytes, &number, &fields)) {
		(void)effect_name(number);
		try_effect(number, fields);
	}
	return 0;
}
