/* The live bodies of a segment, one record after the other, to the head of the log. */
#include "base/clock.h"
#include "base/log.h"
#include "store/body.h"
#include "store/compact_private.h"
#include "store/squeeze.h"

#include <stdlib.h>

enum {
	GLANCE = 4096, /* read at once to see a record's head and effects */
	STEP_BYTES = 512 << 10,
	STEP_JOBS = 32,
	RATE = 8 << 20, /* bytes a second, at most */
	SHARE = 3       /* of the time that a step took it waits that often */
};

/* Steps that are under way, and the jobs in them that are not finished. */
struct step {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	unsigned jobs, waiting;
	size_t bytes;
	struct carry *first;
	int failed;
	struct err why;
};

/* A body on its way. */
struct carry {
	struct store_job job; /* first */
	struct carry *next;
	struct step *step;
	struct body_place from;
	struct buf bytes;        /* as they are to be stored */
	uint64_t stored;         /* squeezed, to so many; 0: as they are */
	struct blob_writer blob; /* begun: it moves into this one */
	struct moved_refs refs;
	bool moved;
};

static void carry_free(struct carry *c)
{
	store_job_free(&c->job);
	moved_refs_free(&c->refs);
	buf_free(&c->bytes);
	blob_end(&c->blob);
	free(c);
}

/* Where it is now counts: it may have gone meanwhile. */
static int move_body(struct txn *t, struct store_job *job, struct err *err)
{
	struct carry *c = (struct carry *)job;
	const struct body_place *from = &c->from;
	const char *blob = c->blob.committed ? c->blob.name : from->blob;
	const struct effect_body_moved e = { .id = from->body,
		.from = from->segment,
		.size = from->size,
		.checksum = from->checksum,
		.blob = str_c(blob),
		.facts = buf_str(&c->refs.facts),
		.emails = buf_str(&c->refs.emails),
		.entries = buf_str(&c->refs.entries),
		.queued = buf_str(&c->refs.queued) };
	struct body_place now;

	c->moved = false;
	if (body_find(&t->view, from->body, &now, err) < 0)
		return -1;
	if (now.segment != from->segment || now.place != from->place)
		return 0;
	if (!from->blob[0])
		txn_use_body(t);
	if (emit_body_moved(t, &e, err) < 0)
		return -1;
	if ((c->stored || blob != from->blob) &&
		emit_body_stored(t,
			&(struct effect_body_stored){
				from->body, c->stored, blob == from->blob ? STR("") : str_c(blob) },
			err) < 0)
		return -1;
	c->moved = true;
	return 0;
}

static void carried(struct store_job *job)
{
	struct step *s = ((struct carry *)job)->step;

	pthread_mutex_lock(&s->lock);
	if (job->result < 0 && job->err.kind != ERR_NOTFOUND) {
		s->failed = -1;
		s->why = job->err;
	}
	if (--s->waiting == 0)
		pthread_cond_signal(&s->cond);
	pthread_mutex_unlock(&s->lock);
}

/* ---- a step ---- */

static int submit(struct round *r, struct step *s, struct err *err)
{
	for (struct carry *c = s->first; c; c = c->next) {
		c->job.body = buf_str(&c->bytes);
		pthread_mutex_lock(&s->lock);
		s->waiting++;
		pthread_mutex_unlock(&s->lock);
		if (!store_submit_own(r->s, &c->job)) {
			pthread_mutex_lock(&s->lock);
			s->waiting--;
			pthread_mutex_unlock(&s->lock);
			return err_set(err, ERR_CANCELED, "the store is closing");
		}
	}
	return 0;
}

/* False: the writer has failed, and has its jobs for ever. */
static bool wait_for(struct round *r, struct step *s)
{
	bool done;

	pthread_mutex_lock(&s->lock);
	while (s->waiting && !atomic_load(&r->s->failed)) {
		const int64_t at = clock_after(100 * CLOCK_MSEC);
		const struct timespec until = { .tv_sec = (time_t)(at / CLOCK_SEC),
			.tv_nsec = (long)(at % CLOCK_SEC) };

		pthread_cond_timedwait(&s->cond, &s->lock, &until);
	}
	done = s->waiting == 0;
	pthread_mutex_unlock(&s->lock);
	return done;
}

static void drop_step(struct round *r, struct step *s)
{
	while (s->first) {
		struct carry *c = s->first;

		s->first = c->next;
		r->done.moved += c->moved;
		carry_free(c);
	}
	s->jobs = 0;
	s->bytes = 0;
}

/* So slowly that mail hardly notices: the more the writer has to do, the longer it takes and the
 * longer is the pause. */
static int pause_after(struct round *r, size_t bytes, int64_t took, struct err *err)
{
	int64_t pause = (int64_t)bytes * CLOCK_SEC / RATE;

	if (pause < SHARE * took)
		pause = SHARE * took;
	if (r->hurry || compact_pause(r, pause))
		return 0;
	return err_set(err, ERR_CANCELED, "the store is closing");
}

static int look_for_entries(struct round *r, struct step *s, struct err *err)
{
	struct moved_refs *refs[STEP_JOBS];
	size_t n = 0;

	for (struct carry *c = s->first; c && n < STEP_JOBS; c = c->next)
		refs[n++] = &c->refs;
	return moved_refs_look(&r->view, refs, n, err);
}

static int run_step(struct round *r, struct step *s, struct err *err)
{
	const int64_t began = clock_mono();
	const size_t bytes = s->bytes;
	int result;

	if (!s->first)
		return 0;
	if (look_for_entries(r, s, err) < 0)
		return -1;
	result = submit(r, s, err);
	if (!wait_for(r, s))
		return err_set(err, ERR_CANCELED, "the store has failed");
	if (result == 0 && s->failed) {
		*err = s->why;
		result = -1;
	}
	drop_step(r, s);
	return result < 0 ? -1 : pause_after(r, bytes, clock_mono() - began, err);
}

/* ---- records ---- */

/* What is squeezed stays so, whatever the setting says now. */
static bool is_wanted_squeezed(const struct round *r, const struct body_place *from)
{
	if (r->form == AS_SET)
		return from->stored || r->s->options.compress;
	return r->form == ALL_SQUEEZED;
}

static int fill_bytes(struct round *r, struct carry *c, struct err *err)
{
	struct str bytes = STR("");

	if (c->from.size && body_read(&r->view, c->from.body, 0, &bytes, err) < 0)
		return -1;
	if (is_wanted_squeezed(r, &c->from) && squeeze(bytes, &c->bytes))
		c->stored = c->bytes.n;
	else
		buf_add(&c->bytes, bytes);
	return buf_ok(&c->bytes) ? 0 : err_set(err, ERR_TEMP, "out of memory to copy a message");
}

static int copy_blob(struct round *r, struct carry *c, struct err *err)
{
	struct str bytes;

	if (blob_begin(r->s, &c->blob, err) < 0)
		return -1;
	for (uint64_t at = 0; at < c->from.size; at += bytes.n)
		if (body_read(&r->view, c->from.body, at, &bytes, err) < 0 ||
			blob_add(&c->blob, bytes, err) < 0)
			return -1;
	return 0;
}

/* In another form it needs another file; one that would not get smaller stays. */
static int fill_blob(struct round *r, struct carry *c, struct err *err)
{
	const bool squeezed = is_wanted_squeezed(r, &c->from);

	c->stored = c->from.stored;
	if (squeezed == (c->from.stored != 0))
		return 0;
	if (!store_has_room_for(r->s, 2 * c->from.size)) /* the file is there twice at first */
		return r->form == AS_SET
			? 0
			: err_set(err, ERR_FULL, "disk nearly full: no message is rewritten");
	if (copy_blob(r, c, err) < 0)
		return -1;
	if (squeezed)
		blob_squeeze(&c->blob);
	if (squeezed && !c->blob.stored)
		return 0;
	c->stored = c->blob.stored;
	return blob_commit(&c->blob, err);
}

static int fill(struct round *r, struct carry *c, struct str effects, struct err *err)
{
	if ((c->from.blob[0] ? fill_blob(r, c, err) : fill_bytes(r, c, err)) < 0)
		return -1;
	return moved_refs_gather(&r->view, c->from.body, effects, &c->refs, err);
}

static int add_carry(struct round *r, struct step *s, const struct body_place *from,
	struct str effects, struct err *err)
{
	struct carry *c = calloc(1, sizeof *c);

	if (!c)
		return err_set(err, ERR_TEMP, "out of memory to copy a message");
	*c = (struct carry){ .job = { .write = move_body, .done = carried },
		.step = s,
		.from = *from,
		.bytes = BUF(SLOG_BATCH_MAX),
		.blob = { .fd = -1 } };
	moved_refs_init(&c->refs);
	if (fill(r, c, effects, err) < 0) {
		carry_free(c);
		return -1;
	}
	if (r->form == ALL_SQUEEZED && !c->stored) { /* it does not pay */
		carry_free(c);
		return 0;
	}
	c->next = s->first;
	s->first = c;
	s->jobs++;
	s->bytes += c->bytes.n + c->blob.size + c->refs.emails.n + c->refs.entries.n;
	return 0;
}

static bool is_asked_for(const struct round *r, const struct body_place *at)
{
	return r->form == AS_SET || (r->form == ALL_PLAIN) == (at->stored != 0);
}

/* Does it still live here? What is damaged is marked by the reading, and stays; so does what cannot
 * be read now, alone. */
static int add_if_alive(struct round *r, struct step *s, uint64_t body,
	const struct slog_record *record, struct err *err)
{
	struct body_place at;
	struct err why = ERR_INIT;

	if (body_find(&r->view, body, &at, &why) == 0 && at.segment == record->segment &&
		at.place == record->offset + SLOG_RECORD_HEAD && !at.damaged &&
		is_asked_for(r, &at))
		(void)add_carry(r, s, &at, record->effects, &why);
	if (why.kind == ERR_CANCELED || why.kind == ERR_FULL) {
		*err = why;
		return -1;
	}
	if (why.kind != ERR_NONE && why.kind != ERR_NOTFOUND)
		log_event(LOG_WARN, "store.compact", L_U64("body", body), L_ERR(&why));
	return 0;
}

static int take_record(
	struct round *r, struct step *s, const struct slog_record *record, struct err *err)
{
	struct str effects = record->effects, fields;
	struct effect_body_moved moved;
	struct effect_body body;
	uint16_t number;

	while (effect_next(&effects, &number, &fields)) {
		uint64_t id = 0;

		if (number == EFFECT_body && effect_body_get(fields, &body))
			id = body.id;
		else if (number == EFFECT_body_moved && effect_body_moved_get(fields, &moved))
			id = moved.id;
		if (id && add_if_alive(r, s, id, record, err) < 0)
			return -1;
	}
	return 0;
}

/* Every record that can be found, wherever it is: what of the effects is wrong the index knows
 * better. */
static int walk(struct round *r, struct step *s, struct slog_cursor *c, struct err *err)
{
	struct slog_record record;
	uint64_t at = SLOG_SEGMENT_HEAD;
	int got = 0;

	while (got >= 0 && at + SLOG_RECORD_HEAD <= c->size) {
		got = slog_cursor_record(c, at, &record, err);
		if (got == 0)
			at += 8;
		if (got != 1)
			continue;
		at = record.after.offset;
		if (take_record(r, s, &record, err) < 0)
			return -1;
		if ((s->jobs >= STEP_JOBS || s->bytes >= STEP_BYTES) && run_step(r, s, err) < 0)
			return -1;
	}
	return got < 0 ? -1 : run_step(r, s, err);
}

int compact_segment(struct round *r, uint64_t segment, struct err *err)
{
	const struct slog_position nowhere = { 0 };
	struct step *s = calloc(1, sizeof *s);
	struct slog_cursor c;
	pthread_condattr_t a;
	int result;

	if (!s)
		return err_set(err, ERR_TEMP, "out of memory to copy a segment");
	pthread_condattr_init(&a);
	pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->cond, &a);
	pthread_condattr_destroy(&a);
	slog_cursor_init(&c, r->s->dir, &nowhere);
	c.effects_only = true;
	c.ahead = GLANCE;
	result = slog_cursor_open(&c, segment, err);
	if (result == 1)
		result = walk(r, s, &c, err);
	slog_cursor_free(&c);
	if (atomic_load(&r->s->failed))
		return result; /* the writer still has the jobs */
	drop_step(r, s);
	pthread_cond_destroy(&s->cond);
	pthread_mutex_destroy(&s->lock);
	free(s);
	return result < 0 ? -1 : 0;
}
