/* secure.c - a connection with TLS: the engine of crypto/tls between socket and buffers. */
#include "net/conn_private.h"

#include "crypto/tls.h"

#define RECORD_ROOM ((size_t)17 << 10) /* a whole record, RFC 8446 5.2 */

/* One try to give the engine more ciphertext. */
static ssize_t feed(struct conn *c)
{
	ssize_t n;
	char *p;

	if (!c->readable)
		return IO_AGAIN;
	p = tls_room(c->tls, RECORD_ROOM);
	if (!p)
		return conn_fail(c, ERR_TEMP, "out of memory for input");
	n = conn_raw_read(c, p, RECORD_ROOM);
	if (n > 0)
		tls_grew(c->tls, (size_t)n);
	else if (n == IO_END)
		tls_input_ended(c->tls);
	return n;
}

static ssize_t secure_read(struct conn *c, char *p, size_t n)
{
	struct err err;
	ssize_t got = tls_read(c->tls, p, n, &err);

	if (got == TLS_AGAIN) {
		ssize_t fed = feed(c);

		if (fed == IO_FAILED || fed == IO_AGAIN)
			return fed;
		got = tls_read(c->tls, p, n, &err);
	}
	if (got == TLS_FAILED) {
		conn_fail(c, err.kind, err.msg);
		if (tls_output(c->tls).n) /* the alert, if there is room for it */
			conn_raw_write(c, tls_output(c->tls));
		return IO_FAILED;
	}
	return got == TLS_AGAIN ? IO_AGAIN : got;
}

ssize_t conn_plain_read(struct conn *c, char *p, size_t n)
{
	return c->tls ? secure_read(c, p, n) : conn_raw_read(c, p, n);
}

static int send_output(struct conn *c, struct err *err)
{
	size_t sent;
	int r = conn_send(c, tls_output(c->tls), &sent, err);

	tls_sent(c->tls, sent);
	return r;
}

int conn_flush_tls(struct conn *c, struct err *err)
{
	struct str plain = buf_str(&c->out);

	if (plain.n) {
		struct err e;

		if (tls_write(c->tls, plain, &e) != TLS_DONE) {
			conn_fail(c, e.kind, e.msg);
			return conn_keep_failure(c, err);
		}
		conn_release_output(c);
	}
	return tls_output(c->tls).n ? send_output(c, err) : 0;
}

/* ---- the handshake ---- */

static int shake(struct conn *c, struct err *err)
{
	for (;;) {
		int r = tls_handshake(c->tls, err);
		struct err unsent;

		if (r == TLS_FAILED) {
			send_output(c, &unsent); /* the alert */
			return -1;
		}
		if (send_output(c, err) < 0)
			return -1;
		if (r == TLS_DONE)
			return 0;
		switch (feed(c)) {
		case IO_FAILED:
			return conn_keep_failure(c, err);
		case IO_AGAIN:
			if (conn_wait_io(c, WAIT_READ, NULL, c->deadline, err) < 0)
				return -1;
			break;
		default:
			if (task_breathe(c->deadline, err) < 0)
				return -1;
		}
	}
}

static int handshake(struct conn *c, struct err *err)
{
	if (shake(c, err) == 0)
		return 0;
	if (!c->failed)
		conn_fail(c, err->kind, err->msg);
	return -1;
}

static int ready(struct conn *c, struct err *err)
{
	if (c->fd < 0 || c->tls)
		return err_set(err, ERR_TEMP, "TLS is not possible on this connection");
	return conn_flush(c, err);
}

int conn_start_tls_server(struct conn *c, struct tls_server *tls, struct err *err)
{
	if (conn_buffered(c)) {
		conn_fail(c, ERR_PROTO, "the client sent more before TLS began");
		return conn_keep_failure(c, err);
	}
	if (ready(c, err) < 0 || tls_server_start(tls, &c->tls, err) < 0)
		return -1;
	conn_release_input(c); /* and count what TLS holds */
	return handshake(c, err);
}

int conn_start_tls_client(struct conn *c, struct tls_client *tls, struct str name, struct err *err)
{
	if (ready(c, err) < 0 || tls_client_start(tls, name, &c->tls, err) < 0)
		return -1;
	conn_release_input(c);
	return handshake(c, err);
}

/* ---- facts ---- */

bool conn_is_tls(const struct conn *c)
{
	return c->tls != NULL;
}

struct str conn_tls_version(const struct conn *c)
{
	return c->tls ? tls_version(c->tls) : STR("");
}

struct str conn_tls_cipher(const struct conn *c)
{
	return c->tls ? tls_cipher(c->tls) : STR("");
}

struct str conn_tls_verify_error(const struct conn *c)
{
	return c->tls ? tls_verify_error(c->tls) : STR("");
}

int conn_tls_peer_chain(const struct conn *c, struct buf *pem, struct err *err)
{
	return c->tls ? tls_peer_chain(c->tls, pem, err)
		      : err_set(err, ERR_NOTFOUND, "there is no TLS session");
}

bool conn_tls_truncated(const struct conn *c)
{
	return c->tls && tls_truncated(c->tls);
}

int conn_tls_binding(const struct conn *c, struct str name, struct buf *out, struct err *err)
{
	if (c->tls && str_eq(name, STR("tls-exporter")))
		return tls_channel_binding(c->tls, TLS_EXPORTER, out, err);
	if (c->tls && str_eq(name, STR("tls-server-end-point")))
		return tls_channel_binding(c->tls, TLS_SERVER_END_POINT, out, err);
	return err_set(err, ERR_PERM, "this connection has no such channel binding");
}
