/* store_test.h - a directory for every test, gone afterwards. */
#ifndef STORE_STORE_TEST_H
#define STORE_STORE_TEST_H

#include "base/log.h"
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct test_place {
	char path[64];
	int fd;
};

static int test_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static int test_setup(void **state)
{
	struct test_place *p = calloc(1, sizeof *p);

	if (!p)
		return -1;
	/* In memory where that is possible: flushing is not what these tests are about. */
	snprintf(p->path, sizeof p->path, "%s/eilpost-store-XXXXXX",
		access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	if (!mkdtemp(p->path))
		return -1;
	p->fd = open(p->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = p;
	return p->fd < 0 ? -1 : 0;
}

static int test_teardown(void **state)
{
	struct test_place *p = *state;

	close(p->fd);
	nftw(p->path, test_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(p);
	return 0;
}

static inline int test_dir(void **state)
{
	return ((struct test_place *)*state)->fd;
}

static inline void test_quiet(void *arg, enum log_level level, struct str line)
{
	(void)arg, (void)level, (void)line;
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, test_setup, test_teardown)

#endif
