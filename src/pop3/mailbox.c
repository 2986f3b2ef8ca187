/* mailbox.c - the TRANSACTION and UPDATE states (RFC 1939 5, 6 and 7). */
#include "pop3/pop3_private.h"

#include <inttypes.h>
#include <stdlib.h>

static struct pop3_message *messages(const struct pop3_session *s)
{
	return (struct pop3_message *)(void *)s->messages.p;
}

static size_t message_count(const struct pop3_session *s)
{
	return s->messages.n / sizeof(struct pop3_message);
}

/* Read the list of messages, which stays as it is for the whole session (RFC 1939 4). */
static int load(struct pop3_session *s, struct err *err)
{
	enum { BATCH = 512 };
	const size_t one = sizeof(struct pop3_message);
	uint32_t from = 1;
	size_t n;

	for (;;) {
		size_t room = (s->messages.max - s->messages.n) / one;
		struct pop3_message *list;

		room = room < BATCH ? room : BATCH;
		if (room == 0)
			return 0; /* max_messages; the rest after QUIT */
		list = (struct pop3_message *)(void *)buf_room(&s->messages, room * one);
		if (!list)
			return err_set(err, ERR_TEMP, "out of memory");
		if (s->policy->list(s->policy->arg, from, list, room, &n, err) < 0)
			return -1;
		if (n == 0)
			return 0;
		for (size_t i = 0; i < n; i++)
			list[i].deleted = false;
		from = list[n - 1].uid + 1;
		buf_grew(&s->messages, n * one);
		if (from == 0)
			return 0;
	}
}

static void count(const struct pop3_session *s, size_t *n, uint64_t *size)
{
	const struct pop3_message *m = messages(s);

	*n = 0;
	*size = 0;
	for (size_t i = 0; i < message_count(s); i++) {
		if (m[i].deleted)
			continue;
		(*n)++;
		*size += m[i].size;
	}
}

void pop3_leave(struct pop3_session *s)
{
	if (s->opened)
		s->policy->close(s->policy->arg);
	s->opened = false;
	buf_free(&s->messages);
}

int pop3_enter(struct pop3_session *s, struct err *err)
{
	struct err why = ERR_INIT;
	size_t n;
	uint64_t size;

	s->opened = true;
	if (s->policy->open(s->policy->arg, &s->uidvalidity, &why) < 0 || load(s, &why) < 0) {
		pop3_leave(s);
		if (why.kind == ERR_CANCELED) {
			*err = why;
			return -1;
		}
		/* RFC 2449 8.1.2 */
		if (why.kind == ERR_EXISTS)
			return pop3_err(s, "[IN-USE] ", "another session has this mailbox open");
		return pop3_fault(s, &why);
	}
	s->state = POP3_TRANSACTION;
	s->errors = 0;
	count(s, &n, &size);
	conn_writef(s->c, "+OK %zu messages (%" PRIu64 " octets)\r\n", n, size);
	return 0;
}

/* The message that an argument names; NULL, and the client has been told, when there is none. */
static struct pop3_message *find_message(struct pop3_session *s, struct str arg)
{
	struct pop3_message *m;
	uint64_t number;

	if (!str_u64(arg, UINT32_MAX, &number)) {
		pop3_err(s, "", "expected a message number");
		return NULL;
	}
	if (number == 0 || number > message_count(s)) {
		pop3_err(s, "", "no such message");
		return NULL;
	}
	m = &messages(s)[number - 1];
	if (m->deleted) {
		pop3_err(s, "", "that message is marked as deleted");
		return NULL;
	}
	return m;
}

int pop3_do_stat(struct pop3_session *s, struct str arg, struct err *err)
{
	size_t n;
	uint64_t size;

	if (arg.n)
		return pop3_err(s, "", "STAT takes no argument");
	count(s, &n, &size);
	s->errors = 0;
	conn_writef(s->c, "+OK %zu %" PRIu64 "\r\n", n, size);
	return 0;
}

/* One line of LIST or UIDL, without its beginning. */
typedef void scan_line(struct pop3_session *s, size_t number, const struct pop3_message *m);

static void list_line(struct pop3_session *s, size_t number, const struct pop3_message *m)
{
	conn_writef(s->c, "%zu %" PRIu64 "\r\n", number, m->size);
}

/* RFC 1939 7: unique within the mailbox for ever; a UID never comes back under the same
 * UIDVALIDITY. */
static void uidl_line(struct pop3_session *s, size_t number, const struct pop3_message *m)
{
	conn_writef(s->c, "%zu %" PRIu32 ".%" PRIu32 "\r\n", number, s->uidvalidity, m->uid);
}

static int scan(struct pop3_session *s, struct str arg, scan_line *line)
{
	const struct pop3_message *m;

	if (arg.n) {
		m = find_message(s, arg);
		if (!m)
			return 0;
		s->errors = 0;
		conn_write(s->c, STR("+OK "));
		line(s, (size_t)(m - messages(s)) + 1, m);
		return 0;
	}
	pop3_ok(s, "the list follows");
	m = messages(s);
	for (size_t i = 0; i < message_count(s); i++) {
		/* A long list keeps the connection alive as long as the client takes some of it. */
		if (i % 1024 == 0)
			conn_deadline(s->c, clock_after(s->config->idle));
		if (!m[i].deleted)
			line(s, i + 1, &m[i]);
	}
	conn_write(s->c, STR(".\r\n"));
	return 0;
}

int pop3_do_list(struct pop3_session *s, struct str arg, struct err *err)
{
	return scan(s, arg, list_line);
}

int pop3_do_uidl(struct pop3_session *s, struct str arg, struct err *err)
{
	return scan(s, arg, uidl_line);
}

int pop3_do_retr(struct pop3_session *s, struct str arg, struct err *err)
{
	const struct pop3_message *m = find_message(s, arg);

	if (!m)
		return 0;
	return pop3_send_message(s, m, -1, err);
}

int pop3_do_top(struct pop3_session *s, struct str arg, struct err *err)
{
	const struct pop3_message *m;
	struct str number, lines;
	uint64_t n;

	if (!str_cut(arg, ' ', &number, &lines) || !str_u64(lines, UINT32_MAX, &n))
		return pop3_err(s, "", "expected a message number and a number of lines");
	m = find_message(s, number);
	if (!m)
		return 0;
	return pop3_send_message(s, m, (int64_t)n, err);
}

int pop3_do_dele(struct pop3_session *s, struct str arg, struct err *err)
{
	struct pop3_message *m = find_message(s, arg);

	if (!m)
		return 0;
	m->deleted = true;
	return pop3_ok(s, "marked as deleted");
}

int pop3_do_noop(struct pop3_session *s, struct str arg, struct err *err)
{
	if (arg.n)
		return pop3_err(s, "", "NOOP takes no argument");
	return pop3_ok(s, "still here");
}

int pop3_do_rset(struct pop3_session *s, struct str arg, struct err *err)
{
	if (arg.n)
		return pop3_err(s, "", "RSET takes no argument");
	for (size_t i = 0; i < message_count(s); i++)
		messages(s)[i].deleted = false;
	return pop3_ok(s, "nothing is marked as deleted");
}

/* RFC 1939 6: the UPDATE state. */
static int update(struct pop3_session *s, struct err *err)
{
	const struct pop3_message *m = messages(s);
	uint32_t *uids = NULL;
	size_t n = 0;
	int r = 0;

	for (size_t i = 0; i < message_count(s); i++)
		n += m[i].deleted;
	if (n == 0)
		return 0;
	uids = malloc(n * sizeof *uids);
	if (!uids)
		return err_set(err, ERR_TEMP, "out of memory");
	n = 0;
	for (size_t i = 0; i < message_count(s); i++)
		if (m[i].deleted)
			uids[n++] = m[i].uid;
	r = s->policy->remove(s->policy->arg, uids, n, err);
	free(uids);
	return r;
}

int pop3_do_quit(struct pop3_session *s, struct str arg, struct err *err)
{
	struct err why = ERR_INIT;

	if (arg.n)
		return pop3_err(s, "", "QUIT takes no argument");
	s->done = true;
	if (s->state == POP3_TRANSACTION && update(s, &why) < 0)
		return pop3_err(s, "[SYS/TEMP] ", "some deleted messages were not removed");
	return pop3_ok(s, "goodbye");
}
