/* raw.c - the transports: a socket, or memory. */
#include "net/conn_private.h"
#include "net/endpoint_private.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

int conn_fail(struct conn *c, enum err_kind kind, const char *what)
{
	if (!c->failed)
		err_set(&c->why, kind, "%s", what);
	c->failed = true;
	return IO_FAILED;
}

static ssize_t socket_failed(struct conn *c, const char *what)
{
	char text[160];

	if (errno == EAGAIN)
		return IO_AGAIN;
	snprintf(text, sizeof text, "%s: %s", what, strerror(errno));
	return conn_fail(c, errno == ENOMEM || errno == ENOBUFS ? ERR_TEMP : ERR_CLOSED, text);
}

static ssize_t memory_read(struct conn *c, char *p, size_t n)
{
	size_t left = c->source.n - c->source_at;

	if (n > left)
		n = left;
	if (c->chunk && n > c->chunk)
		n = c->chunk;
	if (n)
		memcpy(p, c->source.p + c->source_at, n);
	c->source_at += n;
	c->bytes_in += n;
	return (ssize_t)n;
}

/* Nothing is taken, so the next read or peek must come at once. */
ssize_t conn_raw_peek(struct conn *c, char *p, size_t n)
{
	ssize_t got;

	if (c->fd < 0) {
		size_t at = c->source_at;
		uint64_t in = c->bytes_in;

		got = memory_read(c, p, n);
		c->source_at = at;
		c->bytes_in = in;
		return got;
	}
	do
		got = recv(c->fd, p, n, MSG_PEEK);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		c->readable = false;
	return got < 0 ? socket_failed(c, "read") : got;
}

ssize_t conn_raw_read(struct conn *c, char *p, size_t n)
{
	ssize_t got;

	if (c->fd < 0)
		return memory_read(c, p, n);
	do
		got = recv(c->fd, p, n, 0);
	while (got < 0 && errno == EINTR);
	if (got < 0 && errno == EAGAIN)
		c->readable = false;
	if (got < 0)
		return socket_failed(c, "read");
	/* TCP gives all it has, so less than asked for means that there is no more. */
	if (c->tcp && (size_t)got < n)
		c->readable = false;
	c->bytes_in += (size_t)got;
	return got;
}

ssize_t conn_raw_write(struct conn *c, struct str s)
{
	ssize_t sent;

	do
		sent = send(c->fd, s.p, s.n, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0)
		return socket_failed(c, "write");
	c->bytes_out += (size_t)sent;
	return sent;
}

/* ---- names ---- */

void conn_names(struct conn *c)
{
	struct endpoint a = { .u.any.sa_family = AF_UNIX, .len = sizeof a.u };
	const int on = 1;

	if (c->fd < 0) {
		snprintf(c->peer, sizeof c->peer, "memory");
		snprintf(c->local, sizeof c->local, "memory");
		return;
	}
	getpeername(c->fd, &a.u.any, &a.len);
	c->peer_port = endpoint_print(&a, c->peer, sizeof c->peer);
	a = (struct endpoint){ .u.any.sa_family = AF_UNIX, .len = sizeof a.u };
	getsockname(c->fd, &a.u.any, &a.len);
	endpoint_print(&a, c->local, sizeof c->local);
	c->tcp = a.u.any.sa_family != AF_UNIX;
	/* We gather ourselves; the kernel's waiting would only add to it. */
	if (c->tcp)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
