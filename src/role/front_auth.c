#include "role/front_auth.h"

#include "base/clock.h"
#include "base/log.h"
#include "crypto/x509.h"
#include "role/front_guard.h"

#include <stdio.h>

enum { CALL_SECONDS = 40 };

/* What came of a login: for the log, and for the rest of the session. */
static int settle(struct front_auth *a, struct str name, int r, struct err *err)
{
	char event[32];

	if (r == 0) {
		a->login.wake = a->wake;
		a->in = true;
		guard_welcome(a->front, conn_peer(a->c));
		if (a->visitor)
			a->visitor->logged_in = true;
	}
	if (!a->proto)
		return r;
	snprintf(event, sizeof event, "%s.%s", a->proto, r == 0 ? "login" : "login-failed");
	if (r == 0)
		log_event(LOG_INFO, event, L_Z("user", a->login.login),
			L_STR("rip", conn_peer(a->c)));
	else
		log_event(LOG_INFO, event, L_STR("user", name), L_STR("rip", conn_peer(a->c)),
			L_ERR(err));
	return r;
}

int front_auth_password(
	struct front_auth *a, struct str name, const struct secret *password, struct err *err)
{
	int r = front_login(
		a->front, a->service, a->c, name, secret_reveal(password), &a->login, err);

	return settle(a, name, r, err);
}

/* Has the client shown a certificate that the vault will take? It looks again by itself. */
static bool good_certificate(struct front_auth *a)
{
	struct buf chain = BUF(X509_CHAIN_MAX), address = BUF(SASL_NAME_MAX);
	struct err why = ERR_INIT;

	if (a->certificate == FRONT_UNSEEN) {
		a->certificate = FRONT_BAD;
		if (conn_tls_peer_chain(a->c, &chain, &why) < 0)
			;
		else if (x509_check_client(buf_str(&chain), buf_str(&a->front->client_ca), &address,
				 &why) == 0)
			a->certificate = FRONT_GOOD;
		else
			log_event(LOG_INFO, "auth.certificate", L_STR("rip", conn_peer(a->c)),
				L_ERR(&why));
		buf_free(&chain);
		buf_free(&address);
	}
	return a->certificate == FRONT_GOOD;
}

/* T021: there is no login without TLS. */
static unsigned ways(void *arg)
{
	struct front_auth *a = arg;
	struct buf data = BUF(64);
	struct err none = ERR_INIT;
	unsigned found = 0;

	if (!conn_is_tls(a->c))
		return 0;
	found = SASL_WAY_SCRAM;
	if (conn_tls_binding(a->c, STR("tls-exporter"), &data, &none) == 0 ||
		conn_tls_binding(a->c, STR("tls-server-end-point"), &data, &none) == 0)
		found |= SASL_WAY_BINDING;
	if (a->front->client_ca.n && good_certificate(a))
		found |= SASL_WAY_CERTIFICATE;
	buf_free(&data);
	return found;
}

/* The data of the binding that the client named; empty without one. */
static int bind_to(
	const struct front_auth *a, const struct sasl_scram *m, struct buf *data, struct err *err)
{
	if (m->binding.n == 0 || conn_tls_binding(a->c, m->binding, data, err) == 0)
		return 0;
	return err_set(err, ERR_DENIED, "this session has no such channel binding");
}

static int fault(int r, struct err *err)
{
	/* Waiting for the vault is our trouble, not a closed connection of the client. */
	if (r < 0 && err->kind == ERR_CLOSED)
		err->kind = ERR_TEMP;
	return r;
}

/* The name in the first message, for the log. */
static void note_name(struct front_auth *a, struct str message)
{
	struct buf name = BUF(SASL_NAME_MAX);
	struct scram_first f;
	struct err none = ERR_INIT;

	a->name[0] = 0;
	if (scram_read_first(message, &f, &none) == 0 && scram_name_decode(f.name, &name))
		(void)str_z(buf_str(&name), a->name, sizeof a->name);
	buf_free(&name);
}

static int ask_first(
	struct front_auth *a, const struct sasl_scram *m, struct buf *challenge, struct err *err)
{
	int64_t deadline = clock_after(CALL_SECONDS * CLOCK_SEC);
	struct vault_scram_first_req q = { .service = (uint8_t)a->service,
		.peer = conn_peer(a->c),
		.hash = (uint8_t)m->hash,
		.plus = (uint8_t)(m->plus | m->offered << 1),
		.message = m->message };
	struct vault_scram_first_rep rep;
	struct reply hold = { 0 };
	struct channel *ch = link_wait(a->front->vault, deadline, err);
	int r = -1;

	if (ch && vault_scram_first(ch, &q, deadline, &rep, &hold, err) == 0) {
		a->exchange = rep.exchange;
		buf_add(challenge, rep.challenge);
		r = buf_ok(challenge) ? 0 : err_set(err, ERR_TEMP, "a challenge that is too long");
	}
	reply_free(&hold);
	return fault(r, err);
}

static int scram_first(
	void *arg, const struct sasl_scram *m, struct buf *challenge, struct err *err)
{
	struct front_auth *a = arg;
	struct buf data = BUF(64);
	int r = -1;

	note_name(a, m->message);
	if (bind_to(a, m, &data, err) == 0)
		r = ask_first(a, m, challenge, err);
	buf_free(&data);
	return r < 0 ? settle(a, str_c(a->name), r, err) : 0;
}

static int ask_last(struct front_auth *a, const struct sasl_scram *m, struct str binding,
	struct buf *last, struct err *err)
{
	int64_t deadline = clock_after(CALL_SECONDS * CLOCK_SEC);
	struct vault_scram_final_req q = {
		.exchange = a->exchange, .binding = binding, .message = m->message
	};
	struct vault_scram_final_rep rep;
	struct reply hold = { 0 };
	struct channel *ch = link_wait(a->front->vault, deadline, err);
	int r = -1;

	if (ch && vault_scram_final(ch, &q, deadline, &rep, &hold, err) == 0) {
		buf_add(last, rep.last);
		r = buf_ok(last) ? front_enter(a->front, rep.token, rep.session, &a->login, err)
				 : err_set(err, ERR_TEMP, "an answer that is too long");
	}
	reply_free(&hold);
	return fault(r, err);
}

static int scram_final(void *arg, const struct sasl_scram *m, struct buf *last, struct err *err)
{
	struct front_auth *a = arg;
	struct buf data = BUF(64);
	int r = -1;

	if (bind_to(a, m, &data, err) == 0)
		r = ask_last(a, m, buf_str(&data), last, err);
	buf_free(&data);
	return settle(a, str_c(a->name), r, err);
}

static int certificate(void *arg, struct str name, struct err *err)
{
	struct front_auth *a = arg;
	int64_t deadline = clock_after(CALL_SECONDS * CLOCK_SEC);
	struct vault_certificate_req q = {
		.service = (uint8_t)a->service, .peer = conn_peer(a->c), .name = name
	};
	struct vault_certificate_rep rep;
	struct buf chain = BUF(X509_CHAIN_MAX);
	struct reply hold = { 0 };
	struct channel *ch = NULL;
	int r = -1;

	if (conn_tls_peer_chain(a->c, &chain, err) == 0)
		ch = link_wait(a->front->vault, deadline, err);
	q.chain = buf_str(&chain);
	if (ch && vault_certificate(ch, &q, deadline, &rep, &hold, err) == 0)
		r = front_enter(a->front, rep.token, rep.session, &a->login, err);
	reply_free(&hold);
	buf_free(&chain);
	return settle(a, name, fault(r, err), err);
}

static void undo(void *arg)
{
	front_auth_end(arg);
}

void front_auth_begin(struct front_auth *a, struct front *f, struct conn *c, enum service service,
	const char *proto, struct signal *wake)
{
	*a = (struct front_auth){ .front = f,
		.c = c,
		.service = service,
		.proto = proto,
		.wake = wake,
		.checks = { .arg = a,
			.ways = ways,
			.scram_first = scram_first,
			.scram_final = scram_final,
			.undo = undo,
			.certificate = certificate } };
}

void front_auth_end(struct front_auth *a)
{
	if (a->in)
		front_logout(&a->login);
	if (a->visitor)
		a->visitor->logged_in = false;
	a->in = false;
}
