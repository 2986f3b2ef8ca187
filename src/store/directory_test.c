#include "store/directory.h"
#include "store/store_help_test.h"

#include <time.h>

struct question {
	const char *address;
	bool anywhere;
	uint64_t size;
	struct directory_rcpt found;
};

static int ask_rcpt(struct view *v, void *arg, struct err *err)
{
	struct question *q = arg;

	return directory_rcpt(v, str_c(q->address), q->anywhere, q->size, &q->found, err);
}

static enum err_kind rcpt(struct store *s, const char *address, bool anywhere)
{
	struct question q = { .address = address, .anywhere = anywhere };
	struct err err;

	return look(s, ask_rcpt, &q, &err) < 0 ? err.kind : ERR_NONE;
}

static void an_unknown_domain_is_only_for_those_who_may_send_anywhere(void **state)
{
	struct store *s = open_store(state);

	add_account(s, "ann@example.org");
	assert_int_equal(rcpt(s, "ann@example.org", false), ERR_NONE);
	assert_int_equal(rcpt(s, "nobody@example.org", false), ERR_NOTFOUND);
	assert_int_equal(rcpt(s, "nobody@example.org", true), ERR_NOTFOUND);
	assert_int_equal(rcpt(s, "x@elsewhere.example", false), ERR_DENIED);
	assert_int_equal(rcpt(s, "x@elsewhere.example", true), ERR_NONE);
	assert_int_equal(rcpt(s, "no address", true), ERR_PERM);
	store_close(&s);
}

static int find_login(struct view *v, void *arg, struct err *err)
{
	struct directory_login *who = arg;
	char name[sizeof who->login];

	strcpy(name, who->login);
	return directory_login(v, str_c(name), who, err);
}

/* T031: who compares names by spelling must not see which of them exist. */
static void a_login_name_has_one_spelling_whether_it_exists_or_not(void **state)
{
	static const char *const rows[][2] = {
		{ "ANN@Example.Org", "ann@example.org" },
		{ "\"bob\"@example.org", "bob@example.org" },
		{ "Bob@b\xc3\xbc"
		  "cher.example",
			"bob@xn--bcher-kva.example" },
		{ "bob", "" },
	};
	struct store *s = open_store(state);
	struct directory_login who;
	struct err err;

	add_account(s, "ann@example.org");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		strcpy(who.login, rows[i][0]);
		assert_int_equal(look(s, find_login, &who, &err), i ? -1 : 0);
		assert_string_equal(who.login, rows[i][1]);
		assert_int_equal(who.account > 0, i == 0);
	}
	store_close(&s);
}

static int put_relay(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_domain_put(t, STR("Relay.Example"), STORE_DOMAIN_RELAY, err);
}

static void a_relayed_domain_takes_every_address(void **state)
{
	struct store *s = open_store(state);
	struct err err;

	assert_int_equal(change(s, put_relay, NULL, &err), 0);
	assert_int_equal(rcpt(s, "anybody@relay.example", false), ERR_NONE);
	store_close(&s);
}

static void a_tag_and_the_case_make_no_difference(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "Ann.Example@example.org");
	must_mail(s, 1, "ANN.example+shop@EXAMPLE.org", "tagged");
	box(s, "ann.example@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::tagged ");
	store_close(&s);
}

static void postmaster_and_abuse_always_exist(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	add_account(s, "bob@second.example");
	must_mail(s, 1, "postmaster@example.org", "one");
	must_mail(s, 2, "Abuse@second.example", "two");
	must_mail(s, 3, "Postmaster", "three");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::one 2:0::three ");
	box(s, "bob@second.example", "INBOX", &b);
	assert_string_equal(b.text, "1:0::two ");
	add_alias(s, "postmaster@example.org", "bob@second.example");
	must_mail(s, 4, "postmaster@example.org", "four");
	box(s, "bob@second.example", "INBOX", &b);
	assert_string_equal(b.text, "1:0::two 2:0::four ");
	store_close(&s);
}

static enum err_kind try_alias(
	struct store *s, const char *address, const char *owner, const char *target)
{
	struct alias_test a = {
		.address = address, .owner = owner, .targets = { str_c(target) }, .n = 1
	};
	struct err err;

	return change(s, run_alias, &a, &err) < 0 ? err.kind : ERR_NONE;
}

static void an_alias_cannot_lead_to_itself_alone(void **state)
{
	struct store *s = open_store(state);
	static const char *const names[] = { "a1", "a2", "a3", "a4", "a5" };

	add_account(s, "ann@example.org");
	for (size_t length = 1; length <= 5; length++)
		for (size_t i = 0; i < length; i++) {
			char from[40], to[40];

			snprintf(from, sizeof from, "%s-%zu@example.org", names[i], length);
			snprintf(to, sizeof to, "%s-%zu@example.org", names[(i + 1) % length],
				length);
			assert_int_equal(try_alias(s, from, "", to),
				i + 1 == length ? ERR_EXPANSION : ERR_NONE);
		}
	assert_int_equal(rcpt(s, "a1-1@example.org", false), ERR_NOTFOUND);
	assert_int_equal(rcpt(s, "a1-2@example.org", false), ERR_NOTFOUND);
	assert_int_equal(rcpt(s, "a3-5@example.org", false), ERR_NOTFOUND);
	store_close(&s);
}

static void everybody_in_a_circle_of_aliases_gets_one_copy(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "x@example.org", "y@example.org ann@example.org");
	add_alias(s, "y@example.org", "x@example.org bob@example.org ann@example.org");
	must_mail(s, 1, "x@example.org y@example.org ann@example.org", "once");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::once ");
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::once ");
	store_close(&s);
}

static void aliases_that_lead_too_far_are_refused(void **state)
{
	struct store *s = open_store(state);
	char from[40], to[40];

	add_account(s, "ann@example.org");
	for (int i = 0; i < 11; i++) {
		snprintf(from, sizeof from, "step%d@example.org", i);
		snprintf(to, sizeof to, "step%d@example.org", i + 1);
		add_alias(s, from, to);
	}
	/* The last link makes the chain too long for some, which nobody has seen before. */
	add_alias(s, "step11@example.org", "ann@example.org");
	assert_int_equal(rcpt(s, "step0@example.org", false), ERR_EXPANSION);
	assert_int_equal(rcpt(s, "step3@example.org", false), ERR_NONE);
	assert_int_equal(try_alias(s, "more@example.org", "", "step0@example.org"), ERR_EXPANSION);
	store_close(&s);
}

/* --- T098: lists in lists --- */

static int lists_of_lists(struct txn *t, void *arg, struct err *err)
{
	static char names[1000][40];
	static struct str targets[1000];

	(void)arg;
	for (int list = 0; list < 40; list++) {
		char address[40];

		for (int i = 0; i < 100; i++) {
			snprintf(names[i], sizeof names[i], "m%d-%d@elsewhere.example", list, i);
			targets[i] = str_c(names[i]);
		}
		snprintf(address, sizeof address, "list%d@example.org", list);
		if (directory_alias_put(t, str_c(address), STR(""), targets, 100, err) < 0)
			return -1;
	}
	for (int list = 0; list < 40; list++) {
		snprintf(names[list], sizeof names[list], "list%d@example.org", list);
		targets[list] = str_c(names[list]);
	}
	if (directory_alias_put(t, STR("some@example.org"), STR(""), targets, 9, err) < 0)
		return -1;
	return directory_alias_put(t, STR("all@example.org"), STR(""), targets, 40, err);
}

static void t098_a_list_of_lists_has_a_limit(void **state)
{
	struct store *s = open_store(state);
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(change(s, lists_of_lists, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_EXPANSION);
	assert_non_null(strstr(err.msg, "at most 10 steps and 1000 targets"));
	store_close(&s);
}

/* --- catch-all, tags, disabled accounts --- */

static void the_catch_all_gets_what_nobody_else_gets(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "info@example.org", "ann@example.org");
	add_alias(s, "@Example.org", "bob@example.org");
	must_mail(s, 1, "whoever@example.org", "one");
	must_mail(s, 2, "ann@example.org info@example.org ann+x@example.org", "two");
	must_mail(s, 3, "postmaster@example.org", "three");
	must_mail(s, 4, "who+ever@example.org", "four");
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::one 2:0::four ");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::two 2:0::three ");
	assert_int_equal(rcpt(s, "@example.org", false), ERR_PERM);
	assert_int_equal(rcpt(s, "x@other.example", false), ERR_DENIED);
	store_close(&s);
}

struct head_test {
	struct box_test box;
	char text[600];
};

static int look_head(struct view *v, void *arg, struct err *err)
{
	struct head_test *h = arg;
	struct buf out = BUF(sizeof h->text - 1);
	uint64_t size;

	if (entry_read(v, h->box.account, h->box.m.id, h->box.m.uidnext - 1, 0, sizeof h->text - 1,
		    &out, &size, err) < 0)
		return -1;
	str_z(buf_str(&out), h->text, sizeof h->text);
	buf_free(&out);
	return 0;
}

/* The last message in the INBOX, as its owner sees it. */
static void last(struct store *s, const char *login, struct head_test *h)
{
	struct err err;

	box(s, login, "INBOX", &h->box);
	if (look(s, look_head, h, &err) < 0)
		fail_msg("%s", err.msg);
}

static void a_message_says_which_address_was_used(void **state)
{
	struct store *s = open_store(state);
	struct head_test h;

	add_account(s, "ann@example.org");
	add_alias(s, "info@example.org", "ann@example.org");
	add_alias(s, "@example.org", "ann@example.org");
	must_mail(s, 1, "ann@example.org", "one");
	last(s, "ann@example.org", &h);
	assert_non_null(strstr(h.text, "\r\nDelivered-To: ann@example.org\r\nReceived"));
	must_mail(s, 2, "Ann+Shop@example.org", "two");
	last(s, "ann@example.org", &h);
	assert_non_null(strstr(h.text, "\r\nDelivered-To: Ann+Shop@example.org\r\nReceived"));
	must_mail(s, 3, "info@example.org", "three");
	last(s, "ann@example.org", &h);
	assert_non_null(strstr(
		h.text, "\r\nDelivered-To: ann@example.org\r\nDelivered-To: info@example.org\r\n"));
	must_mail(s, 4, "Shop.Name@example.org", "four");
	last(s, "ann@example.org", &h);
	assert_non_null(strstr(h.text, "\r\nDelivered-To: Shop.Name@example.org\r\n"));
	store_close(&s);
}

static void the_separator_of_tags_can_be_another_or_none(void **state)
{
	struct store_options o = { .segment_bytes = 1 << 20, .subaddress = '-' };
	struct store *s = open_store_with(test_dir(state), &o);

	add_account(s, "ann@example.org");
	assert_int_equal(rcpt(s, "ann-x@example.org", false), ERR_NONE);
	assert_int_equal(rcpt(s, "ann+x@example.org", false), ERR_NOTFOUND);
	store_close(&s);
	o.subaddress = STORE_NO_SUBADDRESS;
	s = open_store_with(test_dir(state), &o);
	assert_int_equal(rcpt(s, "ann-x@example.org", false), ERR_NOTFOUND);
	assert_int_equal(rcpt(s, "ann+x@example.org", false), ERR_NOTFOUND);
	store_close(&s);
}

struct enable_test {
	const char *login;
	bool on;
};

static int run_enable(struct txn *t, void *arg, struct err *err)
{
	const struct enable_test *e = arg;
	uint64_t account;

	return directory_account_enable(t, str_c(e->login), e->on, &account, err);
}

static void enable(struct store *s, const char *login, bool on)
{
	struct enable_test e = { login, on };
	struct err err;

	assert_int_equal(change(s, run_enable, &e, &err), 0);
}

static void a_disabled_account_takes_no_mail(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "one@example.org", "ann@example.org");
	add_alias(s, "both@example.org", "ann@example.org bob@example.org");
	enable(s, "ann@example.org", false);
	assert_int_equal(rcpt(s, "ann@example.org", false), ERR_DISABLED);
	assert_int_equal(rcpt(s, "ann+x@example.org", false), ERR_DISABLED);
	assert_int_equal(rcpt(s, "one@example.org", false), ERR_DISABLED);
	assert_int_equal(rcpt(s, "both@example.org", false), ERR_NONE);
	must_mail(s, 1, "postmaster@example.org", "one");
	box(s, "bob@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::one ");
	enable(s, "ann@example.org", true);
	must_mail(s, 2, "both@example.org", "two");
	box(s, "ann@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::two ");
	store_close(&s);
}

static void both_spellings_of_an_international_domain_are_one(void **state)
{
	struct store *s = open_store(state);
	struct box_test b;

	add_account(s,
		"ann@b\xc3\xbc"
		"cher.example");
	must_mail(s, 1,
		"Ann@xn--bcher-kva.example ann@B\xc3\x9c"
		"CHER.example",
		"once");
	add_alias(s, "info@XN--BCHER-KVA.example",
		"ann@b\xc3\xbc"
		"cher.example");
	must_mail(s, 2,
		"info@b\xc3\xbc"
		"cher.example",
		"again");
	box(s, "ann@xn--bcher-kva.example", "INBOX", &b);
	assert_string_equal(b.text, "1:0::once 2:0::again ");
	store_close(&s);
}

struct sender {
	uint64_t account;
	const char *address;
};

static int ask_sender(struct view *v, void *arg, struct err *err)
{
	struct sender *q = arg;

	return directory_sender(v, q->account, str_c(q->address), err);
}

static void t042_one_may_send_as_oneself_and_as_what_leads_to_oneself_alone(void **state)
{
	static const struct {
		const char *address;
		bool allowed;
	} table[] = { { "ann@example.org", true }, { "Ann+tag@example.org", true },
		{ "info@example.org", true }, { "Info+tag@example.org", true },
		{ "indirect@example.org", true }, { "anything@second.example", true },
		{ "sales@example.org", false }, { "bob@example.org", false },
		{ "others@example.org", false }, { "ann@elsewhere.example", false },
		{ "nobody@example.org", false } };
	struct store *s = open_store(state);
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "sales@example.org", "ann@example.org bob@example.org");
	add_alias(s, "info@example.org", "ann@example.org");
	add_alias(s, "indirect@example.org", "info@example.org");
	add_alias(s, "@second.example", "ann@example.org");
	add_alias(s, "others@example.org", "bob@example.org");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct sender q = { 1, table[i].address };

		assert_int_equal(look(s, ask_sender, &q, &err), table[i].allowed ? 0 : -1);
		if (!table[i].allowed)
			assert_int_equal(err.kind, ERR_DENIED);
	}
	store_close(&s);
}

struct identity_test {
	const char *login, *address;
	bool add;
};

static int run_identity(struct txn *t, void *arg, struct err *err)
{
	const struct identity_test *i = arg;

	return i->add ? directory_identity_add(t, str_c(i->login), str_c(i->address), err)
		      : directory_identity_remove(t, str_c(i->login), str_c(i->address), err);
}

static enum err_kind identity(struct store *s, const char *address, bool add)
{
	struct identity_test i = { "ann@example.org", address, add };
	struct err err;

	return change(s, run_identity, &i, &err) < 0 ? err.kind : ERR_NONE;
}

static void an_identity_lets_one_send_as_somebody_else(void **state)
{
	struct store *s = open_store(state);
	struct sender shared = { 1, "Sales@example.org" }, other = { 1, "me@elsewhere.example" },
		      bobs = { 2, "sales@example.org" };
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "sales@example.org", "ann@example.org bob@example.org");
	assert_int_equal(look(s, ask_sender, &shared, &err), -1);
	assert_int_equal(identity(s, "sales@Example.org", true), ERR_NONE);
	assert_int_equal(identity(s, "Me@elsewhere.example", true), ERR_NONE);
	assert_int_equal(identity(s, "me@elsewhere.example", true), ERR_EXISTS);
	assert_int_equal(look(s, ask_sender, &shared, &err), 0);
	assert_int_equal(look(s, ask_sender, &other, &err), 0);
	assert_int_equal(look(s, ask_sender, &bobs, &err), -1);
	assert_int_equal(identity(s, "sales@example.org", false), ERR_NONE);
	assert_int_equal(identity(s, "sales@example.org", false), ERR_NOTFOUND);
	assert_int_equal(identity(s, "ann@example.org", false), ERR_NOTFOUND);
	assert_int_equal(look(s, ask_sender, &shared, &err), -1);
	store_close(&s);
}

static int remove_account(struct txn *t, void *arg, struct err *err)
{
	uint64_t account;

	return directory_account_remove(t, str_c(arg), &account, err);
}

static void a_removed_account_is_gone_and_its_name_is_free(void **state)
{
	struct store *s = open_store(state);
	char login[] = "ann@example.org";
	struct box_test before, after;
	struct err err;

	add_account(s, login);
	must_mail(s, 1, login, "old");
	box(s, login, "INBOX", &before);
	assert_int_equal(change(s, remove_account, login, &err), 0);
	assert_int_equal(rcpt(s, login, false), ERR_NOTFOUND);
	assert_int_equal(change(s, remove_account, login, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	add_account(s, login);
	box(s, login, "INBOX", &after);
	assert_string_equal(after.text, "");
	assert_true(after.account != before.account);
	store_close(&s);
}

static int run_account_again(struct txn *t, void *login, struct err *err)
{
	uint64_t id;

	return directory_account_add(t, str_c(login), STR(""), &id, err);
}

static void an_address_is_given_once(void **state)
{
	struct store *s = open_store(state);
	char login[] = "ANN@example.org", alias[] = "info@example.org";
	struct alias_test a = {
		.address = "ann@example.org", .targets = { STR("x@y.example") }, .n = 1
	};
	struct err err;

	add_account(s, "ann@example.org");
	add_alias(s, alias, "ann@example.org");
	assert_int_equal(change(s, run_account_again, login, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_int_equal(change(s, run_account_again, alias, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	assert_int_equal(change(s, run_alias, &a, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	store_close(&s);
}

static int put_secret(struct txn *t, void *arg, struct err *err)
{
	return directory_secret_put(t, STORE_VERIFIER, STR("ann@example.org"), str_c(arg), err);
}

static int get_secret(struct view *v, void *arg, struct err *err)
{
	return directory_secret(v, STORE_VERIFIER, STR("ann@example.org"), arg, err);
}

static void sealed_bytes_are_kept_as_they_are(void **state)
{
	struct store *s = open_store(state);
	struct buf got = BUF(100);
	char first[] = "\1\377first", second[] = "second";
	struct err err;

	assert_int_equal(look(s, get_secret, &got, &err), -1);
	assert_int_equal(err.kind, ERR_NOTFOUND);
	assert_int_equal(change(s, put_secret, first, &err), 0);
	assert_int_equal(look(s, get_secret, &got, &err), 0);
	assert_true(str_eq(buf_str(&got), str_c(first)));
	assert_int_equal(change(s, put_secret, second, &err), 0);
	buf_clear(&got);
	assert_int_equal(look(s, get_secret, &got, &err), 0);
	assert_true(str_eq(buf_str(&got), STR("second")));
	buf_free(&got);
	store_close(&s);
}

struct since {
	const char *address;
	int64_t since;
};

static int ask_since(struct view *v, void *arg, struct err *err)
{
	const struct since *q = arg;
	struct directory_rcpt found;

	if (directory_rcpt(v, str_c(q->address), false, 0, &found, err) < 0)
		return -1;
	return directory_since(v, found.target, q->since, err);
}

static void a_mailbox_is_as_old_as_its_account(void **state)
{
	struct store *s = open_store(state);
	struct since q = { "ann@example.org", (int64_t)time(NULL) - 1000 };
	struct err err;

	add_account(s, "ann@example.org");
	add_alias(s, "team@example.org", "ann@example.org");
	assert_int_equal(look(s, ask_since, &q, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS);
	q.since += 2000;
	assert_int_equal(look(s, ask_since, &q, &err), 0);
	q = (struct since){ "team@example.org", 1 };
	assert_int_equal(look(s, ask_since, &q, &err), 0);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_unknown_domain_is_only_for_those_who_may_send_anywhere),
		TEST(a_login_name_has_one_spelling_whether_it_exists_or_not),
		TEST(a_relayed_domain_takes_every_address),
		TEST(a_tag_and_the_case_make_no_difference),
		TEST(postmaster_and_abuse_always_exist),
		TEST(an_alias_cannot_lead_to_itself_alone),
		TEST(t098_a_list_of_lists_has_a_limit),
		TEST(the_catch_all_gets_what_nobody_else_gets),
		TEST(a_message_says_which_address_was_used),
		TEST(the_separator_of_tags_can_be_another_or_none),
		TEST(a_disabled_account_takes_no_mail),
		TEST(both_spellings_of_an_international_domain_are_one),
		TEST(an_identity_lets_one_send_as_somebody_else),
		TEST(everybody_in_a_circle_of_aliases_gets_one_copy),
		TEST(aliases_that_lead_too_far_are_refused),
		TEST(t042_one_may_send_as_oneself_and_as_what_leads_to_oneself_alone),
		TEST(a_removed_account_is_gone_and_its_name_is_free),
		TEST(an_address_is_given_once),
		TEST(sealed_bytes_are_kept_as_they_are),
		TEST(a_mailbox_is_as_old_as_its_account),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
