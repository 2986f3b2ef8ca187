#include "ipc/channel_private.h"

#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { HELD_MAX = 2048 };

static struct request *held[HELD_MAX];

/* A store and a front in one process, with a socket pair between them. */
struct pair {
	struct task_group *g;
	struct channel *front, *store; /* named after what is at the other end */
	int raw;                       /* instead of `store`: the bare socket of a hostile front */
	size_t held_count;
	bool hold; /* keep requests instead of answering */
	size_t oneways, ended;
	enum err_kind ended_kind;
	int fd_got;
	struct signal event;
};

static void store_handles(void *arg, struct request *req)
{
	struct pair *p = arg;
	struct store_rcpt_req q;
	struct err err = ERR_INIT;

	signal_raise(&p->event);
	if (req->type == MSG_control_file) {
		p->fd_got = req->fd;
		req->fd = -1;
		request_free(&req);
	} else if (req->type != MSG_store_rcpt) {
		p->oneways++;
		request_free(&req);
	} else if (p->hold) {
		assert_true(p->held_count < HELD_MAX);
		held[p->held_count++] = req;
	} else {
		assert_int_equal(0, store_rcpt_req_get(req->body, &q, &err));
		store_rcpt_answer(&req, &(struct store_rcpt_rep){ .target = q.handle + 1000u });
	}
}

static void store_sees_end(void *arg, const struct err *why)
{
	struct pair *p = arg;

	p->ended++;
	p->ended_kind = why->kind;
	signal_raise(&p->event);
}

static void pair_open(struct pair *p, uint32_t front_class, bool raw)
{
	struct err err = ERR_INIT;
	int sv[2];

	*p = (struct pair){ .raw = -1, .fd_got = -1 };
	p->g = task_group_new("test");
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
	p->front = channel_new(p->g, sv[0], front_class, 7, store_handles, store_sees_end, p, &err);
	assert_non_null(p->front);
	if (raw)
		p->raw = sv[1];
	else
		p->store = channel_new(p->g, sv[1], WHO_STORE, 1, NULL, NULL, NULL, &err);
	assert_true(raw || p->store);
}

static void pair_close(struct pair *p)
{
	for (size_t i = 0; i < p->held_count; i++)
		if (held[i])
			request_free(&held[i]);
	channel_close(&p->front);
	channel_close(&p->store);
	if (p->raw >= 0)
		close(p->raw);
	if (p->fd_got >= 0)
		close(p->fd_got);
	task_group_end(&p->g);
}

static int64_t soon(void)
{
	return clock_after(20 * CLOCK_SEC);
}

static void wait_event(struct pair *p)
{
	struct err err = ERR_INIT;

	assert_true(task_wait(-1, 0, &p->event, soon(), &err) > 0);
}

static void wait_end(struct pair *p)
{
	while (!p->ended)
		wait_event(p);
}

/* Run the body of a test as the first task. */
static void in_loop(void (*body)(void *), void *arg)
{
	struct err err = ERR_INIT;

	assert_int_equal(0, rt_main(body, arg, &err));
}

static int ask(struct pair *p, uint32_t handle, uint64_t *target, struct err *err)
{
	struct store_rcpt_req q = { .handle = handle };
	struct store_rcpt_rep a;
	int r = store_rcpt(p->store, &q, soon(), &a, NULL, err);

	if (r == 0)
		*target = a.target;
	return r;
}

/* ---- calls ---- */

static void body_answer(void *unused)
{
	struct pair p;
	struct err err = ERR_INIT;
	uint64_t target = 0;

	pair_open(&p, WHO_MAILBOX, false);
	channel_close(&p.front);
	pair_close(&p);
	pair_open(&p, WHO_MX, false);
	assert_int_equal(0, ask(&p, 5, &target, &err));
	assert_int_equal(target, 1005);
	pair_close(&p);
}

static void a_call_returns_its_answer(void **state)
{
	in_loop(body_answer, NULL);
}

struct caller {
	struct pair *p;
	uint32_t i;
	uint64_t target;
	int r;
	struct err err;
};

static void caller_run(void *arg)
{
	struct caller *c = arg;

	c->r = ask(c->p, c->i, &c->target, &c->err);
}

static void start_callers(
	struct pair *p, struct task_group *g, struct caller *callers, uint32_t count)
{
	struct err err = ERR_INIT;

	for (uint32_t i = 0; i < count; i++) {
		callers[i] = (struct caller){ .p = p, .i = i, .r = 1 };
		assert_int_equal(0, task_spawn(g, "caller", caller_run, &callers[i], &err));
	}
}

static void body_out_of_order(void *unused)
{
	enum { COUNT = 1000 };
	static struct caller callers[COUNT];
	struct task_group *g = task_group_new("callers");
	struct pair p;

	pair_open(&p, WHO_MX, false);
	p.hold = true;
	start_callers(&p, g, callers, COUNT);
	while (p.held_count < COUNT)
		wait_event(&p);
	while (p.held_count) {
		struct request *req = held[--p.held_count];
		struct store_rcpt_req q;
		struct err err = ERR_INIT;

		assert_int_equal(0, store_rcpt_req_get(req->body, &q, &err));
		store_rcpt_answer(&req, &(struct store_rcpt_rep){ .target = q.handle + 7u });
		assert_null(req);
	}
	task_group_join(g);
	for (uint32_t i = 0; i < COUNT; i++) {
		assert_int_equal(callers[i].r, 0);
		assert_int_equal(callers[i].target, i + 7);
	}
	task_group_end(&g);
	pair_close(&p);
}

static void a_thousand_calls_at_once_are_answered_in_any_order(void **state)
{
	in_loop(body_out_of_order, NULL);
}

static void body_failure(void *unused)
{
	const struct err why = { ERR_FULL, "over quota" };
	struct task_group *g = task_group_new("callers");
	static struct caller c[2];
	struct pair p;

	pair_open(&p, WHO_MX, false);
	p.hold = true;
	start_callers(&p, g, c, 2);
	while (p.held_count < 2)
		wait_event(&p);
	request_fail(&held[0], &why);
	request_free(&held[1]);
	p.held_count = 0;
	task_group_join(g);
	assert_int_equal(c[0].r, -1);
	assert_int_equal(c[0].err.kind, ERR_FULL);
	assert_string_equal(c[0].err.msg, "over quota");
	assert_int_equal(c[1].err.kind, ERR_TEMP);
	task_group_end(&g);
	pair_close(&p);
}

static void a_failure_arrives_with_its_kind_and_sentence(void **state)
{
	in_loop(body_failure, NULL);
}

static void body_late(void *unused)
{
	struct store_rcpt_req q = { .handle = 1 };
	struct store_rcpt_rep a;
	struct pair p;
	struct err err = ERR_INIT;
	uint64_t target = 0;

	pair_open(&p, WHO_MX, false);
	p.hold = true;
	assert_int_equal(-1, store_rcpt(p.store, &q, clock_mono(), &a, NULL, &err));
	assert_int_equal(err.kind, ERR_TIMEOUT);
	while (!p.held_count)
		wait_event(&p);
	store_rcpt_answer(&held[0], &(struct store_rcpt_rep){ .target = 3 });
	p.held_count = 0;
	p.hold = false;
	assert_int_equal(0, ask(&p, 5, &target, &err));
	assert_int_equal(target, 1005);
	pair_close(&p);
}

static void an_answer_that_comes_too_late_disturbs_nobody(void **state)
{
	in_loop(body_late, NULL);
}

static void body_over(void *unused)
{
	static char wide[400];
	struct store_rcpt_req q = { .address = { wide, sizeof wide } };
	struct store_rcpt_rep a;
	struct pair p;
	struct err err = ERR_INIT;
	uint64_t target = 0;

	memset(wide, 'x', sizeof wide);
	pair_open(&p, WHO_MX, false);
	assert_int_equal(-1, store_rcpt(p.store, &q, soon(), &a, NULL, &err));
	assert_int_equal(err.kind, ERR_LIMIT);
	assert_int_equal(0, ask(&p, 5, &target, &err));
	pair_close(&p);
}

static void a_message_over_its_limits_is_not_sent_and_the_channel_lives(void **state)
{
	in_loop(body_over, NULL);
}

/* ---- descriptors ---- */

static void body_fd(void *unused)
{
	struct control_file file = { .purpose = 1, .name = STR("x") };
	struct err err = ERR_INIT;
	struct pair p;
	char c = 0;
	int ends[2];

	assert_int_equal(0, pipe2(ends, O_CLOEXEC));
	pair_open(&p, WHO_MASTER, false);
	/* Others before and after it in the same write. */
	assert_int_equal(0, control_go_send(p.store, &(struct control_go){ 0 }, &err));
	file.fd = ends[0];
	assert_int_equal(0, control_file_send(p.store, &file, &err));
	assert_int_equal(0, control_go_send(p.store, &(struct control_go){ 0 }, &err));
	while (p.oneways < 2 || p.fd_got < 0)
		wait_event(&p);
	assert_true(fcntl(p.fd_got, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(1, write(ends[1], "!", 1));
	assert_int_equal(1, read(p.fd_got, &c, 1));
	assert_int_equal(c, '!');
	/* Ours went with the message; its number may have been taken by what arrived. */
	assert_true(p.fd_got == ends[0] || fcntl(ends[0], F_GETFD) == -1);
	close(ends[1]);
	assert_int_equal(p.ended, 0);
	pair_close(&p);
}

static void a_descriptor_travels_with_its_message(void **state)
{
	in_loop(body_fd, NULL);
}

/* ---- peers that misbehave ---- */

static void raw_frame(struct pair *p, uint32_t length, uint32_t type, uint32_t seq, struct str body)
{
	struct buf b = BUF(1 << 20);
	const uint32_t head[3] = { length, type, seq };

	for (size_t i = 0; i < 12; i++)
		buf_addc(&b, (char)(head[i / 4] >> (8 * (i % 4))));
	buf_add(&b, body);
	assert_int_equal((ssize_t)b.n, write(p->raw, b.p, b.n));
	buf_free(&b);
}

static char last_log[512];

static void keep_log(void *arg, enum log_level level, struct str line)
{
	str_z(line, last_log, sizeof last_log);
}

struct bad_frame {
	uint32_t who, length, type;
	struct str body;
	const char *said;
};

static void body_bad(void *arg)
{
	const struct bad_frame *f = arg;
	struct pair p;

	last_log[0] = '\0';
	log_capture(keep_log, NULL);
	pair_open(&p, f->who, true);
	raw_frame(&p, f->length, f->type, 1, f->body);
	wait_end(&p);
	assert_int_equal(p.ended_kind, ERR_CLOSED);
	assert_int_equal(p.held_count + p.oneways, 0);
	assert_non_null(strstr(last_log, "ipc.violation"));
	if (!strstr(last_log, f->said))
		fail_msg("expected \"%s\" in: %s", f->said, last_log);
	log_capture(NULL, NULL);
	pair_close(&p);
}

static void a_message_that_breaks_the_rules_costs_its_sender_the_channel(void **state)
{
	static const struct bad_frame bad[] = {
		{ WHO_MX, 5, MSG_store_rcpt, STR_INIT("short"), "malformed store_rcpt" },
		{ WHO_MX, 65537, MSG_store_rcpt, STR_INIT(""), "malformed frame" },
		{ WHO_MX, 0xffffffff, MSG_store_rcpt, STR_INIT(""), "malformed frame" },
		{ WHO_MX, 0, 0x7ffe, STR_INIT(""), "unknown message" },
		{ WHO_MX, 0, 0x10110, STR_INIT(""), "malformed frame" },
		/* Well formed, but not for this class. */
		{ WHO_MX, 4, MSG_store_detach, STR_INIT("\1\0\0\0"), "store_detach" },
		{ WHO_COURIER, 12, MSG_store_rcpt, STR_INIT("\0\0\0\0\0\0\0\0\0\0\0\0"),
			"store_rcpt" },
		/* A descriptor is declared, none came. */
		{ WHO_MASTER, 5, MSG_control_file, STR_INIT("\1\0\0\0\0"), "descriptor" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		in_loop(body_bad, (void *)(uintptr_t)&bad[i]);
}

static void body_stray_fd(void *unused)
{
	struct wire_out w = { 0 };
	struct err err = ERR_INIT;
	struct buf body;
	struct pair p;

	pair_open(&p, WHO_MX, true);
	assert_int_equal(0, wire_begin(&w, &body, &err));
	store_rcpt_req_put(&body, &(struct store_rcpt_req){ 0 });
	assert_int_equal(
		0, wire_end(&w, &body, MSG_store_rcpt, 1, false, dup(STDERR_FILENO), &err));
	assert_int_equal(1, wire_send(&w, p.raw, &err));
	wire_out_free(&w);
	log_capture(keep_log, NULL);
	wait_end(&p);
	assert_non_null(strstr(last_log, "a descriptor without a message"));
	log_capture(NULL, NULL);
	pair_close(&p);
}

static void a_descriptor_that_no_message_declares_costs_the_channel(void **state)
{
	in_loop(body_stray_fd, NULL);
}

static void body_bad_answer(void *arg)
{
	struct store_rcpt_req q = { 0 };
	struct store_rcpt_rep a;
	const struct bad_frame *f = arg;
	struct err err = ERR_INIT;
	struct pair p;

	log_capture(keep_log, NULL);
	pair_open(&p, WHO_STORE, true);
	raw_frame(&p, f->length, f->type, 1, f->body);
	assert_int_equal(-1, store_rcpt(p.front, &q, soon(), &a, NULL, &err));
	assert_int_equal(err.kind, ERR_CLOSED);
	log_capture(NULL, NULL);
	pair_close(&p);
}

static void a_malformed_answer_fails_the_call_and_the_channel(void **state)
{
	static const struct bad_frame bad[] = {
		{ 0, 3, MSG_store_rcpt | ANSWER_BIT, STR_INIT("abc"), "" },
		{ 0, 1, MSG_store_sender | ANSWER_BIT, STR_INIT("\1"), "" },
		{ 0, 1, MSG_error, STR_INIT("\0"), "" },
		{ 0, 1, MSG_error, STR_INIT("\x7f"), "" },
		{ 0, 0, MSG_error, STR_INIT(""), "" },
	};

	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		in_loop(body_bad_answer, (void *)(uintptr_t)&bad[i]);
}

static uint32_t told_who, told_number;

static void remember(uint32_t who, uint32_t number, const char *what)
{
	told_who = who;
	told_number = number;
}

static void body_told(void *unused)
{
	struct pair p;

	log_capture(keep_log, NULL);
	channel_on_violation(remember);
	pair_open(&p, WHO_MX, true);
	raw_frame(&p, 0, 0x7ffe, 1, STR(""));
	wait_end(&p);
	assert_int_equal(told_who, WHO_MX);
	assert_int_equal(told_number, 7);
	channel_on_violation(NULL);
	log_capture(NULL, NULL);
	pair_close(&p);
}

static void a_violation_is_told_to_whoever_watches(void **state)
{
	in_loop(body_told, NULL);
}

/* ---- peers that go away, or do not listen ---- */

static void body_death(void *unused)
{
	struct task_group *g = task_group_new("callers");
	static struct caller callers[50];
	struct pair p;

	pair_open(&p, WHO_MX, false);
	p.hold = true;
	start_callers(&p, g, callers, 50);
	while (p.held_count < 50)
		wait_event(&p);
	channel_close(&p.front);
	task_group_join(g);
	for (size_t i = 0; i < 50; i++) {
		assert_int_equal(callers[i].r, -1);
		assert_int_equal(callers[i].err.kind, ERR_CLOSED);
	}
	assert_false(channel_is_open(p.store));
	/* Who answers after the end does no harm. */
	for (size_t i = 0; i < 50; i++)
		store_rcpt_answer(&held[i], &(struct store_rcpt_rep){ 0 });
	task_group_end(&g);
	pair_close(&p);
}

static void when_the_peer_dies_every_waiting_call_fails(void **state)
{
	in_loop(body_death, NULL);
}

static void body_closed(void *unused)
{
	struct err err = ERR_INIT;
	struct pair p;
	uint64_t target;

	pair_open(&p, WHO_MX, false);
	channel_close(&p.front);
	while (channel_is_open(p.store))
		task_yield();
	assert_int_equal(-1, ask(&p, 1, &target, &err));
	assert_int_equal(err.kind, ERR_CLOSED);
	assert_int_equal(p.ended, 0); /* we closed it ourselves: nobody needs to tell us */
	pair_close(&p);
}

static void a_call_on_an_ended_channel_fails_at_once(void **state)
{
	in_loop(body_closed, NULL);
}

static void count_answers(struct pair *p, size_t bytes)
{
	static char sink[65536];

	while (bytes) {
		ssize_t r = read(p->raw, sink, bytes < sizeof sink ? bytes : sizeof sink);

		if (r > 0)
			bytes -= (size_t)r;
		else
			assert_int_equal(errno, EAGAIN);
		task_yield();
	}
}

static void big_answer(void *arg, struct request *req)
{
	static char data[60000];
	struct pair *p = arg;

	p->oneways++;
	store_body_answer(&req, &(struct store_body_rep){ .data = { data, sizeof data } });
}

static void body_deaf(void *unused)
{
	enum { COUNT = 100, ANSWER = 12 + 4 + 60000 + 8 };
	struct buf q = BUF(64);
	struct err err = ERR_INIT;
	struct pair p = { .raw = -1 };
	size_t before;
	int sv[2];

	p.g = task_group_new("test");
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
	p.raw = sv[1];
	p.front = channel_new(p.g, sv[0], WHO_MAILBOX, 7, big_answer, store_sees_end, &p, &err);
	store_body_req_put(&q, &(struct store_body_req){ .length = 1 });
	for (uint32_t i = 0; i < COUNT; i++) {
		raw_frame(&p, (uint32_t)q.n, MSG_store_body, i + 1, buf_str(&q));
		for (int turns = 0; turns < 5; turns++)
			task_yield();
	}
	/* All asked, nothing read: the store has stopped taking requests. */
	before = p.oneways;
	assert_true(before < 20);
	assert_true(channel_pending(p.front) < PENDING_HIGH + 2 * ANSWER);
	count_answers(&p, (size_t)COUNT * ANSWER);
	assert_int_equal(p.oneways, COUNT);
	assert_int_equal(channel_pending(p.front), 0);
	buf_free(&q);
	pair_close(&p);
}

static void a_peer_that_does_not_read_its_answers_is_no_longer_heard(void **state)
{
	in_loop(body_deaf, NULL);
}

static void body_much(void *unused)
{
	static char data[61440];
	struct store_txn_body piece = { .txn = 1, .data = { data, sizeof data } };
	struct err err = ERR_INIT;
	struct pair p;

	pair_open(&p, WHO_MX, false);
	for (int i = 0; i < 500; i++) {
		assert_int_equal(0, store_txn_body_send(p.store, &piece, &err));
		assert_int_equal(0, channel_room(p.store, soon(), &err));
		assert_true(channel_pending(p.store) <= PENDING_HIGH);
	}
	while (p.oneways < 500)
		wait_event(&p);
	pair_close(&p);
}

static void thirty_megabytes_pass_through_little_memory(void **state)
{
	in_loop(body_much, NULL);
}

static void body_flood(void *unused)
{
	static char data[61440];
	struct store_txn_body piece = { .txn = 1, .data = { data, sizeof data } };
	struct err err = ERR_INIT;
	struct pair p;
	int sent = 0;

	pair_open(&p, WHO_MX, true); /* the raw end never reads */
	while (sent < 2000 && store_txn_body_send(p.front, &piece, &err) == 0)
		sent++;
	assert_true(sent > 900 && sent < 1200);
	assert_int_equal(err.kind, ERR_CLOSED);
	assert_false(channel_is_open(p.front));
	pair_close(&p);
}

static void a_peer_that_never_reads_loses_the_channel_before_we_lose_our_memory(void **state)
{
	in_loop(body_flood, NULL);
}

static void close_in_handler(void *arg, struct request *req)
{
	struct pair *p = arg;

	request_free(&req);
	channel_close(&p->front);
	p->oneways++;
	signal_raise(&p->event);
}

static void body_close_in_handler(void *unused)
{
	struct pair p = { .raw = -1 };
	struct err err = ERR_INIT;
	int sv[2];

	p.g = task_group_new("test");
	assert_int_equal(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv));
	p.front =
		channel_new(p.g, sv[0], WHO_SUBMIT, 7, close_in_handler, store_sees_end, &p, &err);
	p.store = channel_new(p.g, sv[1], WHO_STORE, 1, NULL, NULL, NULL, &err);
	for (int i = 0; i < 3; i++)
		assert_int_equal(0, store_detach_send(p.store, &(struct store_detach){ 0 }, &err));
	wait_event(&p);
	while (channel_is_open(p.store))
		task_yield();
	assert_int_equal(p.oneways, 1);
	assert_int_equal(p.ended, 0);
	pair_close(&p);
}

static void a_handler_may_close_its_channel(void **state)
{
	in_loop(body_close_in_handler, NULL);
}

static void body_group_end(void *unused)
{
	struct task_group *g = task_group_new("callers");
	static struct caller c;
	struct pair p;

	pair_open(&p, WHO_MX, false);
	p.hold = true;
	start_callers(&p, g, &c, 1);
	while (!p.held_count)
		wait_event(&p);
	store_rcpt_answer(&held[0], &(struct store_rcpt_rep){ .target = 9 });
	p.held_count = 0;
	/* The store ends right after it has answered; the answer still arrives. */
	channel_close(&p.front);
	task_group_join(g);
	assert_int_equal(c.r, 0);
	assert_int_equal(c.target, 9);
	task_group_end(&g);
	pair_close(&p);
}

static void an_answer_given_just_before_the_end_still_arrives(void **state)
{
	in_loop(body_group_end, NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_call_returns_its_answer),
		cmocka_unit_test(a_thousand_calls_at_once_are_answered_in_any_order),
		cmocka_unit_test(a_failure_arrives_with_its_kind_and_sentence),
		cmocka_unit_test(an_answer_that_comes_too_late_disturbs_nobody),
		cmocka_unit_test(a_message_over_its_limits_is_not_sent_and_the_channel_lives),
		cmocka_unit_test(a_descriptor_travels_with_its_message),
		cmocka_unit_test(a_message_that_breaks_the_rules_costs_its_sender_the_channel),
		cmocka_unit_test(a_descriptor_that_no_message_declares_costs_the_channel),
		cmocka_unit_test(a_malformed_answer_fails_the_call_and_the_channel),
		cmocka_unit_test(a_violation_is_told_to_whoever_watches),
		cmocka_unit_test(when_the_peer_dies_every_waiting_call_fails),
		cmocka_unit_test(a_call_on_an_ended_channel_fails_at_once),
		cmocka_unit_test(a_peer_that_does_not_read_its_answers_is_no_longer_heard),
		cmocka_unit_test(thirty_megabytes_pass_through_little_memory),
		cmocka_unit_test(
			a_peer_that_never_reads_loses_the_channel_before_we_lose_our_memory),
		cmocka_unit_test(a_handler_may_close_its_channel),
		cmocka_unit_test(an_answer_given_just_before_the_end_still_arrives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
