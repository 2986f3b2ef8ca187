/* What a message asks for, as the courier keeps it. */
#include "role/courier_help_test.h"

static bool report_says(const char *words)
{
	return str_search(buf_str(&store.report), str_c(words)) < store.report.n;
}

static void each_report(void)
{
	show_all();
	add("reports %d", store.reports);
	for (const char *const *w = (const char *const[]){ "Action: delivered", "Action: relayed",
		     "Action: delayed", "Action: failed", "Deliver-By-Date: ", "It works.",
		     "Subject: hello", NULL };
		*w; w++)
		if (report_says(*w))
			add(", %.17s", *w);
}

struct row {
	struct mail m;
	const char *want;
};

static void of_one(const struct row *row)
{
	struct mail *m = &store.mail[store.mails++];

	*m = row->m;
	m->sender = "ann@example.test";
	m->domain = strchr(m->to, '@') + 1;
	with_courier(each_report, "");
	assert_string_equal(trace, row->want);
}

/* RFC 3461 4.3, 5.2.2, 5.2.3 */
static void success_is_reported_to_who_asked(void **state)
{
	static const struct row rows[] = {
		{ { .to = "ann@local.test", .delivered = true, .notify = NOTIFY_SUCCESS },
			"ann@local.test delivered 2.1.5; reports 1, Action: delivered, Subject: "
			"hello" },
		{ { .to = "joe@a.test", .notify = NOTIFY_SUCCESS },
			"joe@a.test delivered 2.0.0; reports 1, Action: relayed, Subject: hello" },
		{ { .to = "joe@a.test" }, "joe@a.test delivered 2.0.0; reports 0" },
		{ { .to = "bad@a.test", .notify = NOTIFY_SUCCESS },
			"bad@a.test failed 5.1.1; reports 0" },
		{ { .to = "bad@a.test", .notify = NOTIFY_NEVER },
			"bad@a.test failed 5.1.1; reports 0" },
		{ { .to = "bad@a.test" },
			"bad@a.test failed 5.1.1; reports 1, Action: failed, It works., Subject: "
			"hello" },
		{ { .to = "bad@a.test", .ret = RET_HDRS },
			"bad@a.test failed 5.1.1; reports 1, Action: failed, Subject: hello" },
		/* T122: not sent, and its sender is told. */
		{ { .to = "joe@a.test", .damaged = true },
			"joe@a.test failed 5.3.0; reports 1, Action: failed" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		of_one(&rows[i]);
}

/* RFC 2852 4.1 */
static void a_time_that_has_passed_is_kept(void **state)
{
	static const struct row rows[] = {
		{ { .to = "later@a.test", .by_mode = BY_RETURN, .by = -1 },
			"later@a.test failed 5.4.7; reports 1, Action: failed, Deliver-By-Date: , "
			"It works., Subject: hello" },
		{ { .to = "joe@a.test", .by_mode = BY_RETURN, .by = 600 },
			"joe@a.test failed 5.4.7; reports 1, Action: failed, Deliver-By-Date: , "
			"It works., Subject: hello" },
		{ { .to = "later@a.test", .by_mode = BY_NOTIFY, .by = -1 },
			"later@a.test deferred 4.2.1 again; reports 1, Action: delayed, "
			"Deliver-By-Date: , Subject: hello" },
		{ { .to = "later@a.test", .by_mode = BY_NOTIFY, .by = 600 },
			"later@a.test deferred 4.2.1 again; reports 0" },
		{ { .to = "joe@a.test", .by_mode = BY_NOTIFY, .by = 600 },
			"joe@a.test delivered 2.0.0; reports 1, Action: relayed, Deliver-By-Date: "
			", "
			"Subject: hello" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		of_one(&rows[i]);
}

/* A retry comes when there is something to say. */
static void nothing_waits_beyond_its_time(void **state)
{
	(void)state;
	add_mail("ann@example.test", "later@a.test")->by = 2;
	store.mail[0].by_mode = BY_NOTIFY;
	with_courier(each_report, "queue.first-retry 1h; queue.max-retry 2h;");
	assert_in_range(store.mail[0].retry_after, 1, 2);
}

/* RFC 8689 4.2.1 and 5; RFC 7293 5.1 */
static void what_cannot_be_promised_is_not_sent(void **state)
{
	static const struct row rows[] = {
		{ { .to = "joe@a.test", .require_tls = true },
			"joe@a.test failed 5.7.30; reports 1, Action: failed, Subject: hello" },
		{ { .to = "joe@mx.test", .require_tls = true },
			"joe@mx.test failed 5.7.30; reports 1, Action: failed, Subject: hello" },
		{ { .to = "joe@a.test", .rrvs_reject = true },
			"joe@a.test failed 5.7.19; reports 1, Action: failed, It works., Subject: "
			"hello" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		of_one(&rows[i]);
		assert_int_equal(received, 0);
	}
}

static void what_is_said_to_be_binary_is_converted(void **state)
{
	static const struct row rows[] = {
		{ { .to = "joe@a.test", .body_type = BODY_BINARYMIME },
			"joe@a.test delivered 2.0.0; reports 0" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		of_one(&rows[i]);
	assert_int_equal(body_bytes, sizeof body - 1); /* it is text, and stays as it was */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(success_is_reported_to_who_asked),
		cmocka_unit_test(a_time_that_has_passed_is_kept),
		cmocka_unit_test(nothing_waits_beyond_its_time),
		cmocka_unit_test(what_cannot_be_promised_is_not_sent),
		cmocka_unit_test(what_is_said_to_be_binary_is_converted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
