/* smtp_load.c - hand many messages to an SMTP server on loopback and say how fast it took them.
 *
 *	smtp_load PORT CONNECTIONS MESSAGES SIZE RECIPIENT [one]
 *
 * Each connection is a thread with a blocking socket: EHLO, then MAIL, RCPT, DATA as one pipelined
 *group where the server offers PIPELINING, one message after the other; with `one`, a connection
 *for every message. Lines end in CRLF, the body is SIZE bytes. Prints one line: messages, seconds,
 *the load generator's own CPU seconds. Anything but the expected reply ends it with 1: a figure
 *counts only when every message was taken.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 200, REPLY_MAX = 2048 };

static int port;
static long messages;
static const char *recipient;
static bool one_each;
static char *body;
static size_t body_n;
static atomic_long taken;

struct client {
	int fd;
	size_t n; /* bytes in `in` not yet looked at */
	char in[REPLY_MAX];
};

static void die(const char *what, const char *said)
{
	fprintf(stderr, "smtp_load: %s: %.200s\n", what, said);
	exit(1);
}

static void send_all(struct client *c, const char *p, size_t n)
{
	while (n) {
		ssize_t w = send(c->fd, p, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			die("send", strerror(errno));
		p += w;
		n -= (size_t)w;
	}
}

/* Read one whole reply; its last line must start with `want`. */
static void expect(struct client *c, char want)
{
	for (;;) {
		char *end = memchr(c->in, '\n', c->n);
		ssize_t r;

		if (end) {
			bool last = end - c->in >= 4 && c->in[3] != '-';

			if (last && c->in[0] != want)
				die("the server said", c->in);
			c->n -= (size_t)(end + 1 - c->in);
			memmove(c->in, end + 1, c->n);
			if (last)
				return;
			continue;
		}
		if (c->n == sizeof c->in)
			die("a reply is too long", "");
		r = recv(c->fd, c->in + c->n, sizeof c->in - c->n, 0);
		if (r <= 0)
			die("receive", r ? strerror(errno) : "closed");
		c->n += (size_t)r;
	}
}

static void begin(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int on = 1;

	c->n = 0;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to) < 0)
		die("connect", strerror(errno));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	expect(c, '2');
	send_all(c, "EHLO load.example.test\r\n", 24);
	expect(c, '2');
}

static void end(struct client *c)
{
	send_all(c, "QUIT\r\n", 6);
	expect(c, '2');
	close(c->fd);
}

static void send_one(struct client *c)
{
	char group[600];
	int n = snprintf(group, sizeof group,
		"MAIL FROM:<load@sender.example>\r\nRCPT TO:<%s>\r\nDATA\r\n", recipient);

	send_all(c, group, (size_t)n);
	expect(c, '2');
	expect(c, '2');
	expect(c, '3');
	send_all(c, body, body_n);
	expect(c, '2');
}

static void *run(void *arg)
{
	struct client c;
	bool open = false;

	(void)arg;
	while (atomic_fetch_add(&taken, 1) < messages) {
		if (!open)
			begin(&c);
		send_one(&c);
		if (one_each)
			end(&c);
		open = !one_each;
	}
	if (open)
		end(&c);
	return NULL;
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

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	struct timespec from, to;
	struct rusage used;
	int n;

	if (argc < 6 || (n = atoi(argv[2])) < 1 || n > THREADS_MAX) {
		fprintf(stderr,
			"usage: smtp_load PORT CONNECTIONS MESSAGES SIZE RECIPIENT [one]\n");
		return 64;
	}
	port = atoi(argv[1]);
	messages = atol(argv[3]);
	make_body((size_t)atol(argv[4]));
	recipient = argv[5];
	one_each = argc > 6;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < n; i++)
		if (pthread_create(&threads[i], NULL, run, NULL) != 0)
			die("thread", "cannot start");
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	getrusage(RUSAGE_SELF, &used);
	printf("%ld %.6f %.6f\n", messages,
		(double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9,
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
	return 0;
}
