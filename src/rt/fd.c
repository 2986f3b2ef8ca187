/* fd.c - which descriptors are ready, and who waits for them. */
#include "rt/rt_private.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

/* Each descriptor is registered once, edge-triggered, so what epoll reports is remembered here
 * until somebody takes it. The generation tells a late report for a closed descriptor
 * from one for its successor. */
struct fd_state {
	struct task *reader, *writer;
	uint32_t generation;
	unsigned char ready; /* reported and not taken */
	unsigned char stays; /* the peer's end of stream is true for good */
	bool watched;
};

static struct fd_state *fds;
static size_t fds_len;

static struct fd_state *state_of(int fd)
{
	return fd >= 0 && (size_t)fd < fds_len ? &fds[fd] : NULL;
}

static int grow(int fd, struct err *err)
{
	size_t want = (size_t)fd + 1, len = fds_len ? fds_len : 64;
	struct fd_state *p;

	if (want <= fds_len)
		return 0;
	while (len < want)
		len *= 2;
	p = reallocarray(fds, len, sizeof *p);
	if (!p)
		return err_set(err, ERR_TEMP, "out of memory for descriptor %d", fd);
	for (size_t i = fds_len; i < len; i++)
		p[i] = (struct fd_state){ 0 };
	fds = p;
	fds_len = len;
	return 0;
}

int fd_watch(int fd, struct err *err)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET };
	struct fd_state *s;

	if (!rt.running || fd < 0)
		return err_set(err, ERR_TEMP, "cannot watch descriptor %d: %s", fd,
			fd < 0 ? "it is not open" : "no loop is running");
	if (grow(fd, err) < 0)
		return -1;
	s = state_of(fd);
	s->generation++;
	s->ready = s->stays = 0;
	ev.data.u64 = (uint64_t)s->generation << 32 | (uint32_t)fd;
	/* Already there only if it was closed without fd_forget and a copy of it lives on. */
	if (epoll_ctl(rt.epoll, EPOLL_CTL_ADD, fd, &ev) < 0 &&
		(errno != EEXIST || epoll_ctl(rt.epoll, EPOLL_CTL_MOD, fd, &ev) < 0))
		return err_sys(err, "watch", "descriptor");
	s->watched = true;
	return 0;
}

void fd_forget(int fd)
{
	struct fd_state *s = state_of(fd);

	if (!s || !s->watched)
		return;
	epoll_ctl(rt.epoll, EPOLL_CTL_DEL, fd, NULL);
	s->watched = false;
	s->generation++;
	s->ready = s->stays = 0;
	if (s->reader)
		task_wake(s->reader);
	if (s->writer)
		task_wake(s->writer);
	s->reader = s->writer = NULL; /* the number may serve another descriptor before they run */
}

uint32_t fd_generation(int fd)
{
	const struct fd_state *s = state_of(fd);

	return s ? s->generation : 0;
}

int fd_take(int fd, int events)
{
	struct fd_state *s = state_of(fd);
	int got = s ? s->ready & events : 0;

	if (got)
		s->ready = (unsigned char)((s->ready & ~got) | s->stays);
	return got;
}

int fd_wait_begin(struct task *t, int fd, int events, struct err *err)
{
	struct fd_state *s = state_of(fd);

	if (!s || !s->watched)
		return err_set(err, ERR_CLOSED, "descriptor %d is not watched", fd);
	if (((events & WAIT_READ) && s->reader) || ((events & WAIT_WRITE) && s->writer))
		task_bug("two tasks wait for the same descriptor");
	if (events & WAIT_READ)
		s->reader = t;
	if (events & WAIT_WRITE)
		s->writer = t;
	t->fd = fd;
	t->events = (unsigned char)events;
	return 0;
}

void fd_wait_end(struct task *t)
{
	struct fd_state *s = state_of(t->fd);

	if (s && s->reader == t)
		s->reader = NULL;
	if (s && s->writer == t)
		s->writer = NULL;
	t->fd = -1;
}

void fd_ready(uint64_t tag, uint32_t events)
{
	struct fd_state *s = state_of((int)(uint32_t)tag);

	if (!s || !s->watched || s->generation != (uint32_t)(tag >> 32))
		return;
	if (events & EPOLLRDHUP)
		s->stays = WAIT_READ | (events & EPOLLHUP ? WAIT_WRITE : 0);
	s->ready |= s->stays;
	if (events & (EPOLLERR | EPOLLHUP))
		s->ready |= WAIT_READ | WAIT_WRITE;
	if (events & EPOLLIN)
		s->ready |= WAIT_READ;
	if (events & EPOLLOUT)
		s->ready |= WAIT_WRITE;
	if (s->reader && (s->ready & WAIT_READ))
		task_wake(s->reader);
	if (s->writer && (s->ready & WAIT_WRITE))
		task_wake(s->writer);
}

void fd_table_free(void)
{
	free(fds);
	fds = NULL;
	fds_len = 0;
}
