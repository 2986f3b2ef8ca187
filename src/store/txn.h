/* txn.h - one request on the writer's thread: it reads, decides, and emits effects.
 *
 * emit_flags(t, &effect, err) and its like put the effect into the request's record and apply it to
 * the index, so what the request reads afterwards is up to date. When the request fails, record and
 * index go back to where they were.
 */
#ifndef STORE_TXN_H
#define STORE_TXN_H

#include "store/store.h"

struct leases;

struct txn {
	struct view view; /* the writer's own connection: sees what this batch has done */
	struct apply apply;
	struct buf effects;
	struct str body; /* of the job */
	bool body_used;  /* goes into the record */
	int64_t now;     /* seconds since 1970; the same for the whole request */
	int64_t ahead;   /* by how much this machine's clock is, where `now` is the database's */
	struct leases *leases;
	struct err refused;   /* set: nothing can be written now, and no effect is emitted */
	uint64_t ended_lease; /* over when the request succeeds; 0: none */
	uint64_t frozen;      /* the account whose mail was (sending.h); 0: none */
	bool frozen_tell;     /* and its owner has not been told today */
	char frozen_why[160];
};

/* T130: when something was deleted, and from when on it may be purged: what was stamped by the one
 * and is compared with the other is not purged early because a clock has jumped. */
int64_t txn_deleted_at(const struct txn *t);
int64_t txn_purge_before(const struct txn *t);

/* The job's body becomes part of this record. Its place is filled in when the effect is applied. */
void txn_use_body(struct txn *t);

#define EFFECT(name, number, fields)                                                               \
	int emit_##name(struct txn *t, const struct effect_##name *e, struct err *err);
#define ROW(name, fields)
#include "store/effect.def"
#undef EFFECT
#undef ROW

#endif
