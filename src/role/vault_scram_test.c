/* SCRAM, asked of the running vault role by a client that follows RFC 5802. */
#include "role/vault_test.h"

#include "base/codec.h"
#include "crypto/password.h"
#include "sasl/scram.h"

/* ---- a client ---- */

struct client {
	enum digest_kind hash;
	const char *peer;
	const char *header;      /* GS2: "n,," */
	uint8_t plus;            /* as of vault.def */
	const char *said;        /* the channel binding that the client sees */
	const char *real;        /* and the one that the front sees */
	struct channel *last_on; /* where the last message goes; NULL: front */
};

static const struct client plain_client = { DIGEST_SHA256, "192.0.2.1", "n,,", 0, "", "", NULL };

static char last_salt[100];
static uint64_t last_exchange;

static struct str attribute(struct str message, char name)
{
	while (message.n) {
		struct str word = str_word(&message, ',');

		if (word.n > 2 && word.p[0] == name)
			return str_from(word, 2);
	}
	return STR("");
}

/* The proof by the formulas of RFC 5802 3, and the signature that the server must show. */
static void prove(const struct client *c, struct str password, struct str challenge,
	struct str said, struct buf *proof, struct buf *signature)
{
	struct buf salt = BUF(100);
	unsigned char salted[32], key[32], stored[32], mac[32];
	size_t n = digest_size(c->hash);
	uint64_t rounds = 0;

	assert_true(base64_decode(attribute(challenge, 's'), &salt));
	assert_true(str_u64(attribute(challenge, 'i'), 1000000, &rounds));
	pbkdf2(c->hash, password, buf_str(&salt), (uint32_t)rounds, salted, &err);
	mac_once(c->hash, str_make(salted, n), STR("Client Key"), key, &err);
	digest_once(c->hash, str_make(key, n), stored, &err);
	mac_once(c->hash, str_make(stored, n), said, mac, &err);
	for (size_t i = 0; i < n; i++)
		mac[i] ^= key[i];
	base64_encode(proof, str_make(mac, n));
	mac_once(c->hash, str_make(salted, n), STR("Server Key"), key, &err);
	mac_once(c->hash, str_make(key, n), said, mac, &err);
	buf_add(signature, STR("v="));
	base64_encode(signature, str_make(mac, n));
	buf_free(&salt);
}

static const char *send_last(
	const struct client *c, uint64_t exchange, struct str message, struct str signature)
{
	struct vault_scram_final_req q = {
		.exchange = exchange, .binding = str_c(c->real), .message = message
	};
	struct vault_scram_final_rep a;
	struct reply hold = { 0 };
	const char *said = "in";

	err = ERR_INIT;
	if (vault_scram_final(c->last_on ? c->last_on : front, &q, NEVER, &a, &hold, &err) < 0) {
		said = err_kind_name(err.kind);
	} else {
		if (a.token.n != 16 || !str_eq(a.login, STR("ann@example.test")) ||
			!str_eq(a.last, signature))
			said = "strange answer";
		session_n = a.session.n;
		memcpy(session, a.session.p, a.session.n);
	}
	reply_free(&hold);
	return said;
}

static const char *scram(const struct client *c, const char *name, const char *password)
{
	struct buf first = BUF(500), last = BUF(2000), whole = BUF(4000), bound = BUF(200),
		   signature = BUF(100);
	struct vault_scram_first_req q = { .service = SERVICE_SUBMISSION,
		.peer = str_c(c->peer),
		.hash = (uint8_t)c->hash,
		.plus = c->plus };
	struct vault_scram_first_rep a;
	struct reply hold = { 0 };
	const char *said;

	err = ERR_INIT;
	buf_addf(&first, "%sn=%s,r=abcdefgh", c->header, name);
	q.message = buf_str(&first);
	if (vault_scram_first(front, &q, NEVER, &a, &hold, &err) < 0) {
		said = err_kind_name(err.kind);
		goto out;
	}
	last_exchange = a.exchange;
	str_z(attribute(a.challenge, 's'), last_salt, sizeof last_salt);
	buf_addf(&bound, "%s%s", c->header, c->said);
	buf_addz(&last, "c=");
	base64_encode(&last, buf_str(&bound));
	buf_addf(&last, ",r=" STR_F, STR_A(attribute(a.challenge, 'r')));
	buf_addf(&whole, "n=%s,r=abcdefgh," STR_F "," STR_F, name, STR_A(a.challenge),
		STR_A(buf_str(&last)));
	buf_addz(&last, ",p=");
	prove(c, str_c(password), a.challenge, buf_str(&whole), &last, &signature);
	said = send_last(c, a.exchange, buf_str(&last), buf_str(&signature));
out:
	reply_free(&hold);
	buf_free(&first);
	buf_free(&last);
	buf_free(&whole);
	buf_free(&bound);
	buf_free(&signature);
	return said;
}

/* ---- tests ---- */

static void logs_in(void)
{
	struct client c = plain_client;

	add("%s ", set_password("ann@example.test", "pencil"));
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	add("front %u scopes %u ", store.granted_front, store.granted_scopes);
	add("%s ", scram(&c, "ann.b@example.test", "pencil"));
	add("%s ", scram(&c, "ann@example.test", "Pencil"));
	c.hash = DIGEST_SHA1;
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	add("%s ", scram(&c, "ann@example.test", "pencils"));
	add("again %s ", regrant(front));
	add("grants %d", store.grants);
}

static void the_right_proof_grants_as_the_right_password_does(void **state)
{
	(void)state;
	with_vault(logs_in, OPEN_SETTINGS);
	assert_string_equal(
		trace, "set in front 40 scopes 1 in denied in denied again in grants 4");
}

static void asks_for_salts(void)
{
	static const char *const names[] = { "nobody@example.test", "nobody@example.test",
		"\"Nobody\"@EXAMPLE.test.", "nobody2@example.test", "ann@example.test",
		"ann@example.test" };
	char salts[6][100];

	set_password("ann@example.test", "pencil");
	for (size_t i = 0; i < 6; i++) {
		const char *said = scram(&plain_client, names[i], "wrong");

		add("%s '%s' ", said, err.msg);
		strcpy(salts[i], last_salt);
	}
	add("same %d%d other %d%d real %d", !strcmp(salts[0], salts[1]),
		!strcmp(salts[0], salts[2]), !strcmp(salts[0], salts[3]),
		!strcmp(salts[0], salts[4]), !strcmp(salts[4], salts[5]));
}

#define WRONG "denied 'wrong name or password' "

static void T031_names_that_do_not_exist_have_a_salt_that_stays(void **state)
{
	(void)state;
	with_vault(asks_for_salts, OPEN_SETTINGS);
	assert_string_equal(trace, WRONG WRONG WRONG WRONG WRONG WRONG "same 11 other 00 real 1");
}

static void is_disabled_meanwhile(void)
{
	set_password("ann@example.test", "pencil");
	store.enabled = false;
	add("%s ", scram(&plain_client, "ann@example.test", "pencil"));
	store.enabled = true;
	add("%s", scram(&plain_client, "ann@example.test", "pencil"));
}

static void a_disabled_account_is_nobody(void **state)
{
	(void)state;
	with_vault(is_disabled_meanwhile, OPEN_SETTINGS);
	assert_string_equal(trace, "denied in");
}

static void binds(void)
{
	struct client c = plain_client;

	set_password("ann@example.test", "pencil");
	c.header = "p=tls-exporter,,";
	c.plus = 3;
	c.said = c.real = "0123456789abcdef";
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	c.real = "0123456789abcdeF"; /* somebody sits in between */
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	c.real = "";
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	c = plain_client;
	c.header = "y,,";
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	c.plus = 2; /* it was offered, and the client did not see it */
	add("%s", scram(&c, "ann@example.test", "pencil"));
}

static void T032_the_vault_itself_checks_the_binding_and_the_flag(void **state)
{
	(void)state;
	with_vault(binds, OPEN_SETTINGS);
	assert_string_equal(trace, "in denied denied in denied");
}

static void tries_twice(void)
{
	struct client c = plain_client;
	struct channel *other = connect_as(WHO_SUBMIT, 50);

	set_password("ann@example.test", "pencil");
	add("%s ", scram(&c, "ann@example.test", "wrong"));
	add("%s ", send_last(&c, last_exchange, STR("c=biws,r=a,p=b"), STR("")));
	c.last_on = other;
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	add("%s", send_last(&plain_client, 12345, STR("c=biws,r=a,p=b"), STR("")));
	channel_close(&other);
}

static void an_exchange_has_one_try_and_belongs_to_its_front(void **state)
{
	(void)state;
	with_vault(tries_twice, OPEN_SETTINGS);
	assert_string_equal(trace, "denied denied denied denied");
}

static void guesses(void)
{
	set_password("ann@example.test", "pencil");
	for (int i = 0; i < 5; i++)
		add("%s ", scram(&plain_client, "ann@example.test", "guess"));
	add("%s ", scram(&plain_client, "ann@example.test", "pencil"));
	add("%s", login("ann@example.test", "pencil")); /* the same count */
}

static void T029_guessing_by_scram_counts_like_guessing_passwords(void **state)
{
	(void)state;
	with_vault(guesses,
		"hostname mail.example.test; auth.account-attempts 4; auth.network-attempts 100;");
	assert_string_equal(trace, "denied denied denied denied limit limit limit");
}

/* Only an exchange that is still there counts as a guess. */
static int failures(void)
{
	struct vault_status_req q = { 0 };
	struct vault_status_rep a = { 0 };
	struct reply hold = { 0 };
	int n;

	vault_status(operator_channel, &q, NEVER, &a, &hold, &err);
	n = (int)a.failures;
	reply_free(&hold);
	return n;
}

/* Half-done exchanges of one client push out their own kind, not those of others, though every one
 * comes from another address of its network. */
static void floods(void)
{
	char peer[60];
	struct vault_scram_first_req q = { .service = SERVICE_SUBMISSION,
		.peer = STR("198.51.100.9"),
		.hash = DIGEST_SHA256,
		.message = STR("n,,n=x,r=abc") };
	struct vault_scram_first_rep a;
	struct reply hold = { 0 };
	uint64_t of_ann = 0, first = 0;
	struct vault_scram_final_req last = {
		.message = STR("c=biws,r=x,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	};
	struct vault_scram_final_rep b;

	q.peer = STR("192.0.2.1");
	for (int i = 0; i < 20; i++) { /* an office: the first one is watched */
		vault_scram_first(front, &q, NEVER, &a, &hold, &err);
		of_ann = i == 0 ? a.exchange : of_ann;
		reply_free(&hold);
	}
	for (unsigned i = 0; i < 1500; i++) {
		snprintf(peer, sizeof peer, "2001:db8:1:%x::9", i);
		q.peer = str_c(peer);
		if (vault_scram_first(front, &q, NEVER, &a, &hold, &err) < 0)
			add("%s ", err.msg);
		if (i == 0)
			first = a.exchange;
		reply_free(&hold);
	}
	last.exchange = first;
	vault_scram_final(front, &last, NEVER, &b, &hold, &err);
	add("%s; ", err.msg);
	reply_free(&hold);
	add("failures %d ", failures());
	last.exchange = of_ann;
	vault_scram_final(front, &last, NEVER, &b, &hold, &err);
	reply_free(&hold);
	add("%d", failures());
}

static void a_flood_of_half_done_exchanges_pushes_out_its_own(void **state)
{
	(void)state;
	with_vault(floods, OPEN_SETTINGS);
	assert_string_equal(trace, "wrong name or password; failures 0 1");
}

/* What was kept before SCRAM-SHA-1 was: the same bytes without its keys, version 1. */
static void make_old(void)
{
	enum { SHA1_PART = 4 + VERIFIER_SALT + 2 * SHA1_SIZE };
	struct buf *sealed = find_secret(SECRET_VERIFIER, STR("ann@example.test"));
	struct seal *seal = NULL;
	struct secret plain = SECRET_NONE, old = SECRET_NONE;

	assert_int_equal(seal_load(seal_fd, &seal, &err), 0);
	assert_int_equal(seal_get(seal, SEAL_VERIFIER, STR("ann@example.test"), buf_str(sealed),
				 &plain, &err),
		0);
	assert_int_equal(
		secret_copy(&old, str_head(secret_reveal(&plain), plain.n - SHA1_PART), &err), 0);
	old.p[0] = 1;
	buf_clear(sealed);
	assert_int_equal(seal_put(seal, SEAL_VERIFIER, STR("ann@example.test"), secret_reveal(&old),
				 sealed, &err),
		0);
	secret_free(&plain);
	secret_free(&old);
	seal_free(&seal);
}

static void logs_in_of_old(void)
{
	struct client c = plain_client;

	set_password("ann@example.test", "pencil");
	make_old();
	store.put = (struct signal){ 0 };
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	c.hash = DIGEST_SHA1;
	add("%s ", scram(&c, "ann@example.test", "pencil"));
	add("%s ", login("ann@example.test", "pencil"));
	task_wait(-1, 0, &store.put, clock_after(20 * CLOCK_SEC), &err);
	add("%s %s", scram(&c, "ann@example.test", "pencil"), regrant(front));
}

static void an_old_verifier_grows_with_the_next_password(void **state)
{
	(void)state;
	with_vault(logs_in_of_old, OPEN_SETTINGS);
	assert_string_equal(trace, "in denied in in in");
}

static void asks_wrongly(void)
{
	struct vault_scram_first_req q = {
		.service = SERVICE_IMAPS, .hash = DIGEST_SHA256, .message = STR("n,,n=x,r=abc")
	};
	struct vault_scram_first_rep a;
	struct reply hold = { 0 };

	add("%s ", vault_scram_first(front, &q, NEVER, &a, &hold, &err) < 0 ? "no" : "yes");
	reply_free(&hold);
}

static void a_submission_front_has_no_imap_logins(void **state)
{
	(void)state;
	with_vault(asks_wrongly, OPEN_SETTINGS);
	assert_string_equal(trace, "no ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_proof_grants_as_the_right_password_does),
		cmocka_unit_test(T031_names_that_do_not_exist_have_a_salt_that_stays),
		cmocka_unit_test(a_disabled_account_is_nobody),
		cmocka_unit_test(T032_the_vault_itself_checks_the_binding_and_the_flag),
		cmocka_unit_test(an_exchange_has_one_try_and_belongs_to_its_front),
		cmocka_unit_test(T029_guessing_by_scram_counts_like_guessing_passwords),
		cmocka_unit_test(a_flood_of_half_done_exchanges_pushes_out_its_own),
		cmocka_unit_test(an_old_verifier_grows_with_the_next_password),
		cmocka_unit_test(a_submission_front_has_no_imap_logins),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
