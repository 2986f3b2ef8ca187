/* cmd_copy.c - COPY and MOVE (RFC 3501 6.4.7, RFC 4315 3, RFC 6851). */
#include "imap/imap_private.h"

#include <inttypes.h>

/* RFC 4315 3: which message became which. */
static void write_copied(struct imap_session *s, const struct imap_copied *c)
{
	conn_writef(s->c, "[COPYUID %" PRIu32 " ", c->uidvalidity);
	imap_write_ranges(s->c, &c->from);
	conn_write(s->c, STR(" "));
	imap_write_ranges(s->c, &c->to);
	conn_write(s->c, STR("] "));
}

static int answer(struct imap_session *s, const struct imap_copied *c, bool move, struct err *err)
{
	const char *text = move ? "moved" : "copied";

	if (c->from.n == 0)
		return imap_ok(s, "", text, err);
	if (move) { /* RFC 6851 4.3: the code comes untagged, before the EXPUNGEs */
		conn_write(s->c, STR("* OK "));
		write_copied(s, c);
		conn_writef(s->c, "%s\r\n", text);
		s->changed = true;
		return imap_ok(s, "", text, err);
	}
	if (s->changed && imap_sync(s, s->expunge_ok, NULL, err) < 0)
		return -1;
	s->errors = 0;
	conn_writef(s->c, STR_F " OK ", STR_A(s->tag));
	write_copied(s, c);
	conn_writef(s->c, "%s\r\n", text);
	return 0;
}

static int copy(struct imap_session *s, const struct imap_ranges *uids, struct str target,
	bool move, struct err *err)
{
	struct imap_copied c = { .uidvalidity = 0 };
	struct err why = ERR_INIT;
	int r = 0;

	if (uids->n > 0)
		r = s->policy->copy(s->policy->arg, uids, target, move, &c, &why);
	if (str_eq(target, buf_str(&s->selected)))
		s->changed = true; /* the copies show up here */
	if (r == 0)
		r = answer(s, &c, move, err);
	else if (why.kind == ERR_NOTFOUND) /* RFC 3501 6.4.7: CREATE it and try again */
		r = imap_no(s, "[TRYCREATE] ", "there is no such mailbox", err);
	else
		r = imap_fault(s, &why, err);
	imap_ranges_free(&c.from);
	imap_ranges_free(&c.to);
	return r;
}

static int copy_or_move(struct imap_session *s, struct imap_in *in, bool move, struct err *err)
{
	struct imap_ranges uids = { .v = NULL };
	struct imap_set set;
	struct str target;
	int r;

	if (!imap_in_space(in) || !imap_in_set(in, &set) || !imap_in_space(in) ||
		!imap_in_mailbox(in, &target) || !imap_in_end(in))
		return imap_bad(s, in);
	if (move && s->read_only)
		return imap_no(s, "", "the mailbox is open for reading only", err);
	if (!imap_view_resolve(&s->view, &set, s->by_uid, &uids, &in->why))
		return imap_bad(s, in);
	r = copy(s, &uids, target, move, err);
	imap_ranges_free(&uids);
	return r;
}

int imap_do_copy(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return copy_or_move(s, in, false, err);
}

int imap_do_move(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return copy_or_move(s, in, true, err);
}
