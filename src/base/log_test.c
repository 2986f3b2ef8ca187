#include "base/log.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct buf got = BUF(8192);

static void take(void *arg, enum log_level level, struct str line)
{
	(void)arg;
	(void)level;
	buf_clear(&got);
	buf_add(&got, line);
}

#define assert_line(z) assert_string_equal(line_z(), (z))

static const char *line_z(void)
{
	static char z[4096];

	assert_true(str_z(buf_str(&got), z, sizeof z));
	return z;
}

static int setup(void **state)
{
	(void)state;
	log_capture(take, NULL);
	log_min_level(LOG_INFO);
	log_role(NULL);
	buf_clear(&got);
	return 0;
}

static void plain_values_stand_unquoted(void **state)
{
	(void)state;
	log_event(LOG_INFO, "smtp.accept", L_STR("from", STR("<ann@example.org>")),
		L_U64("rcpts", 1), L_I64("delta", -5));
	assert_line("info smtp.accept from=<ann@example.org> rcpts=1 delta=-5");
	log_event(LOG_WARN, "queue.empty");
	assert_line("warn queue.empty");
	log_role("front");
	log_event(LOG_ERROR, "x.y", L_Z("name", "j\xc3\xbcrgen"));
	assert_line("error x.y role=front name=j\xc3\xbcrgen");
}

static void values_cannot_forge_fields_or_lines(void **state)
{
	(void)state;
	log_event(LOG_INFO, "e", L_STR("v", STR("")));
	assert_line("info e v=\"\"");
	log_event(LOG_INFO, "e", L_QUOTED("user", STR("ann")));
	assert_line("info e user=\"ann\"");
	log_event(LOG_INFO, "e", L_STR("v", STR("a b=c")));
	assert_line("info e v=\"a b=c\"");
	log_event(LOG_INFO, "e", L_STR("v", STR("b=c")));
	assert_line("info e v=\"b=c\"");
	log_event(LOG_INFO, "e", L_STR("v", STR("x\" y=\"z\\")));
	assert_line("info e v=\"x\\\" y=\\\"z\\\\\"");
	log_event(LOG_INFO, "e", L_STR("v", STR("a\r\ninfo forged\0\x1b[2J\x7f\xff")));
	assert_line("info e v=\"a\\x0d\\x0ainfo forged\\x00\\x1b[2J\\x7f\\xff\"");
	/* a new line of Unicode, a next line of C1, a change of direction */
	log_event(LOG_INFO, "e", L_STR("v", STR("\xe2\x80\xa8\xc2\x85\xe2\x80\xae")));
	assert_line("info e v=\"\\xe2\\x80\\xa8\\xc2\\x85\\xe2\\x80\\xae\"");
}

static void long_values_are_cut_and_the_others_stay(void **state)
{
	char big[3000];
	struct str line;

	(void)state;
	memset(big, 'x', sizeof big);
	log_event(LOG_INFO, "e", L_STR("helo", str_make(big, sizeof big)), L_U64("n", 7));
	line = buf_str(&got);
	assert_true(line.n < 700);
	assert_true(str_endsi(line, STR("...\" n=7 cut=1")));
	memset(big, 1, sizeof big);
	log_event(LOG_INFO, "e", L_STR("a", str_make(big, sizeof big)),
		L_STR("b", str_make(big, sizeof big)), L_STR("c", str_make(big, sizeof big)),
		L_STR("d", str_make(big, sizeof big)), L_STR("e", str_make(big, sizeof big)));
	line = buf_str(&got);
	assert_true(line.n < 2048);
	assert_true(str_endsi(line, STR("...\" cut=1")));
}

static void events_below_the_level_are_silent(void **state)
{
	(void)state;
	log_event(LOG_DEBUG, "e");
	assert_int_equal(got.n, 0);
	log_min_level(LOG_DEBUG);
	log_event(LOG_DEBUG, "e");
	assert_line("debug e");
}

static void a_full_pipe_loses_lines_and_says_how_many(void **state)
{
	static char text[70000];
	int fd[2];
	ssize_t n;

	(void)state;
	log_capture(NULL, NULL);
	assert_int_equal(pipe2(fd, O_NONBLOCK), 0);
	log_to_fd(fd[1]);
	memset(text, 'x', sizeof text);
	while (write(fd[1], text, 4096) > 0)
		;
	log_event(LOG_INFO, "one");
	log_event(LOG_INFO, "two");
	while (read(fd[0], text, sizeof text) > 0)
		;
	log_event(LOG_INFO, "three");
	n = read(fd[0], text, sizeof text);
	assert_true(n > 0);
	assert_true(str_eq(str_make(text, (size_t)n), STR("info three lost=2\n")));
	log_event(LOG_INFO, "four");
	n = read(fd[0], text, sizeof text);
	assert_true(str_eq(str_make(text, (size_t)n), STR("info four\n")));
	log_to_fd(2);
	close(fd[0]);
	close(fd[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(plain_values_stand_unquoted, setup),
		cmocka_unit_test_setup(values_cannot_forge_fields_or_lines, setup),
		cmocka_unit_test_setup(long_values_are_cut_and_the_others_stay, setup),
		cmocka_unit_test_setup(events_below_the_level_are_silent, setup),
		cmocka_unit_test_setup(a_full_pipe_loses_lines_and_says_how_many, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
