/* Made from effect.def, see effect.h. */
#include "store/effect.h"

#include <endian.h>
#include <string.h>

static void put_u8(struct buf *b, uint8_t v)
{
	buf_addc(b, (char)v);
}

static void put_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, str_make(&v, sizeof v));
}

static void put_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, str_make(&v, sizeof v));
}

static void put_str(struct buf *b, struct str s)
{
	put_u32(b, (uint32_t)s.n);
	buf_add(b, s);
}

static bool get_bytes(struct str *in, void *to, size_t n)
{
	if (in->n < n)
		return false;
	memcpy(to, in->p, n);
	*in = str_from(*in, n);
	return true;
}

static bool get_u8(struct str *in, uint8_t *v)
{
	return get_bytes(in, v, sizeof *v);
}

static bool get_u32(struct str *in, uint32_t *v)
{
	bool ok = get_bytes(in, v, sizeof *v);

	*v = le32toh(*v);
	return ok;
}

static bool get_u64(struct str *in, uint64_t *v)
{
	bool ok = get_bytes(in, v, sizeof *v);

	*v = le64toh(*v);
	return ok;
}

static bool get_i64(struct str *in, int64_t *v)
{
	uint64_t u = 0;
	bool ok = get_u64(in, &u);

	*v = (int64_t)u;
	return ok;
}

static bool get_str(struct str *in, struct str *s)
{
	uint32_t n = 0;

	if (!get_u32(in, &n) || n > in->n)
		return false;
	*s = str_head(*in, n);
	*in = str_from(*in, n);
	return true;
}

/* The length is filled in when the fields are there. */
static size_t begin(struct buf *out, uint16_t number)
{
	uint16_t n = htole16(number);

	buf_add(out, str_make(&n, sizeof n));
	put_u32(out, 0);
	return out->n;
}

static void end(struct buf *out, size_t start)
{
	uint32_t n;

	if (!buf_ok(out))
		return;
	n = htole32((uint32_t)(out->n - start));
	memcpy(out->p + start - sizeof n, &n, sizeof n);
}

#define F_U8(name) put_u8(out, e->name);
#define F_U32(name) put_u32(out, e->name);
#define F_U64(name) put_u64(out, e->name);
#define F_I64(name) put_u64(out, (uint64_t)e->name);
#define F_STR(name) put_str(out, e->name);
#define EFFECT(name, number, fields)                                                               \
	void effect_##name##_put(struct buf *out, const struct effect_##name *e)                   \
	{                                                                                          \
		size_t start = begin(out, number);                                                 \
                                                                                                   \
		fields end(out, start);                                                            \
	}
#define ROW(name, fields)                                                                          \
	void effect_##name##_put(struct buf *out, const struct effect_##name *e)                   \
	{                                                                                          \
		fields                                                                             \
	}
#include "store/effect.def"
#undef F_U8
#undef F_U32
#undef F_U64
#undef F_I64
#undef F_STR
#undef EFFECT
#undef ROW

#define F_U8(name) ok = ok && get_u8(&in, &e->name);
#define F_U32(name) ok = ok && get_u32(&in, &e->name);
#define F_U64(name) ok = ok && get_u64(&in, &e->name);
#define F_I64(name) ok = ok && get_i64(&in, &e->name);
#define F_STR(name) ok = ok && get_str(&in, &e->name);
#define EFFECT(name, number, fields)                                                               \
	bool effect_##name##_get(struct str in, struct effect_##name *e)                           \
	{                                                                                          \
		bool ok = true;                                                                    \
                                                                                                   \
		fields return ok && in.n == 0;                                                     \
	}
#define ROW(name, fields)                                                                          \
	bool effect_##name##_next(struct str *seq, struct effect_##name *e)                        \
	{                                                                                          \
		struct str in = *seq;                                                              \
		bool ok = in.n > 0;                                                                \
                                                                                                   \
		fields *seq = in;                                                                  \
		return ok;                                                                         \
	}
#include "store/effect.def"
#undef EFFECT
#undef ROW

bool effect_next(struct str *seq, uint16_t *number, struct str *fields)
{
	struct str in = *seq;
	uint16_t n = 0;

	if (!get_bytes(&in, &n, sizeof n) || !get_str(&in, fields))
		return false;
	*number = le16toh(n);
	*seq = in;
	return true;
}

const char *effect_name(uint16_t n)
{
	switch (n) {
#define EFFECT(name, number, fields)                                                               \
	case number:                                                                               \
		return #name;
#define ROW(name, fields)
#include "store/effect.def"
	}
	return NULL;
}
