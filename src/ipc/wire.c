/* wire.c - frames and descriptors on a Unix stream socket, without waiting. */
#include "ipc/channel_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union fd_space {
	struct cmsghdr head; /* for its alignment */
	char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
};

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(v >> (8 * i));
}

static uint32_t get32(const char *p)
{
	uint32_t v = 0;

	for (int i = 0; i < 4; i++)
		v |= (uint32_t)(unsigned char)p[i] << (8 * i);
	return v;
}

size_t wire_pending(const struct wire_out *w)
{
	return w->n - w->sent;
}

/* ---- out ---- */

static void release(struct wire_out *w)
{
	if (w->secret && w->p)
		explicit_bzero(w->p, w->cap);
	free(w->p);
	w->p = NULL;
	w->cap = 0;
	w->secret = false;
}

/* Room for a whole frame at the end. realloc would leave a copy of a secret behind. */
static int make_room(struct wire_out *w, struct err *err)
{
	size_t pending = wire_pending(w);
	size_t cap = w->cap ? w->cap : 2 * FRAME_MAX;
	bool secret = w->secret;
	char *p;

	if (w->cap - w->n >= FRAME_MAX)
		return 0;
	if (pending > PENDING_MAX)
		return err_set(err, ERR_CLOSED, "the peer does not read");
	while (cap - pending < FRAME_MAX)
		cap *= 2;
	p = malloc(cap);
	if (!p)
		return err_set(err, ERR_TEMP, "out of memory for a channel");
	if (pending)
		memcpy(p, w->p + w->sent, pending);
	release(w);
	w->p = p;
	w->cap = cap;
	w->n = pending;
	w->sent = 0;
	w->secret = secret;
	return 0;
}

int wire_begin(struct wire_out *w, struct buf *body, struct err *err)
{
	if (make_room(w, err) < 0)
		return -1;
	*body = (struct buf){ .p = w->p + w->n + FRAME_HEAD, .cap = MSG_MAX, .max = MSG_MAX };
	return 0;
}

int wire_end(struct wire_out *w, const struct buf *body, uint16_t type, uint32_t seq, bool secret,
	int fd, struct err *err)
{
	char *head = w->p + w->n;

	w->secret |= secret;
	if (!buf_ok(body))
		return err_set(err, ERR_LIMIT, "a message is over its limits");
	if (fd >= 0 && w->fd_count == FDS_MAX)
		return err_set(err, ERR_LIMIT, "too many descriptors on their way");
	if (fd >= 0) {
		w->fds[w->fd_count].at = w->total + wire_pending(w);
		w->fds[w->fd_count++].fd = fd;
	}
	put32(head, (uint32_t)body->n);
	put32(head + 4, type);
	put32(head + 8, seq);
	w->n += FRAME_HEAD + body->n;
	return 0;
}

/* How many bytes one sendmsg may carry: a descriptor travels with the first byte of its message, so
 * a piece ends where the next descriptor's message begins. */
static size_t piece(const struct wire_out *w, bool with_fd)
{
	size_t n = wire_pending(w);
	size_t i = with_fd ? 1 : 0;

	if (i < w->fd_count && w->fds[i].at - w->total < n)
		n = (size_t)(w->fds[i].at - w->total);
	return n;
}

static ssize_t send_piece(struct wire_out *w, int fd)
{
	bool with_fd = w->fd_count && w->fds[0].at == w->total;
	struct iovec iov = { w->p + w->sent, piece(w, with_fd) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	union fd_space space = { .bytes = { 0 } };
	ssize_t r;

	if (with_fd) {
		struct cmsghdr *c = &space.head;

		m.msg_control = &space;
		m.msg_controllen = CMSG_SPACE(sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &w->fds[0].fd, sizeof(int));
	}
	r = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r > 0 && with_fd) {
		close(w->fds[0].fd);
		w->fd_count--;
		memmove(w->fds, w->fds + 1, w->fd_count * sizeof w->fds[0]);
	}
	return r;
}

int wire_send(struct wire_out *w, int fd, struct err *err)
{
	while (wire_pending(w)) {
		ssize_t r = send_piece(w, fd);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return 0;
		if (r <= 0)
			return err_set(err, ERR_CLOSED, "the peer has gone");
		w->sent += (size_t)r;
		w->total += (size_t)r;
	}
	if (w->secret)
		explicit_bzero(w->p, w->n);
	w->secret = false;
	w->n = w->sent = 0;
	if (w->cap > 4 * FRAME_MAX)
		release(w);
	return 1;
}

void wire_out_free(struct wire_out *w)
{
	for (size_t i = 0; i < w->fd_count; i++)
		close(w->fds[i].fd);
	w->fd_count = 0;
	release(w);
	w->n = w->sent = 0;
}

/* ---- in ---- */

static int keep_fds(struct wire_in *w, struct msghdr *m, struct err *err)
{
	bool bad = m->msg_flags & MSG_CTRUNC;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		size_t count;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
			if (w->fd_count < FDS_MAX) {
				w->fds[w->fd_count++] = fd;
			} else {
				close(fd);
				bad = true;
			}
		}
	}
	return bad ? err_set(err, ERR_PROTO, "too many descriptors") : 0;
}

static int room_in(struct wire_in *w, struct err *err)
{
	if (!w->p)
		w->p = malloc(IN_SIZE);
	if (!w->p)
		return err_set(err, ERR_TEMP, "out of memory for a channel");
	if (w->start) {
		size_t left = w->n - w->start;
		size_t stale = w->start > left ? w->start : left;

		memmove(w->p, w->p + w->start, left);
		explicit_bzero(w->p + stale, w->n - stale); /* it may be half a secret */
		w->n = left;
		w->start = 0;
	}
	return 0;
}

int wire_receive(struct wire_in *w, int fd, struct err *err)
{
	struct iovec iov;
	union fd_space space;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t r;

	if (room_in(w, err) < 0)
		return -1;
	m.msg_control = &space;
	m.msg_controllen = sizeof space;
	iov = (struct iovec){ w->p + w->n, IN_SIZE - w->n };
	do
		r = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (r < 0 && errno == EINTR);
	if (r < 0 && errno == EAGAIN)
		return 0;
	if (r <= 0)
		return err_set(err, ERR_CLOSED, "the peer has gone");
	w->n += (size_t)r;
	return keep_fds(w, &m, err) < 0 ? -1 : 1;
}

int wire_next(struct wire_in *w, struct frame *f, struct err *err)
{
	const char *head = w->p + w->start;
	size_t have = w->n - w->start;
	uint32_t length, type;

	if (have == 0 && w->fd_count)
		return err_set(err, ERR_PROTO, "a descriptor without a message");
	if (have < FRAME_HEAD)
		return 0;
	length = get32(head);
	type = get32(head + 4);
	if (length > MSG_MAX || type > 0xffff)
		return err_set(err, ERR_PROTO, "malformed frame");
	if (have - FRAME_HEAD < length)
		return 0;
	*f = (struct frame){ (uint16_t)type, get32(head + 8), { head + FRAME_HEAD, length } };
	w->start += FRAME_HEAD + length;
	return 1;
}

int wire_take_fd(struct wire_in *w)
{
	int fd;

	if (w->fd_count == 0)
		return -1;
	fd = w->fds[0];
	w->fd_count--;
	memmove(w->fds, w->fds + 1, w->fd_count * sizeof w->fds[0]);
	return fd;
}

void wire_wipe(struct wire_in *w, const struct frame *f)
{
	explicit_bzero(w->p + (f->body.p - w->p), f->body.n);
}

void wire_in_free(struct wire_in *w)
{
	for (size_t i = 0; i < w->fd_count; i++)
		close(w->fds[i]);
	w->fd_count = 0;
	free(w->p);
	w->p = NULL;
	w->n = w->start = 0;
}
