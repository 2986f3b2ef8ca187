#include "role/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <unistd.h>

static uint8_t reached;

uint8_t sandbox_isolation(void)
{
	return reached;
}

static int drop_user(const struct sandbox_wish *wish, struct err *err)
{
	if (wish->data_fd >= 0 && fchdir(wish->data_fd) < 0)
		return err_sys(err, "enter", "the data folder");
	if (!wish->uid)
		return 0;
	if (wish->root_dir && chroot(".") < 0)
		return err_sys(err, "make the root folder of", "the data folder");
	if (setgroups(0, NULL) < 0 || setresgid(wish->gid, wish->gid, wish->gid) < 0 ||
		setresuid(wish->uid, wish->uid, wish->uid) < 0)
		return err_sys(err, "become", "the role's user");
	reached |= ISOLATION_UID;
	return 0;
}

int sandbox_close(const struct sandbox_wish *wish, struct err *err)
{
	return drop_user(wish, err);
}

void sandbox_describe(uint8_t isolation, struct buf *out)
{
	buf_addz(out, isolation == ISOLATION_FULL ? "full" : "reduced");
}
