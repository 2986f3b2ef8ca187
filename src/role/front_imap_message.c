/* front_imap_message.c - the messages of an IMAP session: rows, flags, copies, and APPEND. */
#include "role/front_imap_private.h"

#include <stdlib.h>

enum { RANGES_MAX = 2000, COPY_RANGES_MAX = 7000 };

/* A walk over entries or over changes of flags, a page of the store at a time. */
struct imap_rows {
	struct front_imap *m;
	const struct imap_range *ranges; /* the session's; they outlive the walk */
	size_t n, at;
	uint32_t from;      /* where the next page begins; 0: there is none */
	struct buf encoded; /* the ranges of one call */
	struct reply hold;
	struct str page; /* what is left of the page in hand */

	bool changes; /* the walk changes flags; else it reads */
	struct imap_query query;
	enum imap_store_op op;
	struct imap_flags flags;
};

/* Encode up to RANGES_MAX ranges from uid `from` on. */
static int encode(struct buf *b, const struct imap_range *v, size_t n, size_t max, struct err *err)
{
	buf_clear(b);
	for (size_t i = 0; i < n && i < max; i++) {
		struct store_range one = { v[i].first, v[i].last };

		store_range_put(b, &one);
	}
	return buf_ok(b) ? 0 : err_set(err, ERR_TEMP, "out of memory");
}

static int begin(struct front_imap *m, const struct imap_range *ranges, size_t n,
	struct imap_rows **rows, struct err *err)
{
	struct imap_rows *r = calloc(1, sizeof *r);

	if (!r)
		return err_set(err, ERR_TEMP, "out of memory");
	r->m = m;
	r->ranges = ranges;
	r->n = n;
	r->from = n > 0 ? ranges[0].first : 0;
	r->encoded = BUF(1 << 16);
	*rows = r;
	return 0;
}

int front_imap_rows(void *arg, const struct imap_query *q, struct imap_rows **rows, struct err *err)
{
	if (begin(arg, q->ranges, q->n, rows, err) < 0)
		return -1;
	(*rows)->query = *q;
	return 0;
}

int front_imap_store(void *arg, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, struct imap_rows **rows, struct err *err)
{
	if (begin(arg, uids->v, uids->n, rows, err) < 0)
		return -1;
	(*rows)->changes = true;
	(*rows)->op = op;
	(*rows)->flags = *flags;
	return 0;
}

void front_imap_end(struct imap_rows **rows)
{
	if (!*rows)
		return;
	buf_free(&(*rows)->encoded);
	reply_free(&(*rows)->hold);
	free(*rows);
	*rows = NULL;
}

/* Where the page after this one begins: at `from` while the store has more of the ranges it was
 * given, else at the first range that it was not given. */
static void plan(struct imap_rows *r, uint32_t from)
{
	size_t given = r->n - r->at < RANGES_MAX ? r->n - r->at : RANGES_MAX;

	if (from == 0) {
		r->at += given;
		r->from = r->at < r->n ? r->ranges[r->at].first : 0;
		return;
	}
	r->from = from;
	while (r->at < r->n && r->ranges[r->at].last < from)
		r->at++;
	if (r->at == r->n)
		r->from = 0;
}

static int read_page(struct imap_rows *r, struct err *err)
{
	struct store_entries_req q = { .mailbox = r->m->mailbox,
		.ranges = buf_str(&r->encoded),
		.from = r->from,
		.since = r->query.since,
		.want_facts = r->query.facts,
		.ghosts = r->query.ghosts };
	struct store_entries_rep a;
	struct store_entry e = { .uid = 0 };
	struct str all;

	if (FRONT_CALL(r->m->f, &r->m->auth.login, store_entries, &q, &a, &r->hold, err) < 0)
		return -1;
	r->page = all = a.entries;
	while (a.more && store_entry_next(&all, &e))
		;
	if (a.more && e.uid == 0)
		return err_set(err, ERR_TEMP, "the store has more to say and says nothing");
	plan(r, a.more && e.uid < UINT32_MAX ? e.uid + 1 : 0);
	return 0;
}

static int change_page(struct imap_rows *r, struct err *err)
{
	static const uint8_t ops[] = { [IMAP_STORE_SET] = FLAGS_SET,
		[IMAP_STORE_ADD] = FLAGS_ADD,
		[IMAP_STORE_REMOVE] = FLAGS_REMOVE };
	struct store_flags_req q = { .call = front_call_id(r->m->f),
		.mailbox = r->m->mailbox,
		.ranges = buf_str(&r->encoded),
		.op = ops[r->op],
		.flags = r->flags.system,
		.keywords = r->flags.keywords };
	struct store_flags_rep a;

	if (FRONT_CALL(r->m->f, &r->m->auth.login, store_flags, &q, &a, &r->hold, err) < 0)
		return -1;
	r->page = a.changes;
	plan(r, a.next);
	return 0;
}

/* The ranges from where we are; the first one cut so that nothing is changed twice. */
static int next_page(struct imap_rows *r, struct err *err)
{
	struct store_range first;

	if (r->from == 0)
		return 0;
	reply_free(&r->hold);
	first = (struct store_range){ r->ranges[r->at].first, r->ranges[r->at].last };
	first.first = first.first < r->from ? r->from : first.first;
	buf_clear(&r->encoded);
	store_range_put(&r->encoded, &first);
	for (size_t i = 1; i < RANGES_MAX && r->at + i < r->n; i++) {
		struct store_range one = { r->ranges[r->at + i].first, r->ranges[r->at + i].last };

		store_range_put(&r->encoded, &one);
	}
	if (!buf_ok(&r->encoded))
		return err_set(err, ERR_TEMP, "out of memory");
	if ((r->changes ? change_page(r, err) : read_page(r, err)) < 0)
		return -1;
	return 1;
}

static bool take_entry(struct imap_rows *r, struct imap_entry *e)
{
	struct store_entry row;

	if (!store_entry_next(&r->page, &row))
		return false;
	*e = (struct imap_entry){ .uid = row.uid,
		.flags = row.flags,
		.keywords = row.keywords,
		.received = row.received,
		.size = row.size,
		.prefix_size = row.prefix_size,
		.modseq = row.modseq,
		.facts = row.facts };
	return true;
}

static bool take_change(struct imap_rows *r, struct imap_entry *e)
{
	struct store_flag_change row;

	if (!store_flag_change_next(&r->page, &row))
		return false;
	*e = (struct imap_entry){
		.uid = row.uid, .flags = row.flags, .keywords = row.keywords, .modseq = row.modseq
	};
	return true;
}

int front_imap_next(struct imap_rows *r, struct imap_entry *e, struct err *err)
{
	int got;

	while (!(r->changes ? take_change(r, e) : take_entry(r, e))) {
		got = next_page(r, err);
		if (got != 1)
			return got;
	}
	return 1;
}

static int expunge_some(struct front_imap *m, struct str ranges, bool all, struct err *err)
{
	struct store_expunge_req q = { .mailbox = m->mailbox, .ranges = ranges, .any = all };

	return front_expunge(m->f, &m->auth.login, &q, err);
}

int front_imap_expunge(void *arg, const struct imap_ranges *uids, bool all, struct err *err)
{
	struct buf b = BUF(1 << 16);
	int r = 0;

	for (size_t at = 0; at < uids->n && r == 0; at += RANGES_MAX) {
		r = encode(&b, uids->v + at, uids->n - at, RANGES_MAX, err);
		if (r == 0)
			r = expunge_some(arg, buf_str(&b), all, err);
	}
	buf_free(&b);
	return r;
}

int front_imap_copy(void *arg, const struct imap_ranges *uids, struct str target, bool move,
	struct imap_copied *copied, struct err *err)
{
	struct front_imap *m = arg;
	struct buf b = BUF(1 << 16);
	struct store_copy_req q = {
		.call = front_call_id(m->f), .mailbox = m->mailbox, .target = target, .move = move
	};
	struct store_copy_rep a;
	struct reply hold = { 0 };
	int r = -1;

	if (uids->n > COPY_RANGES_MAX) { /* it is one step or none, so it must fit one call */
		err_set(err, ERR_LIMIT, "too many ranges at once");
		goto out;
	}
	if (encode(&b, uids->v, uids->n, COPY_RANGES_MAX, err) < 0)
		goto out;
	q.ranges = buf_str(&b);
	if (FRONT_CALL(m->f, &m->auth.login, store_copy, &q, &a, &hold, err) < 0)
		goto out;
	copied->uidvalidity = a.uidvalidity;
	r = front_imap_take_ranges(a.from, &copied->from, err);
	if (r == 0)
		r = front_imap_take_ranges(a.to, &copied->to, err);
out:
	reply_free(&hold);
	buf_free(&b);
	return r;
}

/* --- APPEND --- */

/* Before the client sends it all: is there such a mailbox? */
static int check_target(struct front_imap *m, struct str name, struct err *err)
{
	struct store_mailbox_status_req q = { .name = name };
	struct store_mailbox_status_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_status, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

int front_imap_append_begin(void *arg, const struct imap_append *a, struct err *err)
{
	struct front_imap *m = arg;

	front_imap_append_abort(m);
	if (check_target(m, a->mailbox, err) < 0)
		return -1;
	m->facts = facts_builder_new();
	if (!m->facts)
		return err_set(err, ERR_TEMP, "out of memory");
	return front_body_new(m->f, &m->auth.login, &m->incoming, err);
}

int front_imap_append_piece(void *arg, struct str data, struct err *err)
{
	struct front_imap *m = arg;

	facts_feed(m->facts, data);
	return front_body_add(m->incoming, data, err);
}

int front_imap_append_commit(void *arg, const struct imap_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err)
{
	struct front_imap *m = arg;
	struct buf facts = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES);
	struct store_append_req q = { .name = a->mailbox,
		.flags = a->flags.system,
		.keywords = a->flags.keywords,
		.received = a->received };
	struct store_append_rep rep;
	struct reply hold = { 0 };
	int r = -1;

	if (facts_finish(m->facts, &facts, &refs, err) < 0)
		goto out;
	q.facts = buf_str(&facts);
	q.refs = buf_str(&refs);
	if (front_body_append(m->incoming, &q, &rep, &hold, err) < 0)
		goto out;
	*uidvalidity = rep.uidvalidity;
	*uid = rep.uid;
	r = 0;
out:
	reply_free(&hold);
	buf_free(&facts);
	buf_free(&refs);
	return r;
}

void front_imap_append_abort(void *arg)
{
	struct front_imap *m = arg;

	front_body_free(&m->incoming);
	facts_builder_free(&m->facts);
}
