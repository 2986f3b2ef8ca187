/* smtp_load.c - hand many messages to an SMTP server on loopback and say how fast it took them.
 *
 *	smtp_load PORT CONNECTIONS MESSAGES SIZE RECIPIENT [one]
 *
 * One thread serves all connections, as a client on another machine would look from here: a thread
 * for each would charge the server with waking every one of them. Each connection sends EHLO, then
 * MAIL, RCPT, DATA as one pipelined group, one message after the other; with `one`, a
 * connection for every message. Lines end in CRLF, the body is SIZE bytes. Prints one line:
 * messages, seconds, the load generator's own CPU seconds. Anything but the expected reply ends it
 * with 1: a figure counts only when every message was taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS_MAX = 2000, REPLY_MAX = 2048, EVENTS = 64 };

struct client {
	int fd; /* -1: done */
	void (*next)(struct client *c);
	const char *want; /* first digits of the replies that must come before next() */
	const char *out;  /* to be sent */
	size_t out_n;
	size_t n; /* bytes in `in` not yet looked at */
	char in[REPLY_MAX];
};

static int port, poller;
static long messages, begun, running;
static char *body, group[600];
static size_t body_n, group_n;
static bool one_each;
static struct client clients[CLIENTS_MAX];

static void die(const char *what, const char *said)
{
	fprintf(stderr, "smtp_load: %s: %.200s\n", what, said);
	exit(1);
}

static void watch(struct client *c, int op, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = c };

	if (epoll_ctl(poller, op, c->fd, &ev) < 0)
		die("epoll", strerror(errno));
}

/* Send what there is; what does not fit goes when the socket takes more. */
static void push(struct client *c, bool waited)
{
	while (c->out_n) {
		ssize_t w = send(c->fd, c->out, c->out_n, MSG_NOSIGNAL);

		if (w < 0 && errno == EAGAIN) {
			if (!waited)
				watch(c, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			return;
		}
		if (w < 0)
			die("send", strerror(errno));
		c->out += w;
		c->out_n -= (size_t)w;
	}
	if (waited)
		watch(c, EPOLL_CTL_MOD, EPOLLIN);
}

static void ask(struct client *c, const char *out, size_t n, const char *want,
	void (*next)(struct client *c))
{
	c->out = out;
	c->out_n = n;
	c->want = want;
	c->next = next;
	push(c, false);
}

static void begin(struct client *c);
static void send_group(struct client *c);

static void ended(struct client *c)
{
	close(c->fd);
	c->fd = -1;
	if (begun < messages)
		begin(c);
	else
		running--;
}

static void message_taken(struct client *c)
{
	if (one_each || begun >= messages)
		ask(c, "QUIT\r\n", 6, "2", ended);
	else
		send_group(c);
}

static void send_body(struct client *c)
{
	ask(c, body, body_n, "2", message_taken);
}

static void send_group(struct client *c)
{
	begun++;
	ask(c, group, group_n, "223", send_body);
}

static void greeted(struct client *c)
{
	ask(c, "EHLO load.example.test\r\n", 24, "2", send_group);
}

static void begin(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	*c = (struct client){ .want = "2", .next = greeted };
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	watch(c, EPOLL_CTL_ADD, EPOLLIN);
}

/* One whole reply is taken off; false: there is none yet. */
static bool take_reply(struct client *c)
{
	char *end;

	while ((end = memchr(c->in, '\n', c->n)) != NULL) {
		bool last = end - c->in >= 4 && c->in[3] != '-';

		if (last && (c->in[0] != *c->want || *c->want == '\0'))
			die("the server said", c->in);
		c->n -= (size_t)(end + 1 - c->in);
		memmove(c->in, end + 1, c->n);
		if (last)
			return true;
	}
	if (c->n == sizeof c->in)
		die("a reply is too long", "");
	return false;
}

static void pull(struct client *c)
{
	ssize_t r = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);

	if (r <= 0)
		die("receive", r ? strerror(errno) : "closed");
	c->n += (size_t)r;
	while (c->fd >= 0 && take_reply(c))
		if (*++c->want == '\0')
			c->next(c);
}

/* A head and lines of 76 characters, `size` bytes in all, then the end of data. */
static void make_body(size_t size)
{
	static const char head[] = "From: load@sender.example\r\nTo: someone@example.test\r\n"
				   "Subject: a message of a load test\r\n"
				   "Date: Mon, 05 Oct 2026 10:00:00 +0000\r\n"
				   "Message-ID: <load@sender.example>\r\n\r\n";

	body = malloc(size + 256);
	if (!body)
		die("memory", "");
	memcpy(body, head, sizeof head - 1);
	body_n = sizeof head - 1;
	while (body_n + 78 <= size) {
		memset(body + body_n, 'a' + (int)(body_n % 26), 76);
		memcpy(body + body_n + 76, "\r\n", 2);
		body_n += 78;
	}
	memcpy(body + body_n, ".\r\n", 3);
	body_n += 3;
}

static void run(long count)
{
	struct epoll_event ev[EVENTS];

	poller = epoll_create1(EPOLL_CLOEXEC);
	for (running = 0; running < count && running < messages; running++)
		begin(&clients[running]);
	while (running) {
		int n = epoll_wait(poller, ev, EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct client *c = ev[i].data.ptr;

			if (ev[i].events & EPOLLOUT)
				push(c, true);
			if (ev[i].events & ~(uint32_t)EPOLLOUT)
				pull(c);
		}
	}
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	struct rusage used;
	long count;

	if (argc < 6 || (count = atol(argv[2])) < 1 || count > CLIENTS_MAX) {
		fprintf(stderr,
			"usage: smtp_load PORT CONNECTIONS MESSAGES SIZE RECIPIENT [one]\n");
		return 64;
	}
	port = atoi(argv[1]);
	messages = atol(argv[3]);
	make_body((size_t)atol(argv[4]));
	group_n = (size_t)snprintf(group, sizeof group,
		"MAIL FROM:<load@sender.example>\r\nRCPT TO:<%.300s>\r\nDATA\r\n", argv[5]);
	one_each = argc > 6;
	clock_gettime(CLOCK_MONOTONIC, &from);
	run(count);
	clock_gettime(CLOCK_MONOTONIC, &to);
	getrusage(RUSAGE_SELF, &used);
	printf("%ld %.6f %.6f\n", messages,
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9,
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	return 0;
}
