#include "net/dial.h"

#include "net/endpoint_private.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int failed(struct err *err, struct str address, uint16_t port, int no)
{
	return err_set(err, ERR_TEMP, "connect to " STR_F " port %u: %s",
		STR_A(str_head(address, 120)), (unsigned)port, strerror(no));
}

/* connect() was started: wait for how it ends. */
static int finish(int fd, int64_t deadline, int *no, struct err *err)
{
	socklen_t n = sizeof *no;
	int r = -1;

	if (fd_watch(fd, err) < 0)
		return -1;
	if (task_wait(fd, WAIT_WRITE, NULL, deadline, err) >= 0)
		r = getsockopt(fd, SOL_SOCKET, SO_ERROR, no, &n) < 0
			? err_sys(err, "connect", "socket")
			: 0;
	fd_forget(fd);
	return r;
}

int dial(struct str address, uint16_t port, int64_t deadline, struct conn **c, struct err *err)
{
	struct endpoint a;
	int fd, no = 0;

	if (endpoint_parse(&a, address, port, err) < 0)
		return -1;
	fd = socket(a.u.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return failed(err, address, port, errno);
	if (connect(fd, &a.u.any, a.len) < 0)
		no = errno;
	if (no == EINPROGRESS && finish(fd, deadline, &no, err) < 0) {
		close(fd);
		return err_wrap(err, "connect to " STR_F " port %u", STR_A(str_head(address, 80)),
			(unsigned)port);
	}
	if (no) {
		close(fd);
		return failed(err, address, port, no);
	}
	*c = conn_socket(fd);
	if (!*c)
		return err_set(err, ERR_TEMP, "out of memory for a connection");
	return 0;
}
