#include "net/listen.h"

#include "base/clock.h"
#include "net/endpoint_private.h"
#include "rt/task.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BACKLOG 1024
#define FULL_PAUSE (100 * CLOCK_MSEC) /* when descriptors have run out */

/* ---- opening ---- */

/* What the address may look like, and whether it means every address. */
static int parse_where(struct endpoint *a, struct str where, bool *every, struct err *err)
{
	struct str host, port;
	uint64_t number;

	*every = false;
	if (str_starts(where, STR("unix:")))
		return endpoint_parse(a, where, 0, err);
	if (!str_rcut(where, ':', &host, &port) || !str_u64(port, 65535, &number))
		return err_set(err, ERR_PERM,
			"listen on \"" STR_F "\": expected ADDRESS:PORT, [ADDRESS]:PORT, "
			"*:PORT or unix:PATH",
			STR_A(str_head(where, 80)));
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = str_head(str_from(host, 1), host.n - 2);
	*every = str_eq(host, STR("*"));
	if (*every)
		host = STR("::");
	if (endpoint_parse(a, host, (uint16_t)number, err) < 0)
		return err_wrap(err, "listen on \"" STR_F "\"", STR_A(str_head(where, 80)));
	return 0;
}

static const char *advice(int no)
{
	switch (no) {
	case EADDRINUSE:
		return "; another program listens there: stop it or choose another port";
	case EACCES:
		return "; this needs root or the capability to bind low ports";
	case EADDRNOTAVAIL:
		return "; this machine does not have that address";
	default:
		return "";
	}
}

/* A socket file stays behind when its server dies: nobody answers on it then. */
static void remove_stale(const struct endpoint *a)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (connect(fd, &a->u.any, a->len) < 0 && errno == ECONNREFUSED)
		unlink(a->u.un.sun_path);
	close(fd);
}

static int try_listen(const struct endpoint *a, bool every)
{
	const int on = 1, v6only = !every;
	int family = a->u.any.sa_family, no;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (family != AF_UNIX)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof v6only);
	if (bind(fd, &a->u.any, a->len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	no = errno;
	close(fd);
	errno = no;
	return -1;
}

int listen_open(struct str where, int *fd, struct err *err)
{
	struct endpoint a;
	bool every;
	int s;

	if (parse_where(&a, where, &every, err) < 0)
		return -1;
	if (a.u.any.sa_family == AF_UNIX)
		remove_stale(&a);
	s = try_listen(&a, every);
	if (s < 0 && every && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL)) {
		/* A machine without IPv6. */
		uint16_t port = a.u.v6.sin6_port;

		a = (struct endpoint){ .len = sizeof a.u.v4 };
		a.u.v4.sin_family = AF_INET;
		a.u.v4.sin_port = port;
		s = try_listen(&a, false);
	}
	if (s < 0)
		return err_set(err, ERR_TEMP, "listen on " STR_F ": %s%s",
			STR_A(str_head(where, 120)), strerror(errno), advice(errno));
	*fd = s;
	return 0;
}

/* ---- accepting ---- */

enum again { AGAIN_WAIT, AGAIN_NOW, AGAIN_LATER, AGAIN_NEVER };

static enum again what_now(int no)
{
	switch (no) {
	case EAGAIN:
		return AGAIN_WAIT;
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM:
		return AGAIN_LATER;
	case EBADF:
	case EINVAL:
	case ENOTSOCK:
	case EOPNOTSUPP:
	case EFAULT:
		return AGAIN_NEVER;
	default:
		/* accept(2): errors of the connection that was waiting. */
		return AGAIN_NOW;
	}
}

int listen_accept(int listener, int *fd, struct err *err)
{
	for (;;) {
		int r = task_breathe(NEVER, err);
		int s = r < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (r < 0)
			return -1;
		if (s >= 0) {
			*fd = s;
			return 0;
		}
		switch (what_now(errno)) {
		case AGAIN_WAIT:
			r = task_wait(listener, WAIT_READ, NULL, NEVER, err);
			break;
		case AGAIN_LATER:
			r = task_sleep(clock_after(FULL_PAUSE), err);
			break;
		case AGAIN_NEVER:
			r = err_sys(err, "accept on", "the listener");
			break;
		case AGAIN_NOW:
			break;
		}
		if (r < 0)
			return -1;
	}
}
