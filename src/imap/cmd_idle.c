/* cmd_idle.c - IDLE (RFC 2177): report changes as they happen until the client says DONE. */
#include "imap/imap_private.h"

static int idle(struct imap_session *s, int64_t deadline, struct err *err)
{
	int woke = WAIT_SIGNAL;

	s->changed = true; /* what happened since the last command is told at once */
	while (woke == WAIT_SIGNAL) {
		if (imap_take_news(s)) {
			imap_bye(s, "", "the login has been taken back");
			return err_set(err, ERR_CLOSED, "the login has been taken back");
		}
		if (s->changed && s->state == IMAP_SELECTED && imap_sync(s, true, NULL, err) < 0)
			return -1;
		conn_deadline(s->c, deadline);
		woke = conn_wait(s->c, s->policy->wake, deadline, err);
	}
	return woke < 0 ? -1 : 0;
}

int imap_do_idle(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct imap_in after = { .why = "expected DONE" };
	struct str line;

	if (!imap_in_end(in))
		return imap_bad(s, in);
	conn_write(s->c, STR("+ idling\r\n"));
	if (idle(s, clock_after(s->config->idle), err) < 0)
		return -1;
	if (conn_read_line(s->c, 64, LINE_LOOSE, &line, err) < 0)
		return -1;
	if (!str_eqi(line, STR("DONE")))
		return imap_bad(s, &after);
	return imap_ok(s, "", "no longer idling", err);
}
