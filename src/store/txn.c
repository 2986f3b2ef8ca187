#include "store/txn.h"

#include "base/clock.h"
#include "store/store_private.h"

int64_t txn_deleted_at(const struct txn *t)
{
	const int64_t later = clock_wall_later();

	return t->now > later ? t->now : later;
}

int64_t txn_purge_before(const struct txn *t)
{
	const int64_t earlier = clock_wall_earlier();

	return (t->now < earlier ? t->now : earlier) - t->view.store->options.retention;
}

void txn_use_body(struct txn *t)
{
	t->body_used = true;
}

/* When SQLite has rolled back by itself, nothing more may go in: it would stay, without the rest.
 */
static int still_open(const struct txn *t, struct err *err)
{
	return db_in_transaction(t->apply.db)
		? 0
		: err_set(err, ERR_TEMP, "the index has been rolled back");
}

#define EFFECT(name, number, fields)                                                               \
	int emit_##name(struct txn *t, const struct effect_##name *e, struct err *err)             \
	{                                                                                          \
		if (t->refused.kind != ERR_NONE) {                                                 \
			*err = t->refused;                                                         \
			return -1;                                                                 \
		}                                                                                  \
		effect_##name##_put(&t->effects, e);                                               \
		if (!buf_ok(&t->effects))                                                          \
			return err_set(err, ERR_TEMP, "out of memory for a record");               \
		return still_open(t, err) < 0 ? -1 : apply_##name(&t->apply, e, err);              \
	}
#define ROW(name, fields)
#include "store/effect.def"
