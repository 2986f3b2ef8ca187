#include "store/txn.h"

void txn_use_body(struct txn *t)
{
	t->body_used = true;
}

#define EFFECT(name, number, fields)                                                               \
	int emit_##name(struct txn *t, const struct effect_##name *e, struct err *err)             \
	{                                                                                          \
		effect_##name##_put(&t->effects, e);                                               \
		if (!buf_ok(&t->effects))                                                          \
			return err_set(err, ERR_TEMP, "out of memory for a record");               \
		return apply_##name(&t->apply, e, err);                                            \
	}
#define ROW(name, fields)
#include "store/effect.def"
