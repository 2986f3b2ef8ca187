#include "crypto/tls.h"

#include "crypto/crypto.h"
#include "crypto/tls_test.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <cmocka.h>

#define assert_str(s, z) assert_true(str_eq((s), str_c(z)))

static struct test_authority authority;
static struct test_identity ids[3]; /* one per kind of key */
static struct err client_err, server_err;

static int make_identities(void **state)
{
	static const char *const names[] = { "one.test,localhost,127.0.0.1", "two.test",
		"*.three.test" };

	(void)state;
	test_authority_make(&authority);
	for (int i = 0; i < 3; i++)
		test_identity_make(&ids[i], (enum key_type)i, &authority, names[i]);
	return 0;
}

static int free_identities(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		test_identity_free(&ids[i]);
	test_authority_free(&authority);
	return 0;
}

/* Carry ciphertext from one engine to the other. */
static bool carry(struct tls *from, struct tls *to)
{
	struct str out = tls_output(from);
	char *p;

	if (out.n == 0)
		return false;
	p = tls_room(to, out.n);
	assert_non_null(p);
	memcpy(p, out.p, out.n);
	tls_grew(to, out.n);
	tls_sent(from, out.n);
	return true;
}

/* 1: both are done. Otherwise the errors say who failed. */
static int shake(struct tls *client, struct tls *server)
{
	int c = TLS_AGAIN, s = TLS_AGAIN;
	bool moved = true;

	client_err = server_err = ERR_INIT;
	while (moved && (c == TLS_AGAIN || s == TLS_AGAIN)) {
		if (c == TLS_AGAIN)
			c = tls_handshake(client, &client_err);
		moved = carry(client, server);
		if (s == TLS_AGAIN)
			s = tls_handshake(server, &server_err);
		moved = carry(server, client) || moved;
	}
	assert_int_equal(ERR_peek_error(), 0);
	return c == TLS_DONE && s == TLS_DONE;
}

struct pair {
	struct tls_server *server;
	struct tls_client *client;
	struct tls *s, *c;
};

static void pair_make(struct pair *p, const char *alpn, bool verify)
{
	struct err err = ERR_INIT;

	*p = (struct pair){ 0 };
	assert_int_equal(tls_server_new(&p->server, STR("imap"), str_c(alpn), &err), 0);
	assert_int_equal(tls_client_new(&p->client, "", verify, &err), 0);
	assert_int_equal(tls_client_trust(p->client, buf_str(&authority.pem), &err), 0);
}

static void pair_start(struct pair *p, const char *name)
{
	struct err err = ERR_INIT;

	assert_int_equal(tls_server_start(p->server, &p->s, &err), 0);
	assert_int_equal(tls_client_start(p->client, str_c(name), &p->c, &err), 0);
}

static void pair_stop(struct pair *p)
{
	tls_free(&p->s);
	tls_free(&p->c);
}

static void pair_free(struct pair *p)
{
	pair_stop(p);
	tls_server_free(&p->server);
	tls_client_free(&p->client);
}

static void add(struct pair *p, int i)
{
	struct err err = ERR_INIT;

	assert_int_equal(tls_server_add(p->server, buf_str(&ids[i].chain), ids[i].key, &err), 0);
}

static void assert_says(struct tls *from, struct tls *to, const char *text)
{
	struct err err = ERR_INIT;
	char got[100];

	assert_int_equal(tls_write(from, str_c(text), &err), TLS_DONE);
	assert_int_equal(tls_read(to, got, sizeof got, &err), TLS_AGAIN);
	carry(from, to);
	assert_int_equal(tls_read(to, got, sizeof got, &err), (int)strlen(text));
	assert_memory_equal(got, text, strlen(text));
	assert_int_equal(tls_read(to, got, sizeof got, &err), TLS_AGAIN);
}

/* ---- sessions ---- */

static void both_sides_talk_and_say_goodbye(void **state)
{
	struct err err = ERR_INIT;
	struct pair p;
	char got[100];

	(void)state;
	pair_make(&p, "imap", true);
	add(&p, 0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 1);
	assert_says(p.c, p.s, "a1 NOOP\r\n");
	assert_says(p.s, p.c, "a1 OK\r\n");
	assert_str(tls_version(p.s), "TLSv1.3");
	assert_true(str_starts(tls_cipher(p.s), STR("TLS_")));
	assert_str(tls_verify_error(p.c), "");
	assert_str(tls_sni(p.s), "one.test");
	assert_false(tls_resumed(p.s));
	tls_close(p.c);
	carry(p.c, p.s);
	assert_int_equal(tls_read(p.s, got, sizeof got, &err), TLS_END);
	assert_false(tls_truncated(p.s));
	pair_free(&p);
}

static void an_end_without_goodbye_is_noticed(void **state)
{
	struct err err = ERR_INIT;
	struct pair p;
	char got[100];

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 1);
	assert_int_equal(tls_write(p.c, STR("DATA"), &err), TLS_DONE);
	carry(p.c, p.s);
	tls_input_ended(p.s);
	assert_int_equal(tls_read(p.s, got, sizeof got, &err), 4);
	assert_int_equal(tls_read(p.s, got, sizeof got, &err), TLS_FAILED);
	assert_int_equal(err.kind, ERR_CLOSED);
	assert_true(tls_truncated(p.s));
	assert_int_equal(tls_write(p.s, STR("x"), &err), TLS_FAILED);
	pair_free(&p);
}

static void a_changed_byte_is_noticed(void **state)
{
	struct err err = ERR_INIT;
	struct pair p;
	char got[100];

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 1);
	assert_int_equal(tls_write(p.c, STR("RCPT TO:<a@b>"), &err), TLS_DONE);
	((char *)(uintptr_t)tls_output(p.c).p)[20] ^= 1;
	carry(p.c, p.s);
	assert_int_equal(tls_read(p.s, got, sizeof got, &err), TLS_FAILED);
	assert_int_equal(err.kind, ERR_PROTO);
	assert_true(tls_output(p.s).n > 0); /* the alert */
	assert_int_equal(ERR_peek_error(), 0);
	pair_free(&p);
}

static void cleartext_is_not_tls(void **state)
{
	struct pair p;
	struct str http = STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	pair_start(&p, "one.test");
	memcpy(tls_room(p.s, http.n), http.p, http.n);
	tls_grew(p.s, http.n);
	assert_int_equal(tls_handshake(p.s, &server_err), TLS_FAILED);
	assert_int_equal(server_err.kind, ERR_PROTO);
	assert_int_equal(str_search(tls_output(p.s), STR("Host")), tls_output(p.s).n);
	pair_free(&p);
}

/* ---- certificates ---- */

static void the_name_asked_for_chooses_the_certificate(void **state)
{
	static const char *const names[] = { "one.test", "two.test", "mail.three.test",
		"TWO.test" };
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	for (int i = 0; i < 3; i++)
		add(&p, i);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		pair_start(&p, names[i]);
		assert_int_equal(shake(p.c, p.s), 1);
		assert_str(tls_verify_error(p.c), "");
		pair_stop(&p);
	}
	pair_free(&p);
}

static void an_unknown_name_gets_the_first_certificate(void **state)
{
	static const char *const names[] = { "other.test", "a.b.three.test", "three.test", "\\" };
	struct pair p;

	(void)state;
	pair_make(&p, "", false);
	add(&p, 0);
	add(&p, 2);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		pair_start(&p, names[i]);
		assert_int_equal(shake(p.c, p.s), 1);
		assert_str(tls_verify_error(p.c), "hostname mismatch");
		pair_stop(&p);
	}
	pair_start(&p, "127.0.0.1");
	assert_int_equal(shake(p.c, p.s), 1);
	assert_str(tls_verify_error(p.c), "");
	assert_str(tls_sni(p.s), "");
	pair_free(&p);
}

static void a_verifying_client_refuses_wrong_certificates(void **state)
{
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	pair_start(&p, "two.test");
	assert_int_equal(shake(p.c, p.s), 0);
	assert_int_equal(client_err.kind, ERR_DENIED);
	assert_non_null(strstr(client_err.msg, "hostname mismatch"));
	assert_int_equal(server_err.kind, ERR_PROTO);
	pair_stop(&p);
	tls_client_free(&p.client); /* now one that trusts nobody */
	assert_int_equal(tls_client_new(&p.client, "", true, &err), 0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 0);
	assert_int_equal(client_err.kind, ERR_DENIED);
	pair_free(&p);
}

static void certificates_must_fit_their_keys(void **state)
{
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	assert_int_equal(tls_server_start(p.server, &p.s, &err), -1);
	assert_int_equal(tls_server_add(p.server, buf_str(&ids[0].chain), ids[1].key, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
	assert_int_equal(tls_server_add(p.server, STR("nonsense"), ids[1].key, &err), -1);
	assert_int_equal(tls_client_trust(p.client, STR("nonsense"), &err), -1);
	pair_free(&p);
	assert_int_equal(tls_client_new(&p.client, "/does/not/exist", true, &err), -1);
	assert_int_equal(err.kind, ERR_PERM);
}

/* ---- protocol names, by a client of which we control every detail ---- */

/* Drive a bare OpenSSL client against our engine; gives what SSL_connect would. */
static int bare_shake(SSL *client, struct tls *server, struct err *err)
{
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	static char block[20000];
	int c = -1, s = TLS_AGAIN;

	SSL_set_bio(client, in, out);
	SSL_set_connect_state(client);
	for (int turn = 0; turn < 10; turn++) {
		int n;

		if (c != 1)
			c = SSL_do_handshake(client);
		while ((n = BIO_read(out, block, sizeof block)) > 0) {
			memcpy(tls_room(server, (size_t)n), block, (size_t)n);
			tls_grew(server, (size_t)n);
		}
		if (s == TLS_AGAIN)
			s = tls_handshake(server, err);
		BIO_write(in, tls_output(server).p, (int)tls_output(server).n);
		tls_sent(server, tls_output(server).n);
	}
	/* Tickets come after the handshake. */
	if (c == 1)
		SSL_read(client, block, sizeof block);
	ERR_clear_error();
	return c == 1 && s == TLS_DONE;
}

static int last_alert;

static void note_alert(const SSL *ssl, int where, int value)
{
	(void)ssl;
	if ((where & SSL_CB_ALERT) && (where & SSL_CB_READ))
		last_alert = value & 0xff;
}

static bool alpn_accepted(struct pair *p, const char *offer, size_t n)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct err err = ERR_INIT;
	bool ok;
	SSL *ssl;

	last_alert = 0;
	SSL_CTX_set_info_callback(ctx, note_alert);
	if (n)
		SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)offer, (unsigned)n);
	ssl = SSL_new(ctx);
	assert_int_equal(tls_server_start(p->server, &p->s, &err), 0);
	ok = bare_shake(ssl, p->s, &err);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return ok;
}

static void foreign_protocols_are_refused(void **state)
{
	struct pair p;

	(void)state;
	pair_make(&p, "imap,x", true);
	add(&p, 0);
	assert_true(alpn_accepted(&p, "\4imap", 5));
	assert_str(tls_alpn(p.s), "imap");
	tls_free(&p.s);
	assert_true(alpn_accepted(&p, "\2h2\1x", 5));
	assert_str(tls_alpn(p.s), "x");
	tls_free(&p.s);
	assert_true(alpn_accepted(&p, "", 0));
	tls_free(&p.s);
	assert_false(alpn_accepted(&p, "\10http/1.1", 9));
	assert_int_equal(last_alert, 120);
	tls_free(&p.s);
	pair_free(&p);
	pair_make(&p, "", true);
	add(&p, 0);
	assert_false(alpn_accepted(&p, "\4imap", 5));
	assert_int_equal(last_alert, 120);
	pair_free(&p);
}

/* ---- keys held elsewhere ---- */

static char asked_for[64];
static bool refuse_to_sign;

static int signs(void *arg, struct str key_id, struct str algorithm, struct str data,
	struct buf *signature, struct err *err)
{
	const struct test_identity *id = arg;

	snprintf(asked_for, sizeof asked_for, STR_F " " STR_F, STR_A(key_id), STR_A(algorithm));
	assert_int_equal(ERR_peek_error(), 0); /* others may use the library now */
	if (refuse_to_sign)
		return err_set(err, ERR_TEMP, "the vault is away");
	return key_sign(id->key, algorithm, data, signature, err);
}

static void add_remote(struct pair *p, int i)
{
	struct err err = ERR_INIT;

	assert_int_equal(tls_server_add_remote(p->server, buf_str(&ids[i].chain), STR("k7"), signs,
				 &ids[i], &err),
		0);
}

static void keys_held_elsewhere_sign_handshakes(void **state)
{
	static const char *const names[] = { "one.test", "two.test", "mx.three.test" };
	static const char *const wanted[] = { "k7 ecdsa", "k7 rsa-pss:SHA256:32", "k7 ed25519" };
	struct pair p;

	(void)state;
	refuse_to_sign = false;
	pair_make(&p, "", true);
	for (int i = 0; i < 3; i++)
		add_remote(&p, i);
	for (int i = 0; i < 3; i++) {
		pair_start(&p, names[i]);
		assert_int_equal(shake(p.c, p.s), 1);
		assert_string_equal(asked_for, wanted[i]);
		assert_says(p.c, p.s, "hello");
		pair_stop(&p);
	}
	pair_free(&p);
}

static bool old_client_connects(struct pair *p, const char *ciphers, const char *sigalgs)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct err err = ERR_INIT;
	bool ok;
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
	if (*sigalgs)
		assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, sigalgs), 1);
	ssl = SSL_new(ctx);
	assert_int_equal(tls_server_start(p->server, &p->s, &err), 0);
	ok = bare_shake(ssl, p->s, &err);
	if (ok)
		assert_str(tls_version(p->s), "TLSv1.2");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_free(&p->s);
	return ok;
}

static void old_clients_are_served_but_never_by_key_transport(void **state)
{
	struct pair p;

	(void)state;
	refuse_to_sign = false;
	pair_make(&p, "", true);
	add_remote(&p, 1);
	assert_true(old_client_connects(&p, "ECDHE-RSA-AES128-GCM-SHA256", "RSA+SHA256"));
	assert_string_equal(asked_for, "k7 rsa-pkcs1:SHA256");
	assert_true(old_client_connects(&p, "ECDHE-RSA-AES256-GCM-SHA384", "RSA+SHA512"));
	assert_string_equal(asked_for, "k7 rsa-pkcs1:SHA512");
	assert_true(old_client_connects(&p, "ECDHE-RSA-CHACHA20-POLY1305", "RSA-PSS+SHA384"));
	assert_string_equal(asked_for, "k7 rsa-pss:SHA384:48");
	assert_false(old_client_connects(&p, "AES128-GCM-SHA256", ""));
	assert_false(old_client_connects(&p, "AES256-SHA", ""));
	pair_free(&p);
	pair_make(&p, "", true);
	add_remote(&p, 0);
	assert_true(old_client_connects(&p, "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA+SHA384"));
	assert_string_equal(asked_for, "k7 ecdsa");
	pair_free(&p);
}

static void why_signing_failed_reaches_the_caller(void **state)
{
	struct pair p;

	(void)state;
	refuse_to_sign = true;
	pair_make(&p, "", true);
	add_remote(&p, 0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 0);
	assert_int_equal(server_err.kind, ERR_TEMP);
	assert_non_null(strstr(server_err.msg, "the vault is away"));
	refuse_to_sign = false;
	pair_stop(&p);
	pair_start(&p, "one.test"); /* and the next handshake is none the worse */
	assert_int_equal(shake(p.c, p.s), 1);
	pair_free(&p);
}

static void a_certificate_of_another_key_is_not_helped(void **state)
{
	struct pair p;
	struct err err = ERR_INIT;

	(void)state;
	refuse_to_sign = false;
	pair_make(&p, "", true);
	/* Of the same kind, so only the signature itself is wrong. */
	assert_int_equal(tls_server_add_remote(p.server, buf_str(&ids[0].chain), STR("x"), signs,
				 &(struct test_identity){ .key = authority.key }, &err),
		0);
	pair_start(&p, "one.test");
	assert_int_equal(shake(p.c, p.s), 0);
	assert_non_null(strstr(client_err.msg, "signature"));
	pair_free(&p);
}

/* ---- tickets ---- */

static void set_tickets(struct tls_server *s, const char *letters)
{
	char bytes[TLS_TICKET_KEYS * TLS_TICKET_KEY];
	struct secret keys = SECRET_NONE;
	struct err err = ERR_INIT;
	size_t n = strlen(letters);

	for (size_t i = 0; i < n; i++)
		memset(bytes + i * TLS_TICKET_KEY, letters[i], TLS_TICKET_KEY);
	assert_int_equal(secret_copy(&keys, str_make(bytes, n * TLS_TICKET_KEY), &err), 0);
	assert_int_equal(tls_server_tickets(s, &keys, &err), 0);
	secret_free(&keys);
}

static SSL_SESSION *kept;

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	(void)ssl;
	SSL_SESSION_free(kept);
	kept = session;
	return 1;
}

/* Connect, with the session of before if there is one: was it resumed? */
static bool resumes(struct tls_server *server, int version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct err err = ERR_INIT;
	struct tls *s = NULL;
	bool resumed;
	SSL *ssl;

	SSL_CTX_set_max_proto_version(ctx, version);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, keep_session);
	ssl = SSL_new(ctx);
	if (kept)
		SSL_set_session(ssl, kept);
	assert_int_equal(tls_server_start(server, &s, &err), 0);
	assert_int_equal(bare_shake(ssl, s, &err), 1);
	resumed = tls_resumed(s);
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN); /* or the session would count as broken */
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	tls_free(&s);
	return resumed;
}

static void forget_session(void)
{
	SSL_SESSION_free(kept);
	kept = NULL;
}

static void tickets_resume_until_their_key_is_gone(void **state)
{
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	forget_session();
	assert_false(resumes(p.server, TLS1_3_VERSION));
	assert_null(kept); /* no keys, no tickets */
	set_tickets(p.server, "a");
	assert_false(resumes(p.server, TLS1_3_VERSION));
	assert_non_null(kept);
	assert_true(resumes(p.server, TLS1_3_VERSION));
	set_tickets(p.server, "ba");
	set_tickets(p.server, "cba");
	assert_true(resumes(p.server, TLS1_3_VERSION)); /* and gives one under c */
	set_tickets(p.server, "edc");
	assert_true(resumes(p.server, TLS1_3_VERSION));
	set_tickets(p.server, "gf");
	assert_false(resumes(p.server, TLS1_3_VERSION));
	forget_session();
	pair_free(&p);
}

static void tickets_are_worth_nothing_at_another_service(void **state)
{
	struct tls_server *other = NULL;
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	set_tickets(p.server, "a");
	assert_int_equal(tls_server_new(&other, STR("pop3"), STR(""), &err), 0);
	assert_int_equal(tls_server_add(other, buf_str(&ids[0].chain), ids[0].key, &err), 0);
	set_tickets(other, "a");
	forget_session();
	assert_false(resumes(p.server, TLS1_3_VERSION));
	assert_false(resumes(other, TLS1_3_VERSION));
	forget_session();
	tls_server_free(&other);
	pair_free(&p);
}

static void old_clients_get_no_tickets(void **state)
{
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	add(&p, 0);
	set_tickets(p.server, "a");
	forget_session();
	assert_false(resumes(p.server, TLS1_2_VERSION));
	assert_false(resumes(p.server, TLS1_2_VERSION));
	forget_session();
	pair_free(&p);
}

static void ticket_keys_have_one_length(void **state)
{
	struct secret keys = SECRET_NONE;
	struct err err = ERR_INIT;
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	assert_int_equal(tls_server_tickets(p.server, &keys, &err), -1);
	assert_int_equal(secret_alloc(&keys, TLS_TICKET_KEY + 1, &err), 0);
	assert_int_equal(tls_server_tickets(p.server, &keys, &err), -1);
	secret_free(&keys);
	pair_free(&p);
}

/* ---- channel bindings ---- */

static void both_sides_agree_on_channel_bindings(void **state)
{
	struct pair p;

	(void)state;
	pair_make(&p, "", true);
	for (int i = 0; i < 3; i++)
		add(&p, i);
	for (int i = 0; i < 2; i++) {
		enum tls_binding kind = i ? TLS_EXPORTER : TLS_SERVER_END_POINT;
		struct buf ours = BUF(100), theirs = BUF(100);
		struct err err = ERR_INIT;

		pair_start(&p, "two.test");
		assert_int_equal(shake(p.c, p.s), 1);
		assert_int_equal(tls_channel_binding(p.s, kind, &ours, &err), 0);
		assert_int_equal(tls_channel_binding(p.c, kind, &theirs, &err), 0);
		assert_int_equal(ours.n, 32);
		assert_true(str_eq(buf_str(&ours), buf_str(&theirs)));
		buf_free(&ours);
		buf_free(&theirs);
		pair_stop(&p);
	}
	pair_free(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_sides_talk_and_say_goodbye),
		cmocka_unit_test(an_end_without_goodbye_is_noticed),
		cmocka_unit_test(a_changed_byte_is_noticed),
		cmocka_unit_test(cleartext_is_not_tls),
		cmocka_unit_test(the_name_asked_for_chooses_the_certificate),
		cmocka_unit_test(an_unknown_name_gets_the_first_certificate),
		cmocka_unit_test(a_verifying_client_refuses_wrong_certificates),
		cmocka_unit_test(certificates_must_fit_their_keys),
		cmocka_unit_test(foreign_protocols_are_refused),
		cmocka_unit_test(keys_held_elsewhere_sign_handshakes),
		cmocka_unit_test(old_clients_are_served_but_never_by_key_transport),
		cmocka_unit_test(why_signing_failed_reaches_the_caller),
		cmocka_unit_test(a_certificate_of_another_key_is_not_helped),
		cmocka_unit_test(tickets_resume_until_their_key_is_gone),
		cmocka_unit_test(tickets_are_worth_nothing_at_another_service),
		cmocka_unit_test(old_clients_get_no_tickets),
		cmocka_unit_test(ticket_keys_have_one_length),
		cmocka_unit_test(both_sides_agree_on_channel_bindings),
	};

	return cmocka_run_group_tests(tests, make_identities, free_identities);
}
