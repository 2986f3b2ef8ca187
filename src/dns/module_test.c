/* The real resolver library against a name server on loopback. */
#include "dns/resolver.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int server = -1;
static char server_name[64];

/* The end of the question section of a query with one question. */
static size_t question_end(const unsigned char *q, size_t n)
{
	size_t at = 12;

	while (at < n && q[at])
		at += q[at] + 1u;
	return at + 5;
}

/* Answers by the first label of the name: "ok" has an MX, "nx" does not exist, "empty" has no such
 * record, anything else is a server failure. */
static size_t reply_to(unsigned char *q, size_t n)
{
	static const unsigned char mx[] = { 0xc0, 12, 0, 15, 0, 1, 0, 0, 0, 60, 0, 9, 0, 10, 4, 'm',
		'a', 'i', 'l', 0xc0, 12 };
	size_t end = question_end(q, n);
	bool ok = memcmp(q + 12, "\2ok", 3) == 0, is_mx = q[end - 3] == 15;

	q[2] = 0x84; /* an answer, with authority */
	q[3] = 0x80;
	if (memcmp(q + 12, "\2nx", 3) == 0)
		q[3] |= 3;
	else if (!ok && memcmp(q + 12, "\5empty", 6) != 0)
		q[3] |= 2;
	memset(q + 6, 0, 6);
	if (ok && is_mx) {
		q[7] = 1;
		memcpy(q + end, mx, sizeof mx);
		end += sizeof mx;
	}
	return end;
}

static void *serve(void *arg)
{
	unsigned char q[1024];
	struct sockaddr_in from;
	socklen_t len = sizeof from;
	ssize_t n;

	(void)arg;
	while ((n = recvfrom(server, q, 512, 0, (struct sockaddr *)&from, &len)) > 16) {
		size_t end = reply_to(q, (size_t)n);

		sendto(server, q, end, 0, (struct sockaddr *)&from, len);
	}
	return NULL;
}

static int start_server(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	static pthread_t thread;

	(void)state;
	server = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (server < 0 || bind(server, (struct sockaddr *)&a, sizeof a) < 0 ||
		getsockname(server, (struct sockaddr *)&a, &len) < 0)
		return -1;
	snprintf(server_name, sizeof server_name, "127.0.0.1@%d", ntohs(a.sin_port));
	return pthread_create(&thread, NULL, serve, NULL);
}

static char trace[256];
static struct signal event;

static void note(void *arg, const struct dns_module_answer *a)
{
	static const char *const names[] = { "ok", "nxdomain", "nodata", "temp", "bogus" };
	size_t n = strlen(trace);
	struct buf host = BUF(DNS_NAME_MAX + 1);
	struct err err;
	uint16_t preference = 0;

	(void)arg;
	if (a->count > 0)
		dns_read_mx(str_make(a->data[0], (size_t)a->len[0]), &preference, &host, &err);
	snprintf(trace + n, sizeof trace - n, "%s %zu %u " STR_F " secure %d; ", names[a->status],
		a->count, preference, STR_A(buf_str(&host)), a->secure);
	buf_free(&host);
	signal_raise(&event);
}

static void ask_all(void *arg)
{
	static const char *const names[] = { "ok.example.test", "nx.example.test",
		"empty.example.test", "fail.example.test" };
	const char *servers[] = { server_name };
	struct resolver_options o = { .main = { .servers = servers, .server_count = 1 } };
	struct task_group *g = task_group_new("test");
	struct resolver *r = NULL;
	struct err err = ERR_INIT;

	(void)arg;
	if (resolver_open(&o, &r, &err) < 0 || resolver_start(r, g, &err) < 0) {
		snprintf(trace, sizeof trace, "%s", err.msg);
		task_group_end(&g);
		return;
	}
	for (size_t i = 0; i < 4; i++)
		if (resolver_ask(r, str_c(names[i]), DNS_TYPE_MX, note, NULL, &err) < 0 ||
			task_wait(-1, 0, &event, NEVER, &err) < 0)
			snprintf(trace, sizeof trace, "%s", err.msg);
	task_group_end(&g);
	resolver_free(&r);
}

static void the_library_tells_the_four_outcomes_apart(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(rt_main(ask_all, NULL, &err), 0);
	assert_string_equal(trace,
		"ok 1 10 mail.ok.example.test secure 0; nxdomain 0 0  secure 0; "
		"nodata 0 0  secure 0; temp 0 0  secure 0; ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_library_tells_the_four_outcomes_apart, start_server),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
