/* apply.h - effects become the index. Live writing and replay both go through here; nothing else
 * writes the index.
 *
 * A failure is one of the database (full, broken) or an effect that contradicts the index. Live,
 * the request is undone; in replay the store does not open.
 */
#ifndef STORE_APPLY_H
#define STORE_APPLY_H

#include "db/db.h"
#include "store/effect.h"

/* Numbers given out next. They stand in one row, written once a batch. */
struct counters {
	uint64_t domain, account, address, body, rcpt;
	uint8_t calls;        /* 0: answers go to call_even, 1: to call_odd */
	int64_t calls_turned; /* since when */
};

struct space;
struct thread_keys;

/* What somebody may be waiting for. Mailbox 0: the account itself, which was disabled or removed or
 * has another password. */
struct change {
	uint64_t account, mailbox, modseq;
};

struct changes {
	struct change *v;
	size_t n, cap;
	bool queue; /* something was queued or its time has changed */
	bool lost;  /* out of memory: tell everybody */
};

struct apply {
	struct db *db;
	struct counters *next;
	struct thread_keys *keys; /* thread_key.h; NULL: none */
	struct space *space;      /* what this changes is counted there (space.h) */
	uint64_t segment, place;  /* of the body of this record */
	bool shared;              /* no log: bodies and the trace are rows of this database, too */
	uint64_t body;            /* the last one that came with its record */
	struct changes *changes;  /* NULL: nobody is waiting (replay) */
};

#define EFFECT(name, number, fields)                                                               \
	int apply_##name(struct apply *a, const struct effect_##name *e, struct err *err);
#define ROW(name, fields)
#include "store/effect.def"
#undef EFFECT
#undef ROW

/* All effects of a record. */
int apply_record(struct apply *a, struct str effects, struct err *err);

#endif
