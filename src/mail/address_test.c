#include "mail/address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define LONG64 "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhhh"
#define LABEL63 "aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffgggggggghhhhhhh"

enum { ALL = ADDRESS_NULL | ADDRESS_POSTMASTER | ADDRESS_UTF8 };

static void envelope_paths_become_canonical(void **state)
{
	static const struct {
		struct str in, local, domain, rest, printed;
	} rows[] = {
		{ STR_INIT("<ann@example.org>"), STR_INIT("ann"), STR_INIT("example.org"),
			STR_INIT(""), STR_INIT("<ann@example.org>") },
		{ STR_INIT("<Ann@EXAMPLE.org> SIZE=1"), STR_INIT("Ann"), STR_INIT("example.org"),
			STR_INIT(" SIZE=1"), STR_INIT("<Ann@example.org>") },
		{ STR_INIT("<>"), STR_INIT(""), STR_INIT(""), STR_INIT(""), STR_INIT("<>") },
		{ STR_INIT("<PostMaster>"), STR_INIT("postmaster"), STR_INIT(""), STR_INIT(""),
			STR_INIT("<postmaster>") },
		{ STR_INIT("<postmaster@x.y>"), STR_INIT("postmaster"), STR_INIT("x.y"),
			STR_INIT(""), STR_INIT("<postmaster@x.y>") },
		{ STR_INIT("<\"ann\"@x.y>"), STR_INIT("ann"), STR_INIT("x.y"), STR_INIT(""),
			STR_INIT("<ann@x.y>") },
		{ STR_INIT("<\"a>b\"@c.d>z"), STR_INIT("a>b"), STR_INIT("c.d"), STR_INIT("z"),
			STR_INIT("<\"a>b\"@c.d>") },
		{ STR_INIT("<\"a\\\"\\\\ b\"@c.d>"), STR_INIT("a\"\\ b"), STR_INIT("c.d"),
			STR_INIT(""), STR_INIT("<\"a\\\"\\\\ b\"@c.d>") },
		{ STR_INIT("<\"a@b\"@c>"), STR_INIT("a@b"), STR_INIT("c"), STR_INIT(""),
			STR_INIT("<\"a@b\"@c>") },
		{ STR_INIT("<@r.x,@s.y:ann@z.w>"), STR_INIT("ann"), STR_INIT("z.w"), STR_INIT(""),
			STR_INIT("<ann@z.w>") },
		{ STR_INIT("<a%b@c.d>"), STR_INIT("a%b"), STR_INIT("c.d"), STR_INIT(""),
			STR_INIT("<a%b@c.d>") },
		{ STR_INIT("<a!b@c.d>"), STR_INIT("a!b"), STR_INIT("c.d"), STR_INIT(""),
			STR_INIT("<a!b@c.d>") },
		{ STR_INIT("<a@[192.0.2.1]>"), STR_INIT("a"), STR_INIT("[192.0.2.1]"), STR_INIT(""),
			STR_INIT("<a@[192.0.2.1]>") },
		{ STR_INIT("<a@[ipv6:2001:DB8:0:0::1]>"), STR_INIT("a"),
			STR_INIT("[IPv6:2001:db8::1]"), STR_INIT(""),
			STR_INIT("<a@[IPv6:2001:db8::1]>") },
		{ STR_INIT("<j\xc3\xbcrgen@gr\xc3\xbc\xc3\x9f"
			   "e.example>"),
			STR_INIT("j\xc3\xbcrgen"), STR_INIT("xn--gre-6ka8l.example"), STR_INIT(""),
			STR_INIT("<j\xc3\xbcrgen@xn--gre-6ka8l.example>") },
		{ STR_INIT("<" LONG64 "@x.y>"), STR_INIT(LONG64), STR_INIT("x.y"), STR_INIT(""),
			STR_INIT("<" LONG64 "@x.y>") },
		{ STR_INIT("<a@" LABEL63 ".x>"), STR_INIT("a"), STR_INIT(LABEL63 ".x"),
			STR_INIT(""), STR_INIT("<a@" LABEL63 ".x>") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct err err = ERR_INIT;
		struct address_store store;
		struct address a;
		struct str rest;
		struct buf b = BUF(300);

		assert_int_equal(address_path(rows[i].in, ALL, &store, &a, &rest, &err), 0);
		assert_true(str_eq(a.local, rows[i].local));
		assert_true(str_eq(a.domain, rows[i].domain));
		assert_true(str_eq(rest, rows[i].rest));
		address_print_path(&b, &a);
		assert_true(str_eq(buf_str(&b), rows[i].printed));
		buf_free(&b);
	}
}

static void what_is_not_certainly_an_address_is_refused(void **state)
{
	static const struct str bad[] = { STR_INIT(""), STR_INIT("ann@x.y"), STR_INIT("<ann@x.y"),
		STR_INIT("<ann>"), STR_INIT("<@x.y>"), STR_INIT("<ann@>"), STR_INIT("< ann@x.y>"),
		STR_INIT("<ann @x.y>"), STR_INIT("<ann@x.y >"), STR_INIT("<a@b@c>"),
		STR_INIT("<.a@x.y>"), STR_INIT("<a.@x.y>"), STR_INIT("<a..b@x.y>"),
		STR_INIT("<a@x..y>"), STR_INIT("<a@.x>"), STR_INIT("<a@x.>"), STR_INIT("<a@-x.y>"),
		STR_INIT("<a@x-.y>"), STR_INIT("<a@x y>"), STR_INIT("<a@x,y>"),
		STR_INIT("<a\r@x.y>"), STR_INIT("<a\0@x.y>"), STR_INIT("<a@x\0.y>"),
		STR_INIT("<\"a\r\"@x.y>"), STR_INIT("<\"a\0\"@x.y>"), STR_INIT("<\"a@x.y>"),
		STR_INIT("<\"a\\\"@x.y>"), STR_INIT("<\"a\"b@x.y>"), STR_INIT("<a\"b\"@x.y>"),
		STR_INIT("<\"\"@x.y>"), STR_INIT("<a@[1.2.3]>"), STR_INIT("<a@[256.1.1.1]>"),
		STR_INIT("<a@[01.2.3.4]>"), STR_INIT("<a@[2001:db8::1]>"),
		STR_INIT("<a@[IPv6:1.2.3.4]>"), STR_INIT("<a@[x:y]>"), STR_INIT("<a@[1.2.3.4>"),
		STR_INIT("<a@[]>"), STR_INIT("<a@[>"), STR_INIT("<@x.y,b:a@z>"),
		STR_INIT("<@x:@y:a@z>"), STR_INIT("<@:a@z>"), STR_INIT("<@x>"),
		STR_INIT("<@x.y,:a@z>"), STR_INIT("<a(b)@x.y>"), STR_INIT("<a@x.y(b)>"),
		STR_INIT("<a;b@x.y>"), STR_INIT("<" LONG64 "a@x.y>"),
		STR_INIT("<a@" LABEL63 "a.x>"), STR_INIT("<a\xff@x.y>"), STR_INIT("<a@\xff.y>"),
		STR_INIT("<a@\xe2\x84\x80.y>"), STR_INIT("<a@x.y\xe2\x80\xae.z>"),
		STR_INIT("<a@" LABEL63 "." LABEL63 "." LABEL63 "." LABEL63 ">"),
		STR_INIT("<postmaster@>"), STR_INIT("<<a@b>>"), STR_INIT("<a@b>>") };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		struct err err = ERR_INIT;
		struct address_store store;
		struct address a;

		assert_int_equal(address_path(bad[i], ALL, &store, &a, NULL, &err), -1);
		assert_true(err.kind == ERR_PERM || err.kind == ERR_LIMIT);
		assert_true(err.msg[0] != '\0');
	}
}

static void the_flags_decide_what_is_special(void **state)
{
	struct err err = ERR_INIT;
	struct address_store store;
	struct address a;

	(void)state;
	assert_int_equal(address_path(STR("<>"), 0, &store, &a, NULL, &err), -1);
	assert_int_equal(address_path(STR("<postmaster>"), 0, &store, &a, NULL, &err), -1);
	assert_int_equal(address_path(STR("<j\xc3\xbc@x.y>"), 0, &store, &a, NULL, &err), -1);
	assert_int_equal(address_path(STR("<j@\xc3\xbc.y>"), 0, &store, &a, NULL, &err), 0);
	assert_true(address_is_ascii(&a));
	assert_int_equal(address_mailbox(STR("a@b.c"), 0, &store, &a, &err), 0);
	assert_int_equal(address_mailbox(STR("a@b.c>"), 0, &store, &a, &err), -1);
	assert_int_equal(address_mailbox(STR("a"), 0, &store, &a, &err), -1);
}

static void domains_have_one_form(void **state)
{
	struct buf b = BUF(300);

	(void)state;
	assert_true(domain_same(STR("Example.ORG"), STR("example.org")));
	assert_true(domain_same(STR("gr\xc3\xbc\xc3\x9f"
				    "e.de"),
		STR("XN--gre-6ka8l.de")));
	assert_true(domain_same(STR("GR\xc3\x9c.de"), STR("gr\xc3\xbc.de")));
	assert_true(domain_same(STR("gru\xcc\x88.de"), STR("gr\xc3\xbc.de"))); /* composed or not */
	assert_false(domain_same(STR("\xd0\xb0pple.com"), STR("apple.com")));  /* Cyrillic a */
	assert_false(domain_same(STR(""), STR("")));
	assert_false(domain_same(STR("a..b"), STR("a..b")));
	assert_false(domain_same(STR("a.b."), STR("a.b")));
	domain_print_unicode(&b, STR("xn--gre-6ka8l.de"));
	assert_true(str_eq(buf_str(&b),
		STR("gr\xc3\xbc\xc3\x9f"
		    "e.de")));
	buf_clear(&b);
	domain_print_unicode(&b, STR("xn--zzzzzzzzzz99999.de")); /* decodes to nothing sound */
	assert_true(str_eq(buf_str(&b), STR("xn--zzzzzzzzzz99999.de")));
	buf_free(&b);
}

/* T007: what prints, parses to itself. */
static void printing_then_parsing_is_identity(void **state)
{
	static const char letters[] = "ab.\"\\ @<>,;:()[]%!+-_\xc3\xbc\t~";

	(void)state;
	srand(7);
	for (int round = 0; round < 200000; round++) {
		char local[70], domain[20];
		size_t n = (size_t)rand() % sizeof local, m = 1 + (size_t)rand() % sizeof domain;
		struct err err = ERR_INIT;
		struct address_store store, store2;
		struct address a, back;
		struct buf b = BUF(300);

		for (size_t i = 0; i < n; i++)
			local[i] =
				rand() % 3 ? 'x' : letters[(size_t)rand() % (sizeof letters - 1)];
		for (size_t i = 0; i < m; i++)
			domain[i] = "abcD-.x9"[rand() % 8];
		if (address_make(str_make(local, n), str_make(domain, m), ALL, &store, &a, &err) ==
			0) {
			address_print(&b, &a);
			assert_int_equal(
				address_mailbox(buf_str(&b), ALL, &store2, &back, &err), 0);
			assert_true(address_eq(&a, &back));
			assert_true(str_eq(back.local, str_make(local, n)));
		}
		buf_free(&b);
	}
}

/* One line per item: kind, name, local, domain. */
static void describe(struct buf *b, struct str value)
{
	static const char kinds[] = { 'm', 'g', 'e', 'b' };
	struct address_list l;
	struct address_item i;

	address_list_init(&l, value);
	while (address_list_next(&l, &i))
		buf_addf(b, "%c|" STR_F "|" STR_F "|" STR_F "\n", kinds[i.kind], STR_A(i.name),
			STR_A(i.local), STR_A(i.domain));
	if (l.over)
		buf_addz(b, "over\n");
	address_list_free(&l);
}

static void lists_are_read_as_people_write_them(void **state)
{
	static const struct {
		struct str in, out;
	} rows[] = {
		{ STR_INIT("ann@x.y"), STR_INIT("m||ann|x.y\n") },
		{ STR_INIT(" Ann B. Cee <ann@x.y>, \"Doe, Joe\" <joe@x.y>"),
			STR_INIT("m|Ann B. Cee|ann|x.y\nm|Doe, Joe|joe|x.y\n") },
		{ STR_INIT("ann@x.y (Ann (the \\) one) Cee)"),
			STR_INIT("m|Ann (the ) one) Cee|ann|x.y\n") },
		{ STR_INIT("A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;"),
			STR_INIT("g|A Group||\nm|Ed Jones|c|a.test\nm||joe|where.test\n"
				 "m|John|jdoe|one.test\ne|||\n") },
		{ STR_INIT("Undisclosed recipients:;"),
			STR_INIT("g|Undisclosed recipients||\ne|||\n") },
		{ STR_INIT("g: a@b"), STR_INIT("g|g||\nm||a|b\ne|||\n") },
		{ STR_INIT("=?utf-8?q?J=C3=BC?=\r\n =?utf-8?q?rgen?= <j@x.y>"),
			STR_INIT("m|=?utf-8?q?J=C3=BC?= =?utf-8?q?rgen?=|j|x.y\n") },
		{ STR_INIT("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>"),
			STR_INIT("m|Pete|pete|silly.test\n") },
		{ STR_INIT("john . q . public @ a . b"), STR_INIT("m||john.q.public|a.b\n") },
		{ STR_INIT("<@hop.a,@hop.b:c@d>"), STR_INIT("m||c|d\n") },
		{ STR_INIT("\"a b\"@c, d@[ 1.2.3.4 ]"), STR_INIT("m||a b|c\nm||d|[1.2.3.4]\n") },
		{ STR_INIT("x@y <x@y>"), STR_INIT("m|x@y|x|y\n") },
		{ STR_INIT(",, a@b ,, ;c@d"), STR_INIT("m||a|b\nm||c|d\n") },
		{ STR_INIT("root"), STR_INIT("b||root|\n") },
		{ STR_INIT("Ann <ann>"), STR_INIT("b||ann|\n") },
		{ STR_INIT("<>"), STR_INIT("b|||\n") },
		{ STR_INIT("a@b@c, d@e"), STR_INIT("b||a|b\nm||d|e\n") },
		{ STR_INIT("a@b <c@d> <e@f>"), STR_INIT("b|a@b|c|d\n") },
		{ STR_INIT("\"no end <a@b>"), STR_INIT("b||no end <a@b>|\n") },
		{ STR_INIT("a@b (no end, c@d"), STR_INIT("m|no end, c@d|a|b\n") },
		{ STR_INIT(""), STR_INIT("") },
		{ STR_INIT(")))"), STR_INIT("b|||\n") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = BUF(1000);

		describe(&b, rows[i].in);
		assert_string_equal(str_eq(buf_str(&b), rows[i].out) ? ""
				: b.n                                ? b.p
								     : "empty",
			"");
		buf_free(&b);
	}
}

static void an_endless_list_is_cut(void **state)
{
	struct buf in = BUF(1 << 20), out = BUF(1 << 20);

	(void)state;
	for (int i = 0; i < 5000; i++)
		buf_add(&in, STR("a@b,"));
	describe(&out, buf_str(&in));
	assert_int_equal(out.n, ADDRESS_LIST_MAX * 7 + 5);
	buf_free(&in);
	buf_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(envelope_paths_become_canonical),
		cmocka_unit_test(what_is_not_certainly_an_address_is_refused),
		cmocka_unit_test(the_flags_decide_what_is_special),
		cmocka_unit_test(domains_have_one_form),
		cmocka_unit_test(printing_then_parsing_is_identity),
		cmocka_unit_test(lists_are_read_as_people_write_them),
		cmocka_unit_test(an_endless_list_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
