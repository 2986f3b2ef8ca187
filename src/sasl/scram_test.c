#include "sasl/scram.h"

#include "sasl/sasl.h"
#include "sasl/saslprep.h"

#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct err err;

/* ---- the published exchanges ---- */

struct published {
	enum digest_kind hash;
	const char *first, *nonce, *salt, *challenge, *last, *end;
};

/* RFC 5802 5 and RFC 7677 3: user "user", password "pencil" */
static const struct published published[] = {
	{ DIGEST_SHA1, "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL", "3rfcNHYJY1ZVvWVs7j",
		"QSXCR+Q6sek8bf92",
		"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
		"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+"
		"HI4Ts=",
		"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=" },
	{ DIGEST_SHA256, "n,,n=user,r=rOprNGfwEbeRWgbNEkqO", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		"W22ZaJ0SNY7soEsUEjb6gQ==",
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
		"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" },
};

struct run {
	struct scram_exchange x;
	struct scram_keys keys;
	struct buf challenge, out;
};

static void begin(struct run *t, const struct published *p, const char *first)
{
	struct buf salt = BUF(64);
	struct scram_first f;

	*t = (struct run){ .challenge = BUF(1000), .out = BUF(1000) };
	err = ERR_INIT;
	assert_true(base64_decode(str_c(p->salt), &salt));
	assert_int_equal(
		scram_make_keys(p->hash, STR("pencil"), buf_str(&salt), 4096, &t->keys, &err), 0);
	assert_int_equal(scram_read_first(str_c(first), &f, &err), 0);
	assert_int_equal(scram_begin(&t->x, p->hash, &f, str_c(p->nonce), buf_str(&salt), 4096,
				 &t->challenge, &err),
		0);
	buf_free(&salt);
}

static void end(struct run *t)
{
	scram_end(&t->x);
	scram_end(&t->x);
	buf_free(&t->challenge);
	buf_free(&t->out);
}

static void the_published_exchanges_come_out(void **state)
{
	struct run t;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		begin(&t, &published[i], published[i].first);
		assert_true(str_eq(buf_str(&t.challenge), str_c(published[i].challenge)));
		assert_int_equal(scram_finish(&t.x, &t.keys, STR(""), str_c(published[i].last),
					 &t.out, &err),
			0);
		assert_true(str_eq(buf_str(&t.out), str_c(published[i].end)));
		end(&t);
	}
}

static void the_client_of_the_published_exchange_comes_out(void **state)
{
	const struct published *p = &published[0];
	struct scram_client c;
	struct buf out = BUF(1000);

	(void)state;
	memcpy(c.nonce, "fyko+d2lbbFgONRv9qkxdawL", sizeof c.nonce);
	scram_client_first(&c, STR("user"), &out);
	assert_true(str_eq(buf_str(&out), str_c(p->first)));
	buf_clear(&out);
	assert_int_equal(scram_client_final(&c, p->hash, STR("user"), STR("pencil"),
				 str_c(p->challenge), &out, &err),
		0);
	assert_true(str_eq(buf_str(&out), str_c(p->last)));
	assert_int_equal(scram_client_verify(&c, p->hash, str_c(p->end), &err), 0);
	assert_int_equal(
		scram_client_verify(&c, p->hash, STR("v=rmF9pqV8S7suAoZWja4dJRkFsKA="), &err), -1);
	assert_int_equal(scram_client_verify(&c, p->hash, STR("e=other-error"), &err), -1);
	buf_free(&out);
}

/* T032 */
static void T032_a_wrong_word_anywhere_is_no_login(void **state)
{
	static const struct {
		const char *last;
		enum err_kind kind;
	} rows[] = {
		{ "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVA=",
			ERR_DENIED },
		{ "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k1,"
		  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			ERR_DENIED },
		/* "y,," where the first message said "n,," */
		{ "c=eSws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			ERR_DENIED },
		{ "c=biws,r=x,p=dHzb", ERR_PROTO },
		{ "c=biws,r=x", ERR_PROTO },
		{ "r=x,c=biws,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_PROTO },
		{ "c=biws,r=x,m=y,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", ERR_PROTO },
		{ "c=biws,r=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=,x=y", ERR_PROTO },
		{ "", ERR_PROTO },
	};
	struct run t;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		begin(&t, &published[1], published[1].first);
		assert_int_equal(
			scram_finish(&t.x, &t.keys, STR(""), str_c(rows[i].last), &t.out, &err),
			-1);
		assert_int_equal(err.kind, rows[i].kind);
		assert_int_equal(t.out.n, 0);
		end(&t);
	}
}

static void T032_first_messages_keep_to_their_grammar(void **state)
{
	static const char *const good[] = { "n,,n=user,r=abc", "y,a=user,n=user,r=abc",
		"p=tls-exporter,,n=user,r=abc", "n,,n=u=2Cs=3Der,r=abc,x=1,y=2" };
	static const char *const bad[] = { "", "n", "n,", "n,,", "n,,n=user", "n,,n=,r=abc",
		"n,,r=abc,n=user", "n,,n=user,r=", "n,,n=user,r=a\x7f", "n,user,n=user,r=abc",
		"n,a=,n=user,r=abc", "p,,n=user,r=abc", "p=,,n=user,r=abc", "x,,n=user,r=abc",
		"nn,,n=user,r=abc", "n,,m=ext,n=user,r=abc", "n,,n=user,r=abc,m=ext",
		"n,,n=user,r=abc,1=2", "n,,n=us\xff,r=abc", "N,,n=user,r=abc" };
	struct scram_first f;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
		assert_int_equal(scram_read_first(str_c(good[i]), &f, &err), 0);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		err = ERR_INIT;
		assert_int_equal(scram_read_first(str_c(bad[i]), &f, &err), -1);
		assert_int_equal(err.kind, ERR_PROTO);
	}
}

/* RFC 5802 6: client's flag, mechanism, what was offered */
static void T032_a_removed_channel_binding_is_noticed(void **state)
{
	static const struct {
		const char *first;
		bool plus, offered;
		enum err_kind kind;
	} rows[] = {
		{ "n,,n=u,r=a", false, true, ERR_NONE },
		{ "y,,n=u,r=a", false, false, ERR_NONE },
		{ "y,,n=u,r=a", false, true, ERR_DENIED }, /* the list was changed on the way */
		{ "y,,n=u,r=a", true, true, ERR_DENIED },
		{ "n,,n=u,r=a", true, true, ERR_PROTO },
		{ "p=tls-exporter,,n=u,r=a", false, true, ERR_PROTO },
		{ "p=tls-exporter,,n=u,r=a", true, true, ERR_NONE },
		{ "p=tls-server-end-point,,n=u,r=a", true, true, ERR_NONE },
		{ "p=tls-unique,,n=u,r=a", true, true, ERR_DENIED },
	};
	struct scram_first f;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		err = ERR_INIT;
		assert_int_equal(scram_read_first(str_c(rows[i].first), &f, &err), 0);
		assert_int_equal(scram_check_flag(&f, rows[i].plus, rows[i].offered, &err),
			rows[i].kind == ERR_NONE ? 0 : -1);
		assert_int_equal(err.kind, rows[i].kind);
	}
}

static void T032_the_binding_must_be_that_of_this_channel(void **state)
{
	/* c= "p=tls-exporter,," and "0123" or "0124"; the proofs are of the messages before them */
	static const struct str data[] = { STR_INIT("0123"), STR_INIT("0124") };
	struct run t;
	struct scram_final f;
	struct buf last = BUF(1000), c = BUF(200);

	(void)state;
	buf_add(&c, STR("p=tls-exporter,,0123"));
	buf_add(&last, STR("c="));
	base64_encode(&last, buf_str(&c));
	buf_add(&last, STR(",r=abc%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"));
	for (size_t i = 0; i < 2; i++) {
		struct buf whole = BUF(2000);
		unsigned char mac[SHA256_SIZE];
		struct scram_keys keys;

		begin(&t, &published[1], "p=tls-exporter,,n=user,r=abc");
		/* A proof of somebody who knows the key: ClientKey is the 32 octets "k...". */
		memset(keys.server, 's', sizeof keys.server);
		memset(mac, 'k', sizeof mac);
		assert_int_equal(
			digest_once(DIGEST_SHA256, str_make(mac, 32), keys.stored, &err), 0);
		buf_add(&whole, buf_str(&t.x.said));
		buf_add(&whole, buf_str(&last));
		assert_int_equal(mac_once(DIGEST_SHA256, str_make(keys.stored, 32), buf_str(&whole),
					 f.proof, &err),
			0);
		for (int k = 0; k < 32; k++)
			f.proof[k] ^= 'k';
		buf_clear(&whole);
		buf_add(&whole, buf_str(&last));
		buf_add(&whole, STR(",p="));
		base64_encode(&whole, str_make(f.proof, 32));
		assert_int_equal(scram_finish(&t.x, &keys, data[i], buf_str(&whole), &t.out, &err),
			i ? -1 : 0);
		buf_free(&whole);
		end(&t);
	}
	buf_free(&last);
	buf_free(&c);
}

/* ---- our client and hostile servers ---- */

static void the_client_refuses_servers_that_ask_for_too_much_or_too_little(void **state)
{
	static const char *const bad[] = {
		"r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",     /* adds nothing */
		"r=abc,s=QSXCR+Q6sek8bf92,i=4096",                          /* not ours */
		"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=1",       /* too few rounds */
		"r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4000000", /* too many */
		"r=fyko+d2lbbFgONRv9qkxdawLx,s=,i=4096",
		"r=fyko+d2lbbFgONRv9qkxdawLx,s=!!!!,i=4096",
		"m=x,r=fyko+d2lbbFgONRv9qkxdawLx,s=QSXCR+Q6sek8bf92,i=4096",
	};
	struct scram_client c;
	struct buf out = BUF(1000);

	(void)state;
	memcpy(c.nonce, "fyko+d2lbbFgONRv9qkxdawL", sizeof c.nonce);
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(scram_client_final(&c, DIGEST_SHA1, STR("u"), STR("p"),
					 str_c(bad[i]), &out, &err),
			-1);
		assert_int_equal(out.n, 0);
	}
	buf_free(&out);
}

/* ---- names and passwords ---- */

static void commas_and_equals_signs_travel_in_names(void **state)
{
	struct buf b = BUF(100), back = BUF(100);

	(void)state;
	scram_name_encode(STR("a,b=c"), &b);
	assert_true(str_eq(buf_str(&b), STR("a=2Cb=3Dc")));
	assert_true(scram_name_decode(buf_str(&b), &back));
	assert_true(str_eq(buf_str(&back), STR("a,b=c")));
	assert_false(scram_name_decode(STR("a=2c"), &back));
	assert_false(scram_name_decode(STR("a="), &back));
	assert_false(scram_name_decode(STR("=41"), &back));
	buf_free(&b);
	buf_free(&back);
}

static void passwords_have_one_form_whatever_typed_them(void **state)
{
	/* RFC 4013 3, and what keyboards of different makers send */
	static const struct {
		const char *in, *out; /* NULL: there is no such form */
	} rows[] = { { "user", "user" }, { "USER", "USER" }, { "I\xc2\xadX", "IX" },
		{ "\xc2\xaa", "a" }, { "\xe2\x85\xa8", "IX" }, { "\x07", NULL },
		{ "e\xcc\x81t\xc3\xa9", "\xc3\xa9t\xc3\xa9" },
		{ "a\xc2\xa0"
		  "b",
			"a b" },
		{ "\xe3\x80\x80", " " }, { "\xff", NULL }, { "", NULL }, { "\xc2\xad", NULL },
		{ "\xee\x80\x80", NULL } };
	struct secret s;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		assert_int_equal(saslprep(str_c(rows[i].in), &s, &err), rows[i].out ? 0 : -1);
		if (rows[i].out)
			assert_true(secret_eq(&s, str_c(rows[i].out)));
		secret_free(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_published_exchanges_come_out),
		cmocka_unit_test(the_client_of_the_published_exchange_comes_out),
		cmocka_unit_test(T032_a_wrong_word_anywhere_is_no_login),
		cmocka_unit_test(T032_first_messages_keep_to_their_grammar),
		cmocka_unit_test(T032_a_removed_channel_binding_is_noticed),
		cmocka_unit_test(T032_the_binding_must_be_that_of_this_channel),
		cmocka_unit_test(the_client_refuses_servers_that_ask_for_too_much_or_too_little),
		cmocka_unit_test(commas_and_equals_signs_travel_in_names),
		cmocka_unit_test(passwords_have_one_form_whatever_typed_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
