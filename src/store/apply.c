#include "store/apply.h"
#include "store/trace.h"

int apply_record(struct apply *a, struct str effects, struct err *err)
{
	struct str fields;
	uint16_t number;
	int r = 0;

	while (r == 0 && effect_next(&effects, &number, &fields)) {
		switch (number) {
#define EFFECT(name, num, decl)                                                                    \
	case num: {                                                                                \
		struct effect_##name e = { 0 };                                                    \
                                                                                                   \
		if (!effect_##name##_get(fields, &e))                                              \
			return err_set(err, ERR_PROTO, "malformed effect " #name);                 \
		r = apply_##name(a, &e, err);                                                      \
		break;                                                                             \
	}
#define ROW(name, decl)
#include "store/effect.def"
#undef EFFECT
#undef ROW
		default:
			return err_set(err, ERR_PROTO,
				"unknown effect %u: a newer version was here", number);
		}
	}
	if (r == 0 && effects.n)
		return err_set(err, ERR_PROTO, "malformed effects");
	return r;
}

int apply_trace(struct apply *a, const struct effect_trace *e, struct err *err)
{
	return a->shared ? trace_put(a->db, e, false, err) : 0;
}

int apply_call(struct apply *a, const struct effect_call *e, struct err *err)
{
	const char *sql = a->next->calls
		? "INSERT INTO call_odd (id, kind, owner, answer) VALUES ($1, $2, $3, $4)"
		: "INSERT INTO call_even (id, kind, owner, answer) VALUES ($1, $2, $3, $4)";

	return db_exec(a->db, sql,
		DB_ARGS(DB_I((int64_t)e->id), DB_I(e->kind), DB_I((int64_t)e->owner),
			DB_B(e->answer)),
		err);
}

int apply_calls_forgotten(struct apply *a, const struct effect_calls_forgotten *e, struct err *err)
{
	return db_exec(a->db,
		a->next->calls ? "DELETE FROM call_even WHERE id IN"
				 " (SELECT id FROM call_even ORDER BY id LIMIT $1)"
			       : "DELETE FROM call_odd WHERE id IN"
				 " (SELECT id FROM call_odd ORDER BY id LIMIT $1)",
		DB_ARGS(DB_I(e->count)), err);
}

int apply_calls_turned(struct apply *a, const struct effect_calls_turned *e, struct err *err)
{
	a->next->calls = e->which;
	a->next->calls_turned = e->time;
	return db_exec(
		a->db, e->which ? "DELETE FROM call_odd" : "DELETE FROM call_even", DB_NOARGS, err);
}
