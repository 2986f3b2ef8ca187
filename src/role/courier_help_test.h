/* courier_help_test.h - a courier with a store, a resolver and a mail server around it:
 * with_courier().
 *
 * The store gives out store.mail and remembers the results and reports; the server answers by the
 * recipient's name (bad@, later@, drop@, once@, slow@).
 */
#ifndef ROLE_COURIER_HELP_TEST_H
#define ROLE_COURIER_HELP_TEST_H

/* The courier role as it runs, between a store that is an array, a resolver that is a table, and
 * mail servers on loopback that do what the recipient's name says. */
#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "dns/rdata.h"
#include "net/conn.h"
#include "net/listen.h"
#include "role/link_private.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static char trace[2000];
static struct err err;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add(const char *fmt, ...)
{
	size_t n = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + n, sizeof trace - n, fmt, ap);
	va_end(ap);
}

/* ---- a store ---- */

enum { MAILS_MAX = 40, BODIES = 8 };

struct mail {
	const char *sender, *to, *domain;
	const char *failed; /* the store knows so beforehand */
	bool leased;
	bool damaged;               /* cannot be read */
	uint8_t state, notify, ret; /* state 0: waits */
	uint32_t attempts, retry_after;
	int64_t age, by; /* by: seconds from now, with by_mode */
	uint8_t by_mode, body_type;
	uint32_t flags;
	bool delivered, require_tls, rrvs_reject;
	char status[16], text[600], remote[400];
};

static struct {
	struct channel *ch;
	struct mail mail[MAILS_MAX];
	size_t mails;
	struct buf body[BODIES]; /* of transactions, by number */
	struct buf report;       /* the last one that was committed */
	int reports;
	struct signal told; /* a result has come */
	bool deaf;          /* take results but do not answer them */
	int full;           /* refuse so many results, for now */
	int refused;        /* so many were */
	struct request *kept;
	int64_t until; /* leases hold */
} store;

static const char body[] = "Subject: hello\r\nFrom: ann@example.test\r\n\r\nIt works.\r\n";

static struct mail *add_mail(const char *sender, const char *to)
{
	struct mail *m = &store.mail[store.mails++];

	*m = (struct mail){ .sender = sender, .to = to, .domain = strchr(to, '@') + 1 };
	return m;
}

static void lease_asked(struct request *req)
{
	struct store_lease_req q;
	struct store_lease_rep a = { .until = store.until };
	struct buf items = BUF(60000), rcpts = BUF(1000);
	uint32_t n = 0;

	assert_int_equal(store_lease_req_get(req->body, &q, &err), 0);
	for (size_t i = 0; i < store.mails && n < q.max; i++) {
		struct mail *m = &store.mail[i];
		struct store_lease_rcpt r = { .rcpt = 100 + i,
			.address = str_c(m->to),
			.notify = m->notify,
			.attempts = m->attempts,
			.failed = str_c(m->failed),
			.delivered = m->delivered,
			.rrvs = m->rrvs_reject,
			.rrvs_mode = m->rrvs_reject };
		struct store_lease_item item = { .lease = 1000 + i,
			.message = 500 + i,
			.sender = str_c(m->sender),
			.arrived = clock_wall() - m->age,
			.size = sizeof body - 1,
			.ret = m->ret,
			.deliver_by = m->by_mode ? (clock_wall() + m->by) * CLOCK_SEC : 0,
			.by_mode = m->by_mode,
			.body_type = m->body_type,
			.flags = m->flags,
			.priority = PRIORITY_NORMAL,
			.require_tls = m->require_tls,
			.domain = str_c(m->domain) };

		if (m->leased || m->state)
			continue;
		buf_clear(&rcpts);
		store_lease_rcpt_put(&rcpts, &r);
		item.rcpts = buf_str(&rcpts);
		store_lease_item_put(&items, &item);
		m->leased = true;
		n++;
	}
	a.items = buf_str(&items);
	store_lease_answer(&req, &a);
	buf_free(&items);
	buf_free(&rcpts);
}

static void body_asked(struct request *req)
{
	struct store_lease_body_req q;
	struct store_lease_body_rep a = { .size = sizeof body - 1 };

	assert_int_equal(store_lease_body_req_get(req->body, &q, &err), 0);
	if (store.mail[q.lease - 1000].damaged) {
		err_set(&err, ERR_DAMAGED, "damaged");
		request_fail(&req, &err);
		return;
	}
	a.data = str_head(str_from(str_c(body), (size_t)q.offset), q.length);
	store_lease_body_answer(&req, &a);
}

static void result_asked(struct request *req)
{
	struct store_result_req q;
	struct store_result_rep a = { .ok = 1 };
	struct store_result_item item;
	struct err why = ERR_INIT;

	assert_int_equal(store_result_req_get(req->body, &q, &err), 0);
	if (store.full > 0) {
		store.full--;
		store.refused++;
		err_set(&why, ERR_FULL, "no space left");
		request_fail(&req, &why);
		return;
	}
	while (!store.deaf && store_result_item_next(&q.results, &item)) {
		struct mail *m = &store.mail[item.rcpt - 100];

		assert_true(m->leased);
		m->leased = false;
		m->state = item.state;
		m->retry_after = item.retry_after;
		str_z(item.status, m->status, sizeof m->status);
		str_z(item.text, m->text, sizeof m->text);
		str_z(item.remote, m->remote, sizeof m->remote);
	}
	if (q.txn && !store.deaf) {
		assert_int_equal(q.size, store.body[q.txn % BODIES].n);
		buf_clear(&store.report);
		buf_add(&store.report, buf_str(&store.body[q.txn % BODIES]));
		store.reports++;
	}
	signal_raise(&store.told);
	if (store.deaf) {
		store.kept = req;
		return;
	}
	store_result_answer(&req, &a);
}

static void store_asked(void *arg, struct request *req)
{
	struct store_txn_body b;

	(void)arg;
	if (req->type == MSG_store_lease) {
		lease_asked(req);
	} else if (req->type == MSG_store_lease_body) {
		body_asked(req);
	} else if (req->type == MSG_store_result) {
		result_asked(req);
	} else {
		if (req->type == MSG_store_txn_body && store_txn_body_get(req->body, &b, &err) == 0)
			buf_add(&store.body[b.txn % BODIES], b.data);
		request_free(&req);
	}
}

/* ---- a resolver ---- */

/* Names that have one answer of one kind; everything else does not exist. */
static const struct record {
	const char *name;
	enum dns_type type;
	uint8_t status;
	struct str data;
} records[] = {
	{ "mx.test", DNS_TYPE_MX, DNS_OK, STR_INIT("\0\x0a\4here\4test\0") },
	{ "here.test", DNS_TYPE_A, DNS_OK, STR_INIT("\x7f\0\0\1") },
	{ "here.test", DNS_TYPE_AAAA, DNS_NODATA, STR_INIT("") },
	{ "null.test", DNS_TYPE_MX, DNS_OK, STR_INIT("\0\0\0") },
	{ "slow.test", DNS_TYPE_MX, DNS_TEMP, STR_INIT("") },
	{ "bogus.test", DNS_TYPE_MX, DNS_BOGUS, STR_INIT("") },
	{ "empty.test", DNS_TYPE_MX, DNS_NODATA, STR_INIT("") },
	{ "empty.test", DNS_TYPE_A, DNS_NODATA, STR_INIT("") },
	{ "empty.test", DNS_TYPE_AAAA, DNS_NODATA, STR_INIT("") },
	{ "away.test", DNS_TYPE_MX, DNS_OK, STR_INIT("\0\x0a\3far\4test\0") },
	{ "far.test", DNS_TYPE_A, DNS_OK, STR_INIT("\xc0\0\2\1") },
	{ "far.test", DNS_TYPE_AAAA, DNS_NODATA, STR_INIT("") },
};

static void dns_asked(void *arg, struct request *req)
{
	struct dns_query_req q;
	struct dns_query_rep a = { .status = DNS_NXDOMAIN };
	struct buf out = BUF(600);

	(void)arg;
	assert_int_equal(dns_query_req_get(req->body, &q, &err), 0);
	for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
		struct dns_rdata d = { records[i].data };

		if (!str_eq(q.name, str_c(records[i].name)) || q.type != records[i].type)
			continue;
		a.status = records[i].status;
		if (a.status == DNS_OK)
			dns_rdata_put(&out, &d);
	}
	a.records = buf_str(&out);
	dns_query_answer(&req, &a);
	buf_free(&out);
}

/* ---- a mail server ---- */

static int listener = -1;
static uint16_t port;
static int connections, received, body_bytes;
static struct signal release, at_dot; /* for "slow@": the reply to the dot waits for `release` */

static bool is_to(const char *rcpt, const char *who)
{
	return strncmp(rcpt, who, strlen(who)) == 0;
}

/* Has its end come? */
static bool read_message(struct conn *c)
{
	struct err why;
	struct str line;
	int bytes = 0, got;

	conn_write(c, STR("354 go\r\n"));
	while ((got = conn_read_line(c, 1000, LINE_CRLF, &line, &why)) == 0 &&
		!str_eq(line, STR(".")))
		bytes += (int)line.n + 2;
	body_bytes = bytes;
	return got == 0;
}

static void say_until(int64_t until)
{
	const struct store_leases_until m = { .until = until };

	store.until = until;
	assert_int_equal(store_leases_until_send(store.ch, &m, &err), 0);
}

/* One command; false ends the connection. */
static bool serve_line(struct conn *c, struct str line, char *rcpt, size_t size)
{
	struct err why = ERR_INIT;

	if (str_take(&line, STR("RCPT TO:<"))) {
		str_z(str_head(line, str_find(line, '>')), rcpt, size);
		conn_writef(c,
			is_to(rcpt, "bad")             ? "550 5.1.1 no such user here\r\n"
				: is_to(rcpt, "later") ? "451 4.2.1 not now\r\n"
						       : "250 2.1.5 ok\r\n");
	} else if (str_take(&line, STR("DATA"))) {
		if (is_to(rcpt, "drop"))
			return false;
		if (is_to(rcpt, "bad") || is_to(rcpt, "later")) {
			conn_write(c, STR("554 no recipients\r\n"));
			return true;
		}
		if (is_to(rcpt, "paused")) { /* its lease runs out before the text is on its way */
			say_until(1);
			(void)task_sleep(clock_after(100 * CLOCK_MSEC), &why);
		}
		if (!read_message(c))
			return false;
		received++;
		if (is_to(rcpt, "slow")) {
			signal_raise(&at_dot);
			if (task_wait(-1, 0, &release, NEVER, &why) < 0)
				return false;
		}
		conn_write(c, STR("250 2.0.0 mine\r\n"));
		if (is_to(rcpt, "once"))
			conn_write(c, STR("421 4.3.2 and goodbye\r\n"));
		return !is_to(rcpt, "once");
	} else if (str_take(&line, STR("QUIT"))) {
		conn_write(c, STR("221 bye\r\n"));
		return false;
	} else if (str_take(&line, STR("EHLO"))) {
		conn_write(c, STR("250-here\r\n250 PIPELINING\r\n"));
	} else {
		conn_write(c, STR("250 ok\r\n"));
	}
	return true;
}

static void serve(void *arg)
{
	struct conn *c = arg;
	struct err why;
	struct str line;
	char rcpt[200] = "";

	connections++;
	conn_write(c, STR("220 here ESMTP\r\n"));
	while (conn_read_line(c, 1000, LINE_CRLF, &line, &why) == 0 &&
		serve_line(c, line, rcpt, sizeof rcpt))
		;
	(void)conn_flush(c, &why);
	conn_free(&c);
}

static struct task_group *servers;

static void accept_all(void *arg)
{
	struct err why;
	int fd;

	(void)arg;
	while (listen_accept(listener, &fd, &why) == 0)
		(void)task_spawn(servers, "server", serve, conn_socket(fd), &why);
}

static void start_server(void)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;

	assert_int_equal(listen_open(STR("127.0.0.1:0"), &listener, &err), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
	port = ntohs(a.sin_port);
}

/* ---- what run.c is to a role ---- */

static struct role role = { .name = "courier", .who = WHO_COURIER, .number = 3 };
static struct link store_link, vault_link, dns_link;

int role_take_file(struct role *r, uint8_t purpose, const char *name)
{
	(void)r;
	(void)purpose;
	(void)name;
	return -1;
}

struct link *role_link(struct role *r, uint32_t who)
{
	(void)r;
	return who == WHO_STORE ? &store_link : who == WHO_VAULT ? &vault_link : &dns_link;
}

void role_ready(struct role *r, const char *note)
{
	(void)r;
	(void)note;
}

static struct channel *join(struct link *l, channel_handler *handler)
{
	int sv[2];
	struct channel *ch;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
	ch = channel_new(role.group, sv[0], WHO_COURIER, 3, handler, NULL, NULL, &err);
	link_put(l, sv[1], 1);
	return ch;
}

static struct signal ended;

static void run_courier(void *arg)
{
	struct err why = ERR_INIT;

	(void)arg;
	if (role_courier_main(&role, &why) < 0)
		add("courier: %s ", why.msg);
	signal_raise(&ended);
}

/* ---- a test: a function that runs as a task among all these ---- */

static void (*test)(void);

static void around_test(void *arg)
{
	struct channel *dns;

	(void)arg;
	role.group = task_group_new("role");
	servers = task_group_new("servers");
	store_link = (struct link){ .group = role.group, .who = WHO_STORE };
	vault_link = (struct link){ .group = role.group, .who = WHO_VAULT };
	dns_link = (struct link){ .group = role.group, .who = WHO_DNS };
	(void)fd_watch(listener, &err);
	if (task_spawn(servers, "accept", accept_all, NULL, &err) < 0 ||
		role_courier_prepare(&role, &err) < 0 ||
		task_spawn(role.group, "courier", run_courier, NULL, &err) < 0)
		add("start: %s ", err.msg);
	task_yield();
	dns = join(&dns_link, dns_asked);
	store.until = NEVER;
	store.ch = join(&store_link, store_asked);
	test();
	role.stopping = true;
	role.stop_by = clock_after(10 * CLOCK_SEC);
	signal_raise(&role.stop);
	if (task_wait(-1, 0, &ended, clock_after(20 * CLOCK_SEC), &err) < 0)
		add("no end ");
	task_group_end(&role.group);
	fd_forget(listener);
	task_group_end(&servers);
	channel_close(&dns);
	channel_close(&store.ch);
	link_end(&store_link);
	link_end(&dns_link);
}

static void with_courier(void (*fn)(void), const char *settings)
{
	char text[500];
	struct conf_source from = { .kind = CONF_SERVER, .folder = "/tmp" };
	struct conf *conf = NULL;

	start_server();
	snprintf(text, sizeof text,
		"hostname mail.example.test; outbound.local-only on; outbound.port %u;"
		"route { a.test smtp://127.0.0.1:%u; b.test smtp://localhost:%u; } %s",
		port, port, port, settings);
	from.text = str_c(text);
	if (conf_load(&from, &conf, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	role.conf = conf;
	role.stopping = false;
	store.reports = connections = received = 0;
	store.deaf = false;
	store.refused = 0;
	store.report = BUF(300000);
	for (int i = 0; i < BODIES; i++)
		store.body[i] = BUF(300000);
	trace[0] = 0;
	release = at_dot = store.told = ended = role.stop = (struct signal){ 0 };
	err = ERR_INIT;
	test = fn;
	assert_int_equal(rt_main(around_test, NULL, &err), 0);
	conf_free(&conf);
	close(listener);
	buf_free(&store.report);
	for (int i = 0; i < BODIES; i++)
		buf_free(&store.body[i]);
	store.mails = 0;
}

/* Until the store knows of every message. */
static void wait_for_results(void)
{
	size_t done;

	for (;;) {
		done = 0;
		for (size_t i = 0; i < store.mails; i++)
			done += store.mail[i].state != 0;
		if (done == store.mails)
			return;
		if (task_wait(-1, 0, &store.told, clock_after(20 * CLOCK_SEC), &err) < 0) {
			add("no result: %s ", err.msg);
			return;
		}
	}
}

static void show(const struct mail *m)
{
	static const char *const words[] = { "waits", "delivered", "deferred", "failed",
		"released" };

	add("%s %s %s%s; ", m->to, words[m->state], m->status, m->retry_after ? " again" : "");
}

static void show_all(void)
{
	wait_for_results();
	for (size_t i = 0; i < store.mails; i++)
		show(&store.mail[i]);
}

#endif
