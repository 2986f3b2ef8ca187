#include "dns/rdata.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NAME_TEST "\4mail\7example\4test"

static void names_that_may_be_asked(void **state)
{
	static const struct {
		struct str name;
		bool ok;
	} rows[] = {
		{ STR_INIT("example.test"), true },
		{ STR_INIT("example.test."), true },
		{ STR_INIT("_25._tcp.mail.example.test"), true },
		{ STR_INIT("xn--bcher-kva.example"), true },
		{ STR_INIT("."), true },
		{ STR_INIT(""), false },
		{ STR_INIT(".."), false },
		{ STR_INIT(".example"), false },
		{ STR_INIT("a..b"), false },
		{ STR_INIT("a b.test"), false },
		{ STR_INIT("b\xc3\xbc"
			   "cher.test"),
			false },
		{ STR_INIT("a\0.test"), false },
		{ STR_INIT("[192.0.2.1]"), false },
		{ STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"),
			true },
		{ STR_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"),
			false },
	};
	char longest[DNS_NAME_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		assert_int_equal(dns_name_ok(rows[i].name), rows[i].ok);
	memset(longest, 'a', sizeof longest);
	for (size_t i = 1; i < sizeof longest; i += 2)
		longest[i] = '.';
	assert_true(dns_name_ok(str_make(longest, DNS_NAME_MAX)));
	assert_true(dns_name_ok(str_make(longest, DNS_NAME_MAX + 1))); /* the final dot */
	longest[DNS_NAME_MAX] = 'a';
	assert_false(dns_name_ok(str_make(longest, DNS_NAME_MAX + 1)));
}

static void an_mx_record_gives_preference_and_host(void **state)
{
	struct buf name = BUF(DNS_NAME_MAX + 1);
	struct err err = ERR_INIT;
	uint16_t preference;

	(void)state;
	assert_int_equal(
		dns_read_mx(STR("\x01\x02\4MAIL\7example\4test\0"), &preference, &name, &err), 0);
	assert_int_equal(preference, 258);
	assert_true(str_eq(buf_str(&name), STR("mail.example.test")));
	buf_clear(&name);
	assert_int_equal(dns_read_mx(STR("\0\0\0"), &preference, &name, &err), 0);
	assert_true(str_eq(buf_str(&name), STR("."))); /* RFC 7505 3 */
	buf_free(&name);
}

/* T144: every truncated length, and names that are none. */
static void malformed_names_are_refused(void **state)
{
	static const struct str whole = STR_INIT(NAME_TEST "\0");
	static const struct str rows[] = {
		STR_INIT(NAME_TEST "\0x"), /* more behind the end */
		STR_INIT("\x40"            /* a label of 64 */
			 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			 "\0"),
		STR_INIT("\xc0\x0c"),      /* compression */
		STR_INIT("\3a.b\4test\0"), /* a dot inside a label */
		STR_INIT("\3a b\4test\0"),
		STR_INIT("\3a\nb\4test\0"),
		STR_INIT("\3a\0b\4test\0"),
	};
	struct buf name = BUF(DNS_NAME_MAX + 1);
	struct err err;

	(void)state;
	for (size_t i = 0; i < whole.n; i++) {
		buf_clear(&name);
		assert_int_equal(dns_read_name(str_head(whole, i), &name, &err), -1);
	}
	buf_clear(&name);
	assert_int_equal(dns_read_name(whole, &name, &err), 0);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		buf_clear(&name);
		err = ERR_INIT;
		assert_int_equal(dns_read_name(rows[i], &name, &err), -1);
		assert_int_equal(err.kind, ERR_PROTO);
	}
	buf_free(&name);
}

static void a_name_over_the_limit_is_refused(void **state)
{
	char wire[300];
	struct buf name = BUF(1000);
	struct err err;

	(void)state;
	memset(wire, 1, sizeof wire);
	for (size_t i = 1; i < sizeof wire; i += 2)
		wire[i] = 'a';
	wire[256] = 0;
	assert_int_equal(dns_read_name(str_make(wire, 257), &name, &err), -1);
	buf_clear(&name);
	wire[254] = 0;
	assert_int_equal(dns_read_name(str_make(wire, 255), &name, &err), 0);
	assert_int_equal(name.n, DNS_NAME_MAX);
	buf_free(&name);
}

static void addresses_have_exactly_their_size(void **state)
{
	static const struct str six = STR_INIT("\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1");
	char text[DNS_ADDRESS_SIZE];
	struct err err;

	(void)state;
	assert_int_equal(dns_read_address(DNS_TYPE_A, STR("\xc0\0\2\1"), text, &err), 0);
	assert_string_equal(text, "192.0.2.1");
	assert_int_equal(dns_read_address(DNS_TYPE_AAAA, six, text, &err), 0);
	assert_string_equal(text, "2001:db8::1");
	for (size_t i = 0; i < six.n; i++) {
		assert_int_equal(dns_read_address(DNS_TYPE_AAAA, str_head(six, i), text, &err), -1);
		if (i != 4)
			assert_int_equal(
				dns_read_address(DNS_TYPE_A, str_head(six, i), text, &err), -1);
	}
	assert_int_equal(dns_read_address(DNS_TYPE_MX, STR("\xc0\0\2\1"), text, &err), -1);
}

static void txt_strings_are_joined_without_a_space(void **state)
{
	struct buf text = BUF(DNS_TXT_MAX);
	struct err err;

	(void)state;
	assert_int_equal(dns_read_txt(STR("\6v=spf1\5 -all\0"), &text, &err), 0);
	assert_true(str_eq(buf_str(&text), STR("v=spf1 -all")));
	assert_int_equal(dns_read_txt(STR(""), &text, &err), -1);
	assert_int_equal(dns_read_txt(STR("\6v=spf"), &text, &err), -1);
	assert_int_equal(dns_read_txt(STR("\1a\xff"), &text, &err), -1);
	buf_free(&text);
}

/* T022 */
static void tlsa_records_of_any_length_are_read_or_refused(void **state)
{
	char bytes[64];
	struct dns_tlsa tlsa;
	struct err err;

	(void)state;
	for (int v = 0; v < 256; v++) {
		memset(bytes, v, sizeof bytes);
		for (size_t n = 0; n <= sizeof bytes; n++) {
			int r = dns_read_tlsa(str_make(bytes, n), &tlsa, &err);

			assert_int_equal(r, n < 4 ? -1 : 0);
			if (r == 0)
				assert_int_equal(tlsa.data.n, n - 3);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_that_may_be_asked),
		cmocka_unit_test(an_mx_record_gives_preference_and_host),
		cmocka_unit_test(malformed_names_are_refused),
		cmocka_unit_test(a_name_over_the_limit_is_refused),
		cmocka_unit_test(addresses_have_exactly_their_size),
		cmocka_unit_test(txt_strings_are_joined_without_a_space),
		cmocka_unit_test(tlsa_records_of_any_length_are_read_or_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
