/* vault_test.h - the vault role as it runs, between a front, an operator and a store that is a few
 * arrays: for the unit tests of the vault, each of which is one program. */
#ifndef ROLE_VAULT_TEST_H
#define ROLE_VAULT_TEST_H

#include "role/vault_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "role/link_private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- a store ---- */

enum { SECRETS_MAX = 16 };

static struct {
	struct channel *ch;
	bool enabled;
	struct {
		uint8_t kind;
		struct buf name, sealed;
	} secret[SECRETS_MAX];
	size_t secrets;
	uint32_t granted_front, granted_scopes;
	int grants, revokes;
	bool refuse_grants, full;
	struct signal put; /* raised when a secret was stored */
} store;

static struct buf *find_secret(uint8_t kind, struct str name)
{
	for (size_t i = 0; i < store.secrets; i++)
		if (store.secret[i].kind == kind && str_eq(buf_str(&store.secret[i].name), name))
			return &store.secret[i].sealed;
	return NULL;
}

static void store_login_asked(struct request *req)
{
	struct store_login_req q;
	struct store_login_rep a = { .account = 7, .login = STR("ann@example.test") };
	struct err err = ERR_INIT;
	const struct buf *verifier = find_secret(SECRET_VERIFIER, a.login);

	assert_int_equal(store_login_req_get(req->body, &q, &err), 0);
	if (str_searchi(q.name, STR("nobody")) < q.name.n) {
		a = (struct store_login_rep){ .login = STR("nobody@example.test") };
		if (str_searchi(q.name, STR("nobody2")) < q.name.n)
			a.login = STR("nobody2@example.test");
		store_login_answer(&req, &a);
		return;
	}
	if (!str_eq(q.name, a.login) && !str_eq(q.name, STR("ann.b@example.test"))) {
		err_set(&err, ERR_NOTFOUND, "no such account");
		request_fail(&req, &err);
		return;
	}
	a.enabled = store.enabled;
	if (verifier)
		a.verifier = buf_str(verifier);
	store_login_answer(&req, &a);
}

static void secret_put_asked(struct request *req)
{
	struct store_secret_put_req q;
	struct store_secret_put_rep a = { .ok = 1 };
	struct err err = ERR_INIT;
	struct buf *b;

	assert_int_equal(store_secret_put_req_get(req->body, &q, &err), 0);
	if (store.full) {
		err_set(&err, ERR_FULL, "no space left");
		request_fail(&req, &err);
		return;
	}
	b = find_secret(q.kind, q.name);
	if (!b) {
		size_t i = store.secrets++;

		store.secret[i].kind = q.kind;
		store.secret[i].name = BUF(400);
		store.secret[i].sealed = BUF(50000);
		buf_add(&store.secret[i].name, q.name);
		b = &store.secret[i].sealed;
	}
	buf_clear(b);
	buf_add(b, q.sealed);
	store_secret_put_answer(&req, &a);
	signal_raise(&store.put);
}

static void secret_get_asked(struct request *req)
{
	struct store_secret_get_req q;
	struct store_secret_get_rep a;
	struct err err = ERR_INIT;
	const struct buf *b;

	assert_int_equal(store_secret_get_req_get(req->body, &q, &err), 0);
	b = find_secret(q.kind, q.name);
	if (b) {
		a.sealed = buf_str(b);
		store_secret_get_answer(&req, &a);
		return;
	}
	err_set(&err, ERR_NOTFOUND, "no such secret");
	request_fail(&req, &err);
}

static void secret_list_asked(struct request *req)
{
	struct store_secret_list_req q;
	struct store_secret_list_rep a = { 0 };
	struct buf items = BUF(60000);
	struct err err = ERR_INIT;

	assert_int_equal(store_secret_list_req_get(req->body, &q, &err), 0);
	for (size_t i = 0; i < store.secrets; i++) {
		struct store_secret_item item = { buf_str(&store.secret[i].name) };

		if (store.secret[i].kind == q.kind && str_cmp(item.name, q.after) > 0)
			store_secret_item_put(&items, &item);
	}
	a.items = buf_str(&items);
	store_secret_list_answer(&req, &a);
	buf_free(&items);
}

static void grant_asked(struct request *req)
{
	struct store_grant_req q;
	struct store_grant_rep a = { .ok = 1 };
	struct err err = ERR_INIT;

	assert_int_equal(store_grant_req_get(req->body, &q, &err), 0);
	if (store.refuse_grants) {
		err_set(&err, ERR_TEMP, "not now");
		request_fail(&req, &err);
		return;
	}
	assert_int_equal(q.account, 7);
	store.granted_front = q.front;
	store.granted_scopes = q.scopes;
	store.grants++;
	store_grant_answer(&req, &a);
}

static void store_asked(void *arg, struct request *req)
{
	struct store_revoke_rep revoked = { .ended = 1 };

	(void)arg;
	switch (req->type) {
	case MSG_store_login:
		store_login_asked(req);
		break;
	case MSG_store_secret_put:
		secret_put_asked(req);
		break;
	case MSG_store_secret_get:
		secret_get_asked(req);
		break;
	case MSG_store_secret_list:
		secret_list_asked(req);
		break;
	case MSG_store_grant:
		grant_asked(req);
		break;
	case MSG_store_revoke:
		store.revokes++;
		store_revoke_answer(&req, &revoked);
		break;
	default:
		request_free(&req);
	}
}

/* ---- what run.c is to a role ---- */

static struct role role = { .name = "vault", .who = WHO_VAULT, .number = 2 };
static struct link store_link;
static role_peer_fn *peer_fn;
static void *peer_arg;
static struct signal ready;
static int seal_fd, client_ca_fd = -1;

int role_take_file(struct role *r, uint8_t purpose, const char *name)
{
	(void)r;
	(void)name;
	if (purpose == FILE_CA && client_ca_fd >= 0) {
		lseek(client_ca_fd, 0, SEEK_SET);
		return dup(client_ca_fd);
	}
	return purpose == FILE_SEAL ? dup(seal_fd) : -1;
}

void role_on_peer(struct role *r, uint32_t who, role_peer_fn *fn, void *arg)
{
	(void)r;
	(void)who;
	peer_fn = fn;
	peer_arg = arg;
}

struct link *role_link(struct role *r, uint32_t who)
{
	(void)r;
	(void)who;
	return &store_link;
}

void role_ready(struct role *r, const char *note)
{
	(void)r;
	(void)note;
	signal_raise(&ready);
}

/* ---- a test: a function that runs as a task among all these ---- */

static char trace[600];
static struct err err;
static struct channel *front, *operator_channel;
static int changed;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add(const char *fmt, ...)
{
	size_t n = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + n, sizeof trace - n, fmt, ap);
	va_end(ap);
}

static void pair(int sv[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sv), 0);
}

static void from_vault(void *arg, struct request *req)
{
	(void)arg;
	changed += req->type == MSG_vault_changed;
	request_free(&req);
}

static struct channel *connect_as(uint32_t who, uint32_t number)
{
	int sv[2];

	pair(sv);
	peer_fn(peer_arg, who, number, sv[0]);
	return channel_new(role.group, sv[1], WHO_VAULT, 1, from_vault, NULL, NULL, &err);
}

static void run_vault(void *arg)
{
	struct err why = ERR_INIT;

	(void)arg;
	if (role_vault_main(&role, &why) < 0)
		add("vault: %s ", why.msg);
}

static void (*test)(void);

static void around_test(void *arg)
{
	int sv[2];

	(void)arg;
	role.group = task_group_new("role");
	role.stopping = false;
	role.stop = ready = (struct signal){ 0 };
	store_link = (struct link){ .group = role.group, .who = WHO_STORE };
	pair(sv);
	store.ch = channel_new(role.group, sv[0], WHO_VAULT, 2, store_asked, NULL, NULL, &err);
	link_put(&store_link, sv[1], 1);
	if (role_vault_prepare(&role, &err) < 0 ||
		task_spawn(role.group, "vault", run_vault, NULL, &err) < 0 ||
		task_wait(-1, 0, &ready, clock_after(20 * CLOCK_SEC), &err) < 0) {
		add("start: %s ", err.msg);
	} else {
		front = connect_as(WHO_SUBMIT, 40);
		operator_channel = connect_as(WHO_OPERATOR, 41);
		test();
	}
	role.stopping = true;
	signal_raise(&role.stop);
	task_group_end(&role.group);
	channel_close(&front);
	channel_close(&operator_channel);
	channel_close(&store.ch);
	link_end(&store_link);
}

static void with_vault(void (*fn)(void), const char *settings)
{
	struct conf_source from = {
		.kind = CONF_SERVER, .text = str_c(settings), .folder = "/tmp"
	};
	struct conf *conf = NULL;
	char path[] = "/tmp/vault_test.XXXXXX";

	seal_fd = mkstemp(path);
	unlink(path);
	memset(&store, 0, sizeof store);
	store.enabled = true;
	trace[0] = 0;
	changed = 0;
	err = ERR_INIT;
	test = fn;
	if (conf_load(&from, &conf, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	role.conf = conf;
	assert_int_equal(rt_main(around_test, NULL, &err), 0);
	conf_free(&conf);
	for (size_t i = 0; i < store.secrets; i++) {
		buf_free(&store.secret[i].name);
		buf_free(&store.secret[i].sealed);
	}
	close(seal_fd);
}

#define OPEN_SETTINGS                                                                              \
	"hostname mail.example.test; auth.account-attempts 0; auth.network-attempts 0;"

/* ---- asking ---- */

static unsigned char session[384];
static size_t session_n;

static const char *set_password(const char *login, const char *password)
{
	struct vault_password_set_req q = { .login = str_c(login), .password = str_c(password) };
	struct vault_password_set_rep a;

	err = ERR_INIT;
	return vault_password_set(operator_channel, &q, NEVER, &a, NULL, &err) < 0
		? err_kind_name(err.kind)
		: "set";
}

static inline const char *login_at(
	struct channel *ch, enum service service, const char *name, const char *password)
{
	struct vault_login_req q = { .service = (uint8_t)service,
		.peer = STR("192.0.2.1"),
		.tls = 1,
		.name = str_c(name),
		.password = str_c(password) };
	struct vault_login_rep a;
	struct reply hold = { 0 };
	const char *said = "in";

	err = ERR_INIT;
	if (vault_login(ch, &q, NEVER, &a, &hold, &err) < 0) {
		said = err_kind_name(err.kind);
	} else {
		if (a.token.n != 16 || !str_eq(a.login, STR("ann@example.test")))
			said = "strange answer";
		session_n = a.session.n;
		memcpy(session, a.session.p, a.session.n);
	}
	reply_free(&hold);
	return said;
}

static inline const char *login(const char *name, const char *password)
{
	return login_at(front, SERVICE_SUBMISSION, name, password);
}

static inline const char *regrant(struct channel *ch)
{
	struct vault_regrant_req q = { .session = str_make(session, session_n) };
	struct vault_regrant_rep a;
	struct reply hold = { 0 };
	const char *said;

	err = ERR_INIT;
	said = vault_regrant(ch, &q, NEVER, &a, &hold, &err) < 0 ? err_kind_name(err.kind)
		: a.token.n == 16                                ? "in"
								 : "strange answer";
	reply_free(&hold);
	return said;
}

#endif
