#include "crypto/tls.h"

#include "crypto/crypto.h"
#include "crypto/tls_private.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Output is taken after every step, so this is room for the largest step. */
enum { OUTPUT_MAX = 256 * 1024, INPUT_MAX = 64 * 1024, BINDING_SIZE = 32 };

/* ---- between OpenSSL and our buffers ---- */

static int bio_write(BIO *bio, const char *p, size_t n, size_t *written)
{
	struct tls *t = BIO_get_data(bio);

	BIO_clear_retry_flags(bio);
	buf_add(&t->out, str_make(p, n));
	if (!buf_ok(&t->out))
		return 0;
	*written = n;
	return 1;
}

static int bio_read(BIO *bio, char *p, size_t n, size_t *got)
{
	struct tls *t = BIO_get_data(bio);
	struct str have = str_head(str_from(buf_str(&t->in), t->in_at), n);

	BIO_clear_retry_flags(bio);
	*got = have.n;
	if (have.n == 0) {
		if (!t->ended)
			BIO_set_retry_read(bio);
		return 0;
	}
	memcpy(p, have.p, have.n);
	t->in_at += have.n;
	if (t->in_at == t->in.n) { /* an idle engine holds no buffers */
		buf_free(&t->in);
		t->in_at = 0;
	}
	return 1;
}

static long bio_ctrl(BIO *bio, int what, long number, void *p)
{
	const struct tls *t = BIO_get_data(bio);

	(void)number;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return t->ended && t->in_at == t->in.n;
	return what == BIO_CTRL_FLUSH || what == BIO_CTRL_DUP;
}

static const BIO_METHOD *bio_method(void)
{
	static BIO_METHOD *method;

	if (method)
		return method;
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "eilpost");
	if (method) {
		BIO_meth_set_write_ex(method, bio_write);
		BIO_meth_set_read_ex(method, bio_read);
		BIO_meth_set_ctrl(method, bio_ctrl);
	}
	return method;
}

/* ---- life ---- */

SSL_CTX *tls_context(const SSL_METHOD *method, struct err *err)
{
	SSL_CTX *ctx;

	if (crypto_init(err) < 0)
		return NULL;
	ctx = SSL_CTX_new(method);
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		SSL_CTX_free(ctx);
		openssl_failed(err, ERR_TEMP, "set up TLS");
		return NULL;
	}
	SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
	/* Idle sessions keep no record buffers; what we pass may move between tries. */
	SSL_CTX_set_mode(ctx,
		SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
			SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	return ctx;
}

int tls_start(SSL_CTX *ctx, struct tls **tls, struct err *err)
{
	struct tls *t = calloc(1, sizeof *t);
	const BIO_METHOD *method = bio_method();
	SSL *ssl = t && method ? SSL_new(ctx) : NULL;
	BIO *bio = ssl ? BIO_new(method) : NULL;

	if (!bio) {
		SSL_free(ssl);
		free(t);
		return openssl_failed(err, ERR_TEMP, "start TLS");
	}
	BIO_set_data(bio, t);
	BIO_set_init(bio, 1);
	SSL_set_bio(ssl, bio, bio);
	SSL_set_app_data(ssl, t);
	t->ssl = ssl;
	t->in = BUF(INPUT_MAX);
	t->out = BUF(OUTPUT_MAX);
	*tls = t;
	return 0;
}

void tls_free(struct tls **tls)
{
	struct tls *t = *tls;

	if (!t)
		return;
	SSL_free(t->ssl);
	ERR_clear_error();
	tls_server_free(&t->server);
	buf_free(&t->in);
	buf_free(&t->out);
	free(t);
	*tls = NULL;
}

/* ---- ciphertext ---- */

char *tls_room(struct tls *t, size_t n)
{
	if (t->in_at) {
		buf_drop(&t->in, t->in_at);
		t->in_at = 0;
	}
	return buf_room(&t->in, n);
}

void tls_grew(struct tls *t, size_t n)
{
	buf_grew(&t->in, n);
}

void tls_input_ended(struct tls *t)
{
	t->ended = true;
}

struct str tls_output(const struct tls *t)
{
	return buf_str(&t->out);
}

void tls_sent(struct tls *t, size_t n)
{
	if (n < t->out.n)
		buf_drop(&t->out, n);
	else
		buf_free(&t->out);
}

/* ---- steps ---- */

static bool ended_early(const struct tls *t, unsigned long code)
{
	return t->ended && t->in_at == t->in.n &&
		(code == 0 || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
}

/* OpenSSL has given up. The last entry of its queue says what it was about. */
static int failed(struct tls *t, const char *doing, struct err *err)
{
	unsigned long code = ERR_peek_last_error();
	long why = SSL_get_verify_result(t->ssl);

	t->failed = true;
	if (remote_key_failed(err)) {
		err_wrap(err, "%s", doing);
	} else if (ended_early(t, code)) {
		t->cut = true;
		err_set(err, ERR_CLOSED, "the connection was closed without a TLS goodbye");
	} else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED) {
		err_set(err, ERR_DENIED, "the certificate is not valid: %s",
			X509_verify_cert_error_string(why));
	} else {
		const char *reason = code ? ERR_reason_error_string(code) : NULL;

		err_set(err, ERR_PROTO, "%s: %s", doing, reason ? reason : "it failed");
	}
	ERR_clear_error();
	return TLS_FAILED;
}

/* What an OpenSSL call that returned `r` means. */
static int outcome(struct tls *t, int r, const char *doing, struct err *err)
{
	int code = SSL_get_error(t->ssl, r);

	switch (code) {
	case SSL_ERROR_NONE:
		ERR_clear_error();
		return TLS_DONE;
	case SSL_ERROR_WANT_READ:
		ERR_clear_error();
		return TLS_AGAIN;
	case SSL_ERROR_ZERO_RETURN:
		ERR_clear_error();
		return TLS_END;
	default:
		return failed(t, doing, err);
	}
}

static int refuse(struct err *err)
{
	err_set(err, ERR_CLOSED, "the TLS session has failed before");
	return TLS_FAILED;
}

int tls_handshake(struct tls *t, struct err *err)
{
	struct err old;
	int r;

	if (t->failed)
		return refuse(err);
	ERR_clear_error();
	remote_key_failed(&old);
	r = outcome(t, SSL_do_handshake(t->ssl), "TLS handshake", err);
	if (r == TLS_END) {
		t->failed = true;
		err_set(err, ERR_CLOSED, "the connection was closed during the TLS handshake");
		r = TLS_FAILED;
	}
	return r;
}

ssize_t tls_read(struct tls *t, char *p, size_t n, struct err *err)
{
	size_t got = 0;
	int r;

	if (t->failed)
		return refuse(err);
	ERR_clear_error();
	r = outcome(t, SSL_read_ex(t->ssl, p, n, &got), "TLS", err);
	return r == TLS_DONE ? (ssize_t)got : r;
}

int tls_write(struct tls *t, struct str s, struct err *err)
{
	while (s.n) {
		size_t sent = 0;
		int r;

		if (t->failed)
			return refuse(err);
		ERR_clear_error();
		r = outcome(t, SSL_write_ex(t->ssl, s.p, s.n, &sent), "TLS", err);
		if (r != TLS_DONE) /* our side never has to wait to write */
			return r == TLS_FAILED ? r : refuse(err);
		s = str_from(s, sent);
	}
	return TLS_DONE;
}

void tls_close(struct tls *t)
{
	if (!t->failed && SSL_is_init_finished(t->ssl))
		SSL_shutdown(t->ssl);
	ERR_clear_error();
}

/* ---- facts ---- */

bool tls_truncated(const struct tls *t)
{
	return t->cut;
}

struct str tls_version(const struct tls *t)
{
	return str_c(SSL_get_version(t->ssl));
}

struct str tls_cipher(const struct tls *t)
{
	return str_c(SSL_get_cipher_name(t->ssl));
}

struct str tls_alpn(const struct tls *t)
{
	const unsigned char *p = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(t->ssl, &p, &n);
	return str_make(p, n);
}

struct str tls_sni(const struct tls *t)
{
	return str_c(SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name));
}

bool tls_resumed(const struct tls *t)
{
	return SSL_session_reused(t->ssl) == 1;
}

struct str tls_verify_error(const struct tls *t)
{
	long why = SSL_get_verify_result(t->ssl);

	return why == X509_V_OK ? STR("") : str_c(X509_verify_cert_error_string(why));
}

static bool add_pem(X509 *x, BIO *bio)
{
	return x && PEM_write_bio_X509(bio, x) == 1;
}

int tls_peer_chain(const struct tls *t, struct buf *pem, struct err *err)
{
	X509 *leaf = SSL_get0_peer_certificate(t->ssl);
	STACK_OF(X509) *others = SSL_get_peer_cert_chain(t->ssl);
	BIO *bio = leaf ? BIO_new(BIO_s_mem()) : NULL;
	bool ok = bio && add_pem(leaf, bio);
	char *p = NULL;
	long n;

	if (!leaf)
		return err_set(err, ERR_NOTFOUND, "the peer has shown no certificate");
	/* What a client gets of a server begins with the leaf once more. */
	for (int i = t->server ? 0 : 1; ok && i < sk_X509_num(others); i++)
		ok = add_pem(sk_X509_value(others, i), bio);
	n = ok ? BIO_get_mem_data(bio, &p) : 0;
	buf_add(pem, str_make(p, (size_t)n));
	BIO_free(bio);
	ERR_clear_error();
	return ok && buf_ok(pem) ? 0
				 : err_set(err, ERR_LIMIT, "the peer's certificates are too long");
}

/* RFC 5929 4.1: the hash of the certificate's signature, but never weaker than SHA-256. */
static bool end_point(const struct tls *t, struct buf *out)
{
	unsigned char hash[EVP_MAX_MD_SIZE];
	X509 *x = t->server ? SSL_get_certificate(t->ssl) : SSL_get0_peer_certificate(t->ssl);
	int nid = NID_undef;
	const EVP_MD *md;
	unsigned n = 0;

	if (!x || X509_get_signature_info(x, &nid, NULL, NULL, NULL) != 1)
		return false;
	md = EVP_get_digestbynid(nid);
	if (!md || nid == NID_sha1 || nid == NID_md5)
		md = EVP_sha256();
	if (X509_digest(x, md, hash, &n) != 1)
		return false;
	buf_add(out, str_make(hash, n));
	return buf_ok(out);
}

int tls_channel_binding(
	const struct tls *t, enum tls_binding kind, struct buf *out, struct err *err)
{
	static const char label[] = "EXPORTER-Channel-Binding"; /* RFC 9266 2 */
	unsigned char key[BINDING_SIZE];
	bool ok = false;

	if (kind == TLS_SERVER_END_POINT) {
		ok = end_point(t, out);
	} else if (SSL_version(t->ssl) >= TLS1_3_VERSION) {
		ok = SSL_export_keying_material(
			     t->ssl, key, sizeof key, label, sizeof label - 1, NULL, 0, 0) == 1;
		buf_add(out, str_make(key, ok ? sizeof key : 0));
	}
	ERR_clear_error();
	if (ok && buf_ok(out))
		return 0;
	return err_set(err, ERR_PERM, "this TLS session has no such channel binding");
}
