/* A Maildir that is exported again: its list is written, however much is there already. */
#include "cli/export_private.h"

#include <fcntl.h>
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

enum { MESSAGES = 100000 };

static void a_large_folder_that_is_there_already_is_listed_again(void **state)
{
	static struct export x;
	char dir[] = "/tmp/export-XXXXXX", unique[80];
	struct err err = ERR_INIT;
	struct stat st;
	size_t n = 0, bytes = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	x = (struct export){ .root = open(dir, O_RDONLY | O_DIRECTORY),
		.name = "INBOX",
		.keywords = BUF(1000),
		.uidvalidity = 1790000000,
		.uidnext = MESSAGES + 1 };
	assert_int_equal(export_maildir.begin(&x, &err), 0);
	bytes += (size_t)snprintf(unique, sizeof unique, "3 V%u N%u\n", x.uidvalidity, x.uidnext);
	for (uint32_t i = 1; i <= MESSAGES; i++) {
		const struct export_message m = { i, 0, 1790000000 + i, 100, STR("") };

		n += export_maildir.has(&x, &m);
		bytes += (size_t)snprintf(unique, sizeof unique, "%u :%u.V%uU%u.eilpost\n", i,
			1790000000 + i, x.uidvalidity, i);
	}
	assert_int_equal(n, 0);
	if (export_maildir.end(&x, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(fstatat(x.root, "dovecot-uidlist", &st, 0), 0);
	assert_int_equal(st.st_size, bytes);
	export_maildir.close(&x);
	unlinkat(x.root, "dovecot-uidlist", 0);
	for (const char *const *p = (const char *const[]){ "cur", "new", "tmp", NULL }; *p; p++)
		unlinkat(x.root, *p, AT_REMOVEDIR);
	close(x.root);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_large_folder_that_is_there_already_is_listed_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
