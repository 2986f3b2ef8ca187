#include "mail/aliases.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

static int note(void *arg, struct str name, struct str targets, struct err *err)
{
	struct buf *b = arg;

	(void)err;
	buf_add(b, name);
	buf_addc(b, '>');
	while (targets.n) {
		buf_add(b, str_word(&targets, '\n'));
		buf_addc(b, ';');
	}
	return 0;
}

static char said[1000];

static const char *read_text(const char *text, enum aliases_form form)
{
	struct buf b = BUF(900);
	struct err err = ERR_INIT;

	if (aliases_read(str_c(text), form, note, &b, &err) < 0)
		snprintf(said, sizeof said, "%s", err.msg);
	else
		str_z(buf_str(&b), said, sizeof said);
	buf_free(&b);
	return said;
}

static void the_classic_form_is_read(void **state)
{
	(void)state;
	assert_string_equal(read_text("# comment\n\nRoot:\tann@Example.org\npostmaster: root\n"
				      "staff: ann,\n  Bob@b\xc3\xbc"
				      "cher.example ,\n# x\n\tcarl\n",
				    ALIASES_CLASSIC),
		"root>ann@example.org;postmaster>root;staff>ann;Bob@xn--bcher-kva.example;carl;");
	assert_string_equal(read_text("\"a b\": \"x, y\"@example.org, z\r\n", ALIASES_CLASSIC),
		"\"a b\">\"x, y\"@example.org;z;");
	assert_string_equal(read_text("", ALIASES_CLASSIC), "");
}

static void a_virtual_table_is_read(void **state)
{
	(void)state;
	assert_string_equal(
		read_text("Info@Example.ORG   ann@example.org, bob\n@second.example ann\n",
			ALIASES_VIRTUAL),
		"info@example.org>ann@example.org;bob;@second.example>ann;");
}

static void t053_programs_files_and_includes_are_refused_with_their_line(void **state)
{
	(void)state;
	assert_string_equal(read_text("a: b\nx: |/bin/sh\n", ALIASES_CLASSIC),
		"line 2: mail is not given to programs: name an address");
	assert_string_equal(read_text("x: \"|/bin/sh -c id\"\n", ALIASES_CLASSIC),
		"line 1: mail is not given to programs: name an address");
	assert_string_equal(read_text("\n\nx: /var/mail/x\n", ALIASES_CLASSIC),
		"line 3: mail is not written to files: name an address");
	assert_string_equal(read_text("x: y,\n :include:/etc/passwd\n", ALIASES_CLASSIC),
		"line 1: :include: is not possible: name the addresses here");
	assert_string_equal(read_text(":include:/etc/passwd\n", ALIASES_CLASSIC),
		"line 1: :include: is not possible: name the addresses here");
}

static void what_is_wrong_is_named_with_its_line(void **state)
{
	(void)state;
	assert_string_equal(read_text("a: b\nhello\n", ALIASES_CLASSIC),
		"line 2: expected \"name: target, target\"");
	assert_string_equal(read_text("x:\n", ALIASES_CLASSIC), "line 1: where does it lead?");
	assert_string_equal(read_text("x: ,,\n", ALIASES_CLASSIC), "line 1: where does it lead?");
	assert_true(
		str_starts(str_c(read_text("a: b\nx: y@\n", ALIASES_CLASSIC)), STR("line 2: ")));
	assert_true(str_starts(str_c(read_text("x@y@z a\n", ALIASES_VIRTUAL)), STR("line 1: ")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_classic_form_is_read),
		cmocka_unit_test(a_virtual_table_is_read),
		cmocka_unit_test(t053_programs_files_and_includes_are_refused_with_their_line),
		cmocka_unit_test(what_is_wrong_is_named_with_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
