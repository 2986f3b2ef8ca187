/* Logins by certificate, asked of the running vault role by a front that may say what it wants. (A
 * certificate that is good needs a mail address in it: test/e2e/test_auth.py.) */
#include "crypto/tls_test.h"

#include "role/vault_test.h"

static struct test_authority ours, others;
static struct test_identity server_of_ours, server_of_others;

static const char *show(struct str chain)
{
	struct vault_certificate_req q = { .service = SERVICE_SUBMISSION,
		.peer = STR("192.0.2.1"),
		.name = STR("ann@example.test"),
		.chain = chain };
	struct vault_certificate_rep a;
	struct reply hold = { 0 };
	const char *said = "in";

	err = ERR_INIT;
	if (vault_certificate(front, &q, NEVER, &a, &hold, &err) < 0)
		said = err_kind_name(err.kind);
	reply_free(&hold);
	return said;
}

static void shows_all(void)
{
	set_password("ann@example.test", "pencil");
	add("%s ", show(buf_str(&server_of_ours.chain)));
	add("%s ", show(buf_str(&server_of_others.chain)));
	add("%s ", show(buf_str(&ours.pem)));
	add("%s ", show(STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")));
	add("%s ", show(STR("")));
	add("grants %d", store.grants);
}

#define FIVE_TIMES_NO "denied denied denied denied denied grants 0"

/* What a hijacked front may show: nothing of it counts unless the setting is on. */
static void without_authorities_no_certificate_is_a_login(void **state)
{
	(void)state;
	with_vault(shows_all, OPEN_SETTINGS);
	assert_string_equal(trace, FIVE_TIMES_NO);
}

static void T027_the_vault_itself_wants_a_mail_address_and_its_own_authority(void **state)
{
	char path[] = "/tmp/vault_test.XXXXXX";

	(void)state;
	client_ca_fd = mkstemp(path);
	unlink(path);
	assert_int_equal(pwrite(client_ca_fd, ours.pem.p, ours.pem.n, 0), (ssize_t)ours.pem.n);
	with_vault(shows_all, OPEN_SETTINGS);
	assert_string_equal(trace, FIVE_TIMES_NO);
	close(client_ca_fd);
	client_ca_fd = -1;
}

static void asks_for_authorities(void)
{
	struct vault_client_ca_req q = { 0 };
	struct vault_client_ca_rep a;
	struct reply hold = { 0 };

	if (vault_client_ca(front, &q, NEVER, &a, &hold, &err) < 0)
		add("%s", err.msg);
	else
		add("%d", str_eq(a.pem, buf_str(&ours.pem)) ? 1 : (int)a.pem.n);
	reply_free(&hold);
}

static void fronts_hear_whose_certificates_to_ask_for(void **state)
{
	char path[] = "/tmp/vault_test.XXXXXX";

	(void)state;
	with_vault(asks_for_authorities, OPEN_SETTINGS);
	assert_string_equal(trace, "0");
	client_ca_fd = mkstemp(path);
	unlink(path);
	assert_int_equal(pwrite(client_ca_fd, ours.pem.p, ours.pem.n, 0), (ssize_t)ours.pem.n);
	with_vault(asks_for_authorities, OPEN_SETTINGS);
	assert_string_equal(trace, "1");
	close(client_ca_fd);
	client_ca_fd = -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_authorities_no_certificate_is_a_login),
		cmocka_unit_test(T027_the_vault_itself_wants_a_mail_address_and_its_own_authority),
		cmocka_unit_test(fronts_hear_whose_certificates_to_ask_for),
	};
	int failed;

	test_authority_make(&ours);
	test_authority_make(&others);
	test_identity_make(&server_of_ours, KEY_P256, &ours, "mail.example.test");
	test_identity_make(&server_of_others, KEY_P256, &others, "mail.example.test");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	test_authority_free(&ours);
	test_authority_free(&others);
	test_identity_free(&server_of_ours);
	test_identity_free(&server_of_others);
	return failed;
}
