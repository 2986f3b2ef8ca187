/* ask_mail.c - ways for an mx front to get mail out, and bytes that are no messages. */
#include "evil.h"

#include "base/clock.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

enum { NUMBERS = 300, MX = WHO_MX };

static int64_t soon(void)
{
	return clock_after(10 * CLOCK_SEC);
}

static struct channel *store(struct evil *e)
{
	struct err err = ERR_INIT;

	return link_wait(role_link(e->role, WHO_STORE), soon(), &err);
}

static uint64_t call_id(void)
{
	uint64_t id = 0;

	(void)!getrandom(&id, sizeof id, 0);
	return id & INT64_MAX;
}

/* ---- relaying ---- */

struct to {
	uint64_t target;
	const char *address;
};

/* How many of the recipients are to be reached elsewhere. */
static int deliver(struct evil *e, uint32_t handle, const char *sender, const struct to *to,
	size_t count, uint32_t *queued, struct err *err)
{
	struct store_txn_body body = { .txn = 78, .data = STR("Subject: evil\r\n\r\nx\r\n") };
	struct store_txn_rcpts rcpts = { .txn = 78 };
	struct store_deliver_req q = { .call = call_id(),
		.handle = handle,
		.txn = 78,
		.size = body.data.n,
		.sender = str_c(sender),
		.priority = PRIORITY_NORMAL,
		.proto = STR("ESMTP") };
	struct store_deliver_rep a = { 0 };
	struct channel *ch = store(e);
	struct buf rows = BUF(4096);
	int r = -1;

	for (size_t i = 0; i < count; i++)
		store_rcpt_item_put(&rows,
			&(struct store_rcpt_item){
				.target = to[i].target, .address = str_c(to[i].address) });
	rcpts.rcpts = buf_str(&rows);
	if (store_txn_rcpts_send(ch, &rcpts, err) == 0 && store_txn_body_send(ch, &body, err) == 0)
		r = store_deliver(ch, &q, soon(), &a, NULL, err);
	*queued = a.queued;
	buf_free(&rows);
	return r;
}

static int target_of(struct evil *e, const char *address, uint64_t *target, struct err *err)
{
	struct store_rcpt_req q = { .sender = STR("x@elsewhere.test"), .address = str_c(address) };
	struct store_rcpt_rep a = { 0 };
	int r = store_rcpt(store(e), &q, soon(), &a, NULL, err);

	*target = a.target;
	return r;
}

static int nothing_went_out(struct err *err)
{
	return err_set(err, ERR_DENIED, "nothing went out");
}

/* team@example.test leads out (the runner has made it so): whoever writes to it may. */
static int alias_that_leads_out(struct evil *e, struct err *err)
{
	struct to to = { 0, "team@example.test" };
	uint32_t queued = 0;

	if (target_of(e, to.address, &to.target, err) < 0 ||
		deliver(e, 0, "x@elsewhere.test", &to, 1, &queued, err) < 0)
		return -1;
	return queued == 1 ? 0 : nothing_went_out(err);
}

/* T041: its number, with an address of our own. */
static int alias_of_another(struct evil *e, struct err *err)
{
	struct to to = { 0, "hidden@elsewhere.test" };
	uint32_t queued = 0;

	if (target_of(e, "team@example.test", &to.target, err) < 0)
		return err_set(err, ERR_NOTFOUND, "BROKE: no alias");
	return deliver(e, 0, "x@elsewhere.test", &to, 1, &queued, err);
}

/* T041 */
static int guess_targets(struct evil *e, struct err *err)
{
	for (uint64_t n = 1; n <= NUMBERS; n++) {
		const struct to to = { n, "hidden@elsewhere.test" };
		uint32_t queued = 0;

		if (deliver(e, 0, "x@elsewhere.test", &to, 1, &queued, err) == 0)
			return 0;
	}
	return nothing_went_out(err);
}

/* Who vanished between RCPT and delivery is owed a report: one that never was would send a report
 * of our making to a stranger. */
static int report_to_stranger(struct evil *e, struct err *err)
{
	static const uint64_t ghosts[] = { 0, 999999, UINT32_MAX, UINT64_MAX };
	struct to to[2] = { { 0, "ann@example.test" }, { 0, "nobody@example.test" } };
	uint32_t queued = 0;

	if (target_of(e, to[0].address, &to[0].target, err) < 0)
		return err_set(err, ERR_NOTFOUND, "BROKE: no recipient");
	for (size_t i = 0; i < sizeof ghosts / sizeof ghosts[0]; i++) {
		to[1].target = ghosts[i];
		if (deliver(e, 0, "stranger@elsewhere.test", to, 2, &queued, err) == 0 && queued)
			return 0;
	}
	return nothing_went_out(err);
}

/* One that is fine beside one that is not. */
static int deliver_mixed(struct evil *e, struct err *err)
{
	struct to to[2] = { { 0, "ann@example.test" }, { 0, "hidden@elsewhere.test" } };
	uint32_t queued = 0;

	if (target_of(e, to[0].address, &to[0].target, err) < 0)
		return err_set(err, ERR_NOTFOUND, "BROKE: no recipient");
	return deliver(e, 0, "x@elsewhere.test", to, 2, &queued, err);
}

static int deliver_with_handle(struct evil *e, struct err *err)
{
	const struct to to = { 0, "hidden@elsewhere.test" };
	uint32_t queued = 0;

	return deliver(e, 1, "ann@example.test", &to, 1, &queued, err);
}

/* Lists that nobody will commit, until the store has no room for an honest one. */
static int recipients_without_end(struct evil *e, struct err *err)
{
	const struct to ann = { 0, "ann@example.test" };
	struct buf rows = BUF(1 << 16);
	struct store_txn_rcpts m = { .txn = 1000 };
	struct channel *ch = store(e);
	uint32_t queued;
	int r = 0;

	while (rows.n < 55000)
		store_rcpt_item_put(
			&rows, &(struct store_rcpt_item){ .address = STR("ann@example.test") });
	m.rcpts = buf_str(&rows);
	for (int i = 0; r == 0 && i < 700; i++) {
		m.txn = i < 699 ? 1000 + (uint32_t)i / 200 : 78; /* the last is deliver()'s */
		r = store_txn_rcpts_send(ch, &m, err);
		if (r < 0 && channel_is_open(ch)) { /* it is not that fast */
			*err = ERR_INIT;
			(void)task_sleep(clock_after(CLOCK_MSEC), err);
			r = 0;
			i--;
		}
	}
	r = deliver(e, 0, "x@elsewhere.test", &ann, 1, &queued, err);
	for (m.txn = 1000; m.txn < 1004; m.txn++)
		(void)store_txn_abort_send(
			ch, &(struct store_txn_abort){ m.txn }, &(struct err){ 0 });
	buf_free(&rows);
	return r;
}

/* What only those who have logged in may ask for. */
static int deliver_wanting(struct evil *e, int64_t hold_until, uint8_t priority, struct err *err)
{
	struct store_txn_body body = { .txn = 79, .data = STR("Subject: evil\r\n\r\nx\r\n") };
	struct store_txn_rcpts rcpts = { .txn = 79 };
	struct store_deliver_req q = { .call = call_id(),
		.txn = 79,
		.size = body.data.n,
		.sender = STR("x@elsewhere.test"),
		.hold_until = hold_until,
		.priority = priority,
		.proto = STR("ESMTP") };
	struct store_deliver_rep a = { 0 };
	struct channel *ch = store(e);
	struct buf rows = BUF(1024);
	int r = -1;

	store_rcpt_item_put(&rows, &(struct store_rcpt_item){ .address = STR("ann@example.test") });
	rcpts.rcpts = buf_str(&rows);
	if (store_txn_rcpts_send(ch, &rcpts, err) == 0 && store_txn_body_send(ch, &body, err) == 0)
		r = store_deliver(ch, &q, soon(), &a, NULL, err);
	buf_free(&rows);
	return r;
}

static int deliver_held(struct evil *e, struct err *err)
{
	return deliver_wanting(e, (clock_wall() + 3600) * CLOCK_SEC, PRIORITY_NORMAL, err);
}

static int deliver_urgent(struct evil *e, struct err *err)
{
	return deliver_wanting(e, 0, PRIORITY_TOP, err);
}

/* ---- bytes that are no messages ---- */

struct head {
	uint32_t length;
	uint16_t type, zero;
	uint32_t seq;
};

/* A hijacked process knows its own memory: a channel begins with its descriptor. */
static int fd_of(const struct channel *ch)
{
	return *(const int *)(const void *)ch;
}

/* Wait until the other side has had enough. */
static int until_ended(struct channel *ch, struct err *err)
{
	for (int i = 0; i < 200 && channel_is_open(ch); i++)
		if (task_sleep(clock_after(20 * CLOCK_MSEC), err) < 0)
			return -1;
	return channel_is_open(ch) ? 0 : err_set(err, ERR_CLOSED, "the channel was ended");
}

static int oversized(struct evil *e, struct err *err)
{
	const struct head h = { 16u << 20, MSG_store_rcpt, 0, 1 };
	struct channel *ch = store(e);

	(void)!write(fd_of(ch), &h, sizeof h);
	return until_ended(ch, err);
}

static int garbage(struct evil *e, struct err *err)
{
	struct channel *ch = store(e);
	char bytes[512];

	memset(bytes, 0xa5, sizeof bytes);
	(void)!write(fd_of(ch), bytes, sizeof bytes);
	return until_ended(ch, err);
}

/* What only the master says, and only to a role. */
static int command(struct evil *e, struct err *err)
{
	const struct control_stop m = { .seconds = 1 };
	struct channel *ch = store(e);

	if (control_stop_send(ch, &m, err) < 0)
		return -1;
	return until_ended(ch, err);
}

/* Questions without end, and no answer is read: the runner looks at the store's memory. */
static int flood(struct evil *e, struct err *err)
{
	struct channel *ch = store(e);
	int64_t until = clock_after(2 * CLOCK_SEC);
	struct store_rcpt_req q = { .sender = STR("x@elsewhere.test"),
		.address = STR("ann@example.test") };
	struct buf body = BUF(1024), frames = BUF(1 << 20);
	struct head h = { .type = MSG_store_rcpt, .seq = UINT32_MAX };
	size_t at = 0;

	store_rcpt_req_put(&body, &q);
	h.length = (uint32_t)body.n;
	for (int i = 0; i < 1000; i++) {
		buf_add(&frames, str_make(&h, sizeof h));
		buf_add(&frames, buf_str(&body));
	}
	while (clock_mono() < until) {
		struct pollfd p = { .fd = fd_of(ch), .events = POLLOUT };
		ssize_t n = send(p.fd, frames.p + at, frames.n - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			at = (at + (size_t)n) % frames.n;
		else if (errno != EAGAIN || poll(&p, 1, 100) < 0)
			break;
	}
	/* To the end of a message, so that the channel stays of use. */
	while (at % (sizeof h + body.n)) {
		size_t rest = sizeof h + body.n - at % (sizeof h + body.n);
		ssize_t n = send(fd_of(ch), frames.p + at, rest, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			at += (size_t)n;
		else if (task_sleep(clock_after(CLOCK_MSEC), err) < 0)
			break;
	}
	buf_free(&body);
	buf_free(&frames);
	return err_set(err, ERR_DENIED, "the store stopped reading");
}

/* ---- a grant after its ten seconds ---- */

static int late_token(struct evil *e, struct err *err)
{
	struct vault_login_req q = { .service = SERVICE_IMAP,
		.peer = STR("192.0.2.1"),
		.tls = 1,
		.name = STR("ann@example.test"),
		.password = STR("ann-sings-2-moths") };
	struct channel *vault = link_wait(role_link(e->role, WHO_VAULT), soon(), err);
	struct vault_login_rep a;
	struct store_attach_req aq;
	struct store_attach_rep aa;
	struct reply hold = { 0 }, hold2 = { 0 };
	int r = -1;

	if (!vault || vault_login(vault, &q, soon(), &a, &hold, err) < 0 ||
		task_sleep(clock_after(11 * CLOCK_SEC), err) < 0) {
		if (err->kind != ERR_TIMEOUT)
			err_set(err, ERR_TEMP, "BROKE: no token");
	}
	if (hold.p) {
		aq = (struct store_attach_req){ .token = a.token };
		r = store_attach(store(e), &aq, soon(), &aa, &hold2, err);
	}
	reply_free(&hold);
	reply_free(&hold2);
	return r;
}

/* Who is only asked has no channel on which to ask. */
static int ask_anybody(struct evil *e, struct err *err)
{
	static const uint32_t peers[] = { WHO_STORE, WHO_VAULT, WHO_DNS };

	for (size_t i = 0; i < sizeof peers / sizeof peers[0]; i++)
		if (role_link(e->role, peers[i]))
			return 0;
	return err_set(err, ERR_DENIED, "there is no such channel");
}

const struct ask evil_mail_asks[] = {
	{ WHO_DNS | WHO_STORE, PLAIN, "ask-anybody", ask_anybody },
	{ MX, CONTROL, "alias-that-leads-out", alias_that_leads_out },
	{ MX, PLAIN, "alias-of-another", alias_of_another },
	{ MX, PLAIN, "guess-targets", guess_targets },
	{ MX, PLAIN, "report-to-stranger", report_to_stranger },
	{ MX, PLAIN, "deliver-mixed", deliver_mixed },
	{ MX, PLAIN, "recipients-without-end", recipients_without_end },
	{ MX, PLAIN, "flood", flood },
	{ WHO_MAILBOX, PLAIN, "late-token", late_token },
	{ MX, FATAL, "deliver-with-handle", deliver_with_handle },
	{ MX, FATAL, "deliver-held", deliver_held },
	{ MX, FATAL, "deliver-urgent", deliver_urgent },
	{ WHO_COURIER, FATAL, "oversized", oversized },
	{ WHO_COURIER, FATAL, "garbage", garbage },
	{ WHO_VAULT, FATAL, "command", command },
};
const size_t evil_mail_ask_count = sizeof evil_mail_asks / sizeof evil_mail_asks[0];
