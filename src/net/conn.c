#include "net/conn_private.h"

#include "base/clock.h"
#include "crypto/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GOODBYE (10 * CLOCK_SEC) /* for conn_shutdown, whatever the deadline */
#define WRITE_PATIENCE (120 * CLOCK_SEC)
#define MEMORY_MAX ((size_t)256 << 20)
#define DROP_MAX ((size_t)64 << 10) /* of an overlong line, before it is an attack */

/* ---- life ---- */

static struct conn *conn_new(int fd)
{
	struct conn *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->fd = fd;
	c->in = BUF(CONN_HOLD);
	c->out = BUF(fd < 0 ? MEMORY_MAX : 2 * CONN_GATHER);
	c->source = BUF(MEMORY_MAX);
	c->deadline = NEVER;
	c->write_patience = WRITE_PATIENCE;
	budget_init(&c->budget);
	c->readable = true;
	return c;
}

struct conn *conn_socket(int fd)
{
	struct conn *c = conn_new(fd);
	struct err err;

	if (!c || fd_watch(fd, &err) < 0) {
		free(c);
		close(fd);
		return NULL;
	}
	conn_names(c);
	return c;
}

struct conn *conn_mem(struct str input, size_t chunk)
{
	struct conn *c = conn_new(-1);

	if (!c)
		return NULL;
	c->chunk = chunk;
	buf_add(&c->source, input);
	conn_names(c);
	return c;
}

struct str conn_mem_output(const struct conn *c)
{
	return buf_str(&c->out);
}

void conn_mem_feed(struct conn *c, struct str more)
{
	buf_drop(&c->source, c->source_at);
	c->source_at = 0;
	buf_add(&c->source, more);
	c->ended = false;
}

/* Passwords pass through here. */
static void wipe_and_free(struct buf *b, size_t used)
{
	if (b->p)
		explicit_bzero(b->p, used);
	buf_free(b);
}

void conn_count_memory(struct conn *c)
{
	size_t now = c->in.cap + c->out.cap + (c->tls ? CONN_TLS : 0);

	if (now > c->held)
		budget_charge(&c->budget, BUDGET_MEMORY, now - c->held);
	else
		budget_give_back(&c->budget, BUDGET_MEMORY, c->held - now);
	c->held = now;
}

void conn_release_input(struct conn *c)
{
	wipe_and_free(&c->in, c->in_used);
	c->in_at = c->in_used = 0;
	c->in.max = CONN_HOLD;
	conn_count_memory(c);
}

void conn_release_output(struct conn *c)
{
	wipe_and_free(&c->out, c->out.cap);
	conn_count_memory(c);
}

void conn_free(struct conn **conn)
{
	struct conn *c = *conn;

	if (!c)
		return;
	if (c->fd >= 0) {
		fd_forget(c->fd);
		close(c->fd);
	}
	conn_release_input(c);
	conn_release_output(c);
	buf_free(&c->source);
	tls_free(&c->tls);
	free(c);
	*conn = NULL;
}

void conn_deadline(struct conn *c, int64_t deadline)
{
	c->deadline = deadline;
}

void conn_write_patience(struct conn *c, int64_t patience)
{
	c->write_patience = patience;
}

struct budget *conn_budget(struct conn *c)
{
	return &c->budget;
}

/* ---- moving bytes, waiting where it must be ---- */

int conn_keep_failure(const struct conn *c, struct err *err)
{
	*err = c->why;
	return -1;
}

int conn_wait_io(struct conn *c, int events, struct signal *sig, int64_t deadline, struct err *err)
{
	int got = task_wait(c->fd, events, sig, deadline, err);

	if (got > 0 && got & WAIT_READ)
		c->readable = true;
	return got;
}

/* Room to write, or the peer has stopped reading. */
static int wait_room(struct conn *c, struct err *err)
{
	int64_t patience = clock_after(c->write_patience);

	return conn_wait_io(
		c, WAIT_WRITE, NULL, patience < c->deadline ? patience : c->deadline, err);
}

int conn_send(struct conn *c, struct str s, size_t *sent, struct err *err)
{
	*sent = 0;
	while (*sent < s.n) {
		ssize_t n = conn_raw_write(c, str_from(s, *sent));

		if (n == IO_FAILED)
			return conn_keep_failure(c, err);
		if (n == IO_AGAIN) {
			if (wait_room(c, err) < 0)
				return -1;
			continue;
		}
		*sent += (size_t)n;
		if (task_breathe(c->deadline, err) < 0)
			return -1;
	}
	return 0;
}

/* Send what has gathered. */
int conn_flush(struct conn *c, struct err *err)
{
	size_t sent;
	int r;

	if (c->failed)
		return conn_keep_failure(c, err);
	if (c->tls)
		return conn_flush_tls(c, err);
	if (c->fd < 0 || c->out.n == 0)
		return 0;
	r = conn_send(c, buf_str(&c->out), &sent, err);
	if (sent == c->out.n)
		conn_release_output(c);
	else
		buf_drop(&c->out, sent);
	return r;
}

/* One try to add to the input: a count, IO_END, IO_AGAIN or IO_FAILED. */
static ssize_t pull(struct conn *c)
{
	size_t room = c->in.max - (c->in.n - c->in_at);
	ssize_t n;
	char *p;

	if (c->ended)
		return IO_END;
	if (!c->readable && !c->tls)
		return IO_AGAIN;
	if (c->in_at) {
		buf_drop(&c->in, c->in_at);
		c->in_at = 0;
	}
	p = buf_room(&c->in, room < CONN_ROOM ? room : CONN_ROOM);
	if (!p)
		return conn_fail(c, ERR_TEMP, "out of memory for input");
	conn_count_memory(c);
	n = conn_plain_read(c, p, room < CONN_ROOM ? room : CONN_ROOM);
	if (n == IO_END)
		c->ended = true;
	if (n <= 0)
		return n;
	buf_grew(&c->in, (size_t)n);
	budget_charge(&c->budget, BUDGET_INPUT, (uint64_t)n);
	if (c->in.n > c->in_used)
		c->in_used = c->in.n;
	return n;
}

int conn_fill(struct conn *c, struct err *err)
{
	if (c->failed)
		return conn_keep_failure(c, err);
	if (conn_buffered(c) >= c->in.max)
		return err_set(err, ERR_LIMIT, "more than %zu bytes of input", c->in.max);
	for (;;) {
		ssize_t n = pull(c);

		if (n > 0)
			return task_breathe(c->deadline, err);
		if (n == IO_FAILED)
			return conn_keep_failure(c, err);
		if (n == IO_END)
			return err_set(err, ERR_CLOSED, "the connection was closed");
		if (conn_flush(c, err) < 0 || task_breathe(c->deadline, err) < 0)
			return -1;
		if (c->readable) /* only TLS had something to do */
			continue;
		if (conn_buffered(c) == 0)
			conn_release_input(c);
		if (conn_wait_io(c, WAIT_READ, NULL, c->deadline, err) < 0)
			return -1;
	}
}

int conn_wait(struct conn *c, struct signal *sig, int64_t deadline, struct err *err)
{
	if (deadline > c->deadline)
		deadline = c->deadline;
	if (c->fd < 0 && sig && sig->raised && !conn_buffered(c)) {
		sig->raised = false;
		return WAIT_SIGNAL;
	}
	for (;;) {
		int got;

		if (conn_buffered(c) || pull(c) != IO_AGAIN) {
			/* An end or a failure counts as input: the next read reports it. */
			return WAIT_READ;
		}
		if (conn_flush(c, err) < 0 || task_breathe(deadline, err) < 0)
			return -1;
		if (c->readable)
			continue;
		conn_release_input(c);
		got = conn_wait_io(c, WAIT_READ, sig, deadline, err);
		if (got < 0)
			return -1;
		if (got & WAIT_SIGNAL)
			return WAIT_SIGNAL;
	}
}

/* ---- reading ---- */

size_t conn_buffered(const struct conn *c)
{
	return c->in.n - c->in_at;
}

struct str conn_peek(const struct conn *c)
{
	return str_from(buf_str(&c->in), c->in_at);
}

void conn_take(struct conn *c, size_t n)
{
	size_t have = conn_buffered(c);

	c->in_at += n < have ? n : have;
}

/* Look for the end of the line in s. 1: *len bytes and an ending of *skip bytes. 0: not yet, and
 * *len bytes are certainly part of the line. -1: an ending that is not allowed. What it
 * says does not depend on how the bytes were cut into reads. */
static int find_end(struct str s, enum line_end end, size_t *len, size_t *skip)
{
	size_t lf = str_find(s, '\n');
	bool crlf = lf > 0 && lf < s.n && s.p[lf - 1] == '\r';
	size_t text = crlf ? lf - 1 : lf;

	*len = text;
	*skip = crlf ? 2 : 1;
	if (lf == s.n && lf > 0 && s.p[lf - 1] == '\r')
		*len = text = lf - 1; /* this CR may become an ending */
	if (end == LINE_CRLF) {
		/* RFC 5321 2.3.8: CR and LF only ever together. */
		if (lf < s.n && !crlf)
			return -1;
		if (str_find(str_head(s, text), '\r') < text)
			return -1;
	}
	return lf < s.n;
}

static int bad_ending(struct err *err)
{
	return err_set(err, ERR_PROTO, "a line ended in a bare CR or LF");
}

/* The line is too long by what is known already: drop it up to its end. */
static int drop_line(struct conn *c, size_t max, enum line_end end, struct err *err)
{
	size_t dropped = 0, len, skip;

	for (;;) {
		int found = find_end(conn_peek(c), end, &len, &skip);

		if (found < 0)
			return bad_ending(err);
		dropped += len;
		if (dropped > max + DROP_MAX)
			return err_set(
				err, ERR_PROTO, "a line of more than %zu bytes", max + DROP_MAX);
		conn_take(c, found ? len + skip : len);
		if (found)
			return err_set(err, ERR_LIMIT, "a line of more than %zu bytes", max);
		if (conn_fill(c, err) < 0)
			return -1;
	}
}

int conn_read_line(struct conn *c, size_t max, enum line_end end, struct str *line, struct err *err)
{
	size_t len, skip, seen = 0;

	if (c->in.max < max + 2)
		c->in.max = max + 2;
	for (;;) {
		struct str have = conn_peek(c);
		int found;

		/* Look only at what is new, and at the byte before, which may be a CR. */
		if (seen)
			seen--;
		found = find_end(str_from(have, seen), end, &len, &skip);
		len += seen;
		if (found < 0)
			return bad_ending(err);
		if (len > max)
			return drop_line(c, max, end, err);
		if (found) {
			*line = str_head(have, len);
			conn_take(c, len + skip);
			return 0;
		}
		seen = have.n;
		if (conn_fill(c, err) < 0)
			return -1;
	}
}

int conn_read_some(struct conn *c, size_t max, struct str *some, struct err *err)
{
	if (conn_buffered(c) == 0 && conn_fill(c, err) < 0)
		return -1;
	*some = str_head(conn_peek(c), max);
	conn_take(c, some->n);
	return 0;
}

int conn_read_full(struct conn *c, char *p, size_t n, struct err *err)
{
	while (n) {
		struct str some;

		if (conn_read_some(c, n, &some, err) < 0)
			return -1;
		memcpy(p, some.p, some.n);
		p += some.n;
		n -= some.n;
	}
	return 0;
}

/* ---- writing ---- */

/* Make room by sending, if need be. */
static void gathered(struct conn *c)
{
	struct err err;

	conn_count_memory(c);
	if (c->fd < 0 || c->out.n < CONN_GATHER || c->failed)
		return;
	if (conn_flush(c, &err) < 0 && !c->failed) {
		c->why = err;
		c->failed = true;
	}
}

void conn_write(struct conn *c, struct str s)
{
	while (s.n && !c->failed) {
		struct str part = c->fd < 0 ? s : str_head(s, CONN_GATHER);

		buf_add(&c->out, part);
		if (!buf_ok(&c->out))
			conn_fail(c, ERR_TEMP, "out of memory for output");
		s = str_from(s, part.n);
		gathered(c);
	}
}

void conn_writef(struct conn *c, const char *fmt, ...)
{
	va_list ap;

	if (c->failed)
		return;
	va_start(ap, fmt);
	buf_vaddf(&c->out, fmt, ap);
	va_end(ap);
	if (!buf_ok(&c->out))
		conn_fail(c, ERR_LIMIT, "more output than there is room for");
	gathered(c);
}

void conn_shutdown(struct conn *c)
{
	int64_t before = c->deadline, soon = clock_after(GOODBYE);
	struct err err;

	if (soon < c->deadline)
		c->deadline = soon;
	if (conn_flush(c, &err) == 0 && c->tls) {
		tls_close(c->tls);
		conn_flush(c, &err);
	}
	if (c->fd >= 0)
		shutdown(c->fd, SHUT_WR);
	c->deadline = before;
}

/* ---- looking at it ---- */

struct str conn_peer(const struct conn *c)
{
	return str_c(c->peer);
}

uint16_t conn_peer_port(const struct conn *c)
{
	return c->peer_port;
}

void conn_set_peer(struct conn *c, struct str address, uint16_t port)
{
	snprintf(c->peer, sizeof c->peer, STR_F, STR_A(address));
	c->peer_port = port;
}

struct str conn_proxy(const struct conn *c)
{
	return str_c(c->proxy);
}

struct str conn_local(const struct conn *c)
{
	return str_c(c->local);
}

uint64_t conn_bytes_in(const struct conn *c)
{
	return c->bytes_in;
}

uint64_t conn_bytes_out(const struct conn *c)
{
	return c->fd < 0 ? c->out.n : c->bytes_out;
}
