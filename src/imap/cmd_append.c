/* cmd_append.c - APPEND (RFC 3501 6.3.11, RFC 4315 3, RFC 7888): a message goes from the client to
 * the mailbox in pieces. */
#include "imap/imap_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* " mailbox [(flags)] [date] " and then the literal, which the reader has left on the connection.
 */
static bool in_append(struct imap_in *in, struct imap_append *a)
{
	*a = (struct imap_append){ .received = clock_wall() };
	if (!imap_in_space(in) || !imap_in_mailbox(in, &a->mailbox) || !imap_in_space(in))
		return false;
	if (imap_in_peek(in, '(') && (!imap_in_flag_list(in, &a->flags) || !imap_in_space(in)))
		return false;
	if (imap_in_peek(in, '"') && (!imap_in_date_time(in, &a->received) || !imap_in_space(in)))
		return false;
	if (!imap_in_peek(in, '{') || str_find(in->s, '}') != in->s.n - 1) {
		in->why = "expected the message as a literal";
		return false;
	}
	return true;
}

/* Take the whole literal from the connection even after the policy has refused, so that the session
 * stays in step. -1: the connection failed. */
static int take_message(
	struct imap_session *s, uint64_t size, bool *refused, struct err *why, struct err *err)
{
	struct str some;

	*refused = false;
	while (size > 0) {
		conn_deadline(s->c, clock_after(s->config->idle));
		if (conn_read_some(s->c, size < 65536 ? (size_t)size : 65536, &some, err) < 0)
			return -1;
		size -= some.n;
		if (*refused)
			continue;
		if (memchr(some.p, '\0', some.n)) /* RFC 3501 4.3.1: not without BINARY */
			*refused = err_set(why, ERR_PERM, "a message holds no NUL") < 0;
		else
			*refused = s->policy->append_piece(s->policy->arg, some, why) < 0;
	}
	return 0;
}

static int refuse(struct imap_session *s, const struct err *why, struct err *err)
{
	if (why->kind == ERR_NOTFOUND) /* RFC 3501 6.3.11: CREATE it and try again */
		return imap_no(s, "[TRYCREATE] ", "there is no such mailbox", err);
	return imap_fault(s, why, err);
}

/* RFC 4315 3 */
static int answer(struct imap_session *s, const struct imap_append *a, uint32_t uidvalidity,
	uint32_t uid, struct err *err)
{
	char code[64];

	snprintf(code, sizeof code, "[APPENDUID %" PRIu32 " %" PRIu32 "] ", uidvalidity, uid);
	/* RFC 3501 6.3.11: when it went to the selected mailbox the client hears of it now. */
	if (s->state == IMAP_SELECTED && str_eq(a->mailbox, buf_str(&s->selected)))
		s->changed = true;
	return imap_ok(s, code, "appended", err);
}

static int append(struct imap_session *s, const struct imap_append *a, struct err *err)
{
	struct imap_in after = { .mem = &s->mem };
	struct err why = ERR_INIT;
	uint32_t uidvalidity, uid;
	struct str line;
	bool refused;

	if (s->policy->append_begin(s->policy->arg, a, &why) < 0)
		return refuse(s, &why, err); /* a literal that comes all the same is skipped */
	if (s->message_waits)
		conn_write(s->c, STR("+ send it\r\n"));
	s->has_message = false;
	if (take_message(s, a->size, &refused, &why, err) < 0 ||
		imap_wait_line(s, IMAP_LINE_MAX, &line, err) < 0)
		return -1;
	after.s = line;
	if (!imap_in_end(&after))
		return imap_bad(s, &after);
	if (refused || s->policy->append_commit(s->policy->arg, a, &uidvalidity, &uid, &why) < 0)
		return refuse(s, &why, err);
	return answer(s, a, uidvalidity, uid, err);
}

int imap_do_append(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct imap_append a;
	int r;

	if (!in_append(in, &a))
		return imap_bad(s, in);
	a.size = s->message_size;
	if (!s->has_message || a.size == 0)
		return imap_no(s, "[CANNOT] ", "an empty message is no message", err);
	if (a.size > s->config->append_max)
		return imap_no(s, "[TOOBIG] ", "that message is too large", err);
	r = append(s, &a, err);
	s->policy->append_abort(s->policy->arg);
	return r;
}
