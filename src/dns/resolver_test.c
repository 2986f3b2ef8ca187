#include "dns/resolver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

/* A resolver library whose answers the test gives. Each context keeps what it was asked. */
enum { ASKED_MAX = 2 * RESOLVER_LOOKUPS_MAX };

struct asked {
	struct dns_resolver_ctx *ctx;
	char name[256];
	int type;
	void *arg;
	dns_module_done *done;
};

struct dns_resolver_ctx {
	int fd;
	bool has_servers;
};

static struct asked asked[ASKED_MAX];
static size_t asked_count, to_answer;
static struct dns_module_answer next_answer;

static int fake_open(const struct dns_module_options *o, struct dns_resolver_ctx **ctx, char *why,
	size_t why_size)
{
	(void)why;
	(void)why_size;
	*ctx = calloc(1, sizeof **ctx);
	(*ctx)->fd = eventfd(0, EFD_NONBLOCK);
	(*ctx)->has_servers = o->server_count > 0;
	return 0;
}

static void fake_close(struct dns_resolver_ctx *ctx)
{
	close(ctx->fd);
	free(ctx);
}

static int fake_fd(struct dns_resolver_ctx *ctx)
{
	return ctx->fd;
}

static int fake_process(struct dns_resolver_ctx *ctx)
{
	uint64_t n;

	while (read(ctx->fd, &n, sizeof n) > 0)
		asked[to_answer].done(asked[to_answer].arg, &next_answer);
	return 0;
}

static void *fake_ask(
	struct dns_resolver_ctx *ctx, const char *name, int type, void *arg, dns_module_done *done)
{
	struct asked *a = &asked[asked_count++];

	*a = (struct asked){ .ctx = ctx, .type = type, .arg = arg, .done = done };
	snprintf(a->name, sizeof a->name, "%s", name);
	return a;
}

static void fake_cancel(struct dns_resolver_ctx *ctx, void *what)
{
	(void)ctx;
	(void)what;
}

static const struct dns_module fake = { DNS_MODULE_VERSION, fake_open, fake_close, fake_fd,
	fake_process, fake_ask, fake_cancel };

/* What the caller was told. */
static struct dns_module_answer got;
static int got_count;
static struct signal event;

static void note(void *arg, const struct dns_module_answer *a)
{
	(void)arg;
	got = *a;
	got_count++;
	signal_raise(&event);
}

static struct err err;
static char trace[256];
static struct resolver *r;
static struct task_group *g;

static void add(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void add(const char *fmt, ...)
{
	size_t n = strlen(trace);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(trace + n, sizeof trace - n, fmt, ap);
	va_end(ap);
}

static int start(bool offline, const char *fallback)
{
	struct resolver_options o = { .module = &fake, .offline = offline };

	o.fallback.servers = &fallback;
	o.fallback.server_count = fallback != NULL;
	asked_count = 0;
	got_count = 0;
	trace[0] = 0;
	event = (struct signal){ 0 };
	err = ERR_INIT;
	g = task_group_new("test");
	return resolver_open(&o, &r, &err) < 0 ? -1 : resolver_start(r, g, &err);
}

static void stop(void)
{
	task_group_end(&g);
	resolver_free(&r);
}

/* Let the library answer question number i, and wait until the caller knows. */
static void answer(size_t i, enum dns_module_status status, int secure)
{
	uint64_t one = 1;

	next_answer = (struct dns_module_answer){ .status = status, .secure = secure };
	to_answer = i;
	event.raised = false;
	if (write(asked[i].ctx->fd, &one, sizeof one) != sizeof one)
		add("write ");
}

static void wait_for_news(void)
{
	if (task_wait(-1, 0, &event, NEVER, &err) < 0)
		add("lost ");
}

static void until_asked(size_t n)
{
	while (asked_count < n)
		task_yield();
}

#define LOOP(fn)                                                                                   \
	do {                                                                                       \
		struct err loop_err = ERR_INIT;                                                    \
                                                                                                   \
		assert_int_equal(rt_main((fn), NULL, &loop_err), 0);                               \
	} while (0)

static void equal_asks(void *arg)
{
	(void)arg;
	add("%d ", start(false, NULL));
	for (int i = 0; i < 5; i++)
		add("%d ", resolver_ask(r, STR("A.test"), DNS_TYPE_MX, note, NULL, &err));
	add("%d ", resolver_ask(r, STR("a.TEST."), DNS_TYPE_MX, note, NULL, &err));
	add("lookups %zu %s ", asked_count, asked[0].name);
	add("%d ", resolver_ask(r, STR("a.test"), DNS_TYPE_A, note, NULL, &err));
	add("lookups %zu ", asked_count);
	answer(0, DNS_MODULE_OK, 1);
	wait_for_news();
	add("told %d secure %d ", got_count, got.secure);
	add("%d ", resolver_ask(r, STR("a.test"), DNS_TYPE_MX, note, NULL, &err));
	add("lookups %zu", asked_count);
	stop();
}

static void equal_questions_share_one_lookup(void **state)
{
	(void)state;
	LOOP(equal_asks);
	assert_string_equal(
		trace, "0 0 0 0 0 0 0 lookups 1 a.test 0 lookups 2 told 6 secure 1 0 lookups 3");
}

static void bad_asks(void *arg)
{
	(void)arg;
	add("%d ", start(false, NULL));
	add("%d ", resolver_ask(r, STR("a b.test"), DNS_TYPE_MX, note, NULL, &err));
	add("%d ", resolver_ask(r, STR(""), DNS_TYPE_MX, note, NULL, &err));
	add("%d ", resolver_ask(r, STR("a.test"), 0, note, NULL, &err));
	add("%d ", resolver_ask(r, STR("a.test"), 65536, note, NULL, &err));
	add("%s %zu %d", err_kind_name(err.kind), asked_count, got_count);
	stop();
}

static void what_is_no_name_is_not_asked(void **state)
{
	(void)state;
	LOOP(bad_asks);
	assert_string_equal(trace, "0 -1 -1 -1 -1 permanent 0 0");
}

static void many_asks(void *arg)
{
	char name[64];
	int ok = 0, refused = 0;

	(void)arg;
	add("%d ", start(false, NULL));
	for (int i = 0; i < RESOLVER_LOOKUPS_MAX + 10; i++) {
		snprintf(name, sizeof name, "n%d.test", i);
		if (resolver_ask(r, str_c(name), DNS_TYPE_A, note, NULL, &err) == 0)
			ok++;
		else
			refused++;
	}
	add("%d %d %s", ok, refused, err_kind_name(err.kind));
	stop();
}

static void there_is_a_cap_on_lookups(void **state)
{
	(void)state;
	LOOP(many_asks);
	assert_string_equal(trace, "0 1000 10 limit");
}

static void offline_asks(void *arg)
{
	(void)arg;
	add("%d ", start(true, NULL));
	add("%d ", resolver_ask(r, STR("a.test"), DNS_TYPE_MX, note, NULL, &err));
	add("told %d %d %s", got_count, got.status == DNS_MODULE_NXDOMAIN, resolver_stats(r).mode);
	stop();
}

static void offline_no_name_exists(void **state)
{
	(void)state;
	LOOP(offline_asks);
	assert_string_equal(trace, "0 0 told 1 1 offline");
}

static void blocked_asks(void *arg)
{
	(void)arg;
	add("%d ", start(false, "192.0.2.53"));
	add("%d ", resolver_ask(r, STR("a.test"), DNS_TYPE_MX, note, NULL, &err));
	answer(0, DNS_MODULE_TEMP, 0);
	until_asked(2);
	add("other %d told %d ", asked[1].ctx->has_servers, got_count);
	answer(1, DNS_MODULE_OK, 1);
	wait_for_news();
	add("status %d secure %d %s ", got.status, got.secure, resolver_stats(r).mode);
	add("%d ", resolver_ask(r, STR("b.test"), DNS_TYPE_MX, note, NULL, &err));
	add("other %d", asked[2].ctx->has_servers);
	stop();
}

static void where_recursion_is_blocked_the_fallback_answers_without_security(void **state)
{
	(void)state;
	LOOP(blocked_asks);
	assert_string_equal(trace,
		"0 0 other 1 told 0 status 0 secure 0 fallback servers, without DNSSEC 0 other 1");
}

static void one_bad_name(void *arg)
{
	(void)arg;
	add("%d ", start(false, "192.0.2.53"));
	add("%d ", resolver_ask(r, STR("a.test"), DNS_TYPE_MX, note, NULL, &err));
	answer(0, DNS_MODULE_NODATA, 1);
	wait_for_news();
	add("%d ", resolver_ask(r, STR("broken.test"), DNS_TYPE_MX, note, NULL, &err));
	answer(1, DNS_MODULE_TEMP, 0);
	wait_for_news();
	add("status %d lookups %zu failures %d", got.status == DNS_MODULE_TEMP, asked_count,
		(int)resolver_stats(r).failures);
	stop();
}

static void while_recursion_works_a_broken_zone_stays_a_broken_zone(void **state)
{
	(void)state;
	LOOP(one_bad_name);
	assert_string_equal(trace, "0 0 0 status 1 lookups 2 failures 1");
}

static const char *write_file(const char *text)
{
	static char path[64];
	int fd;

	snprintf(path, sizeof path, "/tmp/resolver_test.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	return path;
}

static void files_are_read_without_their_comments(void **state)
{
	static struct resolver_lines lines;
	const char *path = write_file("; root\n\n. IN DS 20326 8 2 E06D ; one\n# two\n");

	(void)state;
	assert_int_equal(resolver_read_anchors(path, &lines, &err), 0);
	assert_int_equal(lines.count, 1);
	assert_string_equal(lines.p[0], ". IN DS 20326 8 2 E06D");
	unlink(path);
	path = write_file("; nothing\n");
	assert_int_equal(resolver_read_anchors(path, &lines, &err), -1);
	unlink(path);
	assert_int_equal(resolver_read_anchors("/nowhere/root.key", &lines, &err), -1);
	path = write_file("search example.test\nnameserver 192.0.2.1\nnameserver\tfe80::1 # x\n"
			  "nameserver nonsense\nnameservers 192.0.2.9\n");
	resolver_read_nameservers(path, &lines);
	assert_int_equal(lines.count, 2);
	assert_string_equal(lines.p[1], "fe80::1");
	unlink(path);
	resolver_read_nameservers("/nowhere", &lines);
	assert_int_equal(lines.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_questions_share_one_lookup),
		cmocka_unit_test(what_is_no_name_is_not_asked),
		cmocka_unit_test(there_is_a_cap_on_lookups),
		cmocka_unit_test(offline_no_name_exists),
		cmocka_unit_test(where_recursion_is_blocked_the_fallback_answers_without_security),
		cmocka_unit_test(while_recursion_works_a_broken_zone_stays_a_broken_zone),
		cmocka_unit_test(files_are_read_without_their_comments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
