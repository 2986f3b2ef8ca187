/* cmd_store.c - changing flags (RFC 3501 6.4.6). */
#include "imap/fetch_private.h"

struct change {
	enum imap_store_op op;
	bool silent;
	struct imap_flags flags;
};

static bool in_change(struct imap_in *in, struct change *c)
{
	c->op = imap_in_peek(in, '+')   ? IMAP_STORE_ADD
		: imap_in_peek(in, '-') ? IMAP_STORE_REMOVE
					: IMAP_STORE_SET;
	if (c->op != IMAP_STORE_SET)
		in->s = str_from(in->s, 1);
	if (!imap_in_word(in, STR("FLAGS")))
		return false;
	c->silent = str_take(&in->s, STR(".SILENT"));
	return imap_in_space(in) && imap_in_flags(in, &c->flags);
}

static int answer_rows(struct imap_session *s, const struct imap_ranges *uids, bool silent,
	struct imap_rows *rows, struct err *err)
{
	uint32_t first = uids->v[0].first, last = uids->v[uids->n - 1].last;
	struct imap_entry e;
	uint64_t newest = 0;
	size_t at = 0;
	int r;

	while ((r = s->policy->next(rows, &e, err)) == 1) {
		uint32_t seq = imap_view_seq_from(&s->view, e.uid, &at);

		if (e.modseq != newest)
			imap_remember_own(s, e.modseq, first, last);
		newest = e.modseq;
		if (seq > 0 && !silent)
			imap_write_change(s, seq, &e);
	}
	return r;
}

int imap_change_flags(struct imap_session *s, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, bool silent, struct err *err)
{
	struct imap_rows *rows = NULL;
	int r;

	/* First what others did, so that what is newer than that is ours. */
	imap_take_news(s);
	if (s->changed && imap_sync(s, s->expunge_ok, NULL, err) < 0)
		return -1;
	r = s->policy->store(s->policy->arg, uids, op, flags, &rows, err);
	if (r == 0)
		r = answer_rows(s, uids, silent, rows, err);
	s->policy->end(&rows);
	return r;
}

int imap_do_store(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct imap_ranges uids = { .v = NULL };
	struct err why = ERR_INIT;
	struct imap_set set;
	struct change c;
	int r = 0;

	if (!imap_in_space(in) || !imap_in_set(in, &set) || !imap_in_space(in) ||
		!in_change(in, &c) || !imap_in_end(in))
		return imap_bad(s, in);
	if (s->read_only)
		return imap_no(s, "", "the mailbox is open for reading only", err);
	if (!imap_view_resolve(&s->view, &set, s->by_uid, &uids, &in->why))
		return imap_bad(s, in);
	if (uids.n > 0)
		r = imap_change_flags(s, &uids, c.op, &c.flags, c.silent, &why);
	imap_ranges_free(&uids);
	return r < 0 ? imap_fault(s, &why, err) : imap_ok(s, "", "done", err);
}
