#include "ipc/msg_private.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_message_comes_back_as_it_went(void **state)
{
	const struct store_rcpt_req q = {
		.handle = 0x01020304, .sender = STR("a@b.test"), .address = STR("c@d.test")
	};
	struct store_rcpt_req got;
	struct buf b = BUF(MSG_MAX);
	struct err err = ERR_INIT;

	store_rcpt_req_put(&b, &q);
	assert_true(buf_ok(&b));
	assert_memory_equal(b.p, "\x04\x03\x02\x01", 4);
	assert_int_equal(0, store_rcpt_req_get(buf_str(&b), &got, &err));
	assert_int_equal(got.handle, q.handle);
	assert_true(str_eq(got.sender, q.sender));
	assert_true(str_eq(got.address, q.address));
	buf_free(&b);
}

static void a_negative_time_survives(void **state)
{
	const struct store_trace_row row = { .message = UINT64_MAX, .time = -5, .event = STR("x") };
	struct store_trace_row got;
	struct buf b = BUF(MSG_MAX);
	struct err err = ERR_INIT;

	store_trace_row_put(&b, &row);
	assert_int_equal(0, store_trace_row_get(buf_str(&b), &got, &err));
	assert_true(got.time == -5);
	assert_true(got.message == UINT64_MAX);
	buf_free(&b);
}

static void rows_in_rows_can_be_walked(void **state)
{
	struct buf inner = BUF(MSG_MAX), outer = BUF(MSG_MAX), whole = BUF(MSG_MAX);
	struct store_lease_rep rep = { .next_due = 7 }, got;
	struct store_lease_item item;
	struct store_lease_rcpt rcpt;
	struct err err = ERR_INIT;
	size_t jobs = 0, rcpts = 0;

	for (unsigned i = 0; i < 3; i++)
		store_lease_rcpt_put(&inner,
			&(struct store_lease_rcpt){ .rcpt = i, .address = STR("x@y.test") });
	for (unsigned i = 0; i < 2; i++)
		store_lease_item_put(&outer,
			&(struct store_lease_item){ .lease = i + 1, .rcpts = buf_str(&inner) });
	rep.items = buf_str(&outer);
	store_lease_rep_put(&whole, &rep);
	assert_int_equal(0, store_lease_rep_get(buf_str(&whole), &got, &err));
	while (store_lease_item_next(&got.items, &item)) {
		assert_int_equal(item.lease, ++jobs);
		for (; store_lease_rcpt_next(&item.rcpts, &rcpt); rcpts++)
			assert_int_equal(rcpt.rcpt, rcpts % 3);
	}
	assert_int_equal(jobs, 2);
	assert_int_equal(rcpts, 6);
	buf_free(&inner);
	buf_free(&outer);
	buf_free(&whole);
}

static void a_broken_row_deep_inside_is_refused_at_once(void **state)
{
	struct buf b = BUF(MSG_MAX);
	struct store_uids_rep rep = { .ranges = STR("\1\0\0\0\2\0\0") }, got;
	struct err err = ERR_INIT;

	store_uids_rep_put(&b, &rep);
	assert_int_equal(-1, store_uids_rep_get(buf_str(&b), &got, &err));
	assert_int_equal(err.kind, ERR_PROTO);
	buf_free(&b);
}

static void every_truncation_of_a_message_is_refused(void **state)
{
	const struct store_deliver_req q = { .call = 1,
		.txn = 2,
		.size = 3,
		.sender = STR("s@t.test"),
		.facts = STR("facts"),
		.refs = STR("refs") };
	struct store_deliver_req got;
	struct buf b = BUF(MSG_MAX);
	struct err err = ERR_INIT;

	store_deliver_req_put(&b, &q);
	for (size_t n = 0; n < b.n; n++)
		assert_int_equal(-1, store_deliver_req_get(str_head(buf_str(&b), n), &got, &err));
	buf_addc(&b, 0);
	assert_int_equal(-1, store_deliver_req_get(buf_str(&b), &got, &err));
	buf_free(&b);
}

static void what_is_over_a_limit_can_be_neither_sent_nor_read(void **state)
{
	static const char wide[400] = "";
	char text[321];
	struct store_login_req q = { .name = { text, sizeof text } }, got;
	struct buf b = BUF(MSG_MAX);
	struct err err = ERR_INIT;

	memset(text, 'a', sizeof text);
	store_login_req_put(&b, &q);
	assert_false(buf_ok(&b));
	buf_clear(&b);
	buf_add(&b, STR("\x41\1\0\0")); /* 321 bytes */
	buf_add(&b, str_make(text, sizeof text));
	assert_int_equal(-1, store_login_req_get(buf_str(&b), &got, &err));
	buf_clear(&b);
	buf_add(&b, STR("\xff\xff\xff\xff")); /* more than there is */
	buf_add(&b, str_make(wide, sizeof wide));
	assert_int_equal(-1, store_login_req_get(buf_str(&b), &got, &err));
	buf_free(&b);
}

static void a_text_with_a_nul_can_be_neither_sent_nor_read(void **state)
{
	struct store_login_req q = { .name = STR("a\0b") }, got;
	struct buf b = BUF(MSG_MAX);
	struct err err = ERR_INIT;

	store_login_req_put(&b, &q);
	assert_false(buf_ok(&b));
	buf_clear(&b);
	buf_add(&b, STR("\3\0\0\0a\0b"));
	assert_int_equal(-1, store_login_req_get(buf_str(&b), &got, &err));
	buf_free(&b);
}

static void a_secret_is_never_printed(void **state)
{
	const struct vault_login_req q = { .name = STR("ann"), .password = STR("hunter2") };
	struct buf b = BUF(4096);

	vault_login_req_print(&b, &q);
	assert_true(str_search(buf_str(&b), STR("name=\"ann\"")) < b.n);
	assert_true(str_search(buf_str(&b), STR("password=***")) < b.n);
	assert_true(str_search(buf_str(&b), STR("hunter2")) == b.n);
	buf_free(&b);
}

static void printing_escapes_what_could_forge_a_line(void **state)
{
	const struct store_login_req q = { .name = STR("a\n\"b\\") };
	struct buf b = BUF(4096);

	store_login_req_print(&b, &q);
	assert_true(str_eq(buf_str(&b), STR("store_login_req name=\"a\\x0a\\x22b\\x5c\"")));
	buf_free(&b);
}

static void numbers_are_unique_ascending_and_found(void **state)
{
	for (size_t i = 0; i < msg_row_count; i++) {
		const struct msg_info *info = &msg_rows[i].info;

		if (i)
			assert_true(info->number > msg_rows[i - 1].info.number);
		assert_true(info->number < 0x7fff);
		assert_ptr_equal(msg_info(info->number), info);
		assert_true(info->who != 0);
		assert_true(info->fds <= 1);
	}
	assert_null(msg_info(0));
	assert_null(msg_info(0x1ff));
	assert_null(msg_info(MSG_error));
}

static void the_table_knows_who_may_ask_and_what_is_secret(void **state)
{
	assert_int_equal(msg_info(MSG_store_rcpt)->who, WHO_MX | WHO_SUBMIT | WHO_OPERATOR);
	assert_true(msg_info(MSG_vault_login)->secret);
	assert_false(msg_info(MSG_vault_login)->answer_secret);
	assert_true(msg_info(MSG_vault_provider)->answer_secret);
	assert_false(msg_info(MSG_store_rcpt)->secret);
	assert_int_equal(msg_info(MSG_control_file)->fds, 1);
	assert_true(msg_info(MSG_store_rcpt)->answered);
	assert_false(msg_info(MSG_store_due)->answered);
}

static void no_front_may_ask_for_what_belongs_to_others(void **state)
{
	const uint32_t fronts = WHO_MX | WHO_SUBMIT | WHO_MAILBOX | WHO_WEB;
	static const uint16_t forbidden[] = { MSG_store_grant, MSG_store_secret_get,
		MSG_store_secret_put, MSG_store_lease, MSG_store_result, MSG_store_account_add,
		MSG_store_domain_put, MSG_store_alias_put, MSG_vault_provider,
		MSG_vault_password_set, MSG_vault_identity_import, MSG_store_revoke,
		MSG_store_login };

	for (size_t i = 0; i < sizeof forbidden / sizeof forbidden[0]; i++)
		assert_int_equal(msg_info(forbidden[i])->who & fronts, 0);
	assert_int_equal(msg_info(MSG_store_attach)->who & WHO_MX, 0);
	assert_int_equal(msg_info(MSG_vault_login)->who & WHO_MX, 0);
}

/* The empty value of every message (all numbers 0, all slices empty) survives a round trip. */
static void zeroes_are_a_message_or_a_clean_refusal(void **state)
{
	static const char zeroes[256] = "";
	struct err err = ERR_INIT;

	for (size_t i = 0; i < msg_row_count; i++) {
		size_t fit = 0;

		for (size_t n = 0; n < sizeof zeroes; n++)
			if (msg_rows[i].asked.check(str_make(zeroes, n), &err) == 0)
				fit++;
		assert_int_equal(fit, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_message_comes_back_as_it_went),
		cmocka_unit_test(a_negative_time_survives),
		cmocka_unit_test(rows_in_rows_can_be_walked),
		cmocka_unit_test(a_broken_row_deep_inside_is_refused_at_once),
		cmocka_unit_test(every_truncation_of_a_message_is_refused),
		cmocka_unit_test(what_is_over_a_limit_can_be_neither_sent_nor_read),
		cmocka_unit_test(a_text_with_a_nul_can_be_neither_sent_nor_read),
		cmocka_unit_test(a_secret_is_never_printed),
		cmocka_unit_test(printing_escapes_what_could_forge_a_line),
		cmocka_unit_test(numbers_are_unique_ascending_and_found),
		cmocka_unit_test(the_table_knows_who_may_ask_and_what_is_secret),
		cmocka_unit_test(no_front_may_ask_for_what_belongs_to_others),
		cmocka_unit_test(zeroes_are_a_message_or_a_clean_refusal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
