/* raw.c - the transports: a socket, or memory. */
#include "net/conn_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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

	if (errno == EAGAIN || errno == EWOULDBLOCK)
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

ssize_t conn_raw_read(struct conn *c, char *p, size_t n)
{
	ssize_t got;

	if (c->fd < 0)
		return memory_read(c, p, n);
	do
		got = recv(c->fd, p, n, 0);
	while (got < 0 && errno == EINTR);
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

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
	struct sockaddr_storage room;
};

/* An IPv4 client of an IPv6 socket is an IPv4 client. */
static uint16_t print_address(const union address *a, char *text, socklen_t size)
{
	if (a->any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->v4.sin_addr, text, size);
		return ntohs(a->v4.sin_port);
	}
	if (a->any.sa_family == AF_INET6) {
		if (IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
			inet_ntop(AF_INET, a->v6.sin6_addr.s6_addr + 12, text, size);
		else
			inet_ntop(AF_INET6, &a->v6.sin6_addr, text, size);
		return ntohs(a->v6.sin6_port);
	}
	snprintf(text, size, "%s", "unix");
	return 0;
}

void conn_names(struct conn *c)
{
	union address a = { .any.sa_family = AF_UNIX };
	socklen_t n = sizeof a;
	const int on = 1;

	if (c->fd < 0) {
		snprintf(c->peer, sizeof c->peer, "memory");
		snprintf(c->local, sizeof c->local, "memory");
		return;
	}
	getpeername(c->fd, &a.any, &n);
	c->peer_port = print_address(&a, c->peer, sizeof c->peer);
	a = (union address){ .any.sa_family = AF_UNIX };
	n = sizeof a;
	getsockname(c->fd, &a.any, &n);
	print_address(&a, c->local, sizeof c->local);
	c->tcp = a.any.sa_family == AF_INET || a.any.sa_family == AF_INET6;
	/* We gather ourselves; the kernel's waiting would only add to it. */
	if (c->tcp)
		setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}
