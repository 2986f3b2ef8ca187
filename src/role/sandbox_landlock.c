/* sandbox_landlock.c - paths, TCP and signals, by the kernel's Landlock. The constants are written
 * down here because the headers of the build machine may be older than the kernel it runs on. */
#include "role/sandbox.h"
#include "role/sandbox_private.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { NR_CREATE_RULESET = 444, NR_ADD_RULE = 445, NR_RESTRICT_SELF = 446 };
enum { CREATE_VERSION = 1, RULE_PATH_BENEATH = 1 };

enum {
	FS_EXECUTE = 1 << 0,
	FS_WRITE_FILE = 1 << 1,
	FS_READ_FILE = 1 << 2,
	FS_READ_DIR = 1 << 3,
	FS_REMOVE_DIR = 1 << 4,
	FS_REMOVE_FILE = 1 << 5,
	FS_MAKE_CHAR = 1 << 6,
	FS_MAKE_DIR = 1 << 7,
	FS_MAKE_REG = 1 << 8,
	FS_ALL_1 = (1 << 13) - 1, /* all rights of version 1 */
	FS_REFER = 1 << 13,       /* version 2 */
	FS_TRUNCATE = 1 << 14,    /* version 3 */
	FS_IOCTL_DEV = 1 << 15,   /* version 5 */
	NET_BIND = 1 << 0,        /* version 4 */
	NET_CONNECT = 1 << 1,
	SCOPE_ALL = 3 /* version 6: abstract sockets, signals */
};

struct ruleset_attr {
	uint64_t fs, net, scoped;
};

struct path_attr {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* Everything this version can refuse. */
static struct ruleset_attr refusals(long version, unsigned may)
{
	struct ruleset_attr a = { .fs = FS_ALL_1 };

	if (version >= 2)
		a.fs |= FS_REFER;
	if (version >= 3)
		a.fs |= FS_TRUNCATE;
	if (version >= 5)
		a.fs |= FS_IOCTL_DEV;
	if (version >= 4)
		a.net = may & (MAY_CONNECT | MAY_RESOLVE) ? NET_BIND : NET_BIND | NET_CONNECT;
	if (version >= 6)
		a.scoped = SCOPE_ALL;
	return a;
}

static int allow_data(int ruleset, const struct ruleset_attr *a, int data_fd, struct err *err)
{
	const struct path_attr path = { .allowed = a->fs &
			(FS_WRITE_FILE | FS_READ_FILE | FS_READ_DIR | FS_REMOVE_DIR |
				FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_REFER |
				FS_TRUNCATE),
		.fd = data_fd };

	if (syscall(NR_ADD_RULE, ruleset, RULE_PATH_BENEATH, &path, 0) < 0)
		return err_sys(err, "allow", "the data folder");
	return 0;
}

int landlock_close(unsigned may, int data_fd, uint8_t *isolation, struct err *err)
{
	long version = syscall(NR_CREATE_RULESET, NULL, 0, CREATE_VERSION);
	struct ruleset_attr a = refusals(version, may);
	int ruleset, r = -1;

	if (version < 1)
		return 1;
	/* Members that an older kernel does not know are zero, which it accepts. */
	ruleset = (int)syscall(NR_CREATE_RULESET, &a, sizeof a, 0);
	if (ruleset < 0)
		return err_sys(err, "make", "a Landlock ruleset");
	if ((may & MAY_DATA) && data_fd >= 0 && allow_data(ruleset, &a, data_fd, err) < 0)
		goto out;
	if (syscall(NR_RESTRICT_SELF, ruleset, 0) < 0) {
		err_sys(err, "close", "Landlock");
		goto out;
	}
	*isolation |=
		ISOLATION_LANDLOCK | (a.net ? ISOLATION_NET : 0) | (a.scoped ? ISOLATION_SCOPE : 0);
	r = 0;
out:
	close(ruleset);
	return r;
}
