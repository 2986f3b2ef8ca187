/* The index follows the log again, over whatever damage there is.
 *
 * As long as nothing is missing the records are applied as at a start. From the first gap on, or
 * when the log does not go back to its beginning, each effect is tried for itself: what refers to
 * an account or a folder that nothing has made is given one, by the names that it carries, and what
 * does not fit is told and passed over. The counters are put right afterwards (fsck_index.c). */
#include "base/clock.h"
#include "store/apply_private.h"
#include "store/fsck_private.h"
#include "store/io.h"
#include "store/names.h"
#include "store/pack.h"
#include "store/store_private.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COMMIT_EVERY = 1000, AGAIN_PIECE = 1 << 20, RECOVERED = 64 };
/* Numbers of domains and addresses that the log has lost: no record has one so high. */
#define MADE_UP (UINT64_C(1) << 32)

struct salvage {
	struct fsck *f;
	struct store *s;
	struct apply apply;
	bool lenient;
	uint64_t losses, count;
	uint64_t after;          /* records up to this sequence are in the index */
	uint64_t told;           /* what lacks before this record has been told */
	uint64_t kept;           /* the last segment that has a second name */
	char absent[LOG_ABSENT]; /* files that lack before the next record */
	struct slog_position last;
	struct buf one; /* an effect put together anew */
};

/* ---- what nothing has made ---- */

/* *id: of the domain. */
static int ensure_domain(struct salvage *v, struct str name, int64_t *id, struct err *err)
{
	struct db *db = v->s->index;
	int got = db_int(db, id, "SELECT id FROM domain WHERE name = $1", DB_ARGS(DB_T(name)), err);

	if (got)
		return got < 0 ? -1 : 0;
	return db_int(db, id,
		       "INSERT INTO domain (id, name, kind) SELECT CASE WHEN max(id) >= $1"
		       " THEN max(id) + 1 ELSE $1 END, $2, 1 FROM (SELECT id FROM domain"
		       " UNION ALL SELECT 0) x RETURNING id",
		       DB_ARGS(ID(MADE_UP), DB_T(name)), err) < 0
		? -1
		: 0;
}

static int ensure_address(struct salvage *v, uint64_t account, struct str login, struct err *err)
{
	struct str local, name;
	int64_t domain = 0;

	if (!str_rcut(login, '@', &local, &name))
		return 0;
	if (ensure_domain(v, name, &domain, err) < 0)
		return -1;
	return db_exec(v->s->index,
		"INSERT INTO address (id, domain, local, account) SELECT CASE WHEN max(id) >= $1"
		" THEN max(id) + 1 ELSE $1 END, $2, $3, $4 FROM (SELECT id FROM address"
		" UNION ALL SELECT 0) x WHERE 1 = 1 ON CONFLICT DO NOTHING",
		DB_ARGS(ID(MADE_UP), DB_I(domain), DB_T(local), ID(account)), err);
}

/* A name that is free, with a number behind `base` when it must be. `sql` asks for $2 in $1. */
static int free_name(struct salvage *v, const char *sql, uint64_t account, const char *base,
	const char *after, char name[RECOVERED], struct err *err)
{
	int64_t there;
	int got;

	snprintf(name, RECOVERED, "%s%s", base, after);
	for (unsigned n = 2; (got = db_int(v->s->index, &there, sql,
				      DB_ARGS(ID(account), DB_T(str_c(name))), err)) == 1;
		n++)
		snprintf(name, RECOVERED, "%s-%u%s", base, n, after);
	return got;
}

static int ensure_account(struct salvage *v, uint64_t account, struct str login, struct err *err)
{
	int64_t there;
	char base[40], other[RECOVERED];
	int got = db_int(v->s->index, &there, "SELECT id FROM account WHERE id = $1",
		DB_ARGS(ID(account)), err);

	if (got)
		return got < 0 ? -1 : 0;
	got = db_int(v->s->index, &there, "SELECT id FROM account WHERE login = $1",
		DB_ARGS(DB_T(login)), err);
	if (got < 0)
		return -1;
	if (got == 1 || login.n == 0) {
		snprintf(base, sizeof base, "recovered-%" PRIu64, account);
		if (free_name(v, "SELECT id FROM account WHERE login = $2 AND $1 = $1", account,
			    base, "@localhost", other, err) < 0)
			return -1;
		login = str_c(other);
	}
	apply_at_least(&v->s->next.account, account);
	if (db_exec(v->s->index,
		    "INSERT INTO account (id, login, full_name, enabled, created, removed, modseq,"
		    " next_email, next_mailbox, next_uidvalidity)"
		    " VALUES ($1, $2, '', 1, 0, 0, 0, 1, 1, 1)",
		    DB_ARGS(ID(account), DB_T(login)), err) < 0)
		return -1;
	fsck_say(v->f, "rebuild.account", FSCK_WRONG, true,
		"account " STR_F
		" comes back by the name that its mail carries; it needs a password",
		STR_A(login));
	return ensure_address(v, account, login, err);
}

static int ensure_mailbox(
	struct salvage *v, uint64_t account, uint64_t mailbox, struct str name, struct err *err)
{
	int64_t there;
	char base[40], other[RECOVERED];
	int got =
		db_int(v->s->index, &there, "SELECT id FROM mailbox WHERE account = $1 AND id = $2",
			DB_ARGS(ID(account), ID(mailbox)), err);

	if (got == 0)
		got = ensure_account(v, account, STR(""), err) < 0 ? -1 : 0;
	if (got)
		return got < 0 ? -1 : 0;
	got = db_int(v->s->index, &there, "SELECT id FROM mailbox WHERE account = $1 AND name = $2",
		DB_ARGS(ID(account), DB_T(name)), err);
	if (got < 0)
		return -1;
	if (got == 1 || name.n == 0) {
		snprintf(base, sizeof base, "Recovered-%" PRIu64, mailbox);
		if (free_name(v, "SELECT id FROM mailbox WHERE account = $1 AND name = $2", account,
			    base, "", other, err) < 0)
			return -1;
		name = str_c(other);
	}
	return db_exec(v->s->index,
		"INSERT INTO mailbox (account, id, name, uses, uidvalidity, uidnext, modseq,"
		" messages, unseen, deleted, bytes, recent_from, keywords, created, changed,"
		" removed) VALUES ($1, $2, $3, 0, 1, 1, 0, 0, 0, 0, 0, 1, '', 0, 0, 0)",
		DB_ARGS(ID(account), ID(mailbox), DB_T(name)), err);
}

/* ---- one effect ---- */

/* Each row for itself: those of entries that are not there are passed over. */
static int apply_flag_rows(struct salvage *v, struct str fields, struct err *err)
{
	struct effect_flags all, one;
	struct effect_flags_row row;
	struct err ignored = ERR_INIT;

	if (!effect_flags_get(fields, &all))
		return err_set(err, ERR_PROTO, "malformed flags");
	one = all;
	while (effect_flags_row_next(&all.rows, &row)) {
		buf_clear(&v->one);
		effect_flags_row_put(&v->one, &row);
		one.rows = buf_str(&v->one);
		if (db_save(v->s->index, err) < 0)
			return -1;
		if (apply_flags(&v->apply, &one, &ignored) == 0 ? db_keep(v->s->index, err) < 0
								: db_undo(v->s->index, err) < 0)
			return -1;
	}
	return 0;
}

/* A body that moved when its segment was emptied: what it says about who refers to it is all there
 * is when that segment is gone. */
static int bring_email(struct salvage *v, const struct effect_body_moved *m,
	const struct effect_moved_email *e, struct err *err)
{
	if (ensure_account(v, e->account, e->login, err) < 0)
		return -1;
	return db_exec(v->s->index,
		"INSERT INTO email (account, id, thread, body, size, received, links, created, "
		"prefix)"
		" VALUES ($1, $2, $3, $4, $5, $6, 0, 0, $7) ON CONFLICT DO NOTHING",
		DB_ARGS(ID(e->account), ID(e->id), ID(e->thread), ID(m->id),
			ID(m->size + e->prefix.n), DB_I(e->received), DB_B(e->prefix)),
		err);
}

static int bring_entry(struct salvage *v, const struct effect_moved_entry *e, struct err *err)
{
	if (e->expunged)
		return 0;
	if (ensure_mailbox(v, e->account, e->mailbox, e->name, err) < 0)
		return -1;
	return db_exec(v->s->index,
		"INSERT INTO entry (account, mailbox, uid, email, thread, body, size, prefix_size,"
		" received, saved, created, modseq, flags, keywords)"
		" SELECT $1, $2, $3, id, thread, body, size, length(prefix), $5, $6, 0, 0, $7, $8"
		" FROM email WHERE account = $1 AND id = $4 ON CONFLICT DO NOTHING",
		DB_ARGS(ID(e->account), ID(e->mailbox), DB_I(e->uid), ID(e->email),
			DB_I(e->received), DB_I(e->saved), DB_I(e->flags), DB_T(e->keywords)),
		err);
}

/* What was on its way out waits until somebody looks at it: nobody knows what became of it. */
static int bring_queued(struct salvage *v, const struct effect_body_moved *m,
	const struct effect_moved_queued *q, struct err *err)
{
	struct str rest = q->rcpts;

	if (db_exec(v->s->index,
		    "INSERT INTO queue_message (id, account, sender, arrived, size, flags, envid, "
		    "ret,"
		    " body, waiting, prefix) VALUES ($1, $2, $3, $4, $5, $6, '', 0, $7, 0, $8)"
		    " ON CONFLICT DO NOTHING",
		    DB_ARGS(ID(q->id), ID(q->account), DB_T(q->sender), DB_I(q->arrived),
			    ID(m->size + q->prefix.n), DB_I(q->flags), ID(m->id), DB_B(q->prefix)),
		    err) < 0)
		return -1;
	while (rest.n && db_changes(v->s->index) > 0) {
		struct str address = str_word(&rest, ' '), local, domain;
		uint64_t id = v->s->next.rcpt++;

		if (!str_rcut(address, '@', &local, &domain))
			domain = STR("");
		if (db_exec(v->s->index,
			    "INSERT INTO queue_rcpt (id, message, domain, address, orcpt, notify,"
			    " state, attempts, next, code, status, reply, remote, delay_told)"
			    " VALUES ($1, $2, $3, $4, '', 0, $5, 0, $6, 0, '', $7, '', 0)",
			    DB_ARGS(ID(id), ID(q->id), DB_T(domain), DB_T(address),
				    DB_I(STORE_HELD), DB_I(INT64_MAX),
				    DB_T(STR("brought back from the log: held"))),
			    err) < 0)
			return -1;
	}
	return 0;
}

static int bring_moved(struct salvage *v, struct str fields, struct err *err)
{
	struct effect_moved_email email;
	struct effect_moved_entry entry;
	struct effect_moved_queued queued;
	struct effect_body_moved m;
	struct buf packed = BUF(2 * PACK_MAX);
	int r;

	if (!effect_body_moved_get(fields, &m))
		return err_set(err, ERR_PROTO, "malformed move of a body");
	apply_at_least(&v->s->next.body, m.id);
	r = db_exec(v->s->index,
		"INSERT INTO body (id, segment, place, blob, size, checksum, links, facts)"
		" VALUES ($1, $2, $3, $4, $5, $6, 0, $7)"
		" ON CONFLICT (id) DO UPDATE SET segment = $2, place = $3, stored = 0",
		DB_ARGS(ID(m.id), ID(v->apply.segment), ID(v->apply.place),
			m.blob.n ? DB_T(m.blob) : DB_NIL, ID(m.size), DB_I(m.checksum),
			DB_B(pack(m.facts, &packed))),
		err);
	buf_free(&packed);
	if (r < 0)
		return -1;
	while (effect_moved_email_next(&m.emails, &email))
		if (bring_email(v, &m, &email, err) < 0)
			return -1;
	while (effect_moved_entry_next(&m.entries, &entry))
		if (bring_entry(v, &entry, err) < 0)
			return -1;
	while (effect_moved_queued_next(&m.queued, &queued))
		if (bring_queued(v, &m, &queued, err) < 0)
			return -1;
	return 0;
}

static int make_room(struct salvage *v, uint16_t number, struct str fields, struct err *err)
{
	struct effect_email email;
	struct effect_entries entries;

	if (number == EFFECT_email && effect_email_get(fields, &email))
		return ensure_account(v, email.account, email.login, err);
	if (number == EFFECT_entries && effect_entries_get(fields, &entries))
		return ensure_mailbox(v, entries.account, entries.mailbox, entries.name, err);
	return 0;
}

static int try_effect(struct salvage *v, const struct slog_record *r, uint16_t number,
	struct str fields, struct str whole, struct err *err)
{
	struct err why = ERR_INIT;

	if (number == EFFECT_flags)
		return apply_flag_rows(v, fields, err);
	if (db_save(v->s->index, err) < 0)
		return -1;
	if (number == EFFECT_body_moved ? bring_moved(v, fields, &why) == 0
					: make_room(v, number, fields, &why) == 0 &&
				apply_record(&v->apply, whole, &why) == 0)
		return db_keep(v->s->index, err);
	if (db_undo(v->s->index, err) < 0)
		return -1;
	v->losses++;
	fsck_say(v->f, "rebuild.effect", FSCK_LOST, true,
		"record %" PRIu64 ": %s does not fit what is there: %s", r->sequence,
		effect_name(number) ? effect_name(number) : "something unknown", why.msg);
	return 0;
}

static int apply_lenient(struct salvage *v, const struct slog_record *r, struct err *err)
{
	struct str rest = r->effects, before = rest, fields;
	uint16_t number;

	while (effect_next(&rest, &number, &fields)) {
		if (try_effect(v, r, number, fields, str_head(before, before.n - rest.n), err) < 0)
			return -1;
		before = rest;
	}
	return 0;
}

/* ---- the walk ---- */

/* Records whose segments are not there. From the log alone that is no surprise: what was compacted
 * has gone. What an index or a snapshot stands before is kept, so there it is a loss. */
static void tell_missing(struct salvage *v, uint64_t next)
{
	if (v->lenient && v->after == 0)
		return;
	v->lenient = true;
	v->losses++;
	fsck_say(v->f, "rebuild.missing", v->after ? FSCK_LOST : FSCK_NOTE, v->after != 0,
		"the log does not hold the records from %" PRIu64 " to %" PRIu64
		"%s%s: mail comes back by the names that it carries",
		v->s->at.sequence + 1, next - 1, v->absent[0] ? ", as " : "", v->absent);
}

static int on_record(void *arg, const struct slog_record *r, struct err *err)
{
	struct salvage *v = arg;

	v->last = r->after;
	if (r->sequence > v->after && r->sequence != v->s->at.sequence + 1 &&
		r->sequence != v->told)
		tell_missing(v, r->sequence);
	v->absent[0] = '\0';
	if (r->sequence <= v->after)
		return 0;
	/* As at a start: only a record of a later batch proves that those before are on the disk.
	 * What has passed over a loss is done as a whole: a second try, or a start, would not see
	 * it. */
	if (v->count % COMMIT_EVERY == COMMIT_EVERY - 1 && db_in_transaction(v->s->index) &&
		!v->losses && r->batch != v->s->at.batch && db_commit(v->s->index, err) < 0)
		return -1;
	v->apply.segment = r->segment;
	v->apply.place = r->offset + SLOG_RECORD_HEAD;
	if (!db_in_transaction(v->s->index) && db_begin(v->s->index, err) < 0)
		return -1;
	if ((v->lenient ? apply_lenient(v, r, err) : apply_record(&v->apply, r->effects, err)) < 0)
		return err_wrap(err, "record %" PRIu64, r->sequence);
	v->count++;
	return index_save(v->s, &r->after, err);
}

/* There may be mail in it that no record names any more, which nothing but the file shows: the
 * compactor would remove it when all else in it is dead. */
static void keep_segment(struct salvage *v, uint64_t segment)
{
	struct err err = ERR_INIT;
	char name[SLOG_NAME], kept[SLOG_NAME + 8];

	if (segment == v->kept)
		return;
	v->kept = segment;
	slog_segment_name(name, segment, ".seg");
	snprintf(kept, sizeof kept, "log.lost/%s", name + sizeof "log/" - 1);
	if (io_mkdir(v->f->dir, "log.lost", &err) < 0 || io_link(v->f->dir, name, kept, &err) < 0 ||
		io_flush_dir(v->f->dir, "log.lost", &err) < 0 ||
		io_flush_dir(v->f->dir, ".", &err) < 0)
		fsck_say(
			v->f, "log.lost", FSCK_NOTE, false, "%s cannot be kept: %s", name, err.msg);
	else
		fsck_say(v->f, "log.lost", FSCK_NOTE, false, "%s stays as %s", name, kept);
}

static int on_gap(void *arg, const struct log_gap *g, struct err *err)
{
	struct salvage *v = arg;

	(void)err;
	if (g->absent) {
		log_absent_text(v->absent, g);
		return 0;
	}
	if (g->is_tail || (g->before && g->before <= v->after) ||
		(v->s->at.offset == 0 && g->segment <= v->s->at.segment))
		return 0;
	v->lenient = true;
	v->losses++;
	v->told = g->before;
	fsck_say(v->f, "log.damage", FSCK_LOST, true,
		"log/%010" PRIu64 ".seg %s (bytes %" PRIu64 " to %" PRIu64
		"): what came after record %" PRIu64 "%s is lost",
		g->segment, g->what, g->from, g->to, g->after,
		g->before ? " and before the next that can be read" : "");
	keep_segment(v, g->segment);
	return 0;
}

/* New records go into a segment behind every one that there was and that the index names: what
 * cannot be read may be the only copy of something, backups have the segments that were full, and
 * the next start would stop at the damage. The number before it is nobody's. */
static int go_on_behind(
	struct salvage *v, struct slog_position at, uint64_t highest, struct err *err)
{
	int64_t named = 0;

	if (db_int(v->s->index, &named, "SELECT max(segment) FROM body", DB_NOARGS, err) < 0)
		return -1;
	if ((uint64_t)named > highest)
		highest = (uint64_t)named;
	if (v->s->at.segment > highest)
		highest = v->s->at.segment;
	at.segment = highest + 1;
	at.offset = at.last = 0;
	fsck_say(v->f, "log.new", FSCK_NOTE, false, "the log goes on with log/%010" PRIu64 ".seg",
		at.segment + 1);
	return index_save(v->s, &at, err);
}

static int begin_log(struct salvage *v, uint64_t highest, struct err *err)
{
	v->losses++;
	fsck_say(v->f, "log.new", FSCK_LOST, true,
		"the log is gone, and a new one begins: what the index knows stays, the bytes of"
		" mail that lay in the log are lost");
	if (db_exec(v->s->index, "UPDATE body SET damaged = $1 WHERE blob IS NULL AND damaged = 0",
		    DB_ARGS(DB_I(clock_wall())), err) < 0)
		return -1;
	return go_on_behind(v, v->s->at, highest, err);
}

/* The index knows records that the log does not hold any more. */
static int end_early(struct salvage *v, uint64_t highest, struct err *err)
{
	v->losses++;
	fsck_say(v->f, "log.position", FSCK_LOST, true,
		"the log ends with record %" PRIu64 ", and the index knows %" PRIu64
		": bodies that lay between may be lost",
		v->last.sequence, v->s->at.sequence);
	return go_on_behind(v, v->last, highest, err);
}

/* The last record of the log that can be read is the one that new ones follow. Of a log that is not
 * there at all nobody knows whether it is lost. */
static int stand_at_end(struct salvage *v, uint64_t highest, struct err *err)
{
	if (v->last.sequence == v->s->at.sequence || v->s->at.offset == 0)
		return v->losses && v->s->at.sequence ? go_on_behind(v, v->s->at, highest, err) : 0;
	if (v->last.sequence)
		return end_early(v, highest, err);
	if (v->f->o->new_log)
		return begin_log(v, highest, err);
	fsck_say(v->f, "log.position", FSCK_LOST, false,
		"log/ holds no record, and the index knows %" PRIu64
		": bring it back, or a backup; if it is lost for good, --new-log begins another",
		v->s->at.sequence);
	return 0;
}

/* Uids that were given out may be given out again for other mail. */
static int give_uidvalidity(struct salvage *v, struct err *err)
{
	struct effect_uidvalidity_given e;

	return fsck_uidvalidity(v->s->index, &e.uidvalidity, err) < 0
		? -1
		: apply_uidvalidity_given(&v->apply, &e, err);
}

/* After a failed flush the page cache shows what the disk may not have: so the last segment is
 * written again in place, as recovery does with the last batch. What cannot be read was taken for
 * zeros, and stays. */
static int write_again(struct fsck *f, const struct slog_position *last, struct err *err)
{
	char name[SLOG_NAME], *piece = malloc(AGAIN_PIECE);
	int fd = -1, r = piece ? 0 : err_set(err, ERR_TEMP, "out of memory");
	struct err ignored = ERR_INIT;

	slog_segment_name(name, last->segment, ".seg");
	if (r == 0)
		fd = r = io_open(f->dir, name, O_RDWR, err);
	for (uint64_t at = 0; r >= 0 && at < last->offset; at += AGAIN_PIECE) {
		uint64_t left = last->offset - at;
		size_t n = left < AGAIN_PIECE ? (size_t)left : AGAIN_PIECE;

		if (io_read(fd, name, at, piece, n, &ignored) == 0)
			r = io_write(fd, name, at, str_make(piece, n), err);
	}
	if (r >= 0)
		r = io_flush(fd, name, err);
	if (fd >= 0)
		close(fd);
	free(piece);
	return r;
}

int fsck_salvage(struct fsck *f, struct store *s, uint64_t *losses, struct err *err)
{
	struct salvage v = { .f = f,
		.s = s,
		.apply = { .db = s->index, .next = &s->next, .space = &s->space },
		.after = s->at.sequence,
		.one = BUF(1 << 20) };
	struct log_walk w = {
		.dir = f->dir, .from = s->at.segment, .record = on_record, .gap = on_gap, .arg = &v
	};
	int r = log_walk(&w, err);

	if (r == 0 && v.last.sequence == 0) { /* the end is in a segment before */
		w.from = 0;
		r = log_walk(&w, err);
	}
	if (r == 0 && !db_in_transaction(s->index))
		r = db_begin(s->index, err);
	if (r == 0)
		r = stand_at_end(&v, w.highest, err);
	if (r == 0 && v.losses)
		r = give_uidvalidity(&v, err);
	if (r == 0 && v.count)
		r = write_again(f, &v.last, err);
	f->out->segments = w.segments;
	f->out->records = w.records;
	*losses += v.losses;
	buf_free(&v.one);
	return r;
}
