#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define assert_str(s, z) assert_string_equal_((s), (z), __FILE__, __LINE__)
#define SECONDS(n) ((int64_t)(n)*1000000000)

static void assert_string_equal_(struct str s, const char *z, const char *file, int line)
{
	if (!str_eq(s, str_c(z)))
		print_error("%s:%d: '" STR_F "' is not '%s'\n", file, line, STR_A(s), z);
	_assert_true(str_eq(s, str_c(z)), "equal", file, line);
}

static struct conf *loaded(enum conf_kind kind, const char *text)
{
	struct conf_source from = { .kind = kind, .folder = "/srv", .text = str_c(text) };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	if (conf_load(&from, &c, NULL, &err) < 0)
		print_error("%s\n", err.msg);
	assert_non_null(c);
	return c;
}

/* Load what must fail; the whole report is compared with `expected`. */
static void refused(const char *text, const char *expected)
{
	struct conf_source from = { .kind = CONF_DEMO, .folder = "/srv", .text = str_c(text) };
	struct buf report = BUF(1 << 16);
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	assert_int_equal(conf_load(&from, &c, &report, &err), -1);
	assert_null(c);
	buf_addc(&report, '\0');
	assert_string_equal(report.p, expected);
	assert_true(strncmp(err.msg, report.p, strlen(err.msg)) == 0);
	buf_free(&report);
}

static struct conf *with(const char *const *set, struct err *err)
{
	struct str sets[8];
	struct conf_source from = { .kind = CONF_DEMO, .folder = "/srv", .set = sets };
	struct conf *c = NULL;

	for (; set[from.sets]; from.sets++)
		sets[from.sets] = str_c(set[from.sets]);
	conf_load(&from, &c, NULL, err);
	return c;
}

static void an_empty_file_gives_the_defaults(void **state)
{
	struct conf *c = loaded(CONF_SERVER, "hostname mail.example.org;");

	(void)state;
	assert_str(conf_str(c, CONF_HOSTNAME), "mail.example.org");
	assert_str(conf_str(c, CONF_DATA), "/var/lib/eilpost");
	assert_true(conf_u64(c, CONF_MESSAGE_MAX_SIZE) == 50 << 20);
	assert_true(conf_duration(c, CONF_SMTP_IDLE) == SECONDS(300));
	assert_true(conf_duration(c, CONF_QUEUE_EXPIRE) == SECONDS(5 * 86400));
	assert_int_equal(conf_u64(c, CONF_SANDBOX), CONF_SANDBOX_ON);
	assert_false(conf_bool(c, CONF_OUTBOUND_LOCAL_ONLY));
	assert_int_equal(conf_count(c, CONF_LISTEN_SMTP), 1);
	assert_str(conf_item(c, CONF_LISTEN_SMTP, 0), "*:25");
	assert_str(conf_item(c, CONF_LISTEN_SMTP, 1), "");
	assert_null(conf_route(c, CONF_SMARTHOST, 0));
	assert_string_equal(conf_z(c, CONF_TLS_KEY), "");
	assert_false(conf_is_set(c, CONF_SMTP_IDLE));
	assert_true(conf_is_set(c, CONF_HOSTNAME));
	conf_free(&c);
	conf_free(&c);
}

static void the_demo_has_its_own_defaults_and_ports(void **state)
{
	struct err err = ERR_INIT;
	struct conf *c = with((const char *[]){ "port-base=3000", NULL }, &err);

	(void)state;
	assert_non_null(c);
	assert_true(conf_duration(c, CONF_SMTP_IDLE) == SECONDS(20));
	assert_true(conf_duration(c, CONF_QUEUE_FIRST_RETRY) == SECONDS(5));
	assert_str(conf_str(c, CONF_DATA), "/srv/data");
	assert_str(conf_item(c, CONF_LISTEN_IMAPS, 0), "127.0.0.1:3993");
	assert_true(conf_bool(c, CONF_OUTBOUND_LOCAL_ONLY));
	conf_free(&c);
	assert_null(with((const char *[]){ "port-base=60000", "listen.smtp=*:+9999", NULL }, &err));
	assert_non_null(strstr(err.msg, "ports end at 65535"));
}

static void blocks_put_their_name_before_the_names_inside(void **state)
{
	struct conf *c = loaded(CONF_DEMO,
		"# all on one line or not\n"
		"tls { certificate cert.pem; key \"/etc/my key.pem\"; } listen {\n"
		"  smtp 192.0.2.1:25 [2001:db8::1]:25;\n"
		"  smtp unix:/run/x;   # a list grows\n"
		"  pop3 off;\n"
		"}\n"
		"route example.org { } route { Example.COM smtp://mx.example.com; }\n"
		"route.example.net smtps://[::1]:4465;\n"
		"route example.info smtp+starttls://192.0.2.7;\n");

	(void)state;
	assert_str(conf_str(c, CONF_TLS_CERTIFICATE), "/srv/cert.pem");
	assert_string_equal(conf_z(c, CONF_TLS_KEY), "/etc/my key.pem");
	assert_int_equal(conf_count(c, CONF_LISTEN_SMTP), 3);
	assert_str(conf_item(c, CONF_LISTEN_SMTP, 1), "[2001:db8::1]:25");
	assert_str(conf_item(c, CONF_LISTEN_SMTP, 2), "unix:/run/x");
	assert_int_equal(conf_count(c, CONF_LISTEN_POP3), 0);
	assert_int_equal(conf_count(c, CONF_LISTEN_IMAP), 1);
	assert_int_equal(conf_count(c, CONF_ROUTE), 3);
	assert_str(conf_key(c, CONF_ROUTE, 0), "example.com");
	assert_int_equal(conf_route_find(c, STR("EXAMPLE.com"))->port, 25);
	assert_str(conf_route_find(c, STR("example.net"))->host, "::1");
	assert_int_equal(conf_route_find(c, STR("example.net"))->port, 4465);
	assert_int_equal(conf_route_find(c, STR("example.net"))->security, CONF_TLS);
	assert_int_equal(conf_route_find(c, STR("example.info"))->port, 587);
	assert_null(conf_route_find(c, STR("example.")));
	conf_free(&c);
}

static void a_smarthost_has_a_user_and_a_password_file(void **state)
{
	struct conf *c = loaded(CONF_DEMO,
		"smarthost smtps://me@gmail.test@smtp.gmail.test:4650;"
		"smarthost.password file:secret/p;");
	const struct conf_route *r = conf_route(c, CONF_SMARTHOST, 0);

	(void)state;
	assert_str(r->user, "me@gmail.test");
	assert_str(r->host, "smtp.gmail.test");
	assert_int_equal(r->port, 4650);
	assert_str(conf_str(c, CONF_SMARTHOST_PASSWORD), "/srv/secret/p");
	conf_free(&c);
	c = loaded(CONF_DEMO,
		"smarthost { } smarthost smtp+starttls://a%40b%25@host; smarthost.password "
		"file:/p;");
	assert_str(conf_route(c, CONF_SMARTHOST, 0)->user, "a@b%");
	assert_int_equal(conf_route(c, CONF_SMARTHOST, 0)->security, CONF_STARTTLS);
	conf_free(&c);
	refused("smarthost smtp://joe@host;",
		"configuration:1:1: smarthost names a user: its password belongs in "
		"smarthost.password "
		"file:PATH\n");
	/* Who writes the password itself must not find it in a log. */
	refused("smarthost.password hunter2;",
		"configuration:1:20: smarthost.password: expected file:PATH; the configuration "
		"itself holds no "
		"secrets\n");
}

static void overrides_win_and_lists_are_replaced(void **state)
{
	struct str set[] = { STR("smtp.idle=45s"), STR("smtp.idle=46s"),
		STR("listen.imap=127.0.0.1:1143, [::1]:1143"), STR("listen.imap=127.0.0.1:1144"),
		STR("route.b.test=smtp://127.0.0.1:9"), STR("route.a.test=smtp://127.0.0.1:2526"),
		STR("data=x y") };
	struct conf_source from = { .kind = CONF_DEMO, .folder = "/srv", .set = set, .sets = 7 };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	(void)state;
	from.text = STR("smtp.idle 1m; listen.imap *:143; route a.test smtp://192.0.2.1;");
	assert_int_equal(conf_load(&from, &c, NULL, &err), 0);
	assert_true(conf_duration(c, CONF_SMTP_IDLE) == SECONDS(46));
	assert_int_equal(conf_count(c, CONF_LISTEN_IMAP), 3);
	assert_str(conf_item(c, CONF_LISTEN_IMAP, 1), "[::1]:1143");
	assert_int_equal(conf_count(c, CONF_ROUTE), 2);
	assert_str(conf_route_find(c, STR("a.test"))->host, "127.0.0.1");
	assert_true(str_endsi(conf_str(c, CONF_DATA), STR("/x y")));
	conf_free(&c);
}

static void a_mistake_is_told_with_its_place_and_a_remedy(void **state)
{
	(void)state;
	refused("\n  smtp.idel 20s;\n",
		"configuration:2:3: there is no setting 'smtp.idel'; did you mean "
		"'smtp.idle'?\n");
	refused("message { maxsize 20MB; }",
		"configuration:1:11: there is no setting 'message.maxsize'; did you "
		"mean 'message.max-size'?\n");
	refused("max-size 20MB;",
		"configuration:1:1: there is no setting 'max-size'; did you mean "
		"'message.max-size'?\n");
	refused("completely-different 1;",
		"configuration:1:1: there is no setting 'completely-different'\n");
	refused("hostname mail.example.org\ndata /x;\n",
		"configuration:1:10: a ';' is missing after 'mail.example.org'\n");
	refused("hostname mail.example.org",
		"configuration:1:10: a ';' is missing after 'mail.example.org'\n");
	refused("data a b;",
		"configuration:1:1: data takes one value, not 2 (one with spaces goes in "
		"quotes)\n");
	refused("smtp.idle 20;",
		"configuration:1:11: smtp.idle: expected a duration like 20s, 5m, 4h or 5d, from "
		"1s to 1h, not '20'\n");
	refused("smtp.idle 2h;",
		"configuration:1:11: smtp.idle: expected a duration like 20s, 5m, 4h or 5d, from "
		"1s to 1h, not '2h'\n");
	refused("message.max-size 1;",
		"configuration:1:18: message.max-size: expected a size like 10MB, from 64KB to "
		"1GB, not '1'\n");
	refused("sandbox maybe;",
		"configuration:1:9: sandbox: expected one of: on off best-effort, not 'maybe'\n");
	refused("data /a; data /b;",
		"configuration:1:10: data is set twice; the first is at configuration:1\n");
	refused("route a.test smtp://b; route A.test smtp://b;",
		"configuration:1:24: route.A.test is set twice; the first is at configuration:1\n");
	refused("tls { key x;", "configuration:1:1: this block is not closed with }\n");
	refused("tls { key \"x; }", "configuration:1:11: this quote does not end on its line\n");
	refused("data x; }", "configuration:1:9: this } closes no block\n");
	refused(";", "configuration:1:1: expected a name here\n");
	refused("data x\"y;", "configuration:1:7: a quote inside a word: quote all of it\n");
	refused("data x\1y;", "configuration:1:7: a control character\n");
	refused("include x;", "configuration:1:1: include works in files only\n");
}

static void every_mistake_is_told_not_only_the_first(void **state)
{
	(void)state;
	refused("data;\nfoo 1;\nlisten.smtp nowhere 1.2.3.4:99999;\nlog.level loud;\n",
		"configuration:1:1: data needs a value\n"
		"configuration:2:1: there is no setting 'foo'\n"
		"configuration:3:13: listen.smtp: expected ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or "
		"unix:PATH, or "
		"off, not 'nowhere'\n"
		"configuration:3:21: listen.smtp: expected ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or "
		"unix:PATH, or "
		"off, not '1.2.3.4:99999'\n"
		"configuration:4:11: log.level: expected one of: debug info warn error, not "
		"'loud'\n");
}

static void settings_must_fit_together(void **state)
{
	struct conf_source from = { .text = STR("data /x;") };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(conf_load(&from, &c, NULL, &err), -1);
	assert_non_null(strstr(err.msg, "hostname is not set"));
	refused("tls.certificate /x;",
		"configuration:1:1: tls.certificate and tls.key need each other\n");
	refused("listen.imap 127.0.0.1:2993;",
		"configuration:1:13: listen.imap: 127.0.0.1:2993 is taken by listen.imaps "
		"already\n");
	refused("queue { first-retry 1h; max-retry 1m; }",
		"configuration:1:25: queue.max-retry is shorter than queue.first-retry\n");
}

static void an_override_is_checked_like_a_file(void **state)
{
	struct err err = ERR_INIT;

	(void)state;
	assert_null(with((const char *[]){ "smtp.idel=20s", NULL }, &err));
	assert_string_equal(
		err.msg, "--set: there is no setting 'smtp.idel'; did you mean 'smtp.idle'?");
	assert_null(with((const char *[]){ "smtp.idle", NULL }, &err));
	assert_string_equal(err.msg, "--set: 'smtp.idle' is not NAME=VALUE");
	assert_null(with((const char *[]){ "route.x=http://y", NULL }, &err));
	assert_non_null(strstr(err.msg, "expected smtp://"));
	assert_null(with((const char *[]){ "dns.server=localhost", NULL }, &err));
}

static void what_the_roles_get_says_the_same(void **state)
{
	struct conf *c = loaded(CONF_DEMO,
		"data \"/a \\\"b\\\\\"; tls { certificate c; key k; } listen.pop3 off; route "
		"a.test smtp://b;"
		"smarthost smtp+starttls://joe@host; smarthost.password file:/secret/place; "
		"log.level debug;");
	struct buf text = BUF(1 << 20), again = BUF(1 << 20);
	struct conf_source from = { .kind = CONF_SERVER };
	struct conf *copy = NULL;
	struct err err = ERR_INIT;

	(void)state;
	conf_serialise(c, &text);
	assert_true(buf_ok(&text));
	assert_true(str_search(buf_str(&text), STR("/secret/place")) == text.n);
	from.text = buf_str(&text);
	assert_int_equal(conf_load(&from, &copy, NULL, &err), 0);
	conf_serialise(copy, &again);
	assert_true(str_eq(buf_str(&text), buf_str(&again)));
	assert_str(conf_str(copy, CONF_DATA), "/a \"b\\");
	assert_int_equal(conf_count(copy, CONF_LISTEN_POP3), 0);
	assert_str(conf_route(copy, CONF_SMARTHOST, 0)->user, "joe");
	assert_true(conf_duration(copy, CONF_SMTP_IDLE) == SECONDS(20));
	assert_int_equal(conf_u64(copy, CONF_LOG_LEVEL), 0);
	buf_free(&text);
	buf_free(&again);
	conf_free(&copy);
	conf_free(&c);
}

static char folder[64], path[96];

static void write_file(const char *name, const char *text)
{
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof folder, "/tmp/eilpost-conf-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "main.conf", "more.conf", "loop.conf", "key" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		unlink(path);
	}
	return rmdir(folder);
}

static void files_include_files(void **state)
{
	struct conf_source from = { .path = path };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	(void)state;
	write_file("more.conf", "tls { certificate cert; key key; }\n");
	write_file(
		"main.conf", "hostname a.test; include more.conf;\ndns.server 127.0.0.1:5353 ::1;");
	assert_int_equal(conf_load(&from, &c, NULL, &err), 0);
	assert_true(str_starts(conf_str(c, CONF_TLS_KEY), str_c(folder)));
	assert_true(str_endsi(conf_str(c, CONF_TLS_KEY), STR("/key")));
	assert_int_equal(conf_count(c, CONF_DNS_SERVER), 2);
	assert_int_equal(conf_check_files(c, NULL, &err), -1);
	assert_non_null(strstr(err.msg, "/more.conf:1:7: tls.certificate: cannot read "));
	conf_free(&c);
}

static void a_file_that_includes_itself_ends(void **state)
{
	struct conf_source from = { .path = path };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	(void)state;
	write_file("loop.conf", "include loop.conf;");
	assert_int_equal(conf_load(&from, &c, NULL, &err), -1);
	assert_non_null(strstr(err.msg, "does a file include itself"));
}

static void a_missing_file_is_named(void **state)
{
	struct conf_source from = { .path = "/nonexistent/eilpost.conf" };
	struct conf *c = NULL;
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(conf_load(&from, &c, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	assert_non_null(strstr(err.msg, "/nonexistent/eilpost.conf"));
}

static void the_manual_names_every_setting(void **state)
{
	struct buf md = BUF(1 << 20), man = BUF(1 << 20);

	(void)state;
	conf_manual(&md, CONF_MARKDOWN);
	conf_manual(&man, CONF_MDOC);
	assert_true(buf_ok(&md) && buf_ok(&man));
	for (int i = 0; i < CONF_COUNT; i++) {
		assert_true(str_search(buf_str(&md), str_c(conf_name((enum conf_id)i))) < md.n);
		assert_true(str_search(buf_str(&man), str_c(conf_name((enum conf_id)i))) < man.n);
	}
	buf_free(&md);
	buf_free(&man);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_file_gives_the_defaults),
		cmocka_unit_test(the_demo_has_its_own_defaults_and_ports),
		cmocka_unit_test(blocks_put_their_name_before_the_names_inside),
		cmocka_unit_test(a_smarthost_has_a_user_and_a_password_file),
		cmocka_unit_test(overrides_win_and_lists_are_replaced),
		cmocka_unit_test(a_mistake_is_told_with_its_place_and_a_remedy),
		cmocka_unit_test(every_mistake_is_told_not_only_the_first),
		cmocka_unit_test(settings_must_fit_together),
		cmocka_unit_test(an_override_is_checked_like_a_file),
		cmocka_unit_test(what_the_roles_get_says_the_same),
		cmocka_unit_test_setup_teardown(files_include_files, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(
			a_file_that_includes_itself_ends, make_folder, remove_folder),
		cmocka_unit_test(a_missing_file_is_named),
		cmocka_unit_test(the_manual_names_every_setting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
