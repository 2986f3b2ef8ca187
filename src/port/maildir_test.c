#include "port/maildir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void names_of_messages_are_read(void **state)
{
	static const struct {
		const char *name, *unique;
		uint32_t flags, letters;
		int64_t time;
	} names[] = { { "1276528487.M364837P9451.host,S=1355,W=1394:2,FS",
			      "1276528487.M364837P9451.host", MARK_FLAGGED | MARK_SEEN, 0,
			      1276528487 },
		{ "1.2.h:2,DRTab?", "1.2.h", MARK_DRAFT | MARK_ANSWERED | MARK_DELETED, 3, 1 },
		{ "1.2.h", "1.2.h", 0, 0, 1 }, { "1.2.h:1,xS", "1.2.h", 0, 0, 1 },
		{ "1.2.h;2,S", "1.2.h", MARK_SEEN, 0, 1 },
		{ "1.2.h!2,S", "1.2.h", MARK_SEEN, 0, 1 }, { "mail", "mail", 0, 0, 0 },
		{ "99999999999999999999.x:2,", "99999999999999999999.x", 0, 0, 0 },
		{ "", NULL, 0, 0, 0 }, { ".hidden", NULL, 0, 0, 0 }, { ":2,S", NULL, 0, 0, 0 },
		{ ",S=3:2,S", NULL, 0, 0, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct maildir_name n;

		if (maildir_name_parse(str_c(names[i].name), &n) != (names[i].unique != NULL))
			fail_msg("%s", names[i].name);
		if (!names[i].unique)
			continue;
		if (!str_eq(n.unique, str_c(names[i].unique)) || n.flags != names[i].flags ||
			n.letters != names[i].letters || n.time != names[i].time)
			fail_msg("%s", names[i].name);
	}
}

static void flags_come_back(void **state)
{
	struct buf b = BUF(100);
	struct maildir_name n;

	(void)state;
	buf_addz(&b, "1.x");
	maildir_info_print(&b, 31, 1 | 1u << 25);
	assert_true(str_eq(buf_str(&b), STR("1.x:2,DFRSTaz")));
	assert_true(maildir_name_parse(buf_str(&b), &n));
	assert_int_equal(n.flags, 31);
	assert_int_equal(n.letters, 1 | 1u << 25);
	buf_free(&b);
}

static void keywords_are_read(void **state)
{
	struct str word;
	unsigned n;

	(void)state;
	assert_true(maildir_keyword_line(STR("3 $Label1\n"), &n, &word));
	assert_int_equal(n, 3);
	assert_true(str_eq(word, STR("$Label1")));
	assert_false(maildir_keyword_line(STR("26 x"), &n, &word));
	assert_false(maildir_keyword_line(STR("-1 x"), &n, &word));
	assert_false(maildir_keyword_line(STR("1 two words"), &n, &word));
	assert_false(maildir_keyword_line(STR("1 "), &n, &word));
	assert_false(maildir_keyword_line(STR("1 \\Seen"), &n, &word));
}

static void uidlists_are_read(void **state)
{
	uint32_t validity, next, uid;
	struct str name;

	(void)state;
	assert_true(maildir_uidlist_head(
		STR("3 V1275660208 N25022 G3085f01b7f11094c\n"), &validity, &next));
	assert_int_equal(validity, 1275660208);
	assert_int_equal(next, 25022);
	assert_true(maildir_uidlist_head(STR("1 1275660208 25022"), &validity, &next));
	assert_int_equal(validity, 1275660208);
	assert_false(maildir_uidlist_head(STR("2 1 1"), &validity, &next));
	assert_false(maildir_uidlist_head(STR("3 N4"), &validity, &next));
	assert_true(maildir_uidlist_line(
		STR("25006 W1394 :12.M3P9.h,S=1355,W=1394:2,S\n"), &uid, &name));
	assert_int_equal(uid, 25006);
	assert_true(str_eq(name, STR("12.M3P9.h")));
	assert_true(maildir_uidlist_line(STR("7 :12.h"), &uid, &name));
	assert_true(str_eq(name, STR("12.h")));
	assert_true(maildir_uidlist_line(STR("7 12.h:2,S\n"), &uid, &name));
	assert_true(str_eq(name, STR("12.h")));
	assert_false(maildir_uidlist_line(STR("0 :12.h"), &uid, &name));
	assert_false(maildir_uidlist_line(STR("4294967296 :12.h"), &uid, &name));
	assert_false(maildir_uidlist_line(STR("x"), &uid, &name));
	assert_false(maildir_uidlist_line(STR("7 :.."), &uid, &name));
}

static void folders_have_names(void **state)
{
	static const char *const pairs[][2] = { { ".Sent", "Sent" }, { ".Work.2026", "Work/2026" },
		{ ".", "INBOX" }, { "", "INBOX" }, { ".Gel&APY-scht", "Gel\xc3\xb6scht" },
		{ ".a&AC4-b.c", "a.b/c" }, { ".a&AC8-b", "a_b" },
		{ ".Gel\xc3\xb6scht", "Gel\xc3\xb6scht" }, { ".a..b", "a/b" }, { ".R&D", "R&D" },
		{ ".x\xff\t", "x__" }, { ".a/b", "a_b" } };
	struct buf b = BUF(1000);

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
		assert_true(maildir_folder_decode(str_c(pairs[i][0]), &b));
		if (!str_eq(buf_str(&b), str_c(pairs[i][1])))
			fail_msg("%s", pairs[i][0]);
	}
	assert_false(maildir_folder_decode(STR("..."), &b));
	buf_clear(&b);
	maildir_folder_encode(STR("R&D/v1.0/Gel\xc3\xb6scht"), &b);
	assert_true(str_eq(buf_str(&b), STR(".R&-D.v1&AC4-0.Gel&APY-scht")));
	buf_clear(&b);
	maildir_folder_encode(STR("../.."), &b);
	assert_true(str_eq(buf_str(&b), STR(".&AC4-&AC4-.&AC4-&AC4-")));
	buf_free(&b);
}

static void subscriptions_are_read(void **state)
{
	struct buf b = BUF(1000);

	(void)state;
	assert_true(maildir_subscription(STR("Work.2026\n"), false, &b));
	assert_true(str_eq(buf_str(&b), STR("Work/2026")));
	assert_true(maildir_subscription(STR("INBOX.Gel&APY-scht"), false, &b));
	assert_true(str_eq(buf_str(&b), STR("Gel\xc3\xb6scht")));
	assert_true(maildir_subscription(STR("Work\tv1.0\n"), true, &b));
	assert_true(str_eq(buf_str(&b), STR("Work/v1.0")));
	assert_true(maildir_subscription(STR("Work/2026"), false, &b));
	assert_true(str_eq(buf_str(&b), STR("Work/2026")));
	assert_false(maildir_subscription(STR("\n"), false, &b));
	assert_false(maildir_subscription(STR("x\0y"), false, &b));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_messages_are_read),
		cmocka_unit_test(flags_come_back),
		cmocka_unit_test(keywords_are_read),
		cmocka_unit_test(uidlists_are_read),
		cmocka_unit_test(folders_have_names),
		cmocka_unit_test(subscriptions_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
