/* sync.c - telling the client what others did to the selected mailbox (RFC 3501 5.2 and 7). */
#include "imap/imap_private.h"

#include <inttypes.h>

bool imap_take_news(struct imap_session *s)
{
	uint64_t seen = s->seen_flags < s->seen_expunges ? s->seen_flags : s->seen_expunges;
	unsigned news = s->policy->news ? s->policy->news(s->policy->arg, seen) : 0;

	if (news & IMAP_NEWS_CHANGES)
		s->changed = true;
	return (news & IMAP_NEWS_GONE) != 0;
}

void imap_leave_mailbox(struct imap_session *s)
{
	if (s->state != IMAP_SELECTED)
		return;
	s->policy->unselect(s->policy->arg);
	imap_view_free(&s->view);
	buf_free(&s->selected);
	s->state = IMAP_AUTHENTICATED;
	s->changed = false;
	for (size_t i = 0; i < IMAP_OWN_CHANGES; i++)
		s->own[i].modseq = 0;
}

/* When nothing lies between what the client knows and this change, the client knows all of it now.
 */
void imap_remember_own(struct imap_session *s, uint64_t modseq, uint32_t first, uint32_t last)
{
	if (modseq <= s->seen_flags)
		return;
	if (modseq == s->seen_flags + 1 && s->seen_flags == s->seen_expunges) {
		s->seen_flags = s->seen_expunges = modseq;
		return;
	}
	s->own[s->own_next++ % IMAP_OWN_CHANGES] = (struct imap_own_change){ modseq, first, last };
}

static bool is_own(const struct imap_session *s, const struct imap_entry *e)
{
	for (size_t i = 0; i < IMAP_OWN_CHANGES; i++)
		if (s->own[i].modseq == e->modseq && s->own[i].first <= e->uid &&
			e->uid <= s->own[i].last)
			return true;
	return false;
}

static void tell_expunge(void *arg, uint32_t seq)
{
	struct imap_session *s = arg;

	conn_writef(s->c, "* %" PRIu32 " EXPUNGE\r\n", seq);
}

/* Flags that changed on messages of the view. */
static int tell_flags(struct imap_session *s, struct err *err)
{
	struct imap_range all = { 1, imap_view_last_uid(&s->view) };
	struct imap_query q = { .ranges = &all, .n = 1, .since = s->seen_flags };
	struct imap_rows *rows = NULL;
	struct imap_entry e;
	size_t at = 0;
	int r;

	if (s->view.count == 0)
		return 0;
	r = s->policy->rows(s->policy->arg, &q, &rows, err);
	while (r >= 0 && (r = s->policy->next(rows, &e, err)) == 1) {
		uint32_t seq = imap_view_seq_from(&s->view, e.uid, &at);

		if (seq > 0 && !is_own(s, &e))
			imap_write_change(s, seq, &e);
	}
	s->policy->end(&rows);
	return r;
}

static int tell_new(struct imap_session *s, struct err *err)
{
	struct imap_ranges fresh = { .v = NULL };
	int r = s->policy->uids(s->policy->arg, s->view.uidnext, &fresh, err);

	for (size_t i = 0; i < fresh.n && r == 0; i++)
		if (!imap_view_append(&s->view, fresh.v[i].first, fresh.v[i].last))
			r = err_set(err, ERR_TEMP, "out of memory");
	if (fresh.n > 0)
		conn_writef(s->c, "* %" PRIu32 " EXISTS\r\n* %" PRIu32 " RECENT\r\n", s->view.count,
			imap_view_count_from(&s->view, s->recent_from));
	imap_ranges_free(&fresh);
	return r;
}

/* What is asked for first stands for an earlier state than what is asked for later, so nothing that
 * happens in between is lost; at worst it is told again. */
static int tell_all(struct imap_session *s, bool expunge, bool *held, struct err *err)
{
	struct imap_ranges gone = { .v = NULL };
	uint64_t modseq;
	int r;

	r = s->policy->vanished(s->policy->arg, s->seen_expunges, &gone, &modseq, err);
	if (r == 0 && modseq == s->seen_flags && modseq == s->seen_expunges)
		goto out; /* nothing has happened */
	if (r == 0 && expunge) {
		if (imap_view_remove(&s->view, &gone, tell_expunge, s))
			s->seen_expunges = modseq;
		else
			r = err_set(err, ERR_TEMP, "out of memory");
	}
	if (r == 0 && !expunge) {
		*held = gone.n > 0;
		if (!*held)
			s->seen_expunges = modseq;
	}
	if (r == 0 && modseq > s->seen_flags)
		r = tell_flags(s, err);
	if (r == 0)
		r = tell_new(s, err);
	if (r == 0)
		s->seen_flags = modseq;
out:
	imap_ranges_free(&gone);
	return r;
}

int imap_sync(struct imap_session *s, bool expunge, bool *held, struct err *err)
{
	struct err why = ERR_INIT;
	bool ignored = false;

	held = held ? held : &ignored;
	if (tell_all(s, expunge, held, &why) == 0) {
		s->changed = *held; /* what was held back is still news */
		return 0;
	}
	if (why.kind == ERR_CANCELED) {
		*err = why;
		return -1;
	}
	if (why.kind == ERR_NOTFOUND) {
		imap_bye(s, "", "the selected mailbox has been deleted");
		return err_set(err, ERR_CLOSED, "the selected mailbox has been deleted");
	}
	s->changed = true;
	return 0;
}
