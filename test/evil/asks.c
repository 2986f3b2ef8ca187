/* asks.c - attempts at the other roles, over the channels that this role has. */
#include "evil.h"
#include "evil_private.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { FRONTS = WHO_MX | WHO_SUBMIT | WHO_MAILBOX, WITH_LOGIN = WHO_SUBMIT | WHO_MAILBOX };

int64_t evil_soon(void)
{
	return clock_after(10 * CLOCK_SEC);
}

static struct channel *to(struct evil *e, uint32_t who)
{
	struct err err = ERR_INIT;
	struct channel *ch = link_wait(role_link(e->role, who), evil_soon(), &err);

	if (!ch) {
		evil_tell(e, "channel", BROKE, err.msg);
		abort();
	}
	return ch;
}

struct channel *evil_store(struct evil *e)
{
	return to(e, WHO_STORE);
}

static struct channel *vault(struct evil *e)
{
	return to(e, WHO_VAULT);
}

/* Refused as a whole: that nothing went through is what counts, not which error it was. */
static int all_refused(struct err *err)
{
	return err_set(err, ERR_DENIED, "every one was refused");
}

uint64_t evil_call_id(void)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof id, 0) < 0)
		abort();
	return id & INT64_MAX;
}

static int rcpt(struct evil *e, uint32_t handle, const char *address, struct err *err)
{
	struct store_rcpt_req q = {
		.handle = handle, .sender = STR("x@elsewhere.test"), .address = str_c(address)
	};
	struct store_rcpt_rep a;

	return store_rcpt(evil_store(e), &q, evil_soon(), &a, NULL, err);
}

/* ---- logging in ---- */

struct grant {
	char token[16], session[384];
	size_t session_n;
};

static uint8_t own_service(const struct evil *e)
{
	return e->role->who == WHO_SUBMIT ? SERVICE_SUBMISSION : SERVICE_IMAP;
}

static int log_in(struct evil *e, const char *who, struct grant *g, struct err *err)
{
	char name[64], password[64];
	struct vault_login_req q = {
		.service = own_service(e), .peer = STR("192.0.2.1"), .tls = 1
	};
	struct vault_login_rep a;
	struct reply hold = { 0 };
	int r;

	snprintf(name, sizeof name, "EVIL_%s", who);
	snprintf(password, sizeof password, "EVIL_%s_PASSWORD", who);
	q.name = str_c(getenv(name));
	q.password = str_c(getenv(password));
	r = vault_login(vault(e), &q, evil_soon(), &a, &hold, err);
	if (r == 0 && (a.token.n != sizeof g->token || a.session.n > sizeof g->session))
		r = err_set(err, ERR_PROTO, "odd sizes");
	if (r == 0) {
		memcpy(g->token, a.token.p, a.token.n);
		memcpy(g->session, a.session.p, a.session.n);
		g->session_n = a.session.n;
	}
	reply_free(&hold);
	return r;
}

static int attach(struct evil *e, struct str token, uint32_t *handle, struct err *err)
{
	struct store_attach_req q = { .token = token };
	struct store_attach_rep a;
	struct reply hold = { 0 };
	int r = store_attach(evil_store(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0)
		*handle = a.handle;
	reply_free(&hold);
	return r;
}

uint32_t evil_handle(struct evil *e, const char *who)
{
	struct grant g;
	struct err err = ERR_INIT;
	uint32_t handle = 0;

	if (log_in(e, who, &g, &err) < 0 ||
		attach(e, str_make(g.token, sizeof g.token), &handle, &err) < 0) {
		evil_tell(e, "login", BROKE, err.msg);
		abort();
	}
	return handle;
}

/* ---- mail that must not go out ---- */

static int relay(struct evil *e, struct err *err)
{
	static const char *const forms[] = { "a@elsewhere.test", "A@ELSEWHERE.TEST",
		"\"a@elsewhere.test\"@elsewhere.test", "a@elsewhere.test.", "a@[127.0.0.1]",
		"a@[IPv6:::1]", "@example.test:a@elsewhere.test", "a@sub.example.test",
		"a@example.test.elsewhere.test", "a@xn--exmple-cua.test",
		"a@elsewhere.test,ann@example.test", "<a@elsewhere.test>", "a@localhost", "root",
		"a!b@elsewhere.test" };

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		if (rcpt(e, 0, forms[i], err) == 0)
			return 0;
	return all_refused(err);
}

/* Without asking first: a recipient that only the sender says is fine. */
static int deliver(struct evil *e, uint32_t handle, const char *sender, const char *address,
	uint64_t target, struct err *err)
{
	struct store_rcpt_item item = { .target = target, .address = str_c(address) };
	struct store_txn_body body = { .txn = 77, .data = STR("Subject: evil\r\n\r\nx\r\n") };
	struct store_txn_rcpts rcpts = { .txn = 77 };
	struct store_deliver_req q = { .call = evil_call_id(),
		.handle = handle,
		.txn = 77,
		.size = body.data.n,
		.sender = str_c(sender),
		.priority = PRIORITY_NORMAL,
		.proto = STR("ESMTP") };
	struct store_deliver_rep a;
	struct reply hold = { 0 };
	struct buf rows = BUF(1024);
	struct channel *ch = evil_store(e);
	int r = -1;

	store_rcpt_item_put(&rows, &item);
	rcpts.rcpts = buf_str(&rows);
	if (store_txn_rcpts_send(ch, &rcpts, err) == 0 && store_txn_body_send(ch, &body, err) == 0)
		r = store_deliver(ch, &q, evil_soon(), &a, &hold, err);
	if (r == 0 && a.local + a.queued == 0)
		r = err_set(err, ERR_DENIED, "accepted for nobody");
	reply_free(&hold);
	buf_free(&rows);
	return r;
}

static int deliver_remote(struct evil *e, struct err *err)
{
	return deliver(e, 0, "x@elsewhere.test", "a@elsewhere.test", 0, err);
}

/* The number of a local recipient with the address of another server. */
static int deliver_disguised(struct evil *e, struct err *err)
{
	struct store_rcpt_req q = { .sender = STR("x@elsewhere.test"),
		.address = STR("ann@example.test") };
	struct store_rcpt_rep a;

	if (store_rcpt(evil_store(e), &q, evil_soon(), &a, NULL, err) < 0)
		return -1;
	if (deliver(e, 0, "x@elsewhere.test", "a@elsewhere.test", a.target, err) < 0)
		return -1;
	/* It may have gone to the owner of that number, which is no relaying. */
	return err_set(err, ERR_DENIED, "it went to the local recipient");
}

static int local_recipient(struct evil *e, struct err *err)
{
	return rcpt(e, 0, "ann@example.test", err);
}

/* ---- handles that are not ours ---- */

static int guess_handles(struct evil *e, struct err *err)
{
	for (uint32_t i = 0; i < 3000; i++) {
		uint32_t guess = i < 1000 ? i : (uint32_t)evil_call_id();
		struct store_mailboxes_req q = { .handle = guess };
		struct store_mailboxes_rep a;
		struct reply hold = { 0 };
		int r = e->role->who == WHO_MAILBOX
			? store_mailboxes(evil_store(e), &q, evil_soon(), &a, &hold, err)
			: rcpt(e, guess, "a@elsewhere.test", err);

		reply_free(&hold);
		if (r == 0 || err->kind == ERR_CLOSED)
			return r;
	}
	return all_refused(err);
}

static int guess_tokens(struct evil *e, struct err *err)
{
	char token[16];
	uint32_t handle;

	for (int i = 0; i < 1000; i++) {
		memset(token, i & 0xff, sizeof token);
		if (i >= 256 && getrandom(token, sizeof token, 0) < 0)
			abort();
		if (attach(e, str_make(token, sizeof token), &handle, err) == 0)
			return 0;
	}
	return all_refused(err);
}

static int own_token(struct evil *e, struct err *err)
{
	struct grant g;
	uint32_t handle;

	if (log_in(e, "ANN", &g, err) < 0)
		return -1;
	return attach(e, str_make(g.token, sizeof g.token), &handle, err);
}

static int token_twice(struct evil *e, struct err *err)
{
	struct grant g;
	uint32_t handle;

	if (log_in(e, "ANN", &g, err) < 0 ||
		attach(e, str_make(g.token, sizeof g.token), &handle, err) < 0)
		abort();
	return attach(e, str_make(g.token, sizeof g.token), &handle, err);
}

static int handle_after_its_end(struct evil *e, struct err *err)
{
	uint32_t handle = evil_handle(e, "ANN");
	struct store_mailboxes_req q = { .handle = handle };
	struct store_mailboxes_rep a;
	struct reply hold = { 0 };
	int r;

	if (store_detach_send(evil_store(e), &(struct store_detach){ .handle = handle }, err) < 0)
		abort();
	if (e->role->who == WHO_SUBMIT)
		return rcpt(e, handle, "a@elsewhere.test", err);
	r = store_mailboxes(evil_store(e), &q, evil_soon(), &a, &hold, err);
	reply_free(&hold);
	return r;
}

static int wrong_password(struct evil *e, struct err *err)
{
	struct vault_login_req q = { .service = own_service(e),
		.peer = STR("192.0.2.1"),
		.tls = 1,
		.name = STR("ann@example.test"),
		.password = STR("password") };
	struct vault_login_rep a;
	struct reply hold = { 0 };
	int r = vault_login(vault(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

/* What one front was granted, another tries to use: submit leaves it, mailbox takes it. */
static void hex(const char *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++)
		snprintf(out + 2 * i, 3, "%02x", (unsigned)(unsigned char)p[i]);
}

static int leave_token(struct evil *e, struct err *err)
{
	struct grant g;
	char text[2 * 144 + 1];

	if (log_in(e, "ANN", &g, err) < 0)
		return -1;
	hex(g.token, sizeof g.token, text);
	hex(g.session, g.session_n, text + 32);
	evil_tell(e, "left", DID, text);
	return 0;
}

/* Wait for the other front to leave its grant. */
static bool found(struct evil *e, struct buf *grant)
{
	char text[512];
	struct err err = ERR_INIT;

	for (int i = 0; i < 400; i++) {
		if (evil_find(e, "submit\tleft\tdid\t", text, sizeof text))
			return hex_decode(str_c(text), grant);
		(void)task_sleep(clock_after(20 * CLOCK_MSEC), &err);
	}
	return false;
}

static int stolen_token(struct evil *e, struct err *err)
{
	struct buf grant = BUF(256);
	uint32_t handle;
	int r;

	if (!found(e, &grant))
		return err_set(err, ERR_NOTFOUND, "BROKE: nothing was left to steal");
	r = attach(e, str_head(buf_str(&grant), 16), &handle, err);
	buf_free(&grant);
	return r;
}

static int stolen_session(struct evil *e, struct err *err)
{
	struct buf grant = BUF(256);
	struct vault_regrant_req q = { 0 };
	struct vault_regrant_rep a;
	struct reply hold = { 0 };
	uint32_t handle;
	int r;

	if (!found(e, &grant))
		return err_set(err, ERR_NOTFOUND, "BROKE: nothing was left to steal");
	q.session = str_from(buf_str(&grant), 16);
	r = vault_regrant(vault(e), &q, evil_soon(), &a, &hold, err);
	if (r == 0)
		r = attach(e, a.token, &handle, err);
	reply_free(&hold);
	buf_free(&grant);
	return r;
}

static int own_session(struct evil *e, struct err *err)
{
	struct grant g;
	struct vault_regrant_req q = { 0 };
	struct vault_regrant_rep a;
	struct reply hold = { 0 };
	uint32_t handle;
	int r;

	if (log_in(e, "ANN", &g, err) < 0)
		return -1;
	q.session = str_make(g.session, g.session_n);
	r = vault_regrant(vault(e), &q, evil_soon(), &a, &hold, err);
	if (r == 0)
		r = attach(e, a.token, &handle, err);
	reply_free(&hold);
	return r;
}

static int forged_session(struct evil *e, struct err *err)
{
	struct grant g;
	struct vault_regrant_req q;
	struct vault_regrant_rep a;
	struct reply hold = { 0 };
	int r = -1;

	if (log_in(e, "ANN", &g, err) < 0)
		abort();
	for (size_t i = 0; i < g.session_n && r < 0; i++) {
		g.session[i] ^= 1;
		q = (struct vault_regrant_req){ .session = { g.session, g.session_n } };
		r = vault_regrant(vault(e), &q, evil_soon(), &a, &hold, err);
		reply_free(&hold);
		g.session[i] ^= 1;
	}
	return r;
}

/* ---- as another sender ---- */

static int relay_with_login(struct evil *e, struct err *err)
{
	return rcpt(e, evil_handle(e, "ANN"), "a@elsewhere.test", err);
}

static int sender(struct evil *e, const char *address, struct err *err)
{
	struct store_sender_req q = { .handle = evil_handle(e, "ANN"), .address = str_c(address) };
	struct store_sender_rep a;

	return store_sender(evil_store(e), &q, evil_soon(), &a, NULL, err);
}

static int own_sender(struct evil *e, struct err *err)
{
	return sender(e, getenv("EVIL_ANN"), err);
}

static int other_sender(struct evil *e, struct err *err)
{
	return sender(e, getenv("EVIL_BOB"), err);
}

static int deliver_as_other(struct evil *e, struct err *err)
{
	return deliver(e, evil_handle(e, "ANN"), getenv("EVIL_BOB"), "a@elsewhere.test", 0, err);
}

static int deliver_without_login(struct evil *e, struct err *err)
{
	return deliver(e, 0, getenv("EVIL_ANN"), "a@elsewhere.test", 0, err);
}

/* ---- secrets ---- */

/* Not the keys but what they hash to: the judge compares those of the classes. */
static int ticket_keys(struct evil *e, struct err *err)
{
	struct vault_ticket_keys_req q = { 0 };
	struct vault_ticket_keys_rep a;
	struct reply hold = { 0 };
	char text[32] = "";
	int r = vault_ticket_keys(vault(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0)
		snprintf(text, sizeof text, "%016llx", (unsigned long long)hash_fixed(a.keys));
	reply_free(&hold);
	evil_tell(e, "ticket-key-hash", DID, text);
	return r;
}

/* No identity that a front is told of holds a private key. */
static int private_key(struct evil *e, struct err *err)
{
	struct vault_identities_req q = { 0 };
	struct vault_identities_rep a;
	struct reply hold = { 0 };
	int r = vault_identities(vault(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && str_search(a.items, STR("PRIVATE KEY")) == a.items.n)
		r = err_set(err, ERR_DENIED, "certificates only");
	reply_free(&hold);
	return r;
}

static int certificates(struct evil *e, struct err *err)
{
	struct vault_identities_req q = { 0 };
	struct vault_identities_rep a;
	struct reply hold = { 0 };
	int r = vault_identities(vault(e), &q, evil_soon(), &a, &hold, err);

	if (r == 0 && a.items.n == 0)
		r = err_set(err, ERR_NOTFOUND, "none");
	reply_free(&hold);
	return r;
}

static int sign_with_other_key(struct evil *e, struct err *err)
{
	struct vault_sign_req q = { .algorithm = STR("ecdsa"),
		.data = STR("0123456789abcdef0123456789abcdef") };
	struct vault_sign_rep a;
	struct reply hold = { 0 };
	int r = -1;

	for (uint32_t key = 1000; key < 1200 && r < 0; key++) {
		q.key = key;
		r = vault_sign(vault(e), &q, evil_soon(), &a, &hold, err);
		reply_free(&hold);
	}
	return r;
}

static int provider_password(struct evil *e, struct err *err)
{
	struct vault_provider_req q = { .route = STR("elsewhere.test") };
	struct vault_provider_rep a;
	struct reply hold = { 0 };
	int r = vault_provider(vault(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

/* ---- the courier: mail that it was not given ---- */

static int take_work(struct evil *e, struct err *err)
{
	struct store_lease_req q = { .max = 1 };
	struct store_lease_rep a;
	struct reply hold = { 0 };
	int r = store_lease(evil_store(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int guess_leases(struct evil *e, struct err *err)
{
	for (uint64_t i = 0; i < 2000; i++) {
		struct store_lease_body_req q = { .lease = i < 1000 ? i : evil_call_id(),
			.length = 100 };
		struct store_lease_body_rep a;
		struct reply hold = { 0 };
		int r = store_lease_body(evil_store(e), &q, evil_soon(), &a, &hold, err);

		reply_free(&hold);
		if (r == 0)
			return 0;
	}
	return all_refused(err);
}

static int result_without_lease(struct evil *e, struct err *err)
{
	struct store_result_item item = { .rcpt = 1,
		.state = RCPT_FAILED,
		.code = 550,
		.status = STR("5.0.0"),
		.text = STR("evil") };
	struct store_result_req q = { .call = evil_call_id(), .lease = 1 };
	struct store_result_rep a;
	struct buf rows = BUF(1024);
	int r;

	store_result_item_put(&rows, &item);
	q.results = buf_str(&rows);
	r = store_result(evil_store(e), &q, evil_soon(), &a, NULL, err);
	buf_free(&rows);
	return r;
}

/* ---- what breaks the rules of a channel ---- */

static int raw(struct channel *ch, uint16_t number, struct str bytes, struct err *err)
{
	struct reply hold = { 0 };
	struct str answer;
	int r = channel_call(ch, number, bytes, -1, evil_soon(), &hold, &answer, err);

	reply_free(&hold);
	return r;
}

static int ask_login(struct evil *e, struct err *err)
{
	return wrong_password(e, err) < 0 && err->kind != ERR_DENIED ? -1 : 0;
}

static int ask_attach(struct evil *e, struct err *err)
{
	uint32_t handle;

	return attach(e, STR("0123456789abcdef"), &handle, err);
}

static int add_account(struct evil *e, struct err *err)
{
	struct store_account_add_req q = { .call = evil_call_id(),
		.login = STR("evil@example.test") };
	struct store_account_add_rep a;

	return store_account_add(evil_store(e), &q, evil_soon(), &a, NULL, err);
}

static int set_password(struct evil *e, struct err *err)
{
	struct vault_password_set_req q = { .login = STR("ann@example.test"),
		.password = STR("evil-evil-evil") };
	struct vault_password_set_rep a;

	return vault_password_set(vault(e), &q, evil_soon(), &a, NULL, err);
}

static int grant_oneself(struct evil *e, struct err *err)
{
	struct store_grant_req q = { .front = e->role->number,
		.account = 1,
		.scopes = SCOPE_MAIL | SCOPE_SUBMIT,
		.token = STR("0123456789abcdef") };
	struct store_grant_rep a;

	return store_grant(evil_store(e), &q, evil_soon(), &a, NULL, err);
}

static int read_verifier(struct evil *e, struct err *err)
{
	struct store_secret_get_req q = { .kind = SECRET_VERIFIER,
		.name = STR("ann@example.test") };
	struct store_secret_get_rep a;
	struct reply hold = { 0 };
	int r = store_secret_get(evil_store(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int select_mailbox(struct evil *e, struct err *err)
{
	struct store_select_req q = { .handle = 1, .name = STR("INBOX") };
	struct store_select_rep a;
	struct reply hold = { 0 };
	int r = store_select(evil_store(e), &q, evil_soon(), &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int ask_rcpt(struct evil *e, struct err *err)
{
	return rcpt(e, 0, "ann@example.test", err);
}

static int malformed(struct evil *e, struct err *err)
{
	return raw(evil_store(e), MSG_store_rcpt, STR("not a message"), err);
}

static int malformed_to_vault(struct evil *e, struct err *err)
{
	return raw(vault(e), MSG_vault_sign, STR("not a message"), err);
}

static int unknown_message(struct evil *e, struct err *err)
{
	return raw(evil_store(e), 0x7abc, STR(""), err);
}

static const struct ask asks[] = {
	{ WHO_MX, PLAIN, "relay", relay },
	{ WHO_MX, PLAIN, "deliver-remote", deliver_remote },
	{ WHO_MX, PLAIN, "deliver-disguised", deliver_disguised },
	{ WHO_MX, CONTROL, "local-recipient", local_recipient },
	{ WHO_MX, PLAIN, "guess-handles", guess_handles },
	{ FRONTS, PLAIN, "private-key", private_key },
	{ FRONTS, CONTROL, "certificates", certificates },
	{ FRONTS, CONTROL, "ticket-keys", ticket_keys },
	{ FRONTS, PLAIN, "sign-with-other-key", sign_with_other_key },
	{ WHO_SUBMIT, CONTROL, "leave-token", leave_token },
	{ WHO_MAILBOX, PLAIN, "stolen-token", stolen_token },
	{ WHO_MAILBOX, PLAIN, "stolen-session", stolen_session },
	{ WITH_LOGIN, CONTROL, "own-session", own_session },
	{ WITH_LOGIN, PLAIN, "forged-session", forged_session },
	{ WITH_LOGIN, PLAIN, "guess-tokens", guess_tokens },
	{ WITH_LOGIN, CONTROL, "own-token", own_token },
	{ WITH_LOGIN, PLAIN, "token-twice", token_twice },
	{ WITH_LOGIN, PLAIN, "handle-after-its-end", handle_after_its_end },
	{ WITH_LOGIN, PLAIN, "wrong-password", wrong_password },
	{ WHO_SUBMIT, CONTROL, "relay-with-login", relay_with_login },
	{ WHO_SUBMIT, CONTROL, "own-sender", own_sender },
	{ WHO_SUBMIT, PLAIN, "other-sender", other_sender },
	{ WHO_SUBMIT, PLAIN, "deliver-as-other", deliver_as_other },
	{ WHO_MAILBOX, CONTROL, "own-mailbox", ask_own_mailbox },
	{ WHO_MAILBOX, CONTROL, "own-body", ask_own_body },
	{ WHO_MAILBOX, PLAIN, "other-uids", ask_other_uids },
	{ WHO_MAILBOX, PLAIN, "other-entries", ask_other_entries },
	{ WHO_MAILBOX, PLAIN, "other-body", ask_other_body },
	{ WHO_MAILBOX, PLAIN, "other-flags", ask_other_flags },
	{ WHO_MAILBOX, PLAIN, "other-copy", ask_other_copy },
	{ WHO_MAILBOX, PLAIN, "other-expunge", ask_other_expunge },
	{ WHO_COURIER, CONTROL, "take-work", take_work },
	{ WHO_COURIER, PLAIN, "guess-leases", guess_leases },
	{ WHO_COURIER, PLAIN, "result-without-lease", result_without_lease },
	{ WHO_COURIER, PLAIN, "provider-password", provider_password },

	{ WHO_MX, FATAL, "login-on-mx", ask_login },
	{ WHO_MX, FATAL, "attach-on-mx", ask_attach },
	{ WHO_MX | WHO_SUBMIT | WHO_COURIER | WHO_VAULT, FATAL, "add-account", add_account },
	{ WHO_MX | WHO_SUBMIT | WHO_MAILBOX, FATAL, "open-account", ask_open_account },
	{ WITH_LOGIN, FATAL, "set-password", set_password },
	/* In a life that has no handle of its own. */
	{ WITH_LOGIN, FATAL, "guess-handles", guess_handles },
	{ WHO_SUBMIT | WHO_MAILBOX, FATAL, "grant-oneself", grant_oneself },
	{ WHO_MAILBOX | WHO_COURIER, FATAL, "read-verifier", read_verifier },
	{ WHO_SUBMIT | WHO_VAULT | WHO_COURIER, FATAL, "select-mailbox", select_mailbox },
	{ WHO_MAILBOX | WHO_VAULT, FATAL, "recipient", ask_rcpt },
	{ WHO_MX | WHO_SUBMIT | WHO_MAILBOX, FATAL, "take-work", take_work },
	{ WHO_SUBMIT, FATAL, "deliver-without-login", deliver_without_login },
	{ WHO_SUBMIT, FATAL, "provider-password", provider_password },
	{ WHO_MX, FATAL, "malformed", malformed },
	{ WHO_MAILBOX, FATAL, "malformed-to-vault", malformed_to_vault },
	{ WHO_SUBMIT, FATAL, "unknown-message", unknown_message },
};
enum { ASKS = sizeof asks / sizeof asks[0] };

/* A peer that was wronged ends the channel; anything else is an answer, and so is success. */
static void tell_ask(struct evil *e, const struct ask *ask, int r, const struct err *err)
{
	bool broke = r < 0 && strncmp(err->msg, "BROKE", 5) == 0;
	enum outcome o = r == 0 ? DID : REFUSED;

	if (ask->flavour == FATAL && r < 0)
		o = err->kind == ERR_CLOSED ? KILLED : BROKE;
	if (ask->flavour == PLAIN && r < 0 && err->kind == ERR_CLOSED)
		broke = true;
	evil_tell(e, ask->name, broke ? BROKE : o, r < 0 ? err->msg : "");
}

/* The master is on its way to end us. */
static void wait_for_the_end(struct evil *e, const char *name)
{
	struct err err = ERR_INIT;

	if (task_sleep(clock_after(10 * CLOCK_SEC), &err) == 0)
		evil_tell(e, name, BROKE, "survived");
}

/* True when this life is the one to try it. The end may come before there was time to tell of it.
 */
static bool begin_fatal(struct evil *e, const struct ask *ask)
{
	char mark[128];

	snprintf(mark, sizeof mark, "trying %s", ask->name);
	if (evil_told(e, mark)) {
		evil_tell(e, ask->name, KILLED, "the role was ended");
		return false;
	}
	evil_tell(e, mark, DID, "");
	return true;
}

static void try_ask(struct evil *e, const struct ask *ask)
{
	struct err err = ERR_INIT;
	int r;

	if (ask->flavour == FATAL && !begin_fatal(e, ask))
		return;
	r = ask->run(e, &err);
	tell_ask(e, ask, r, &err);
	if (ask->flavour == FATAL && r < 0)
		wait_for_the_end(e, ask->name);
}

static void try_all(struct evil *e, const struct ask *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if ((list[i].who & e->role->who) && !evil_told(e, list[i].name))
			try_ask(e, &list[i]);
}

void evil_ask(struct evil *e)
{
	/* What other roles answer has nothing to do with our own sandbox: once is enough. */
	if (!getenv("EVIL_CALLS_ONLY")) {
		try_all(e, asks, ASKS);
		try_all(e, evil_mail_asks, evil_mail_ask_count);
	}
	if (!evil_told(e, "finished"))
		evil_tell(e, "finished", DID, "");
}
