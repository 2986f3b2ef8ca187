/* cmd_select.c - opening and leaving a mailbox (RFC 3501 6.3.1, 6.3.2, 6.4.1 to 6.4.3; RFC 3691,
 * RFC 4315). */
#include "imap/imap_private.h"

#include <inttypes.h>

static int load_view(struct imap_session *s, struct err *err)
{
	struct imap_ranges uids = { .v = NULL };
	int r = s->policy->uids(s->policy->arg, 1, &uids, err);

	for (size_t i = 0; i < uids.n && r == 0; i++)
		if (!imap_view_append(&s->view, uids.v[i].first, uids.v[i].last))
			r = err_set(err, ERR_TEMP, "out of memory");
	imap_ranges_free(&uids);
	return r;
}

/* RFC 3501 6.3.1: what a client must be told of a mailbox. */
static void describe(struct imap_session *s, const struct imap_box *box, uint32_t unseen)
{
	static const char flags[] = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";
	const char *space = box->keywords.n > 0 ? " " : "";
	struct conn *c = s->c;

	conn_writef(c, "* FLAGS (%s%s" STR_F ")\r\n", flags, space, STR_A(box->keywords));
	if (s->read_only)
		conn_write(c, STR("* OK [PERMANENTFLAGS ()] nothing can be changed\r\n"));
	else
		conn_writef(c, "* OK [PERMANENTFLAGS (%s%s" STR_F " \\*)] these flags are kept\r\n",
			flags, space, STR_A(box->keywords));
	conn_writef(c, "* %" PRIu32 " EXISTS\r\n* %" PRIu32 " RECENT\r\n", s->view.count,
		imap_view_count_from(&s->view, s->recent_from));
	if (unseen > 0)
		conn_writef(c, "* OK [UNSEEN %" PRIu32 "] the first unseen message\r\n", unseen);
	conn_writef(c, "* OK [UIDVALIDITY %" PRIu32 "] UIDs are valid\r\n", box->uidvalidity);
	conn_writef(c, "* OK [UIDNEXT %" PRIu32 "] the next UID\r\n", s->view.uidnext);
}

static int open_mailbox(struct imap_session *s, struct str name, bool read_only, struct err *err)
{
	struct imap_box box;

	imap_leave_mailbox(s); /* also when the new one cannot be opened */
	if (s->policy->select(s->policy->arg, name, read_only, &box, err) < 0)
		return -1;
	s->state = IMAP_SELECTED;
	s->read_only = read_only;
	s->recent_from = box.recent_from;
	s->seen_flags = s->seen_expunges = box.modseq;
	s->view.uidnext = box.uidnext;
	s->changed = false;
	buf_clear(&s->selected);
	buf_add(&s->selected, name);
	/* Not the policy's any more once the uids are asked for. */
	if (!arena_str(&s->mem, box.keywords, &box.keywords))
		box.keywords = STR("");
	if (load_view(s, err) < 0) {
		imap_leave_mailbox(s);
		return -1;
	}
	describe(s, &box, imap_view_seq(&s->view, box.first_unseen));
	return 0;
}

static int select_or_examine(
	struct imap_session *s, struct imap_in *in, bool read_only, struct err *err)
{
	struct err why = ERR_INIT;
	struct str name;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &name) || !imap_in_end(in))
		return imap_bad(s, in);
	if (open_mailbox(s, name, read_only, &why) < 0)
		return imap_fault(s, &why, err);
	return imap_ok(s, read_only ? "[READ-ONLY] " : "[READ-WRITE] ", "the mailbox is open", err);
}

int imap_do_select(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return select_or_examine(s, in, false, err);
}

int imap_do_examine(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return select_or_examine(s, in, true, err);
}

int imap_do_check(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return imap_do_noop(s, in, err); /* RFC 3501 6.4.1: everything is on disk already */
}

/* Expunge what has \Deleted among these. */
static int expunge(struct imap_session *s, const struct imap_ranges *uids, struct err *err)
{
	if (uids->n == 0)
		return 0;
	s->changed = true;
	return s->policy->expunge(s->policy->arg, uids, false, err);
}

static int expunge_all(struct imap_session *s, struct err *err)
{
	struct imap_range all = { 1, imap_view_last_uid(&s->view) };
	struct imap_ranges uids = { .v = &all, .n = s->view.count > 0 };

	return expunge(s, &uids, err);
}

/* RFC 3501 6.4.2: without telling, and not at all from EXAMINE. */
int imap_do_close(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	int r = 0;

	if (!imap_in_end(in))
		return imap_bad(s, in);
	if (!s->read_only)
		r = expunge_all(s, &why);
	imap_leave_mailbox(s);
	return r < 0 ? imap_fault(s, &why, err) : imap_ok(s, "", "closed", err);
}

int imap_do_unselect(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	imap_leave_mailbox(s);
	return imap_ok(s, "", "closed, nothing expunged", err);
}

/* RFC 4315 2.1: UID EXPUNGE names which. */
static int expunge_set(struct imap_session *s, const struct imap_set *set, struct err *err)
{
	struct imap_ranges uids = { .v = NULL };
	const char *text;
	int r;

	if (imap_view_resolve(&s->view, set, true, &uids, &text))
		r = expunge(s, &uids, err);
	else
		r = err_set(err, ERR_TEMP, "%s", text);
	imap_ranges_free(&uids);
	return r;
}

int imap_do_expunge(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	struct imap_set set;
	int r;

	if ((s->by_uid && (!imap_in_space(in) || !imap_in_set(in, &set))) || !imap_in_end(in))
		return imap_bad(s, in);
	if (s->read_only)
		return imap_no(s, "", "the mailbox is open for reading only", err);
	r = s->by_uid ? expunge_set(s, &set, &why) : expunge_all(s, &why);
	return r < 0 ? imap_fault(s, &why, err) : imap_ok(s, "", "expunged", err);
}
