/* front_tls.c - the certificates of a front: chains and ticket keys from the vault, and nothing
 * that signs. */
#include "role/front_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "crypto/tls.h"
#include "crypto/x509.h"

#include <stdio.h>
#include <string.h>

enum { ASK_SECONDS = 30, SIGN_SECONDS = 10, AGAIN_SECONDS = 60 };

/* What TLS calls each service (tls.h) and which protocol names a client may ask it for. A ticket of
 * one class is worth nothing at another. */
static const struct {
	struct str name, alpn;
} services[SERVICE_COUNT] = {
	[SERVICE_SMTP] = { STR_INIT("mx"), STR_INIT("smtp") },
	[SERVICE_SUBMISSION] = { STR_INIT("submission"), STR_INIT("smtp") },
	[SERVICE_SUBMISSIONS] = { STR_INIT("submission"), STR_INIT("smtp") },
	[SERVICE_IMAP] = { STR_INIT("imap"), STR_INIT("imap") },
	[SERVICE_IMAPS] = { STR_INIT("imap"), STR_INIT("imap") },
	[SERVICE_POP3] = { STR_INIT("pop3"), STR_INIT("pop3") },
	[SERVICE_POP3S] = { STR_INIT("pop3"), STR_INIT("pop3") },
};

/* key_sign_fn: the vault holds the key; suspends the task of the handshake. */
static int sign(void *arg, struct str key_id, struct str algorithm, struct str data,
	struct buf *signature, struct err *err)
{
	struct front *f = arg;
	int64_t deadline = clock_after(SIGN_SECONDS * CLOCK_SEC);
	struct vault_sign_req q = { .algorithm = algorithm, .data = data };
	struct vault_sign_rep a;
	struct reply hold = { 0 };
	struct channel *ch = link_wait(f->vault, deadline, err);
	uint64_t key;
	int r = -1;

	if (!ch || !str_u64(key_id, UINT32_MAX, &key))
		return ch ? err_set(err, ERR_PERM, "no such key") : -1;
	q.key = (uint32_t)key;
	if (vault_sign(ch, &q, deadline, &a, &hold, err) == 0) {
		buf_add(signature, a.signature);
		r = buf_ok(signature) ? 0 : err_set(err, ERR_LIMIT, "the signature is too long");
	}
	reply_free(&hold);
	return r;
}

static int add_identities(struct front *f, struct tls_server *server, struct str items,
	size_t *count, struct err *err)
{
	struct vault_identity id;
	char key[16];

	for (*count = 0; vault_identity_next(&items, &id); ++*count) {
		snprintf(key, sizeof key, "%u", id.key);
		if (tls_server_add_remote(server, id.chain, str_c(key), sign, f, err) < 0)
			return err_wrap(err, "certificate for " STR_F, STR_A(id.names));
	}
	return 0;
}

static int add_tickets(struct tls_server *server, struct str keys, struct err *err)
{
	struct secret s = SECRET_NONE;
	int r;

	if (secret_copy(&s, keys, err) < 0)
		return -1;
	r = tls_server_tickets(server, &s, err);
	secret_free(&s);
	return r;
}

/* One server per service that this front listens for; without a certificate none. */
static int make_servers(struct front *f, struct str identities, struct str tickets, struct err *err)
{
	for (size_t i = 0; i < f->role->listener_count; i++) {
		enum service s = f->role->listeners[i].service;
		struct tls_server *server = NULL;
		size_t count = 0;

		if (services[s].name.n == 0) /* LMTP: from this machine or over a net of ours */
			continue;
		if (tls_server_new(&server, services[s].name, services[s].alpn, err) < 0)
			return -1;
		if ((f->client_ca.n &&
			    tls_server_ask_client(server, buf_str(&f->client_ca), err) < 0) ||
			add_identities(f, server, identities, &count, err) < 0 ||
			(count && tickets.n && add_tickets(server, tickets, err) < 0)) {
			tls_server_free(&server);
			return -1;
		}
		if (count == 0)
			tls_server_free(&server);
		tls_server_free(&f->tls[s]);
		f->tls[s] = server;
	}
	return 0;
}

/* Only where people log in. */
static int fetch_client_ca(struct front *f, int64_t deadline, struct err *err)
{
	struct vault_client_ca_req q = { 0 };
	struct vault_client_ca_rep a;
	struct reply hold = { 0 };
	struct channel *ch;
	int r = -1;

	if (!(f->who & (WHO_SUBMIT | WHO_MAILBOX)))
		return 0;
	ch = link_wait(f->vault, deadline, err);
	if (ch && vault_client_ca(ch, &q, deadline, &a, &hold, err) == 0) {
		buf_free(&f->client_ca);
		f->client_ca = BUF(X509_CHAIN_MAX);
		buf_add(&f->client_ca, a.pem);
		r = buf_ok(&f->client_ca) ? 0 : err_set(err, ERR_TEMP, "out of memory");
	}
	reply_free(&hold);
	return r;
}

static int fetch(struct front *f, int64_t *again, struct err *err)
{
	int64_t deadline = clock_after(ASK_SECONDS * CLOCK_SEC);
	struct vault_identities_req iq = { 0 };
	struct vault_identities_rep ia;
	struct vault_ticket_keys_req kq = { 0 };
	struct vault_ticket_keys_rep ka;
	struct reply hold = { 0 }, key_hold = { 0 };
	struct channel *ch;
	int r = -1;

	if (fetch_client_ca(f, deadline, err) == 0 && (ch = link_wait(f->vault, deadline, err)) &&
		vault_identities(ch, &iq, deadline, &ia, &hold, err) == 0 &&
		(ch = link_wait(f->vault, deadline, err)) &&
		vault_ticket_keys(ch, &kq, deadline, &ka, &key_hold, err) == 0)
		r = make_servers(f, ia.items, ka.keys, err);
	if (r == 0)
		*again = clock_after(
			(ka.rotate_after ? ka.rotate_after : AGAIN_SECONDS) * CLOCK_SEC);
	reply_free(&hold);
	reply_free(&key_hold);
	return r;
}

/* Ask again when the vault says so, when ticket keys rotate, and a minute after a failure. */
static void keep_fresh(void *arg)
{
	struct front *f = arg;
	struct err err = ERR_INIT;
	int64_t again = f->tls_again;

	for (;;) {
		if (task_wait(-1, 0, &f->tls_changed, again, &err) < 0 && err.kind != ERR_TIMEOUT)
			return;
		if (fetch(f, &again, &err) < 0) {
			if (err.kind == ERR_CANCELED)
				return;
			log_event(LOG_WARN, "tls.refresh", L_ERR(&err));
			again = clock_after(AGAIN_SECONDS * CLOCK_SEC);
		}
	}
}

int front_tls_start(struct front *f, struct err *err)
{
	/* The vault may wait for the store, and the store for its database. */
	while (fetch(f, &f->tls_again, err) < 0)
		if (f->role->stopping || (err->kind != ERR_TIMEOUT && err->kind != ERR_CLOSED))
			return err_wrap(err, "certificates from the vault");
	return task_spawn(f->role->group, "certificates", keep_fresh, f, err);
}
