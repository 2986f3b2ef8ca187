/* EXTERNAL (RFC 4422 A): logins by a client's certificate.
 *
 * The front has seen the handshake and vouches for it; that the certificate leads to one of our
 * authorities, is good today and names this account is decided here, on the bytes of the chain. */
#include "role/vault_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "crypto/x509.h"

#include <unistd.h>

enum { ADDRESS_MAX = 320 };

static int read_all(int fd, struct buf *out, struct err *err)
{
	char piece[2048];
	ssize_t n;

	while ((n = read(fd, piece, sizeof piece)) > 0)
		buf_add(out, str_make(piece, (size_t)n));
	if (n < 0)
		return err_sys(err, "read", "the file of auth.client-ca");
	return buf_ok(out)
		? 0
		: err_set(err, ERR_LIMIT, "the file of auth.client-ca is larger than %d bytes",
			  (int)X509_CHAIN_MAX);
}

int vault_client_ca_prepare(struct vault *v, struct err *err)
{
	struct x509_facts facts = { .names = BUF(64 * 1024) };
	int fd = role_take_file(v->r, FILE_CA, "clients"), r = -1;

	v->client_ca = BUF(X509_CHAIN_MAX);
	if (fd < 0)
		return 0;
	if (read_all(fd, &v->client_ca, err) == 0)
		r = x509_read(buf_str(&v->client_ca), &facts, err);
	if (r < 0)
		err_wrap(err, "auth.client-ca");
	buf_free(&facts.names);
	close(fd);
	return r;
}

void vault_do_client_ca(struct vault *v, struct request *req)
{
	struct vault_client_ca_rep rep = { .pem = buf_str(&v->client_ca) };

	vault_client_ca_answer(&req, &rep);
}

/* RFC 4422 A.1: whom to act as is oneself: not said, or another name of the same account. */
static int is_oneself(struct vault *v, struct str name, uint64_t account, struct err *err)
{
	struct vault_account named;
	bool same;

	if (name.n == 0)
		return 0;
	if (vault_account_find(v, name, &named, err) < 0)
		return -1;
	same = named.known && named.id == account;
	vault_account_free(&named);
	return same ? 0 : err_set(err, ERR_DENIED, "the certificate is somebody else's");
}

static int check(struct vault *v, const struct vault_certificate_req *q, struct buf *address,
	struct vault_account *a, struct err *err)
{
	int r;

	if (v->client_ca.n == 0)
		return err_set(err, ERR_DENIED, "no certificates are accepted");
	if (x509_check_client(q->chain, buf_str(&v->client_ca), address, err) < 0)
		return err->kind == ERR_PERM ? err_set(err, ERR_DENIED, "not a certificate") : -1;
	if (vault_account_find(v, buf_str(address), a, err) < 0 ||
		vault_attempt(v, a, q->peer, err) < 0)
		return -1;
	r = a->known ? is_oneself(v, q->name, a->id, err)
		     : err_set(err, ERR_DENIED, "the certificate's address has no account");
	if (r == 0)
		limits_give_back(v->limits, clock_mono(), a->login, q->peer);
	else if (err->kind == ERR_DENIED)
		v->failures++;
	else
		limits_undo(v->limits, clock_mono(), a->login, q->peer);
	return r;
}

static void answer(
	struct vault *v, const struct vault_account *a, uint32_t scopes, struct request **req)
{
	struct vault_certificate_rep rep = { .login = a->login };
	struct vault_entry e;
	struct err err = ERR_INIT;

	if (vault_admit(v, a, scopes, (*req)->ch, &e, &err) < 0) {
		request_fail(req, &err);
	} else {
		rep.token = str_make(e.token, sizeof e.token);
		rep.session = buf_str(&e.session);
		vault_certificate_answer(req, &rep);
	}
	buf_free(&e.session);
}

void vault_do_certificate(struct vault *v, struct request *req)
{
	struct vault_certificate_req q;
	struct vault_account a = { 0 };
	struct buf address = BUF(ADDRESS_MAX);
	struct err err = ERR_INIT;
	uint32_t scopes;

	if (vault_certificate_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else if (!(scopes = vault_scopes(channel_who(req->ch), q.service))) {
		channel_violation(req->ch, "a login for a service that this front does not run");
		err_set(&err, ERR_DENIED, "not this service");
	} else if (check(v, &q, &address, &a, &err) == 0) {
		answer(v, &a, scopes, &req);
	}
	if (req)
		request_fail(&req, &err);
	vault_account_free(&a);
	buf_free(&address);
}
