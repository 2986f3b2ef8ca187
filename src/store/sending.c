#include "store/sending.h"
#include "base/hash.h"
#include "mail/address.h"
#include "store/store_private.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ID(x) DB_I((int64_t)(x))

enum { DAY = 86400, REFRESH = 30 * DAY, HASHES_MAX = 8 << 16 };

struct counts {
	int64_t messages, recipients;
};

struct account_sending {
	struct counts cap; /* 0: none */
	struct counts today, yesterday;
	int64_t day, frozen_day, told_day, known;
};

static int64_t cap_of(int64_t own, int64_t setting)
{
	return own < 0 ? 0 : (own ? own : setting);
}

static int read_caps(struct txn *t, uint64_t account, struct counts *cap, struct err *err)
{
	const struct store_options *o = &t->view.store->options;
	struct rows *r;
	int got;

	if (db_query(t->view.db, &r,
		    "SELECT cap_messages, cap_recipients FROM account WHERE id = $1",
		    DB_ARGS(ID(account)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		*cap = (struct counts){ cap_of(rows_int(r, 0), o->cap_messages),
			cap_of(rows_int(r, 1), o->cap_recipients) };
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int read_counts(struct txn *t, uint64_t account, struct account_sending *s, struct err *err)
{
	struct rows *r;
	int got;

	s->day = t->now / DAY;
	if (db_query(t->view.db, &r,
		    "SELECT day, messages, recipients, messages_before, recipients_before,"
		    " frozen_day, told_day, known FROM sending WHERE account = $1",
		    DB_ARGS(ID(account)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1) {
		const struct counts last = { rows_int(r, 1), rows_int(r, 2) };

		if (rows_int(r, 0) == s->day) {
			s->today = last;
			s->yesterday = (struct counts){ rows_int(r, 3), rows_int(r, 4) };
		} else if (rows_int(r, 0) == s->day - 1) {
			s->yesterday = last;
		}
		s->frozen_day = rows_int(r, 5);
		s->told_day = rows_int(r, 6);
		s->known = rows_int(r, 7);
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

/* Within the last 24 hours, as if yesterday's had been spread evenly. */
static int64_t lately(int64_t today, int64_t yesterday, int64_t now)
{
	return today + yesterday * (DAY - now % DAY) / DAY;
}

/* Servers may tell cases of a local part apart; people do not. */
static uint64_t hash_address(struct str address)
{
	char lower[ADDRESS_PATH_MAX + 64];
	size_t n = address.n < sizeof lower ? address.n : sizeof lower;

	for (size_t i = 0; i < n; i++)
		lower[i] = to_lower(address.p[i]);
	return hash_fixed(str_make(lower, n));
}

static void add_hash(struct buf *hashes, uint64_t hash)
{
	const uint64_t le = htole64(hash);

	buf_add(hashes, str_make((const char *)&le, sizeof le));
}

/* Which of the recipients are new, and which were written to so long ago that it is noted again. */
static int look_at(
	struct txn *t, const struct sending *s, struct buf *hashes, int64_t *fresh, struct err *err)
{
	for (size_t i = 0; i < s->count; i++) {
		const uint64_t hash = hash_address(s->addresses[i]);
		int64_t last = 0;
		int got = db_int(t->view.db, &last,
			"SELECT last FROM correspondent WHERE account = $1 AND hash = $2",
			DB_ARGS(ID(s->account), ID(hash)), err);

		if (got < 0)
			return -1;
		*fresh += got == 0;
		if (got == 0 || t->now - last > REFRESH)
			add_hash(hashes, hash);
	}
	return buf_ok(hashes) ? 0 : err_set(err, ERR_LIMIT, "too many recipients");
}

/* Make room: those that were not written to for longest are forgotten. */
static int forget_some(struct txn *t, uint64_t account, struct err *err)
{
	int64_t last = 0;
	int got = db_int(t->view.db, &last,
		"SELECT last FROM correspondent WHERE account = $1 ORDER BY last LIMIT 1 OFFSET $2",
		DB_ARGS(ID(account), DB_I(SENDING_KNOWN / 4)), err);

	if (got != 1)
		return got;
	return emit_correspondents_forgotten(
		t, &(struct effect_correspondents_forgotten){ account, last + 1 }, err);
}

static int know(struct txn *t, uint64_t account, int64_t known, int64_t fresh, struct str hashes,
	struct err *err)
{
	if (hashes.n == 0)
		return 0;
	if (fresh && known + fresh > SENDING_KNOWN && forget_some(t, account, err) < 0)
		return -1;
	return emit_correspondents(
		t, &(struct effect_correspondents){ account, t->now, hashes }, err);
}

static bool over_cap(struct sending *s, const struct account_sending *a, int64_t fresh, int64_t now)
{
	if (a->cap.messages &&
		lately(a->today.messages, a->yesterday.messages, now) + 1 > a->cap.messages)
		snprintf(s->why, sizeof s->why,
			SENDING_FROZEN "over its cap of %" PRId64 " messages a day",
			a->cap.messages);
	else if (fresh && a->cap.recipients &&
		lately(a->today.recipients, a->yesterday.recipients, now) + fresh >
			a->cap.recipients)
		snprintf(s->why, sizeof s->why,
			SENDING_FROZEN "over its cap of %" PRId64 " new recipients a day",
			a->cap.recipients);
	else
		return false;
	return true;
}

static int freeze(
	struct txn *t, struct sending *s, const struct account_sending *a, struct err *err)
{
	s->frozen = true;
	s->tell = a->told_day != a->day;
	if (a->frozen_day == a->day)
		return 0;
	return emit_sending_frozen(t, &(struct effect_sending_frozen){ s->account, a->day }, err);
}

static int count(struct txn *t, const struct sending *s, const struct account_sending *a,
	int64_t fresh, struct err *err)
{
	return emit_sending(t,
		&(struct effect_sending){ s->account, a->day, (uint64_t)a->today.messages + 1,
			(uint64_t)(a->today.recipients + fresh), (uint64_t)a->yesterday.messages,
			(uint64_t)a->yesterday.recipients },
		err);
}

int sending_take(struct txn *t, struct sending *s, struct err *err)
{
	struct account_sending a = { 0 };
	struct buf hashes = BUF(HASHES_MAX);
	int64_t fresh = 0;
	int r = -1;

	if (read_caps(t, s->account, &a.cap, err) < 0)
		goto out;
	if (!a.cap.messages && !a.cap.recipients) {
		r = 0;
		goto out;
	}
	if (read_counts(t, s->account, &a, err) < 0 || look_at(t, s, &hashes, &fresh, err) < 0)
		goto out;
	if (over_cap(s, &a, fresh, t->now))
		r = freeze(t, s, &a, err);
	else if (count(t, s, &a, fresh, err) == 0)
		r = know(t, s->account, a.known, fresh, buf_str(&hashes), err);
out:
	buf_free(&hashes);
	return r;
}

int sending_know(struct txn *t, uint64_t account, struct str address, struct err *err)
{
	struct account_sending a = { 0 };
	struct buf hashes = BUF(8);
	int r = -1;

	add_hash(&hashes, hash_address(address));
	if (read_counts(t, account, &a, err) == 0)
		r = know(t, account, a.known, 1, buf_str(&hashes), err);
	buf_free(&hashes);
	return r;
}

int sending_told(struct txn *t, uint64_t account, bool *due, struct err *err)
{
	struct account_sending a = { 0 };

	if (read_counts(t, account, &a, err) < 0)
		return -1;
	*due = a.frozen_day > a.told_day;
	if (!*due)
		return 0;
	return emit_sending_told(t, &(struct effect_sending_told){ account, a.day }, err);
}

int sending_untold(struct view *v, sending_fn *fn, void *arg, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT account FROM sending WHERE frozen_day > told_day",
		    DB_NOARGS, err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1)
		if (!fn(arg, (uint64_t)rows_int(r, 0)))
			break;
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int sending_frozen_accounts(struct view *v, uint64_t *accounts, struct err *err)
{
	int64_t n = 0;

	if (db_int(v->db, &n,
		    "SELECT count(DISTINCT m.account) FROM queue_rcpt q"
		    " JOIN queue_message m ON m.id = q.message"
		    " WHERE q.state = 5 AND q.reply LIKE 'frozen: %'",
		    DB_NOARGS, err) < 0)
		return -1;
	*accounts = (uint64_t)n;
	return 0;
}
