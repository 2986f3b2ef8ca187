/* reader.c - one whole command from the connection, with its literals (RFC 3501 2.2.1, RFC 7888).
 */
#include "imap/imap_private.h"

static bool logged_in(const struct imap_session *s)
{
	return s->state != IMAP_NOT_AUTHENTICATED;
}

int imap_wait_line(struct imap_session *s, size_t max, struct str *line, struct err *err)
{
	int64_t deadline = logged_in(s) ? clock_after(s->config->idle) : s->login_deadline;
	int woke;

	conn_deadline(s->c, deadline);
	do {
		if (imap_take_news(s)) {
			imap_bye(s, "", "the login has been taken back");
			return err_set(err, ERR_CLOSED, "the login has been taken back");
		}
		woke = conn_wait(s->c, s->policy->wake, deadline, err);
		if (woke < 0)
			return -1;
	} while (!(woke & WAIT_READ));
	return conn_read_line(s->c, max, LINE_LOOSE, line, err);
}

struct announced {
	uint64_t size;
	bool waits; /* a synchronizing literal: the client waits for "+" */
};

/* Does the text end in "{123}" or "{123+}"? */
static bool ends_in_literal(struct str text, struct announced *a)
{
	struct str before, digits;

	if (text.n == 0 || text.p[text.n - 1] != '}')
		return false;
	if (!str_rcut(str_head(text, text.n - 1), '{', &before, &digits))
		return false;
	a->waits = digits.n == 0 || digits.p[digits.n - 1] != '+';
	if (!a->waits)
		digits.n--;
	return str_u64(digits, INT64_MAX, &a->size);
}

/* In APPEND every literal but one in the place of the mailbox name is the message. */
static bool is_message(struct str text)
{
	struct str tag, rest, before, digits;

	if (!str_cut(text, ' ', &tag, &rest) || !str_take(&rest, STR("APPEND ")))
		return false;
	return str_rcut(rest, '{', &before, &digits) && before.n > 0;
}

/* What the client says next is not understood if we refuse a literal that it sends anyway. */
static int refuse(struct imap_session *s, const struct announced *a, const char *text)
{
	struct imap_in in = { .s = buf_str(&s->text), .mem = &s->mem, .why = text };

	if (!imap_in_tag(&in, &s->tag))
		s->tag = STR("*");
	in.why = text;
	imap_bad(s, &in);
	if (!a->waits) {
		imap_bye(s, "[TOOBIG] ", text);
		s->done = true;
	}
	return 1;
}

static int read_literal(struct imap_session *s, const struct announced *a, struct err *err)
{
	size_t max = logged_in(s) ? IMAP_COMMAND_MAX : IMAP_LITERAL_MAX_BEFORE;
	char *room;

	if (a->size > max || a->size + 2 > s->text.max - s->text.n)
		return refuse(s, a, "that literal is too large");
	buf_add(&s->text, STR("\r\n"));
	room = buf_room(&s->text, (size_t)a->size);
	if (!room)
		return err_set(err, ERR_TEMP, "out of memory");
	if (a->waits)
		conn_write(s->c, STR("+ go on\r\n"));
	if (a->size > 0 && conn_read_full(s->c, room, (size_t)a->size, err) < 0)
		return -1;
	buf_grew(&s->text, (size_t)a->size);
	return 0;
}

/* A line that is too long has lost its tag, so the answer has none. */
static int too_long(struct imap_session *s)
{
	struct imap_in in = { .why = "the line is too long" };

	s->tag = STR("*");
	imap_bad(s, &in);
	return 1;
}

int imap_read_command(struct imap_session *s, struct err *err)
{
	size_t line_max = logged_in(s) ? IMAP_LINE_MAX : IMAP_LINE_MAX_BEFORE;
	struct err why = ERR_INIT;
	struct announced a;
	struct str line;
	int r;

	s->text = BUF(logged_in(s) ? IMAP_COMMAND_MAX : IMAP_COMMAND_MAX_BEFORE);
	s->mem = ARENA(logged_in(s) ? IMAP_ARENA_MAX : IMAP_ARENA_MAX_BEFORE);
	s->has_message = false;
	for (;;) {
		if (imap_wait_line(s, line_max, &line, &why) < 0) {
			if (why.kind == ERR_LIMIT)
				return too_long(s);
			*err = why;
			return -1;
		}
		/* It may hold a password: at its full size from the start it is never moved, so
		 * wiping it leaves no copy. */
		if (!logged_in(s) && !s->text.p && !buf_room(&s->text, s->text.max))
			return err_set(err, ERR_TEMP, "out of memory");
		a.waits = true;
		if (line.n > s->text.max - s->text.n)
			return refuse(s, &a, "the command is too large");
		buf_add(&s->text, line);
		if (!buf_ok(&s->text))
			return err_set(err, ERR_TEMP, "out of memory");
		if (!ends_in_literal(line, &a))
			return 0;
		if (logged_in(s) && is_message(buf_str(&s->text)))
			break;
		r = read_literal(s, &a, err);
		if (r != 0)
			return r;
	}
	s->has_message = true;
	s->message_waits = a.waits;
	s->message_size = a.size;
	return 0;
}

int imap_skip_message(struct imap_session *s, struct err *err)
{
	uint64_t left = s->message_size;
	struct str some, line;

	if (!s->has_message || s->message_waits)
		return 0;
	s->has_message = false;
	if (left > 2 * s->config->append_max) {
		imap_bye(s, "[TOOBIG] ", "that message is far too large");
		s->done = true;
		return 0;
	}
	while (left > 0) {
		conn_deadline(s->c, clock_after(s->config->idle));
		if (conn_read_some(s->c, left < 65536 ? (size_t)left : 65536, &some, err) < 0)
			return -1;
		left -= some.n;
	}
	return imap_wait_line(s, IMAP_LINE_MAX, &line, err);
}
