#include "role/courier_help_test.h"

/* ---- tests ---- */

static void delivers_three(void)
{
	show_all();
	add("connections %d received %d bytes %d reports %d", connections, received, body_bytes,
		store.reports);
}

static void messages_of_one_destination_share_connections(void **state)
{
	(void)state;
	for (int i = 0; i < 10; i++)
		add_mail("ann@example.test", "joe@a.test");
	with_courier(delivers_three, "");
	assert_non_null(strstr(trace, "received 10"));
	assert_int_equal(body_bytes, sizeof body - 1);
	assert_non_null(strstr(trace, "reports 0"));
	assert_true(connections <= 2);
	for (size_t i = 0; i < 10; i++)
		assert_int_equal(store.mail[i].state, RCPT_DELIVERED);
}

static void each_outcome(void)
{
	show_all();
	add("reports %d", store.reports);
	if (str_search(buf_str(&store.report), STR("no such user here")) == store.report.n)
		add(" without the words");
}

static void what_the_server_says_is_what_is_recorded(void **state)
{
	(void)state;
	add_mail("ann@example.test", "joe@b.test");
	add_mail("ann@example.test", "bad@a.test");
	add_mail("ann@example.test", "later@a.test");
	add_mail("", "bad2@a.test"); /* nobody to tell */
	with_courier(each_outcome, "");
	assert_string_equal(trace,
		"joe@b.test delivered 2.0.0; bad@a.test failed 5.1.1; later@a.test deferred 4.2.1 "
		"again; "
		"bad2@a.test failed 5.1.1; reports 1");
	assert_string_equal(store.mail[1].text, "no such user here");
}

/* An account that was there at RCPT and is gone now: reported like any other failure. */
static void what_the_store_knows_has_failed_is_reported_and_not_tried(void **state)
{
	(void)state;
	add_mail("ann@example.test", "joe@b.test");
	add_mail("ann@example.test", "joe@mx.test")->failed = "no such user here any more";
	with_courier(each_outcome, "");
	assert_string_equal(
		trace, "joe@b.test delivered 2.0.0; joe@mx.test failed 5.1.1; reports 1");
	assert_string_equal(store.mail[1].text, "no such user here any more");
}

/* T142, T143 */
static void what_dns_says_is_what_is_recorded(void **state)
{
	(void)state;
	add_mail("ann@example.test", "joe@mx.test");
	add_mail("ann@example.test", "joe@nowhere.test");
	add_mail("ann@example.test", "joe@null.test");
	add_mail("ann@example.test", "joe@slow.test");
	add_mail("ann@example.test", "joe@bogus.test");
	add_mail("ann@example.test", "joe@empty.test");
	add_mail("", "joe@[bad]");
	with_courier(each_outcome, "");
	assert_string_equal(trace,
		"joe@mx.test delivered 2.0.0; joe@nowhere.test failed 5.1.2; "
		"joe@null.test failed 5.1.10; joe@slow.test deferred 4.4.3 again; "
		"joe@bogus.test deferred 4.4.3 again; joe@empty.test failed 5.1.2; "
		"joe@[bad] failed 5.1.2; reports 3 without the words");
}

static void mail_does_not_leave_a_machine_that_keeps_to_itself(void **state)
{
	(void)state;
	add_mail("ann@example.test", "joe@away.test");
	with_courier(each_outcome, "");
	assert_string_equal(trace, "joe@away.test failed 5.4.4; reports 1 without the words");
	assert_non_null(strstr(store.mail[0].text, "outbound.local-only"));
}

static void an_old_message_that_cannot_be_delivered_is_given_up(void **state)
{
	(void)state;
	add_mail("ann@example.test", "later@a.test")->age = 3600;
	add_mail("ann@example.test", "later@b.test")->age = 5;
	with_courier(each_outcome, "queue.expire 30m;");
	assert_string_equal(trace,
		"later@a.test failed 5.4.7; later@b.test deferred 4.2.1 again; reports 1 without "
		"the "
		"words");
}

static void notices_are_sent_as_the_sender_asked(void **state)
{
	(void)state;
	add_mail("ann@example.test", "bad@a.test")->notify = NOTIFY_NEVER;
	add_mail("ann@example.test", "bad@b.test")->notify = NOTIFY_SUCCESS;
	add_mail("ann@example.test", "joe@a.test")->notify = NOTIFY_SUCCESS; /* relayed */
	add_mail("ann@example.test", "later@a.test")->notify = NOTIFY_DELAY;
	store.mail[3].age = 1000;
	with_courier(each_outcome, "queue.expire 1h;");
	assert_string_equal(trace,
		"bad@a.test failed 5.1.1; bad@b.test failed 5.1.1; joe@a.test delivered 2.0.0; "
		"later@a.test deferred 4.2.1 again; reports 2 without the words");
}

static void after_goodbye(void)
{
	show_all();
	add("connections %d", connections >= 2 ? 2 : connections);
}

static void a_server_that_hangs_up_in_between_is_called_again(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++)
		add_mail("ann@example.test", "once@a.test");
	with_courier(after_goodbye, "");
	assert_string_equal(trace,
		"once@a.test delivered 2.0.0; once@a.test delivered 2.0.0; "
		"once@a.test delivered 2.0.0; once@a.test delivered 2.0.0; "
		"connections 2");
}

/* T111: it does not take the others with it. */
static void a_message_that_breaks_connections_is_put_off(void **state)
{
	(void)state;
	add_mail("ann@example.test", "drop@a.test");
	add_mail("ann@example.test", "joe@a.test");
	with_courier(each_outcome, "outbound.per-destination 1;");
	assert_string_equal(trace,
		"drop@a.test deferred 4.4.2 again; joe@a.test delivered 2.0.0; "
		"reports 0 without the words");
}

static void nobody_listens(void)
{
	show_all();
	add("%s", strstr(store.mail[0].text, "refused") ? "refused" : store.mail[0].text);
}

static void a_dead_host_defers_all_that_waits_for_it(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		add_mail("ann@example.test", "joe@dead.test");
	with_courier(nobody_listens, "route { dead.test smtp://127.0.0.1:1; }");
	assert_string_equal(trace,
		"joe@dead.test deferred 4.4.1 again; joe@dead.test deferred 4.4.1 again; "
		"joe@dead.test deferred 4.4.1 again; refused");
}

/* ---- restarts of the store ---- */

static void restart_store(void)
{
	channel_close(&store.ch);
	if (store.kept)
		request_free(&store.kept);
	for (size_t i = 0; i < store.mails; i++)
		store.mail[i].leased = false;
	store.deaf = false;
	store.ch = join(&store_link, store_asked);
}

static void restarts_during_dot(void)
{
	if (task_wait(-1, 0, &at_dot, clock_after(20 * CLOCK_SEC), &err) < 0)
		add("no dot ");
	restart_store();
	while (!store.mail[0].leased)
		task_yield();
	add("leased again, ");
	signal_raise(&release);
	show_all();
	add("received %d", received);
}

static void what_was_on_the_wire_when_the_store_restarted_is_not_sent_twice(void **state)
{
	(void)state;
	add_mail("ann@example.test", "slow@a.test");
	with_courier(restarts_during_dot, "");
	assert_string_equal(trace, "leased again, slow@a.test delivered 2.0.0; received 1");
}

static void lease_runs_out(void)
{
	show_all();
	add("received %d", received);
}

/* T174: somebody else may have it now. The store would refuse the result as well. */
static void a_lease_that_has_run_out_ends_the_message_before_its_end(void **state)
{
	(void)state;
	add_mail("ann@example.test", "paused@a.test");
	with_courier(lease_runs_out, "");
	assert_string_equal(trace, "paused@a.test released 4.0.0; received 0");
}

static void restarts_during_result(void)
{
	store.deaf = true;
	if (task_wait(-1, 0, &store.told, clock_after(20 * CLOCK_SEC), &err) < 0)
		add("no result ");
	restart_store();
	show_all();
	add("received %d reports %d", received, store.reports);
}

static void a_result_that_was_lost_with_the_store_is_told_again(void **state)
{
	(void)state;
	add_mail("ann@example.test", "joe@a.test");
	with_courier(restarts_during_result, "");
	assert_string_equal(trace, "joe@a.test delivered 2.0.0; received 1 reports 0");
	add_mail("ann@example.test", "bad@a.test");
	with_courier(restarts_during_result, "");
	assert_string_equal(trace, "bad@a.test failed 5.1.1; received 0 reports 1");
}

static void refused_results(void)
{
	show_all();
	add("received %d reports %d refused %d", received, store.reports, store.refused);
}

static void a_result_that_the_store_has_no_room_for_is_told_again(void **state)
{
	(void)state;
	store.full = 1;
	add_mail("ann@example.test", "joe@a.test");
	with_courier(refused_results, "");
	assert_string_equal(trace, "joe@a.test delivered 2.0.0; received 1 reports 0 refused 1");
	store.full = 1;
	add_mail("ann@example.test", "later@a.test")->notify = NOTIFY_DELAY;
	store.mail[0].age = 1000;
	with_courier(refused_results, "queue.expire 1h;");
	assert_string_equal(
		trace, "later@a.test deferred 4.2.1 again; received 0 reports 1 refused 1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(messages_of_one_destination_share_connections),
		cmocka_unit_test(what_the_server_says_is_what_is_recorded),
		cmocka_unit_test(what_the_store_knows_has_failed_is_reported_and_not_tried),
		cmocka_unit_test(what_dns_says_is_what_is_recorded),
		cmocka_unit_test(mail_does_not_leave_a_machine_that_keeps_to_itself),
		cmocka_unit_test(an_old_message_that_cannot_be_delivered_is_given_up),
		cmocka_unit_test(notices_are_sent_as_the_sender_asked),
		cmocka_unit_test(a_server_that_hangs_up_in_between_is_called_again),
		cmocka_unit_test(a_message_that_breaks_connections_is_put_off),
		cmocka_unit_test(a_dead_host_defers_all_that_waits_for_it),
		cmocka_unit_test(a_lease_that_has_run_out_ends_the_message_before_its_end),
		cmocka_unit_test(what_was_on_the_wire_when_the_store_restarted_is_not_sent_twice),
		cmocka_unit_test(a_result_that_was_lost_with_the_store_is_told_again),
		cmocka_unit_test(a_result_that_the_store_has_no_room_for_is_told_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
