#include "route/mx.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static const struct str self = STR_INIT("mail.example.test");

/* A list in a string: "10 a.test, 20 b.test". The random number is taken after a slash: "10/7 a".
 */
static size_t read_list(const char *text, struct mx_host *hosts)
{
	struct str rest = str_c(text), one, number, name, random;
	size_t n = 0;
	uint64_t v;

	while (rest.n > 0) {
		one = str_trim(str_word(&rest, ','));
		assert_true(str_cut(one, ' ', &number, &name));
		hosts[n] = (struct mx_host){ .name = name };
		if (str_cut(number, '/', &number, &random) && str_u64(random, 1000, &v))
			hosts[n].random = (uint32_t)v;
		assert_true(str_u64(number, 65535, &v));
		hosts[n++].preference = (uint16_t)v;
	}
	return n;
}

static void write_list(const struct mx_list *list, char *out, size_t size)
{
	size_t at = 0;

	out[0] = 0;
	for (size_t i = 0; i < list->count; i++)
		at += (size_t)snprintf(
			out + at, size - at, "%s" STR_F, i ? " " : "", STR_A(list->hosts[i].name));
}

static void the_mx_question_is_decided_like_this(void **state)
{
	static const struct {
		enum mx_lookup found;
		const char *list;
		enum mx_verdict verdict;
		const char *result; /* hosts in order, or the status */
	} rows[] = {
		/* order */
		{ MX_FOUND, "10 a.test", MX_USE, "a.test" },
		{ MX_FOUND, "20 b.test, 10 a.test, 30 c.test", MX_USE, "a.test b.test c.test" },
		{ MX_FOUND, "10/9 a.test, 10/3 b.test, 5 c.test", MX_USE, "c.test b.test a.test" },
		{ MX_FOUND, "0 a.test", MX_USE, "a.test" },
		{ MX_FOUND, "65535 z.test, 65534 y.test", MX_USE, "y.test z.test" },
		/* null MX (RFC 7505 3) */
		{ MX_FOUND, "0 .", MX_FAIL, "5.1.10" },
		{ MX_FOUND, "10 .", MX_FAIL, "5.1.10" },
		{ MX_FOUND, "0 ., 10 a.test", MX_USE, "a.test" },
		{ MX_FOUND, "0 ., 0 .", MX_DEFER, "4.4.3" },
		/* ourselves (RFC 5321 5.1) */
		{ MX_FOUND, "10 a.test, 20 mail.example.test, 30 c.test", MX_USE, "a.test" },
		{ MX_FOUND, "10 a.test, 20 MAIL.example.test, 20 b.test", MX_USE, "a.test" },
		{ MX_FOUND, "10 mail.example.test, 20 b.test", MX_FAIL, "5.4.6" },
		{ MX_FOUND, "10/1 a.test, 10/2 mail.example.test", MX_FAIL, "5.4.6" },
		{ MX_FOUND, "10 mail.example.test.evil.test", MX_USE,
			"mail.example.test.evil.test" },
		/* nothing found */
		{ MX_FOUND, "", MX_IMPLICIT, "" },
		{ MX_NODATA, "", MX_IMPLICIT, "" },
		{ MX_NXDOMAIN, "", MX_FAIL, "5.1.2" },
		{ MX_TEMP, "", MX_DEFER, "4.4.3" },
		{ MX_BOGUS, "", MX_DEFER, "4.4.3" },
		/* what came with an error counts for nothing */
		{ MX_BOGUS, "10 a.test", MX_DEFER, "4.4.3" },
		{ MX_TEMP, "0 .", MX_DEFER, "4.4.3" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct mx_host hosts[8];
		struct mx_list list = { hosts, read_list(rows[i].list, hosts), "" };
		struct err err = ERR_INIT;
		char got[200];

		if (mx_decide(rows[i].found, &list, STR("x.test"), self, &err) != rows[i].verdict)
			fail_msg("verdict of row %zu: %s", i, rows[i].list);
		if (rows[i].verdict == MX_USE) {
			write_list(&list, got, sizeof got);
			assert_string_equal(got, rows[i].result);
		} else if (rows[i].verdict != MX_IMPLICIT) {
			assert_string_equal(list.status, rows[i].result);
			assert_int_equal(
				err.kind, rows[i].verdict == MX_FAIL ? ERR_PERM : ERR_TEMP);
		}
	}
}

/* T148 */
static void of_a_huge_set_only_the_best_are_tried(void **state)
{
	static struct mx_host hosts[5000];
	struct mx_list list = { hosts, 5000, "" };
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < 5000; i++)
		hosts[i] = (struct mx_host){ .preference = (uint16_t)(5000 - i),
			.name = STR("m.test") };
	assert_int_equal(mx_decide(MX_FOUND, &list, STR("x.test"), self, &err), MX_USE);
	assert_int_equal(list.count, MX_HOSTS_MAX);
	assert_int_equal(hosts[0].preference, 1);
}

/* T142, T143: what all the address lookups of a domain's hosts together mean, when no address came
 * of it. Only names that certainly do not exist are final. */
static void missing_addresses_are_decided_like_this(void **state)
{
	static const struct {
		enum mx_lookup a, aaaa, a2, aaaa2; /* of two hosts; MX_FOUND: not asked */
		enum mx_verdict verdict;
	} rows[] = {
		{ MX_NXDOMAIN, MX_NXDOMAIN, MX_FOUND, MX_FOUND, MX_FAIL },
		{ MX_NXDOMAIN, MX_NXDOMAIN, MX_NXDOMAIN, MX_NXDOMAIN, MX_FAIL },
		{ MX_NODATA, MX_NODATA, MX_FOUND, MX_FOUND, MX_FAIL },
		{ MX_NXDOMAIN, MX_NXDOMAIN, MX_NODATA, MX_NODATA, MX_FAIL },
		{ MX_TEMP, MX_NODATA, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_NODATA, MX_TEMP, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_TEMP, MX_TEMP, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_NXDOMAIN, MX_TEMP, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_NXDOMAIN, MX_NXDOMAIN, MX_TEMP, MX_NXDOMAIN, MX_DEFER },
		{ MX_BOGUS, MX_NODATA, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_BOGUS, MX_BOGUS, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_NXDOMAIN, MX_NXDOMAIN, MX_BOGUS, MX_BOGUS, MX_DEFER },
		{ MX_TEMP, MX_BOGUS, MX_FOUND, MX_FOUND, MX_DEFER },
		{ MX_NODATA, MX_NXDOMAIN, MX_FOUND, MX_FOUND, MX_FAIL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct mx_tally t = { 0 };
		struct err err = ERR_INIT;
		const char *status = NULL;

		mx_count(&t, rows[i].a, rows[i].aaaa);
		mx_count(&t, rows[i].a2, rows[i].aaaa2);
		if (mx_no_address(&t, STR("x.test"), &status, &err) != rows[i].verdict)
			fail_msg("row %zu", i);
		assert_string_equal(status, rows[i].verdict == MX_FAIL ? "5.4.4" : "4.4.3");
	}
}

/* T147 */
static void servers_at_forbidden_addresses_are_final_unless_dns_was_in_doubt(void **state)
{
	struct mx_tally t = { .refused = 1, .nodata = 1 };
	struct err err = ERR_INIT;
	const char *status;

	(void)state;
	assert_int_equal(mx_no_address(&t, STR("x.test"), &status, &err), MX_FAIL);
	assert_string_equal(status, "5.4.4");
	t.temp = 1;
	assert_int_equal(mx_no_address(&t, STR("x.test"), &status, &err), MX_DEFER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mx_question_is_decided_like_this),
		cmocka_unit_test(of_a_huge_set_only_the_best_are_tried),
		cmocka_unit_test(missing_addresses_are_decided_like_this),
		cmocka_unit_test(servers_at_forbidden_addresses_are_final_unless_dns_was_in_doubt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
