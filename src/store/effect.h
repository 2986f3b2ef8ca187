/* effect.h - the effects of effect.def as structs, bytes and calls.
 *
 * For EFFECT(flags, ...) there are `struct effect_flags`, effect_flags_put() and
 * effect_flags_get(); apply.h has apply_flags(). For ROW(flags_row, ...) the same, and the rows of
 * a slice are walked with `while (effect_flags_row_next(&seq, &row))`.
 *
 * Encoded: number u16, length u32, fields in order; numbers little-endian, slices with a u32 length
 * before them. Decoding is total; slices point into the input.
 */
#ifndef STORE_EFFECT_H
#define STORE_EFFECT_H

#include "base/err.h"
#include "base/str.h"

enum effect_number {
#define EFFECT(name, number, fields) EFFECT_##name = (number),
#define ROW(name, fields)
#include "store/effect.def"
#undef EFFECT
#undef ROW
};

#define F_U8(name) uint8_t name;
#define F_U32(name) uint32_t name;
#define F_U64(name) uint64_t name;
#define F_I64(name) int64_t name;
#define F_STR(name) struct str name;
#define EFFECT(name, number, fields)                                                               \
	struct effect_##name {                                                                     \
		fields                                                                             \
	};                                                                                         \
	void effect_##name##_put(struct buf *out, const struct effect_##name *e);                  \
	bool effect_##name##_get(struct str in, struct effect_##name *e);
#define ROW(name, fields)                                                                          \
	struct effect_##name {                                                                     \
		fields                                                                             \
	};                                                                                         \
	void effect_##name##_put(struct buf *out, const struct effect_##name *e);                  \
	bool effect_##name##_next(struct str *seq, struct effect_##name *e);
#include "store/effect.def"
#undef F_U8
#undef F_U32
#undef F_U64
#undef F_I64
#undef F_STR
#undef EFFECT
#undef ROW

/* Take the next effect from the front. False at the end, or when what is left is none. */
bool effect_next(struct str *seq, uint16_t *number, struct str *fields);
const char *effect_name(uint16_t number); /* NULL: unknown */

#endif
