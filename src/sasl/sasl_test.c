#include "sasl/sasl.h"

#include "base/codec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A client that answers from a list and notes what it was asked. */
struct script {
	const char *const *answers; /* NULL: a line that is too long; the list ends with "" twice */
	size_t at, count;
	struct buf asked;
};

static int answer(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct script *s = arg;

	buf_addc(&s->asked, '<');
	buf_add(&s->asked, challenge);
	buf_addc(&s->asked, '>');
	if (s->at >= s->count)
		return err_set(err, ERR_CLOSED, "gone");
	if (!s->answers[s->at])
		return err_set(err, ERR_LIMIT, "line too long");
	*response = str_c(s->answers[s->at++]);
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	return arg ? err_set(err, ERR_DENIED, "wrong") : 0;
}

struct result {
	int r;
	enum sasl_outcome how;
	struct sasl_server s;
	struct buf asked;
	struct err err;
};

static void run(struct result *out, const char *mech, const char *initial,
	const char *const *answers, size_t count)
{
	struct script script = { answers, 0, count, BUF(4096) };
	struct str first = str_c(initial);

	*out = (struct result){ .err = ERR_INIT, .s = { .login = login } };
	out->r = sasl_serve(&out->s, sasl_mech_find(str_c(mech), 0), initial ? &first : NULL,
		answer, &script, &out->how, &out->err);
	out->asked = script.asked;
}

static void done(struct result *r)
{
	sasl_server_free(&r->s);
	sasl_server_free(&r->s);
	buf_free(&r->asked);
}

static void assert_given(struct result *r, struct str name, struct str password)
{
	assert_int_equal(r->r, 0);
	assert_int_equal(r->how, SASL_WELCOME);
	assert_true(str_eq(buf_str(&r->s.name), name));
	assert_true(secret_eq(&r->s.password, password));
}

static void plain_comes_with_the_command_or_after_an_empty_challenge(void **state)
{
	static const char *const line[] = { "AGFubgBwdw==" };
	struct result r;

	(void)state;
	run(&r, "plain", "AGFubgBwdw==", NULL, 0);
	assert_given(&r, STR("ann"), STR("pw"));
	assert_int_equal(r.asked.n, 0);
	done(&r);
	run(&r, "PLAIN", NULL, line, 1);
	assert_given(&r, STR("ann"), STR("pw"));
	assert_true(str_eq(buf_str(&r.asked), STR("<>")));
	done(&r);
}

static void plain_may_name_oneself_but_nobody_else(void **state)
{
	struct result r;

	(void)state;
	run(&r, "PLAIN", "QW5uAGFubgBwdw==", NULL, 0); /* Ann NUL ann NUL pw */
	assert_given(&r, STR("ann"), STR("pw"));
	done(&r);
	run(&r, "PLAIN", "Ym9iAGFubgBwdw==", NULL, 0); /* bob NUL ann NUL pw */
	assert_int_equal(r.how, SASL_FOREIGN);
	done(&r);
}

static void login_asks_for_the_name_then_the_password(void **state)
{
	static const char *const lines[] = { "YW5u", "cHc=" };
	struct result r;

	(void)state;
	run(&r, "LOGIN", NULL, lines, 2);
	assert_given(&r, STR("ann"), STR("pw"));
	assert_true(str_eq(buf_str(&r.asked), STR("<VXNlcm5hbWU6><UGFzc3dvcmQ6>")));
	done(&r);
	run(&r, "LOGIN", "YW5u", lines + 1, 1);
	assert_given(&r, STR("ann"), STR("pw"));
	assert_true(str_eq(buf_str(&r.asked), STR("<UGFzc3dvcmQ6>")));
	done(&r);
}

static void a_star_cancels_at_every_step(void **state)
{
	static const char *const lines[] = { "*", "YW5u", "*" };
	struct result r;

	(void)state;
	run(&r, "PLAIN", NULL, lines, 1);
	assert_int_equal(r.how, SASL_CANCELLED);
	done(&r);
	run(&r, "LOGIN", NULL, lines, 1);
	assert_int_equal(r.how, SASL_CANCELLED);
	done(&r);
	run(&r, "LOGIN", NULL, lines + 1, 2);
	assert_int_equal(r.how, SASL_CANCELLED);
	done(&r);
}

static void broken_exchanges_are_told_apart_from_wrong_passwords(void **state)
{
	static const char *const bad[] = {
		"",                     /* empty message */
		"=",                    /* RFC 4954: empty initial response, which PLAIN has not */
		"====",                 /* not base64 */
		"AGFubgBwdw",           /* padding missing */
		"YW5u",                 /* no NUL */
		"AGFubg==",             /* one NUL */
		"AABwdw==",             /* empty name */
		"AGFubgA=",             /* empty password */
		"AGFubgBwAHc=",         /* a third NUL */
		"AP8AcHc=",             /* name is not UTF-8 */
		"AGFubgBwdw== trailing" /* words after it */
	};
	struct result r;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		run(&r, "PLAIN", bad[i], NULL, 0);
		assert_int_equal(r.r, 0);
		assert_int_equal(r.how, SASL_BROKEN);
		assert_int_equal(r.err.kind, ERR_PROTO);
		done(&r);
	}
	run(&r, "LOGIN", "=", NULL, 0);
	assert_int_equal(r.how, SASL_BROKEN);
	done(&r);
}

static void names_and_passwords_have_limits(void **state)
{
	struct buf raw = BUF(4096), line = BUF(8192);
	struct result r;

	(void)state;
	for (size_t extra = 0; extra < 2; extra++) {
		buf_clear(&raw);
		buf_clear(&line);
		buf_addz(&raw, "x");
		for (size_t i = 1; i < SASL_PASSWORD_MAX + extra; i++)
			buf_addc(&raw, 'y');
		base64_encode(&line, buf_str(&raw));
		buf_addc(&line, '\0');
		run(&r, "LOGIN", "YW5u", (const char *const[]){ line.p }, 1);
		assert_int_equal(r.how, extra ? SASL_BROKEN : SASL_WELCOME);
		done(&r);
	}
	buf_cut(&raw, SASL_NAME_MAX + 1);
	buf_clear(&line);
	base64_encode(&line, buf_str(&raw));
	buf_addc(&line, '\0');
	run(&r, "LOGIN", line.p, NULL, 0);
	assert_int_equal(r.how, SASL_BROKEN);
	done(&r);
	buf_free(&raw);
	buf_free(&line);
}

static void an_endless_line_and_a_lost_client_are_different(void **state)
{
	static const char *const lines[] = { NULL };
	struct result r;

	(void)state;
	run(&r, "PLAIN", NULL, lines, 1);
	assert_int_equal(r.r, 0);
	assert_int_equal(r.how, SASL_TOO_LONG);
	done(&r);
	run(&r, "LOGIN", "YW5u", NULL, 0);
	assert_int_equal(r.r, -1);
	assert_int_equal(r.err.kind, ERR_CLOSED);
	done(&r);
}

static void the_table_names_its_mechanisms(void **state)
{
	struct buf b = BUF(100);

	(void)state;
	sasl_mech_list(0, " ", &b);
	assert_true(str_eq(buf_str(&b), STR(" PLAIN LOGIN")));
	assert_non_null(sasl_mech_find(STR("login"), 0));
	assert_null(sasl_mech_find(STR(""), 0));
	assert_null(sasl_mech_find(STR("PLAI"), 0));
	assert_null(sasl_mech_find(STR("CRAM-MD5"), 0));
	buf_free(&b);
}

static void the_client_takes_the_best_that_both_know(void **state)
{
	(void)state;
	assert_ptr_equal(
		sasl_client_pick(STR("PLAIN scram-sha-1 SCRAM-SHA-256 SCRAM-SHA-256-PLUS")),
		sasl_mech_find(STR("SCRAM-SHA-256"), SASL_WAY_SCRAM));
	assert_ptr_equal(sasl_client_pick(STR("LOGIN PLAIN EXTERNAL SCRAM-SHA-1")),
		sasl_mech_find(STR("SCRAM-SHA-1"), SASL_WAY_SCRAM));
	assert_ptr_equal(
		sasl_client_pick(STR("CRAM-MD5 login plain")), sasl_mech_find(STR("PLAIN"), 0));
	assert_ptr_equal(sasl_client_pick(STR("NTLM LOGIN")), sasl_mech_find(STR("LOGIN"), 0));
	assert_null(sasl_client_pick(STR("XOAUTH2 PLAIN-CLIENTTOKEN")));
	assert_null(sasl_client_pick(STR("")));
}

static void responds(struct sasl_client *c, const struct sasl_mech *m, struct str challenge,
	enum sasl_step want, struct str response)
{
	struct buf out = BUF(4096);

	assert_int_equal(sasl_client_step(c, m, challenge, &out), want);
	assert_true(str_eq(buf_str(&out), response));
	secret_wipe_buf(&out);
}

static void the_client_says_plain_and_login(void **state)
{
	struct secret pw = SECRET_NONE;
	struct err err = ERR_INIT;
	const struct sasl_mech *plain = sasl_mech_find(STR("PLAIN"), 0);
	const struct sasl_mech *login = sasl_mech_find(STR("LOGIN"), 0);

	(void)state;
	assert_int_equal(secret_copy(&pw, STR("pw"), &err), 0);
	struct sasl_client c = { .name = STR("ann"), .password = &pw };

	responds(&c, plain, STR(""), SASL_DONE, STR("AGFubgBwdw=="));
	responds(&c, plain, STR(""), SASL_MALFORMED, STR("")); /* asked twice */
	c.step = 0;
	responds(&c, plain, STR("eA=="), SASL_MALFORMED, STR("")); /* PLAIN has no challenge */
	c.step = 0;
	responds(&c, login, STR("VXNlciBOYW1lAA=="), SASL_CHALLENGE, STR("YW5u"));
	responds(&c, login, STR("UGFzc3dvcmQ6"), SASL_DONE, STR("cHc="));
	responds(&c, login, STR(""), SASL_MALFORMED, STR(""));
	c.step = 0;
	responds(&c, login, STR("not base64!"), SASL_MALFORMED, STR(""));
	secret_free(&pw);
}

/* ---- SCRAM, our client against our server ---- */

struct keeper {
	struct scram_keys keys;
	struct scram_exchange x;
	int undone;
};

static unsigned scram_only(void *arg)
{
	(void)arg;
	return SASL_WAY_SCRAM;
}

static int keeper_first(
	void *arg, const struct sasl_scram *m, struct buf *challenge, struct err *err)
{
	struct keeper *k = arg;
	struct scram_first f;

	if (scram_make_keys(m->hash, STR("p\xc3\xa9ncil"), STR("salt"), 4096, &k->keys, err) < 0 ||
		scram_read_first(m->message, &f, err) < 0)
		return -1;
	scram_end(&k->x);
	return scram_begin(&k->x, m->hash, &f, STR("server"), STR("salt"), 4096, challenge, err);
}

static int keeper_final(void *arg, const struct sasl_scram *m, struct buf *last, struct err *err)
{
	struct keeper *k = arg;

	return scram_finish(&k->x, &k->keys, STR(""), m->message, last, err);
}

static void keeper_undo(void *arg)
{
	struct keeper *k = arg;

	k->undone++;
}

struct caller {
	struct sasl_client c;
	const struct sasl_mech *mech;
	char line[SCRAM_MESSAGE_MAX];
	bool doubts; /* takes the server's proof for somebody else's */
};

static int call(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct caller *c = arg;
	struct buf out = BUF(SASL_LINE_MAX);
	struct str text = challenge;
	bool broken;

	if (c->doubts && c->c.step == 2)
		text = STR("dj1BQUFB");
	broken = sasl_client_step(&c->c, c->mech, text, &out) == SASL_MALFORMED;
	assert_true(str_z(broken ? STR("*") : buf_str(&out), c->line, sizeof c->line));
	*response = str_c(c->line);
	secret_wipe_buf(&out);
	return 0;
}

/* The password is typed in another form than the one that was set. */
static void our_client_and_our_server_agree_on_scram(void **state)
{
	static const char *const names[] = { "SCRAM-SHA-256", "SCRAM-SHA-1" };
	static const enum sasl_outcome outcomes[] = { SASL_WELCOME, SASL_REFUSED, SASL_CANCELLED };
	static const char *const passwords[] = { "pe\xcc\x81ncil", "pencil", "pe\xcc\x81ncil" };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct keeper k = { .undone = 0 };
		struct sasl_checks checks = { .arg = &k,
			.ways = scram_only,
			.scram_first = keeper_first,
			.scram_final = keeper_final,
			.undo = keeper_undo };
		struct sasl_server s = { .login = login, .checks = &checks };
		struct secret pw = SECRET_NONE;
		enum sasl_outcome how;

		assert_int_equal(secret_copy(&pw, str_c(passwords[i / 2]), &err), 0);
		struct caller c = { .c = { .name = STR("a,n=n"), .password = &pw },
			.mech = sasl_mech_find(str_c(names[i % 2]), SASL_WAY_SCRAM),
			.doubts = i / 2 == 2 };

		assert_int_equal(sasl_serve(&s, c.mech, NULL, call, &c, &how, &err), 0);
		assert_int_equal(how, outcomes[i / 2]);
		assert_int_equal(c.c.satisfied, i / 2 == 0);
		assert_int_equal(k.undone, i / 2 == 2);
		assert_true(str_eq(buf_str(&s.name), STR("a,n=n")));
		sasl_server_free(&s);
		scram_end(&k.x);
		secret_free(&pw);
	}
}

static void what_a_session_has_not_is_neither_listed_nor_found(void **state)
{
	const unsigned all =
		SASL_WAY_SCRAM | SASL_WAY_BINDING | SASL_WAY_TOKEN | SASL_WAY_CERTIFICATE;
	struct buf b = BUF(400);

	(void)state;
	sasl_mech_list(all, ",", &b);
	assert_true(str_eq(buf_str(&b),
		STR(",SCRAM-SHA-256-PLUS,SCRAM-SHA-1-PLUS,SCRAM-SHA-256,SCRAM-SHA-1,EXTERNAL,"
		    "OAUTHBEARER,XOAUTH2,PLAIN,LOGIN")));
	assert_non_null(sasl_mech_find(STR("external"), all));
	assert_null(sasl_mech_find(STR("external"), all & ~(unsigned)SASL_WAY_CERTIFICATE));
	assert_null(sasl_mech_find(STR("SCRAM-SHA-1-PLUS"), SASL_WAY_SCRAM));
	assert_null(sasl_mech_find(STR("SCRAM-SHA-1-PLUS"), SASL_WAY_BINDING));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_comes_with_the_command_or_after_an_empty_challenge),
		cmocka_unit_test(plain_may_name_oneself_but_nobody_else),
		cmocka_unit_test(login_asks_for_the_name_then_the_password),
		cmocka_unit_test(a_star_cancels_at_every_step),
		cmocka_unit_test(broken_exchanges_are_told_apart_from_wrong_passwords),
		cmocka_unit_test(names_and_passwords_have_limits),
		cmocka_unit_test(an_endless_line_and_a_lost_client_are_different),
		cmocka_unit_test(the_table_names_its_mechanisms),
		cmocka_unit_test(the_client_takes_the_best_that_both_know),
		cmocka_unit_test(the_client_says_plain_and_login),
		cmocka_unit_test(our_client_and_our_server_agree_on_scram),
		cmocka_unit_test(what_a_session_has_not_is_neither_listed_nor_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
